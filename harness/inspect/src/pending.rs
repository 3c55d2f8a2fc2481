//! What is still to be done at the next start.

use serde::{Deserialize, Serialize};

use crate::Known;

/// What is pending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pending {
    /// `PendingFileRenameOperations`.
    pub renames: Known<Vec<Rename>>,
    /// Signs of updates that are not finished, each in words.
    pub updates: Known<Vec<String>>,
    /// `BootExecute`.
    pub boot_execute: Known<Vec<String>>,
    /// `Setup\SystemSetupInProgress`.
    pub setup_in_progress: Known<bool>,
}

/// A file that is moved or deleted at the next start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rename {
    /// As stored.
    pub from: String,
    /// As stored; none: it is deleted.
    pub to: Option<String>,
}

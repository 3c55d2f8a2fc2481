//! What everything is read from: the volumes and hives of one disk, opened once.

use serde::{Deserialize, Serialize};

use crate::Known;

/// How a hive was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HiveFacts {
    /// The file, from the root of its volume.
    pub file: String,
    /// `clean`; what its logs brought; or that it was read as it lies, without them.
    pub state: Known<String>,
}

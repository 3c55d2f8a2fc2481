//! The layer `host-repair`: the machine is switched off, its disk is edited from the host, and it is switched
//! on again. It is what an administrator of virtual machines does who attaches the disk to another one
//! (windows-facts 5.1, remedy d).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::network_services::Delete;
use crate::registry::RegistryChange;
use words::WindowsPath;

/// What is done to the disk from the host, once, when the machine would else be given up: it loops, hangs,
/// or is stuck in recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostRepair {
    /// What is done, in order. Where one of it cannot be done, nothing is.
    pub action: Vec<RepairAction>,
}

/// One thing that is done to the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RepairAction {
    /// Deletes files. One at least has to be there.
    Delete(Delete),
    /// Copies a file from another place of the disk.
    Copy(FileCopy),
    /// Brings a file of `C:` back as it is in the image, which is the backup that there always is.
    Restore(WindowsPath),
    /// Writes a file.
    Write(FileWrite),
    /// Changes a value of the registry.
    Registry(RegistryChange),
    /// Changes the default entry of the boot configuration store.
    BootEntry(BootEntry),
}

/// What becomes of the default entry of the boot configuration store (windows-facts 3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BootEntry {
    /// `recoveryenabled`: failed starts lead to the recovery environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_enabled: Option<bool>,
    /// `safeboot` is taken out: Windows starts in full again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove_safe_boot: bool,
}

/// A file and the place that it is copied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileCopy {
    /// The file.
    pub from: WindowsPath,
    /// Where its copy goes, in the place of what is there.
    pub to: WindowsPath,
}

/// A file that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileWrite {
    /// Where, in the place of what is there.
    pub path: WindowsPath,
    /// What is in it.
    pub content: Content,
}

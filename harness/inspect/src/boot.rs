//! How the system is started: the BCD store, or the `freeldr.ini` of ReactOS.

use serde::{Deserialize, Serialize};

use crate::Known;

/// How the system is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum BootConfiguration {
    /// The boot configuration data of Windows.
    Bcd(BcdFacts),
    /// ReactOS's boot loader.
    Freeldr(FreeldrFacts),
}

impl BootConfiguration {
    /// The store, if it is one.
    pub fn bcd(&self) -> Option<&BcdFacts> {
        match self {
            Self::Bcd(facts) => Some(facts),
            Self::Freeldr(_) => None,
        }
    }
}

/// A BCD store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BcdFacts {
    /// The partition that it is on.
    pub partition: u32,
    /// The file, from the root of that partition.
    pub path: String,
    /// How many objects it holds.
    pub objects: usize,
    /// What the boot manager starts by default.
    pub default: Known<Loader>,
    /// Entries of the menu, in order.
    pub display_order: Vec<String>,
    /// What is started once, next.
    pub boot_sequence: Vec<String>,
    /// Seconds that the menu waits.
    pub timeout: Known<u64>,
    /// Loaders of recovery environments that the store holds, whoever points at them.
    pub recovery_loaders: Vec<RecoveryLoader>,
}

/// A loader of Windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Loader {
    /// Its object.
    pub id: String,
    /// What the menu calls it.
    pub description: Known<String>,
    /// Its file.
    pub path: Known<String>,
    /// The volume of Windows.
    pub device: Known<Place>,
    /// `recoveryenabled`. Absent means yes (windows-facts.md 3.1).
    pub recovery_enabled: Known<bool>,
    /// `recoverysequence`.
    pub recovery_sequence: Known<Vec<RecoveryLoader>>,
    /// `bootstatuspolicy`. Absent means that failures count (windows-facts.md 3.1).
    pub boot_status_policy: Known<String>,
    /// Whether that policy counts failed starts.
    pub counts_failed_starts: Known<bool>,
    /// `safeboot`, as stored.
    pub safe_boot: Known<u64>,
    /// `testsigning`.
    pub test_signing: Known<bool>,
    /// `nointegritychecks`.
    pub no_integrity_checks: Known<bool>,
    /// `disablecrashautoreboot`: after a stop it stands still, whatever `CrashControl` says.
    pub no_crash_restart: Known<bool>,
}

/// A loader of a recovery environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecoveryLoader {
    /// Its object.
    pub id: String,
    /// What the store calls it. Absent: there is no such object.
    pub description: Known<String>,
    /// Whether it is marked as Windows PE.
    pub win_pe: bool,
    /// The image file that it starts from.
    pub image: Known<ImagePlace>,
}

/// A volume as a store names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// In the store's terms.
    pub device: String,
    /// The partition of this disk that it is. Absent: none of them.
    pub partition: Known<u32>,
}

/// A file on a volume as a store names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImagePlace {
    /// In the store's terms.
    pub device: String,
    /// The partition of this disk that it is. Absent: none of them.
    pub partition: Known<u32>,
    /// The file, from the root of that partition.
    pub path: String,
    /// Its size in bytes. Absent: it is not there.
    pub size: Known<u64>,
}

/// A `freeldr.ini`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FreeldrFacts {
    /// The partition that it is on.
    pub partition: u32,
    /// `DefaultOS`.
    pub default: Known<String>,
    /// Its section's `SystemPath`.
    pub system_path: Known<String>,
    /// Its section's `Options`.
    pub options: Known<String>,
    /// Names of all entries.
    pub entries: Vec<String>,
}

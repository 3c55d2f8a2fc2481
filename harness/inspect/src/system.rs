//! Which system is on the disk.

use serde::{Deserialize, Serialize};

use crate::Known;

/// The installed system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct System {
    /// The partition that it is on.
    pub partition: Known<u32>,
    /// Its folder on that partition: `Windows`, `WINNT` or `ReactOS`.
    pub folder: Known<String>,
    /// `ProductName`. Windows 11 still says "Windows 10" here.
    pub product: Known<String>,
    /// `EditionID`, such as `Professional`.
    pub edition: Known<String>,
    /// `InstallationType`, such as `Client`.
    pub installation: Known<String>,
    /// `CurrentBuild` and `UBR`.
    pub build: Known<Build>,
    /// `DisplayVersion`, or `ReleaseId` before it: `24H2`.
    pub version: Known<String>,
    /// Instruction set: `x86-64`, `x86`, `arm64`.
    pub architecture: Known<String>,
    /// `InstallDate`.
    pub installed: Known<jiff::Timestamp>,
    /// `ComputerName`.
    pub computer: Known<String>,
    /// Whether it is an evaluation edition, and when it ends.
    pub licence: Known<Licence>,
}

/// A build number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Build {
    /// The build: 26100.
    pub number: u32,
    /// The update revision: 4770. Windows before 8.1 has none.
    pub revision: Option<u32>,
}

impl std::fmt::Display for Build {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.revision {
            Some(revision) => write!(f, "{}.{revision}", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

/// What the licence allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Licence {
    /// An evaluation edition, by its name.
    pub evaluation: bool,
    /// When it ends: for an evaluation only.
    pub expires: Known<jiff::Timestamp>,
}

/// The control sets of the SYSTEM hive (windows-facts.md 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ControlSets {
    /// Those that are there.
    pub sets: Vec<String>,
    /// `Select\Current`.
    pub current: Known<u32>,
    /// `Select\Default`.
    pub default: Known<u32>,
    /// `Select\Failed`.
    pub failed: Known<u32>,
    /// `Select\LastKnownGood`.
    pub last_known_good: Known<u32>,
}

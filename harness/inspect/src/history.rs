//! What earlier starts left behind: boot status, boot log, event log, Startup Repair's log.

use serde::{Deserialize, Serialize};

use crate::Known;

/// What earlier starts left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct History {
    /// `bootstat.dat` of the Windows folder.
    pub boot_status: Known<BootStatusFacts>,
    /// `BOOTSTAT.DAT` beside the boot manager: its latest records, the oldest first.
    pub boot_log: Known<Vec<BootRecord>>,
    /// The System event log's latest records about starts and stops, the oldest first.
    pub events: Known<Vec<EventFacts>>,
    /// Startup Repair's log.
    pub startup_repair: Known<StartupRepairFacts>,
}

/// `bootstat.dat` (windows-facts.md 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootStatusFacts {
    /// `LastBootSucceeded`.
    pub last_boot_succeeded: bool,
    /// `LastBootShutdown`.
    pub last_boot_shut_down: bool,
    /// `BootAttemptCount`.
    pub attempts: u8,
    /// `LastBootId`.
    pub last_boot_id: u32,
}

/// A record of the boot log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootRecord {
    /// What happened.
    pub event: String,
    /// When, where the record says.
    pub time: Option<jiff::Timestamp>,
    /// The file that was started, where the record says.
    pub path: Option<String>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EventFacts {
    /// When it was written.
    pub time: jiff::Timestamp,
    /// Who wrote it.
    pub provider: String,
    /// Its number: 41, 1001, 6008, 20.
    pub id: u32,
    /// Its data, by name.
    pub data: Vec<(String, String)>,
}

/// `SrtTrail.txt`, in any language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StartupRepairFacts {
    /// The file, from the root of the volume.
    pub path: String,
    /// When it was last changed.
    pub modified: Option<jiff::Timestamp>,
    /// How many tests it lists.
    pub tests: usize,
    /// Result codes other than 0, in order.
    pub failures: Vec<u64>,
}

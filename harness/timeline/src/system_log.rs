//! What the guest's own System log says of its starts: which drivers and services did not start, and how the machine
//! ended before. It is the guest's word, read from the disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{BugCheck, Confidence};

/// ERROR_SERVICE_ALREADY_RUNNING: who was to be started was running.
const ALREADY_RUNNING: u32 = 1056;

/// An entry of the System log, told by its provider and number (windows-facts 6.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum LogEntry {
    /// EventLog 6005: Windows started.
    Started,
    /// Service Control Manager 7000: a driver or service did not start.
    StartFailed {
        /// Its key below `Services`; where the entry does not have it, what people are shown as its name.
        name: String,
        /// The Win32 error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<u32>,
    },
    /// Service Control Manager 7026: drivers that start with the loader or the kernel were not loaded.
    NotLoaded {
        /// Their keys below `Services`.
        names: Vec<String>,
    },
    /// Kernel-Power 41: Windows started without having been shut down before.
    UnexpectedRestart {
        /// The stop that it knows of; absent where it knows of none: power lost, reset, or hung.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bug_check: Option<BugCheck>,
    },
    /// BugCheck 1001: the last stop, told after the restart.
    BugCheckReported {
        /// Absent where it cannot be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bug_check: Option<BugCheck>,
        /// Where the dump was put, a path within Windows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dump: Option<String>,
    },
    /// EventLog 6008: the shutdown before was not a clean one.
    DirtyShutdown,
}

/// An entry, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logged {
    /// The event.
    pub seq: u64,
    /// The entry's number in the log.
    pub record: u64,
    /// How sure that is.
    pub confidence: Confidence,
    /// What it says.
    pub entry: LogEntry,
}

impl Logged {
    /// The drivers and services that did not start, by this entry.
    pub(crate) fn failed(&self) -> &[String] {
        match &self.entry {
            LogEntry::StartFailed { error: Some(ALREADY_RUNNING), .. } => &[],
            LogEntry::StartFailed { name, .. } => std::slice::from_ref(name),
            LogEntry::NotLoaded { names } => names,
            _ => &[],
        }
    }
}

/// The drivers and services that did not start in any of the starts of which the log tells, with the Win32 error where
/// it is known. Names are in lower case.
///
/// One that failed in some of the starts and not in all may well have run in the others.
pub(crate) fn never_started(log: &[Logged]) -> BTreeMap<String, Option<u32>> {
    let mut in_order: Vec<&Logged> = log.iter().collect();
    in_order.sort_by_key(|logged| logged.record);
    // A log that was running already tells of the rest of that start first.
    let mut starts: Vec<BTreeMap<String, Option<u32>>> = vec![BTreeMap::new()];
    for logged in in_order {
        if logged.entry == LogEntry::Started {
            starts.push(BTreeMap::new());
        }
        let error = match logged.entry {
            LogEntry::StartFailed { error, .. } => error,
            _ => None,
        };
        let Some(start) = starts.last_mut() else { continue };
        for name in logged.failed() {
            let known = start.entry(name.to_lowercase()).or_default();
            *known = known.or(error);
        }
    }
    if starts.len() > 1 && starts[0].is_empty() {
        starts.remove(0);
    }
    let Some((first, others)) = starts.split_first() else { return BTreeMap::new() };
    let always = first.iter().filter(|(name, _)| others.iter().all(|o| o.contains_key(*name)));
    let error = |name: &String| starts.iter().find_map(|start| start.get(name).copied().flatten());
    always.map(|(name, _)| (name.clone(), error(name))).collect()
}

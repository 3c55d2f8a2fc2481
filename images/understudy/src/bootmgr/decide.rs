//! What is started. Pure: the store and the boot status go in, a decision and the record to be
//! written come out.

use std::collections::BTreeMap;

use winfmt::Guid;

use super::attempts::{BootRecord, LastStart, Policy, Verdict};
use super::error::{BootError, Status};

/// What the boot manager reads of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// `bootsequence`: what is started once, before anything else.
    pub boot_sequence: Vec<Guid>,
    /// `default`.
    pub default: Option<Guid>,
    /// `displayorder`.
    pub display_order: Vec<Guid>,
    /// All loaders.
    pub entries: BTreeMap<Guid, Entry>,
}

/// A loader of the store (windows-facts.md 3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// `description`.
    pub description: String,
    /// `path` of the program.
    pub path: String,
    /// `systemroot`.
    pub system_root: String,
    /// Partition of the Windows volume, where the entry names one.
    pub partition: Option<Guid>,
    /// The entry names no volume that can be found: none at all, or in a form that is not known.
    pub without_device: bool,
    /// Partition and path of a RAM disk image, for a recovery environment.
    pub ramdisk: Option<(Option<Guid>, String)>,
    /// `recoverysequence`.
    pub recovery_sequence: Vec<Guid>,
    /// `recoveryenabled`; true where it is not set.
    pub recovery_enabled: bool,
    /// `bootstatuspolicy`.
    pub boot_status_policy: Option<u64>,
    /// `safeboot`: 0 minimal, 1 network.
    pub safe_boot: Option<u64>,
    /// `lastknowngood`.
    pub last_known_good: bool,
    /// `testsigning`: drivers that a test authority signed are taken.
    pub test_signing: bool,
    /// `nointegritychecks`: no driver's signature is looked at.
    pub no_integrity_checks: bool,
}

/// Why the recovery environment is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Failed starts and early deaths.
    FailOver {
        /// How many in a row.
        failures: u8,
    },
    /// Somebody asked for it, once.
    Asked,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Windows is started.
    Windows {
        /// The loader's id.
        id: Guid,
        /// The loader.
        entry: Entry,
    },
    /// The recovery environment is started.
    Recovery {
        /// The loader's id.
        id: Guid,
        /// The loader.
        entry: Entry,
        /// Why.
        reason: Reason,
    },
    /// An error is shown, and nothing is started.
    Stop(BootError),
}

/// A decision with what must be written before it is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What happens next.
    pub decision: Decision,
    /// The boot status from now on.
    pub record: BootRecord,
    /// The one-shot order was used: it is taken out of the store.
    pub consumed_boot_sequence: bool,
    /// What was made of the starts before this one.
    pub verdict: Verdict,
}

/// Decides. `record` is `None` where the boot status cannot be read: then there is no fail-over
/// (windows-facts.md 3.1).
pub fn decide(configuration: &Configuration, record: Option<BootRecord>) -> Decided {
    let known = record.unwrap_or_default();
    let once = configuration.boot_sequence.first().copied();
    let chosen =
        once.or(configuration.default).or_else(|| configuration.display_order.first().copied());
    let stop = |error| Decided {
        decision: Decision::Stop(error),
        record: known,
        consumed_boot_sequence: once.is_some(),
        verdict: Verdict { last: LastStart::None, failures: 0, fail_over: false },
    };
    let Some(id) = chosen else {
        return stop(BootError::new(Status::NO_VALID_OS_ENTRY, "\\EFI\\Microsoft\\Boot\\BCD"));
    };
    let Some(entry) = configuration.entries.get(&id) else {
        return stop(BootError::new(Status::NO_VALID_OS_ENTRY, "\\EFI\\Microsoft\\Boot\\BCD"));
    };
    let decided = |decision, record, verdict| Decided {
        decision,
        record,
        consumed_boot_sequence: once.is_some(),
        verdict,
    };
    let policy = Policy::from_element(entry.boot_status_policy);
    let verdict = known.judge(policy);
    if entry.ramdisk.is_some() {
        let decision = Decision::Recovery { id, entry: entry.clone(), reason: Reason::Asked };
        return decided(decision, known.recovering(), verdict);
    }
    let recovery = entry
        .recovery_sequence
        .iter()
        .find_map(|id| configuration.entries.get(id).map(|recovery| (*id, recovery)));
    match recovery {
        Some((recovery_id, recovery)) if verdict.fail_over && entry.recovery_enabled => {
            let decision = Decision::Recovery {
                id: recovery_id,
                entry: recovery.clone(),
                reason: Reason::FailOver { failures: verdict.failures },
            };
            decided(decision, known.recovering(), verdict)
        }
        _ => {
            let decision = Decision::Windows { id, entry: entry.clone() };
            decided(decision, known.starting(verdict), verdict)
        }
    }
}

#[cfg(test)]
mod tests {
    use winfmt::Guid;

    use super::{Configuration, Decision, Entry, Reason, decide};
    use crate::bootmgr::{BootRecord, Status};

    const WINDOWS: Guid = Guid::from_bytes([1; 16]);
    const RECOVERY: Guid = Guid::from_bytes([2; 16]);

    fn configuration() -> Configuration {
        let windows =
            Entry { recovery_sequence: vec![RECOVERY], recovery_enabled: true, ..Entry::default() };
        let recovery = Entry {
            ramdisk: Some((None, "\\Recovery\\WindowsRE\\Winre.wim".into())),
            ..Entry::default()
        };
        Configuration {
            default: Some(WINDOWS),
            entries: [(WINDOWS, windows), (RECOVERY, recovery)].into(),
            ..Configuration::default()
        }
    }

    #[test]
    fn crash_while_up_then_crash_at_start_leads_to_recovery_and_back() {
        let configuration = configuration();
        let mut record = BootRecord::default();
        let mut course = Vec::new();
        // Good start, crash; failed start; recovery (does not help); two failed starts; recovery.
        for good in [true, false, false, false, false, false, false] {
            let decided = decide(&configuration, Some(record));
            record = decided.record;
            course.push(match decided.decision {
                Decision::Windows { .. } => 'w',
                Decision::Recovery { reason: Reason::FailOver { failures: 2 }, .. } => 'r',
                other => panic!("{other:?}"),
            });
            if good {
                record = record.good();
            }
        }
        assert_eq!(course, ['w', 'w', 'r', 'w', 'w', 'r', 'w']);
    }

    #[test]
    fn recovery_that_is_switched_off_is_not_started() {
        let mut configuration = configuration();
        if let Some(entry) = configuration.entries.get_mut(&WINDOWS) {
            entry.recovery_enabled = false;
        }
        let mut record = BootRecord::default();
        for _ in 0..5 {
            let decided = decide(&configuration, Some(record));
            assert!(matches!(decided.decision, Decision::Windows { .. }));
            record = decided.record;
        }
    }

    #[test]
    fn a_one_shot_order_is_used_once() {
        let mut configuration = configuration();
        configuration.boot_sequence = vec![RECOVERY];
        let decided = decide(&configuration, Some(BootRecord::default()));
        assert!(decided.consumed_boot_sequence);
        assert!(matches!(decided.decision, Decision::Recovery { reason: Reason::Asked, .. }));
    }

    #[test]
    fn without_a_boot_status_there_is_no_fail_over() {
        let configuration = configuration();
        for _ in 0..5 {
            let decided = decide(&configuration, None);
            assert!(matches!(decided.decision, Decision::Windows { .. }));
        }
    }

    #[test]
    fn a_store_without_a_loader_stops() {
        let decided = decide(&Configuration::default(), Some(BootRecord::default()));
        match decided.decision {
            Decision::Stop(error) => assert_eq!(error.status, Status::NO_VALID_OS_ENTRY),
            other => panic!("{other:?}"),
        }
    }
}

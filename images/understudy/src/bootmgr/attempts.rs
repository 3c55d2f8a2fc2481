//! Counting starts that failed, and what follows from the count. Pure: no disk, no clock.
//!
//! windows-facts.md 3.1: Windows fails over to its recovery environment after two consecutive failed
//! starts, or two consecutive unexpected shutdowns within two minutes of a finished start. One crash
//! alone is not enough; a crash and a failed start are. The loader sets a status at each start,
//! Windows clears it when the start is good.

/// How the start before this one ended, as far as the boot status tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastStart {
    /// Nothing is known: the first start ever, or the recovery environment ran in between.
    None,
    /// Windows was shut down in order.
    Shutdown,
    /// It never said that it was good.
    Failed,
    /// It was good, and died without a shutdown within two minutes.
    DiedEarly,
    /// It was good, and died without a shutdown later than that.
    DiedLate,
}

/// What the boot status file keeps from start to start. The names are those of `RTL_BSD_DATA`
/// (windows-facts.md 3.2); which of them Windows counts with is not documented, so the use made of
/// them here is the model's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BootRecord {
    /// `LastBootId`: number of the latest start of Windows; 0 before the first.
    pub last_boot_id: u32,
    /// `LastBootSucceeded`: the start was good.
    pub succeeded: bool,
    /// `LastBootShutdown`: it was shut down in order.
    pub shutdown: bool,
    /// `LastBootCheckpoint`: it was up for two minutes after it was good.
    pub checkpoint: bool,
    /// `BootAttemptCount`: failed starts and early deaths in a row, before the latest start.
    pub attempts: u8,
    /// `LastSuccessfulShutdownBootId`.
    pub shutdown_boot_id: u32,
    /// `LastReportedAbnormalShutdownBootId`.
    pub abnormal_boot_id: u32,
}

/// `bootstatuspolicy` (windows-facts.md 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    ignore_shutdown: bool,
    ignore_boot: bool,
    ignore_checkpoint: bool,
}

impl Policy {
    /// From the number in the BCD; absent is 0, `DisplayAllFailures`. The pairs 5 to 7 display only
    /// one kind of failure.
    pub fn from_element(number: Option<u64>) -> Self {
        let ignoring = |ignore_shutdown, ignore_boot, ignore_checkpoint| Self {
            ignore_shutdown,
            ignore_boot,
            ignore_checkpoint,
        };
        match number.unwrap_or(0) {
            1 => ignoring(true, true, true),
            2 => ignoring(true, false, false),
            3 => ignoring(false, true, false),
            4 => ignoring(false, false, true),
            5 => ignoring(false, true, true),
            6 => ignoring(true, false, true),
            7 => ignoring(true, true, false),
            _ => ignoring(false, false, false),
        }
    }
}

/// Two in a row.
const ENOUGH: u8 = 2;

/// What the boot manager makes of the record before it starts anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How the last start ended.
    pub last: LastStart,
    /// Failures in a row that count.
    pub failures: u8,
    /// True: go to the recovery sequence.
    pub fail_over: bool,
}

impl BootRecord {
    /// How the latest start ended.
    pub fn last_start(&self) -> LastStart {
        if self.last_boot_id == 0 {
            LastStart::None
        } else if self.shutdown {
            LastStart::Shutdown
        } else if !self.succeeded {
            LastStart::Failed
        } else if self.checkpoint {
            LastStart::DiedLate
        } else {
            LastStart::DiedEarly
        }
    }

    /// Judges the latest start.
    pub fn judge(&self, policy: Policy) -> Verdict {
        let last = self.last_start();
        // The start before the latest died late, which counts only together with a failed start.
        let late_before = self.attempts == 0
            && self.last_boot_id > 1
            && self.abnormal_boot_id == self.last_boot_id - 1;
        let failures = match last {
            LastStart::None | LastStart::Shutdown => 0,
            LastStart::DiedLate => 0,
            LastStart::DiedEarly if policy.ignore_shutdown || policy.ignore_checkpoint => 0,
            LastStart::DiedEarly => self.attempts.saturating_add(1),
            LastStart::Failed if policy.ignore_boot => 0,
            LastStart::Failed => {
                let crash = u8::from(late_before && !policy.ignore_shutdown);
                self.attempts.saturating_add(1).saturating_add(crash)
            }
        };
        Verdict { last, failures, fail_over: failures >= ENOUGH }
    }

    /// The record that is written before Windows is started.
    pub fn starting(&self, verdict: Verdict) -> Self {
        let abnormal =
            matches!(verdict.last, LastStart::Failed | LastStart::DiedEarly | LastStart::DiedLate);
        Self {
            last_boot_id: self.last_boot_id.wrapping_add(1).max(1),
            succeeded: false,
            shutdown: false,
            checkpoint: false,
            attempts: verdict.failures,
            shutdown_boot_id: if verdict.last == LastStart::Shutdown {
                self.last_boot_id
            } else {
                self.shutdown_boot_id
            },
            abnormal_boot_id: if abnormal { self.last_boot_id } else { self.abnormal_boot_id },
        }
    }

    /// The record that is written before the recovery environment is started: after it, Windows gets
    /// two starts again.
    pub fn recovering(&self) -> Self {
        Self { succeeded: true, shutdown: true, checkpoint: true, attempts: 0, ..*self }
    }

    /// Windows says that the start is good.
    pub fn good(&self) -> Self {
        Self { succeeded: true, ..*self }
    }

    /// Two minutes after that.
    pub fn settled(&self) -> Self {
        Self { checkpoint: true, attempts: 0, ..*self }
    }

    /// Windows is being shut down in order.
    pub fn shut_down(&self) -> Self {
        Self { shutdown: true, attempts: 0, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::{BootRecord, LastStart, Policy};

    /// Starts Windows once and returns the record, or the recovery environment (`None`).
    fn start(record: BootRecord, policy: Policy) -> Option<BootRecord> {
        let verdict = record.judge(policy);
        (!verdict.fail_over).then(|| record.starting(verdict))
    }

    fn shut_down() -> BootRecord {
        BootRecord { last_boot_id: 3, ..BootRecord::default() }.good().settled().shut_down()
    }

    #[test]
    fn two_failed_starts_lead_to_recovery() {
        let first = start(shut_down(), Policy::default()).expect("starts");
        let second = start(first, Policy::default()).expect("one failure is not enough");
        assert_eq!(second.attempts, 1);
        assert_eq!(start(second, Policy::default()), None);
    }

    #[test]
    fn a_crash_and_a_failed_start_are_enough_at_any_time_of_the_crash() {
        for late in [false, true] {
            let mut up = start(shut_down(), Policy::default()).expect("starts").good();
            if late {
                up = up.settled();
            }
            let failed = start(up, Policy::default()).expect("one crash is not enough");
            assert_eq!(start(failed, Policy::default()), None, "late: {late}");
        }
    }

    #[test]
    fn two_deaths_count_only_within_two_minutes() {
        let up = start(shut_down(), Policy::default()).expect("starts").good();
        let again = start(up, Policy::default()).expect("one is not enough").good();
        assert_eq!(start(again, Policy::default()), None);

        let mut record = shut_down();
        for _ in 0..5 {
            record = start(record, Policy::default()).expect("late deaths never count").good();
            record = record.settled();
        }
        assert_eq!(record.last_start(), LastStart::DiedLate);
    }

    #[test]
    fn a_late_death_forgives_what_was_before_it() {
        let failed = start(shut_down(), Policy::default()).expect("starts");
        let up = start(failed, Policy::default()).expect("starts").good().settled();
        let early = start(up, Policy::default()).expect("starts").good();
        let next = start(early, Policy::default());
        assert_eq!(next.map(|record| record.attempts), Some(1));
    }

    #[test]
    fn an_orderly_shutdown_clears_the_count() {
        let failed = start(shut_down(), Policy::default()).expect("starts");
        let good = start(failed, Policy::default()).expect("starts").good().shut_down();
        let next = start(good, Policy::default()).expect("starts");
        assert_eq!(next.attempts, 0);
        assert!(start(next, Policy::default()).is_some());
    }

    #[test]
    fn after_recovery_windows_gets_two_starts_again() {
        let mut record = shut_down();
        for _ in 0..2 {
            record = start(record, Policy::default()).expect("starts");
        }
        assert!(record.judge(Policy::default()).fail_over);
        let mut record = record.recovering();
        for _ in 0..2 {
            record = start(record, Policy::default()).expect("two starts again");
        }
        assert!(record.judge(Policy::default()).fail_over);
    }

    #[test]
    fn the_first_start_ever_is_no_failure() {
        let verdict = BootRecord::default().judge(Policy::default());
        assert_eq!((verdict.last, verdict.failures), (LastStart::None, 0));
    }

    #[test]
    fn the_policy_ignores_what_it_says() {
        let ignore_all = Policy::from_element(Some(1));
        let mut record = shut_down();
        for _ in 0..9 {
            record = start(record, ignore_all).expect("never recovery");
        }
        let ignore_boot = Policy::from_element(Some(3));
        let mut record = shut_down();
        for _ in 0..9 {
            record = start(record, ignore_boot).expect("failed starts are ignored");
        }
        let display_boot = Policy::from_element(Some(6));
        let mut record = shut_down();
        for _ in 0..9 {
            record = start(record, display_boot).expect("early deaths are ignored").good();
        }
    }
}

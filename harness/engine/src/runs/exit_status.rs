//! What a run means, as an exit code.

use report::Comparison;
use timeline::Derived;

use crate::cleanup::Cleaned;

/// What a run means for a pipeline. The numbers are the exit codes of the command, and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// 0: as expected.
    AsExpected = 0,
    /// 1: the outcome differs from its reference, or an expectation was not met.
    Differs = 1,
    /// 2: usage, scenario or image error: nothing was run.
    Usage = 2,
    /// 3: the harness or the host failed, or the command was interrupted; says nothing about the product.
    Infrastructure = 3,
    /// 4: something that a run made was left behind.
    Leaked = 4,
}

impl ExitStatus {
    /// The one with this number. A number that is none of them is the worst: nobody knows what happened.
    pub const fn of_code(code: u8) -> Self {
        match code {
            0 => Self::AsExpected,
            1 => Self::Differs,
            2 => Self::Usage,
            3 => Self::Infrastructure,
            _ => Self::Leaked,
        }
    }

    pub(crate) fn of(derived: &Derived, comparison: &Comparison, cleaned: &Cleaned) -> Self {
        let as_expected = derived.timeline.expectation.met && comparison.is_same();
        if !cleaned.leaked.is_empty() {
            Self::Leaked
        } else if derived.outcome.verdict == timeline::Verdict::Infrastructure {
            Self::Infrastructure
        } else if as_expected {
            Self::AsExpected
        } else {
            Self::Differs
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::cleanup::{Entry, Leak};

    const RECORDED: &str =
        include_str!("../../../timeline/tests/fixtures/recorded-channel-file-291.jsonl");

    fn recovered() -> Derived {
        timeline::derive(&timeline::read_events(RECORDED).unwrap().events)
    }

    fn same() -> Comparison {
        Comparison::Same { reference: PathBuf::from("x.snap") }
    }

    #[test]
    fn the_worst_thing_that_happened_decides_the_exit_code() {
        let (clean, same) = (Cleaned::default(), same());
        let leaked = Cleaned {
            removed: Vec::new(),
            leaked: vec![Leak {
                entry: Entry::File { path: PathBuf::from("overlay") },
                reason: "busy".to_owned(),
            }],
        };
        let broken = timeline::derive(&[]);
        let of = ExitStatus::of;
        assert_eq!(of(&recovered(), &same, &clean) as u8, 0);
        let mut unmet = recovered();
        unmet.timeline.expectation.met = false;
        assert_eq!(of(&unmet, &same, &clean) as u8, 1);
        let missing = Comparison::NotCompared { reference: PathBuf::from("x.snap") };
        assert_eq!(of(&recovered(), &missing, &clean) as u8, 1);
        assert_eq!(of(&broken, &same, &clean) as u8, 3);
        assert_eq!(of(&broken, &same, &leaked) as u8, 4);
        assert_eq!(of(&recovered(), &same, &leaked) as u8, 4);
    }
}

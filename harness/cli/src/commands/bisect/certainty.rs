//! What runs prove. A run in which the machine breaks proves that this build breaks it. A run in which it does not proves
//! little: the break may only show in some runs. How often a build has to stay clean follows from the share of runs in
//! which the break is taken to show at least, and from the confidence that is asked for.

/// What is taken for granted, and what is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Certainty {
    /// The least share of runs of what breaks in which it shows. 1: in each.
    pub(super) rate: f64,
    /// The chance that what is told is right, at least.
    pub(super) confidence: f64,
}

/// More clean runs than this nobody waits for.
pub(super) const MOST_RUNS: u32 = 1000;

impl Certainty {
    /// How many clean runs make an answer, where what is told rests on as many as `answers` clean answers. Any of them may
    /// be the wrong one, so each may be wrong with its part of the doubt only.
    pub(super) fn clean_runs(self, answers: usize) -> u32 {
        if self.rate >= 1.0 {
            return 1;
        }
        let doubt = (1.0 - self.confidence) / answers.max(1) as f64;
        let runs = (doubt.ln() / (1.0 - self.rate).ln()).ceil();
        if runs.is_finite() { (runs as u32).clamp(1, MOST_RUNS) } else { MOST_RUNS }
    }

    /// The chance that no clean answer is wrong, at least: `clean` has how often each of them was run.
    pub(super) fn reached(self, clean: &[u32]) -> f64 {
        let doubt: f64 = clean.iter().map(|runs| self.missed(*runs)).sum();
        (1.0 - doubt).max(0.0)
    }

    /// The chance that so many runs are clean although the break is there, at most.
    fn missed(self, runs: u32) -> f64 {
        (1.0 - self.rate).powi(i32::try_from(runs).unwrap_or(i32::MAX))
    }
}

/// The clean answers that what is told about a row of builds rests on, at most: the first build, and one for each halving.
pub(super) fn answers_of_a_row(count: usize) -> usize {
    1 + count.next_power_of_two().ilog2() as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_numbers() {
        let half = Certainty { rate: 0.5, confidence: 0.95 };
        // 1 in 32 is less than 5 %, 1 in 16 is more.
        assert_eq!(half.clean_runs(1), 5);
        assert_eq!(half.clean_runs(4), 7);
        assert!((half.reached(&[5]) - 0.96875).abs() < 1e-9);
        let each = Certainty { rate: 1.0, confidence: 0.95 };
        assert_eq!((each.clean_runs(9), each.reached(&[1, 1])), (1, 1.0));
        assert_eq!(each.reached(&[0]), 0.0);
    }

    proptest! {
        #[test]
        fn so_many_runs_reach_what_was_asked_for_and_one_fewer_does_not(
            rate in 0.05..0.999_f64, confidence in 0.5..0.999_f64, answers in 1_usize..20,
        ) {
            let certainty = Certainty { rate, confidence };
            let runs = certainty.clean_runs(answers);
            prop_assert!(certainty.reached(&vec![runs; answers]) >= confidence - 1e-9);
            if runs > 1 {
                prop_assert!(certainty.reached(&vec![runs - 1; answers]) < confidence + 1e-9);
            }
        }
    }
}

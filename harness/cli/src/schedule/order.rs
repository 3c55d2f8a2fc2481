//! What comes first where there may be no time for everything.

use std::cmp::Reverse;
use std::time::Duration;

/// What is known of a scenario before it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// It is not the one that was last run, or was never run.
    pub(crate) changed: bool,
    /// It failed when it was last run.
    pub(crate) failed: bool,
    /// How long that took.
    pub(crate) took: Option<Duration>,
}

/// The order in which to run: what changed, what failed last, and the rest; of each the longest first, which leaves the
/// short ones to fill what time is left. Where nothing tells two apart, they stay as they are.
pub(crate) fn first_to_last(known: &[Known]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..known.len()).collect();
    order.sort_by_key(|&index| {
        let Known { changed, failed, took } = known[index];
        (!changed, !failed, Reverse(took))
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_then_failed_then_long() {
        let known = |changed, failed, seconds: u64| Known {
            changed,
            failed,
            took: (seconds > 0).then(|| Duration::from_secs(seconds)),
        };
        let all = [
            known(false, false, 5),
            known(false, false, 9),
            known(false, true, 1),
            known(true, false, 0),
            known(false, true, 2),
            known(true, false, 3),
            known(false, false, 5),
        ];
        assert_eq!(first_to_last(&all), [5, 3, 4, 2, 1, 0, 6]);
    }
}

//! What waits to be run, within a budget of wall-clock time.

use std::collections::VecDeque;
use std::time::Duration;

/// Runs that wait, in their order.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: VecDeque<(T, Option<Duration>)>,
    budget: Option<Duration>,
}

impl<T> Queue<T> {
    /// Each with how long it took when it was last run.
    pub(crate) fn new(
        waiting: impl IntoIterator<Item = (T, Option<Duration>)>,
        budget: Option<Duration>,
    ) -> Self {
        Self { waiting: waiting.into_iter().collect(), budget }
    }

    /// The next one to begin after this much time: the first that would end within the budget, as far as is known.
    pub(crate) fn next(&mut self, elapsed: Duration) -> Option<T> {
        let fits = |took: Option<Duration>| {
            self.budget.is_none_or(|budget| {
                elapsed < budget && elapsed.saturating_add(took.unwrap_or_default()) <= budget
            })
        };
        let index = self.waiting.iter().position(|(_, took)| fits(*took))?;
        self.waiting.remove(index).map(|(one, _)| one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn without_a_budget_everything_has_its_turn() {
        let mut queue = Queue::new([("a", None), ("b", Some(seconds(900)))], None);
        assert_eq!(queue.next(seconds(1_000_000)), Some("a"));
        assert_eq!(queue.next(seconds(2_000_000)), Some("b"));
        assert_eq!(queue.next(seconds(3_000_000)), None);
    }

    #[test]
    fn what_would_not_end_in_time_is_left_out_and_shorter_ones_are_not() {
        let waiting = [
            ("long", Some(seconds(50))),
            ("new", None),
            ("longer", Some(seconds(60))),
            ("short", Some(seconds(5))),
        ];
        let mut queue = Queue::new(waiting, Some(seconds(100)));
        assert_eq!(queue.next(seconds(0)), Some("long"));
        assert_eq!(queue.next(seconds(50)), Some("new"), "nobody knows how long it takes");
        assert_eq!(queue.next(seconds(95)), Some("short"));
        assert_eq!(queue.next(seconds(96)), None);
        assert_eq!(queue.next(seconds(97)), None, "and none comes to fit later");
        let mut queue = Queue::new([("new", None)], Some(seconds(10)));
        assert_eq!(queue.next(seconds(10)), None, "the budget is used up");
    }
}

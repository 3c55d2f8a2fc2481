//! A line on which frames take their time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many frames are on their way at once; what comes on top is lost, as in a router's queue.
const FRAMES: usize = 1024;

/// Frames on their way, in the order in which they were sent: none overtakes another, also where the
/// line becomes faster.
#[derive(Debug, Default)]
pub(crate) struct Line {
    on_their_way: VecDeque<(Instant, Vec<u8>)>,
}

impl Line {
    /// True where a frame that is sent now does not arrive at once.
    pub(crate) fn holds(&self, latency: Duration) -> bool {
        !latency.is_zero() || !self.on_their_way.is_empty()
    }

    /// Sends a frame. False: it is lost.
    pub(crate) fn send(&mut self, frame: &[u8], now: Instant, latency: Duration) -> bool {
        if self.on_their_way.len() >= FRAMES {
            return false;
        }
        let before = self.on_their_way.back().map_or(now, |(due, _)| *due);
        self.on_their_way.push_back(((now + latency).max(before), frame.to_vec()));
        true
    }

    /// The next frame that has arrived.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (due, _) = self.on_their_way.front()?;
        if *due > now {
            return None;
        }
        self.on_their_way.pop_front().map(|(_, frame)| frame)
    }

    /// How long until the next one arrives.
    pub(crate) fn delay(&self, now: Instant) -> Option<Duration> {
        self.on_their_way.front().map(|(due, _)| due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_arrive_in_their_order_and_not_too_early(
            sent in prop::collection::vec((0_u64..50, 0_u64..200), 1..60),
        ) {
            let start = Instant::now();
            let mut line = Line::default();
            let (mut now, mut due) = (start, start);
            let mut dues = Vec::new();
            for (index, (pause, latency)) in sent.iter().enumerate() {
                now += Duration::from_millis(*pause);
                let latency = Duration::from_millis(*latency);
                prop_assert!(line.send(&[index as u8], now, latency));
                due = due.max(now + latency);
                dues.push(due);
            }
            for (index, due) in dues.iter().enumerate() {
                prop_assert_eq!(line.arrived(*due - Duration::from_nanos(1)), None);
                prop_assert_eq!(line.arrived(*due), Some(vec![index as u8]));
            }
            prop_assert_eq!(line.delay(due), None);
        }
    }

    #[test]
    fn a_full_line_loses_frames() {
        let now = Instant::now();
        let mut line = Line::default();
        let latency = Duration::from_secs(1);
        let kept = (0..FRAMES + 10).filter(|_| line.send(&[0], now, latency)).count();
        assert_eq!(kept, FRAMES);
    }
}

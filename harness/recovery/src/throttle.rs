//! How much a service answers in a second. Pure: the clock is its caller's.

use std::time::{Duration, Instant};

/// Answers that are left, filled up again as time passes: so many a second, and as many at once after a second in which
/// nobody asked.
#[derive(Debug)]
pub(crate) struct Throttle {
    per_second: f64,
    left: f64,
    since: Instant,
}

impl Throttle {
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, left: per_second, since: now }
    }

    /// One request.
    ///
    /// # Errors
    /// The time after which it may be asked again, where it is not to be answered now.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.per_second);
        self.since = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.left) / self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_many_as_a_second_has_and_then_one_by_one() {
        let begin = Instant::now();
        let mut throttle = Throttle::new(10, begin);
        let at_once = (0..25).filter(|_| throttle.take(begin).is_ok()).count();
        assert_eq!(at_once, 10);
        let wait = throttle.take(begin).expect_err("all are given");
        assert_eq!(wait, Duration::from_millis(100));
        assert!(throttle.take(begin + wait).is_ok());
        assert!(throttle.take(begin + wait).is_err());
    }

    proptest! {
        /// Whoever asks how often: never more than the rate, and what was refused works after the wait.
        #[test]
        fn the_rate_is_kept(per_second in 1_u32..50, gaps in prop::collection::vec(0_u64..300, 1..200)) {
            let begin = Instant::now();
            let (mut throttle, mut now, mut answered) = (Throttle::new(per_second, begin), begin, 0.0);
            for gap in gaps {
                now += Duration::from_millis(gap);
                match throttle.take(now) {
                    Ok(()) => answered += 1.0,
                    Err(wait) => {
                        now += wait + Duration::from_micros(1);
                        prop_assert!(throttle.take(now).is_ok());
                        answered += 1.0;
                    }
                }
            }
            let most = f64::from(per_second) * (now.duration_since(begin).as_secs_f64() + 1.0);
            prop_assert!(answered <= most + 0.001, "{answered} of {most}");
        }
    }
}

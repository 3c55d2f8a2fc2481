//! Time as a machine had it.
//!
//! On a host with more to do than it has processors, an emulator waits for its turn, and its guest stands still
//! meanwhile. That a machine says nothing for so long proves nothing then, nor does it that it stays healthy: what
//! is waited for is counted without the time for which the host kept the emulator waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hypervisor::KeptWaiting;
use tokio::time::Instant;

/// The kernel is asked at most so often.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// See [`MachineClock::has_had`].
const LONGEST: u32 = 4;

/// The clock of a run's machine, whatever emulator it has at the time. Clones are the same clock.
#[derive(Clone, Default)]
pub(crate) struct MachineClock(Arc<Mutex<Followed>>);

#[derive(Default)]
struct Followed {
    /// Tells how long the emulator was kept waiting.
    emulator: Option<Box<dyn FnMut() -> Duration + Send>>,
    /// What the emulators before were kept waiting.
    before: Duration,
    /// When the kernel was asked, and what it said.
    asked: Option<(Instant, Duration)>,
}

impl Followed {
    fn kept_waiting(&mut self) -> Duration {
        let now = Instant::now();
        if let Some((asked, known)) = self.asked
            && now.duration_since(asked) < ASK_AGAIN
        {
            return known;
        }
        let kept =
            self.before + self.emulator.as_mut().map_or(Duration::ZERO, |emulator| emulator());
        self.asked = Some((now, kept));
        kept
    }
}

/// A moment on the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    at: Instant,
    kept_waiting: Duration,
}

impl MachineClock {
    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the machine's emulator is this process; `None`: one of another host, whose time is taken as it is.
    pub(crate) fn follow(&self, emulator: Option<u32>) {
        self.listen_to(emulator.map(|pid| -> Box<dyn FnMut() -> Duration + Send> {
            let mut kept = KeptWaiting::of(pid);
            Box::new(move || kept.total())
        }));
    }

    fn listen_to(&self, emulator: Option<Box<dyn FnMut() -> Duration + Send>>) {
        let mut followed = self.followed();
        followed.asked = None;
        followed.before = followed.kept_waiting();
        followed.emulator = emulator;
        followed.asked = None;
    }

    pub(crate) fn now(&self) -> Moment {
        Moment { at: Instant::now(), kept_waiting: self.followed().kept_waiting() }
    }

    /// How long the machine's emulators were kept waiting until now.
    pub(crate) fn kept_waiting(&self) -> Duration {
        self.followed().kept_waiting()
    }

    /// What is to be said beside a time on this clock; nothing where it is as good as the host's.
    pub(crate) fn told_since(&self, since: Moment) -> String {
        match self.kept_waiting().saturating_sub(since.kept_waiting).as_secs() {
            0 => String::new(),
            seconds => {
                format!(", not counting {seconds} s in which the host gave it no processor")
            }
        }
    }

    /// Waits until the machine has had `span` since then; on the host's clock at most [`LONGEST`] times as long, for
    /// whoever waits wants an answer at last.
    pub(crate) async fn has_had(&self, span: Duration, since: Moment) {
        loop {
            let kept = self.kept_waiting().saturating_sub(since.kept_waiting);
            let kept = kept.min(span.saturating_mul(LONGEST - 1));
            let Some(due) = since.at.checked_add(span).and_then(|due| due.checked_add(kept)) else {
                return std::future::pending().await;
            };
            if due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An emulator that has a processor for half of the time.
    fn half() -> Option<Box<dyn FnMut() -> Duration + Send>> {
        let began = Instant::now();
        Some(Box::new(move || began.elapsed() / 2))
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_is_kept_waiting_has_as_much_longer() {
        let clock = MachineClock::default();
        let minute = Duration::from_secs(60);
        let takes = async |clock: &MachineClock| {
            let began = Instant::now();
            clock.has_had(minute, clock.now()).await;
            began.elapsed().as_secs()
        };
        assert_eq!(takes(&clock).await, 60, "without emulator it is the host's clock");
        clock.listen_to(half());
        assert!((118..=120).contains(&takes(&clock).await));
        let hardly = Instant::now();
        clock.listen_to(Some(Box::new(move || hardly.elapsed() * 99 / 100)));
        assert_eq!(takes(&clock).await, 240, "it ends");
        clock.listen_to(half());
        // What the one before waited is not waited again, and is not forgotten.
        let since = clock.now();
        tokio::time::advance(minute).await;
        clock.listen_to(half());
        let began = Instant::now();
        clock.has_had(minute, since).await;
        assert!((58..=60).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }
}

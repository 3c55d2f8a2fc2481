//! How long the host kept an emulator from running: time in which its guest could do nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// For how long the threads of a process were ready to run and had no processor, as the kernel counts it
/// (`/proc/PID/task/TID/schedstat`, second number; Linux, `Documentation/scheduler/sched-stats.rst`).
#[derive(Debug)]
pub struct KeptWaiting {
    pid: u32,
    /// By thread, as it was read last. One that could not be read once keeps its number.
    threads: BTreeMap<u32, Duration>,
    read: Instant,
    total: Duration,
}

impl KeptWaiting {
    /// Of the process `pid`, from now on.
    pub fn of(pid: u32) -> Self {
        let threads = read(pid).unwrap_or_default();
        Self { pid, threads, read: Instant::now(), total: Duration::ZERO }
    }

    /// How long until now: between each two calls, the time of the thread that waited longest, for the guest's
    /// processors may wait for one another, and never more than went by. Does not grow where the kernel does not
    /// count, or the process is gone.
    pub fn total(&mut self) -> Duration {
        let Some(threads) = read(self.pid) else { return self.total };
        let went_by = std::mem::replace(&mut self.read, Instant::now()).elapsed();
        // The kernel tells of a wait when it is over, and a new thread has waited since it began.
        let grown = |(thread, waited): (&u32, &Duration)| {
            waited.saturating_sub(self.threads.get(thread).copied().unwrap_or_default())
        };
        self.total += threads.iter().map(grown).max().unwrap_or_default().min(went_by);
        self.threads.extend(threads);
        self.total
    }
}

fn read(pid: u32) -> Option<BTreeMap<u32, Duration>> {
    let waited = |folder: &Path| {
        let thread = folder.file_name()?.to_str()?.parse().ok()?;
        let counted = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        let nanoseconds = counted.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some((thread, Duration::from_nanos(nanoseconds)))
    };
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    Some(tasks.flatten().filter_map(|task| waited(&task.path())).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// More threads than processors, all busy: each of them waits for its turn.
    #[test]
    fn a_process_that_gets_no_processor_is_seen_to_wait() {
        let threads = 2 * std::thread::available_parallelism().map_or(1, usize::from) + 2;
        let mut kept = KeptWaiting::of(std::process::id());
        let over = AtomicBool::new(false);
        let enough = Duration::from_millis(20);
        let seen = std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let (began, mut seen) = (Instant::now(), kept.total());
            while seen < enough && began.elapsed() < Duration::from_secs(60) {
                std::thread::yield_now();
                seen = kept.total();
            }
            over.store(true, Ordering::Relaxed);
            seen
        });
        assert!(seen >= enough, "{seen:?}");
        assert!(kept.total() >= seen, "it never shrinks");
    }

    #[test]
    fn a_process_that_is_gone_does_not_wait() {
        let mut child = std::process::Command::new("true").spawn().expect("a process");
        let mut kept = KeptWaiting::of(child.id());
        child.wait().expect("its end");
        kept.total = Duration::from_secs(5);
        assert_eq!(kept.total(), Duration::from_secs(5), "what was counted stays");
    }
}

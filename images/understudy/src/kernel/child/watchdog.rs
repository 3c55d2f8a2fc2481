//! The watchdog over raised IRQL: who stays at IRQL 2 for too long stops the system with 0x133
//! `DPC_WATCHDOG_VIOLATION`.
//!
//! Windows counts clock interrupts: 20 seconds (0x500 ticks of 15.625 ms) for a single DPC, 120 seconds
//! (0x1E00 ticks) for all time at `DISPATCH_LEVEL` or above without a break (bug check reference 0x133).
//! Here a thread of the process looks at its own ticks; both limits are divided by the time scale.

#![expect(unsafe_code, reason = "the clock, and a signal to one thread")]

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::layout::{STACK_SLOT, STACKS};
use super::super::wire::ToHost;
use super::{shared_data, state};

/// Sent to the thread that is to be stopped: its own registers tell who it is.
pub(super) const SIGNAL: libc::c_int = libc::SIGUSR2;
/// `DPC_WATCHDOG_VIOLATION`.
pub(super) const STOP_CODE: u32 = 0x133;

const DISPATCH_LEVEL: u8 = 2;
const THREADS: usize = (STACKS.size / STACK_SLOT) as usize;
const TICK: Duration = Duration::from_millis(100);
/// From when on the rest of the machine stands still. A model's number: on Windows it is so at once,
/// but a driver that holds a spin lock for microseconds need not be told to PID 1.
const TAKEN_AFTER: u64 = 500;
const DPC_LIMIT: u64 = 20_000;
const RAISED_LIMIT: u64 = 120_000;
/// Under a large time scale too: a thread of the model may be kept waiting by the host.
const LEAST_LIMIT: u64 = 1_000;

/// Since when a thread is at raised IRQL, in ms of the monotonic clock, shifted by one; bit 0: in a
/// DPC. Zero: it is not.
static RAISED: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];
/// The threads, for the signal.
static IDS: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure outlives the call; allowed in signal handlers.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    // One more than it is, so that zero means "not raised".
    (time.tv_sec as u64) * 1000 + (time.tv_nsec as u64) / 1_000_000 + 1
}

fn own() -> Option<&'static AtomicU64> {
    RAISED.get(SLOT.get())
}

/// The current thread is the one of this stack slot.
pub(super) fn enter_thread(slot: usize) {
    SLOT.set(slot);
    if let (Some(raised), Some(id)) = (RAISED.get(slot), IDS.get(slot)) {
        raised.store(0, Ordering::Relaxed);
        // SAFETY: asks for the current thread's own id.
        id.store(unsafe { libc::pthread_self() }, Ordering::Release);
    }
}

/// It ends.
pub(super) fn leave_thread() {
    if let Some(raised) = own() {
        raised.store(0, Ordering::Release);
    }
    SLOT.set(usize::MAX);
}

/// Its IRQL changed. Safe in a signal handler.
pub(super) fn irql_changed(before: u8, after: u8) {
    let Some(raised) = own() else { return };
    match (before >= DISPATCH_LEVEL, after >= DISPATCH_LEVEL) {
        (false, true) => raised.store(now() << 1, Ordering::Release),
        (true, false) => raised.store(0, Ordering::Release),
        _ => {}
    }
}

/// It begins a DPC, at IRQL 2.
pub(in super::super) fn begin_dpc() {
    if let Some(raised) = own() {
        raised.store(now() << 1 | 1, Ordering::Release);
    }
}

/// The stop's parameters for a thread that was interrupted by [`SIGNAL`]; `None` if it went on in time.
pub(super) fn violation() -> Option<[u64; 4]> {
    match own()?.load(Ordering::Acquire) {
        0 => None,
        raised => Some(parameters(raised & 1 != 0)),
    }
}

/// Parameters 3 and 4 are addresses of the kernel's own books, which the model has not.
fn parameters(dpc: bool) -> [u64; 4] {
    if dpc { [0, 0x501, 0x500, 0] } else { [1, 0x1E00, 0, 0] }
}

/// How long at raised IRQL, and whether that is too long.
fn judge(raised: u64, now: u64, time_scale: f64) -> (u64, bool) {
    if raised == 0 {
        return (0, false);
    }
    let since = now.saturating_sub(raised >> 1);
    let limit = if raised & 1 != 0 { DPC_LIMIT } else { RAISED_LIMIT };
    let limit = ((limit as f64 / time_scale) as u64).max(LEAST_LIMIT);
    (since, since >= limit)
}

/// Starts watching.
pub(super) fn start(time_scale: f64) -> io::Result<()> {
    std::thread::Builder::new().name("clock".to_owned()).spawn(move || watch(time_scale))?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a clock interrupt: no event tells of a loop")]
fn watch(time_scale: f64) {
    let mut taken = false;
    loop {
        std::thread::sleep(TICK);
        shared_data::refresh();
        let now = now();
        let mut longest = 0;
        for (raised, id) in RAISED.iter().zip(&IDS) {
            let (since, too_long) = judge(raised.load(Ordering::Acquire), now, time_scale);
            longest = longest.max(since);
            if too_long {
                // SAFETY: a thread that is at raised IRQL has not ended; its slot is cleared first.
                unsafe { libc::pthread_kill(id.load(Ordering::Acquire), SIGNAL) };
            }
        }
        if taken != (longest >= TAKEN_AFTER) {
            taken = !taken;
            state().tell(&ToHost::Processor { taken });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{judge, parameters};

    #[test]
    fn a_dpc_has_twenty_seconds_and_a_thread_two_minutes() {
        let since = 5_000_u64;
        assert_eq!(judge(0, 500_000, 1.0), (0, false));
        assert_eq!(judge(since << 1 | 1, since + 19_999, 1.0), (19_999, false));
        assert_eq!(judge(since << 1 | 1, since + 20_000, 1.0), (20_000, true));
        assert!(!judge(since << 1, since + 119_999, 1.0).1);
        assert!(judge(since << 1, since + 120_000, 1.0).1);
        assert!(judge(since << 1, since + 2_000, 60.0).1);
        // However fast the documented times pass, a second is allowed.
        assert!(!judge(since << 1 | 1, since + 999, 100_000.0).1);
        assert_eq!(parameters(true)[..3], [0, 0x501, 0x500]);
    }
}

//! What time it is, for exports and for the page that shows it to everybody.

use std::time::Duration;

/// 100 ns between 1601-01-01 and 1970-01-01.
pub(in super::super) const EPOCH: u64 = 116_444_736_000_000_000;
/// A clock tick (`KeQueryTimeIncrement`), in 100 ns: 15.625 ms.
pub(in super::super) const TICK: u32 = 156_250;
/// The build that the model plays: Windows 11 24H2.
pub(in super::super) const BUILD: u32 = 26_100;

#[expect(unsafe_code, reason = "clock_gettime, which a signal handler may call")]
fn read(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the time to a local.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    // A clock before 1970 counts as 1970.
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), now.tv_nsec.unsigned_abs() as u32)
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos() / 100).unwrap_or(u64::MAX)
}

/// Now, as a FILETIME.
pub(in super::super) fn system_time() -> u64 {
    EPOCH + ticks(read(libc::CLOCK_REALTIME))
}

/// Since the machine started, 100 ns.
pub(in super::super) fn up_time() -> u64 {
    ticks(read(libc::CLOCK_BOOTTIME))
}

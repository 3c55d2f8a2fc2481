//! Which drivers may catch an exception of their own: the model delivers none.
//!
//! A driver that imports `__C_specific_handler` has code that is guarded. On Windows an exception in it, at a level where
//! one can be caught, may go no further than the driver; here it cannot be delivered, so nothing follows for the driver.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::layout;

/// What a driver imports that has guarded code.
pub(super) const HANDLER: &str = "__C_specific_handler";
const MOST: usize = 64;

struct Range {
    base: AtomicU64,
    end: AtomicU64,
}

static GUARDED: [Range; MOST] =
    [const { Range { base: AtomicU64::new(0), end: AtomicU64::new(0) } }; MOST];

/// A driver with guarded code lies here.
pub(super) fn add(base: u64, size: u64) {
    for range in &GUARDED {
        if range.base.compare_exchange(0, base, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            range.end.store(base + size, Ordering::Release);
            return;
        }
    }
}

/// Whether an exception of the code at `instruction` may be caught. What the kernel runs, it runs for any driver. Safe in
/// a signal handler.
pub(super) fn may_catch(instruction: u64) -> bool {
    let driver = layout::DRIVERS.contains(instruction);
    GUARDED.iter().any(|range| {
        let base = range.base.load(Ordering::Acquire);
        let inside = base != 0 && (base..range.end.load(Ordering::Acquire)).contains(&instruction);
        inside || (base != 0 && !driver)
    })
}

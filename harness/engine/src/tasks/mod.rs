//! Work that blocks or that may panic, and what ends all of it before its time.

mod interrupt;
mod jobs;
mod panics;
mod test_panic;

pub use interrupt::{EndsEarly, Interrupt, InterruptRaiser};
pub(crate) use jobs::{Jobs, blocking};
pub(crate) use panics::catch_panic;
pub(crate) use test_panic::panic_at;

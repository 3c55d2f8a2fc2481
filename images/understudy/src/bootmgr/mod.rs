//! The boot manager: reads the boot configuration and the boot status, and decides what is started.

mod attempts;
mod decide;
mod error;
mod run;
mod status;
mod store;

pub use attempts::{BootRecord, LastStart, Policy, Verdict};
pub use decide::{Configuration, Decided, Decision, Entry, Reason, decide};
pub use error::{BootError, Status};
pub use run::{Next, STORE, run};
pub use status::StatusFile;

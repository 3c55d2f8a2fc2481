//! What else stands on a disk about why its Windows does not start: dumps, times, install logs, files that are
//! missing. An [`Inspection`](crate::Inspection) says what a disk is; traces say what happened to it.
//!
//! All of it is read, nothing is judged: the crate `diagnosis` does that.

mod core_files;
mod driver_files;
mod dumps;
mod read;
mod registered;
mod setup_log;

pub use core_files::{MissingFile, Twins};
pub use driver_files::{FileTrace, Mention};
pub use dumps::{DumpTrace, StopTrace};
pub use read::{Traces, traces};
pub use registered::{PackageTrace, ServiceTrace};
pub use setup_log::{Install, SetupLog};

//! Drivers, run for real: PE images whose x86-64 code executes on the processor, whose faults become
//! the bug checks that Windows would raise.
//!
//! # Who calls what
//!
//! PID 1 owns storage and the registry. It starts a [`Kernel`]: a forked process in which driver code
//! runs, so that a wild write harms nothing else. [`Kernel::load_driver`] hands an image over; the
//! process maps it, binds its imports to the model's `ntoskrnl.exe` and calls `DriverEntry`. What a
//! driver asks of files and the registry comes back to PID 1 over a line and is answered by the
//! system's [`KernelHost`].
//!
//! When driver code faults, a signal handler on its own stack decides the bug check ([`verdict`]),
//! writes a report and stands still. PID 1 freezes the process and calls the stop handler with a
//! [`StopReport`]; the handler calls [`stop::run`], which shows the stop screen, tells serial line and
//! panic device, writes the dumps, and says whether to restart.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use understudy::kernel::{Driver, Kernel, KernelHost};
//! # fn boot(host: Arc<dyn KernelHost>, image: Vec<u8>) -> anyhow::Result<()> {
//! let kernel = Kernel::start(host, Box::new(|report| eprintln!("stopped: {}", report.name())))?;
//! let outcome = kernel.load_driver(&Driver {
//!     name: "csagent.sys".to_owned(),
//!     path: r"\SystemRoot\System32\drivers\CrowdStrike\csagent.sys".to_owned(),
//!     service_key: r"\Registry\Machine\System\CurrentControlSet\Services\csagent".to_owned(),
//!     image,
//!     check_checksum: false,
//! })?;
//! println!("DriverEntry: {}", outcome.status);
//! # Ok(())
//! # }
//! ```
//!
//! # Addresses
//!
//! See [`layout`]: driver code runs below 2^47, everything shown outside is translated to where
//! Windows would have it.

mod check;
mod child;
pub mod crash_dump;
mod exports;
mod host;
pub mod layout;
pub mod pe;
mod process;
mod record;
mod report;
pub mod screen;
mod status;
pub mod stop;
mod types;
pub mod verdict;
mod wire;

#[cfg(test)]
mod flat;
#[cfg(test)]
mod tests;

pub use check::{MODULES, check_boot_image, check_imports, exported};
pub use host::{
    Change, ChangeAction, Disposition, FileFacts, FileId, KernelHost, NotifyDone, OpenRequest,
    Opened, RegistryValue,
};
pub use process::{Driver, Kernel, LoadError, StartError, StopHandler, read_memory};
pub use report::{
    BugCheck, DriverOutcome, Exception, Lack, MODEL_STOP_CODE, Module, Registers, StopCause,
    StopReport,
};
pub use status::NtStatus;

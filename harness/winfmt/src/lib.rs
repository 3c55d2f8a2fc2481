//! The on-disk formats of Windows that the harness and the understudy share.
//!
//! The harness edits images offline and reads them after a run; the understudy reads the same files
//! when it boots. Both go through this crate, so what one writes the other understands, and the files
//! that Windows itself wrote are the tests that neither drifts. Nothing here does I/O: every format is
//! bytes in, bytes out. Every parser is bounded and takes hostile input.
//!
//! - [`hive`]: registry hives: read, create, edit in place.
//! - [`bcd`]: the boot configuration store, a typed view of a hive.
//! - [`freeldr`]: the boot configuration of ReactOS.
//! - [`bootstat`]: the boot status file and the boot log.
//! - [`bugcheck`]: names and parameters of the stop codes.
//! - [`protector`]: the understudy's stand-in for BitLocker's metadata.
//! - [`recovery_settings`] and [`reagent`]: what Quick Machine Recovery and `reagentc` keep on disk.
//! - [`certificates`]: certificates as the registry's certificate stores hold them.
//! - [`servicing`]: packages and components of updates.
//! - [`variables`]: what UEFI firmware remembers: Secure Boot's databases.
//! - [`imports`]: what a driver or program needs from others.
//! - [`wim`]: the header of a Windows image file.
//! - [`dump`]: kernel crash dumps.
//! - [`escaped`]: how text of a guest is shown.
//! - [`FileTime`], [`Guid`], [`paths`]: the small types that all of these use.

pub mod bcd;
pub mod bootstat;
pub mod bugcheck;
pub mod certificates;
pub mod dump;
pub mod freeldr;
pub mod hive;
pub mod imports;
pub mod paths;
pub mod protector;
pub mod reagent;
pub mod recovery_settings;
pub mod servicing;
pub mod variables;
pub mod wim;

#[cfg(test)]
mod artifacts;
mod bytes;
mod xml;

pub use words::{FileTime, Guid, escaped};
pub use xml::XmlError;

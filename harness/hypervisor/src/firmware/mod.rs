//! The firmware of virtual machines: where it lies, and a copy of it that does not look for a TPM.

mod files;
mod own_code;
mod volume;

pub use files::{FirmwareFiles, firmware_files};
pub use own_code::own_code;

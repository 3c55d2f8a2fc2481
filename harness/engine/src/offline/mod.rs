//! A machine that is off: its files, what is put onto them, and what is undone there.

mod by_hand;
mod machine_files;
mod reversal;
mod staging;
mod windows_disk;

pub use by_hand::stage_for_hand;
pub(crate) use machine_files::{MachineFiles, copy_directory, copy_writable};
pub(crate) use reversal::Reversal;
pub(crate) use staging::{Landed, Staged, noise};
pub(crate) use windows_disk::WindowsDisk;

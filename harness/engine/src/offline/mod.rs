//! A machine that is off: its files, what is put onto them, and what is undone there.

mod before;
mod by_hand;
mod machine_files;
mod page_file;
mod restore_point;
mod reversal;
mod staging;
mod system_folder;
mod system_log;
mod windows_disk;

pub(crate) use before::{Before, find, is_startup_repair_log, noise, repair_sessions};
pub use by_hand::stage_for_hand;
pub(crate) use machine_files::{MachineFiles, copy_directory, copy_writable};
pub(crate) use page_file::{CopyError, DumpInPageFile};
pub(crate) use restore_point::back_to;
pub(crate) use reversal::Reversal;
pub(crate) use staging::{Landed, Staged};
pub(crate) use system_log::entries_since;
pub(crate) use windows_disk::WindowsDisk;

//! Partitions and file systems on any device, for the harness and for the understudy.
//!
//! The harness edits the disks of its machines while they are off; the understudy, which plays
//! Windows inside a machine, reads and writes the same volumes on a kernel without an NTFS driver.
//! Both do it with this crate, so it depends on little and knows nothing of QEMU or of images.
//!
//! Bottom up:
//! - [`BlockDevice`]: bytes at offsets. [`FileDevice`], [`MemoryDevice`], [`SubDevice`] (a
//!   partition), [`SharedDevice`] (one disk with several partitions open), and [`Stream`] to make
//!   `Read + Write + Seek` of one.
//! - [`read_partitions`] and [`create_partitions`]: GUID partition tables.
//! - [`Volume`]: files by path. [`Ntfs`] and [`Fat`] implement it.
//!
//! What is on a device may come from a machine that a fault has hit or that was broken on purpose,
//! so everything read from it is checked and bounded.

mod cache;
mod device;
mod error;
mod fat;
mod fat_time;
mod guid;
mod ntfs;
mod path;
mod table;
mod time;
mod volume;

pub use device::{BlockDevice, FileDevice, MemoryDevice, SharedDevice, Stream, SubDevice};
pub use error::{Operation, Reason, VolumeError};
pub use fat::{Fat, FatFormat, FatKind};
pub use guid::{Guid, NotAGuid};
pub use ntfs::{Check, Ntfs, NtfsFormat};
pub use table::{
    ATTRIBUTE_NO_DRIVE_LETTER, ATTRIBUTE_REQUIRED, BASIC_DATA, EFI_SYSTEM, MICROSOFT_RESERVED,
    Partition, PartitionTable, SECTOR, TableError, WINDOWS_RECOVERY, create_partitions,
    read_partitions,
};
pub use time::FileTime;
pub use volume::{Entry, Kind, MAX_READ, Metadata, Volume};

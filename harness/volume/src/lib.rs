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
//! - [`read_partitions`] and [`create_partitions`]: GUID partition tables, master boot records, and
//!   disks that are one volume.
//! - [`probe`]: which file system lies on a partition, by its first sectors.
//! - [`Volume`]: files by path. [`Ntfs`] and [`Fat`] implement it; [`open`] chooses.
//! - [`WofFile`]: the contents of a file that CompactOS has compressed, for every reader of NTFS.
//! - [`Changes`]: what was changed on a volume opened by [`open_tracked`], for [`check_changes`], which
//!   does not have to read the rest.
//! - [`Guard`]: why a volume must not be written to (hibernated, not let go of cleanly, encrypted),
//!   and the way out. Such volumes are read where they can be, and refuse every change.
//!
//! What is on a device may come from a machine that a fault has hit or that was broken on purpose,
//! so everything read from it is checked and bounded.

mod cache;
mod changes;
mod check;
mod device;
mod error;
mod fat;
mod guard;
mod ntfs;
mod open;
mod path;
mod probe;
mod replayed;
mod staged;
mod table;
mod volume;
mod wof;

pub use changes::Changes;
pub use check::Check;
pub use device::{BlockDevice, FileDevice, MemoryDevice, SharedDevice, Stream, SubDevice};
pub use error::{Operation, Reason, VolumeError};
pub use fat::{Fat, FatFormat, FatKind};
pub use guard::{Guard, GuardKind};
pub use ntfs::{Ntfs, NtfsFormat};
pub use open::{check_changes, open, open_tracked};
pub use probe::{FileSystem, FileSystemKind, probe, probe_boot_sector};
pub use replayed::{Replay, Replayed};
pub use table::{
    ATTRIBUTE_NO_DRIVE_LETTER, ATTRIBUTE_REQUIRED, BASIC_DATA, DiskId, EFI_SYSTEM, LDM_DATA,
    LDM_METADATA, MBR_EXTENDED, MBR_FAT16, MBR_FAT32, MBR_LDM, MBR_NTFS, MBR_PROTECTIVE,
    MBR_RECOVERY, MICROSOFT_RESERVED, Partition, PartitionKind, PartitionTable, SECTOR,
    STORAGE_SPACES, TableError, TableStyle, WINDOWS_RECOVERY, create_partitions, described_len,
    read_partitions, set_partition,
};
pub use volume::{Entry, Kind, MAX_READ, Metadata, Volume};
pub use wof::{WOF_STREAM, WOF_TAG, WofAlgorithm, WofFile, WofSource};
pub use words::{FileTime, Guid};

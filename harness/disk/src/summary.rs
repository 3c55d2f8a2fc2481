//! What is on a disk, one line a partition.

use serde::{Deserialize, Serialize};

/// What a partition is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeRole {
    /// It has a Windows folder with a SYSTEM hive.
    Windows,
    /// The recovery environment's own partition, by its type.
    Recovery,
    /// The EFI system partition.
    Efi,
    /// The active partition of a BIOS disk, where it is not the Windows volume itself: boot manager and
    /// boot configuration.
    Boot,
    /// Microsoft reserved: no file system.
    Reserved,
    /// Anything else.
    Data,
}

/// Why a volume is not written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotWritable {
    /// What stands against it.
    pub reason: String,
    /// What someone can do about it.
    pub way_out: String,
}

/// A partition, and the volume in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSummary {
    /// The partition's number as `fdisk` shows it, from 1; 0 for a disk without partitions.
    pub number: u32,
    /// First byte on the disk.
    pub start: u64,
    /// Size in bytes.
    pub len: u64,
    /// The file system, as people call it: `NTFS`, `FAT32`, `BitLocker`, or `unknown`.
    pub file_system: String,
    /// The volume's label; `None` if it has none or it cannot be read.
    pub label: Option<String>,
    /// What it is there for.
    pub role: VolumeRole,
    /// The Windows folder at its root: `Windows`, `WINNT` or `ReactOS`, as it is spelt there.
    pub system_root: Option<String>,
    /// Why the volume cannot be read; `None` if it can.
    pub unreadable: Option<String>,
    /// Why it is not written to; `None` if it can be written.
    pub not_writable: Option<NotWritable>,
}

//! What is on a disk, one line a partition.

use serde::{Deserialize, Serialize};
use volume::{
    EFI_SYSTEM, FileSystemKind, MICROSOFT_RESERVED, Partition, PartitionKind, TableStyle,
};

use crate::worker::Surveyed;

/// MBR type byte of an EFI system partition (UEFI 2.10, 5.2.2).
const MBR_EFI: u8 = 0xef;

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
    /// No volume: Microsoft reserved, or an extended partition, which holds logical ones.
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
    /// The partition's number as `fdisk` shows it, from 1; 1 for a disk without partitions.
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
    /// Why the volume cannot be read, and what to do; `None` if it can, or if there is none.
    pub unreadable: Option<String>,
    /// Why it is not written to; `None` if it can be written.
    pub not_writable: Option<NotWritable>,
}

/// What libguestfs can do beside us.
const FALLBACK: &str = "or read and write it with the fallback over libguestfs, given its key";
const FALLBACK_DYNAMIC: &str =
    "convert it to a basic disk in Windows, or read and write it with the fallback over libguestfs";

/// File systems that a Windows can be installed on, or that hide one.
const OF_SYSTEMS: [FileSystemKind; 4] = [
    FileSystemKind::Ntfs,
    FileSystemKind::Refs,
    FileSystemKind::BitLocker,
    FileSystemKind::DynamicDisk,
];

impl VolumeSummary {
    /// Whether a Windows may lie on it that is not seen because it cannot be read.
    pub(crate) fn may_hide_a_system(&self) -> bool {
        let is = |kind: &FileSystemKind| kind.to_string() == self.file_system;
        self.unreadable.is_some()
            && matches!(self.role, VolumeRole::Data | VolumeRole::Boot)
            && OF_SYSTEMS.iter().any(is)
    }

    pub(crate) fn new(partition: &Partition, style: TableStyle, seen: Surveyed) -> Self {
        let mut summary = Self {
            number: partition.number,
            start: partition.start,
            len: partition.len,
            file_system: seen.file_system.kind.to_string(),
            label: seen.label,
            role: role(partition, style, seen.system_root.is_some()),
            system_root: seen.system_root,
            unreadable: seen.unreadable,
            not_writable: None,
        };
        if summary.role == VolumeRole::Reserved {
            summary.unreadable = None;
            return summary;
        }
        if partition.kind.is_dynamic()
            && let Some(reason) = summary.unreadable.take()
        {
            summary.unreadable = Some(format!("{reason}; {FALLBACK_DYNAMIC}"));
            summary.not_writable =
                Some(NotWritable { reason, way_out: FALLBACK_DYNAMIC.to_owned() });
        }
        if let Some(guard) = seen.guard {
            let mut way_out = guard.way_out.clone();
            if seen.file_system.kind.is_encrypted() {
                way_out = format!("{way_out}, {FALLBACK}");
            }
            if !guard.is_readable() {
                summary.unreadable = Some(format!("{}; {way_out}", guard.reason));
            }
            summary.not_writable = Some(NotWritable { reason: guard.reason, way_out });
        }
        summary
    }
}

fn role(partition: &Partition, style: TableStyle, windows: bool) -> VolumeRole {
    let kind = partition.kind;
    if kind == EFI_SYSTEM || kind == PartitionKind::Mbr(MBR_EFI) {
        VolumeRole::Efi
    } else if kind == MICROSOFT_RESERVED || kind.is_extended() {
        VolumeRole::Reserved
    } else if kind.is_recovery() {
        VolumeRole::Recovery
    } else if windows {
        VolumeRole::Windows
    } else if partition.active && style == TableStyle::Mbr {
        VolumeRole::Boot
    } else {
        VolumeRole::Data
    }
}

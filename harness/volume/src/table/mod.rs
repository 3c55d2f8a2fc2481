//! Partition tables: how a disk is divided.
//!
//! [`read_partitions`] takes what Windows takes: GUID partition tables (also by their backup), master
//! boot records with their chains of logical partitions, and disks without a table that are one
//! volume. [`create_partitions`] makes the first two.

mod gpt;
mod mbr;

use crate::{BlockDevice, FileSystemKind, Guid, probe};
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

/// Partition type: EFI system partition (UEFI 2.10, table 5.7).
pub const EFI_SYSTEM: Guid = Guid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);
/// Partition type: Microsoft reserved.
pub const MICROSOFT_RESERVED: Guid = Guid::from_u128(0xe3c9e316_0b5c_4db8_817d_f92df00215ae);
/// Partition type: Microsoft basic data, which is what the Windows volume has.
pub const BASIC_DATA: Guid = Guid::from_u128(0xebd0a0a2_b9e5_4433_87c0_68b6b72699c7);
/// Partition type: Windows recovery environment.
pub const WINDOWS_RECOVERY: Guid = Guid::from_u128(0xde94bba4_06d1_4d40_a16a_bfd50179d6ac);
/// Partition type: data of a dynamic disk (Logical Disk Manager).
pub const LDM_DATA: Guid = Guid::from_u128(0xaf9b60a0_1431_4f62_bc68_3311714a69ad);
/// Partition type: the data base of a dynamic disk.
pub const LDM_METADATA: Guid = Guid::from_u128(0x5808c8aa_7e8f_42e0_85d2_e1e90434cfb3);
/// Partition type: a member of a storage pool (Storage Spaces).
pub const STORAGE_SPACES: Guid = Guid::from_u128(0xe75caf8f_f680_4cee_afa3_b001e56efc2d);

/// MBR type byte: NTFS or exFAT.
pub const MBR_NTFS: u8 = 0x07;
/// MBR type byte: FAT32, addressed by sector number.
pub const MBR_FAT32: u8 = 0x0c;
/// MBR type byte: FAT16, addressed by sector number.
pub const MBR_FAT16: u8 = 0x0e;
/// MBR type byte: an extended partition, which holds the logical ones, addressed by sector number.
pub const MBR_EXTENDED: u8 = 0x0f;
/// MBR type byte: the hidden partition of the Windows recovery environment.
pub const MBR_RECOVERY: u8 = 0x27;
/// MBR type byte: a dynamic disk (Logical Disk Manager).
pub const MBR_LDM: u8 = 0x42;
/// MBR type byte: the disk has a GUID partition table.
pub const MBR_PROTECTIVE: u8 = 0xee;

/// Partition attribute of GPT: the platform needs it (bit 0).
pub const ATTRIBUTE_REQUIRED: u64 = 1;
/// Partition attribute of basic data partitions of GPT: no drive letter (bit 63).
pub const ATTRIBUTE_NO_DRIVE_LETTER: u64 = 1 << 63;

/// Bytes of a sector. Disks with other sectors are told and refused.
pub const SECTOR: u64 = 512;
/// Bytes of a sector of a disk that is refused.
const LARGE_SECTOR: u64 = 4096;

/// How a disk is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableStyle {
    /// A GUID partition table (UEFI 2.10, chapter 5).
    Gpt,
    /// A master boot record.
    Mbr,
    /// No table: the whole disk is one volume.
    None,
}

impl std::fmt::Display for TableStyle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            TableStyle::Gpt => "GPT",
            TableStyle::Mbr => "MBR",
            TableStyle::None => "no partition table",
        })
    }
}

/// GUIDs of partition tables are written without braces.
fn plain<S: Serializer>(guid: &Guid, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&guid.without_braces())
}

fn plain_if_any<S: Serializer>(guid: &Option<Guid>, out: S) -> Result<S::Ok, S::Error> {
    guid.map(|guid| guid.without_braces().to_string()).serialize(out)
}

/// What Windows knows a disk by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskId {
    /// Of a GUID partition table.
    Guid(#[serde(serialize_with = "plain")] Guid),
    /// Of a master boot record: the 32 bits at byte 440.
    Signature(u32),
    /// A disk without a table has none.
    None,
}

impl std::fmt::Display for DiskId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DiskId::Guid(guid) => guid.without_braces().fmt(out),
            DiskId::Signature(signature) => write!(out, "{signature:#010x}"),
            DiskId::None => out.write_str("none"),
        }
    }
}

/// What a partition is for, as the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionKind {
    /// Type GUID of GPT, such as [`EFI_SYSTEM`].
    Gpt(#[serde(serialize_with = "plain")] Guid),
    /// Type byte of an MBR, such as [`MBR_NTFS`].
    Mbr(u8),
    /// The whole of a disk without a table.
    Whole,
}

impl From<Guid> for PartitionKind {
    fn from(guid: Guid) -> Self {
        Self::Gpt(guid)
    }
}

impl PartialEq<Guid> for PartitionKind {
    fn eq(&self, guid: &Guid) -> bool {
        matches!(self, PartitionKind::Gpt(own) if own == guid)
    }
}

impl PartitionKind {
    /// True of an extended partition of an MBR: it holds logical partitions, and is no volume.
    pub fn is_extended(self) -> bool {
        matches!(self, PartitionKind::Mbr(0x05 | 0x0f | 0x85))
    }

    /// True of a part of a dynamic disk, whose volumes the table does not tell.
    pub fn is_dynamic(self) -> bool {
        self == LDM_DATA || self == LDM_METADATA || self == PartitionKind::Mbr(MBR_LDM)
    }

    /// True of a partition of the Windows recovery environment.
    pub fn is_recovery(self) -> bool {
        self == WINDOWS_RECOVERY || self == PartitionKind::Mbr(MBR_RECOVERY)
    }
}

impl std::fmt::Display for PartitionKind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match *self {
            PartitionKind::Whole => "whole disk",
            PartitionKind::Gpt(guid) => match guid {
                EFI_SYSTEM => "EFI system",
                MICROSOFT_RESERVED => "Microsoft reserved",
                BASIC_DATA => "basic data",
                WINDOWS_RECOVERY => "Windows recovery",
                LDM_DATA => "dynamic disk data",
                LDM_METADATA => "dynamic disk metadata",
                STORAGE_SPACES => "storage pool member",
                _ => return guid.without_braces().fmt(out),
            },
            PartitionKind::Mbr(kind) => match kind {
                0x01 => "FAT12",
                0x04 | 0x06 | MBR_FAT16 => "FAT16",
                0x05 | MBR_EXTENDED | 0x85 => "extended",
                MBR_NTFS => "NTFS or exFAT",
                0x0b | MBR_FAT32 => "FAT32",
                0x11 | 0x14 | 0x16 | 0x17 | 0x1b | 0x1c | 0x1e => "hidden FAT or NTFS",
                MBR_RECOVERY => "hidden recovery",
                MBR_LDM => "dynamic disk",
                0x82 => "Linux swap",
                0x83 => "Linux",
                MBR_PROTECTIVE => "GPT protective",
                0xef => "EFI system",
                _ => return write!(out, "type {kind:#04x}"),
            },
        };
        out.write_str(name)
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its number, from 1, as `fdisk` and Linux have it: the slot of the table; logical partitions
    /// of an MBR from 5; 1 for a disk without a table.
    pub number: u32,
    /// What it is for.
    pub kind: PartitionKind,
    /// Its own identifier. Only GPT has one: Windows knows a partition of an MBR by the disk's
    /// signature and its first byte.
    #[serde(serialize_with = "plain_if_any")]
    pub id: Option<Guid>,
    /// First byte on the disk.
    pub start: u64,
    /// Size in bytes.
    pub len: u64,
    /// Attribute bits of GPT, such as [`ATTRIBUTE_REQUIRED`].
    pub attributes: u64,
    /// True of the partition of an MBR that the BIOS starts.
    pub active: bool,
    /// Name, at most 36 UTF-16 units; only GPT has one.
    pub name: String,
}

impl Partition {
    /// A partition for a GUID partition table, without attributes. It gets its number from
    /// [`PartitionTable::gpt`].
    pub fn gpt(kind: Guid, id: Guid, start: u64, len: u64, name: &str) -> Self {
        Self { id: Some(id), name: name.to_owned(), ..Self::mbr(0, kind.into(), start, len) }
    }

    /// A partition of an MBR, not active.
    pub fn mbr(number: u32, kind: PartitionKind, start: u64, len: u64) -> Self {
        let name = String::new();
        Self { number, kind, id: None, start, len, attributes: 0, active: false, name }
    }
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionTable {
    /// How the disk is divided.
    pub style: TableStyle,
    /// The disk's own identifier.
    pub disk: DiskId,
    /// The partitions in table order; logical ones last.
    pub partitions: Vec<Partition>,
    /// What was wrong or odd, and what was done about it: a damaged primary table, a hybrid MBR,
    /// a partition that was left out because it reaches beyond the disk.
    pub notes: Vec<String>,
}

impl PartitionTable {
    /// A GUID partition table of these partitions, numbered from 1.
    pub fn gpt(disk: Guid, mut partitions: Vec<Partition>) -> Self {
        for (number, partition) in (1..).zip(&mut partitions) {
            partition.number = number;
        }
        Self { style: TableStyle::Gpt, disk: DiskId::Guid(disk), partitions, notes: Vec::new() }
    }

    /// A master boot record of these partitions, which have their numbers: 1 to 4 are its slots,
    /// and those from 5 lie in the extended partition.
    pub fn mbr(signature: u32, partitions: Vec<Partition>) -> Self {
        let disk = DiskId::Signature(signature);
        Self { style: TableStyle::Mbr, disk, partitions, notes: Vec::new() }
    }

    /// The partition with this number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.number == number)
    }
}

/// A partition table cannot be read or made.
#[derive(Debug, Error)]
pub enum TableError {
    /// There is neither a table nor a volume.
    #[error(
        "the disk has no partition table and is not a volume: {0}; check that it is the disk of a \
         machine, and not empty or encrypted as a whole"
    )]
    Nothing(String),
    /// Neither copy of a GUID partition table is valid.
    #[error("the GUID partition table is damaged: {0}; repair it with gdisk, or use another disk")]
    Invalid(String),
    /// A disk of another kind.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// A partition does not fit.
    #[error("partition {number} cannot lie at byte {start} with {len} bytes: {reason}")]
    BadPartition {
        /// Its number.
        number: u32,
        /// Its first byte.
        start: u64,
        /// Its size in bytes.
        len: u64,
        /// What is wrong with that.
        reason: &'static str,
    },
    /// The device failed.
    #[error("the disk cannot be read or written: {0}")]
    Device(#[from] std::io::Error),
}

/// Reads how a disk is divided.
///
/// A disk is taken as Windows takes it: with an entry of type 0xEE in its MBR it has a GUID
/// partition table (also if the MBR has other entries: a hybrid, which is noted); with any other
/// entries it has an MBR; with a boot sector of a file system at byte 0 it is one volume. What is
/// odd and can be got over is told in [`PartitionTable::notes`].
///
/// # Errors
/// [`TableError::Nothing`], [`TableError::Invalid`] where both copies of a GUID partition table are
/// damaged, [`TableError::Unsupported`] for disks with sectors of 4096 bytes.
pub fn read_partitions(device: &mut dyn BlockDevice) -> Result<PartitionTable, TableError> {
    if device.len() < SECTOR {
        return Err(TableError::Nothing("it is smaller than a sector".to_owned()));
    }
    let mut boot = [0; SECTOR as usize];
    device.read_at(0, &mut boot)?;
    let record = mbr::Record::parse(&boot);
    let file_system = probe(device);
    let volume = file_system.kind != FileSystemKind::Unknown;
    let plausible = record.as_ref().is_some_and(|record| record.is_plausible(device.len()));
    let empty = record.as_ref().is_none_or(mbr::Record::is_empty);
    // The code of a boot sector lies where a table would; what is read as entries makes no sense.
    if volume && !plausible {
        return Ok(whole(device.len()));
    }
    let protective = record.as_ref().is_some_and(mbr::Record::has_protective);
    if protective || empty {
        match gpt::read(device) {
            Ok(mut table) => {
                if !protective {
                    let note =
                        "the protective MBR is missing; Windows would take the disk as empty";
                    table.notes.push(note.to_owned());
                }
                let hybrid = record.as_ref().filter(|record| record.is_hybrid());
                table.notes.extend(hybrid.map(mbr::Record::hybrid_note));
                return Ok(table);
            }
            Err(gpt::ReadError::Device(source)) => return Err(TableError::Device(source)),
            Err(gpt::ReadError::LargeSectors) => return Err(large_sectors()),
            Err(gpt::ReadError::Damaged(what)) => return Err(TableError::Invalid(what)),
            Err(gpt::ReadError::Absent) if protective => {
                return Err(TableError::Invalid(
                    "its MBR announces one, and there is no header at either end".to_owned(),
                ));
            }
            Err(gpt::ReadError::Absent) => {}
        }
    }
    match record {
        // A FAT boot sector may carry no code: zeros, as of an empty table.
        Some(record) if record.is_empty() && volume => Ok(whole(device.len())),
        Some(record) if has_large_sectors(device, &record)? => Err(large_sectors()),
        Some(record) => Ok(mbr::read(device, &record)?),
        None => Err(TableError::Nothing(format!(
            "sector 0 has no signature, and {}",
            file_system.evidence
        ))),
    }
}

/// No tool changes the sectors of a disk with what is on it: its volumes have the same size of sectors.
fn large_sectors() -> TableError {
    TableError::Unsupported(
        "the disk has sectors of 4096 bytes; apply its Windows to a disk with sectors of 512 bytes (`dism \
         /Capture-Image /ImageFile:W.wim /CaptureDir:C:\\ /Name:W`, then `dism /Apply-Image`)"
            .to_owned(),
    )
}

/// Whether an MBR counts in sectors of 4096 bytes: no partition begins where it would with 512, and one does with 4096,
/// with a boot sector that says so.
fn has_large_sectors(device: &mut dyn BlockDevice, record: &mbr::Record) -> std::io::Result<bool> {
    let mut large = false;
    for first in record.first_sectors() {
        let mut boot = [0; SECTOR as usize];
        for size in [SECTOR, LARGE_SECTOR] {
            let start = u64::from(first) * size;
            if start + SECTOR > device.len() {
                continue;
            }
            device.read_at(start, &mut boot)?;
            let own = u64::from(u16::from_le_bytes([boot[0x0b], boot[0x0c]]));
            match crate::probe_boot_sector(&boot) {
                Some(_) if size == SECTOR => return Ok(false),
                Some(_) if own == LARGE_SECTOR => large = true,
                _ => {}
            }
        }
    }
    Ok(large)
}

/// How long a disk is by what its partition table says, in bytes: up to the end of its last partition, and of the
/// table's own copy. Zero where it says nothing of it. A disk that has less was cut off.
///
/// # Errors
/// The device failed.
pub fn described_len(device: &mut dyn BlockDevice) -> std::io::Result<u64> {
    let mut boot = [0; SECTOR as usize];
    if device.len() < SECTOR {
        return Ok(0);
    }
    device.read_at(0, &mut boot)?;
    let Some(record) = mbr::Record::parse(&boot) else { return Ok(0) };
    if record.has_protective() {
        return gpt::described_len(device);
    }
    // The code of a boot sector lies where a table would.
    match crate::probe_boot_sector(&boot) {
        Some(_) => Ok(0),
        None => Ok(record.described_len()),
    }
}

/// The table of a disk without a table.
fn whole(len: u64) -> PartitionTable {
    PartitionTable {
        style: TableStyle::None,
        disk: DiskId::None,
        partitions: vec![Partition::mbr(1, PartitionKind::Whole, 0, len)],
        notes: Vec::new(),
    }
}

/// Writes a partition table onto a disk. The same table gives the same bytes. Partitions must be
/// aligned to sectors and must not overlap.
///
/// GPT: a protective MBR, the table, and its backup; partitions take slots in the order in which
/// they are given. MBR: boot code that is there stays; logical partitions need a sector in front of
/// them for their own record.
///
/// # Errors
/// [`TableError::BadPartition`] for a layout that cannot be, [`TableError::Unsupported`] for
/// [`TableStyle::None`].
pub fn create_partitions(
    device: &mut dyn BlockDevice,
    table: &PartitionTable,
) -> Result<(), TableError> {
    match (table.style, table.disk) {
        (TableStyle::Gpt, DiskId::Guid(disk)) => gpt::create(device, disk, &table.partitions),
        (TableStyle::Mbr, DiskId::Signature(signature)) => {
            mbr::create(device, signature, &table.partitions)
        }
        (style, disk) => Err(TableError::Unsupported(format!(
            "writing a table of the style '{style}' with the disk id '{disk}'"
        ))),
    }
}

/// Puts a partition into a slot of a GUID partition table, in both copies, or clears the slot; every other
/// byte of the table stays. What lies on the disk is not looked at.
///
/// # Errors
/// [`TableError::Unsupported`] for a disk without both copies of such a table, and for a slot that it does
/// not have.
pub fn set_partition(
    device: &mut dyn BlockDevice,
    number: u32,
    partition: Option<&Partition>,
) -> Result<(), TableError> {
    gpt::set_partition(device, number, partition)
}

fn bad(partition: &Partition, reason: &'static str) -> TableError {
    let &Partition { number, start, len, .. } = partition;
    TableError::BadPartition { number, start, len, reason }
}

/// What is wrong with the place of a partition, whatever the table: sectors, size, neighbour.
fn check_place(partition: &Partition, free_from: u64) -> Result<(), TableError> {
    if !partition.start.is_multiple_of(SECTOR) || !partition.len.is_multiple_of(SECTOR) {
        return Err(bad(partition, "it is not aligned to sectors of 512 bytes"));
    }
    if partition.len == 0 {
        return Err(bad(partition, "it is empty"));
    }
    if partition.start < free_from {
        return Err(bad(partition, "it overlaps the partition or table before it"));
    }
    Ok(())
}

//! GUID partition tables.

use crate::{BlockDevice, Guid, Stream};
use gpt::disk::LogicalBlockSize;
use gpt::partition_types::{OperatingSystem, Type};
use std::collections::BTreeMap;
use thiserror::Error;

/// Partition type: EFI system partition (UEFI 2.10, table 5.7).
pub const EFI_SYSTEM: Guid = Guid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);
/// Partition type: Microsoft reserved.
pub const MICROSOFT_RESERVED: Guid = Guid::from_u128(0xe3c9e316_0b5c_4db8_817d_f92df00215ae);
/// Partition type: Microsoft basic data, which is what the Windows volume has.
pub const BASIC_DATA: Guid = Guid::from_u128(0xebd0a0a2_b9e5_4433_87c0_68b6b72699c7);
/// Partition type: Windows recovery environment.
pub const WINDOWS_RECOVERY: Guid = Guid::from_u128(0xde94bba4_06d1_4d40_a16a_bfd50179d6ac);

/// Partition attribute: the platform needs it (bit 0).
pub const ATTRIBUTE_REQUIRED: u64 = 1;
/// Partition attribute of basic data partitions: no drive letter (bit 63).
pub const ATTRIBUTE_NO_DRIVE_LETTER: u64 = 1 << 63;

/// Bytes of a sector. Disks with other sectors are not supported.
pub const SECTOR: u64 = 512;

/// Most entries of a partition table that is read. Windows makes 128.
const MAX_ENTRIES: u32 = 1024;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// What it is for, such as [`EFI_SYSTEM`].
    pub kind: Guid,
    /// Its own identifier.
    pub id: Guid,
    /// First byte on the disk.
    pub start: u64,
    /// Size in bytes.
    pub len: u64,
    /// Attribute bits.
    pub attributes: u64,
    /// Name, at most 36 UTF-16 units.
    pub name: String,
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// The disk's own identifier.
    pub disk: Guid,
    /// The partitions in table order.
    pub partitions: Vec<Partition>,
}

/// A partition table cannot be read or made.
#[derive(Debug, Error)]
pub enum TableError {
    /// Neither copy of the table is valid.
    #[error("the disk has no valid GUID partition table: {0}")]
    Invalid(String),
    /// A partition does not fit.
    #[error("partition '{name}' cannot lie at byte {start} with {len} bytes: {reason}")]
    BadPartition {
        /// Its name.
        name: String,
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

/// Partition tables are read with a check that a damaged one does not make the reader allocate
/// without bound; `gpt` itself trusts the number of entries.
fn check_header(device: &mut dyn BlockDevice, sector: u64) -> Result<(), String> {
    let mut header = [0; SECTOR as usize];
    let offset = sector.checked_mul(SECTOR).ok_or("the disk is too small")?;
    device.read_at(offset, &mut header).map_err(|error| error.to_string())?;
    if &header[..8] != b"EFI PART" {
        return Err("its header has no signature".to_owned());
    }
    let entries = u32::from_le_bytes([header[80], header[81], header[82], header[83]]);
    let size = u32::from_le_bytes([header[84], header[85], header[86], header[87]]);
    if entries > MAX_ENTRIES || size != 128 {
        return Err(format!("it has {entries} entries of {size} bytes"));
    }
    Ok(())
}

/// Reads the partition table of a disk, from its backup where the first copy is damaged.
pub fn read_partitions(device: &mut dyn BlockDevice) -> Result<PartitionTable, TableError> {
    let last = (device.len() / SECTOR).saturating_sub(1);
    if let Err(reason) = check_header(device, 1) {
        check_header(device, last).map_err(|_| TableError::Invalid(reason))?;
    }
    let size = device.len();
    let disk = gpt::GptConfig::new()
        .writable(false)
        .logical_block_size(LogicalBlockSize::Lb512)
        .open_from_device(Stream::new(device))
        .map_err(|error| TableError::Invalid(error.to_string()))?;
    let mut partitions = Vec::new();
    for entry in disk.partitions().values().filter(|entry| entry.is_used()) {
        let partition = Partition {
            kind: from_uuid(&entry.part_type_guid.guid)?,
            id: from_uuid(&entry.part_guid)?,
            start: entry.first_lba.saturating_mul(SECTOR),
            len: entry
                .last_lba
                .checked_add(1)
                .and_then(|end| end.checked_sub(entry.first_lba))
                .and_then(|sectors| sectors.checked_mul(SECTOR))
                .unwrap_or(u64::MAX),
            attributes: entry.flags,
            name: entry.name.clone(),
        };
        if partition.start.checked_add(partition.len).is_none_or(|end| end > size) {
            return Err(bad(&partition, "it reaches beyond the end of the disk"));
        }
        partitions.push(partition);
    }
    Ok(PartitionTable { disk: from_uuid(disk.guid())?, partitions })
}

/// Writes a partition table onto a disk: protective MBR, table, backup. The same table gives the
/// same bytes. Partitions must be aligned to sectors and must not overlap.
pub fn create_partitions(
    device: &mut dyn BlockDevice,
    table: &PartitionTable,
) -> Result<(), TableError> {
    let sectors = device.len() / SECTOR;
    check_layout(table, sectors)?;
    let mut entries = BTreeMap::new();
    for (number, partition) in (1..).zip(&table.partitions) {
        entries.insert(
            number,
            gpt::partition::Partition {
                part_type_guid: Type {
                    guid: parse_uuid(&partition.kind)?,
                    os: OperatingSystem::Windows,
                },
                part_guid: parse_uuid(&partition.id)?,
                first_lba: partition.start / SECTOR,
                last_lba: (partition.start + partition.len) / SECTOR - 1,
                flags: partition.attributes,
                name: partition.name.clone(),
            },
        );
    }
    let invalid = |error: gpt::GptError| TableError::Invalid(error.to_string());
    let mut stream = Stream::new(device);
    let protective = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    gpt::mbr::ProtectiveMBR::with_lb_size(protective)
        .overwrite_lba0(&mut stream)
        .map_err(|error| TableError::Invalid(error.to_string()))?;
    let mut disk = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(stream, Some(parse_uuid(&table.disk)?))
        .map_err(invalid)?;
    disk.update_partitions(entries).map_err(invalid)?;
    let mut stream = disk.write().map_err(invalid)?;
    stream.device_mut().flush()?;
    Ok(())
}

/// The first 34 and the last 33 sectors hold the table and its backup.
fn check_layout(table: &PartitionTable, sectors: u64) -> Result<(), TableError> {
    let usable_end = sectors.saturating_sub(33).saturating_mul(SECTOR);
    if table.partitions.len() > 128 {
        return Err(TableError::Invalid("a table holds at most 128 partitions".to_owned()));
    }
    let mut ordered: Vec<&Partition> = table.partitions.iter().collect();
    ordered.sort_by_key(|partition| partition.start);
    let mut free_from = 34 * SECTOR;
    for partition in ordered {
        let end = partition.start.checked_add(partition.len);
        if !partition.start.is_multiple_of(SECTOR) || !partition.len.is_multiple_of(SECTOR) {
            return Err(bad(partition, "it is not aligned to sectors of 512 bytes"));
        }
        if partition.len == 0 {
            return Err(bad(partition, "it is empty"));
        }
        if partition.name.encode_utf16().count() > 36 {
            return Err(bad(partition, "its name is longer than 36 characters"));
        }
        if partition.start < free_from {
            return Err(bad(partition, "it overlaps the partition or table before it"));
        }
        match end {
            Some(end) if end <= usable_end => free_from = end,
            _ => return Err(bad(partition, "it reaches into the backup table or beyond")),
        }
    }
    Ok(())
}

fn bad(partition: &Partition, reason: &'static str) -> TableError {
    TableError::BadPartition {
        name: partition.name.clone(),
        start: partition.start,
        len: partition.len,
        reason,
    }
}

/// `gpt` has the GUIDs of another crate; text is what both understand.
fn from_uuid(uuid: &impl ToString) -> Result<Guid, TableError> {
    let text = uuid.to_string();
    text.parse().map_err(|_| TableError::Invalid(format!("its GUID {text} is malformed")))
}

fn parse_uuid<U: std::str::FromStr>(guid: &Guid) -> Result<U, TableError> {
    guid.to_string()
        .parse()
        .map_err(|_| TableError::Invalid(format!("its GUID {guid} is malformed")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryDevice;

    const MIB: u64 = 1 << 20;

    fn table() -> PartitionTable {
        let partition = |kind, id, start, len, name: &str| Partition {
            kind,
            id: Guid([id; 16]),
            start,
            len,
            attributes: 0,
            name: name.to_owned(),
        };
        PartitionTable {
            disk: Guid::from_u128(0x5f1d_0000_0000_4000_8000_0000_0000_0001),
            partitions: vec![
                partition(EFI_SYSTEM, 1, MIB, 2 * MIB, "EFI system partition"),
                partition(MICROSOFT_RESERVED, 2, 3 * MIB, MIB, "Microsoft reserved partition"),
                partition(BASIC_DATA, 3, 4 * MIB, 3 * MIB, "Basic data partition"),
                Partition {
                    attributes: ATTRIBUTE_REQUIRED | ATTRIBUTE_NO_DRIVE_LETTER,
                    ..partition(WINDOWS_RECOVERY, 4, 7 * MIB, MIB / 2, "")
                },
            ],
        }
    }

    #[test]
    fn a_table_comes_back_as_it_was_made_and_is_deterministic() {
        let mut first = MemoryDevice::zeroed(8 * MIB as usize);
        let mut second = first.clone();
        create_partitions(&mut first, &table()).unwrap();
        create_partitions(&mut second, &table()).unwrap();
        assert!(first.bytes() == second.bytes(), "two tables differ");
        assert_eq!(read_partitions(&mut first).unwrap(), table());
    }

    #[test]
    fn the_backup_is_read_where_the_first_copy_is_gone() {
        let mut device = MemoryDevice::zeroed(8 * MIB as usize);
        create_partitions(&mut device, &table()).unwrap();
        device.write_at(512, &[0; 512]).unwrap();
        assert_eq!(read_partitions(&mut device).unwrap(), table());
        device.write_at(8 * MIB - 512, &[0; 512]).unwrap();
        let error = read_partitions(&mut device).unwrap_err();
        assert!(matches!(error, TableError::Invalid(_)), "{error}");
    }

    #[test]
    fn a_layout_that_cannot_be_is_refused() {
        let mut device = MemoryDevice::zeroed(8 * MIB as usize);
        for (change, wanted) in [
            (2 * MIB, "overlaps"),
            (3 * MIB + 1, "aligned"),
            (8 * MIB, "backup table or beyond"),
            (u64::MAX - 511, "backup table or beyond"),
        ] {
            let mut table = table();
            table.partitions[1].start = change;
            let error = create_partitions(&mut device, &table).unwrap_err().to_string();
            assert!(error.contains(wanted), "{change}: {error}");
        }
    }

    #[test]
    fn a_huge_table_is_refused_without_reading_it() {
        let mut device = MemoryDevice::zeroed(8 * MIB as usize);
        create_partitions(&mut device, &table()).unwrap();
        for header in [512, 8 * MIB - 512] {
            device.write_at(header + 80, &u32::MAX.to_le_bytes()).unwrap();
        }
        let error = read_partitions(&mut device).unwrap_err().to_string();
        assert!(error.contains("4294967295 entries"), "{error}");
    }
}

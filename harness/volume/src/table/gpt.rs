//! GUID partition tables (UEFI 2.10, section 5.3).
//!
//! They are read here, since the crate `gpt` does not tell which copy it took, nor bounds the number
//! of entries; it writes them.

use super::{Partition, PartitionTable, SECTOR, TableError, bad, check_place};
use crate::{BlockDevice, Guid, Stream};
use ::gpt::disk::LogicalBlockSize;
use ::gpt::partition_types::{OperatingSystem, Type};
use std::collections::BTreeMap;
use std::io;

/// Most entries of a partition table that are read. Windows makes 128.
const MAX_ENTRIES: u32 = 1024;
/// Largest entry that is read; all that is known have 128 bytes.
const MAX_ENTRY: u32 = 1024;

/// Bytes of an entry that are known.
const ENTRY: usize = 128;
const LONG_NAME: &str = "its name is longer than 36 characters";

/// Why there is no GUID partition table to be read.
pub(super) enum ReadError {
    /// Nothing looks like one.
    Absent,
    /// There is one, and neither copy is valid.
    Damaged(String),
    /// There is one for sectors of 4096 bytes.
    LargeSectors,
    /// The device failed.
    Device(io::Error),
}

/// Why one copy cannot be taken.
enum HeaderError {
    Absent,
    Damaged(String),
    Device(io::Error),
}

impl From<io::Error> for HeaderError {
    fn from(error: io::Error) -> Self {
        Self::Device(error)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn guid_at(bytes: &[u8], at: usize) -> Guid {
    Guid::from_bytes(bytes[at..at + 16].try_into().expect("sixteen bytes"))
}

/// Reads the table, from its backup where the first copy is damaged.
pub(super) fn read(device: &mut dyn BlockDevice) -> Result<PartitionTable, ReadError> {
    let first = match read_copy(device, 1) {
        Ok(table) => return Ok(table),
        Err(HeaderError::Device(error)) => return Err(ReadError::Device(error)),
        Err(error) => error,
    };
    let last = (device.len() / SECTOR).saturating_sub(1);
    match (read_copy(device, last), first) {
        (Err(HeaderError::Device(error)), _) => Err(ReadError::Device(error)),
        (Ok(mut table), first) => {
            let what = match first {
                HeaderError::Damaged(what) => what,
                _ => "there is no header in sector 1".to_owned(),
            };
            table.notes.push(format!(
                "the GUID partition table was read from its backup at the end of the disk, since \
                 the first copy is damaged: {what}"
            ));
            Ok(table)
        }
        (Err(HeaderError::Absent), HeaderError::Absent) => {
            let mut signature = [0; 8];
            let large = device.len() >= 8192 && {
                device.read_at(4096, &mut signature).map_err(ReadError::Device)?;
                &signature == b"EFI PART"
            };
            Err(if large { ReadError::LargeSectors } else { ReadError::Absent })
        }
        (Err(HeaderError::Damaged(what)), HeaderError::Absent)
        | (Err(HeaderError::Absent), HeaderError::Damaged(what)) => Err(ReadError::Damaged(what)),
        (Err(HeaderError::Damaged(second)), HeaderError::Damaged(first)) => {
            Err(ReadError::Damaged(format!("{first}; and of its backup: {second}")))
        }
        (_, HeaderError::Device(error)) => Err(ReadError::Device(error)),
    }
}

/// One copy as it lies on the disk, with right checksums.
struct Copy {
    sector: u64,
    header: [u8; SECTOR as usize],
    /// Where the entries begin, in bytes.
    place: u64,
    entries: Vec<u8>,
    /// Bytes of one entry.
    size: usize,
}

/// Reads the copy whose header lies in `sector`.
fn load(device: &mut dyn BlockDevice, sector: u64) -> Result<Copy, HeaderError> {
    let damaged = |what: String| Err(HeaderError::Damaged(what));
    let disk_len = device.len();
    let start = sector.checked_mul(SECTOR).filter(|start| start + SECTOR <= disk_len);
    let Some(start) = start else { return Err(HeaderError::Absent) };
    let mut header = [0; SECTOR as usize];
    device.read_at(start, &mut header)?;
    if &header[..8] != b"EFI PART" {
        return Err(HeaderError::Absent);
    }
    let (entries, size) = (u32_at(&header, 80), u32_at(&header, 84));
    if entries > MAX_ENTRIES || !(128..=MAX_ENTRY).contains(&size) || !size.is_power_of_two() {
        return damaged(format!("it has {entries} entries of {size} bytes"));
    }
    let header_len = u32_at(&header, 12) as usize;
    if !(92..=header.len()).contains(&header_len) {
        return damaged(format!("its header has {header_len} bytes"));
    }
    if header_sum(&header) != u32_at(&header, 16) {
        return damaged(format!("the checksum of the header in sector {sector} is wrong"));
    }
    if u64_at(&header, 24) != sector {
        return damaged(format!(
            "the header in sector {sector} says that it lies in sector {}",
            u64_at(&header, 24)
        ));
    }
    let mut table = vec![0; (entries * size) as usize];
    let place = u64_at(&header, 72).checked_mul(SECTOR);
    let place = match place.and_then(|place| Some((place, place.checked_add(table.len() as u64)?)))
    {
        Some((place, end)) if end <= disk_len => place,
        _ => return damaged("its entries lie beyond the end of the disk".to_owned()),
    };
    device.read_at(place, &mut table)?;
    if crc32fast::hash(&table) != u32_at(&header, 88) {
        return damaged("the checksum of its entries is wrong".to_owned());
    }
    Ok(Copy { sector, header, place, entries: table, size: size as usize })
}

/// The end of the disk by the first copy: of the last sector that it names. Zero where there is no such copy.
pub(super) fn described_len(device: &mut dyn BlockDevice) -> std::io::Result<u64> {
    let copy = match load(device, 1) {
        Ok(copy) => copy,
        Err(HeaderError::Device(error)) => return Err(error),
        Err(_) => return Ok(0),
    };
    let used =
        copy.entries.chunks_exact(copy.size).filter(|one| guid_at(one, 0) != Guid::default());
    let last = used.map(|entry| u64_at(entry, 40)).chain([u64_at(&copy.header, 32)]).max();
    Ok(last.unwrap_or_default().saturating_add(1).saturating_mul(SECTOR))
}

/// The checksum of a header whose length was checked: its own field counts as zero.
fn header_sum(header: &[u8; SECTOR as usize]) -> u32 {
    let mut header = *header;
    header[16..20].fill(0);
    crc32fast::hash(&header[..u32_at(&header, 12) as usize])
}

fn read_copy(device: &mut dyn BlockDevice, sector: u64) -> Result<PartitionTable, HeaderError> {
    let disk_len = device.len();
    let Copy { header, entries, size, .. } = load(device, sector)?;
    let mut result = PartitionTable::gpt(guid_at(&header, 56), Vec::new());
    for (number, entry) in (1..).zip(entries.chunks_exact(size)) {
        if guid_at(entry, 0) == Guid::default() {
            continue;
        }
        match partition(number, entry, disk_len) {
            Some(partition) => result.partitions.push(partition),
            None => result.notes.push(format!(
                "partition {number} was left out: its sectors {} to {} do not lie on the disk",
                u64_at(entry, 32),
                u64_at(entry, 40)
            )),
        }
    }
    Ok(result)
}

/// Puts an entry into the slot `number` of both copies, or clears the slot. The other bytes of the table
/// stay as they are.
pub(super) fn set_partition(
    device: &mut dyn BlockDevice,
    number: u32,
    partition: Option<&Partition>,
) -> Result<(), TableError> {
    let entry = partition.map_or(Ok([0; ENTRY]), entry)?;
    let last = (device.len() / SECTOR).saturating_sub(1);
    let mut copies = Vec::new();
    for sector in [1, last] {
        copies.push(load(device, sector).map_err(|error| match error {
            HeaderError::Absent => TableError::Unsupported(format!(
                "a change of a table that has no copy in sector {sector}"
            )),
            HeaderError::Damaged(what) => TableError::Invalid(what),
            HeaderError::Device(error) => TableError::Device(error),
        })?);
    }
    for mut copy in copies {
        let count = copy.entries.len() / copy.size;
        let slot = (number as usize)
            .checked_sub(1)
            .and_then(|index| copy.entries.chunks_exact_mut(copy.size).nth(index))
            .ok_or_else(|| {
                TableError::Unsupported(format!("slot {number} of a table with {count} of them"))
            })?;
        slot.fill(0);
        slot[..ENTRY].copy_from_slice(&entry);
        let sum = crc32fast::hash(&copy.entries).to_le_bytes();
        copy.header[88..92].copy_from_slice(&sum);
        let sum = header_sum(&copy.header).to_le_bytes();
        copy.header[16..20].copy_from_slice(&sum);
        device.write_at(copy.place, &copy.entries)?;
        device.write_at(copy.sector * SECTOR, &copy.header)?;
    }
    device.flush()?;
    Ok(())
}

/// The bytes of an entry (UEFI 2.10, table 5.6).
fn entry(partition: &Partition) -> Result<[u8; ENTRY], TableError> {
    let (super::PartitionKind::Gpt(kind), Some(id)) = (partition.kind, partition.id) else {
        return Err(bad(partition, "its kind is not one of GPT, or it has no id"));
    };
    check_place(partition, 0)?;
    let end = partition.start.checked_add(partition.len);
    let end = end.ok_or_else(|| bad(partition, "it reaches beyond any disk"))?;
    let mut entry = [0; ENTRY];
    entry[..16].copy_from_slice(&kind.to_bytes());
    entry[16..32].copy_from_slice(&id.to_bytes());
    entry[32..40].copy_from_slice(&(partition.start / SECTOR).to_le_bytes());
    entry[40..48].copy_from_slice(&(end / SECTOR - 1).to_le_bytes());
    entry[48..56].copy_from_slice(&partition.attributes.to_le_bytes());
    let name: Vec<u8> = partition.name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    entry[56..]
        .get_mut(..name.len())
        .ok_or_else(|| bad(partition, LONG_NAME))?
        .copy_from_slice(&name);
    Ok(entry)
}

/// One entry; `None` if it does not lie on the disk.
fn partition(number: u32, entry: &[u8], disk_len: u64) -> Option<Partition> {
    let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
    let start = first.checked_mul(SECTOR)?;
    let end = last.checked_add(1)?.checked_mul(SECTOR).filter(|&end| end <= disk_len)?;
    let len = end.checked_sub(start).filter(|&len| len > 0)?;
    let units: Vec<u16> = entry[56..128]
        .chunks_exact(2)
        .map(|two| u16::from_le_bytes([two[0], two[1]]))
        .take_while(|&unit| unit != 0)
        .collect();
    Some(Partition {
        number,
        attributes: u64_at(entry, 48),
        ..Partition::gpt(
            guid_at(entry, 0),
            guid_at(entry, 16),
            start,
            len,
            &String::from_utf16_lossy(&units),
        )
    })
}

/// Writes a protective MBR, the table, and its backup.
pub(super) fn create(
    device: &mut dyn BlockDevice,
    disk: Guid,
    partitions: &[Partition],
) -> Result<(), TableError> {
    let sectors = device.len() / SECTOR;
    check_layout(partitions, sectors)?;
    let mut entries = BTreeMap::new();
    for (number, partition) in (1..).zip(partitions) {
        let (super::PartitionKind::Gpt(kind), Some(id)) = (partition.kind, partition.id) else {
            return Err(bad(partition, "its kind is not one of GPT, or it has no id"));
        };
        entries.insert(
            number,
            ::gpt::partition::Partition {
                part_type_guid: Type { guid: parse_uuid(&kind)?, os: OperatingSystem::Windows },
                part_guid: parse_uuid(&id)?,
                first_lba: partition.start / SECTOR,
                last_lba: (partition.start + partition.len) / SECTOR - 1,
                flags: partition.attributes,
                name: partition.name.clone(),
            },
        );
    }
    let invalid = |error: ::gpt::GptError| TableError::Invalid(error.to_string());
    let mut stream = Stream::new(device);
    let protective = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    ::gpt::mbr::ProtectiveMBR::with_lb_size(protective)
        .overwrite_lba0(&mut stream)
        .map_err(|error| TableError::Invalid(error.to_string()))?;
    let mut made = ::gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(stream, Some(parse_uuid(&disk)?))
        .map_err(invalid)?;
    made.update_partitions(entries).map_err(invalid)?;
    let mut stream = made.write().map_err(invalid)?;
    stream.device_mut().flush()?;
    Ok(())
}

/// The first 34 and the last 33 sectors hold the table and its backup.
fn check_layout(partitions: &[Partition], sectors: u64) -> Result<(), TableError> {
    let usable_end = sectors.saturating_sub(33).saturating_mul(SECTOR);
    if partitions.len() > 128 {
        return Err(TableError::Invalid("a table holds at most 128 partitions".to_owned()));
    }
    let mut ordered: Vec<&Partition> = partitions.iter().collect();
    ordered.sort_by_key(|partition| partition.start);
    let mut free_from = 34 * SECTOR;
    for partition in ordered {
        check_place(partition, free_from)?;
        if partition.name.encode_utf16().count() > 36 {
            return Err(bad(partition, LONG_NAME));
        }
        match partition.start.checked_add(partition.len) {
            Some(end) if end <= usable_end => free_from = end,
            _ => return Err(bad(partition, "it reaches into the backup table or beyond")),
        }
    }
    Ok(())
}

/// `gpt` has the GUIDs of another crate; text is what both understand.
fn parse_uuid<U: std::str::FromStr>(guid: &Guid) -> Result<U, TableError> {
    guid.without_braces().to_string().parse().map_err(|_| {
        TableError::Invalid(format!("its GUID {} is malformed", guid.without_braces()))
    })
}

#[cfg(test)]
mod tests {
    use crate::*;

    const MIB: u64 = 1 << 20;

    fn table() -> PartitionTable {
        let partition = |kind, id, start, len, name: &str| {
            Partition::gpt(kind, Guid::from_bytes([id; 16]), start, len, name)
        };
        let partitions = vec![
            partition(EFI_SYSTEM, 1, MIB, 2 * MIB, "EFI system partition"),
            partition(MICROSOFT_RESERVED, 2, 3 * MIB, MIB, "Microsoft reserved partition"),
            partition(BASIC_DATA, 3, 4 * MIB, 3 * MIB, "Basic data partition"),
            Partition {
                attributes: ATTRIBUTE_REQUIRED | ATTRIBUTE_NO_DRIVE_LETTER,
                ..partition(WINDOWS_RECOVERY, 4, 7 * MIB, MIB / 2, "")
            },
        ];
        PartitionTable::gpt(Guid::from_u128(0x5f1d_0000_0000_4000_8000_0000_0000_0001), partitions)
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
    fn an_entry_is_cleared_and_put_back_byte_by_byte() {
        let mut device = MemoryDevice::zeroed(8 * MIB as usize);
        create_partitions(&mut device, &table()).unwrap();
        let before = device.clone();
        set_partition(&mut device, 1, None).unwrap();
        let read = read_partitions(&mut device).unwrap();
        assert_eq!((read.partitions, read.notes), (table().partitions[1..].to_vec(), Vec::new()));
        // The backup says the same.
        device.write_at(512, &[0; 512]).unwrap();
        assert_eq!(read_partitions(&mut device).unwrap().partitions, table().partitions[1..]);
        let mut device = before.clone();
        for number in [1, 4] {
            set_partition(&mut device, number, None).unwrap();
            set_partition(&mut device, number, table().partition(number)).unwrap();
        }
        assert!(device.bytes() == before.bytes(), "the table is not as it was");
        assert!(set_partition(&mut device, 0, None).is_err());
        assert!(set_partition(&mut device, 129, None).is_err());
    }

    #[test]
    fn the_backup_is_read_where_the_first_copy_is_gone_and_that_is_said() {
        // No header; a header with a wrong checksum; damaged entries.
        for (at, bytes, wanted) in [
            (512, vec![0; 512], "no header in sector 1"),
            (512 + 40, vec![9], "checksum of the header in sector 1"),
            (1024 + 60, vec![b'x'], "checksum of its entries"),
        ] {
            let mut device = MemoryDevice::zeroed(8 * MIB as usize);
            create_partitions(&mut device, &table()).unwrap();
            device.write_at(at, &bytes).unwrap();
            let read = read_partitions(&mut device).unwrap();
            assert_eq!(read.partitions, table().partitions);
            let [note] = &read.notes[..] else { panic!("{:?}", read.notes) };
            assert!(note.contains("from its backup") && note.contains(wanted), "{note}");
            device.write_at(8 * MIB - 512, &[0; 512]).unwrap();
            let error = read_partitions(&mut device).unwrap_err();
            assert!(matches!(error, TableError::Invalid(_)), "{error}");
        }
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

    #[test]
    fn a_partition_beyond_the_disk_is_left_out_and_told() {
        let mut device = MemoryDevice::zeroed(8 * MIB as usize);
        create_partitions(&mut device, &table()).unwrap();
        // The disk was cut: the backup is gone, the first copy is whole.
        let mut bytes = device.into_bytes();
        bytes.truncate(5 * MIB as usize);
        let read = read_partitions(&mut MemoryDevice::new(bytes)).unwrap();
        assert_eq!(read.partitions, table().partitions[..2]);
        assert_eq!(read.notes.len(), 2, "{:?}", read.notes);
    }

    #[test]
    fn sectors_of_4096_bytes_are_told() {
        let mut device = MemoryDevice::zeroed(8 * MIB as usize);
        create_partitions(&mut device, &table()).unwrap();
        for header in [512, 8 * MIB - 512] {
            device.write_at(header, &[0; 512]).unwrap();
        }
        device.write_at(4096, b"EFI PART").unwrap();
        let error = read_partitions(&mut device).unwrap_err();
        assert!(error.to_string().contains("sectors of 4096 bytes"), "{error}");
    }
}

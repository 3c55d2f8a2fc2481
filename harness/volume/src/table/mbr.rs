//! Master boot records, and the chains of records that logical partitions have.
//!
//! The layout is that of the Windows boot record: signature of the disk at byte 440, four entries of
//! 16 bytes at byte 446, 0x55 0xAA at byte 510. An extended partition begins with such a record whose
//! first entry is a logical partition, counted from that record, and whose second is the next record,
//! counted from the extended partition.

use super::{
    MBR_PROTECTIVE, Partition, PartitionKind, PartitionTable, SECTOR, TableError, bad, check_place,
};
use crate::BlockDevice;
use std::collections::HashSet;
use std::io;

/// Most logical partitions that are read. Windows takes 128 partitions of a disk.
const MAX_LOGICAL: usize = 128;
const SIGNATURE: usize = 440;
const ENTRIES: usize = 446;
const ENTRY: usize = 16;
/// The type byte of the entry that leads to the next record of a chain.
const LINK: u8 = 0x05;

/// One entry, in sectors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    status: u8,
    kind: u8,
    start: u32,
    len: u32,
}

impl Slot {
    fn parse(bytes: &[u8]) -> Self {
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self { status: bytes[0], kind: bytes[4], start: number(8), len: number(12) }
    }

    fn encode(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[0] = self.status;
        bytes[1..4].copy_from_slice(&cylinder_head_sector(u64::from(self.start)));
        bytes[4] = self.kind;
        let last = u64::from(self.start) + u64::from(self.len).saturating_sub(1);
        bytes[5..8].copy_from_slice(&cylinder_head_sector(last));
        bytes[8..12].copy_from_slice(&self.start.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    fn is_empty(&self) -> bool {
        self.kind == 0
    }

    fn is_extended(&self) -> bool {
        PartitionKind::Mbr(self.kind).is_extended()
    }
}

/// A sector in the geometry that every BIOS of the last decades pretends: 255 heads, 63 sectors.
fn cylinder_head_sector(sector: u64) -> [u8; 3] {
    let (cylinder, rest) = (sector / (255 * 63), sector % (255 * 63));
    if cylinder > 1023 {
        return [0xfe, 0xff, 0xff];
    }
    let (head, sector) = (rest / 63, rest % 63 + 1);
    [head as u8, (cylinder >> 2 & 0xc0) as u8 | sector as u8, cylinder as u8]
}

/// Sector 0 with its signature, or a link of the chain.
#[derive(Debug)]
pub(super) struct Record {
    signature: u32,
    slots: [Slot; 4],
}

impl Record {
    pub(super) fn parse(sector: &[u8; SECTOR as usize]) -> Option<Self> {
        if sector[510..] != [0x55, 0xaa] {
            return None;
        }
        let mut signature = [0; 4];
        signature.copy_from_slice(&sector[SIGNATURE..SIGNATURE + 4]);
        let slots = std::array::from_fn(|slot| {
            let at = ENTRIES + slot * ENTRY;
            Slot::parse(&sector[at..at + ENTRY])
        });
        Some(Self { signature: u32::from_le_bytes(signature), slots })
    }

    fn used(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| !slot.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used().next().is_none()
    }

    /// True if the entries can be meant: what is code or text read as entries is not.
    pub(super) fn is_plausible(&self, disk: u64) -> bool {
        let plausible = |slot: &Slot| {
            matches!(slot.status, 0 | 0x80)
                && slot.start > 0
                && slot.len > 0
                && u64::from(slot.start) * SECTOR < disk
        };
        !self.is_empty() && self.used().all(plausible)
    }

    /// Where the partitions begin, in sectors.
    pub(super) fn first_sectors(&self) -> impl Iterator<Item = u32> {
        self.used().map(|slot| slot.start)
    }

    /// The end of the last partition, in bytes.
    pub(super) fn described_len(&self) -> u64 {
        let end = |slot: &Slot| (u64::from(slot.start) + u64::from(slot.len)) * SECTOR;
        self.used().map(end).max().unwrap_or_default()
    }

    pub(super) fn has_protective(&self) -> bool {
        self.used().any(|slot| slot.kind == MBR_PROTECTIVE)
    }

    pub(super) fn is_hybrid(&self) -> bool {
        self.has_protective() && self.used().any(|slot| slot.kind != MBR_PROTECTIVE)
    }

    pub(super) fn hybrid_note(&self) -> String {
        let kinds: Vec<String> = self
            .used()
            .filter(|slot| slot.kind != MBR_PROTECTIVE)
            .map(|slot| format!("{:#04x} at sector {}", slot.kind, slot.start))
            .collect();
        format!(
            "the MBR is a hybrid: beside the protective entry it has {}; Windows on a BIOS machine \
             goes by these, the GUID partition table was read here",
            kinds.join(", ")
        )
    }
}

/// Reads the partitions of an MBR.
pub(super) fn read(device: &mut dyn BlockDevice, record: &Record) -> io::Result<PartitionTable> {
    let mut table = PartitionTable::mbr(record.signature, Vec::new());
    if record.is_empty() {
        table.notes.push("the partition table is empty".to_owned());
    }
    let mut extended = None;
    for (number, slot) in (1..).zip(&record.slots).filter(|(_, slot)| !slot.is_empty()) {
        add(&mut table, number, slot, 0, device.len());
        if slot.is_extended() && extended.replace(*slot).is_some() {
            table.notes.push(format!(
                "partition {number} is a second extended partition; Windows knows one only"
            ));
        }
    }
    if table.partitions.iter().filter(|partition| partition.active).count() > 1 {
        table.notes.push("more than one partition is active; a BIOS starts none".to_owned());
    }
    if let Some(extended) = extended {
        read_chain(device, u64::from(extended.start), &mut table)?;
    }
    Ok(table)
}

/// Adds what lies on the disk; notes what does not.
fn add(table: &mut PartitionTable, number: u32, slot: &Slot, base: u64, disk: u64) {
    let start = (base + u64::from(slot.start)) * SECTOR;
    let len = u64::from(slot.len) * SECTOR;
    if len == 0 || start == 0 || start + len > disk {
        table.notes.push(format!(
            "partition {number} was left out: {} sectors from {} do not lie on the disk",
            slot.len,
            base + u64::from(slot.start)
        ));
        return;
    }
    table.partitions.push(Partition {
        active: slot.status & 0x80 != 0,
        ..Partition::mbr(number, PartitionKind::Mbr(slot.kind), start, len)
    });
}

/// Follows the records of the extended partition that starts at `base`.
fn read_chain(
    device: &mut dyn BlockDevice,
    base: u64,
    table: &mut PartitionTable,
) -> io::Result<()> {
    let mut at = base;
    let mut seen = HashSet::new();
    let mut number = 5;
    loop {
        let start = at * SECTOR;
        if !seen.insert(at) {
            table.notes.push(format!(
                "the chain of logical partitions turns back to sector {at}; what follows was left out"
            ));
            return Ok(());
        }
        if seen.len() > MAX_LOGICAL {
            table.notes.push(format!("only the first {MAX_LOGICAL} logical partitions were read"));
            return Ok(());
        }
        let mut sector = [0; SECTOR as usize];
        let on_disk = start.checked_add(SECTOR).is_some_and(|end| end <= device.len());
        if on_disk {
            device.read_at(start, &mut sector)?;
        }
        let Some(record) = Record::parse(&sector).filter(|_| on_disk) else {
            table.notes.push(format!(
                "the chain of logical partitions is broken at sector {at}; what follows was left out"
            ));
            return Ok(());
        };
        let [logical, next, ..] = record.slots;
        if !logical.is_empty() && !logical.is_extended() {
            add(table, number, &logical, at, device.len());
            number += 1;
        }
        if next.is_empty() || !next.is_extended() {
            return Ok(());
        }
        at = base + u64::from(next.start);
    }
}

/// A number of sectors as an entry holds it.
fn sectors(partition: &Partition, bytes: u64) -> Result<u32, TableError> {
    u32::try_from(bytes / SECTOR).map_err(|_| bad(partition, "an MBR reaches 2 TiB at most"))
}

fn slot(partition: &Partition, base: u64) -> Result<Slot, TableError> {
    let PartitionKind::Mbr(kind @ 1..) = partition.kind else {
        return Err(bad(partition, "its kind is not one of an MBR"));
    };
    Ok(Slot {
        status: if partition.active { 0x80 } else { 0 },
        kind,
        start: sectors(partition, partition.start - base)?,
        len: sectors(partition, partition.len)?,
    })
}

/// Puts entries into a record that may have code in front of them.
fn fill(sector: &mut [u8; SECTOR as usize], slots: &[Slot]) {
    sector[ENTRIES..510].fill(0);
    for (index, slot) in slots.iter().enumerate() {
        let at = ENTRIES + index * ENTRY;
        if !slot.is_empty() {
            sector[at..at + ENTRY].copy_from_slice(&slot.encode());
        }
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
}

/// Writes the record and the chain. A logical partition's own record lies at the end of the one before
/// it, the first at the start of the extended partition.
pub(super) fn create(
    device: &mut dyn BlockDevice,
    signature: u32,
    partitions: &[Partition],
) -> Result<(), TableError> {
    let disk = device.len();
    let (mut primary, mut logical): (Vec<_>, Vec<_>) =
        partitions.iter().partition(|partition| partition.number < 5);
    primary.sort_by_key(|partition| partition.start);
    logical.sort_by_key(|partition| partition.start);
    let mut slots = [Slot::default(); 4];
    let mut free_from = SECTOR;
    let mut extended = None;
    for partition in primary {
        check_place(partition, free_from)?;
        free_from = partition
            .start
            .checked_add(partition.len)
            .filter(|&end| end <= disk)
            .ok_or_else(|| bad(partition, "it reaches beyond the end of the disk"))?;
        let place = match partition.number {
            number @ 1..=4 => &mut slots[number as usize - 1],
            _ => {
                return Err(bad(partition, "an MBR has the slots 1 to 4, and logical ones from 5"));
            }
        };
        if !place.is_empty() {
            return Err(bad(partition, "its slot is taken"));
        }
        *place = slot(partition, 0)?;
        if partition.kind.is_extended() && extended.replace(partition).is_some() {
            return Err(bad(partition, "a disk has one extended partition at most"));
        }
    }
    let mut chain = Vec::new();
    for (expected, partition) in (5..).zip(logical) {
        let Some(extended) = extended else {
            return Err(bad(partition, "a logical partition needs an extended one"));
        };
        if partition.number != expected {
            return Err(bad(partition, "logical partitions are numbered from 5 by their place"));
        }
        let record = chain.last().map_or(extended.start, |&(_, end, _)| end);
        check_place(partition, record + SECTOR)?;
        let end = partition.start.checked_add(partition.len);
        let end = end
            .filter(|&end| end <= extended.start + extended.len)
            .ok_or_else(|| bad(partition, "it reaches out of the extended partition"))?;
        chain.push((record, end, partition));
    }
    let mut links = Vec::new();
    for (index, &(record, _, partition)) in chain.iter().enumerate() {
        let base = chain[0].0;
        let next = match chain.get(index + 1) {
            Some(&(next, end, other)) => Slot {
                status: 0,
                kind: LINK,
                start: sectors(other, next - base)?,
                len: sectors(other, end - next)?,
            },
            None => Slot::default(),
        };
        links.push((record, [slot(partition, record)?, next]));
    }
    // Everything is known to fit: now the disk is changed, the chain before what leads to it.
    for (record, slots) in links {
        let mut sector = [0; SECTOR as usize];
        fill(&mut sector, &slots);
        device.write_at(record, &sector)?;
    }
    let mut sector = [0; SECTOR as usize];
    device.read_at(0, &mut sector)?;
    sector[SIGNATURE..SIGNATURE + 4].copy_from_slice(&signature.to_le_bytes());
    sector[SIGNATURE + 4..ENTRIES].fill(0);
    fill(&mut sector, &slots);
    device.write_at(0, &sector)?;
    device.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Slot, fill};
    use crate::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn part(number: u32, kind: u8, start: u64, len: u64) -> Partition {
        Partition::mbr(number, PartitionKind::Mbr(kind), start * MIB, len * MIB)
    }

    fn table() -> PartitionTable {
        let partitions = vec![
            Partition { active: true, ..part(1, MBR_NTFS, 1, 2) },
            part(2, MBR_RECOVERY, 3, 1),
            part(3, MBR_EXTENDED, 4, 6),
            part(5, MBR_FAT16, 5, 1),
            part(6, MBR_FAT32, 7, 1),
            part(7, MBR_NTFS, 9, 1),
        ];
        PartitionTable::mbr(0x882e_dd52, partitions)
    }

    fn made() -> MemoryDevice {
        let mut device = MemoryDevice::zeroed(12 * MIB as usize);
        create_partitions(&mut device, &table()).unwrap();
        device
    }

    #[test]
    fn a_table_comes_back_as_it_was_made_and_boot_code_stays() {
        let mut device = MemoryDevice::zeroed(12 * MIB as usize);
        device.write_at(0, &[0x33; 440]).unwrap();
        create_partitions(&mut device, &table()).unwrap();
        assert_eq!(read_partitions(&mut device).unwrap(), table());
        assert_eq!(device.bytes()[..440], [0x33; 440]);
        assert!(table().partition(2).unwrap().kind.is_recovery());
        assert!(table().partition(3).unwrap().kind.is_extended());
        assert_eq!(table().partition(4), None);
    }

    #[test]
    fn a_layout_that_cannot_be_is_refused_before_anything_is_written() {
        for (change, wanted) in [
            (part(2, MBR_NTFS, 2, 2), "overlaps"),
            (part(1, MBR_NTFS, 11, 1), "slot is taken"),
            (part(4, MBR_NTFS, 11, 2), "beyond the end"),
            (part(4, MBR_EXTENDED, 11, 1), "one extended"),
            (
                Partition { start: 10 * MIB + SECTOR, ..part(8, MBR_NTFS, 10, 1) },
                "out of the extended",
            ),
            (part(9, MBR_NTFS, 8, 1), "numbered"),
            (part(4, 0, 11, 1), "not one of an MBR"),
        ] {
            let mut device = MemoryDevice::zeroed(12 * MIB as usize);
            let mut table = table();
            table.partitions.push(change.clone());
            let error = create_partitions(&mut device, &table).unwrap_err().to_string();
            assert!(error.contains(wanted), "{change:?}: {error}");
            assert!(device.bytes().iter().all(|&byte| byte == 0), "{wanted}");
        }
    }

    #[test]
    fn a_chain_that_turns_back_or_breaks_ends_with_a_note() {
        let mut device = made();
        // The record of the last logical partition leads to the first.
        let last = 8 * MIB;
        let mut entry = [0; 16];
        entry[4] = 5;
        entry[12] = 1;
        device.write_at(last + 446 + 16, &entry).unwrap();
        let read = read_partitions(&mut device).unwrap();
        assert_eq!(read.partitions, table().partitions);
        assert!(read.notes[0].contains("turns back"), "{:?}", read.notes);

        device.write_at(last + 510, &[0, 0]).unwrap();
        let read = read_partitions(&mut device).unwrap();
        assert_eq!(read.partitions, table().partitions[..5]);
        assert!(read.notes[0].contains("broken at sector 16384"), "{:?}", read.notes);
    }

    #[test]
    fn a_long_chain_is_cut() {
        let mut device = MemoryDevice::zeroed(12 * MIB as usize);
        let mut table = PartitionTable::mbr(1, vec![part(1, MBR_EXTENDED, 1, 10)]);
        let logical = |number: u32| {
            let start = MIB + u64::from(number - 5) * 8192 + 4096;
            Partition::mbr(number, PartitionKind::Mbr(MBR_NTFS), start, 4096)
        };
        table.partitions.extend((5..205).map(logical));
        create_partitions(&mut device, &table).unwrap();
        let read = read_partitions(&mut device).unwrap();
        assert_eq!(read.partitions[..], table.partitions[..129]);
        assert!(read.notes[0].contains("first 128"), "{:?}", read.notes);
    }

    #[test]
    fn protective_and_hybrid_are_told_apart() {
        let mut device = MemoryDevice::zeroed(12 * MIB as usize);
        let partitions =
            vec![Partition::gpt(BASIC_DATA, Guid::from_bytes([1; 16]), MIB, MIB, "data")];
        let gpt = PartitionTable::gpt(Guid::from_bytes([2; 16]), partitions);
        create_partitions(&mut device, &gpt).unwrap();
        let pure = device.clone();
        assert_eq!(read_partitions(&mut device).unwrap(), gpt);

        device
            .write_at(446 + 16, &super::slot(&part(2, MBR_NTFS, 1, 1), 0).unwrap().encode())
            .unwrap();
        let hybrid = read_partitions(&mut device).unwrap();
        assert_eq!((hybrid.style, &hybrid.partitions), (TableStyle::Gpt, &gpt.partitions));
        assert!(hybrid.notes[0].contains("hybrid"), "{:?}", hybrid.notes);

        // An MBR was made over the table: what is left of it counts for nothing.
        let mut device = pure.clone();
        create_partitions(&mut device, &table()).unwrap();
        assert_eq!(read_partitions(&mut device).unwrap(), table());

        // The MBR was blanked.
        let mut device = pure;
        device.write_at(0, &[0; 512]).unwrap();
        let read = read_partitions(&mut device).unwrap();
        assert_eq!(read.partitions, gpt.partitions);
        assert!(read.notes[0].contains("protective MBR is missing"), "{:?}", read.notes);
    }

    #[test]
    fn a_disk_that_is_one_volume_has_no_table() {
        let time = FileTime::UNIX_EPOCH;
        let ntfs = NtfsFormat { label: String::new(), serial: 1, time };
        let device = SharedDevice::new(MemoryDevice::zeroed(8 * MIB as usize));
        Ntfs::format(device.clone(), &ntfs).unwrap();
        let mut other = SharedDevice::new(MemoryDevice::zeroed(8 * MIB as usize));
        let fat = FatFormat { kind: FatKind::Fat16, id: 1, label: String::new() };
        Fat::format(other.clone(), &fat).unwrap();
        for device in [&mut device.clone(), &mut other] {
            let table = read_partitions(device).unwrap();
            assert_eq!((table.style, table.disk), (TableStyle::None, DiskId::None));
            let [whole] = &table.partitions[..] else { panic!("{table:?}") };
            assert_eq!((whole.number, whole.start, whole.len), (1, 0, 8 * MIB));
        }
    }

    #[test]
    fn nothing_at_all_is_said() {
        for len in [0, 511, 512, 1 << 20] {
            let error = read_partitions(&mut MemoryDevice::zeroed(len)).unwrap_err();
            assert!(matches!(error, TableError::Nothing(_)), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_sectors_are_taken_or_refused(
            changes in prop::collection::vec((0usize..1 << 20, any::<u8>()), 1..20),
            entries in prop::collection::vec(any::<[u8; 16]>(), 0..4))
        {
            let mut device = made();
            for (index, entry) in (0..).zip(entries) {
                device.write_at([446, 446 + 16, 4 * MIB + 446 + 16, 6 * MIB + 446][index], &entry).unwrap();
            }
            for (at, byte) in changes {
                // Where the records lie: within 512 bytes of a whole MiB.
                let at = (at >> 9 & 0xf) as u64 * MIB % (12 * MIB) + (at & 0x1ff) as u64;
                device.write_at(at, &[byte]).unwrap();
            }
            if let Ok(table) = read_partitions(&mut device) {
                for partition in table.partitions {
                    prop_assert!(partition.start + partition.len <= device.len());
                }
            }
        }
    }

    /// A disk whose MBR counts in sectors of 4096 bytes, with an NTFS boot sector that says so.
    #[test]
    fn sectors_of_4096_bytes_are_told_by_the_volume() {
        let mut device = MemoryDevice::new(vec![0; 4 << 20]);
        let mut sector = [0; SECTOR as usize];
        let slot = Slot { status: 0x80, kind: 0x07, start: 256, len: 512 };
        fill(&mut sector, &[slot]);
        device.write_at(0, &sector).unwrap();
        let mut boot = [0; SECTOR as usize];
        boot[..11].copy_from_slice(b"\xeb\x52\x90NTFS    ");
        boot[0x0b..0x0d].copy_from_slice(&4096u16.to_le_bytes());
        boot[0x0d] = 1;
        device.write_at(256 * 4096, &boot).unwrap();
        let error = crate::read_partitions(&mut device).unwrap_err().to_string();
        assert!(error.contains("sectors of 4096 bytes"), "{error}");
        // One that is where it should be by 512 decides.
        device.write_at(256 * SECTOR, &boot).unwrap();
        assert_eq!(crate::read_partitions(&mut device).unwrap().partitions[0].start, 256 * SECTOR);
    }

    /// A disk that was cut off has less than its table says.
    #[test]
    fn the_table_says_how_long_the_disk_was() {
        let mut whole = MemoryDevice::new(vec![0; 4 << 20]);
        let mut sector = [0; SECTOR as usize];
        let slot = Slot { status: 0, kind: 0x07, start: 2048, len: 6144 };
        fill(&mut sector, &[slot]);
        whole.write_at(0, &sector).unwrap();
        assert_eq!(crate::described_len(&mut whole).unwrap(), 4 << 20);
        let mut cut = MemoryDevice::new(vec![0; 3 << 20]);
        cut.write_at(0, &sector).unwrap();
        assert_eq!(crate::described_len(&mut cut).unwrap(), 4 << 20);
        let table = crate::PartitionTable::gpt(crate::Guid::from_bytes([1; 16]), Vec::new());
        crate::create_partitions(&mut whole, &table).unwrap();
        assert_eq!(crate::described_len(&mut whole).unwrap(), 4 << 20);
    }
}

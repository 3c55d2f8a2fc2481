//! Crashes, made of logs that Windows wrote.
//!
//! At hand are volumes that Windows let go of cleanly, with logs that still hold everything it did to them: each step
//! with what it wrote and what would take it back. So the volume can be brought back to any moment ([`Crash::at`]), page
//! by page, and the log cut off there. The operations, their order, their data, the tables of the checkpoints, and the
//! volume at the end are Windows' own. Which pages had reached the disk, the cut end of the log and its restart page are
//! ours.

use super::*;
use crate::ntfs::engine::LOG_FILE;
use crate::ntfs::log::records::LogRecord;
use crate::ntfs::record::{apply_fixups, kind, remove_fixups, u32_at};
use crate::staged::Staged;
use crate::{FileDevice, Ntfs, SharedDevice, Volume};
use std::collections::HashMap;
use std::fs::File;

/// A volume that Windows let go of cleanly.
pub(super) struct Past {
    pub(super) file: std::path::PathBuf,
    start: u64,
    len: u64,
    geometry: Geometry,
    /// Where the log lies on the volume.
    pub(super) log_at: Vec<(u64, std::ops::Range<usize>)>,
    pub(super) log: Vec<u8>,
    /// Every record, in order.
    pub(super) records: Vec<LogRecord>,
    _dir: tempfile::TempDir,
}

/// How the end of a log lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Where it belongs.
    InPlace,
    /// The last page is torn where it belongs, and whole where last pages go.
    Tail,
    /// In both places.
    Both,
}

/// A moment in the life of the volume.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crash {
    /// The last record that reached the log.
    pub(super) last: u64,
    /// The last checkpoint.
    pub(super) checkpoint: u64,
    pub(super) major: u16,
    pub(super) end: End,
    /// What the restart page calls the oldest record that is needed.
    pub(super) oldest: u64,
}

/// The number of the first record: the log begins with a checkpoint of nothing, on its first page.
fn first_number(log: &[u8]) -> u64 {
    let bits = 64 - u32_at(log, 0x40);
    u64_at(log, 0x30) >> bits << bits | (0x22040 >> 3)
}

pub(super) fn restart_page(log: &[u8], crash: &Crash) -> Vec<u8> {
    let mut page = log[..4096].to_vec();
    assert!(crate::ntfs::record::remove_fixups_from(&mut page, 0x1e));
    let mut put = |at: usize, value: &[u8]| page[at..at + value.len()].copy_from_slice(value);
    put(0x1a, &u16::from(crash.major == 1).to_le_bytes());
    put(0x1c, &crash.major.to_le_bytes());
    put(0x30, &crash.checkpoint.to_le_bytes());
    put(0x30 + 14, &0u16.to_le_bytes());
    put(0x70, &crash.oldest.to_le_bytes());
    put(0x78, &crash.checkpoint.to_le_bytes());
    apply_fixups(&mut page);
    page
}

impl Past {
    /// The last volume of an artifact.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (dir, file) = super::tests::unpacked(name)?;
        let mut disk = FileDevice::new(File::open(&file).unwrap()).unwrap();
        let table = crate::read_partitions(&mut disk).unwrap();
        let place = table.partitions.last().unwrap();
        let mut boot = [0; 512];
        disk.read_at(place.start, &mut boot).unwrap();
        let mut past = Self {
            file,
            start: place.start,
            len: place.len,
            geometry: Geometry::parse(&boot, place.len).unwrap(),
            log_at: Vec::new(),
            log: Vec::new(),
            records: Vec::new(),
            _dir: dir,
        };
        let mut ntfs = Ntfs::open(past.device()).unwrap();
        assert!(ntfs.guard().unwrap().is_none());
        assert_eq!(ntfs.check().unwrap().errors, Vec::<String>::new());
        let engine = &mut ntfs.engine;
        let inode = engine.inode(LOG_FILE).unwrap();
        let layout = engine.layout(&inode, kind::DATA, &[]).unwrap().unwrap();
        past.log = engine.read_layout(&layout, 256 << 20).unwrap();
        let crate::ntfs::stream::Layout::Runs { runs, .. } = &layout else { panic!() };
        let len = past.log.len();
        engine
            .transfer(runs, 0, len, |_, place, range| {
                past.log_at.push((place.unwrap(), range));
                Ok(())
            })
            .unwrap();
        past.read_records();
        Some(past)
    }

    /// The volume at its end; what is written stays in memory.
    pub(super) fn device(&self) -> SharedDevice {
        let disk = FileDevice::new(File::open(&self.file).unwrap()).unwrap();
        let mut staged =
            Staged::new(Box::new(crate::SubDevice::new(disk, self.start, self.len).unwrap()));
        staged.hold();
        SharedDevice::new(staged)
    }

    /// The log as Windows left it, taken as not carried out from a checkpoint on.
    pub(super) fn restart(&self, checkpoint: u64) -> Restart {
        let crash = Crash { last: 0, checkpoint, major: 1, end: End::InPlace, oldest: checkpoint };
        let mut log = self.log.clone();
        let page = restart_page(&self.log, &crash);
        log[..4096].copy_from_slice(&page);
        log[4096..8192].copy_from_slice(&page);
        match super::super::LogState::of(&log) {
            super::super::LogState::Unclean(restart) => *restart,
            other => panic!("{other:?}"),
        }
    }

    fn read_records(&mut self) {
        let first = first_number(&self.log);
        let log = Log::new(&self.restart(first), self.log.clone()).unwrap();
        let mut next = first;
        while let Some(record) = log.record(next) {
            next = record.next;
            self.records.push(record);
        }
        assert_eq!(self.records.last().unwrap().lsn, u64_at(&self.log, 0x30));
    }

    /// The numbers of the checkpoints that have tables.
    pub(super) fn checkpoints(&self) -> Vec<u64> {
        let all = self.records.iter().filter(|record| record.kind == Kind::Checkpoint);
        all.map(|record| record.lsn).collect()
    }

    /// The volume as a crash leaves it. `is_old` says of each cluster whether it is as old as the checkpoint allows.
    pub(super) fn crash(&self, crash: &Crash, is_old: &mut dyn FnMut(u64) -> bool) -> SharedDevice {
        let device = self.device();
        let mut whole = self.restart(self.records[0].lsn);
        let log = Log::new(&whole, self.log.clone()).unwrap();
        whole.current = self.records.last().unwrap().lsn;
        let analysis = Analysis::of(&log, &whole).unwrap();
        let allowed = Analysis::of(&log, &self.restart(crash.checkpoint)).unwrap();
        let mut shared = device.clone();
        let mut replay = Replay {
            device: &mut shared,
            geometry: &self.geometry,
            log: &log,
            analysis,
            told: Replayed::default(),
            written: Written::new(),
            taken_back: BTreeSet::new(),
        };
        let mut old: HashMap<u64, bool> = HashMap::new();
        for record in self.records.iter().rev().filter(|record| record.kind == Kind::Action) {
            let action = Action::parse(&record.data).unwrap();
            let Some(first) = action.lcns().next() else { continue };
            let floor = if record.lsn > crash.last {
                crash.last
            } else if *old.entry(first).or_insert_with(|| is_old(first)) {
                let owner = allowed.owner(action.attribute, record.lsn);
                let dirty =
                    owner.and_then(|owner| allowed.dirty(action.attribute, &owner, action.vcn));
                match dirty {
                    Some(dirty) if dirty.oldest <= crash.checkpoint => dirty.oldest - 1,
                    _ => crash.checkpoint,
                }
            } else {
                continue;
            };
            if record.lsn > floor {
                replay.rewind(record.lsn, crash.last, &action);
            }
        }
        self.write_log(&mut device.clone(), crash);
        device
    }

    /// The log, cut off behind the last record.
    fn write_log(&self, device: &mut SharedDevice, crash: &Crash) {
        let mut log = self.log.clone();
        let page = restart_page(&self.log, crash);
        log[..4096].copy_from_slice(&page);
        log[4096..8192].copy_from_slice(&page);
        log[8192..0x22000].fill(0xff);
        // Windows 10 begins its records where version 2.0 has them; in version 1.1 pages lie before.
        let first = log[0x22000..0x23000].to_vec();
        for slot in log[0x4000..0x22000].chunks_exact_mut(4096).filter(|_| crash.major == 1) {
            slot.copy_from_slice(&first);
        }
        let record = self.records.iter().find(|record| record.lsn == crash.last).unwrap();
        let next = self.records.iter().find(|record| record.lsn > crash.last);
        let mask = (1u64 << (64 - u32_at(&self.log, 0x40))) - 1;
        let begins = ((crash.last & mask) << 3) as usize;
        // Where it ends: before the next one, or with its page.
        let len = 0x30 + record.data.len();
        let (mut offset, mut within) = (begins & !4095, begins & 4095);
        let mut left = len;
        while within + left > 4096 {
            left -= 4096 - within;
            (offset, within) = (offset + 4096, 0x40);
        }
        let end = within + left;
        log[offset + 4096..].fill(0xff);
        if next.is_some() {
            let page = &mut log[offset..offset + 4096];
            assert!(remove_fixups(page));
            page[end..].fill(0);
            page[8..16].copy_from_slice(&crash.last.to_le_bytes());
            page[0x10] |= 1;
            page[0x18..0x1a].copy_from_slice(&(end as u16).next_multiple_of(8).to_le_bytes());
            page[0x20..0x28].copy_from_slice(&crash.last.to_le_bytes());
            apply_fixups(page);
        }
        if crash.end != End::InPlace {
            let mut copy = log[offset..offset + 4096].to_vec();
            assert!(remove_fixups(&mut copy));
            // By turns to the first and the second place.
            let slot = if crash.major == 1 { 0x3000 } else { 0x12000 };
            if crash.major == 1 {
                copy[8..16].copy_from_slice(&(offset as u64).to_le_bytes());
            } else {
                copy[0x3c..0x40].copy_from_slice(&(offset as u32).to_le_bytes());
            }
            apply_fixups(&mut copy);
            log[slot..slot + 4096].copy_from_slice(&copy);
            if crash.end == End::Both {
                log[0x2000..0x3000].copy_from_slice(&copy);
            }
            log[offset + 510] ^= if crash.end == End::Tail { 0x55 } else { 0 };
        }
        for (place, range) in &self.log_at {
            device.write_at(*place, &log[range.clone()]).unwrap();
        }
    }
}

impl Replay<'_> {
    /// Takes a step back, whoever made it: the block is then as new as the step before.
    fn rewind(&mut self, lsn: u64, last: u64, action: &Action<'_>) {
        let owner = self.analysis.owner(action.attribute, lsn).unwrap();
        let change = Change::undo(action);
        if !op::changes_a_page(change.operation) {
            // A block that was begun: what was there before is not known, and means nothing.
            if op::changes_a_page(action.redo)
                && let Target::Block(len, number) =
                    self.target(lsn, action, &owner, action.redo).unwrap()
            {
                self.rewind_block(lsn, last, action, len, number, None);
            }
            return;
        }
        match self.target(lsn, action, &owner, change.operation).unwrap() {
            Target::Block(len, number) => {
                self.rewind_block(lsn, last, action, len, number, Some(change));
            }
            Target::Bytes => {
                self.write_bytes(lsn, action, &owner, &change, false).unwrap();
            }
        }
    }

    fn rewind_block(
        &mut self,
        lsn: u64,
        last: u64,
        action: &Action<'_>,
        len: usize,
        number: u64,
        change: Option<Change<'_>>,
    ) {
        let operation = change.map_or(action.redo, |change| change.operation);
        let (at, is_record) = (action.cluster_offset, op::is_of_record(operation));
        let clusters = self.clusters(lsn, action, at, len).unwrap();
        // Beyond its beginning a block was somebody else's, of whom nothing is known.
        let place = clusters[0].1 * self.geometry.cluster + at as u64;
        let begun = change.is_none() || self.taken_back.contains(&place);
        if begun && change.is_some() && lsn <= last {
            return;
        }
        if begun {
            self.taken_back.insert(place);
        }
        let known = |change: &Change<'_>| !begun || change.operation == op::DEALLOCATE_RECORD;
        let change = change.filter(known);
        let Some(mut block) = self.block(&clusters, at, len, number, is_record).unwrap() else {
            assert!(begun, "the block of {lsn:#x} cannot be read");
            return;
        };
        // Times and sizes in an index are changed without a note in the block of how new it is.
        let is_noted = !matches!(operation, op::UPDATE_NAME_IN_ROOT | op::UPDATE_NAME_IN_BLOCK);
        let newest = u64_at(&block, 8);
        let stamp = if lsn > last { last } else { lsn - 1 };
        if newest < lsn && lsn <= last && is_noted && !begun {
            panic!("the block of {lsn:#x} is older: {:#x}", u64_at(&block, 8));
        }
        if let Some(change) = change {
            self.change_block(lsn, &change, &mut block, number, is_record).unwrap();
        }
        block[8..16].copy_from_slice(&newest.min(stamp).to_le_bytes());
        protect(&mut block).unwrap();
        self.write(&clusters, at, &block).unwrap();
    }
}

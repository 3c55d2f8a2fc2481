//! The second and the third pass: what may be missing is done again, what was not finished is taken back.
//!
//! A file record and an index block say in their head which record of the log they are as new as: what is not newer
//! is not done again. Bitmaps and other contents have no such mark; doing everything again in its order gives the same.
//!
//! Only clusters that the log itself names are written. A cluster that was given back later is left alone: it may be
//! somebody else's by now.

use super::analysis::Analysis;
use super::apply::{Change, begin_block, bits, change_block, change_record};
use super::operation as op;
use super::records::{Action, Kind, Log};
use super::restart::Restart;
use super::tables::OpenAttribute;
use crate::ntfs::boot::Geometry;
use crate::ntfs::engine::{BITMAP, BOOT, LOG_FILE, MFT};
use crate::ntfs::record::{NUMBER_MASK, apply_fixups, kind, remove_fixups, u16_at, u32_at, u64_at};
use crate::{BlockDevice, Reason, Replayed};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;

/// Longest index block, in bytes.
const MAX_BLOCK: u32 = 64 << 10;
/// Most steps that are taken back.
const MAX_UNDONE: u64 = 1_000_000;

/// Whose a cluster was when it was written: file reference, type of the attribute, place in it.
pub(super) type Written = BTreeMap<u64, (u64, u32, u64)>;

/// What was done.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) told: Replayed,
    pub(super) written: Written,
    /// The last number of the log.
    pub(super) last: u64,
}

/// A replay on its way.
struct Replay<'a> {
    device: &'a mut dyn BlockDevice,
    geometry: &'a Geometry,
    log: &'a Log,
    analysis: Analysis,
    told: Replayed,
    written: Written,
    /// Blocks of which something was taken back, by where they lie.
    taken_back: BTreeSet<u64>,
}

/// What a change is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A file record or an index block: bytes, and the number that it must have.
    Block(usize, u64),
    /// Bytes without a head.
    Bytes,
}

/// What is to be done with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Apply,
    Nothing,
}

/// Carries out the log on `device`.
pub(super) fn replay(
    device: &mut dyn BlockDevice,
    geometry: &Geometry,
    restart: &Restart,
    bytes: Vec<u8>,
) -> Result<Done, Reason> {
    let log = Log::new(restart, bytes).map_err(Reason::Damaged)?;
    let analysis = Analysis::of(&log, restart).map_err(Reason::Damaged)?;
    let last = analysis.last;
    let mut replay = Replay {
        device,
        geometry,
        log: &log,
        analysis,
        told: Replayed::default(),
        written: Written::new(),
        taken_back: BTreeSet::new(),
    };
    replay.redo_all()?;
    replay.undo_all()?;
    Ok(Done { told: replay.told, written: replay.written, last })
}

fn refused(lsn: u64, why: &str) -> Reason {
    Reason::Damaged(format!("the record {lsn:#x}: {why}"))
}

impl Replay<'_> {
    fn redo_all(&mut self) -> Result<(), Reason> {
        let Some(mut next) = self.analysis.start() else { return Ok(()) };
        if self.log.record(next).is_none() {
            return Err(refused(next, "the first change that may be missing cannot be read"));
        }
        while let Some(record) = self.log.record(next) {
            next = record.next;
            if record.kind != Kind::Action {
                continue;
            }
            let lsn = record.lsn;
            let action = Action::parse(&record.data).ok_or(refused(lsn, "it is malformed"))?;
            if !op::is_known(action.redo) {
                return Err(refused(lsn, "it asks for an operation that is not known here"));
            }
            if action.lcns().len() > 0 && op::changes_a_page(action.redo) {
                self.redo(lsn, &action)?;
            }
        }
        Ok(())
    }

    fn redo(&mut self, lsn: u64, action: &Action<'_>) -> Result<(), Reason> {
        // What was open before the last checkpoint, and not at it, has no page to be written.
        let Some(owner) = self.analysis.owner(action.attribute, lsn) else { return Ok(()) };
        let change = Change::redo(action);
        let done = match self.target(lsn, action, &owner, change.operation)? {
            Target::Block(len, number) => {
                let clusters = self.clusters(lsn, action, action.cluster_offset, len)?;
                if self.needs(lsn, action, &owner, &clusters)?.contains(&Need::Apply) {
                    self.redo_block(lsn, action, &change, len, number)?
                } else {
                    false
                }
            }
            Target::Bytes => self.write_bytes(lsn, action, &owner, &change, true)?,
        };
        if done {
            self.told.redone += 1;
            self.note(action, &owner);
        }
        Ok(())
    }

    /// What a change is done to, if that fits what was open.
    fn target(
        &self,
        lsn: u64,
        action: &Action<'_>,
        owner: &OpenAttribute,
        operation: u16,
    ) -> Result<Target, Reason> {
        let (file, cluster) = (owner.file & NUMBER_MASK, self.geometry.cluster);
        let start = action.vcn.checked_mul(cluster);
        let start = start.and_then(|start| start.checked_add(action.cluster_offset as u64));
        let start = start.ok_or(refused(lsn, "it lies at no place"))?;
        if op::is_of_record(operation) {
            let record = self.geometry.record;
            if file != MFT || owner.kind != kind::DATA || start % record as u64 != 0 {
                return Err(refused(lsn, "a change of a file record does not lie in $MFT"));
            }
            return Ok(Target::Block(record, start / record as u64));
        }
        let indexed = owner.kind == kind::INDEX_ALLOCATION;
        if op::is_of_block(operation) || (operation == op::UPDATE_NONRESIDENT && indexed) {
            let block = owner.block;
            if !indexed || !(512..=MAX_BLOCK).contains(&block) || !block.is_power_of_two() {
                return Err(refused(lsn, "a change of an index does not lie in one"));
            }
            let unit = if u64::from(block) < cluster { 512 } else { cluster };
            return Ok(Target::Block(block as usize, start / unit));
        }
        let bitmap = owner.kind == kind::BITMAP || (file == BITMAP && owner.kind == kind::DATA);
        let fits = match operation {
            op::UPDATE_NONRESIDENT => {
                !matches!(file, LOG_FILE | BOOT) && (file != MFT || owner.kind != kind::DATA)
            }
            _ => bitmap,
        };
        if fits {
            Ok(Target::Bytes)
        } else {
            Err(refused(lsn, "it changes the contents of a file that has no such contents"))
        }
    }

    /// Which clusters of the action `len` bytes from `at` lie in.
    fn clusters(
        &self,
        lsn: u64,
        action: &Action<'_>,
        at: usize,
        len: usize,
    ) -> Result<Vec<(u64, u64)>, Reason> {
        let cluster = self.geometry.cluster as usize;
        let (first, end) = (at / cluster, (at + len).div_ceil(cluster));
        let lcns = action.lcns();
        if end > lcns.len() || len == 0 {
            return Err(refused(lsn, "it changes more than the clusters that it names"));
        }
        let mut clusters = Vec::new();
        for (index, lcn) in lcns.enumerate().take(end).skip(first) {
            if lcn >= self.geometry.clusters {
                return Err(refused(lsn, "it names a cluster outside of the volume"));
            }
            clusters.push((action.vcn + index as u64, lcn));
        }
        Ok(clusters)
    }

    /// For each cluster, whether the change may be missing there.
    fn needs(
        &self,
        lsn: u64,
        action: &Action<'_>,
        owner: &OpenAttribute,
        clusters: &[(u64, u64)],
    ) -> Result<Vec<Need>, Reason> {
        let need = |&(vcn, lcn): &(u64, u64)| {
            if self.analysis.is_freed(lcn, lsn) {
                return Ok(Need::Nothing);
            }
            match self.analysis.dirty(action.attribute, owner, vcn) {
                None => Ok(Need::Nothing),
                Some(dirty) if lsn < dirty.oldest || dirty.lcn == 0 => Ok(Need::Nothing),
                Some(dirty) if dirty.lcn != lcn => {
                    Err(refused(lsn, "what it changes was moved later, and nothing says when"))
                }
                Some(_) => Ok(Need::Apply),
            }
        };
        clusters.iter().map(need).collect()
    }

    /// Reads the bytes of an action's clusters.
    fn read(
        &mut self,
        clusters: &[(u64, u64)],
        at: usize,
        buffer: &mut [u8],
    ) -> Result<(), Reason> {
        let cluster = self.geometry.cluster as usize;
        let mut within = at % cluster;
        let mut done = 0;
        for &(_, lcn) in clusters {
            let count = (cluster - within).min(buffer.len() - done);
            let place = lcn * cluster as u64 + within as u64;
            let part = &mut buffer[done..done + count];
            self.device.read_at(place, part).map_err(Reason::Device)?;
            (done, within) = (done + count, 0);
        }
        Ok(())
    }

    fn write(&mut self, clusters: &[(u64, u64)], at: usize, bytes: &[u8]) -> Result<(), Reason> {
        let cluster = self.geometry.cluster as usize;
        let mut within = at % cluster;
        let mut done = 0;
        for &(_, lcn) in clusters {
            let count = (cluster - within).min(bytes.len() - done);
            let place = lcn * cluster as u64 + within as u64;
            let part = &bytes[done..done + count];
            self.device.write_at(place, part).map_err(Reason::Device)?;
            (done, within) = (done + count, 0);
        }
        Ok(())
    }

    /// The file record or index block, its update sequence undone; `None` if there is none with this number.
    fn block(
        &mut self,
        clusters: &[(u64, u64)],
        at: usize,
        len: usize,
        number: u64,
        is_record: bool,
    ) -> Result<Option<Vec<u8>>, Reason> {
        let mut block = vec![0; len];
        self.read(clusters, at, &mut block)?;
        if !block.starts_with(if is_record { b"FILE" } else { b"INDX" })
            || !remove_fixups(&mut block)
        {
            return Ok(None);
        }
        let own = if is_record {
            // Before Windows XP a record did not say which it is.
            u16_at(&block, 4) < 0x30 || u32_at(&block, 0x2c) == number as u32
        } else {
            u64_at(&block, 0x10) == number
        };
        Ok(own.then_some(block))
    }

    /// Carries a change of a block out if it is not in it yet. True if it was done.
    fn redo_block(
        &mut self,
        lsn: u64,
        action: &Action<'_>,
        change: &Change<'_>,
        len: usize,
        number: u64,
    ) -> Result<bool, Reason> {
        let is_record = op::is_of_record(change.operation);
        let clusters = self.clusters(lsn, action, action.cluster_offset, len)?;
        let at = action.cluster_offset;
        let mut block = match self.block(&clusters, at, len, number, is_record)? {
            Some(block) => {
                let newest = u64_at(&block, 8);
                if newest > self.analysis.last + 1 {
                    return Err(refused(
                        lsn,
                        "what it changes is newer on the volume than the end of the log",
                    ));
                }
                if newest >= lsn {
                    return Ok(false);
                }
                block
            }
            None if change.is_initial() => vec![0; len],
            None => {
                return Err(refused(lsn, "what it changes cannot be read on the volume"));
            }
        };
        self.change_block(lsn, change, &mut block, number, is_record)?;
        block[8..16].copy_from_slice(&lsn.to_le_bytes());
        protect(&mut block).map_err(|why| refused(lsn, why))?;
        self.write(&clusters, at, &block)?;
        Ok(true)
    }

    fn change_block(
        &self,
        lsn: u64,
        change: &Change<'_>,
        block: &mut [u8],
        number: u64,
        is_record: bool,
    ) -> Result<(), Reason> {
        let done = if is_record {
            change_record(block, change, self.geometry.clusters)
        } else if change.operation == op::UPDATE_NONRESIDENT {
            begin_block(block, change).and_then(|()| match u64_at(block, 0x10) == number {
                true => Ok(()),
                false => Err("an index block is begun that belongs elsewhere"),
            })
        } else {
            change_block(block, change)
        };
        done.map_err(|why| refused(lsn, why))
    }

    /// Writes what has no head: contents, and bits of bitmaps. True if something was written.
    fn write_bytes(
        &mut self,
        lsn: u64,
        action: &Action<'_>,
        owner: &OpenAttribute,
        change: &Change<'_>,
        redo: bool,
    ) -> Result<bool, Reason> {
        if change.attribute_offset != 0 {
            return Err(refused(lsn, "contents are changed at an unclear place"));
        }
        let base = action.cluster_offset + change.record_offset;
        let (at, len, bits) = if change.operation == op::UPDATE_NONRESIDENT {
            (base, change.data.len(), None)
        } else {
            let (first, count) = bits(change).map_err(|why| refused(lsn, why))?;
            let end = (first + count).div_ceil(8) - first / 8;
            (base + (first / 8) as usize, end as usize, Some((first % 8, count)))
        };
        if len == 0 {
            return Ok(false);
        }
        let clusters = self.clusters(lsn, action, at, len)?;
        let needs = if redo {
            self.needs(lsn, action, owner, &clusters)?
        } else {
            self.undoable(lsn, action, owner, &clusters)?;
            vec![Need::Apply; clusters.len()]
        };
        if !needs.contains(&Need::Apply) {
            return Ok(false);
        }
        let mut bytes = vec![0; len];
        self.read(&clusters, at, &mut bytes)?;
        let old = bytes.clone();
        match bits {
            None => bytes.copy_from_slice(change.data),
            Some((first, count)) => {
                for bit in first..first + count {
                    let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
                    match change.operation {
                        op::SET_BITS => bytes[byte] |= mask,
                        _ => bytes[byte] &= !mask,
                    }
                }
            }
        }
        // Where the change is on the disk already, or not to be done any more, everything stays as it is.
        let cluster = self.geometry.cluster as usize;
        let mut start = 0;
        for (index, need) in needs.iter().enumerate() {
            let count = (cluster - if index == 0 { at % cluster } else { 0 }).min(len - start);
            if *need == Need::Nothing {
                bytes[start..start + count].copy_from_slice(&old[start..start + count]);
            }
            start += count;
        }
        self.write(&clusters, at, &bytes)?;
        Ok(true)
    }

    /// Notes whose the clusters of a change are.
    fn note(&mut self, action: &Action<'_>, owner: &OpenAttribute) {
        for (index, lcn) in action.lcns().enumerate() {
            let vcn = action.vcn + index as u64;
            self.written.insert(lcn, (owner.file, owner.kind, vcn));
        }
    }

    /// Takes back what was not finished, the newest step first.
    fn undo_all(&mut self) -> Result<(), Reason> {
        let unfinished = self.analysis.unfinished().map_err(Reason::Damaged)?;
        let mut steps: BinaryHeap<u64> = unfinished.into_iter().collect();
        let (mut count, mut undone) = (0, 0);
        while let Some(lsn) = steps.pop() {
            let record = self.log.record(lsn).filter(|record| record.kind == Kind::Action);
            let record = record.ok_or(refused(lsn, "a step to take back cannot be read"))?;
            count += 1;
            if count > MAX_UNDONE || record.undo_next >= lsn {
                return Err(refused(lsn, "the steps to take back go in a circle"));
            }
            let action = Action::parse(&record.data).ok_or(refused(lsn, "it is malformed"))?;
            if !op::is_known(action.undo) {
                return Err(refused(lsn, "it asks for an operation that is not known here"));
            }
            if op::changes_a_page(action.undo) && self.undo(lsn, &action)? {
                undone += 1;
            }
            if record.undo_next > 0 {
                steps.push(record.undo_next);
            }
        }
        self.told.undone = undone;
        Ok(())
    }

    fn undo(&mut self, lsn: u64, action: &Action<'_>) -> Result<bool, Reason> {
        let owner = self.analysis.owner(action.attribute, lsn);
        let owner = owner.ok_or(refused(lsn, "it changed something that was not open"))?;
        let change = Change::undo(action);
        let done = match self.target(lsn, action, &owner, change.operation)? {
            Target::Block(len, number) => self.undo_block(lsn, action, &owner, len, number)?,
            Target::Bytes => self.write_bytes(lsn, action, &owner, &change, false)?,
        };
        if done {
            self.note(action, &owner);
        }
        Ok(done)
    }

    /// A step is taken back where it was done: neither moved nor given back since.
    fn undoable(
        &self,
        lsn: u64,
        action: &Action<'_>,
        owner: &OpenAttribute,
        clusters: &[(u64, u64)],
    ) -> Result<(), Reason> {
        for &(vcn, lcn) in clusters {
            let moved = self.analysis.dirty(action.attribute, owner, vcn);
            if self.analysis.is_freed(lcn, lsn) || moved.is_some_and(|dirty| dirty.lcn != lcn) {
                return Err(refused(lsn, "what is to be taken back was given back since"));
            }
        }
        Ok(())
    }

    fn undo_block(
        &mut self,
        lsn: u64,
        action: &Action<'_>,
        owner: &OpenAttribute,
        len: usize,
        number: u64,
    ) -> Result<bool, Reason> {
        let change = Change::undo(action);
        let is_record = op::is_of_record(change.operation);
        let at = action.cluster_offset;
        let clusters = self.clusters(lsn, action, at, len)?;
        self.undoable(lsn, action, owner, &clusters)?;
        let block = self.block(&clusters, at, len, number, is_record)?;
        let mut block = match block {
            Some(block) => block,
            None if change.is_initial() => vec![0; len],
            None => return Err(refused(lsn, "what it changed cannot be read on the volume")),
        };
        // A replay of this log that was cut off has left its mark: everything was taken back here.
        let mark = self.analysis.last + 1;
        let place = clusters[0].1 * self.geometry.cluster + (at as u64 % self.geometry.cluster);
        if !self.taken_back.contains(&place) && u64_at(&block, 8) == mark {
            return Ok(false);
        }
        self.taken_back.insert(place);
        self.change_block(lsn, &change, &mut block, number, is_record)?;
        block[8..16].copy_from_slice(&mark.to_le_bytes());
        protect(&mut block).map_err(|why| refused(lsn, why))?;
        self.write(&clusters, at, &block)?;
        Ok(true)
    }
}

/// Puts an update sequence in, if there is a place for it.
fn protect(block: &mut [u8]) -> Result<(), &'static str> {
    let (at, count) = (usize::from(u16_at(block, 4)), usize::from(u16_at(block, 6)));
    if at < 0x28 || !at.is_multiple_of(2) || count != block.len() / 512 + 1 || at + 2 * count > 510
    {
        return Err("its update sequence lies at an impossible place");
    }
    apply_fixups(block);
    Ok(())
}

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
use crate::ntfs::record::u64_at;
use crate::{BlockDevice, Reason, Replayed};
use places::{Need, Target, protect};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

mod places;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod tests;

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
                let needs = self.needs(lsn, action, &owner, &clusters)?;
                let wanted = needs.contains(&Need::Apply) && !needs.contains(&Need::Gone);
                let done = wanted && self.redo_block(lsn, action, &change, len, number)?;
                if done {
                    self.note(&clusters, &owner);
                }
                done
            }
            Target::Bytes => self.write_bytes(lsn, action, &owner, &change, true)?,
        };
        self.told.redone += u64::from(done);
        Ok(())
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
            if *need != Need::Apply {
                bytes[start..start + count].copy_from_slice(&old[start..start + count]);
            }
            start += count;
        }
        self.write(&clusters, at, &bytes)?;
        let written = clusters.into_iter().zip(&needs).filter(|(_, need)| **need == Need::Apply);
        let written: Vec<_> = written.map(|(cluster, _)| cluster).collect();
        self.note(&written, owner);
        Ok(true)
    }

    /// Notes whose the clusters are that were written.
    fn note(&mut self, clusters: &[(u64, u64)], owner: &OpenAttribute) {
        for &(vcn, lcn) in clusters {
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
        match self.target(lsn, action, &owner, change.operation)? {
            Target::Block(len, number) => self.undo_block(lsn, action, &owner, len, number),
            Target::Bytes => self.write_bytes(lsn, action, &owner, &change, false),
        }
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
        self.note(&clusters, owner);
        Ok(true)
    }
}

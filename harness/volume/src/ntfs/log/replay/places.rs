//! Where a change belongs, and what lies there.

use super::{Replay, refused};
use crate::Reason;
use crate::ntfs::engine::{BITMAP, BOOT, LOG_FILE, MFT};
use crate::ntfs::log::operation as op;
use crate::ntfs::log::records::Action;
use crate::ntfs::log::tables::OpenAttribute;
use crate::ntfs::record::{NUMBER_MASK, apply_fixups, kind, remove_fixups, u16_at, u32_at, u64_at};

/// Longest index block, in bytes.
const MAX_BLOCK: u32 = 64 << 10;

/// What a change is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// A file record or an index block: bytes, and the number that it must have.
    Block(usize, u64),
    /// Bytes without a head.
    Bytes,
}

/// What is to be done with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Apply,
    /// It is on the disk.
    Nothing,
    /// The cluster was given back since, and may be somebody else's.
    Gone,
}

impl Replay<'_> {
    /// What a change is done to, if that fits what was open.
    pub(super) fn target(
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
    pub(super) fn clusters(
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
            // The boot sector lies in the first.
            if lcn == 0 || lcn >= self.geometry.clusters {
                return Err(refused(lsn, "it names a cluster that it cannot mean"));
            }
            clusters.push((action.vcn + index as u64, lcn));
        }
        Ok(clusters)
    }

    /// For each cluster, whether the change may be missing there.
    pub(super) fn needs(
        &self,
        lsn: u64,
        action: &Action<'_>,
        owner: &OpenAttribute,
        clusters: &[(u64, u64)],
    ) -> Result<Vec<Need>, Reason> {
        let need = |&(vcn, lcn): &(u64, u64)| {
            if self.analysis.is_freed(lcn, lsn) {
                return Ok(Need::Gone);
            }
            match self.analysis.dirty(action.attribute, owner, vcn) {
                None => Ok(Need::Nothing),
                Some(dirty) if lsn < dirty.oldest => Ok(Need::Nothing),
                Some(dirty) if dirty.lcn == 0 => Ok(Need::Gone),
                Some(dirty) if dirty.lcn != lcn => {
                    Err(refused(lsn, "what it changes was moved later, and nothing says when"))
                }
                Some(_) => Ok(Need::Apply),
            }
        };
        clusters.iter().map(need).collect()
    }

    /// Reads the bytes of an action's clusters.
    pub(super) fn read(
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

    pub(super) fn write(
        &mut self,
        clusters: &[(u64, u64)],
        at: usize,
        bytes: &[u8],
    ) -> Result<(), Reason> {
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
    pub(super) fn block(
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

    /// A step is taken back where it was done: neither moved nor given back since.
    pub(super) fn undoable(
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
}

/// Puts an update sequence in, if there is a place for it.
pub(super) fn protect(block: &mut [u8]) -> Result<(), &'static str> {
    let (at, count) = (usize::from(u16_at(block, 4)), usize::from(u16_at(block, 6)));
    if at < 0x28 || !at.is_multiple_of(2) || count != block.len() / 512 + 1 || at + 2 * count > 510
    {
        return Err("its update sequence lies at an impossible place");
    }
    apply_fixups(block);
    Ok(())
}

//! Which clusters and which records are taken.
//!
//! Bitmaps are kept in memory and written through: a bit is set on the device before anything
//! refers to what it stands for, and cleared after nothing does. A power cut in between leaves
//! clusters that nobody uses, never clusters that two files use.

use super::engine::{BITMAP, Engine, MFT};
use super::record::{Record, Sizes, kind};
use super::runs::{self, Run};
use super::stream::Layout;
use crate::Reason;

/// Largest bitmap that is read: 64 MiB stand for 2 TiB in clusters of 4 KiB.
const MAX_BITMAP: u64 = 64 << 20;
/// Bytes that are written around a changed bit.
const GRAIN: usize = 512;

/// A bitmap and where it lies.
pub(super) struct Bitmap {
    bits: Vec<u8>,
    /// Number of things that there are; bits beyond stand for nothing.
    count: u64,
    layout: Layout,
    /// Where to look for free clusters next.
    hint: u64,
}

impl Bitmap {
    fn is_set(&self, index: u64) -> bool {
        self.bits[(index / 8) as usize] & 1 << (index % 8) != 0
    }

    /// True of what is there and taken.
    pub(super) fn has(&self, index: u64) -> bool {
        index < self.count && self.is_set(index)
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The first set bit at or after `from`.
    pub(super) fn find_taken(&self, from: u64) -> Option<u64> {
        let mut index = from;
        while index < self.count {
            if index.is_multiple_of(8) && self.bits[(index / 8) as usize] == 0 {
                index += 8;
            } else if self.is_set(index) {
                return Some(index);
            } else {
                index += 1;
            }
        }
        None
    }

    /// The bits that are not as in an earlier state of the bitmap, those beyond the last thing too. What one
    /// of both does not have is clear there.
    pub(super) fn differences(&self, earlier: &Self) -> impl Iterator<Item = u64> {
        let part = |bits: &'_ [u8], number: usize| -> [u8; GRAIN] {
            let mut part = [0; GRAIN];
            let rest = bits.get(number * GRAIN..).unwrap_or_default();
            let len = rest.len().min(GRAIN);
            part[..len].copy_from_slice(&rest[..len]);
            part
        };
        let parts = self.bits.len().max(earlier.bits.len()).div_ceil(GRAIN);
        (0..parts).flat_map(move |number| {
            let (one, other) = (part(&self.bits, number), part(&earlier.bits, number));
            let bits = if one == other { 0 } else { GRAIN as u64 * 8 };
            (0..bits)
                .filter(move |bit| {
                    let at = (bit / 8) as usize;
                    (one[at] ^ other[at]) & 1 << (bit % 8) != 0
                })
                .map(move |bit| number as u64 * GRAIN as u64 * 8 + bit)
        })
    }

    /// The first clear bit at or after `from`.
    pub(super) fn find_free(&self, from: u64) -> Option<u64> {
        let mut index = from;
        while index < self.count {
            if index.is_multiple_of(8) && self.bits[(index / 8) as usize] == 0xff {
                index += 8;
            } else if self.is_set(index) {
                index += 1;
            } else {
                return Some(index);
            }
        }
        None
    }

    /// Number of clear bits.
    fn free(&self) -> u64 {
        let set: u64 = self.bits.iter().map(|byte| u64::from(byte.count_ones())).sum();
        let padding = self.bits.len() as u64 * 8 - self.count;
        let set_padding =
            (self.count..self.count + padding).filter(|&bit| self.is_set(bit)).count();
        self.count - (set - set_padding as u64)
    }

    /// How many clear bits follow from `start`, at most `limit`.
    fn free_len(&self, start: u64, limit: u64) -> u64 {
        let end = self.count.min(start.saturating_add(limit));
        let mut index = start;
        while index < end && !self.is_set(index) {
            index +=
                if index.is_multiple_of(8) && self.bits[(index / 8) as usize] == 0 { 8 } else { 1 };
        }
        index.min(end) - start
    }

    /// The free runs for `wanted` clusters: one in one piece if there is one, else the first that
    /// there are. Starts to look at `from`.
    fn choose(&self, wanted: u64, from: u64) -> Option<Vec<Run>> {
        let mut pieces: Vec<Run> = Vec::new();
        let mut collected = 0;
        for (start, end) in [(from, self.count), (0, from)] {
            let mut index = start;
            while let Some(free) = self.find_free(index).filter(|&free| free < end) {
                let len = self.free_len(free, wanted).min(end - free);
                if len == wanted {
                    return Some(vec![Run { lcn: Some(free), len }]);
                }
                if collected < wanted {
                    let part = len.min(wanted - collected);
                    pieces.push(Run { lcn: Some(free), len: part });
                    collected += part;
                }
                index = free + len;
            }
        }
        (collected == wanted).then_some(pieces)
    }

    fn change(&mut self, start: u64, len: u64, taken: bool) {
        for index in start..start + len {
            let mask = 1 << (index % 8);
            let byte = &mut self.bits[(index / 8) as usize];
            if taken { *byte |= mask } else { *byte &= !mask }
        }
    }

    /// The bytes to write after the bits of a run have changed: where, and from where to where.
    fn grain(&self, start: u64, len: u64) -> std::ops::Range<usize> {
        let first = (start / 8) as usize / GRAIN * GRAIN;
        let end = ((start + len).div_ceil(8) as usize).next_multiple_of(GRAIN);
        first..end.min(self.bits.len())
    }
}

impl Engine {
    fn load_bitmap(&mut self, number: u64, kind: u32, count: u64) -> Result<Bitmap, Reason> {
        let inode = self.inode(number)?;
        let layout = self
            .layout(&inode, kind, &[])?
            .ok_or_else(|| Reason::Damaged(format!("file record {number} has no bitmap")))?;
        let bits = self.read_layout(&layout, MAX_BITMAP)?;
        if (bits.len() as u64) < count.div_ceil(8) {
            return Err(Reason::Damaged("a bitmap is too short".to_owned()));
        }
        Ok(Bitmap { bits, count, layout, hint: 0 })
    }

    fn cluster_bitmap(&mut self) -> Result<&mut Bitmap, Reason> {
        if self.clusters.is_none() {
            self.clusters = Some(self.load_cluster_bitmap()?);
        }
        Ok(self.clusters.as_mut().expect("just read"))
    }

    /// Which clusters are taken, read anew.
    pub(super) fn load_cluster_bitmap(&mut self) -> Result<Bitmap, Reason> {
        self.load_bitmap(BITMAP, kind::DATA, self.geometry.clusters)
    }

    /// Before the first change: what is free then need not be kept when it is overwritten.
    pub(super) fn keep_map(&mut self) -> Result<(), Reason> {
        let Some(changes) = self.device.changes().filter(|one| !one.has_map()).cloned() else {
            return Ok(());
        };
        let cluster = self.geometry.cluster;
        changes.set_map(cluster, self.cluster_bitmap()?.bits.clone());
        Ok(())
    }

    pub(super) fn record_bitmap(&mut self) -> Result<&mut Bitmap, Reason> {
        if self.records.is_none() {
            self.records = Some(self.load_record_bitmap()?);
        }
        Ok(self.records.as_mut().expect("just read"))
    }

    /// Which records are taken, read anew.
    pub(super) fn load_record_bitmap(&mut self) -> Result<Bitmap, Reason> {
        let count = self.record_count();
        let mut bitmap = self.load_bitmap(MFT, kind::BITMAP, 0)?;
        bitmap.count = count.min(bitmap.bits.len() as u64 * 8);
        Ok(bitmap)
    }

    /// Marks what the map of clusters has beyond the last cluster as taken, as Windows and `mkntfs` do
    /// with a fresh volume; `fstool` leaves it free, which `ntfsresize` takes for damage.
    pub(super) fn close_bitmap(&mut self) -> Result<(), Reason> {
        let bitmap = self.cluster_bitmap()?;
        let (count, all) = (bitmap.count, bitmap.bits.len() as u64 * 8);
        bitmap.change(count, all - count, true);
        let range = bitmap.grain(count, all - count);
        let bytes = bitmap.bits[range.clone()].to_vec();
        let layout = bitmap.layout.clone();
        self.write_layout(&layout, range.start as u64, &bytes)
    }

    pub(super) fn free_clusters_count(&mut self) -> Result<u64, Reason> {
        Ok(self.cluster_bitmap()?.free())
    }

    /// Takes clusters, in one piece where there is one, after `near` where it is free. The bits are
    /// on the device when this returns.
    pub(super) fn allocate_clusters(
        &mut self,
        count: u64,
        near: Option<Run>,
    ) -> Result<Vec<Run>, Reason> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let bitmap = self.cluster_bitmap()?;
        let after = near.and_then(|run| Some(run.lcn? + run.len)).filter(|&at| at < bitmap.count);
        let from = after.unwrap_or(bitmap.hint);
        let mut chosen = None;
        if let Some(at) = after {
            // A file that grows stays in one piece where it can.
            let len = bitmap.free_len(at, count);
            if len == count {
                chosen = Some(vec![Run { lcn: Some(at), len }]);
            }
        }
        let chosen = chosen.or_else(|| bitmap.choose(count, from)).ok_or(Reason::Full)?;
        if let Some(&Run { lcn: Some(lcn), len }) = chosen.last() {
            bitmap.hint = if lcn + len < bitmap.count { lcn + len } else { 0 };
        }
        self.mark_clusters(&chosen, true)?;
        Ok(chosen)
    }

    /// Gives clusters back. Holes are passed over.
    pub(super) fn free_clusters(&mut self, freed: &[Run]) -> Result<(), Reason> {
        self.mark_clusters(freed, false)?;
        let bitmap = self.cluster_bitmap()?;
        if let Some(lowest) = freed.iter().filter_map(|run| run.lcn).min() {
            bitmap.hint = bitmap.hint.min(lowest);
        }
        Ok(())
    }

    fn mark_clusters(&mut self, changed: &[Run], taken: bool) -> Result<(), Reason> {
        for run in changed {
            let Some(lcn) = run.lcn else { continue };
            let bitmap = self.cluster_bitmap()?;
            bitmap.change(lcn, run.len, taken);
            let range = bitmap.grain(lcn, run.len);
            let bytes = bitmap.bits[range.clone()].to_vec();
            let layout = bitmap.layout.clone();
            self.write_layout(&layout, range.start as u64, &bytes)?;
        }
        Ok(())
    }

    pub(super) fn set_record_bit(&mut self, number: u64, taken: bool) -> Result<(), Reason> {
        let bitmap = self.record_bitmap()?;
        if number >= bitmap.count {
            return Err(Reason::Damaged("the bitmap of $MFT is too short".to_owned()));
        }
        bitmap.change(number, 1, taken);
        let range = bitmap.grain(number, 1);
        let bytes = bitmap.bits[range.clone()].to_vec();
        let layout = bitmap.layout.clone();
        self.write_layout(&layout, range.start as u64, &bytes)
    }

    /// Makes the bitmap of `$MFT` long enough for `count` records. `base` is record 0, which the
    /// caller writes.
    pub(super) fn grow_record_bitmap(
        &mut self,
        base: &mut Record,
        count: u64,
    ) -> Result<(), Reason> {
        let needed = count.div_ceil(8).next_multiple_of(8);
        let cluster = self.geometry.cluster;
        let bitmap = base
            .find_mut(kind::BITMAP, &[])
            .filter(|bitmap| !bitmap.is_resident())
            .ok_or_else(|| Reason::Unsupported("a resident bitmap of $MFT".to_owned()))?;
        let mut sizes = bitmap.sizes();
        if needed <= sizes.initialized {
            return Ok(());
        }
        let mut bitmap_runs = bitmap.runs(self.geometry.clusters)?;
        if needed > sizes.allocated {
            let missing = (needed - sizes.allocated).div_ceil(cluster);
            for run in self.allocate_clusters(missing, bitmap_runs.last().copied())? {
                runs::push(&mut bitmap_runs, run);
            }
        }
        // What lies there may be anything: it becomes free records.
        let zeros = vec![0; (needed - sizes.initialized) as usize];
        self.write_runs(&bitmap_runs, sizes.initialized, &zeros)?;
        sizes = Sizes {
            allocated: runs::total(&bitmap_runs) * cluster,
            real: needed.max(sizes.real),
            initialized: needed,
        };
        let bitmap = base.find_mut(kind::BITMAP, &[]).expect("found above");
        bitmap.set_runs(&bitmap_runs);
        bitmap.set_sizes(sizes);
        Ok(())
    }
}

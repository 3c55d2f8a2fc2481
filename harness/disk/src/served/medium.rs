//! What a served disk does: a drive with a volatile write cache, that can fail, and lose its power. Pure but for
//! the device below.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::ops::Range;
use std::time::Duration;

use volume::BlockDevice;

use super::protocol::{Answer, Request};

/// Linux's numbers, which are NBD's.
const EIO: u32 = 5;
const ENOSPC: u32 = 28;
/// What a drive of today writes whole or not at all: a physical sector of 4 KiB.
pub(super) const PHYSICAL_SECTOR: u64 = 4096;
/// What a qcow2 overlay takes of the host at a time.
const HOST_CLUSTER: u64 = 64 << 10;
/// The drive's cache. Beyond it the oldest writes reach the medium, as in any drive.
const CACHE_BYTES: usize = 32 << 20;
const CACHE_WRITES: usize = 4096;

/// What becomes of what was written and not flushed, when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unflushed {
    /// All of it is on the disk.
    Kept,
    /// None of it is.
    Lost,
    /// Of each write the seed says whether it is there, and of one only the first physical sectors are.
    Torn,
}

/// What is wrong between a machine and its disk. Ranges are bytes of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskTrouble {
    /// Reads that touch these bytes fail (EIO).
    ReadError(Vec<Range<u64>>),
    /// Writes that touch them fail (EIO).
    WriteError(Vec<Range<u64>>),
    /// Each request takes so much longer.
    Slow(Duration),
    /// Writes to where the machine has not written yet fail (ENOSPC): the host has no room for more.
    Full,
}

/// A power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Writes of the machine since it was first switched on.
    pub writes: u64,
    /// How many of them had not been flushed.
    pub unflushed: usize,
    /// How many of these are wholly on the disk.
    pub kept: usize,
    /// How many are there in part.
    pub torn: usize,
}

impl Cut {
    /// How many are not there at all.
    pub fn lost(&self) -> usize {
        self.unflushed - self.kept - self.torn
    }
}

#[derive(Debug, Clone, Copy)]
struct PlannedCut {
    at: u64,
    unflushed: Unflushed,
    seed: u64,
}

struct Write {
    offset: u64,
    data: Vec<u8>,
}

/// The disk.
pub(super) struct Medium {
    device: Box<dyn BlockDevice>,
    /// Oldest first.
    cache: VecDeque<Write>,
    cached: usize,
    troubles: BTreeMap<String, DiskTrouble>,
    /// Clusters of the host that the machine has written to.
    taken: BTreeSet<u64>,
    writes: u64,
    planned: Option<PlannedCut>,
    powered: bool,
    /// What the device below could not do, until it is told. Only the first: one is enough.
    failure: Option<io::Error>,
    has_failed: bool,
}

impl Medium {
    pub(super) fn new(device: Box<dyn BlockDevice>) -> Self {
        Self {
            device,
            cache: VecDeque::new(),
            cached: 0,
            troubles: BTreeMap::new(),
            taken: BTreeSet::new(),
            writes: 0,
            planned: None,
            powered: true,
            failure: None,
            has_failed: false,
        }
    }

    /// The first error of the device below, where it was not taken yet.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    fn failed(&mut self, error: io::Error) -> Answer {
        let number = error.raw_os_error().and_then(|number| u32::try_from(number).ok());
        if !std::mem::replace(&mut self.has_failed, true) {
            self.failure = Some(error);
        }
        Answer::Failed(number.unwrap_or(EIO))
    }

    pub(super) fn trouble(&mut self, name: &str, trouble: DiskTrouble) {
        self.troubles.insert(name.to_owned(), trouble);
    }

    pub(super) fn lift(&mut self, name: &str) {
        self.troubles.remove(name);
    }

    pub(super) fn cut_at_write(&mut self, count: u64, unflushed: Unflushed, seed: u64) {
        let at = self.writes.saturating_add(count.max(1));
        self.planned = Some(PlannedCut { at, unflushed, seed });
    }

    pub(super) fn power_on(&mut self) {
        self.powered = true;
    }

    /// What a request takes longer than it would.
    pub(super) fn latency(&self) -> Duration {
        let slow = self.troubles.values().map(|trouble| match trouble {
            DiskTrouble::Slow(latency) => *latency,
            _ => Duration::ZERO,
        });
        slow.sum()
    }

    /// The answer, which there is none of without power; and the cut, where this request brought it about.
    pub(super) fn request(&mut self, request: Request<'_>) -> (Option<Answer>, Option<Cut>) {
        if !self.powered {
            return (None, None);
        }
        match request {
            Request::Size => (Some(Answer::Size(self.device.len())), None),
            Request::Read { offset, length } => (Some(self.read(offset, length)), None),
            Request::Flush => {
                let flushed = self.write_back();
                (Some(flushed.map_or_else(|error| self.failed(error), |()| Answer::Done)), None)
            }
            Request::Write { offset, data } => {
                let answer = self.write(offset, data);
                let due = self.planned.filter(|planned| planned.at <= self.writes);
                match due {
                    Some(PlannedCut { unflushed, seed, .. }) => (None, self.cut(unflushed, seed)),
                    None => (Some(answer), None),
                }
            }
        }
    }

    fn touches(&self, wanted: Range<u64>, writes: bool) -> bool {
        let overlap = |one: &Range<u64>| one.start < wanted.end && wanted.start < one.end;
        self.troubles.values().any(|trouble| match trouble {
            DiskTrouble::ReadError(ranges) => !writes && ranges.iter().any(overlap),
            DiskTrouble::WriteError(ranges) => writes && ranges.iter().any(overlap),
            DiskTrouble::Slow(_) | DiskTrouble::Full => false,
        })
    }

    fn read(&mut self, offset: u64, length: u32) -> Answer {
        let end = offset.saturating_add(u64::from(length));
        if end > self.device.len() || self.touches(offset..end, false) {
            return Answer::Failed(EIO);
        }
        let mut data = vec![0; length as usize];
        if let Err(error) = self.device.read_at(offset, &mut data) {
            return self.failed(error);
        }
        for write in &self.cache {
            let from = write.offset.max(offset);
            let to = (write.offset + write.data.len() as u64).min(end);
            if from < to {
                let part =
                    &write.data[(from - write.offset) as usize..(to - write.offset) as usize];
                data[(from - offset) as usize..(to - offset) as usize].copy_from_slice(part);
            }
        }
        Answer::Data(data)
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Answer {
        let end = offset.saturating_add(data.len() as u64);
        if end > self.device.len() {
            return Answer::Failed(ENOSPC);
        }
        if data.is_empty() {
            return Answer::Done;
        }
        self.writes += 1;
        if self.touches(offset..end, true) {
            return Answer::Failed(EIO);
        }
        let clusters = offset / HOST_CLUSTER..end.div_ceil(HOST_CLUSTER);
        let full = self.troubles.values().any(|trouble| *trouble == DiskTrouble::Full);
        if full && clusters.clone().any(|cluster| !self.taken.contains(&cluster)) {
            return Answer::Failed(ENOSPC);
        }
        self.taken.extend(clusters);
        self.cached += data.len();
        self.cache.push_back(Write { offset, data: data.to_vec() });
        while self.cached > CACHE_BYTES || self.cache.len() > CACHE_WRITES {
            if let Err(error) = self.write_oldest() {
                return self.failed(error);
            }
        }
        Answer::Done
    }

    /// One write that cannot be written stays in the cache.
    fn write_oldest(&mut self) -> io::Result<()> {
        if let Some(oldest) = self.cache.front() {
            self.device.write_at(oldest.offset, &oldest.data)?;
            self.cached -= oldest.data.len();
            self.cache.pop_front();
        }
        Ok(())
    }

    /// Everything reaches the medium.
    pub(super) fn write_back(&mut self) -> io::Result<()> {
        while !self.cache.is_empty() {
            self.write_oldest()?;
        }
        self.device.flush()
    }

    /// The power goes. `None` where it is gone already.
    pub(super) fn cut(&mut self, unflushed: Unflushed, seed: u64) -> Option<Cut> {
        if !std::mem::take(&mut self.powered) {
            return None;
        }
        self.planned = None;
        let count = self.cache.len();
        let mut cut = Cut { writes: self.writes, unflushed: count, kept: 0, torn: 0 };
        let mut seed = Seed(seed);
        // The one that the head was at.
        let at = if count > 0 { seed.below(count as u64) as usize } else { 0 };
        for (index, write) in self.cache.iter_mut().enumerate() {
            let length = write.data.len() as u64;
            let keep = match unflushed {
                Unflushed::Kept => length,
                Unflushed::Lost => 0,
                Unflushed::Torn if index == at => first_sectors(write.offset, length, &mut seed),
                Unflushed::Torn => [0, length][seed.below(2) as usize],
            };
            cut.kept += usize::from(keep == length);
            cut.torn += usize::from(keep > 0 && keep < length);
            write.data.truncate(keep as usize);
        }
        self.cached = self.cache.iter().map(|write| write.data.len()).sum();
        if let Err(error) = self.write_back() {
            tracing::error!(%error, "what a power cut left could not be written");
            self.failed(error);
        }
        self.cache.clear();
        self.cached = 0;
        Some(cut)
    }
}

/// Bytes of a write up to one of the borders between physical sectors in it; where there is none, all or
/// nothing.
fn first_sectors(offset: u64, length: u64, seed: &mut Seed) -> u64 {
    let first = PHYSICAL_SECTOR - offset % PHYSICAL_SECTOR;
    if first >= length {
        return [0, length][seed.below(2) as usize];
    }
    let borders = 1 + (length - first - 1) / PHYSICAL_SECTOR;
    first + seed.below(borders) * PHYSICAL_SECTOR
}

/// Numbers from a seed: SplitMix64 <https://prng.di.unimi.it/splitmix64.c>.
struct Seed(u64);

impl Seed {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % limit.max(1)
    }
}

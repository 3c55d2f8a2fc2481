//! Checking what a session of edits changed, and nothing else.
//!
//! Two engines stand side by side: one on the volume as it is, read from the device, and one on the volume
//! as it was before the first edit ([`Before`](crate::changes::Before)). What differs is found by its bytes,
//! and not by what the engine says that it did:
//!
//! - **Records** that differ, or whose bits in the bitmap of `$MFT` do. Each must be readable, marked as
//!   taken when it is in use, and fine as a file by itself (`file`: names, attribute list, sizes); its base
//!   and its extensions must know each other; `$MFTMirr` must have the same.
//! - **Clusters** (`clusters`). Those that changed records have now must be marked as taken, each by one
//!   record. Those that they have more than before must have been free before. A bit of `$Bitmap` may only
//!   have been cleared where a changed record had the cluster and has it no more.
//! - **Names** (`names`). Every name of a changed file must be entered where it says, with the file's size if
//!   that changed; none that it had before and has no more may be. A directory whose index differs is gone
//!   through from its first entry to its last, as it was and as it is: order, blocks, what came, what went.
//!   What came must be a name of the file that it refers to, what went must not be the name of any file.
//! - **Views** (`views`): the same of the indexes of object ids and reparse points.
//! - **All else.** A byte that differs and lies in a cluster that was taken must lie in one that a changed
//!   file, a directory that was compared, or one of the tables above has or had. So what was written astray,
//!   into a file that nobody changed, is found too; a check of the whole volume cannot see that.
//!
//! **What this relies on.** If the volume was sound before, then it is sound after: every statement that the
//! check of the whole volume makes is about things that did not change, or that are compared here. What was
//! wrong before, and is not part of what changed, stays unseen: clusters that two unchanged files use, an
//! unchanged file that no directory names, a cluster that is used but was marked free and was then taken in
//! good faith. For that there is the check of the whole volume. What is read is what lies on the device when
//! the check begins: a fault of the device between two writes to one place is seen, one that comes later is
//! not.
//!
//! The price is that of what changed, but for three things: the map of clusters and that of records are
//! compared whole (a byte stands for eight of them), and of a directory that changed all blocks are read.

use super::clusters::Places;
use crate::changes::{UNIT, Units};
use crate::ntfs::alloc::Bitmap;
use crate::ntfs::engine::{BITMAP, Engine, FIRST_USER, Inode, MFT};
use crate::ntfs::record::{NUMBER_MASK, Record};
use crate::{BlockDevice, Check, Reason};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Bytes that are compared at a time.
const SECTOR: usize = 512;
/// Most records that are compared: both sides of each are in memory.
pub(in crate::ntfs) const MAX_RECORDS: usize = 32 << 10;
/// `$MFTMirr`.
const MIRROR: u64 = 1;

/// Something as it was and as it is.
#[derive(Debug, Clone)]
pub(super) struct Pair<T> {
    pub(super) was: T,
    pub(super) is: T,
}

impl<T> Pair<T> {
    pub(super) fn each(&self) -> [&T; 2] {
        [&self.was, &self.is]
    }
}

/// A volume as it was and as it is.
pub(super) struct Comparison {
    pub(super) was: Engine,
    pub(super) is: Engine,
    /// Which clusters were taken, and are.
    pub(super) taken: Pair<Bitmap>,
    /// Bytes of the device that differ, in order.
    differing: Vec<Range<u64>>,
    /// The records that differ and that are or were in use.
    pub(super) records: BTreeMap<u64, Pair<Option<Record>>>,
    /// The clusters that may differ.
    pub(super) accounted: Places,
    pub(super) check: Check,
}

/// Checks what differs between the volume on `was` and that on `is`; `units` are all places where something
/// may differ. `None` if more than `most_records` differ.
pub(in crate::ntfs) fn check_changes(
    was: Box<dyn BlockDevice>,
    is: Box<dyn BlockDevice>,
    units: &Units,
    most_records: usize,
) -> Result<Option<Check>, Reason> {
    let (mut was, mut is) = (Engine::open(was, None)?, Engine::open(is, None)?);
    if was.geometry != is.geometry {
        return Err(Reason::Damaged("the boot sector was changed".to_owned()));
    }
    let taken = Pair { was: was.load_cluster_bitmap()?, is: is.load_cluster_bitmap()? };
    let mut comparison = Comparison {
        was,
        is,
        taken,
        differing: Vec::new(),
        records: BTreeMap::new(),
        accounted: Places::default(),
        check: Check::default(),
    };
    comparison.find_differences(units)?;
    if !comparison.find_records(most_records)? {
        return Ok(None);
    }
    comparison.compare_clusters();
    let files = comparison.compare_files()?;
    comparison.compare_names(&files)?;
    comparison.compare_views(&files)?;
    comparison.account()?;
    Ok(Some(comparison.check))
}

impl Comparison {
    fn find_differences(&mut self, units: &Units) -> Result<(), Reason> {
        let mut now = vec![0; UNIT as usize];
        for (number, old) in units {
            let now = &mut now[..old.len()];
            self.is.device.read_at(number * UNIT, now).map_err(Reason::Device)?;
            for (index, (old, now)) in old.chunks(SECTOR).zip(now.chunks(SECTOR)).enumerate() {
                if old == now {
                    continue;
                }
                let start = number * UNIT + (index * SECTOR) as u64;
                let end = start + now.len() as u64;
                match self.differing.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => self.differing.push(start..end),
                }
            }
        }
        Ok(())
    }

    /// The parts of what differs that lie in these bytes of the device.
    pub(super) fn differing_in(&self, bytes: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let first = self.differing.partition_point(|one| one.end <= bytes.start);
        let (start, end) = (bytes.start, bytes.end);
        self.differing[first..]
            .iter()
            .take_while(move |one| one.start < end)
            .map(move |one| one.start.max(start)..one.end.min(end))
    }

    /// Finds the records that differ, and checks them against the bitmap. False if they are too many.
    fn find_records(&mut self, most: usize) -> Result<bool, Reason> {
        let taken = Pair { was: self.was.load_record_bitmap()?, is: self.is.load_record_bitmap()? };
        let mut numbers = BTreeSet::new();
        for engine in [&self.was, &self.is] {
            let (cluster, size) = (engine.geometry.cluster, engine.geometry.record as u64);
            let mut before = 0;
            for run in engine.mft_runs() {
                let (start, len) = (run.lcn.unwrap_or_default() * cluster, run.len * cluster);
                for part in self.differing_in(&(start..start + len)) {
                    let place = |at: u64| before + (at - start);
                    numbers.extend(place(part.start) / size..place(part.end).div_ceil(size));
                }
                before += len;
            }
        }
        let counts = Pair { was: self.was.record_count(), is: self.is.record_count() };
        numbers.extend(counts.was.min(counts.is)..counts.was.max(counts.is));
        numbers.extend(taken.is.differences(&taken.was).filter(|&number| number < counts.is));
        for number in numbers {
            let was = if number < counts.was { self.was.record(number).ok() } else { None };
            let was = was.filter(Record::is_in_use);
            let is_taken = taken.is.has(number);
            let is = match self.is.record(number) {
                Ok(record) => Some(record).filter(Record::is_in_use),
                Err(error) => {
                    if is_taken || was.is_some() {
                        self.check.error(error.to_string());
                    }
                    None
                }
            };
            match (&is, is_taken) {
                (Some(_), false) => {
                    self.check.error(format!("record {number} is in use but marked as free"));
                }
                (None, true) => {
                    self.check.lost_records += u64::from(number >= FIRST_USER + 8);
                }
                _ => {}
            }
            if was.is_some() || is.is_some() {
                self.records.insert(number, Pair { was, is });
            }
            if self.records.len() > most {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The files that changed records belong to, each checked by itself.
    fn compare_files(&mut self) -> Result<BTreeMap<u64, Pair<Option<Inode>>>, Reason> {
        let base = |record: &Record| match record.base {
            0 => record.number,
            base => base & NUMBER_MASK,
        };
        let numbers: BTreeSet<u64> = self
            .records
            .values()
            .flat_map(|pair| pair.each().into_iter().flatten().map(base))
            .collect();
        let mut files = BTreeMap::new();
        for number in numbers {
            let was = self.was.file(number).unwrap_or_default();
            let is = match self.is.file(number) {
                Ok(file) => file,
                Err(error) => {
                    self.check.error(format!("record {number}: {error}"));
                    None
                }
            };
            if let Some(file) = &is
                && let Err(error) = self.is.check_file(file, &mut self.check)
            {
                self.check.error(format!("record {number}: {error}"));
            }
            // An extension that the file has no more must not say that it is one.
            for extension in was.iter().flat_map(|file| &file.extensions) {
                if !self.records.contains_key(&extension.number) {
                    self.check_dropped(extension.number);
                }
            }
            files.insert(number, Pair { was, is });
        }
        let records = self.records.values().filter_map(|pair| pair.is.as_ref());
        for record in records.filter(|record| record.base != 0) {
            self.is.check_extension(record, &mut self.check);
        }
        if self.records.range(..self.is.mirrored()).next().is_some() || self.mirror_differs() {
            self.is.check_mirror(&mut self.check)?;
        }
        Ok(files)
    }

    /// A record that is an extension still, though its file dropped it, is nobody's.
    fn check_dropped(&mut self, number: u64) {
        let record = self.is.record(number).ok();
        if let Some(record) = record.filter(|record| record.is_in_use() && record.base != 0) {
            self.is.check_extension(&record, &mut self.check);
        }
    }

    fn mirror_differs(&self) -> bool {
        let place = |number| self.is.mirror_place(number);
        self.differing_in(&(place(0)..place(self.is.mirrored()))).next().is_some()
    }

    /// What differs in a cluster that was taken must belong to what was compared.
    fn account(&mut self) -> Result<(), Reason> {
        for number in [MFT, MIRROR, BITMAP] {
            for engine in [&mut self.was, &mut self.is] {
                if let Some(file) = engine.file(number)? {
                    self.accounted.add(&engine.all_clusters(&file)?, number);
                }
            }
        }
        self.accounted.sort();
        let cluster = self.is.geometry.cluster;
        for part in &self.differing {
            for number in part.start / cluster..part.end.div_ceil(cluster) {
                let free = number < self.taken.was.count() && !self.taken.was.has(number);
                if !free && !self.accounted.has(number) {
                    self.check.error(format!(
                        "cluster {number} was written to, and no file that was changed has it"
                    ));
                }
            }
        }
        Ok(())
    }
}

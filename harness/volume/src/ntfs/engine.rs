//! Records on the device: reading them, writing them, taking and freeing them.

use super::boot::Geometry;
use super::record::{self, Attribute, NUMBER_MASK, Record, kind, u16_at, u64_at};
use super::runs::{self, Run};
use super::stream::Layout;
use super::upcase::Upcase;
use super::{alloc::Bitmap, record::Sizes};
use crate::cache::Cached;
use crate::changes::{Changes, Tracked};
use crate::{BlockDevice, FileTime, Reason};
use std::ops::Range;

/// Number of the record of the root directory.
pub(super) const ROOT: u64 = 5;
/// Numbers of other system records.
pub(super) const MFT: u64 = 0;
pub(super) const LOG_FILE: u64 = 2;
pub(super) const VOLUME: u64 = 3;
pub(super) const BITMAP: u64 = 6;
pub(super) const BOOT: u64 = 7;
pub(super) const UPCASE: u64 = 10;
/// The first record that is not reserved for the system.
pub(super) const FIRST_USER: u64 = 16;
/// The first record that is given to a file. 16 to 23 are kept for extensions of `$MFT`.
const FIRST_FREE: u64 = 24;

/// Most bytes that `$MFT` grows by.
const MAX_GROWTH: u64 = 8 << 20;
/// Bytes of new records that are written at a time.
const GROWTH_PART: u64 = 256 << 10;

/// Most extension records of one file: far more than Windows makes.
const MAX_EXTENSIONS: usize = 4096;
/// Longest attribute list, in bytes. Windows stops at 256 KiB.
pub(super) const MAX_LIST: u64 = 256 << 10;

/// A file or directory: its base record and the extension records that its attribute list names.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub(super) base: Record,
    pub(super) extensions: Vec<Record>,
    /// Clusters that nothing uses any more once the records are written.
    pub(super) stale: Vec<Run>,
}

impl Inode {
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        std::iter::once(&self.base).chain(&self.extensions)
    }

    pub(super) fn records_mut(&mut self) -> impl Iterator<Item = &mut Record> {
        std::iter::once(&mut self.base).chain(&mut self.extensions)
    }

    pub(super) fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.records().flat_map(|record| &record.attributes)
    }

    pub(super) fn has(&self, kind: u32) -> bool {
        self.attributes().any(|attribute| attribute.kind() == kind)
    }
}

/// An open volume.
pub(super) struct Engine {
    pub(super) device: Tracked<Cached>,
    pub(super) geometry: Geometry,
    /// Where `$MFT` lies.
    mft: Vec<Run>,
    pub(super) upcase: Upcase,
    pub(super) clock: Option<FileTime>,
    /// Which clusters are taken; read when the first is asked for.
    pub(super) clusters: Option<Bitmap>,
    /// Which records are taken.
    pub(super) records: Option<Bitmap>,
    /// True once it is known that writing is safe.
    pub(super) writable: bool,
    /// Why the log was found not to be fit to be replayed.
    pub(super) refusal: Option<String>,
    /// True once those that follow changes were told that there are some.
    pub(super) announced: bool,
}

impl Engine {
    /// Opens the volume of `device`; what it writes later is noted in `changes`.
    pub(super) fn open(
        mut device: Box<dyn BlockDevice>,
        changes: Option<Changes>,
    ) -> Result<Self, Reason> {
        let mut boot = [0; 512];
        if device.len() < 512 {
            return Err(Reason::Damaged("it is smaller than a sector".to_owned()));
        }
        device.read_at(0, &mut boot).map_err(Reason::Device)?;
        let geometry = Geometry::parse(&boot, device.len())?;
        let mut engine = Self {
            device: Tracked::new(Cached::new(device), changes),
            mft: vec![Run { lcn: Some(geometry.mft), len: 1 }],
            geometry,
            upcase: Upcase::default(),
            clock: None,
            clusters: None,
            records: None,
            writable: false,
            refusal: None,
            announced: false,
        };
        engine.find_mft()?;
        let upcase = engine.inode(UPCASE)?;
        let layout = engine
            .layout(&upcase, kind::DATA, &[])?
            .ok_or_else(|| Reason::Damaged("$UpCase has no data".to_owned()))?;
        engine.upcase = Upcase::from_bytes(&engine.read_layout(&layout, 1 << 17)?)?;
        Ok(engine)
    }

    /// `$MFT` maps itself: its first cluster is known, the rest is read by what is known already.
    fn find_mft(&mut self) -> Result<(), Reason> {
        let size = self.geometry.record;
        // The first record may be larger than a cluster; it is in one piece.
        self.mft[0].len = (size as u64).div_ceil(self.geometry.cluster);
        let base = self.record(MFT)?;
        let first = base
            .find(kind::DATA, &[])
            .ok_or_else(|| Reason::Damaged("$MFT has no data".to_owned()))?;
        self.mft = first.runs(self.geometry.clusters)?;
        self.check_mft()?;
        if base.find(kind::ATTRIBUTE_LIST, &[]).is_none() {
            return Ok(());
        }
        // Each extension record lies in the part that the ones before it map.
        let list = self.attribute_list(&base)?;
        for (kind, vcn, reference) in list {
            if kind != kind::DATA || vcn == 0 {
                continue;
            }
            if vcn != runs::total(&self.mft) {
                return Err(Reason::Damaged("$MFT has a gap".to_owned()));
            }
            let extension = self.record(reference & NUMBER_MASK)?;
            let segment = extension
                .attributes
                .iter()
                .find(|one| one.is(kind::DATA, &[]) && one.first_vcn() == vcn)
                .ok_or_else(|| Reason::Damaged("$MFT has a gap".to_owned()))?;
            let more = segment.runs(self.geometry.clusters)?;
            self.mft.extend(more);
            self.check_mft()?;
        }
        Ok(())
    }

    /// Forgets what was read of the volume, after something was changed behind it.
    pub(super) fn look_again(&mut self) -> Result<(), Reason> {
        (self.clusters, self.records) = (None, None);
        self.mft = vec![Run { lcn: Some(self.geometry.mft), len: 1 }];
        self.find_mft()
    }

    fn check_mft(&self) -> Result<(), Reason> {
        let holes = self.mft.iter().any(|run| run.lcn.is_none());
        if holes || self.mft.is_empty() || runs::total(&self.mft) > self.geometry.clusters {
            return Err(Reason::Damaged("$MFT has holes or is larger than the volume".to_owned()));
        }
        Ok(())
    }

    pub(super) fn now(&self) -> FileTime {
        self.clock.unwrap_or_else(|| std::time::SystemTime::now().into())
    }

    pub(super) fn mft_runs_mut(&mut self) -> &mut Vec<Run> {
        &mut self.mft
    }

    /// Where `$MFT` lies.
    pub(super) fn mft_runs(&self) -> &[Run] {
        &self.mft
    }

    /// Number of records that `$MFT` has room for.
    pub(super) fn record_count(&self) -> u64 {
        runs::total(&self.mft) * self.geometry.cluster / self.geometry.record as u64
    }

    /// Reads from (`read`) or writes to the device through runs.
    pub(super) fn transfer(
        &mut self,
        runs: &[Run],
        offset: u64,
        len: usize,
        mut work: impl FnMut(
            &mut dyn BlockDevice,
            Option<u64>,
            std::ops::Range<usize>,
        ) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let cluster = self.geometry.cluster;
        let mut run_start = 0;
        let mut done = 0;
        for run in runs {
            let run_end = run_start + run.len * cluster;
            let position = offset + done as u64;
            if done < len && position < run_end {
                let count =
                    (len - done).min(usize::try_from(run_end - position).unwrap_or(usize::MAX));
                let place = run.lcn.map(|lcn| lcn * cluster + (position - run_start));
                work(&mut self.device, place, done..done + count)?;
                done += count;
            }
            run_start = run_end;
        }
        if done == len {
            Ok(())
        } else {
            Err(Reason::Damaged("an attribute is shorter than its size says".to_owned()))
        }
    }

    /// Reads through runs; holes are zeros.
    pub(super) fn read_runs(
        &mut self,
        runs: &[Run],
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), Reason> {
        self.transfer(runs, offset, buffer.len(), |device, place, range| match place {
            Some(place) => device.read_at(place, &mut buffer[range]).map_err(Reason::Device),
            None => {
                buffer[range].fill(0);
                Ok(())
            }
        })
    }

    /// Writes through runs, which must have no holes there.
    pub(super) fn write_runs(
        &mut self,
        runs: &[Run],
        offset: u64,
        data: &[u8],
    ) -> Result<(), Reason> {
        self.transfer(runs, offset, data.len(), |device, place, range| match place {
            Some(place) => device.write_at(place, &data[range]).map_err(Reason::Device),
            None => Err(Reason::Unsupported("writing into a hole of a sparse file".to_owned())),
        })
    }

    pub(super) fn record_bytes(&mut self, number: u64) -> Result<Vec<u8>, Reason> {
        let size = self.geometry.record;
        let offset = number
            .checked_mul(size as u64)
            .filter(|_| number < self.record_count())
            .ok_or_else(|| Reason::Damaged(format!("file record {number} lies beyond $MFT")))?;
        let mut bytes = vec![0; size];
        let mft = std::mem::take(&mut self.mft);
        let result = self.read_runs(&mft, offset, &mut bytes);
        self.mft = mft;
        result.map(|()| bytes)
    }

    /// Where a record lies on the device.
    pub(super) fn record_place(&mut self, number: u64) -> Result<Vec<Range<u64>>, Reason> {
        let size = self.geometry.record;
        let offset = number
            .checked_mul(size as u64)
            .ok_or_else(|| Reason::Damaged(format!("file record {number} lies beyond $MFT")))?;
        let mft = std::mem::take(&mut self.mft);
        let mut places = Vec::new();
        let result = self.transfer(&mft, offset, size, |_, place, range| {
            places.extend(place.map(|place| place..place + range.len() as u64));
            Ok(())
        });
        self.mft = mft;
        result.map(|()| places)
    }

    /// Reads one record, in use or not.
    pub(super) fn record(&mut self, number: u64) -> Result<Record, Reason> {
        let bytes = self.record_bytes(number)?;
        Record::parse(number, bytes)
    }

    /// Writes one record, and its copy in `$MFTMirr` where it has one. Fails without writing if the
    /// attributes do not fit.
    pub(super) fn write_record(&mut self, record: &mut Record) -> Result<(), Reason> {
        let bytes = record.serialize().ok_or_else(|| {
            Reason::Unsupported(format!(
                "file record {} would be too full; the file is too fragmented or has too many names",
                record.number
            ))
        })?;
        let offset = record.number * self.geometry.record as u64;
        let mft = std::mem::take(&mut self.mft);
        let result = self.write_runs(&mft, offset, &bytes);
        self.mft = mft;
        result?;
        if record.number < self.mirrored() {
            let place = self.mirror_place(record.number);
            self.device.write_at(place, &bytes).map_err(Reason::Device)?;
        }
        Ok(())
    }

    /// How many records lie in `$MFTMirr` once more.
    pub(super) fn mirrored(&self) -> u64 {
        (self.geometry.cluster / self.geometry.record as u64).max(4)
    }

    /// Where the copy of a record in `$MFTMirr` lies on the device.
    pub(super) fn mirror_place(&self, number: u64) -> u64 {
        self.geometry.mirror * self.geometry.cluster + number * self.geometry.record as u64
    }

    /// The attribute list of a base record: type, first cluster and record of each attribute.
    fn attribute_list(&mut self, base: &Record) -> Result<Vec<(u32, u64, u64)>, Reason> {
        let bytes = self.attribute_list_bytes(base)?;
        let mut list = Vec::new();
        for entry in list_entries(&bytes) {
            list.push((record::u32_at(entry, 0), u64_at(entry, 8), u64_at(entry, 0x10)));
        }
        Ok(list)
    }

    pub(super) fn attribute_list_bytes(&mut self, base: &Record) -> Result<Vec<u8>, Reason> {
        let Some(attribute) = base.find(kind::ATTRIBUTE_LIST, &[]) else { return Ok(Vec::new()) };
        let layout = Layout::of(std::iter::once(attribute), self.geometry.clusters)?;
        if layout.size() > MAX_LIST {
            return Err(Reason::Damaged(format!(
                "the attribute list of {} is too long",
                base.number
            )));
        }
        self.read_layout(&layout, MAX_LIST)
    }

    /// Reads a file with all its records.
    pub(super) fn inode(&mut self, number: u64) -> Result<Inode, Reason> {
        let base = self.record(number)?;
        if !base.is_in_use() || base.base != 0 {
            return Err(Reason::Damaged(format!("file record {number} is not in use")));
        }
        let mut extensions: Vec<Record> = Vec::new();
        for (_, _, reference) in self.attribute_list(&base)? {
            let other = reference & NUMBER_MASK;
            if other == number || extensions.iter().any(|record| record.number == other) {
                continue;
            }
            if extensions.len() == MAX_EXTENSIONS {
                return Err(Reason::Damaged(format!(
                    "file record {number} has too many extensions"
                )));
            }
            let extension = self.record(other)?;
            if !extension.is_in_use() || extension.base & NUMBER_MASK != number {
                return Err(Reason::Damaged(format!(
                    "file record {other} is not an extension of {number}"
                )));
            }
            extensions.push(extension);
        }
        Ok(Inode { base, extensions, stale: Vec::new() })
    }

    /// Takes a free record and returns it, marked in use in the bitmap but not yet written.
    pub(super) fn allocate_record(&mut self) -> Result<Record, Reason> {
        let number = match self.record_bitmap()?.find_free(FIRST_FREE) {
            Some(number) => number,
            None => {
                self.grow_mft()?;
                self.record_bitmap()?.find_free(FIRST_FREE).ok_or(Reason::Full)?
            }
        };
        self.set_record_bit(number, true)?;
        // A freed record carries on its sequence; one never used starts at 1.
        let sequence = match self.record_bytes(number) {
            Ok(bytes) if bytes.starts_with(b"FILE") => u16_at(&bytes, 0x10).max(1),
            _ => 1,
        };
        Ok(Record::new(number, sequence, self.geometry.record))
    }

    /// Marks a record as free, with the next sequence number so that stale references are noticed.
    pub(super) fn free_record(&mut self, mut record: Record) -> Result<(), Reason> {
        record.flags &= !record::IN_USE;
        record.sequence = record.sequence.wrapping_add(1).max(1);
        self.write_record(&mut record)?;
        self.set_record_bit(record.number, false)
    }

    /// Makes `$MFT` larger: by half of what it has, at least by 64 records and at most by 8 MiB, since all
    /// of them are written.
    fn grow_mft(&mut self) -> Result<(), Reason> {
        let mut base = self.record(MFT)?;
        if base.find(kind::ATTRIBUTE_LIST, &[]).is_some() {
            return Err(Reason::Unsupported("making a fragmented $MFT larger".to_owned()));
        }
        let size = self.geometry.record as u64;
        let cluster = self.geometry.cluster;
        let most = (MAX_GROWTH / size).max(64);
        let wanted = (self.record_count() / 2).clamp(64, most) * size;
        let added = self.allocate_clusters(wanted.div_ceil(cluster), self.mft.last().copied())?;
        // A fragmented piece would fill record 0 soon: take only the first.
        let (&piece, rest) = added.split_first().ok_or(Reason::Full)?;
        self.free_clusters(rest)?;
        let old_count = self.record_count();
        let mut grown = self.mft.clone();
        runs::push(&mut grown, piece);
        // First the new records, then the bitmap, then `$MFT` itself: a cut in between leaves
        // clusters that nobody uses, nothing worse.
        let new_count = runs::total(&grown) * cluster / size;
        let numbers: Vec<u64> = (old_count..new_count).collect();
        for part in numbers.chunks((GROWTH_PART / size) as usize) {
            let blank = |&number| {
                let mut blank = Record::new(number, 1, self.geometry.record);
                blank.serialize().expect("an empty record fits")
            };
            let bytes: Vec<u8> = part.iter().flat_map(blank).collect();
            self.write_runs(&grown, part[0] * size, &bytes)?;
        }
        self.grow_record_bitmap(&mut base, new_count)?;
        let data = base.find_mut(kind::DATA, &[]).expect("checked when the volume was opened");
        data.set_runs(&grown);
        let bytes = runs::total(&grown) * cluster;
        let bytes = bytes - bytes % size;
        data.set_sizes(Sizes {
            allocated: runs::total(&grown) * cluster,
            real: bytes,
            initialized: bytes,
        });
        self.write_record(&mut base)?;
        *self.mft_runs_mut() = grown;
        self.records = None;
        Ok(())
    }
}

/// The entries of an attribute list; stops at the first malformed one.
pub(super) fn list_entries(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(bytes, 4));
        if len < 0x1a || len > bytes.len() {
            return None;
        }
        let (entry, rest) = bytes.split_at(len);
        bytes = rest;
        Some(entry)
    })
}

//! The contents of attributes: resident, in runs, with holes, or compressed.

use super::engine::{Engine, Inode};
use super::lznt1;
use super::record::{Attribute, COMPRESSED, ENCRYPTED, SPARSE, Sizes};
use super::runs::{self, Run};
use crate::Reason;
use std::ops::Range;

/// Largest compression unit: 16 clusters of 4 KiB are what NTFS makes.
const MAX_UNIT: u64 = 1 << 20;

/// Where the contents of an attribute lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// In the record.
    Resident(Vec<u8>),
    /// In clusters.
    Runs {
        runs: Vec<Run>,
        sizes: Sizes,
        flags: u16,
        /// Clusters of a compression unit; 0 without compression.
        unit: u64,
    },
}

impl Layout {
    /// Puts the segments of one attribute together.
    pub(super) fn of<'a>(
        segments: impl Iterator<Item = &'a Attribute>,
        clusters: u64,
    ) -> Result<Self, Reason> {
        let mut segments: Vec<&Attribute> = segments.collect();
        segments.sort_by_key(|segment| segment.first_vcn());
        let first = segments.first().expect("the caller found one");
        if first.is_resident() {
            return Ok(Layout::Resident(first.value().to_vec()));
        }
        let mut all = Vec::new();
        for segment in &segments {
            if segment.is_resident() || segment.first_vcn() != runs::total(&all) {
                return Err(Reason::Damaged("an attribute has a gap".to_owned()));
            }
            all.extend(segment.runs(clusters)?);
        }
        let flags = first.flags();
        let unit = match first.compression_unit() {
            0 => 0,
            power @ 1..=8 if flags & COMPRESSED != 0 => 1 << power,
            _ if flags & COMPRESSED == 0 => 0,
            _ => return Err(Reason::Damaged("impossible compression unit".to_owned())),
        };
        let sizes = first.sizes();
        if sizes.initialized > sizes.real {
            return Err(Reason::Damaged("the sizes of an attribute contradict".to_owned()));
        }
        Ok(Layout::Runs { runs: all, sizes, flags, unit })
    }

    /// Bytes of the contents.
    pub(super) fn size(&self) -> u64 {
        match self {
            Layout::Resident(value) => value.len() as u64,
            Layout::Runs { sizes, .. } => sizes.real,
        }
    }

    /// True if its clusters can be written as they are.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Layout::Resident(_) => true,
            Layout::Runs { flags, runs, .. } => {
                flags & (COMPRESSED | ENCRYPTED | SPARSE) == 0
                    && runs.iter().all(|run| run.lcn.is_some())
            }
        }
    }
}

impl Engine {
    /// Where an attribute of a file lies; `None` if it has no such attribute.
    pub(super) fn layout(
        &self,
        inode: &Inode,
        kind: u32,
        name: &[u16],
    ) -> Result<Option<Layout>, Reason> {
        let mut segments = inode.attributes().filter(|one| one.is(kind, name)).peekable();
        if segments.peek().is_none() {
            return Ok(None);
        }
        Layout::of(segments, self.geometry.clusters).map(Some)
    }

    /// Where an attribute lies on the device: of a resident one, its file's record.
    pub(super) fn extents(
        &mut self,
        inode: &Inode,
        layout: &Layout,
    ) -> Result<Vec<Range<u64>>, Reason> {
        let cluster = self.geometry.cluster;
        let bytes = |start: u64, len: u64| start.checked_mul(cluster).zip(len.checked_mul(cluster));
        let outside = || Reason::Damaged("a run list leaves the volume".to_owned());
        let runs = match layout {
            Layout::Resident(_) => return self.record_place(inode.base.number),
            Layout::Runs { runs, .. } => runs,
        };
        let placed = runs.iter().filter_map(|run| Some((run.lcn?, run.len)));
        placed
            .map(|(lcn, len)| {
                let (start, len) = bytes(lcn, len).ok_or_else(outside)?;
                Ok(start..start.checked_add(len).ok_or_else(outside)?)
            })
            .collect()
    }

    /// All of an attribute, at most `limit` bytes.
    pub(super) fn read_layout(&mut self, layout: &Layout, limit: u64) -> Result<Vec<u8>, Reason> {
        let size = layout.size();
        if size > limit {
            return Err(Reason::TooLarge { size, limit });
        }
        let mut bytes = vec![0; size as usize];
        self.read_layout_at(layout, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Bytes of an attribute from `offset`; returns how many there were.
    pub(super) fn read_layout_at(
        &mut self,
        layout: &Layout,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Reason> {
        let left = layout.size().saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..count];
        match layout {
            Layout::Resident(value) => {
                let start = offset.min(value.len() as u64) as usize;
                buffer.copy_from_slice(&value[start..start + count]);
            }
            Layout::Runs { flags, .. } if flags & ENCRYPTED != 0 => {
                return Err(Reason::Unsupported("reading encrypted data (EFS)".to_owned()));
            }
            Layout::Runs { runs, sizes, unit, .. } => {
                let written = sizes.initialized.saturating_sub(offset).min(count as u64) as usize;
                let (head, tail) = buffer.split_at_mut(written);
                match unit {
                    0 => self.read_runs(runs, offset, head)?,
                    unit => self.read_compressed(runs, *unit, offset, head)?,
                }
                tail.fill(0);
            }
        }
        Ok(count)
    }

    fn read_compressed(
        &mut self,
        runs: &[Run],
        unit: u64,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), Reason> {
        let unit_bytes = unit * self.geometry.cluster;
        if unit_bytes > MAX_UNIT {
            return Err(Reason::Damaged("impossible compression unit".to_owned()));
        }
        let mut done = 0;
        while done < buffer.len() {
            let position = offset + done as u64;
            let number = position / unit_bytes;
            let plain = self.read_unit(runs, unit, number)?;
            let within = (position % unit_bytes) as usize;
            let count = (buffer.len() - done).min(unit_bytes as usize - within);
            for (index, byte) in buffer[done..done + count].iter_mut().enumerate() {
                *byte = plain.get(within + index).copied().unwrap_or(0);
            }
            done += count;
        }
        Ok(())
    }

    /// One compression unit: without holes it is stored as it is, all hole it is zeros, else it is
    /// compressed into the clusters that it has.
    fn read_unit(&mut self, all: &[Run], unit: u64, number: u64) -> Result<Vec<u8>, Reason> {
        let mut rest = all.to_vec();
        let mut own = runs::truncate(&mut rest, number * unit);
        runs::truncate(&mut own, unit);
        let bytes = (unit * self.geometry.cluster) as usize;
        let stored: Vec<Run> = own.iter().copied().filter(|run| run.lcn.is_some()).collect();
        let clusters = runs::total(&stored);
        if clusters == 0 {
            return Ok(vec![0; bytes]);
        }
        let mut data = vec![0; (clusters * self.geometry.cluster) as usize];
        self.read_runs(&stored, 0, &mut data)?;
        if clusters == unit || stored.len() == own.len() {
            return Ok(data);
        }
        lznt1::decompress(&data, bytes)
            .ok_or_else(|| Reason::Damaged("compressed data is malformed".to_owned()))
    }

    /// Overwrites bytes inside an attribute in runs.
    pub(super) fn write_layout(
        &mut self,
        layout: &Layout,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Reason> {
        match layout {
            Layout::Runs { runs, .. } if layout.is_plain() => self.write_runs(runs, offset, data),
            _ => Err(Reason::Unsupported("writing into such an attribute".to_owned())),
        }
    }
}

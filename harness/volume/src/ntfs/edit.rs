//! Changing the attributes of a file: its data, its times, its attribute list.

use super::contents::Replaced;
use super::engine::{Engine, Inode, MAX_LIST, list_entries};
use super::index::I30;
use super::name::FileName;
use super::record::{Attribute, IN_USE, NUMBER_MASK, Record, Sizes, kind, u16_at, u32_at, u64_at};
use super::runs::{self, Run};
use super::stream::Layout;
use crate::{FileTime, Reason};
use std::io::Read;

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;
/// `FILE_ATTRIBUTE_SPARSE_FILE` and `FILE_ATTRIBUTE_COMPRESSED`.
const STORED_FLAGS: u32 = 0x200 | 0x800;
/// Data up to this stays in the record where it fits; a little room is left for a longer name.
const RESIDENT_SLACK: usize = 32;

/// The value of `$STANDARD_INFORMATION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standard {
    pub(super) created: FileTime,
    pub(super) modified: FileTime,
    pub(super) changed: FileTime,
    pub(super) accessed: FileTime,
    pub(super) attributes: u32,
    /// What is not understood here, and the security id.
    rest: Vec<u8>,
}

impl Standard {
    /// Of a new file with the access rights `security` of the volume's catalogue.
    pub(super) fn new(now: FileTime, attributes: u32, security: u32) -> Self {
        let mut rest = vec![0; 36];
        rest[0x10..0x14].copy_from_slice(&security.to_le_bytes());
        Self { created: now, modified: now, changed: now, accessed: now, attributes, rest }
    }

    pub(super) fn parse(value: &[u8]) -> Result<Self, Reason> {
        let rest = value
            .get(36..)
            .filter(|rest| rest.len() >= 12)
            .ok_or_else(|| Reason::Damaged("standard information is too short".to_owned()))?;
        let time = |at| FileTime::from_ticks(u64_at(value, at));
        Ok(Self {
            created: time(0),
            modified: time(8),
            changed: time(16),
            accessed: time(24),
            attributes: u32_at(value, 32),
            rest: rest.to_vec(),
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(72);
        for time in [self.created, self.modified, self.changed, self.accessed] {
            value.extend(time.ticks().to_le_bytes());
        }
        value.extend(self.attributes.to_le_bytes());
        value.extend(&self.rest);
        value
    }

    /// Number of the access rights; 0 where a file has its own.
    pub(super) fn security(&self) -> u32 {
        u32_at(&self.rest, 0x10)
    }
}

impl Engine {
    pub(super) fn standard(&self, inode: &Inode) -> Result<Standard, Reason> {
        let attribute = inode
            .base
            .find(kind::STANDARD_INFORMATION, &[])
            .ok_or_else(|| Reason::Damaged("a file has no standard information".to_owned()))?;
        Standard::parse(attribute.value())
    }

    /// Changes the times and attributes of a file, in memory.
    pub(super) fn change_standard(
        &self,
        inode: &mut Inode,
        change: impl FnOnce(&mut Standard),
    ) -> Result<(), Reason> {
        let mut standard = self.standard(inode)?;
        change(&mut standard);
        if let Some(attribute) = inode.base.find_mut(kind::STANDARD_INFORMATION, &[]) {
            attribute.set_value(&standard.encode());
        }
        Ok(())
    }

    /// Writes all records of a file, the base last, and gives back what they do not use any more.
    pub(super) fn write_inode(&mut self, inode: &mut Inode) -> Result<(), Reason> {
        if let Some(full) = inode.records().find(|record| !record.serialize_fits()) {
            return Err(Reason::Unsupported(format!("file record {} is full", full.number)));
        }
        for record in &mut inode.extensions {
            self.write_record(record)?;
        }
        self.write_record(&mut inode.base)?;
        let stale = std::mem::take(&mut inode.stale);
        self.free_clusters(&stale)
    }

    /// Adds clusters to the end of a plain attribute, in memory. `sizes` gets the bytes of its
    /// clusters and its sizes so far. Fails without a change if the record has no room.
    pub(super) fn extend_attribute(
        &mut self,
        inode: &mut Inode,
        kind: u32,
        name: &[u16],
        added: &[Run],
        sizes: impl FnOnce(u64, Sizes) -> Sizes,
    ) -> Result<(), Reason> {
        let clusters = self.geometry.clusters;
        let backup = inode.clone();
        let mut segments: Vec<&mut Attribute> = inode
            .records_mut()
            .flat_map(|record| &mut record.attributes)
            .filter(|one| one.is(kind, name))
            .collect();
        segments.sort_by_key(|segment| segment.first_vcn());
        let last = segments.last_mut().ok_or_else(|| Reason::Damaged("no such data".to_owned()))?;
        let first_vcn = last.first_vcn();
        let mut all = last.runs(clusters)?;
        for &run in added {
            runs::push(&mut all, run);
        }
        last.set_runs(&all);
        let allocated = (first_vcn + runs::total(&all)) * self.geometry.cluster;
        let first = segments.first_mut().expect("there is a last one");
        let old = first.sizes();
        first.set_sizes(sizes(allocated, old));
        if inode.records().all(Record::serialize_fits) {
            return Ok(());
        }
        *inode = backup;
        Err(Reason::Unsupported("the file is too fragmented".to_owned()))
    }

    /// Makes a data attribute of exactly `size` bytes from `source`: in the record if it is at most
    /// `room` bytes long, else in clusters, which are written. Returns the clusters with it.
    pub(super) fn build_data(
        &mut self,
        source: &mut dyn Read,
        size: u64,
        room: usize,
    ) -> Result<(Attribute, Vec<Run>), Reason> {
        let short = |_| {
            Reason::Device(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                format!("the source has less than the {size} bytes announced"),
            ))
        };
        if size <= room.saturating_sub(0x18 + RESIDENT_SLACK) as u64 {
            let mut value = vec![0; size as usize];
            source.read_exact(&mut value).map_err(short)?;
            return Ok((Attribute::resident(kind::DATA, &[], &value, false), Vec::new()));
        }
        let cluster = self.geometry.cluster;
        let all = self.allocate_clusters(size.div_ceil(cluster), None)?;
        let sizes = Sizes { allocated: runs::total(&all) * cluster, real: size, initialized: size };
        let attribute = Attribute::non_resident(kind::DATA, &[], 0, &all, sizes);
        let mut copy = || {
            if attribute.len() > room {
                return Err(Reason::Unsupported(
                    "its record is full, or the free space is too fragmented".to_owned(),
                ));
            }
            let mut buffer = vec![0; CHUNK.min(sizes.allocated as usize)];
            let mut done = 0;
            while done < sizes.allocated {
                let part = (sizes.allocated - done).min(buffer.len() as u64) as usize;
                let wanted = part.min((size.saturating_sub(done)) as usize);
                source.read_exact(&mut buffer[..wanted]).map_err(short)?;
                buffer[wanted..part].fill(0);
                self.write_runs(&all, done, &buffer[..part])?;
                done += part as u64;
            }
            Ok(())
        };
        match copy() {
            Ok(()) => Ok((attribute, all)),
            Err(error) => {
                self.free_clusters(&all)?;
                Err(error)
            }
        }
    }

    /// Replaces the data of a file, and what WOF has compressed of it. The new data is on the device before the
    /// record refers to it, the old is given back after that.
    pub(super) fn replace_data(
        &mut self,
        inode: &mut Inode,
        source: &mut dyn Read,
        size: u64,
    ) -> Result<(), Reason> {
        let now = self.now();
        let replaced = Replaced::of(inode);
        let mut old = Vec::new();
        for attribute in inode.attributes().filter(|one| !one.is_resident() && replaced.has(one)) {
            old.extend(attribute.runs(self.geometry.clusters)?);
        }
        let place = self.record_for_data(inode, size, &replaced)?;
        let target = inode.records().nth(place).expect("chosen among them");
        let (attribute, new) = self.build_data(source, size, replaced.room(target))?;
        for record in inode.records_mut() {
            record.attributes.retain(|one| !replaced.has(one));
        }
        let target = inode.records_mut().nth(place).expect("chosen among them");
        let id = target.add(attribute);
        let reference = target.reference();
        self.change_list(inode, |list| {
            list.retain(|entry| !replaced.has_entry(entry));
            let place = list.iter().position(|entry| u32_at(entry, 0) >= kind::DATA);
            let place = place.unwrap_or(list.len());
            list.insert(place, list_entry(kind::DATA, reference, id));
        })?;
        self.change_standard(inode, |standard| {
            standard.attributes &= !(STORED_FLAGS | replaced.flags());
            standard.modified = now;
            standard.changed = now;
            standard.accessed = now;
        })?;
        let (kept, empty): (Vec<_>, Vec<_>) = std::mem::take(&mut inode.extensions)
            .into_iter()
            .partition(|record| !record.attributes.is_empty());
        inode.extensions = kept;
        replaced.forget_tag(inode)?;
        if let Err(error) = self.write_inode(inode) {
            self.free_clusters(&new)?;
            return Err(error);
        }
        for record in empty {
            self.free_record(record)?;
        }
        if let Some(point) = replaced.point() {
            self.leave_reparse_points(inode.base.reference(), point)?;
        }
        self.free_clusters(&old)?;
        self.update_entries(inode)
    }

    /// Which of the records of a file has room for its data, anew: the base if it can, else the
    /// extension with most room, else a new one (only where there is an attribute list already).
    fn record_for_data(
        &mut self,
        inode: &mut Inode,
        size: u64,
        replaced: &Replaced,
    ) -> Result<usize, Reason> {
        /// A non-resident attribute with a few runs.
        const NON_RESIDENT: usize = 0x40 + 40;
        let resident = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(0x18 + 40);
        let wanted = resident.min(NON_RESIDENT);
        let room = |record: &Record| replaced.room(record);
        if room(&inode.base) >= wanted || inode.base.find(kind::ATTRIBUTE_LIST, &[]).is_none() {
            return Ok(0);
        }
        let best = inode.extensions.iter().map(room).enumerate().max_by_key(|(_, room)| *room);
        if let Some((index, _)) = best.filter(|(_, room)| *room >= wanted) {
            return Ok(index + 1);
        }
        self.new_extension(inode)
    }

    /// Gives a file with an attribute list one more record, in memory, and tells which it is.
    pub(super) fn new_extension(&mut self, inode: &mut Inode) -> Result<usize, Reason> {
        let mut extension = self.allocate_record()?;
        extension.flags = IN_USE;
        extension.base = inode.base.reference();
        inode.extensions.push(extension);
        Ok(inode.extensions.len())
    }

    /// Changes the attribute list of a file, if it has one. A list outside of the record is written
    /// anew, in other clusters; the write of the base record switches over to them.
    pub(super) fn change_list(
        &mut self,
        inode: &mut Inode,
        change: impl FnOnce(&mut Vec<Vec<u8>>),
    ) -> Result<(), Reason> {
        let Some(attribute) = inode.base.find(kind::ATTRIBUTE_LIST, &[]) else { return Ok(()) };
        let (id, resident) = (attribute.id(), attribute.is_resident());
        let bytes = self.attribute_list_bytes(&inode.base)?;
        let mut list: Vec<Vec<u8>> = list_entries(&bytes).map(<[u8]>::to_vec).collect();
        change(&mut list);
        let mut new = list.concat();
        if new.len() as u64 > MAX_LIST {
            return Err(Reason::Unsupported("an attribute list of more than 256 KiB".to_owned()));
        }
        let attribute = inode.base.find_mut(kind::ATTRIBUTE_LIST, &[]).expect("found above");
        if resident {
            attribute.set_value(&new);
            if inode.base.serialize_fits() {
                return Ok(());
            }
        } else {
            inode.stale.extend(attribute.runs(self.geometry.clusters)?);
        }
        let cluster = self.geometry.cluster;
        let size = new.len() as u64;
        let all = self.allocate_clusters(size.div_ceil(cluster), None)?;
        let sizes = Sizes { allocated: runs::total(&all) * cluster, real: size, initialized: size };
        new.resize(sizes.allocated as usize, 0);
        self.write_runs(&all, 0, &new)?;
        let mut moved = Attribute::non_resident(kind::ATTRIBUTE_LIST, &[], 0, &all, sizes);
        moved.set_id(id);
        *inode.base.find_mut(kind::ATTRIBUTE_LIST, &[]).expect("found above") = moved;
        Ok(())
    }

    /// Brings the sizes and times in the directories of a file up to date.
    pub(super) fn update_entries(&mut self, inode: &Inode) -> Result<(), Reason> {
        let standard = self.standard(inode)?;
        let (allocated, real) = self.entry_sizes(inode)?;
        let reparse = inode.has(kind::REPARSE_POINT);
        for attribute in inode.attributes().filter(|one| one.kind() == kind::FILE_NAME) {
            let name = FileName::parse(attribute.value())?;
            let parent = name.parent & NUMBER_MASK;
            if parent == inode.base.number {
                continue;
            }
            let mut dir = self.inode(parent)?;
            let updated = self.update_name(&mut dir, &name.name, |_, entry| {
                entry.created = standard.created;
                entry.modified = standard.modified;
                entry.changed = standard.changed;
                entry.accessed = standard.accessed;
                entry.allocated = allocated;
                entry.real = real;
                if !reparse {
                    entry.forget_reparse_tag();
                }
                entry.flags = entry.flags & !0x2fff | standard.attributes & 0x2fff;
            });
            match updated {
                // A name without an entry is damage that was there before.
                Ok(()) | Err(Reason::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What a directory says of the size of a file: allocated, and real.
    pub(super) fn entry_sizes(&self, inode: &Inode) -> Result<(u64, u64), Reason> {
        Ok(match self.layout(inode, kind::DATA, &[])? {
            Some(Layout::Resident(value)) => {
                ((value.len() as u64).next_multiple_of(8), value.len() as u64)
            }
            Some(Layout::Runs { sizes, .. }) => (sizes.allocated, sizes.real),
            None => (0, 0),
        })
    }

    /// Overwrites bytes of a file, which grows where needed.
    pub(super) fn write_data(
        &mut self,
        inode: &mut Inode,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Reason> {
        self.expand(inode, u64::MAX)?;
        let end = offset
            .checked_add(data.len() as u64)
            .filter(|&end| end <= i64::MAX as u64)
            .ok_or(Reason::Full)?;
        let layout = self.layout(inode, kind::DATA, &[])?.unwrap_or(Layout::Resident(Vec::new()));
        let Layout::Runs { runs: old, sizes, .. } = &layout else {
            return self.write_small(inode, &layout, offset, data);
        };
        if !layout.is_plain() {
            return self.write_small(inode, &layout, offset, data);
        }
        let cluster = self.geometry.cluster;
        let mut all = old.clone();
        let mut added = Vec::new();
        if end > sizes.allocated {
            let missing = (end - sizes.allocated).div_ceil(cluster);
            added = self.allocate_clusters(missing, old.last().copied())?;
            for &run in &added {
                runs::push(&mut all, run);
            }
        }
        // What lies between the end of what was written and the new data, and behind it in the
        // last cluster, must not show what was there before.
        let mut gap = sizes.initialized;
        let zeros = vec![0; CHUNK];
        while gap < offset {
            let part = (offset - gap).min(CHUNK as u64) as usize;
            self.write_runs(&all, gap, &zeros[..part])?;
            gap += part as u64;
        }
        self.write_runs(&all, offset, data)?;
        if end > sizes.initialized {
            let tail = (end.next_multiple_of(cluster) - end) as usize;
            self.write_runs(&all, end, &vec![0; tail])?;
        }
        let grown = |allocated, old: Sizes| Sizes {
            allocated,
            real: old.real.max(end),
            initialized: old.initialized.max(end),
        };
        if self.extend_attribute(inode, kind::DATA, &[], &added, grown).is_err() {
            // Too many pieces for the record: write the file anew, in one.
            self.free_clusters(&added)?;
            return self.write_small(inode, &layout, offset, data);
        }
        self.touch(inode)?;
        self.write_inode(inode)?;
        self.update_entries(inode)
    }

    /// Overwrites bytes by writing the whole file anew: for data in the record, with holes,
    /// compressed, or in too many pieces.
    fn write_small(
        &mut self,
        inode: &mut Inode,
        layout: &Layout,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Reason> {
        let limit = crate::MAX_READ;
        let size = layout.size().max(offset + data.len() as u64);
        if size > limit {
            return Err(Reason::TooLarge { size, limit });
        }
        let mut contents = self.read_layout(layout, limit)?;
        contents.resize(size as usize, 0);
        contents[offset as usize..offset as usize + data.len()].copy_from_slice(data);
        self.replace_data(inode, &mut contents.as_slice(), size)
    }

    /// Cuts a file, or extends it with zeros that are not written.
    pub(super) fn resize_data(&mut self, inode: &mut Inode, size: u64) -> Result<(), Reason> {
        self.expand(inode, size)?;
        let layout = self.layout(inode, kind::DATA, &[])?.unwrap_or(Layout::Resident(Vec::new()));
        let limit = crate::MAX_READ;
        let simple = match &layout {
            Layout::Runs { sizes, .. } if layout.is_plain() && inode.extensions.is_empty() => {
                Some(*sizes)
            }
            _ => None,
        };
        let Some(sizes) = simple.filter(|_| size > 0) else {
            // In the record, of another kind, or to nothing: a file of clusters that grows out of
            // an empty one is made by the second step.
            let keep = layout.size().min(size).min(limit);
            let mut contents = vec![0; keep as usize];
            self.read_layout_at(&layout, 0, &mut contents)?;
            if size <= 1 << 16 {
                contents.resize(size as usize, 0);
                return self.replace_data(inode, &mut contents.as_slice(), size);
            }
            if layout.size() > limit {
                return Err(Reason::TooLarge { size: layout.size(), limit });
            }
            contents.resize(contents.len().max(1 << 16), 0);
            let len = contents.len() as u64;
            self.replace_data(inode, &mut contents.as_slice(), len)?;
            return self.resize_data(inode, size);
        };
        let cluster = self.geometry.cluster;
        self.touch(inode)?;
        if size > sizes.allocated {
            let last = self.layout(inode, kind::DATA, &[])?;
            let near = match &last {
                Some(Layout::Runs { runs, .. }) => runs.last().copied(),
                _ => None,
            };
            let missing = (size - sizes.allocated).div_ceil(cluster);
            let added = self.allocate_clusters(missing, near)?;
            let grown = |allocated, old: Sizes| Sizes { allocated, real: size, ..old };
            if let Err(error) = self.extend_attribute(inode, kind::DATA, &[], &added, grown) {
                self.free_clusters(&added)?;
                return Err(error);
            }
            self.write_inode(inode)?;
            return self.update_entries(inode);
        }
        let Layout::Runs { mut runs, .. } = layout else { return Ok(()) };
        let cut = runs::truncate(&mut runs, size.div_ceil(cluster));
        let attribute = inode.base.find_mut(kind::DATA, &[]).expect("its layout was read");
        attribute.set_runs(&runs);
        attribute.set_sizes(Sizes {
            allocated: runs::total(&runs) * cluster,
            real: size,
            initialized: sizes.initialized.min(size),
        });
        self.write_inode(inode)?;
        self.free_clusters(&cut)?;
        self.update_entries(inode)
    }

    /// Notes in memory that a file or directory has changed now.
    pub(super) fn touch(&self, inode: &mut Inode) -> Result<(), Reason> {
        let now = self.now();
        self.change_standard(inode, |standard| {
            standard.modified = now;
            standard.changed = now;
            standard.accessed = now;
        })
    }

    /// Moves the data of a file out of its record where that is too full.
    pub(super) fn make_room(&mut self, inode: &mut Inode) -> Result<Vec<Run>, Reason> {
        let Some(data) = inode.base.find(kind::DATA, &[]).filter(|data| data.is_resident()) else {
            return Ok(Vec::new());
        };
        let value = data.value().to_vec();
        if inode.base.serialize_fits() || value.is_empty() {
            return Ok(Vec::new());
        }
        let id = data.id();
        let cluster = self.geometry.cluster;
        let size = value.len() as u64;
        let all = self.allocate_clusters(size.div_ceil(cluster), None)?;
        let mut padded = value;
        padded.resize((runs::total(&all) * cluster) as usize, 0);
        self.write_runs(&all, 0, &padded)?;
        let sizes = Sizes { allocated: padded.len() as u64, real: size, initialized: size };
        let mut moved = Attribute::non_resident(kind::DATA, &[], 0, &all, sizes);
        moved.set_id(id);
        *inode.base.find_mut(kind::DATA, &[]).expect("found above") = moved;
        Ok(all)
    }

    /// All clusters of a file.
    pub(super) fn all_clusters(&self, inode: &Inode) -> Result<Vec<Run>, Reason> {
        let mut all = Vec::new();
        for attribute in inode.attributes().filter(|one| !one.is_resident()) {
            all.extend(attribute.runs(self.geometry.clusters)?);
        }
        Ok(all)
    }

    /// The value of `$INDEX_ROOT` of an empty directory.
    pub(super) fn empty_root(&self) -> Attribute {
        let block = self.geometry.index_block;
        let stride = block as u64 / self.geometry.index_unit(block);
        let mut value = vec![0; 48];
        value[0..4].copy_from_slice(&kind::FILE_NAME.to_le_bytes());
        value[4] = 1;
        value[8..12].copy_from_slice(&(block as u32).to_le_bytes());
        value[12] = stride as u8;
        value[16] = 16;
        value[20] = 32;
        value[24] = 32;
        value[40] = 16;
        value[44] = 2;
        Attribute::resident(kind::INDEX_ROOT, &I30, &value, false)
    }
}

/// An entry of an attribute list for an attribute without a name.
pub(super) fn list_entry(kind: u32, reference: u64, id: u16) -> Vec<u8> {
    let mut entry = vec![0; 0x20];
    entry[0..4].copy_from_slice(&kind.to_le_bytes());
    entry[4..6].copy_from_slice(&0x20u16.to_le_bytes());
    entry[7] = 0x1a;
    entry[0x10..0x18].copy_from_slice(&reference.to_le_bytes());
    entry[0x18..0x1a].copy_from_slice(&id.to_le_bytes());
    entry
}

/// True of the entry of this attribute of this record.
pub(super) fn is_entry_of(entry: &[u8], record: &Record, attribute: &Attribute) -> bool {
    u32_at(entry, 0) == attribute.kind()
        && u16_at(entry, 0x18) == attribute.id()
        && u64_at(entry, 0x10) & NUMBER_MASK == record.number
}

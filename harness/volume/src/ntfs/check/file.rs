//! What one file must be by itself, and to the directories that name it.

use crate::ntfs::engine::{Engine, FIRST_USER, Inode, MFT, list_entries};
use crate::ntfs::name::FileName;
use crate::ntfs::record::{Attribute, NUMBER_MASK, Record, kind, u16_at, u32_at, u64_at};
use crate::ntfs::runs;
use crate::ntfs::stream::Layout;
use crate::{BlockDevice, Check, Reason};
use std::collections::BTreeSet;

impl Engine {
    /// The file of a base record; `None` if the record is free or an extension.
    pub(in crate::ntfs) fn file(&mut self, number: u64) -> Result<Option<Inode>, Reason> {
        if number >= self.record_count() {
            return Ok(None);
        }
        let record = self.record(number)?;
        if !record.is_in_use() || record.base != 0 {
            return Ok(None);
        }
        self.inode(number).map(Some)
    }

    /// Checks a file by itself: the count of its names, its attribute list, and the sizes of its streams.
    pub(super) fn check_file(&mut self, inode: &Inode, check: &mut Check) -> Result<(), Reason> {
        let number = inode.base.number;
        let mut count = 0;
        for name in inode.attributes().filter(|one| one.kind() == kind::FILE_NAME) {
            FileName::parse(name.value())?;
            count += 1;
        }
        if number >= FIRST_USER && count != inode.base.links {
            check
                .error(format!("record {number} has {count} names, and says {}", inode.base.links));
        }
        self.check_list(inode, check)?;
        self.check_sizes(inode, check)
    }

    /// An attribute list names every attribute of the file once, and nothing else.
    fn check_list(&mut self, inode: &Inode, check: &mut Check) -> Result<(), Reason> {
        let number = inode.base.number;
        if inode.base.find(kind::ATTRIBUTE_LIST, &[]).is_none() {
            return Ok(());
        }
        type Place = (u64, u32, u16, u64);
        let place = |record: &Record, attribute: &Attribute| -> Place {
            (record.reference(), attribute.kind(), attribute.id(), attribute.first_vcn())
        };
        let mut there: BTreeSet<Place> = inode
            .records()
            .flat_map(|record| record.attributes.iter().map(move |one| place(record, one)))
            .filter(|(_, kind, ..)| *kind != kind::ATTRIBUTE_LIST)
            .collect();
        let list = self.attribute_list_bytes(&inode.base)?;
        for entry in list_entries(&list) {
            let (kind, reference) = (u32_at(entry, 0), u64_at(entry, 0x10));
            if !there.remove(&(reference, kind, u16_at(entry, 0x18), u64_at(entry, 8))) {
                check.error(format!(
                    "record {number} lists an attribute of type {kind:#x} in record {}, which does not \
                     have it",
                    reference & NUMBER_MASK
                ));
            }
        }
        for (reference, kind, ..) in there {
            check.error(format!(
                "record {number} does not list the attribute of type {kind:#x} in record {}",
                reference & NUMBER_MASK
            ));
        }
        Ok(())
    }

    /// The clusters of a stream are those that its sizes speak of.
    fn check_sizes(&self, inode: &Inode, check: &mut Check) -> Result<(), Reason> {
        let number = inode.base.number;
        // `fstool` gives `$Boot` a size that is no multiple of its clusters, and nothing minds.
        if number < FIRST_USER && number != MFT {
            return Ok(());
        }
        let outside = inode.attributes().filter(|one| !one.is_resident());
        let streams: BTreeSet<_> = outside.map(|one| (one.kind(), one.name())).collect();
        for (kind, name) in streams {
            let Some(layout) = self.layout(inode, kind, &name)? else { continue };
            let Layout::Runs { runs, sizes, .. } = &layout else { continue };
            // A stream with holes, or compressed, has its own way of counting.
            if !layout.is_plain() {
                continue;
            }
            let allocated = runs::total(runs) * self.geometry.cluster;
            if allocated != sizes.allocated || sizes.real > sizes.allocated {
                check.error(format!(
                    "record {number}: an attribute of type {kind:#x} has {allocated} bytes in clusters, \
                     and says {} of {}",
                    sizes.real, sizes.allocated
                ));
            }
        }
        Ok(())
    }

    /// An extension record belongs to a file that lists it.
    pub(super) fn check_extension(&mut self, record: &Record, check: &mut Check) {
        let base = record.base & NUMBER_MASK;
        let listed = self.inode(base).is_ok_and(|inode| {
            inode.base.reference() == record.base
                && inode.extensions.iter().any(|one| one.number == record.number)
        });
        if !listed {
            check.error(format!(
                "record {} is an extension of record {base}, which does not list it",
                record.number
            ));
        }
    }

    /// Checks an entry of a directory against the file that it names. True if the size in the entry is that
    /// of the file.
    pub(super) fn check_entry(
        &mut self,
        dir: u64,
        reference: u64,
        entry: &FileName,
    ) -> Result<bool, String> {
        let child = reference & NUMBER_MASK;
        let inode = self.inode(child).map_err(|error| error.to_string())?;
        if reference >> 48 != u64::from(inode.base.sequence) {
            return Err(format!("a stale reference to record {child}"));
        }
        if !has_name(&inode, dir, &entry.name) {
            return Err(format!("record {child} has no such name"));
        }
        let (_, real) = self.entry_sizes(&inode).map_err(|error| error.to_string())?;
        let single = names_of(&inode).count() == 1;
        Ok(!single || inode.base.is_directory() || child < FIRST_USER || real == entry.real)
    }

    /// The records at the start of `$MFT` lie in `$MFTMirr` once more.
    pub(super) fn check_mirror(&mut self, check: &mut Check) -> Result<(), Reason> {
        for number in 0..self.mirrored().min(self.record_count()) {
            let bytes = self.record_bytes(number)?;
            let mut copy = vec![0; bytes.len()];
            self.device.read_at(self.mirror_place(number), &mut copy).map_err(Reason::Device)?;
            if copy != bytes {
                check.error(format!("record {number} is not the same in $MFTMirr"));
            }
        }
        Ok(())
    }
}

/// The names of a file that can be read.
pub(super) fn names_of(inode: &Inode) -> impl Iterator<Item = FileName> {
    inode
        .attributes()
        .filter(|one| one.kind() == kind::FILE_NAME)
        .filter_map(|one| FileName::parse(one.value()).ok())
}

/// True if a file has this name, as it is spelt, in this directory.
pub(super) fn has_name(inode: &Inode, dir: u64, name: &[u16]) -> bool {
    names_of(inode).any(|own| own.parent & NUMBER_MASK == dir && own.name == name)
}

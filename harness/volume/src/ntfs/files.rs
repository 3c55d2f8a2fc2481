//! Files by path: what [`Volume`](crate::Volume) offers, in terms of records and names.

use super::contents::wof_point;
use super::edit::{Standard, is_entry_of, list_entry};
use super::engine::{Engine, FIRST_USER, Inode, ROOT};
use super::name::{DIRECTORY_FLAG, FileName};
use super::record::{self, Attribute, NUMBER_MASK, kind, u32_at};
use crate::path::{check_new_name, split};
use crate::wof::{WOF_TAG, WofFile};
use crate::{Entry, Kind, Metadata, Reason};
use std::io::Read;

/// `FILE_ATTRIBUTE_ARCHIVE`: what new files have.
const ARCHIVE: u32 = 0x20;
/// `FILE_ATTRIBUTE_DIRECTORY`.
const DIRECTORY_ATTRIBUTE: u32 = 0x10;
/// Reparse tags (\[MS-FSCC\] 2.1.2.1).
const REPARSE_JUNCTION: u32 = 0xa000_0003;
const REPARSE_LINK: u32 = 0xa000_000c;
const REPARSE_DEDUP: u32 = 0x8000_0013;
/// Deepest tree that is deleted.
const MAX_DEPTH: usize = 64;

fn units(name: &str) -> Vec<u16> {
    name.encode_utf16().collect()
}

impl Engine {
    /// The file or directory at a path.
    pub(super) fn resolve(&mut self, parts: &[&str]) -> Result<Inode, Reason> {
        let mut inode = self.inode(ROOT)?;
        for part in parts {
            if !inode.base.is_directory() || inode.has(kind::REPARSE_POINT) {
                return Err(Reason::NotADirectory);
            }
            let (reference, _) = self.find_name(&inode, &units(part))?.ok_or(Reason::NotFound)?;
            let parent = inode.base.number;
            inode = self.referred(reference)?;
            self.check_parent(&inode, parent)?;
        }
        Ok(inode)
    }

    /// A directory has one parent, which its own name tells. On a volume that was damaged or forged
    /// directories may stand in a circle; so nobody walks in it.
    fn check_parent(&self, inode: &Inode, parent: u64) -> Result<(), Reason> {
        if !inode.base.is_directory() {
            return Ok(());
        }
        let own = self.names(inode)?;
        if own.first().is_some_and(|(_, _, name)| name.parent & NUMBER_MASK == parent)
            && inode.base.number != ROOT
        {
            return Ok(());
        }
        Err(Reason::Damaged(format!(
            "directory record {} does not belong where it was found",
            inode.base.number
        )))
    }

    /// The file that a reference means; a stale reference is damage.
    fn referred(&mut self, reference: u64) -> Result<Inode, Reason> {
        let inode = self.inode(reference & NUMBER_MASK)?;
        if reference >> 48 != u64::from(inode.base.sequence) {
            return Err(Reason::Damaged(format!(
                "a directory refers to an earlier use of file record {}",
                inode.base.number
            )));
        }
        Ok(inode)
    }

    pub(super) fn resolve_path(&mut self, path: &str) -> Result<Inode, Reason> {
        self.resolve(&split(path)?)
    }

    /// A file, to read or write its contents.
    pub(super) fn resolve_file(&mut self, path: &str) -> Result<Inode, Reason> {
        let inode = self.resolve_path(path)?;
        self.check_contents(&inode)?;
        Ok(inode)
    }

    /// A file whose contents may be changed.
    pub(super) fn resolve_user_file(&mut self, path: &str) -> Result<Inode, Reason> {
        let inode = self.resolve_file(path)?;
        self.check_user(&inode)?;
        Ok(inode)
    }

    /// Refuses what has no contents of its own: directories, and files behind a reparse point
    /// (their data stream is empty or a placeholder), but for those that WOF has compressed.
    fn check_contents(&self, inode: &Inode) -> Result<(), Reason> {
        if inode.base.is_directory() {
            return Err(Reason::IsADirectory);
        }
        if let Some(point) = wof_point(inode) {
            WofFile::algorithm(point)?;
        } else if let Some(point) = inode.attributes().find(|one| one.kind() == kind::REPARSE_POINT)
        {
            let tag = u32_at(point.value(), 0);
            return Err(Reason::Unsupported(match tag {
                REPARSE_LINK | REPARSE_JUNCTION => {
                    "following a symbolic link or junction; use the path that it leads to"
                        .to_owned()
                }
                REPARSE_DEDUP => "reading a file that data deduplication has taken apart; put it \
                                  together in the machine: Expand-DedupFile"
                    .to_owned(),
                _ => format!("reading a file behind a reparse point of the tag {tag:#010x}"),
            }));
        }
        if let Some(data) = inode.attributes().find(|one| one.is(kind::DATA, &[]))
            && data.flags() & record::ENCRYPTED != 0
        {
            return Err(Reason::Unsupported(
                "reading or changing a file that is encrypted (EFS); decrypt it in the machine: \
                 cipher /d"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    fn directory(&mut self, parts: &[&str]) -> Result<Inode, Reason> {
        let inode = self.resolve(parts)?;
        if inode.base.is_directory() { Ok(inode) } else { Err(Reason::NotADirectory) }
    }

    pub(super) fn list(&mut self, path: &str) -> Result<Vec<Entry>, Reason> {
        let dir = self.directory(&split(path)?)?;
        let mut entries = Vec::new();
        for (reference, name) in self.all_names(&dir)? {
            if name.is_dos_only() || reference & NUMBER_MASK < FIRST_USER {
                continue;
            }
            let directory = name.flags & DIRECTORY_FLAG != 0;
            let kind = if name.reparse_tag().is_some_and(|tag| directory || tag != WOF_TAG) {
                Kind::Reparse
            } else if directory {
                Kind::Directory
            } else {
                Kind::File
            };
            let size = if kind == Kind::Directory { 0 } else { name.real };
            entries.push(Entry { name: name.text(), kind, size });
        }
        Ok(entries)
    }

    pub(super) fn metadata(&mut self, inode: &Inode) -> Result<Metadata, Reason> {
        let standard = self.standard(inode)?;
        let directory = inode.base.is_directory();
        let kind = if inode.has(kind::REPARSE_POINT) && wof_point(inode).is_none() {
            Kind::Reparse
        } else if directory {
            Kind::Directory
        } else {
            Kind::File
        };
        let added = if directory { DIRECTORY_ATTRIBUTE } else { 0 };
        Ok(Metadata {
            kind,
            size: if directory { 0 } else { self.entry_sizes(inode)?.1 },
            created: standard.created,
            modified: standard.modified,
            attributes: standard.attributes | added,
        })
    }

    pub(super) fn write_file(
        &mut self,
        path: &str,
        source: &mut dyn Read,
        size: u64,
    ) -> Result<(), Reason> {
        let parts = split(path)?;
        let (name, above) = parts.split_last().ok_or(Reason::IsADirectory)?;
        let mut dir = self.directory(above)?;
        if let Some((reference, _)) = self.find_name(&dir, &units(name))? {
            let mut inode = self.referred(reference)?;
            self.check_contents(&inode)?;
            self.check_user(&inode)?;
            self.begin_write()?;
            return self.replace_data(&mut inode, source, size);
        }
        check_new_name(name)?;
        self.begin_write()?;
        let mut inode = self.new_inode(&dir, name, ARCHIVE)?;
        let result = self.build_data(source, size, inode.base.room());
        let (data, clusters) = match result {
            Ok(built) => built,
            Err(error) => {
                self.set_record_bit(inode.base.number, false)?;
                return Err(error);
            }
        };
        inode.base.add(data);
        self.enter(&mut dir, &mut inode).or_else(|error| {
            self.free_clusters(&clusters)?;
            Err(error)
        })
    }

    /// A record for a new file or directory, in memory, with everything but contents.
    fn new_inode(&mut self, dir: &Inode, name: &str, attributes: u32) -> Result<Inode, Reason> {
        let now = self.now();
        // New files get the access rights of their directory.
        let security = self.standard(dir)?.security();
        let mut base = self.allocate_record()?;
        base.flags = record::IN_USE;
        base.links = 1;
        let standard = Standard::new(now, attributes, security).encode();
        base.add(Attribute::resident(kind::STANDARD_INFORMATION, &[], &standard, false));
        let name = FileName::new(dir.base.reference(), name);
        base.add(Attribute::resident(kind::FILE_NAME, &[], &name.encode(), true));
        Ok(Inode { base, extensions: Vec::new(), stale: Vec::new() })
    }

    /// Writes a new record and then its name into the directory.
    fn enter(&mut self, dir: &mut Inode, inode: &mut Inode) -> Result<(), Reason> {
        let standard = self.standard(inode)?;
        let (allocated, real) = self.entry_sizes(inode)?;
        let directory = inode.base.is_directory();
        let attribute = inode.base.find_mut(kind::FILE_NAME, &[]).expect("made with one");
        let mut name = FileName::parse(attribute.value())?;
        name.created = standard.created;
        name.modified = standard.modified;
        name.changed = standard.changed;
        name.accessed = standard.accessed;
        name.allocated = allocated;
        name.real = real;
        name.flags = standard.attributes;
        if directory {
            name.flags |= DIRECTORY_FLAG;
        }
        attribute.set_value(&name.encode());
        let reference = inode.base.reference();
        let entered = self.write_record(&mut inode.base);
        let entered = entered.and_then(|()| self.insert_name(dir, reference, &name));
        if let Err(error) = entered {
            self.free_record(inode.base.clone())?;
            return Err(error);
        }
        self.touch(dir)?;
        self.write_inode(dir)
    }

    pub(super) fn create_dirs(&mut self, path: &str) -> Result<(), Reason> {
        let mut dir = self.inode(ROOT)?;
        for part in split(path)? {
            if !dir.base.is_directory() || dir.has(kind::REPARSE_POINT) {
                return Err(Reason::NotADirectory);
            }
            if let Some((reference, _)) = self.find_name(&dir, &units(part))? {
                dir = self.referred(reference)?;
                continue;
            }
            check_new_name(part)?;
            self.begin_write()?;
            let mut inode = self.new_inode(&dir, part, 0)?;
            inode.base.flags |= record::DIRECTORY;
            inode.base.add(self.empty_root());
            self.enter(&mut dir, &mut inode)?;
            dir = inode;
        }
        if dir.base.is_directory() { Ok(()) } else { Err(Reason::NotADirectory) }
    }

    /// System files are not to be touched by path.
    fn check_user(&self, inode: &Inode) -> Result<(), Reason> {
        if inode.base.number < FIRST_USER {
            return Err(Reason::Unsupported("changing a system file of NTFS".to_owned()));
        }
        Ok(())
    }

    /// The names of a file: which record holds each, its attribute, and what it says.
    fn names(&self, inode: &Inode) -> Result<Vec<(usize, Attribute, FileName)>, Reason> {
        let mut names = Vec::new();
        for (index, record) in inode.records().enumerate() {
            for attribute in record.attributes.iter().filter(|one| one.kind() == kind::FILE_NAME) {
                names.push((index, attribute.clone(), FileName::parse(attribute.value())?));
            }
        }
        Ok(names)
    }

    /// The attributes that make up one name in one directory: a long name and its DOS form.
    fn pair(
        &self,
        inode: &Inode,
        parent: u64,
        name: &[u16],
    ) -> Result<Vec<(usize, Attribute, FileName)>, Reason> {
        let names = self.names(inode)?;
        let same = |other: &FileName| {
            other.parent & NUMBER_MASK == parent && self.upcase.compare(&other.name, name).is_eq()
        };
        let asked = names.iter().find(|(_, _, other)| same(other)).ok_or_else(|| {
            Reason::Damaged("a directory has a name that the file has not".to_owned())
        })?;
        let paired = asked.2.is_dos_only() || asked.2.is_win32_only();
        let mut pair: Vec<_> = names
            .iter()
            .filter(|(_, _, other)| {
                same(other)
                    || (paired
                        && other.parent & NUMBER_MASK == parent
                        && other.is_dos_only() != asked.2.is_dos_only()
                        && (other.is_dos_only() || other.is_win32_only())
                        && (asked.2.is_win32_only()
                            || names.iter().filter(|one| one.2.is_win32_only()).count() == 1))
            })
            .cloned()
            .collect();
        // A file has one DOS name at most. With several long names in one directory it belongs to
        // the one that comes before it in the record.
        if asked.2.is_win32_only() && pair.len() > 1 {
            let long: Vec<_> = names
                .iter()
                .filter(|(_, _, other)| {
                    other.is_win32_only() && other.parent & NUMBER_MASK == parent
                })
                .collect();
            if long.len() > 1 && long[0].1 != asked.1 {
                pair.retain(|(_, _, other)| !other.is_dos_only());
            }
        }
        Ok(pair)
    }

    /// Takes names out of a file, in memory.
    fn drop_names(
        &mut self,
        inode: &mut Inode,
        dropped: &[(usize, Attribute, FileName)],
    ) -> Result<(), Reason> {
        let records: Vec<_> = inode.records().cloned().collect();
        self.change_list(inode, |list| {
            list.retain(|entry| {
                !dropped.iter().any(|(index, one, _)| is_entry_of(entry, &records[*index], one))
            });
        })?;
        for (index, record) in inode.records_mut().enumerate() {
            record.attributes.retain(|attribute| {
                !dropped.iter().any(|(other, one, _)| *other == index && one == attribute)
            });
        }
        inode.base.links = self.names(inode)?.len() as u16;
        Ok(())
    }

    /// Puts a name into a file, in memory: into the base record; with an attribute list, into whichever
    /// record has room, or into a new one.
    fn add_name(&mut self, inode: &mut Inode, name: &FileName) -> Result<(), Reason> {
        let attribute = Attribute::resident(kind::FILE_NAME, &[], &name.encode(), true);
        if inode.base.find(kind::ATTRIBUTE_LIST, &[]).is_none() {
            inode.base.add(attribute);
            return Ok(());
        }
        let place = inode.records().position(|record| record.room() >= attribute.len());
        let place = match place {
            Some(place) => place,
            None => self.new_extension(inode)?,
        };
        let record = inode.records_mut().nth(place).expect("chosen among them");
        let id = record.add(attribute);
        let reference = record.reference();
        self.change_list(inode, |list| {
            let after = list.iter().position(|entry| u32_at(entry, 0) > kind::FILE_NAME);
            let entry = list_entry(kind::FILE_NAME, reference, id);
            list.insert(after.unwrap_or(list.len()), entry);
        })
    }

    /// Removes one name of a file, and the file with its last name. The entries of the directory
    /// in `keep` stay (another file has taken them).
    fn unlink(
        &mut self,
        mut inode: Inode,
        parent: u64,
        name: &[u16],
        keep: Option<&[u16]>,
    ) -> Result<(), Reason> {
        let pair = self.pair(&inode, parent, name)?;
        for (_, _, one) in &pair {
            if keep.is_some_and(|keep| self.upcase.compare(keep, &one.name).is_eq()) {
                continue;
            }
            let mut dir = self.inode(parent)?;
            match self.remove_name(&mut dir, &one.name) {
                Ok(()) | Err(Reason::NotFound) => {}
                Err(error) => return Err(error),
            }
            self.touch(&mut dir)?;
            self.write_inode(&mut dir)?;
        }
        if self.names(&inode)?.len() > pair.len() {
            self.drop_names(&mut inode, &pair)?;
            return self.write_inode(&mut inode);
        }
        self.leave_indexes(&inode)?;
        let clusters = self.all_clusters(&inode)?;
        self.free_record(inode.base)?;
        for extension in inode.extensions {
            self.free_record(extension)?;
        }
        self.free_clusters(&clusters)
    }

    pub(super) fn remove(&mut self, path: &str) -> Result<(), Reason> {
        let parts = split(path)?;
        let (name, above) = parts.split_last().ok_or(Reason::IsADirectory)?;
        let dir = self.directory(above)?;
        let (reference, _) = self.find_name(&dir, &units(name))?.ok_or(Reason::NotFound)?;
        let inode = self.referred(reference)?;
        if inode.base.is_directory() && !inode.has(kind::REPARSE_POINT) {
            return Err(Reason::IsADirectory);
        }
        self.check_user(&inode)?;
        self.begin_write()?;
        self.unlink(inode, dir.base.number, &units(name), None)
    }

    pub(super) fn remove_tree(&mut self, path: &str) -> Result<(), Reason> {
        let parts = split(path)?;
        let (name, above) =
            parts.split_last().ok_or(Reason::bad_path("the root of a volume cannot be deleted"))?;
        let dir = self.directory(above)?;
        let (reference, _) = self.find_name(&dir, &units(name))?.ok_or(Reason::NotFound)?;
        let inode = self.referred(reference)?;
        if !inode.base.is_directory() || inode.has(kind::REPARSE_POINT) {
            return Err(Reason::NotADirectory);
        }
        self.begin_write()?;
        self.remove_below(inode, dir.base.number, &units(name), 0)
    }

    fn remove_below(
        &mut self,
        inode: Inode,
        parent: u64,
        name: &[u16],
        depth: usize,
    ) -> Result<(), Reason> {
        if depth > MAX_DEPTH {
            return Err(Reason::Damaged(format!("directories are nested deeper than {MAX_DEPTH}")));
        }
        self.check_user(&inode)?;
        let number = inode.base.number;
        // From the end: the blocks at the end empty one after the other.
        for (reference, child) in self.all_names(&inode)?.into_iter().rev() {
            if child.is_dos_only() {
                continue;
            }
            let below = self.referred(reference)?;
            self.check_parent(&below, number)?;
            if below.base.is_directory() && !below.has(kind::REPARSE_POINT) {
                self.remove_below(below, number, &child.name, depth + 1)?;
            } else {
                self.unlink(below, number, &child.name, None)?;
            }
        }
        let inode = self.inode(number)?;
        self.unlink(inode, parent, name, None)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), Reason> {
        let (source, target) = (split(from)?, split(to)?);
        let refuse_root = Reason::bad_path("the root of a volume cannot be moved");
        let Some((old_name, source_above)) = source.split_last() else { return Err(refuse_root) };
        let Some((new_name, target_above)) = target.split_last() else { return Err(refuse_root) };
        let source_dir = self.directory(source_above)?;
        let (reference, _) =
            self.find_name(&source_dir, &units(old_name))?.ok_or(Reason::NotFound)?;
        let inode = self.referred(reference)?;
        self.check_user(&inode)?;
        check_new_name(new_name)?;
        for depth in 0..=target_above.len() {
            if self.directory(&target_above[..depth])?.base.number == inode.base.number {
                return Err(Reason::bad_path("a directory cannot move into itself"));
            }
        }
        let mut target_dir = self.directory(target_above)?;
        let existing = match self.find_name(&target_dir, &units(new_name))? {
            Some((other, _)) if other == reference => None,
            Some((other, _)) => Some(self.referred(other)?),
            None => None,
        };
        if existing.as_ref().is_some_and(|other| other.base.is_directory()) {
            return Err(Reason::AlreadyExists);
        }
        if let Some(other) = &existing {
            self.check_user(other)?;
        }
        self.begin_write()?;
        self.rename_to(
            inode,
            source_dir.base.number,
            &units(old_name),
            &mut target_dir,
            new_name,
            existing,
        )
    }

    fn rename_to(
        &mut self,
        mut inode: Inode,
        source: u64,
        old_name: &[u16],
        target_dir: &mut Inode,
        new_name: &str,
        existing: Option<Inode>,
    ) -> Result<(), Reason> {
        let target = target_dir.base.number;
        let pair = self.pair(&inode, source, old_name)?;
        let (_, _, main) = pair
            .iter()
            .find(|(_, _, name)| !name.is_dos_only())
            .or(pair.first())
            .ok_or(Reason::NotFound)?;
        // What the directory says of the file is newer than what the file says of itself.
        let dir = self.inode(source)?;
        let entry = self.find_name(&dir, &main.name)?.map(|(_, entry)| entry);
        let renamed =
            entry.unwrap_or_else(|| main.clone()).renamed(target_dir.base.reference(), new_name);
        let same = source == target && self.upcase.compare(&renamed.name, &main.name).is_eq();
        let reference = inode.base.reference();
        // The new name in the record, and room for it, in memory.
        let now = self.now();
        self.drop_names(&mut inode, &pair)?;
        self.add_name(&mut inode, &renamed)?;
        inode.base.links = self.names(&inode)?.len() as u16;
        self.change_standard(&mut inode, |standard| standard.changed = now)?;
        self.make_room(&mut inode)?;
        // The new entry, then the record, then the old entries go.
        if same || existing.is_some() {
            self.update_name(target_dir, &renamed.name, |file, entry| {
                *file = reference;
                *entry = renamed.clone();
            })?;
        } else {
            self.insert_name(target_dir, reference, &renamed)?;
        }
        self.touch(target_dir)?;
        self.write_inode(target_dir)?;
        self.write_inode(&mut inode)?;
        for (_, _, old) in &pair {
            let replaced =
                source == target && self.upcase.compare(&old.name, &renamed.name).is_eq();
            if !replaced {
                let mut dir = self.inode(source)?;
                self.remove_name(&mut dir, &old.name)?;
                self.touch(&mut dir)?;
                self.write_inode(&mut dir)?;
            }
        }
        if let Some(other) = existing {
            self.unlink(other, target, &renamed.name, Some(&renamed.name))?;
        }
        Ok(())
    }
}

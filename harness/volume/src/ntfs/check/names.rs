//! The names of changed files, against the directories that have them.

use super::changes::{Comparison, Pair};
use super::file::{has_name, names_of};
use super::index::Checked;
use crate::Reason;
use crate::ntfs::engine::{Engine, FIRST_USER, Inode};
use crate::ntfs::index::I30;
use crate::ntfs::index_walk::Walk;
use crate::ntfs::name::FileName;
use crate::ntfs::node::IndexEntry;
use crate::ntfs::record::{Attribute, NUMBER_MASK, kind};
use crate::ntfs::runs::Run;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Changed files, as they were and are; a side on which there was no file has none.
pub(super) type Files = BTreeMap<u64, Pair<Option<Inode>>>;

impl Comparison {
    pub(super) fn compare_names(&mut self, files: &Files) -> Result<(), Reason> {
        let mut directories = BTreeSet::new();
        for (&number, file) in files {
            for side in file.each().into_iter().flatten() {
                directories.extend(names_of(side).map(|name| name.parent & NUMBER_MASK));
                if side.base.is_directory() {
                    directories.insert(number);
                }
            }
            self.compare_file(file);
        }
        for number in directories {
            self.compare_directory(number)?;
        }
        Ok(())
    }

    /// The names of one file.
    fn compare_file(&mut self, file: &Pair<Option<Inode>>) {
        let names = |side: &Option<Inode>| side.iter().flat_map(names_of).collect::<Vec<_>>();
        let (before, now) = (names(&file.was), names(&file.is));
        let same = |one: &FileName, other: &FileName| {
            one.parent & NUMBER_MASK == other.parent & NUMBER_MASK && one.name == other.name
        };
        if let Some(is) = &file.is {
            let renamed = before.len() != now.len()
                || !before.iter().zip(&now).all(|(one, other)| same(one, other));
            let written = self.is_written(file, renamed);
            // The system's own files need not be entered: not every volume names its root in itself.
            let own = is.base.number < FIRST_USER;
            for name in &now {
                let entered = self.entry_of(name).filter(|(reference, entry)| {
                    *reference == is.base.reference() && entry.name == name.name
                });
                let Some((_, entry)) = entered else {
                    if own {
                        continue;
                    }
                    self.check.error(format!(
                        "record {} has the name '{}', and directory {} has no such entry",
                        is.base.number,
                        name.text(),
                        name.parent & NUMBER_MASK
                    ));
                    continue;
                };
                if !before.iter().any(|one| same(one, name)) {
                    self.check_parent_of(is, name);
                }
                if let Some(size) = written.filter(|&size| size != entry.real) {
                    self.check.error(format!(
                        "directory {} says that '{}' has {} bytes, and it has {size}",
                        name.parent & NUMBER_MASK,
                        name.text(),
                        entry.real
                    ));
                }
            }
        }
        let Some(was) = &file.was else { return };
        let kept = |name: &FileName| {
            let sequence = file.is.as_ref().is_some_and(|is| is.base.sequence == was.base.sequence);
            sequence && now.iter().any(|one| same(one, name))
        };
        for name in before.iter().filter(|name| !kept(name)) {
            let entered = self.entry_of(name);
            if entered.is_some_and(|(reference, entry)| {
                reference == was.base.reference() && entry.name == name.name
            }) {
                self.check.error(format!(
                    "directory {} has an entry '{}' of record {}, which has lost that name",
                    name.parent & NUMBER_MASK,
                    name.text(),
                    was.base.number
                ));
            }
        }
    }

    /// The size of a file whose data was written, as its directories must tell it.
    fn is_written(&self, file: &Pair<Option<Inode>>, renamed: bool) -> Option<u64> {
        let is = file.is.as_ref().filter(|is| !is.base.is_directory())?;
        // Windows leaves the entries of its own files as they are.
        if is.base.number < FIRST_USER {
            return None;
        }
        let (_, size) = self.is.entry_sizes(is).ok()?;
        let was = file.was.as_ref().filter(|was| was.base.sequence == is.base.sequence);
        let Some(was) = was else { return Some(size) };
        if self.was.entry_sizes(was).is_ok_and(|(_, old)| old != size) {
            return Some(size);
        }
        // A file that is moved takes along what the directory said of it, which Windows may have left as it
        // was; and its data may have to leave the record for a longer name.
        let data = |engine: &Engine, inode| engine.layout(inode, kind::DATA, &[]);
        let differs = data(&self.was, was).ok() != data(&self.is, is).ok();
        (differs && !renamed).then_some(size)
    }

    /// The entry of a name in its directory.
    fn entry_of(&mut self, name: &FileName) -> Option<(u64, FileName)> {
        let dir = self.is.file(name.parent & NUMBER_MASK).ok().flatten()?;
        self.is.find_name(&dir, &name.name).ok().flatten()
    }

    /// A new name says in which directory it is, and in which use of that directory's record.
    fn check_parent_of(&mut self, file: &Inode, name: &FileName) {
        let dir = self.is.file(name.parent & NUMBER_MASK).ok().flatten();
        if dir.is_none_or(|dir| dir.base.reference() != name.parent) {
            self.check.error(format!(
                "record {} has the name '{}' in an earlier use of record {}",
                file.base.number,
                name.text(),
                name.parent & NUMBER_MASK
            ));
        }
    }

    /// The entries of one directory, where its index differs.
    fn compare_directory(&mut self, number: u64) -> Result<(), Reason> {
        let directory = |file: Option<Inode>| file.filter(|file| file.base.is_directory());
        let dir = Pair {
            was: directory(self.was.file(number).unwrap_or_default()),
            is: directory(self.is.file(number).unwrap_or_default()),
        };
        let is_indexed = |is: &Inode| is.base.find(kind::INDEX_ROOT, &I30).is_some();
        if dir.is.as_ref().is_some_and(|is| !is_indexed(is)) {
            self.check.error(format!("directory {number} has no index"));
        }
        if !self.index_differs(&dir, &I30) {
            return Ok(());
        }
        let compared = self.compare_index(&dir, &I30, |comparison, change| match change {
            Change::Came(entry) => comparison.came(number, &entry),
            Change::Went(entry) => comparison.went(number, &entry),
            Change::Became(old, new) => {
                // Another spelling of a name is another name.
                if old.reference() != new.reference()
                    || FileName::parse(old.key())?.name != FileName::parse(new.key())?.name
                {
                    comparison.went(number, &old)?;
                }
                comparison.came(number, &new)
            }
        });
        self.note(&format!("directory {number}"), compared)
    }

    /// Damage is a finding; a device that fails is not.
    pub(super) fn note(&mut self, what: &str, compared: Result<(), Reason>) -> Result<(), Reason> {
        match compared {
            Err(Reason::Device(error)) => Err(Reason::Device(error)),
            Err(error) => {
                self.check.error(format!("{what}: {error}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn came(&mut self, dir: u64, entry: &IndexEntry) -> Result<(), Reason> {
        let name = FileName::parse(entry.key())?;
        match self.is.check_entry(dir, entry.reference(), &name) {
            Ok(true) => {}
            Ok(false) => self.check.stale_sizes += 1,
            Err(text) => self.check.error(format!("directory {dir}: '{}': {text}", name.text())),
        }
        Ok(())
    }

    fn went(&mut self, dir: u64, entry: &IndexEntry) -> Result<(), Reason> {
        let name = FileName::parse(entry.key())?;
        let reference = entry.reference();
        let file = self.is.file(reference & NUMBER_MASK).unwrap_or_default();
        if file.is_some_and(|file| {
            file.base.reference() == reference && has_name(&file, dir, &name.name)
        }) {
            self.check.error(format!(
                "directory {dir} has lost the entry '{}' of record {}",
                name.text(),
                reference & NUMBER_MASK
            ));
        }
        Ok(())
    }

    /// True if anything of the index `name` of a file differs. Its clusters are accounted for by that.
    pub(super) fn index_differs(&mut self, file: &Pair<Option<Inode>>, name: &[u16]) -> bool {
        let parts = |side: &Option<Inode>| -> Vec<Attribute> {
            let attributes = side.iter().flat_map(Inode::attributes);
            attributes.filter(|one| one.name() == name).cloned().collect()
        };
        let (before, now) = (parts(&file.was), parts(&file.is));
        let (cluster, clusters) = (self.is.geometry.cluster, self.is.geometry.clusters);
        let mut differs = before != now;
        let number = file.each().into_iter().flatten().map(|side| side.base.number).next();
        for attribute in before.iter().chain(&now).filter(|one| !one.is_resident()) {
            let runs: Vec<Run> = attribute.runs(clusters).unwrap_or_default();
            for (lcn, len) in runs.iter().filter_map(|run| Some((run.lcn?, run.len))) {
                let bytes: Range<u64> = lcn * cluster..(lcn + len) * cluster;
                differs |= self.differing_in(&bytes).next().is_some();
            }
            self.accounted.add(&runs, number.unwrap_or_default());
        }
        differs
    }

    /// Goes through an index as it was and as it is, and hands out the entries that are only on one side.
    pub(super) fn compare_index(
        &mut self,
        file: &Pair<Option<Inode>>,
        name: &[u16],
        mut each: impl FnMut(&mut Self, Change) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        fn indexed<'a>(side: &'a Option<Inode>, name: &[u16]) -> Option<&'a Inode> {
            side.as_ref().filter(|side| side.attributes().any(|one| one.name() == name))
        }
        let tree = indexed(&file.was, name).and_then(|side| self.was.tree(side, name).ok());
        let mut was = tree.and_then(|tree| Walk::new(tree).ok());
        let is = indexed(&file.is, name).map(|side| Checked::new(&self.is, side, name));
        let mut is = is.transpose()?;
        let (mut old, mut new) = (self.next_old(&mut was), self.next_new(&mut is)?);
        loop {
            let order = match (&old, &new) {
                (None, None) => break,
                (Some(old), Some(new)) if old == new => Ordering::Equal,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => self.is.compare(name, old, new)?,
            };
            let same = old == new;
            let gone = old.take_if(|_| order.is_le());
            let come = new.take_if(|_| order.is_ge());
            if gone.is_some() {
                old = self.next_old(&mut was);
            }
            if come.is_some() {
                new = self.next_new(&mut is)?;
            }
            if same {
                continue;
            }
            match (gone, come) {
                (Some(old), Some(new)) => each(self, Change::Became(old, new))?,
                (Some(old), None) => each(self, Change::Went(old))?,
                (None, Some(new)) => each(self, Change::Came(new))?,
                (None, None) => {}
            }
        }
        match (is, &file.is) {
            (Some(is), Some(side)) => is.finish(&mut self.is, side, &mut self.check),
            _ => Ok(()),
        }
    }

    /// What was wrong before is not looked for: there it ends.
    fn next_old(&mut self, entries: &mut Option<Walk>) -> Option<IndexEntry> {
        entries.as_mut()?.next(&mut self.was).unwrap_or_default()
    }

    fn next_new(&mut self, entries: &mut Option<Checked>) -> Result<Option<IndexEntry>, Reason> {
        match entries {
            Some(entries) => entries.next(&mut self.is, &mut self.check),
            None => Ok(None),
        }
    }
}

/// An entry that is not on both sides of an index, or not the same there.
pub(super) enum Change {
    Came(IndexEntry),
    Went(IndexEntry),
    Became(IndexEntry, IndexEntry),
}

//! What one index must be by itself.

use crate::ntfs::engine::{Engine, Inode};
use crate::ntfs::index::{I30, Sought, damaged};
use crate::ntfs::index_walk::Walk;
use crate::ntfs::name::FileName;
use crate::ntfs::node::IndexEntry;
use crate::ntfs::record::kind;
use crate::{Check, Reason};
use std::cmp::Ordering;

/// Goes through an index, and checks it on the way.
pub(super) struct Checked {
    number: u64,
    walk: Walk,
    previous: Option<IndexEntry>,
}

impl Checked {
    /// The index `name` of a file.
    pub(super) fn new(engine: &Engine, inode: &Inode, name: &[u16]) -> Result<Self, Reason> {
        let walk = Walk::new(engine.tree(inode, name)?)?;
        Ok(Self { number: inode.base.number, walk, previous: None })
    }

    /// The next entry. One that does not come after the one before it is noted.
    pub(super) fn next(
        &mut self,
        engine: &mut Engine,
        check: &mut Check,
    ) -> Result<Option<IndexEntry>, Reason> {
        let Some(entry) = self.walk.next(engine)? else { return Ok(None) };
        if let Some(previous) = self.previous.replace(entry.clone())
            && engine.compare(&self.walk.tree.name, &previous, &entry)?.is_ge()
        {
            check.error(format!(
                "directory {}: {} and {} are out of order",
                self.number,
                shown(&self.walk.tree.name, &previous),
                shown(&self.walk.tree.name, &entry)
            ));
        }
        Ok(Some(entry))
    }

    /// At the end: every block that was gone through is one that the index knows as taken.
    pub(super) fn finish(
        self,
        engine: &mut Engine,
        inode: &Inode,
        check: &mut Check,
    ) -> Result<(), Reason> {
        let Self { number, walk, .. } = self;
        if walk.seen().is_empty() {
            return Ok(());
        }
        let bitmap = engine
            .layout(inode, kind::BITMAP, &walk.tree.name)?
            .ok_or_else(|| damaged("it has no bitmap"))?;
        let bits = engine.read_layout(&bitmap, 1 << 20)?;
        let mut seen: Vec<&u64> = walk.seen().iter().collect();
        seen.sort();
        for vcn in seen {
            let block = vcn / walk.tree.stride();
            let byte = usize::try_from(block / 8).ok().and_then(|at| bits.get(at));
            if byte.is_none_or(|byte| byte & 1 << (block % 8) == 0) {
                check.error(format!("directory {number}: block {vcn} is used but marked free"));
            }
        }
        Ok(())
    }
}

impl Engine {
    /// How two entries of an index lie in it.
    pub(super) fn compare(
        &self,
        index: &[u16],
        one: &IndexEntry,
        other: &IndexEntry,
    ) -> Result<Ordering, Reason> {
        if index == I30 {
            let name = FileName::parse(one.key())?.name;
            return self.order(Sought::Name(&name), other);
        }
        self.order(Sought::Longs(index, one.key()), other)
    }
}

/// An entry, for people.
fn shown(index: &[u16], entry: &IndexEntry) -> String {
    match FileName::parse(entry.key()) {
        Ok(name) if index == I30 => format!("'{}'", name.text()),
        _ => format!("the key {:02x?}", entry.key()),
    }
}

//! Going through an index from its first entry to its last.

use super::engine::{Engine, Inode};
use super::index::{I30, MAX_DEPTH, Tree, damaged};
use super::name::FileName;
use super::node::{IndexEntry, Node};
use crate::Reason;
use std::collections::HashSet;

/// Most entries of one index that are gone through.
const MAX_ENTRIES: usize = 4 << 20;

/// What is still to do: a node to go into, or an entry to take.
enum Work {
    Node(u64, usize),
    Entry(IndexEntry),
}

/// A place in an index, between two entries. Of the index one node of each level is in memory.
pub(super) struct Walk {
    pub(super) tree: Tree,
    work: Vec<Work>,
    /// The blocks that were gone into.
    seen: HashSet<u64>,
    taken: usize,
}

impl Walk {
    /// The place before the first entry.
    pub(super) fn new(tree: Tree) -> Result<Self, Reason> {
        let root = Node::from_root(&tree.root)?;
        let mut walk = Self { tree, work: Vec::new(), seen: HashSet::new(), taken: 0 };
        walk.push(root, 1);
        Ok(walk)
    }

    fn push(&mut self, node: Node, depth: usize) {
        if let Some(child) = node.last_child {
            self.work.push(Work::Node(child, depth));
        }
        for entry in node.entries.into_iter().rev() {
            let child = entry.child;
            self.work.push(Work::Entry(entry.with_child(None)));
            if let Some(child) = child {
                self.work.push(Work::Node(child, depth));
            }
        }
    }

    /// The entry after this place, without its child.
    pub(super) fn next(&mut self, engine: &mut Engine) -> Result<Option<IndexEntry>, Reason> {
        loop {
            match self.work.pop() {
                None => return Ok(None),
                Some(Work::Entry(_)) if self.taken == MAX_ENTRIES => {
                    return Err(damaged("it has too many entries"));
                }
                Some(Work::Entry(entry)) => {
                    self.taken += 1;
                    return Ok(Some(entry));
                }
                Some(Work::Node(vcn, depth)) => {
                    if depth == MAX_DEPTH || !self.seen.insert(vcn) {
                        return Err(damaged("it is too deep or goes in a circle"));
                    }
                    let node = engine.node(&self.tree, vcn)?;
                    self.push(node, depth + 1);
                }
            }
        }
    }

    /// The blocks that belong to what was gone through, by their virtual cluster numbers.
    pub(super) fn seen(&self) -> &HashSet<u64> {
        &self.seen
    }
}

impl Engine {
    /// All entries of a directory, in its order.
    pub(super) fn all_names(&mut self, dir: &Inode) -> Result<Vec<(u64, FileName)>, Reason> {
        let tree = self.tree(dir, &I30)?;
        let mut names = Vec::new();
        for entry in self.all_entries(tree)? {
            names.push((entry.reference(), FileName::parse(entry.key())?));
        }
        Ok(names)
    }

    pub(super) fn all_entries(&mut self, tree: Tree) -> Result<Vec<IndexEntry>, Reason> {
        let mut walk = Walk::new(tree)?;
        let mut entries = Vec::new();
        while let Some(entry) = walk.next(self)? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

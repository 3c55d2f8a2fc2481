//! Indexes: finding, adding and removing entries. A directory is one, of names; others are object ids,
//! reparse points and quotas.
//!
//! An index is a B+ tree whose root lies in the file record. Changes write one block
//! where they can. What needs more goes into new blocks, and one write (of the node above, or of the
//! record) switches over to them; only after that the old blocks are given back. So at each moment
//! every entry is there once.

use super::engine::{Engine, Inode};
use super::name::FileName;
use super::node::{IndexEntry, Node};
use super::record::{kind, u16_at, u32_at};
use super::stream::Layout;
use crate::Reason;
use std::cmp::Ordering;

/// `$I30`, the name of the attributes of a directory.
pub(super) const I30: [u16; 4] = [0x24, 0x49, 0x33, 0x30];
/// Deepest tree: with 4 KiB blocks more names than a volume can hold.
pub(super) const MAX_DEPTH: usize = 16;

pub(super) fn damaged(what: &str) -> Reason {
    Reason::Damaged(format!("directory index: {what}"))
}

/// Which index of a record, by what its entries are sorted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sought<'a> {
    /// Names of a directory, regardless of case: a name.
    Name(&'a [u16]),
    /// Another index, whose keys are rows of 32-bit numbers: its name, and a key.
    Longs(&'a [u16], &'a [u8]),
}

impl<'a> Sought<'a> {
    /// The name of the attributes that make up the index.
    pub(super) fn index(self) -> &'a [u16] {
        match self {
            Sought::Name(_) => &I30,
            Sought::Longs(index, _) => index,
        }
    }
}

/// An open index.
#[derive(Clone)]
pub(super) struct Tree {
    /// The name of its attributes.
    pub(super) name: Vec<u16>,
    /// Value of `$INDEX_ROOT`.
    pub(super) root: Vec<u8>,
    /// Bytes of a block.
    pub(super) block: usize,
    /// Bytes that a step of the virtual cluster numbers stands for.
    pub(super) unit: u64,
    pub(super) allocation: Option<Layout>,
}

impl Tree {
    /// Steps of the virtual cluster numbers from one block to the next.
    pub(super) fn stride(&self) -> u64 {
        self.block as u64 / self.unit
    }
}

/// One node on the way to a name, and the place in it.
struct Step {
    vcn: Option<u64>,
    node: Node,
    at: usize,
}

/// The way to a name; the last step holds it if it is there.
struct Way {
    steps: Vec<Step>,
    found: bool,
}

impl Engine {
    pub(super) fn tree(&self, dir: &Inode, name: &[u16]) -> Result<Tree, Reason> {
        let root = dir
            .attributes()
            .find(|one| one.is(kind::INDEX_ROOT, name))
            .ok_or(Reason::NotADirectory)?
            .value()
            .to_vec();
        let block = u32_at(&root, 8) as usize;
        if root.len() < 32 || !block.is_power_of_two() || !(512..=65536).contains(&block) {
            return Err(damaged("the root is malformed"));
        }
        let unit = self.geometry.index_unit(block);
        let allocation = self.layout(dir, kind::INDEX_ALLOCATION, name)?;
        Ok(Tree { name: name.to_vec(), root, block, unit, allocation })
    }

    fn read_block(&mut self, tree: &Tree, vcn: u64) -> Result<Vec<u8>, Reason> {
        let layout = tree.allocation.as_ref().ok_or_else(|| damaged("a child without blocks"))?;
        let mut block = vec![0; tree.block];
        let offset = vcn.checked_mul(tree.unit).ok_or_else(|| damaged("a child out of range"))?;
        if self.read_layout_at(layout, offset, &mut block)? < block.len() {
            return Err(damaged("a child out of range"));
        }
        Ok(block)
    }

    pub(super) fn node(&mut self, tree: &Tree, vcn: u64) -> Result<Node, Reason> {
        let block = self.read_block(tree, vcn)?;
        Node::from_block(block, vcn)
    }

    pub(super) fn write_node(&mut self, tree: &Tree, vcn: u64, node: &Node) -> Result<(), Reason> {
        let layout = tree.allocation.clone().ok_or_else(|| damaged("a child without blocks"))?;
        // The update sequence goes on from what lies there.
        let old = self.read_block(tree, vcn).unwrap_or_default();
        let sequence =
            if old.starts_with(b"INDX") { u16_at(&old, usize::from(u16_at(&old, 4))) } else { 0 };
        let block = node.to_block(tree.block, vcn, sequence);
        self.write_layout(&layout, vcn * tree.unit, &block)
    }

    /// How what is sought stands to an entry.
    pub(super) fn order(&self, sought: Sought<'_>, entry: &IndexEntry) -> Result<Ordering, Reason> {
        Ok(match sought {
            Sought::Name(name) => self.upcase.compare(name, &FileName::parse(entry.key())?.name),
            Sought::Longs(_, key) => {
                let longs = |bytes: &[u8]| -> Vec<u32> {
                    bytes.chunks_exact(4).map(|four| u32_at(four, 0)).collect()
                };
                longs(key).cmp(&longs(entry.key()))
            }
        })
    }

    fn find_way(&mut self, tree: &Tree, sought: Sought<'_>) -> Result<Way, Reason> {
        let mut steps = Vec::new();
        let mut vcn = None;
        let mut node = Node::from_root(&tree.root)?;
        loop {
            let mut found = false;
            let mut at = node.entries.len();
            for (index, entry) in node.entries.iter().enumerate() {
                match self.order(sought, entry)? {
                    Ordering::Greater => continue,
                    order => {
                        found = order.is_eq();
                        at = index;
                        break;
                    }
                }
            }
            let child = node.child(at);
            steps.push(Step { vcn, node, at });
            match child {
                Some(child) if !found => {
                    if steps.len() == MAX_DEPTH {
                        return Err(damaged("it is too deep"));
                    }
                    node = self.node(tree, child)?;
                    vcn = Some(child);
                }
                _ => return Ok(Way { steps, found }),
            }
        }
    }

    /// The entry of a name in a directory: the file and what the directory says of it.
    pub(super) fn find_name(
        &mut self,
        dir: &Inode,
        name: &[u16],
    ) -> Result<Option<(u64, FileName)>, Reason> {
        let entry = self.find_entry(dir, Sought::Name(name))?;
        entry.map(|entry| Ok((entry.reference(), FileName::parse(entry.key())?))).transpose()
    }

    /// An entry of an index.
    pub(super) fn find_entry(
        &mut self,
        inode: &Inode,
        sought: Sought<'_>,
    ) -> Result<Option<IndexEntry>, Reason> {
        let tree = self.tree(inode, sought.index())?;
        let mut way = self.find_way(&tree, sought)?;
        if !way.found {
            return Ok(None);
        }
        let step = way.steps.pop().expect("a way has a root");
        Ok(step.node.entries.into_iter().nth(step.at))
    }

    /// Adds a name to a directory and writes what that changes.
    pub(super) fn insert_name(
        &mut self,
        dir: &mut Inode,
        reference: u64,
        name: &FileName,
    ) -> Result<(), Reason> {
        let sought = Sought::Name(&name.name);
        let mut tree = self.tree(dir, &I30)?;
        let mut way = self.find_way(&tree, sought)?;
        if way.found {
            return Err(Reason::AlreadyExists);
        }
        let mut leaf = way.steps.pop().expect("a way has a root");
        leaf.node.entries.insert(leaf.at, IndexEntry::new(reference, &name.encode()));
        let number = dir.base.number;
        let result = self.put_node(dir, &mut tree, &mut way.steps, leaf);
        if let Err(Reason::Unsupported(_)) = result {
            // The record is full: the index is too fragmented. A fresh tree is in one piece.
            *dir = self.inode(number)?;
            let entry = IndexEntry::new(reference, &name.encode());
            return self.rebuild(dir, |entries, place| entries.insert(place, entry), sought);
        }
        result
    }

    /// Writes a node; what does not fit is split, and the parent with it.
    fn put_node(
        &mut self,
        dir: &mut Inode,
        tree: &mut Tree,
        parents: &mut Vec<Step>,
        step: Step,
    ) -> Result<(), Reason> {
        let Some(vcn) = step.vcn else {
            return self.put_root(dir, tree, step.node);
        };
        if step.node.len() <= Node::capacity(tree.block) {
            return self.write_node(tree, vcn, &step.node);
        }
        // Both halves go into new blocks and the middle entry up. The write of the parent switches
        // over to them; only then the old block is given back.
        let mut entries = step.node.entries;
        let half = entries.iter().map(IndexEntry::len).sum::<usize>() / 2;
        let mut sum = 0;
        let middle = entries
            .iter()
            .position(|entry| {
                sum += entry.len();
                sum > half
            })
            .unwrap_or(0)
            .clamp(1, entries.len().saturating_sub(2).max(1));
        let right =
            Node { entries: entries.split_off(middle + 1), last_child: step.node.last_child };
        let up = entries.pop().ok_or_else(|| damaged("a node with one entry is too long"))?;
        let left = Node { entries, last_child: up.child };
        let mut parent = parents.pop().ok_or_else(|| damaged("a block without parent"))?;
        let left_vcn = self.write_new_block(dir, tree, &left)?;
        let right_vcn = self.write_new_block(dir, tree, &right)?;
        parent.node.set_child(parent.at, Some(right_vcn));
        parent.node.entries.insert(parent.at, up.with_child(Some(left_vcn)));
        self.put_node(dir, tree, parents, parent)?;
        self.free_blocks(dir, tree, &[vcn])
    }

    /// Writes a node into a block of its own.
    fn write_new_block(
        &mut self,
        dir: &mut Inode,
        tree: &mut Tree,
        node: &Node,
    ) -> Result<u64, Reason> {
        let vcn = self.allocate_block(dir, tree)?;
        self.write_node(tree, vcn, node)?;
        Ok(vcn)
    }

    /// Writes the root into the file record. If it does not fit, its entries move into a block.
    fn put_root(&mut self, dir: &mut Inode, tree: &mut Tree, node: Node) -> Result<(), Reason> {
        let record = dir
            .records_mut()
            .find(|record| record.find(kind::INDEX_ROOT, &tree.name).is_some())
            .ok_or_else(|| damaged("no root"))?;
        let before = record.clone();
        let attribute = record.find_mut(kind::INDEX_ROOT, &tree.name).expect("just found");
        attribute.set_value(&node.to_root(&tree.root));
        if record.serialize_fits() {
            tree.root = node.to_root(&tree.root);
            return self.write_record(record);
        }
        *record = before;
        let number = record.number;
        // Make room first, in memory: the allocation may need it.
        let root = Node { entries: Vec::new(), last_child: Some(0) }.to_root(&tree.root);
        record.find_mut(kind::INDEX_ROOT, &tree.name).expect("just found").set_value(&root);
        let new = if tree.allocation.is_some() {
            // The old root stays on the device until the block below it is there.
            self.allocate_block_unwritten(dir, tree)?
        } else {
            self.create_allocation(dir, tree)?
        };
        self.write_node(tree, new, &node)?;
        let root = Node { entries: Vec::new(), last_child: Some(new) }.to_root(&tree.root);
        for record in dir.records_mut() {
            if record.number == number {
                record.find_mut(kind::INDEX_ROOT, &tree.name).expect("just found").set_value(&root);
            }
        }
        tree.root = root;
        self.write_inode(dir)
    }

    /// Removes a name from a directory and writes what that changes.
    pub(super) fn remove_name(&mut self, dir: &mut Inode, name: &[u16]) -> Result<(), Reason> {
        self.remove_entry(dir, Sought::Name(name))
    }

    /// Removes an entry from an index and writes what that changes.
    pub(super) fn remove_entry(
        &mut self,
        dir: &mut Inode,
        sought: Sought<'_>,
    ) -> Result<(), Reason> {
        let mut tree = self.tree(dir, sought.index())?;
        let mut way = self.find_way(&tree, sought)?;
        if !way.found {
            return Err(Reason::NotFound);
        }
        let number = dir.base.number;
        let mut step = way.steps.pop().expect("a way has a root");
        let Some(child) = step.node.entries[step.at].child else {
            step.node.entries.remove(step.at);
            // An empty block is legal but wasteful; where the record is simple the tree is made new.
            if step.node.entries.is_empty() && step.vcn.is_some() && dir.extensions.is_empty() {
                return self.rebuild(dir, |entries, place| drop(entries.remove(place)), sought);
            }
            return self.put_node(dir, &mut tree, &mut way.steps, step);
        };
        // The name before it in order takes its place. The way down to that name is written anew, in
        // other blocks; the write of this node switches over to them.
        let mut below = Vec::new();
        let mut next = Some(child);
        while let Some(vcn) = next.filter(|_| below.len() < MAX_DEPTH) {
            let node = self.node(&tree, vcn)?;
            next = node.last_child;
            below.push((vcn, node));
        }
        let before = below.last_mut().and_then(|(_, leaf)| leaf.entries.pop());
        let whole = below.last().is_some_and(|(_, leaf)| !leaf.entries.is_empty());
        let mut switched = false;
        if let Some(before) = before.filter(|before| whole && before.child.is_none()) {
            let old: Vec<u64> = below.iter().map(|(vcn, _)| *vcn).collect();
            let mut new = None;
            for (_, node) in below.iter_mut().rev() {
                if new.is_some() {
                    node.last_child = new;
                }
                new = Some(self.write_new_block(dir, &mut tree, node)?);
            }
            step.node.entries[step.at] = before.with_child(new);
            let fits = match step.vcn {
                Some(_) => step.node.len() <= Node::capacity(tree.block),
                None => step.node.to_root(&tree.root).len() <= tree.root.len() + dir.base.room(),
            };
            if fits {
                self.put_node(dir, &mut tree, &mut way.steps, step)?;
                self.free_blocks(dir, &tree, &old)?;
                switched = true;
            }
        }
        if switched {
            return Ok(());
        }
        *dir = self.inode(number)?;
        self.rebuild(dir, |entries, place| drop(entries.remove(place)), sought)
    }

    /// Changes what a directory says of a name, in its place: another file, or other sizes and
    /// times. The name stays.
    pub(super) fn update_name(
        &mut self,
        dir: &mut Inode,
        name: &[u16],
        change: impl FnOnce(&mut u64, &mut FileName),
    ) -> Result<(), Reason> {
        self.update_entry(dir, Sought::Name(name), |entry| {
            let mut reference = entry.reference();
            let mut value = FileName::parse(entry.key())?;
            change(&mut reference, &mut value);
            *entry = IndexEntry::new(reference, &value.encode()).with_child(entry.child);
            Ok(())
        })
    }

    /// Changes an entry in its place; its key stays.
    pub(super) fn update_entry(
        &mut self,
        dir: &mut Inode,
        sought: Sought<'_>,
        change: impl FnOnce(&mut IndexEntry) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let mut tree = self.tree(dir, sought.index())?;
        let mut way = self.find_way(&tree, sought)?;
        if !way.found {
            return Err(Reason::NotFound);
        }
        let mut step = way.steps.pop().expect("a way has a root");
        let entry = &mut step.node.entries[step.at];
        let old = entry.clone();
        change(entry)?;
        if old == *entry {
            return Ok(());
        }
        self.put_node(dir, &mut tree, &mut way.steps, step)
    }
}

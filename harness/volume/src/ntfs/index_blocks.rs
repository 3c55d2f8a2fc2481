//! The blocks of an index: giving it some, taking them back, and making it anew.

use super::engine::{Engine, Inode};
use super::index::{Sought, Tree, damaged};
use super::node::{IndexEntry, Node};
use super::record::{Attribute, Sizes, kind};
use super::runs::{self, Run};
use super::stream::Layout;
use crate::Reason;

/// Longest entry: a name of 255 characters and a child.
const MAX_ENTRY: usize = 608;

impl Engine {
    /// Gives a directory its first block. The record is not written yet.
    pub(super) fn create_allocation(
        &mut self,
        dir: &mut Inode,
        tree: &mut Tree,
    ) -> Result<u64, Reason> {
        let clusters = (tree.block as u64).div_ceil(self.geometry.cluster);
        let allocated = self.allocate_clusters(clusters, None)?;
        let (allocation, bitmap) = self.index_attributes(tree, &allocated, 1);
        dir.base.add(allocation);
        dir.base.add(bitmap);
        if !dir.base.serialize_fits() {
            self.free_clusters(&allocated)?;
            return Err(Reason::Unsupported("the record of the directory is full".to_owned()));
        }
        tree.allocation = self.layout(dir, kind::INDEX_ALLOCATION, &tree.name)?;
        Ok(0)
    }

    /// The attributes of an index of `used` blocks in these clusters.
    fn index_attributes(&self, tree: &Tree, all: &[Run], used: u64) -> (Attribute, Attribute) {
        let bytes = runs::total(all) * self.geometry.cluster;
        let real = bytes - bytes % tree.block as u64;
        let sizes = Sizes { allocated: bytes, real, initialized: real };
        let mut bits = vec![0u8; (used.div_ceil(8) as usize).next_multiple_of(8)];
        for index in 0..used {
            bits[(index / 8) as usize] |= 1 << (index % 8);
        }
        (
            Attribute::non_resident(kind::INDEX_ALLOCATION, &tree.name, 0, all, sizes),
            Attribute::resident(kind::BITMAP, &tree.name, &bits, false),
        )
    }

    /// Takes a block of the index; on return that is on the device.
    pub(super) fn allocate_block(
        &mut self,
        dir: &mut Inode,
        tree: &mut Tree,
    ) -> Result<u64, Reason> {
        let vcn = self.allocate_block_unwritten(dir, tree)?;
        self.write_inode(dir)?;
        Ok(vcn)
    }

    /// Takes a block of the index, in the records in memory (a bitmap outside of them is written).
    pub(super) fn allocate_block_unwritten(
        &mut self,
        dir: &mut Inode,
        tree: &mut Tree,
    ) -> Result<u64, Reason> {
        let layout = tree.allocation.clone().ok_or_else(|| damaged("no blocks"))?;
        let bitmap = self
            .layout(dir, kind::BITMAP, &tree.name)?
            .ok_or_else(|| damaged("it has no bitmap"))?;
        let mut bits = self.read_layout(&bitmap, 1 << 20)?;
        let blocks = layout.size() / tree.block as u64;
        let free = (0..blocks).find(|&index| {
            bits.get((index / 8) as usize).is_none_or(|byte| byte & 1 << (index % 8) == 0)
        });
        let index = match free {
            Some(index) => index,
            None => {
                self.grow_allocation(dir, tree, &layout, blocks)?;
                tree.allocation = self.layout(dir, kind::INDEX_ALLOCATION, &tree.name)?;
                blocks
            }
        };
        let byte = (index / 8) as usize;
        if byte >= bits.len() {
            bits.resize((byte + 1).next_multiple_of(8), 0);
        }
        bits[byte] |= 1 << (index % 8);
        match &bitmap {
            Layout::Resident(_) => {
                for record in dir.records_mut() {
                    if let Some(attribute) = record.find_mut(kind::BITMAP, &tree.name) {
                        attribute.set_value(&bits);
                    }
                }
            }
            Layout::Runs { .. } if bits.len() as u64 == bitmap.size() => {
                self.write_layout(&bitmap, byte as u64, &bits[byte..=byte])?;
            }
            Layout::Runs { .. } => {
                return Err(Reason::Unsupported("a directory of this size".to_owned()));
            }
        }
        Ok(index * tree.stride())
    }

    /// Gives blocks of the index back.
    pub(super) fn free_blocks(
        &mut self,
        dir: &mut Inode,
        tree: &Tree,
        vcns: &[u64],
    ) -> Result<(), Reason> {
        let bitmap = self
            .layout(dir, kind::BITMAP, &tree.name)?
            .ok_or_else(|| damaged("it has no bitmap"))?;
        let mut bits = self.read_layout(&bitmap, 1 << 20)?;
        for vcn in vcns {
            let index = vcn / tree.stride();
            if let Some(byte) = bits.get_mut((index / 8) as usize) {
                *byte &= !(1 << (index % 8));
            }
        }
        if let Layout::Runs { .. } = &bitmap {
            return self.write_layout(&bitmap, 0, &bits);
        }
        for record in dir.records_mut() {
            if let Some(attribute) = record.find_mut(kind::BITMAP, &tree.name) {
                attribute.set_value(&bits);
            }
        }
        self.write_inode(dir)
    }

    /// Adds clusters to the blocks of a directory: a quarter of what there is, one to 16 blocks.
    fn grow_allocation(
        &mut self,
        dir: &mut Inode,
        tree: &Tree,
        layout: &Layout,
        blocks: u64,
    ) -> Result<(), Reason> {
        let block = tree.block;
        let Layout::Runs { runs: old, .. } = layout else {
            return Err(damaged("its blocks are resident"));
        };
        let bytes = (blocks / 4).clamp(1, 16) * block as u64;
        let clusters = bytes.div_ceil(self.geometry.cluster);
        let added = self.allocate_clusters(clusters, old.last().copied())?;
        let zeros = vec![0; (runs::total(&added) * self.geometry.cluster) as usize];
        self.write_runs(&added, 0, &zeros)?;
        let extended = self.extend_attribute(
            dir,
            kind::INDEX_ALLOCATION,
            &tree.name,
            &added,
            |allocated, _| {
                let real = allocated - allocated % block as u64;
                Sizes { allocated, real, initialized: real }
            },
        );
        if extended.is_err() {
            self.free_clusters(&added)?;
        }
        extended
    }

    /// Makes the tree new, in new clusters, with one change to its entries. The record is switched
    /// over in one write.
    pub(super) fn rebuild(
        &mut self,
        dir: &mut Inode,
        change: impl FnOnce(&mut Vec<IndexEntry>, usize),
        sought: Sought<'_>,
    ) -> Result<(), Reason> {
        let tree = self.tree(dir, sought.index())?;
        if !dir.extensions.is_empty() {
            return Err(Reason::Unsupported(
                "changing a directory this large in this way".to_owned(),
            ));
        }
        let mut entries = self.all_entries(tree.clone())?;
        let mut place = entries.len();
        for (index, entry) in entries.iter().enumerate() {
            if self.order(sought, entry)?.is_le() {
                place = index;
                break;
            }
        }
        change(&mut entries, place);
        let old = match &tree.allocation {
            Some(Layout::Runs { runs, .. }) => runs.clone(),
            _ => Vec::new(),
        };
        dir.base.remove(kind::INDEX_ALLOCATION, &tree.name);
        dir.base.remove(kind::BITMAP, &tree.name);
        let set_root = |dir: &mut Inode, node: &Node| {
            let value = node.to_root(&tree.root);
            dir.base
                .find_mut(kind::INDEX_ROOT, &tree.name)
                .expect("the tree has one")
                .set_value(&value);
        };
        let small = Node { entries, last_child: None };
        set_root(dir, &small);
        if !dir.base.serialize_fits() {
            let (blocks, top) = bulk_load(small.entries, tree.block, tree.stride());
            let bytes = blocks.len() as u64 * tree.block as u64;
            let all = self.allocate_clusters(bytes.div_ceil(self.geometry.cluster), None)?;
            for (index, node) in blocks.iter().enumerate() {
                let vcn = index as u64 * tree.stride();
                let block = node.to_block(tree.block, vcn, 0);
                self.write_runs(&all, vcn * tree.unit, &block)?;
            }
            set_root(dir, &Node { entries: Vec::new(), last_child: Some(top) });
            let (allocation, bitmap) = self.index_attributes(&tree, &all, blocks.len() as u64);
            dir.base.add(allocation);
            dir.base.add(bitmap);
        }
        self.write_record(&mut dir.base)?;
        self.free_clusters(&old)
    }
}

/// Builds a tree from sorted entries: its blocks in order, and the number of the top one.
fn bulk_load(mut level: Vec<IndexEntry>, block: usize, stride: u64) -> (Vec<Node>, u64) {
    // Blocks are not filled up, so that the next names find room.
    let limit = Node::capacity(block) - MAX_ENTRY.min(Node::capacity(block) / 2);
    let mut blocks = Vec::new();
    let mut last_child = None;
    loop {
        let mut above = Vec::new();
        let mut node = Node::default();
        let mut entries = std::mem::take(&mut level).into_iter().peekable();
        while let Some(mut entry) = entries.next() {
            if node.len() + entry.len() > limit
                && !node.entries.is_empty()
                && entries.peek().is_some()
            {
                node.last_child = entry.child;
                entry.child = Some(blocks.len() as u64 * stride);
                blocks.push(std::mem::take(&mut node));
                above.push(entry);
            } else {
                node.entries.push(entry);
            }
        }
        node.last_child = last_child;
        let number = blocks.len() as u64 * stride;
        blocks.push(node);
        if above.is_empty() {
            return (blocks, number);
        }
        last_child = Some(number);
        level = above;
    }
}

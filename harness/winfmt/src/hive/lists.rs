//! Subkey lists: `lf`, `lh`, `li` leaves, and `ri`, a list of leaves.

use std::collections::HashSet;

use super::cells::NONE;
use super::error::damaged;
use super::key::{Node, field};
use super::name::Name;
use super::{Hive, HiveError};
use crate::bytes::{u16_at, u32_at};

/// Entries of a leaf with hints: as many as fit one bin.
const MAX_LEAF: usize = 507;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeafKind {
    /// First four characters beside each offset.
    Hint,
    /// A hash of the name beside each offset.
    Hash,
    /// Offsets only.
    Index,
}

impl LeafKind {
    fn entry_size(self) -> usize {
        match self {
            LeafKind::Hint | LeafKind::Hash => 8,
            LeafKind::Index => 4,
        }
    }
}

/// A subkey in a list, with what stands beside its offset there.
#[derive(Debug, Clone, Copy)]
struct Entry {
    cell: u32,
    beside: u32,
}

/// A key's whole list, flattened.
struct List {
    entries: Vec<Entry>,
    /// The kind of all leaves, if they agree.
    kind: Option<LeafKind>,
    /// Every cell that the list itself occupies; the one that the key refers to comes first.
    cells: Vec<u32>,
}

impl Hive {
    /// The cells of a key's subkeys, in the order of the list; each at most once.
    pub(super) fn children(&self, node: &Node) -> Result<Vec<u32>, HiveError> {
        let list = self.list(node)?;
        let mut seen = HashSet::with_capacity(list.entries.len());
        for entry in &list.entries {
            if !seen.insert(entry.cell) {
                return Err(damaged(entry.cell, "a key is listed twice under its parent"));
            }
        }
        Ok(list.entries.iter().map(|entry| entry.cell).collect())
    }

    /// The cells that a key's subkey list occupies.
    pub(super) fn list_cells(&self, node: &Node) -> Result<Vec<u32>, HiveError> {
        Ok(self.list(node)?.cells)
    }

    fn list(&self, node: &Node) -> Result<List, HiveError> {
        let mut list = List { entries: Vec::new(), kind: None, cells: Vec::new() };
        if node.subkeys == 0 {
            return Ok(list);
        }
        let top = node.subkey_list;
        let content = self.cell(top)?;
        list.cells.push(top);
        if content.get(..2) == Some(b"ri") {
            let count = usize::from(u16_at(content, 2).unwrap_or_default());
            if content.len() < 4 + 4 * count {
                return Err(damaged(
                    top,
                    format!("a list of {count} lists is longer than its cell"),
                ));
            }
            let mut seen = HashSet::from([top]);
            for index in 0..count {
                let leaf = u32_at(content, 4 + 4 * index).unwrap_or(NONE);
                if !seen.insert(leaf) {
                    return Err(damaged(top, format!("the list at {leaf:#x} is listed twice")));
                }
                self.read_leaf(leaf, &mut list)?;
                list.cells.push(leaf);
            }
        } else {
            self.read_leaf(top, &mut list)?;
        }
        if list.entries.len() != node.subkeys as usize {
            let (says, holds) = (node.subkeys, list.entries.len());
            let what = format!("a key has {says} subkeys, its list has {holds}");
            return Err(damaged(node.cell, what));
        }
        Ok(list)
    }

    fn read_leaf(&self, leaf: u32, list: &mut List) -> Result<(), HiveError> {
        let content = self.cell(leaf)?;
        let kind = match content.get(..2) {
            Some(b"lf") => LeafKind::Hint,
            Some(b"lh") => LeafKind::Hash,
            Some(b"li") => LeafKind::Index,
            _ => {
                return Err(damaged(leaf, "no subkey list (`lf`, `lh`, `li`) where one should be"));
            }
        };
        let count = usize::from(u16_at(content, 2).unwrap_or_default());
        let size = kind.entry_size();
        let entries = content
            .get(4..4 + size * count)
            .ok_or_else(|| damaged(leaf, format!("a list of {count} keys overruns its cell")))?;
        for entry in entries.chunks_exact(size) {
            list.entries.push(Entry {
                cell: u32_at(entry, 0).unwrap_or(NONE),
                beside: u32_at(entry, 4).unwrap_or_default(),
            });
        }
        list.kind = match (list.entries.len() == count, list.kind) {
            (true, _) => Some(kind),
            (false, Some(before)) if before == kind => Some(kind),
            (false, _) => None,
        };
        Ok(())
    }

    /// The subkey of a name.
    pub(super) fn find_child(&self, node: &Node, name: &Name) -> Result<Option<u32>, HiveError> {
        let list = self.list(node)?;
        if self.sorted {
            let Some(entry) = list.entries.get(self.lower_bound(&list, name)?) else {
                return Ok(None);
            };
            return Ok(self.node(entry.cell)?.name.same(name).then_some(entry.cell));
        }
        for entry in &list.entries {
            if self.node(entry.cell)?.name.same(name) {
                return Ok(Some(entry.cell));
            }
        }
        Ok(None)
    }

    /// Where the first name that is not before `name` stands in a sorted list.
    fn lower_bound(&self, list: &List, name: &Name) -> Result<usize, HiveError> {
        let (mut low, mut high) = (0, list.entries.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let other = self.node(list.entries[middle].cell)?.name;
            if other.compare(name).is_lt() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Puts a new subkey where Windows' order wants it.
    pub(super) fn insert_child(
        &mut self,
        parent: u32,
        child: u32,
        name: &Name,
    ) -> Result<(), HiveError> {
        let node = self.node(parent)?;
        let mut list = self.list(&node)?;
        let low = self.lower_bound(&list, name)?;
        let beside = match self.leaf_kind() {
            LeafKind::Hash => name.hash(),
            LeafKind::Hint | LeafKind::Index => name.hint(),
        };
        list.entries.insert(low, Entry { cell: child, beside });
        self.write_list(&node, list)
    }

    pub(super) fn remove_child(&mut self, parent: u32, child: u32) -> Result<(), HiveError> {
        let node = self.node(parent)?;
        let mut list = self.list(&node)?;
        list.entries.retain(|entry| entry.cell != child);
        self.write_list(&node, list)
    }

    /// Each subkey's name, what stands beside it in its leaf, and the leaf's signature.
    #[cfg(test)]
    pub(super) fn list_for_test(&self, node: &Node) -> Vec<(Name, u32, [u8; 2])> {
        let list = self.list(node).unwrap();
        let leaf = list.cells.last().map_or([0; 2], |&leaf| {
            let content = self.cell(leaf).unwrap();
            [content[0], content[1]]
        });
        let entries = list.entries.iter();
        entries.map(|entry| (self.node(entry.cell).unwrap().name, entry.beside, leaf)).collect()
    }

    fn leaf_kind(&self) -> LeafKind {
        if self.version().has_hash_lists() { LeafKind::Hash } else { LeafKind::Hint }
    }

    fn write_list(&mut self, node: &Node, mut list: List) -> Result<(), HiveError> {
        let kind = self.leaf_kind();
        if list.kind.is_some_and(|before| before != kind) || list.kind.is_none() {
            for entry in &mut list.entries {
                let name = self.node(entry.cell)?.name;
                entry.beside = if kind == LeafKind::Hash { name.hash() } else { name.hint() };
            }
        }
        let count = u32::try_from(list.entries.len())
            .map_err(|_| HiveError::TooLarge { what: "a list of subkeys", limit: 1 << 32 })?;
        self.put_u32(node.cell, field::SUBKEYS, count)?;
        let (top, mut old_leaves) = match list.cells.split_first() {
            Some((&top, [])) => (None, vec![top]),
            Some((&top, leaves)) => (Some(top), leaves.to_vec()),
            None => (None, Vec::new()),
        };
        // Leaves stay where they are as long as they have room.
        let mut leaves = Vec::new();
        for (index, entries) in list.entries.chunks(MAX_LEAF).enumerate() {
            let size = 4 + 8 * entries.len();
            let leaf = match old_leaves.get(index) {
                Some(&leaf) if self.cell(leaf)?.len() >= size => leaf,
                _ => {
                    // Room for a few more, so that a run of additions does not move it each time.
                    let room = (entries.len() + entries.len() / 4 + 2).min(MAX_LEAF);
                    let leaf = self.allocate(4 + 8 * room)?;
                    if let Some(old) = old_leaves.get_mut(index) {
                        self.release(std::mem::replace(old, leaf))?;
                    }
                    leaf
                }
            };
            self.write_leaf(leaf, kind, entries)?;
            leaves.push(leaf);
        }
        for &leaf in old_leaves.iter().skip(leaves.len()) {
            self.release(leaf)?;
        }
        let new_top = match leaves[..] {
            [] => NONE,
            [only] => only,
            _ => self.write_index(top, &leaves)?,
        };
        if let Some(top) = top.filter(|&top| top != new_top) {
            self.release(top)?;
        }
        self.put_u32(node.cell, field::SUBKEY_LIST, new_top)
    }

    /// Writes the list of leaves, in its old cell where that has room.
    fn write_index(&mut self, old: Option<u32>, leaves: &[u32]) -> Result<u32, HiveError> {
        let too_many = HiveError::TooLarge { what: "a list of subkeys", limit: 65_535 * 507 };
        let count = u16::try_from(leaves.len()).map_err(|_| too_many)?;
        let mut content = b"ri".to_vec();
        content.extend(count.to_le_bytes());
        content.extend(leaves.iter().flat_map(|leaf| leaf.to_le_bytes()));
        match old {
            Some(old) if self.cell(old)?.len() >= content.len() => {
                self.put(old, 0, &content)?;
                Ok(old)
            }
            _ => self.allocate_with(&content),
        }
    }

    fn write_leaf(
        &mut self,
        leaf: u32,
        kind: LeafKind,
        entries: &[Entry],
    ) -> Result<(), HiveError> {
        let count = u16::try_from(entries.len())
            .map_err(|_| HiveError::TooLarge { what: "a leaf of subkeys", limit: 65_535 })?;
        let mut content = if kind == LeafKind::Hash { b"lh".to_vec() } else { b"lf".to_vec() };
        content.extend(count.to_le_bytes());
        for entry in entries {
            content.extend(entry.cell.to_le_bytes());
            content.extend(entry.beside.to_le_bytes());
        }
        let cell = self.cell_mut(leaf)?;
        let (used, rest) = cell
            .split_at_mut_checked(content.len())
            .ok_or_else(|| damaged(leaf, "a list is longer than its cell"))?;
        used.copy_from_slice(&content);
        rest.fill(0);
        Ok(())
    }
}

//! Nodes of a directory index: the root in the record, and blocks outside of it.

use super::record::{apply_fixups, remove_fixups, u16_at, u32_at, u64_at};
use crate::Reason;

/// Entry flag: a child node comes before this entry.
const HAS_CHILD: u16 = 1;
/// Entry flag: the last one, without a key.
const LAST: u16 = 2;
/// Where the node header lies in a block.
const BLOCK_HEADER: usize = 0x18;

fn damaged(what: &str) -> Reason {
    Reason::Damaged(format!("directory index: {what}"))
}

/// One entry: the name of a file, and the node of the names before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexEntry {
    /// Head and key, without the child.
    raw: Vec<u8>,
    /// Virtual cluster number of the child node.
    pub(super) child: Option<u64>,
}

impl IndexEntry {
    pub(super) fn new(reference: u64, key: &[u8]) -> Self {
        let mut raw = vec![0; 16];
        raw[0..8].copy_from_slice(&reference.to_le_bytes());
        raw[10..12].copy_from_slice(&(key.len() as u16).to_le_bytes());
        raw.extend(key);
        raw.resize(raw.len().next_multiple_of(8), 0);
        Self { raw, child: None }
    }

    /// The same name with another child.
    pub(super) fn with_child(self, child: Option<u64>) -> Self {
        Self { child, ..self }
    }

    pub(super) fn reference(&self) -> u64 {
        u64_at(&self.raw, 0)
    }

    pub(super) fn key(&self) -> &[u8] {
        let len = usize::from(u16_at(&self.raw, 10));
        self.raw.get(16..16 + len).unwrap_or_default()
    }

    /// The same entry with data behind its key.
    #[cfg(test)]
    pub(super) fn with_data(mut self, data: &[u8]) -> Self {
        self.raw.truncate(16 + self.key().len());
        self.raw.extend(data);
        self.raw.resize(self.raw.len().next_multiple_of(8), 0);
        self
    }

    /// The data of an entry whose key does not stand for a file, such as the file of an object id.
    pub(super) fn data(&self) -> Option<&[u8]> {
        let (at, len) = (usize::from(u16_at(&self.raw, 0)), usize::from(u16_at(&self.raw, 2)));
        self.raw.get(at..at + len).filter(|_| at >= 16)
    }

    /// The same, to change it.
    pub(super) fn data_mut(&mut self) -> Option<&mut [u8]> {
        let (at, len) = (usize::from(u16_at(&self.raw, 0)), usize::from(u16_at(&self.raw, 2)));
        self.raw.get_mut(at..at + len).filter(|_| at >= 16)
    }

    /// Bytes in a node.
    pub(super) fn len(&self) -> usize {
        self.raw.len() + if self.child.is_some() { 8 } else { 0 }
    }

    fn encode(&self, out: &mut Vec<u8>, last: u16) {
        let start = out.len();
        out.extend(&self.raw);
        if let Some(child) = self.child {
            out.extend(child.to_le_bytes());
        }
        let len = (out.len() - start) as u16;
        let flags = last | if self.child.is_some() { HAS_CHILD } else { 0 };
        out[start + 8..start + 10].copy_from_slice(&len.to_le_bytes());
        out[start + 12..start + 14].copy_from_slice(&flags.to_le_bytes());
    }
}

/// The entries of a node in order, and the node of the names after all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Node {
    pub(super) entries: Vec<IndexEntry>,
    pub(super) last_child: Option<u64>,
}

impl Node {
    /// Takes the node apart whose header is at the start of `bytes`.
    fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        let first = u32_at(bytes, 0) as usize;
        let used = u32_at(bytes, 4) as usize;
        if bytes.len() < 16 || first < 16 || used > bytes.len() || first > used {
            return Err(damaged("the header of a node is malformed"));
        }
        let mut node = Self::default();
        let mut at = first;
        loop {
            let rest = &bytes[at..used];
            let len = usize::from(u16_at(rest, 8));
            let flags = u16_at(rest, 12);
            let child_len = if flags & HAS_CHILD != 0 { 8 } else { 0 };
            if rest.len() < 16 || len < 16 + child_len || len > rest.len() || len % 8 != 0 {
                return Err(damaged("an entry leaves its node"));
            }
            let child = (child_len > 0).then(|| u64_at(rest, len - 8));
            if flags & LAST != 0 {
                node.last_child = child;
                return Ok(node);
            }
            let mut entry = IndexEntry { raw: rest[..len - child_len].to_vec(), child };
            // Length and flags are made when the entry is written.
            entry.raw[8..10].fill(0);
            entry.raw[12..14].fill(0);
            if 16 + usize::from(u16_at(rest, 10)) > entry.raw.len() {
                return Err(damaged("a key leaves its entry"));
            }
            node.entries.push(entry);
            at += len;
        }
    }

    pub(super) fn is_leaf(&self) -> bool {
        self.last_child.is_none() && self.entries.iter().all(|entry| entry.child.is_none())
    }

    /// The child before entry `at`, or the last one.
    pub(super) fn child(&self, at: usize) -> Option<u64> {
        self.entries.get(at).map_or(self.last_child, |entry| entry.child)
    }

    /// Sets the child before entry `at`, or the last one.
    pub(super) fn set_child(&mut self, at: usize, child: Option<u64>) {
        match self.entries.get_mut(at) {
            Some(entry) => entry.child = child,
            None => self.last_child = child,
        }
    }

    fn encode_entries(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for entry in &self.entries {
            entry.encode(&mut out, 0);
        }
        let last = IndexEntry { raw: vec![0; 16], child: self.last_child };
        last.encode(&mut out, LAST);
        out
    }

    /// Bytes of the entries.
    pub(super) fn len(&self) -> usize {
        let last = if self.last_child.is_some() { 24 } else { 16 };
        self.entries.iter().map(IndexEntry::len).sum::<usize>() + last
    }

    /// Takes the root node apart: the value of `$INDEX_ROOT`.
    pub(super) fn from_root(value: &[u8]) -> Result<Self, Reason> {
        Self::parse(value.get(16..).ok_or_else(|| damaged("the root is too short"))?)
    }

    /// The value of `$INDEX_ROOT`; its first 16 bytes come from the old one.
    pub(super) fn to_root(&self, old: &[u8]) -> Vec<u8> {
        let entries = self.encode_entries();
        let used = (16 + entries.len()) as u32;
        let mut value = old[..16].to_vec();
        value.extend(16u32.to_le_bytes());
        value.extend(used.to_le_bytes());
        value.extend(used.to_le_bytes());
        value.extend(u32::from(!self.is_leaf()).to_le_bytes());
        value.extend(entries);
        value
    }

    /// Takes a block apart that should lie at `vcn`.
    pub(super) fn from_block(mut block: Vec<u8>, vcn: u64) -> Result<Self, Reason> {
        if !block.starts_with(b"INDX") {
            return Err(damaged("a block has no INDX signature"));
        }
        if !remove_fixups(&mut block) {
            return Err(damaged("torn write: the sectors of a block are of different age"));
        }
        if u64_at(&block, 0x10) != vcn {
            return Err(damaged("a block lies in the wrong place"));
        }
        Self::parse(&block[BLOCK_HEADER..])
    }

    /// Where the entries of a block start, counted from its header.
    fn first_in_block(block: usize) -> usize {
        (0x28 + 2 * (block / 512 + 1)).next_multiple_of(8) - BLOCK_HEADER
    }

    /// Bytes of entries that a block takes.
    pub(super) fn capacity(block: usize) -> usize {
        block - BLOCK_HEADER - Self::first_in_block(block)
    }

    /// The node as a block of `size` bytes at `vcn`. `sequence` is the update sequence number of
    /// the block that lay there, so that a torn write is noticed.
    pub(super) fn to_block(&self, size: usize, vcn: u64, sequence: u16) -> Vec<u8> {
        let entries = self.encode_entries();
        let first = Self::first_in_block(size);
        let mut block = vec![0; BLOCK_HEADER + first];
        block[0..4].copy_from_slice(b"INDX");
        block[4..6].copy_from_slice(&0x28u16.to_le_bytes());
        block[6..8].copy_from_slice(&((size / 512 + 1) as u16).to_le_bytes());
        block[0x10..0x18].copy_from_slice(&vcn.to_le_bytes());
        block[0x18..0x1c].copy_from_slice(&(first as u32).to_le_bytes());
        block[0x1c..0x20].copy_from_slice(&((first + entries.len()) as u32).to_le_bytes());
        block[0x20..0x24].copy_from_slice(&((size - BLOCK_HEADER) as u32).to_le_bytes());
        block[0x24] = u8::from(!self.is_leaf());
        block[0x28..0x2a].copy_from_slice(&sequence.to_le_bytes());
        block.extend(entries);
        block.resize(size, 0);
        apply_fixups(&mut block);
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node() -> Node {
        let mut first = IndexEntry::new(0x0001_0000_0000_0018, &[7; 70]);
        first.child = Some(3);
        Node { entries: vec![first, IndexEntry::new(25, &[9; 81])], last_child: Some(4) }
    }

    #[test]
    fn a_node_comes_back_from_root_and_block() {
        let node = node();
        let root = node.to_root(&[1; 16]);
        assert_eq!(Node::from_root(&root).unwrap(), node);
        assert_eq!(root.len(), 32 + node.len());
        let block = node.to_block(4096, 4, 8);
        assert_eq!(Node::from_block(block.clone(), 4).unwrap(), node);
        assert!(Node::from_block(block, 5).is_err());
    }

    #[test]
    fn a_torn_block_is_noticed() {
        let mut block = node().to_block(4096, 4, 8);
        block[4094] ^= 1;
        assert!(Node::from_block(block, 4).is_err());
    }

    proptest! {
        #[test]
        fn damage_is_taken_or_refused(
            changes in prop::collection::vec((0usize..400, any::<u8>()), 1..12))
        {
            let mut block = node().to_block(4096, 4, 8);
            for (at, value) in changes {
                block[at] = value;
            }
            if let Ok(node) = Node::from_block(block, 4) {
                for entry in &node.entries {
                    let _ = (entry.key().len(), entry.reference());
                }
            }
        }
    }
}

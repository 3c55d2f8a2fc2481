//! The tables of a checkpoint: what was open, what was not yet written, and who was at work.

use crate::ntfs::record::{u16_at, u32_at, u64_at};

/// Bytes before the first entry.
const HEAD: usize = 0x18;
/// How an entry begins that is in use.
const TAKEN: u32 = 0xffff_ffff;

/// The record of a checkpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checkpoint {
    /// Tables of 32-bit systems, which older Windows writes on all.
    pub(super) narrow: bool,
    /// What is behind it was done since. 0 where the record itself stands for it.
    pub(super) start: u64,
    pub(super) open_attributes: Option<u64>,
    pub(super) dirty_pages: Option<u64>,
    pub(super) transactions: Option<u64>,
}

impl Checkpoint {
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        if data.len() < 0x40 {
            return None;
        }
        let table = |lsn: usize, len: usize| (u32_at(data, len) > 0).then(|| u64_at(data, lsn));
        Some(Self {
            narrow: match u32_at(data, 0) {
                0 => true,
                1 => false,
                _ => return None,
            },
            start: u64_at(data, 8),
            open_attributes: table(0x10, 0x30),
            dirty_pages: table(0x20, 0x38),
            transactions: table(0x28, 0x3c),
        })
    }
}

/// An attribute that was open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenAttribute {
    /// The number of the record that opened it.
    pub(super) opened: u64,
    pub(super) kind: u32,
    /// The reference of its file.
    pub(super) file: u64,
    /// Bytes of an index block; 0 where it is no index.
    pub(super) block: u32,
}

impl OpenAttribute {
    pub(super) fn parse(entry: &[u8], narrow: bool) -> Option<Self> {
        let (len, block, kind, file, opened) =
            if narrow { (0x2c, 0x28, 0x1c, 8, 0x10) } else { (0x28, 4, 8, 0x10, 0x18) };
        (entry.len() >= len).then(|| Self {
            opened: u64_at(entry, opened),
            kind: u32_at(entry, kind),
            file: u64_at(entry, file),
            block: u32_at(entry, block),
        })
    }
}

/// A page that was not yet written.
#[derive(Debug, Clone)]
pub(super) struct DirtyPage {
    pub(super) attribute: u16,
    pub(super) vcn: u64,
    /// The first change that may be missing from it.
    pub(super) oldest: u64,
    /// Its clusters; 0 where one is not known.
    pub(super) lcns: Vec<u64>,
}

impl DirtyPage {
    pub(super) fn parse(entry: &[u8], narrow: bool) -> Option<Self> {
        let (vcn, oldest, lcns) = if narrow { (0x14, 0x1c, 0x24) } else { (0x10, 0x18, 0x20) };
        let count = usize::try_from(u32_at(entry, 0x0c)).ok()?;
        let clusters = entry.get(lcns..)?.get(..count.checked_mul(8)?)?;
        Some(Self {
            attribute: u16::try_from(u32_at(entry, 4)).ok()?,
            vcn: u64_at(entry, vcn),
            oldest: u64_at(entry, oldest),
            lcns: clusters.chunks_exact(8).map(|lcn| u64_at(lcn, 0)).collect(),
        })
    }
}

/// A change of several steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) state: State,
    /// The step to take back first; 0 if there is none.
    pub(super) undo_next: u64,
}

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Active,
    /// It waits for the word of somebody else.
    Prepared,
    Committed,
}

impl Transaction {
    pub(super) fn parse(entry: &[u8]) -> Option<Self> {
        let state = match entry.get(4)? {
            1 => State::Active,
            2 => State::Prepared,
            3 => State::Committed,
            _ => return None,
        };
        (entry.len() >= 0x28).then(|| Self { state, undo_next: u64_at(entry, 0x18) })
    }
}

/// The entries of a table that are in use, each with where it lies, which is its name. `None` if the table is
/// malformed.
pub(super) fn entries(table: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let (size, count) = (usize::from(u16_at(table, 0)), usize::from(u16_at(table, 2)));
    let end = HEAD + size.checked_mul(count)?;
    if size < 8 || table.len() < end {
        return None;
    }
    let places = (HEAD..end).step_by(size);
    places
        .filter(|&at| u32_at(table, at) == TAKEN)
        .map(|at| Some((u16::try_from(at).ok()?, &table[at..at + size])))
        .collect()
}

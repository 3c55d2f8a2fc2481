//! The records of the log.

use super::operation as op;
use super::pages::Pages;
use super::restart::Restart;
use crate::ntfs::record::{u16_at, u32_at, u64_at};

/// Bytes of the fixed part of an action.
const ACTION: usize = 0x20;
/// Most clusters that one action speaks of: a page of 64 KiB in clusters of 512 bytes.
const MAX_CLUSTERS: usize = 128;

/// What a record stands for that has a length and no bytes.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One step of a change.
    Action,
    /// A checkpoint.
    Checkpoint,
}

/// One record.
#[derive(Debug, Clone)]
pub(super) struct LogRecord {
    pub(super) lsn: u64,
    /// The record to take back after this one.
    pub(super) undo_next: u64,
    pub(super) kind: Kind,
    pub(super) transaction: u32,
    pub(super) data: Vec<u8>,
    /// The number of the record behind it, if there is one.
    pub(super) next: u64,
    /// The page of that.
    pub(super) next_page: u64,
}

/// The log as a row of records.
#[derive(Debug)]
pub(super) struct Log {
    pages: Pages,
    client: (u16, u16),
}

impl Log {
    pub(super) fn new(restart: &Restart, bytes: Vec<u8>) -> Result<Self, String> {
        Ok(Self { pages: Pages::new(restart, bytes)?, client: restart.client })
    }

    /// The record of this number; `None` if there is none, or not all of it.
    pub(super) fn record(&self, lsn: u64) -> Option<LogRecord> {
        let (mut offset, at) = self.pages.place(lsn)?;
        let mut page = self.pages.page(offset)?;
        let head = page.bytes.get(at..at + 0x30)?;
        if u64_at(head, 0) != lsn || (u16_at(head, 0x1c), u16_at(head, 0x1e)) != self.client {
            return None;
        }
        let kind = match u32_at(head, 0x20) {
            1 => Kind::Action,
            2 => Kind::Checkpoint,
            _ => return None,
        };
        let (undo_next, transaction) = (u64_at(head, 0x10), u32_at(head, 0x24));
        let len = usize::try_from(u32_at(head, 0x18)).ok().filter(|&len| len < self.pages.len())?;
        let mut data = Vec::new();
        let mut start = at + self.pages.header();
        let mut wraps = 0;
        loop {
            let end = page.bytes.len().min(start + (len - data.len()));
            data.extend(page.bytes.get(start..end)?);
            if data.len() == len {
                start = end;
                break;
            }
            let (next, wrapped) = self.pages.after(offset);
            wraps += u64::from(wrapped);
            offset = next;
            page = self.pages.page(offset)?;
            // A page of an earlier time lies where the rest should be.
            if page.last < lsn {
                return None;
            }
            start = self.pages.data();
        }
        if page.last_end < lsn {
            return None;
        }
        // The last record of a page is followed by the first of the next one.
        let mut next = offset + start.next_multiple_of(8) as u64;
        let mut next_page = offset;
        if page.last == lsn
            || start.next_multiple_of(8) + self.pages.header() > self.pages.page_size()
        {
            let (after, wrapped) = self.pages.after(offset);
            wraps += u64::from(wrapped);
            next_page = after;
            next = after + self.pages.data() as u64;
        }
        let next = self.pages.number(next, lsn, wraps)?;
        Some(LogRecord { lsn, undo_next, kind, transaction, data, next, next_page })
    }

    /// True if the log goes on behind its last readable record.
    pub(super) fn goes_on(&self, last: &LogRecord) -> bool {
        self.pages.goes_on(last.lsn, last.next_page)
    }
}

/// One step of a change: what is done to a page, and what would take it back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Action<'a> {
    pub(super) redo: u16,
    pub(super) undo: u16,
    pub(super) redo_data: &'a [u8],
    pub(super) undo_data: &'a [u8],
    /// Which open attribute.
    pub(super) attribute: u16,
    /// Where in a file record the attribute lies; where in the clusters the bytes begin.
    pub(super) record_offset: usize,
    /// Where in the attribute or index block.
    pub(super) attribute_offset: usize,
    /// Where in the clusters the file record or index block begins, in bytes.
    pub(super) cluster_offset: usize,
    /// The first cluster, counted in the attribute.
    pub(super) vcn: u64,
    /// The clusters, where they lie on the volume.
    clusters: &'a [u8],
    /// Everything from where the bytes to redo begin: tables may be longer than their field says.
    pub(super) table: &'a [u8],
}

impl<'a> Action<'a> {
    /// `None` if it does not fit its record.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        if data.len() < ACTION {
            return None;
        }
        let word = |at| usize::from(u16_at(data, at));
        let slice = |operation: u16, start: usize, len: usize| match len {
            0 => Some(&data[..0]),
            // Zeros are not written out: the bytes would begin where the record ends.
            _ if start == data.len() && op::may_write_zeros(operation) => ZEROS.get(..len),
            _ if start.is_multiple_of(8) && start >= ACTION => data.get(start..start + len),
            _ => None,
        };
        let count = word(0x0e);
        if count > MAX_CLUSTERS {
            return None;
        }
        Some(Self {
            redo: u16_at(data, 0),
            undo: u16_at(data, 2),
            redo_data: slice(u16_at(data, 0), word(4), word(6))?,
            undo_data: slice(u16_at(data, 2), word(8), word(10))?,
            attribute: u16_at(data, 0x0c),
            record_offset: word(0x10),
            attribute_offset: word(0x12),
            cluster_offset: word(0x14) * 512,
            vcn: u64_at(data, 0x18),
            clusters: data.get(ACTION..ACTION + 8 * count)?,
            table: data.get(word(4)..).unwrap_or_default(),
        })
    }

    /// The clusters, where they lie on the volume.
    pub(super) fn lcns(&self) -> impl ExactSizeIterator<Item = u64> + 'a {
        self.clusters.chunks_exact(8).map(|lcn| u64_at(lcn, 0))
    }
}

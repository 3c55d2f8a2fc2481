//! The pages of the log, and the numbers that say where a record lies.
//!
//! A page that is not full yet is not written where it belongs, since a power cut would tear what it held
//! already. It goes to a place of its own at the start of the log, by turns to one of two, until it is full: the
//! last pages of a log have to be looked for there.

use super::restart::Restart;
use crate::ntfs::record::{remove_fixups, u16_at, u32_at, u64_at};
use std::collections::HashMap;

/// Pages at the start of the log of version 1: two restart pages, and two places for the last page.
const FIRST_1: u64 = 4;
/// Of version 2: two restart pages, and two times 16 places for the last pages.
const FIRST_2: u64 = 0x22;
/// Flag of a page: a record ends on it.
const RECORD_END: u32 = 1;

/// A page of the log, its update sequence undone.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) bytes: Vec<u8>,
    /// The number of the last record that begins on it or before it.
    pub(super) last: u64,
    /// The number of the last record that ends on it; 0 if none does.
    pub(super) last_end: u64,
    /// Its place, from 1, among the pages that were written at once.
    position: u16,
}

/// The log.
#[derive(Debug)]
pub(super) struct Pages {
    log: Vec<u8>,
    page: u64,
    /// Where the pages begin that belong where they lie.
    first: u64,
    size: u64,
    data: u64,
    header: u64,
    place_bits: u32,
    /// Pages that are newer than those at their places, by these places.
    newer: HashMap<u64, Page>,
}

impl Pages {
    /// `log` is the whole of it.
    pub(super) fn new(restart: &Restart, mut log: Vec<u8>) -> Result<Self, String> {
        let size = usize::try_from(restart.size).ok().filter(|&size| size <= log.len());
        let size = size.ok_or("it is shorter than it says")?;
        log.truncate(size);
        let page = restart.page as u64;
        let first = page * if restart.major < 2 { FIRST_1 } else { FIRST_2 };
        if restart.size < first + 4 * page {
            return Err("it is shorter than its own pages".to_owned());
        }
        let mut pages = Self {
            log,
            page,
            first,
            size: restart.size,
            data: restart.data as u64,
            header: restart.header as u64,
            place_bits: 64 - restart.sequence_bits,
            newer: HashMap::new(),
        };
        for slot in (2 * page..first).step_by(restart.page) {
            let Some(mut copy) = pages.parse(slot) else { continue };
            let belongs = if restart.major < 2 {
                // The number of the last record has made room for the place.
                std::mem::replace(&mut copy.last, copy.last_end)
            } else {
                u64::from(u32_at(&copy.bytes, 0x3c))
            };
            if belongs < first || belongs >= pages.size || belongs % page != 0 {
                continue;
            }
            if pages.page(belongs).is_none_or(|there| copy.last > there.last) {
                pages.newer.insert(belongs, copy);
            }
        }
        Ok(pages)
    }

    fn parse(&self, offset: u64) -> Option<Page> {
        let start = usize::try_from(offset).ok()?;
        let mut bytes = self.log.get(start..start + self.page as usize)?.to_vec();
        if !bytes.starts_with(b"RCRD") || !remove_fixups(&mut bytes) {
            return None;
        }
        let ends = u32_at(&bytes, 0x10) & RECORD_END != 0;
        Some(Page {
            last: u64_at(&bytes, 8),
            last_end: if ends { u64_at(&bytes, 0x20) } else { 0 },
            position: u16_at(&bytes, 0x16),
            bytes,
        })
    }

    /// The page that belongs at `offset`, if there is a whole one.
    pub(super) fn page(&self, offset: u64) -> Option<Page> {
        self.newer.get(&offset).cloned().or_else(|| self.parse(offset))
    }

    /// Where the record of this number lies: its page, and where in it.
    pub(super) fn place(&self, lsn: u64) -> Option<(u64, usize)> {
        let mask = 1u64.checked_shl(self.place_bits)? - 1;
        let offset = (lsn & mask) << 3;
        let (page, within) = (offset / self.page * self.page, offset % self.page);
        let fits = page >= self.first
            && offset < self.size
            && within >= self.data
            && within + self.header <= self.page;
        fits.then_some((page, within as usize))
    }

    /// The number of the record at `offset`, if the log was gone through as often as for `like`, and `wraps` times
    /// more.
    pub(super) fn number(&self, offset: u64, like: u64, wraps: u64) -> Option<u64> {
        let sequence = (like >> self.place_bits).checked_add(wraps)?;
        let high = sequence.checked_mul(1u64.checked_shl(self.place_bits)?)?;
        Some(high | offset >> 3)
    }

    /// The page after one, and true if that is the first again.
    pub(super) fn after(&self, page: u64) -> (u64, bool) {
        let next = page + self.page;
        if next >= self.size { (self.first, true) } else { (next, false) }
    }

    pub(super) fn page_size(&self) -> usize {
        self.page as usize
    }

    pub(super) fn header(&self) -> usize {
        self.header as usize
    }

    /// Where records begin in a page.
    pub(super) fn data(&self) -> usize {
        self.data as usize
    }

    /// Bytes of the log.
    pub(super) fn len(&self) -> usize {
        self.log.len()
    }

    /// True if a whole page tells of a record after `last`, which was the last one that could be followed: the log is
    /// damaged in its middle. `missing` is the page where it broke off. Pages that were being written together with
    /// that one do not count: nothing was acknowledged of them.
    pub(super) fn goes_on(&self, last: u64, missing: u64) -> bool {
        let mut offset = self.first;
        while offset < self.size {
            if let Some(page) = self.page(offset)
                && page.last_end > last
            {
                let behind = (offset + self.size - missing) % self.size / self.page;
                let together =
                    offset != missing && behind < u64::from(page.position) && offset > missing;
                if !together {
                    return true;
                }
            }
            offset += self.page;
        }
        false
    }
}

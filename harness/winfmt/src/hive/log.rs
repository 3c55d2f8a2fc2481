//! Transaction logs: what Windows wrote, or meant to write, into a hive.
//!
//! A log begins with the first sector of a base block. Behind it, the old format (file types 1 and 2,
//! up to Windows 8) has one bitmap of dirty pages and the pages; the new format (file type 6, since
//! Windows 8.1) has entries that carry their own sequence numbers and hashes. See the regf
//! specification, "Format of transaction log files".

use std::fmt;

use serde::{Deserialize, Serialize};

use super::base::{self, SECTOR};
use super::error::LogProblem;
use super::marvin::marvin32;
use crate::FileTime;
use crate::bytes::{u32_at, u64_at};

const ENTRY_HEADER: usize = 40;
const PAGE_REFERENCE: usize = 8;
/// Granularity of the old format's bitmap.
const DIRTY_PAGE: usize = 512;

/// Which of the two formats a log has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One bitmap of dirty pages ("DIRT"): up to Windows 8.
    DirtyVector,
    /// Entries ("HvLE"): since Windows 8.1.
    Entries,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::DirtyVector => "old format",
            LogFormat::Entries => "new format",
        })
    }
}

/// A log whose base block is sound.
pub(super) struct Log<'l> {
    /// Its place among those given.
    pub index: usize,
    pub format: LogFormat,
    /// Both sequence numbers of its base block; the first entry has the same.
    pub sequence: u32,
    pub last_written: FileTime,
    pub root: u32,
    pub bytes: &'l [u8],
}

/// A log entry, or all of a log of the old format.
pub(super) struct Entry<'l> {
    pub sequence: u32,
    /// Bytes of all bins together once the entry is applied.
    pub bins_size: u32,
    /// Whether transactions lock the hive; the old format does not say.
    pub locked: Option<bool>,
    /// Offsets from the first bin, and what belongs there.
    pub pages: Vec<(u32, &'l [u8])>,
    /// Where the next entry would be, in the log.
    pub end: usize,
}

impl<'l> Log<'l> {
    pub(super) fn parse(index: usize, bytes: &'l [u8]) -> Result<Self, LogProblem> {
        let problem = |offset: Option<u64>, what: String| LogProblem { log: index, offset, what };
        if bytes.iter().all(|&byte| byte == 0) {
            return Err(problem(None, "it is empty".to_owned()));
        }
        if bytes.get(..4) != Some(b"regf") {
            return Err(problem(Some(0), "it does not begin with `regf`".to_owned()));
        }
        if bytes.len() < SECTOR {
            let what = format!("{} bytes, less than a sector", bytes.len());
            return Err(problem(Some(bytes.len() as u64), what));
        }
        if let Some((stored, computed)) = base::wrong_checksum(bytes) {
            let what = format!("base block checksum is {stored:#010x}, should be {computed:#010x}");
            return Err(problem(Some(508), what));
        }
        let format = match base::kind(bytes) {
            1 | 2 => LogFormat::DirtyVector,
            6 => LogFormat::Entries,
            0 => return Err(problem(Some(28), "it is a hive, not a log".to_owned())),
            kind => return Err(problem(Some(28), format!("file type {kind} is not known"))),
        };
        if base::clustering_factor(bytes) != 1 {
            let what = format!("clustering factor {}, should be 1", base::clustering_factor(bytes));
            return Err(problem(Some(44), what));
        }
        let (primary, secondary) = base::sequence_numbers(bytes);
        if primary != secondary {
            let what = format!("sequence numbers {primary} and {secondary}: it was not finished");
            return Err(problem(Some(4), what));
        }
        Ok(Self {
            index,
            format,
            sequence: primary,
            last_written: base::last_written(bytes),
            root: base::root(bytes),
            bytes,
        })
    }

    fn problem(&self, offset: usize, what: impl Into<String>) -> LogProblem {
        LogProblem { log: self.index, offset: Some(offset as u64), what: what.into() }
    }

    /// The entry at an offset of a log of the new format; `None` if there is none with the sequence
    /// number expected: what was left of earlier entries follows the last one.
    pub(super) fn entry(&self, at: usize, expected: u32) -> Result<Option<Entry<'l>>, LogProblem> {
        let bytes = self.bytes.get(at..).unwrap_or_default();
        if bytes.get(..4) != Some(b"HvLE") {
            return Ok(None);
        }
        let cut_off = || self.problem(at, "a log entry is cut off");
        let header = bytes.get(..ENTRY_HEADER).ok_or_else(cut_off)?;
        let word = |offset| u32_at(header, offset).unwrap_or_default();
        let hash = |offset| u64_at(header, offset).unwrap_or_default();
        let (size, sequence, bins_size, count) = (word(4) as usize, word(12), word(16), word(20));
        if sequence != expected {
            return Ok(None);
        }
        if size < ENTRY_HEADER || !size.is_multiple_of(SECTOR) {
            return Err(self.problem(at, format!("a log entry has size {size:#x}")));
        }
        let entry = bytes.get(..size).ok_or_else(cut_off)?;
        let hashes = [
            ("pages", hash(24), marvin32(&entry[ENTRY_HEADER..])),
            ("header", hash(32), marvin32(&entry[..32])),
        ];
        for (part, stored, computed) in hashes {
            if stored != computed {
                let what = format!(
                    "entry {sequence} is damaged in its {part}: hash {stored:#018x}, should be {computed:#018x}"
                );
                return Err(self.problem(at, what));
            }
        }
        if !base::is_bins_size(bins_size) {
            let what = format!("entry {sequence} makes the size of all bins {bins_size:#x}");
            return Err(self.problem(at, what));
        }
        let pages = self.entry_pages(at, entry, count as usize, bins_size)?;
        let locked = Some(word(8) & 1 != 0);
        Ok(Some(Entry { sequence, bins_size, locked, pages, end: at + size }))
    }

    fn entry_pages(
        &self,
        at: usize,
        entry: &'l [u8],
        count: usize,
        bins_size: u32,
    ) -> Result<Vec<(u32, &'l [u8])>, LogProblem> {
        let overrun = || self.problem(at, format!("{count} pages overrun their log entry"));
        let mut data = count
            .checked_mul(PAGE_REFERENCE)
            .and_then(|size| size.checked_add(ENTRY_HEADER))
            .filter(|&data| data <= entry.len())
            .ok_or_else(overrun)?;
        let references = &entry[ENTRY_HEADER..data];
        let mut pages = Vec::with_capacity(count);
        for reference in references.chunks_exact(PAGE_REFERENCE) {
            let offset = u32_at(reference, 0).unwrap_or_default();
            let size = u32_at(reference, 4).unwrap_or_default();
            if offset.checked_add(size).is_none_or(|end| end > bins_size) {
                let what = format!("a page of {size:#x} bytes at {offset:#x} is outside the bins");
                return Err(self.problem(at, what));
            }
            let end = data.checked_add(size as usize).ok_or_else(overrun)?;
            pages.push((offset, entry.get(data..end).ok_or_else(overrun)?));
            data = end;
        }
        Ok(pages)
    }

    /// All of a log of the old format.
    pub(super) fn dirty_pages(&self) -> Result<Entry<'l>, LogProblem> {
        let bins_size = base::bins_size(self.bytes);
        if !base::is_bins_size(bins_size) {
            return Err(self.problem(40, format!("size of all bins is {bins_size:#x}")));
        }
        if self.bytes.get(SECTOR..SECTOR + 4) != Some(b"DIRT") {
            return Err(
                self.problem(SECTOR, "no bitmap of dirty pages (`DIRT`) where it should be")
            );
        }
        let from = SECTOR + 4;
        let length = (bins_size as usize / DIRTY_PAGE).div_ceil(8);
        let bitmap = self.bytes.get(from..from + length).ok_or_else(|| {
            self.problem(self.bytes.len(), "the bitmap of dirty pages is cut off")
        })?;
        let mut at = (from + length).next_multiple_of(SECTOR);
        let mut pages = Vec::new();
        for (index, byte) in (0u32..).zip(bitmap) {
            for bit in (0..8).filter(|bit| byte >> bit & 1 != 0) {
                let offset = (8 * index + bit) * DIRTY_PAGE as u32;
                let page = self.bytes.get(at..at + DIRTY_PAGE).ok_or_else(|| {
                    let what = format!("the log is cut off: no dirty page for {offset:#x}");
                    self.problem(self.bytes.len(), what)
                })?;
                pages.push((offset, page));
                at += DIRTY_PAGE;
            }
        }
        Ok(Entry { sequence: self.sequence, bins_size, locked: None, pages, end: at })
    }
}

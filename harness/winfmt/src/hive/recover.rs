//! A dirty hive brought up to date from its transaction logs, as Windows does when it loads one.
//!
//! The rules are those of the regf specification ("Dirty state of a hive", "Multiple transaction log
//! files"). A hive whose base block is sound and whose sequence numbers are equal is clean, whatever
//! its logs say. For a dirty one:
//!
//! - New format. The log with the earlier entries comes first; one that begins before the hive's
//!   secondary sequence number is already in the hive and is left out. Each entry must have the
//!   sequence number after the one before it, across the two logs; the first must have that of its
//!   log's base block. The replay ends at the first entry that does not, or that is damaged. If the
//!   hive's base block is damaged, it is taken from the log with the later entries, and only that log
//!   is applied.
//! - Old format. The first log is applied if it was written with the hive (the times in their base
//!   blocks are equal); otherwise the second, if it is no older than the hive and later than the first
//!   or the first is unusable: the rule since Windows 8. If the hive's base block is damaged, the time
//!   in its first bin stands in, and the base block is taken from the log; a log later than that is
//!   taken too, because a crash before the bins were written leaves the first of them behind.
//!
//! Afterwards both sequence numbers are one higher than the last entry, as Windows 10 writes them; all
//! other bytes of the base block but size, root and checksum stay as they were. So the file is the one
//! that Windows 10 makes, byte for byte. Windows 7 is the same as far as the recovery goes (its log has
//! the hive's number, so that becomes one higher), but at once loads and saves the hive again, which
//! changes both sequence numbers, the times in base block and first bin, the path, the checksum, and
//! "longest value name" hints that were too high: see the test.
//!
//! Two things are stricter than in Windows. It replaces a bin that comes out broken by an empty one;
//! here the result has to pass the check of [`Hive::open`]. And it mends a log whose base block is
//! damaged, if nothing else is left; here such a log is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Hive;
use super::base::{self, Header, Replayed, SECTOR};
use super::error::{HiveError, LogProblem, damaged_in};
use super::log::{Entry, Log, LogFormat};
use crate::FileTime;

/// A replay may make the file so many times the logs' length larger, and [`GROWTH_FREE`] bytes more:
/// new bins are in the log but for the parts of them that nothing was written to.
const GROWTH: usize = 16;
const GROWTH_FREE: usize = 1 << 20;

/// What to write into the log files of a hive after the hive itself was saved: nothing, a file of no
/// bytes.
///
/// Order matters. The hive goes first, whole, by a rename: its sequence numbers are then equal, and
/// Windows does not look at the logs of such a hive. Then the logs are emptied, so that none of their
/// old entries can ever be taken for the continuation of a later one. Windows itself leaves logs of no
/// bytes: both of a hive that was never written to, and the second of one in the old format.
pub const EMPTY_LOG: &[u8] = &[];

/// What [`Hive::recover`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recovery {
    /// The hive was clean. No log was looked at.
    pub clean: bool,
    /// The hive's own base block was damaged; it is that of this log.
    pub base_block_from: Option<usize>,
    /// What was applied, in this order.
    pub applied: Vec<AppliedLog>,
    /// Logs that were left out, and where the replay ended before the end of one.
    pub left_out: Vec<LogProblem>,
}

/// A log, or the part of one, that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AppliedLog {
    /// Which of the logs that were given, from 0.
    pub log: usize,
    /// Its format.
    pub format: LogFormat,
    /// Sequence number of its first entry; in the old format, of the log.
    pub first: u32,
    /// Sequence number of its last entry that was applied.
    pub last: u32,
    /// How many runs of pages were written.
    pub pages: usize,
    /// How many bytes they have.
    pub bytes: u64,
}

impl fmt::Display for AppliedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log, first, last, pages, bytes, .. } = self;
        write!(f, "log {}: ", log + 1)?;
        match self.format {
            LogFormat::Entries if first == last => write!(f, "entry {first}")?,
            LogFormat::Entries => write!(f, "entries {first} to {last}")?,
            LogFormat::DirtyVector => write!(f, "all of it (sequence number {first}, old format)")?,
        }
        write!(f, ", {pages} runs of pages, {bytes} bytes")
    }
}

impl fmt::Display for Recovery {
    /// In one line: what was applied, and what was left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.clean {
            return f.write_str("clean");
        }
        let mut parts: Vec<String> = self.applied.iter().map(AppliedLog::to_string).collect();
        parts.extend(self.base_block_from.map(|log| format!("base block of log {}", log + 1)));
        parts.extend(self.left_out.iter().map(|problem| format!("left out {problem}")));
        f.write_str(&parts.join("; "))
    }
}

impl Hive {
    /// Opens a hive, brought up to date from its transaction logs if it is dirty. `logs` are the files
    /// beside it, `.LOG1` before `.LOG2`, or `.LOG` alone; a missing one is left out.
    ///
    /// The recovered hive can be edited. [`Hive::to_bytes`] gives it with equal sequence numbers, one
    /// higher than the last entry applied, as Windows writes it; [`EMPTY_LOG`] says what to do about
    /// the log files then.
    ///
    /// # Errors
    /// As [`Hive::open`]; [`HiveError::NoUsableLog`] for a dirty hive that none of the logs fits.
    pub fn recover(bytes: Vec<u8>, logs: &[&[u8]]) -> Result<(Self, Recovery), HiveError> {
        let state = match Header::parse(&bytes) {
            Ok(header) if header.primary == header.secondary => {
                let recovery = Recovery { clean: true, ..Recovery::default() };
                return Ok((Self::open(bytes)?, recovery));
            }
            Ok(header) => State::Dirty(header),
            Err(error) => match base::first_bin_time(&bytes) {
                Some(last_written) => State::NoBaseBlock { last_written, error },
                None => return Err(error),
            },
        };
        if logs.iter().all(|log| log.is_empty()) {
            return Err(state.error_without_logs());
        }
        let (bytes, recovery) = replay(bytes, &state, logs)?;
        let hive =
            Self::open(bytes).map_err(|error| damaged_in("after its logs were applied", error))?;
        Ok((hive, recovery))
    }
}

/// Why a hive needs its logs.
enum State {
    Dirty(Header),
    NoBaseBlock { last_written: FileTime, error: HiveError },
}

impl State {
    fn last_written(&self) -> FileTime {
        match self {
            State::Dirty(header) => header.last_written,
            State::NoBaseBlock { last_written, .. } => *last_written,
        }
    }

    fn error_without_logs(&self) -> HiveError {
        match self {
            State::Dirty(header) => {
                HiveError::Dirty { primary: header.primary, secondary: header.secondary }
            }
            State::NoBaseBlock { error, .. } => damaged_in(
                "its transaction logs (.LOG1 and .LOG2, or .LOG) may hold a copy of the base block",
                error.clone(),
            ),
        }
    }

    fn refuse(&self, problems: Vec<LogProblem>) -> HiveError {
        let state = match self {
            State::Dirty(Header { primary, secondary, .. }) => {
                format!("the hive is dirty (sequence numbers {primary} and {secondary})")
            }
            State::NoBaseBlock { error, .. } => error.to_string(),
        };
        HiveError::NoUsableLog { state, problems }
    }
}

fn replay(bytes: Vec<u8>, state: &State, logs: &[&[u8]]) -> Result<(Vec<u8>, Recovery), HiveError> {
    let mut recovery = Recovery::default();
    let (mut new, mut old) = (Vec::new(), Vec::new());
    for (index, log) in logs.iter().enumerate() {
        match Log::parse(index, log) {
            Ok(log) if log.format == LogFormat::Entries => new.push(log),
            Ok(log) => old.push(log),
            Err(problem) => recovery.left_out.push(problem),
        }
    }
    let length = logs.iter().map(|log| log.len()).sum::<usize>();
    let limit = bytes.len().saturating_add(length.saturating_mul(GROWTH)) + GROWTH_FREE;
    let mut replay = Replay { state, bytes, limit, base: None, recovery };
    replay.entries(new);
    replay.dirty_vectors(&old);
    replay.finish(logs)
}

struct Replay<'r> {
    state: &'r State,
    bytes: Vec<u8>,
    /// The file does not get longer than this.
    limit: usize,
    /// What becomes of the base block; nothing before something was applied.
    base: Option<Replayed>,
    recovery: Recovery,
}

impl Replay<'_> {
    fn leave_out(&mut self, log: &Log<'_>, what: impl Into<String>) {
        let problem = LogProblem { log: log.index, offset: None, what: what.into() };
        self.recovery.left_out.push(problem);
    }

    /// Applies logs of the new format.
    fn entries(&mut self, mut logs: Vec<Log<'_>>) {
        let Some(origin) = logs.first().map(|log| log.sequence) else { return };
        // Sequence numbers wrap around, so that only their differences have an order.
        logs.sort_by_key(|log| log.sequence.wrapping_sub(origin).cast_signed());
        if let State::NoBaseBlock { .. } = self.state {
            let latest = logs.pop();
            for log in &logs {
                self.leave_out(log, "the base block is that of the log with the later entries");
            }
            logs = latest.into_iter().collect();
        }
        let mut next = None;
        for log in logs {
            let begins = log.sequence;
            if let Some(next) = next {
                if begins != next {
                    self.leave_out(&log, format!("it begins with entry {begins}, not {next}"));
                    continue;
                }
            } else if let State::Dirty(header) = self.state
                && begins.wrapping_sub(header.secondary).cast_signed() < 0
            {
                let secondary = header.secondary;
                let what = format!(
                    "it begins with entry {begins}, which the hive has already (its secondary sequence number is {secondary})"
                );
                self.leave_out(&log, what);
                continue;
            }
            next = self.entries_of(&log).map(|last| last.wrapping_add(1)).or(next);
        }
    }

    /// Applies the entries of one log, and gives the sequence number of the last.
    fn entries_of(&mut self, log: &Log<'_>) -> Option<u32> {
        let mut applied: Option<AppliedLog> = None;
        let mut expected = log.sequence;
        let mut at = SECTOR;
        let problem = loop {
            let entry = match log.entry(at, expected) {
                Ok(Some(entry)) => entry,
                Ok(None) => break None,
                Err(problem) => break Some(problem),
            };
            if let Err(what) = self.write(&entry) {
                let offset = Some(at as u64);
                break Some(LogProblem { log: log.index, offset, what });
            }
            count(&mut applied, log, &entry);
            self.base = Some(Replayed {
                sequence: entry.sequence.wrapping_add(1),
                bins_size: entry.bins_size,
                root: log.root,
                locked: entry.locked,
            });
            expected = entry.sequence.wrapping_add(1);
            at = entry.end;
        };
        match problem {
            Some(problem) => self.recovery.left_out.push(problem),
            None if applied.is_none() => {
                self.leave_out(log, format!("entry {expected}, its first, is missing"));
            }
            None => {}
        }
        let last = applied.as_ref().map(|applied| applied.last);
        self.recovery.applied.extend(applied);
        last
    }

    /// Applies the log of the old format that fits, where none of the new format did.
    fn dirty_vectors(&mut self, logs: &[Log<'_>]) {
        let hive = self.state.last_written();
        let no_base_block = matches!(self.state, State::NoBaseBlock { .. });
        let newest = || logs.iter().max_by_key(|log| log.last_written);
        let fits = if self.base.is_some() {
            None
        } else {
            logs.iter()
                .find(|log| log.last_written == hive || no_base_block && log.last_written > hive)
                .or_else(|| newest().filter(|log| log.index > 0 && log.last_written > hive))
        };
        for log in logs.iter().filter(|log| fits.is_none_or(|fits| fits.index != log.index)) {
            let time = log.last_written;
            self.leave_out(
                log,
                match (&self.base, fits) {
                    (Some(_), _) => "it is of the old format, another is of the new".to_owned(),
                    (None, Some(_)) => "another log fits".to_owned(),
                    (None, None) => format!("it was written at {time}, the hive at {hive}"),
                },
            );
        }
        let Some(log) = fits else { return };
        match log.dirty_pages().and_then(|entry| {
            self.write(&entry).map_err(|what| LogProblem { log: log.index, offset: None, what })?;
            Ok(entry)
        }) {
            Ok(entry) => {
                let mut applied = None;
                count(&mut applied, log, &entry);
                self.recovery.applied.extend(applied);
                // Windows writes the log with the number that it then gives to the hive.
                let current = match self.state {
                    State::Dirty(header) => header.primary,
                    State::NoBaseBlock { .. } => log.sequence,
                };
                self.base = Some(Replayed {
                    sequence: current.wrapping_add(1),
                    bins_size: entry.bins_size,
                    root: log.root,
                    locked: entry.locked,
                });
            }
            Err(problem) => self.recovery.left_out.push(problem),
        }
    }

    /// Writes the pages of an entry where they belong. Nothing is written if the file would get too
    /// long.
    fn write(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        let end = base::SIZE + entry.bins_size as usize;
        if end > self.limit {
            let size = entry.bins_size;
            return Err(format!("it makes the size of all bins {size:#x}, more than it can fill"));
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        for (offset, page) in &entry.pages {
            let at = base::SIZE + *offset as usize;
            self.bytes[at..at + page.len()].copy_from_slice(page);
        }
        Ok(())
    }

    fn finish(mut self, logs: &[&[u8]]) -> Result<(Vec<u8>, Recovery), HiveError> {
        let Some(base) = self.base else {
            self.recovery.left_out.sort_by_key(|problem| problem.log);
            return Err(self.state.refuse(self.recovery.left_out));
        };
        if let State::NoBaseBlock { .. } = self.state
            && let Some(log) = self.recovery.applied.last().map(|applied| applied.log)
        {
            // What follows the first sector means nothing on a disk.
            self.bytes[..base::SIZE].fill(0);
            self.bytes[..SECTOR].copy_from_slice(&logs[log][..SECTOR]);
            self.recovery.base_block_from = Some(log);
        }
        base.write(&mut self.bytes);
        self.recovery.left_out.sort_by_key(|problem| problem.log);
        Ok((self.bytes, self.recovery))
    }
}

fn count(applied: &mut Option<AppliedLog>, log: &Log<'_>, entry: &Entry<'_>) {
    let applied = applied.get_or_insert(AppliedLog {
        log: log.index,
        format: log.format,
        first: entry.sequence,
        last: entry.sequence,
        pages: 0,
        bytes: 0,
    });
    applied.last = entry.sequence;
    applied.pages += entry.pages.len();
    applied.bytes += entry.pages.iter().map(|(_, page)| page.len() as u64).sum::<u64>();
}

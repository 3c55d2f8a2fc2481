//! System event logs: what Windows itself noted of crashes, dirty shutdowns and starts.
//!
//! Both forms are read: `System.evtx` (since Vista) and `SysEvent.Evt` (before). Events are told by
//! provider and number, never by their text, which is in the language of the machine
//! (windows-facts.md 3.6 and 6.5). The readers are this crate's own: a log is hostile input, and what
//! is needed of it is small. They look at a bounded number of bytes, tokens and records, and give what
//! they could read together with what they could not.

mod binxml;
mod bytes;
mod event;
mod evt;
mod evtx;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use event::{Datum, Event, EventKind};

/// Events that matter are kept up to this number, the newest ones.
const MAX_EVENTS: usize = 512;
/// Notes about damage are kept up to this number.
const MAX_NOTES: usize = 16;

/// A log could not be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventLogError {
    /// Neither of the two forms.
    #[error("no event log: it begins with {found}, not with `ElfFile` (.evtx) or `LfLe` (.evt)")]
    NotALog {
        /// The first bytes, hexadecimal.
        found: String,
    },
    /// It ends before its header does.
    #[error("the event log is cut off: it has {size} bytes, its header needs {needed}")]
    Short {
        /// Its size in bytes.
        size: usize,
        /// Size of the header in bytes.
        needed: usize,
    },
}

/// How a log is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogForm {
    /// Windows Vista and later.
    Evtx,
    /// Windows 2000, XP, Server 2003.
    Evt,
}

/// What a log says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EventLog {
    /// How it is stored.
    pub form: LogForm,
    /// It was not closed: the machine runs, or was switched off.
    pub open: bool,
    /// Records that were read.
    pub records: u64,
    /// Records that are there but could not be read.
    pub unreadable: u64,
    /// Number and time of the oldest record that was read.
    pub oldest: Option<Mark>,
    /// Number and time of the newest record that was read.
    pub newest: Option<Mark>,
    /// The events that matter, oldest first; at most the newest 512.
    pub events: Vec<Event>,
    /// Older events that matter and are left out of `events`.
    pub left_out: u64,
    /// What is damaged or was left out, in words; empty where nothing is.
    pub damage: Vec<String>,
}

/// One record's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its number.
    pub record: u64,
    /// When it was written; absent where the time cannot be.
    pub time: Option<Timestamp>,
}

impl EventLog {
    /// Reads a log. Damage inside it is no error: see [`EventLog::damage`].
    ///
    /// # Errors
    /// [`EventLogError`] where it is no log at all.
    pub fn read(bytes: &[u8]) -> Result<Self, EventLogError> {
        if bytes.starts_with(evtx::MAGIC) {
            return evtx::read(bytes);
        }
        if bytes.get(4..8) == Some(evt::MAGIC) {
            return evt::read(bytes);
        }
        let first = bytes.iter().take(8).map(|byte| format!("{byte:02x}"));
        Err(EventLogError::NotALog { found: first.collect::<Vec<_>>().join(" ") })
    }

    /// The events of one kind, oldest first.
    pub fn of<'a>(
        &'a self,
        is: impl Fn(&EventKind) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(move |event| is(&event.kind))
    }
}

/// What is gathered while a log is read.
struct Gathered {
    log: EventLog,
}

impl Gathered {
    fn new(form: LogForm, open: bool) -> Self {
        Self {
            log: EventLog {
                form,
                open,
                records: 0,
                unreadable: 0,
                oldest: None,
                newest: None,
                events: Vec::new(),
                left_out: 0,
                damage: Vec::new(),
            },
        }
    }

    fn damage(&mut self, what: String) {
        if self.log.damage.len() < MAX_NOTES {
            self.log.damage.push(what);
        } else if self.log.damage.len() == MAX_NOTES {
            self.log.damage.push("and more".to_owned());
        }
    }

    /// Counts a record that was read.
    fn record(&mut self, mark: Mark) {
        self.log.records += 1;
        if self.log.oldest.is_none_or(|oldest| mark.record < oldest.record) {
            self.log.oldest = Some(mark);
        }
        if self.log.newest.is_none_or(|newest| mark.record > newest.record) {
            self.log.newest = Some(mark);
        }
    }

    /// Keeps an event that matters.
    fn event(&mut self, event: Event) {
        self.log.events.push(event);
        // Logs are rings, so the order of the file is not that of the records.
        if self.log.events.len() >= 2 * MAX_EVENTS {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let events = &mut self.log.events;
        events.sort_by_key(|event| event.record);
        let over = events.len().saturating_sub(MAX_EVENTS);
        events.drain(..over);
        self.log.left_out += over as u64;
    }

    fn finish(mut self) -> EventLog {
        self.trim();
        self.log
    }
}

#[cfg(test)]
mod tests;

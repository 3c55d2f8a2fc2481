//! The record of a play: what was measured of each machine, and what happened. From it the play can be played again
//! without machines.

use serde::{Deserialize, Serialize};

use super::event::PlayEvent;
use super::life::{Life, Lives};
use super::outcome::Cast;

/// Version of the record.
pub const RECORD_FORMAT: u32 = 1;

/// A record, read.
#[derive(Debug, Clone, PartialEq)]
pub struct PlayRecord {
    /// What the machines ran.
    pub cast: Cast,
    /// Digest of the scenario that they ran, where the record says it.
    pub digest: Option<String>,
    /// The seed of the rollout, to which each machine's number was added.
    pub seed: u64,
    /// What was measured.
    pub lives: Lives,
    /// What happened, by plan.
    pub events: Vec<(String, Vec<PlayEvent>)>,
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A line cannot be read.
    #[error(
        "line {line} of the record cannot be read: {why}; it is not a record of a play, or is damaged"
    )]
    Line {
        /// Which, from 1.
        line: usize,
        /// Why.
        why: String,
    },
    /// It does not begin as one.
    #[error("this is no record of a play: its first line does not say what the machines ran")]
    NoHead,
    /// It is of a later version.
    #[error(
        "the record has format {0}, and this version reads {RECORD_FORMAT}; use the version that wrote it"
    )]
    Format(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
enum Line {
    Machines {
        format: u32,
        seed: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        #[serde(flatten)]
        cast: Cast,
    },
    Life(Life),
    Event {
        plan: String,
        #[serde(flatten)]
        event: PlayEvent,
    },
}

impl PlayRecord {
    /// As JSON, a line each.
    pub fn render(&self) -> String {
        let head = Line::Machines {
            format: RECORD_FORMAT,
            seed: self.seed,
            digest: self.digest.clone(),
            cast: self.cast.clone(),
        };
        let lives = self.lives.values().cloned().map(Line::Life);
        let events = self.events.iter().flat_map(|(plan, events)| {
            let event =
                |event: &PlayEvent| Line::Event { plan: plan.clone(), event: event.clone() };
            events.iter().map(event)
        });
        let mut text = String::new();
        for line in std::iter::once(head).chain(lives).chain(events) {
            text += &serde_json::to_string(&line)
                .expect("a line has nothing that JSON has not, and text keys");
            text.push('\n');
        }
        text
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is none, or of a later version.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let mut lines = text.lines().enumerate().map(|(at, line)| {
            serde_json::from_str::<Line>(line)
                .map_err(|error| RecordError::Line { line: at + 1, why: error.to_string() })
        });
        let Some(Line::Machines { format, seed, digest, cast }) = lines.next().transpose()? else {
            return Err(RecordError::NoHead);
        };
        if format != RECORD_FORMAT {
            return Err(RecordError::Format(format));
        }
        let mut record = Self { cast, digest, seed, lives: Lives::new(), events: Vec::new() };
        for (at, line) in lines.enumerate() {
            match line? {
                Line::Life(life) if !life.is_sound() => {
                    let why = "it breaks after more starts or more time than a rollout has, or ended otherwise than it broke";
                    return Err(RecordError::Line { line: at + 2, why: why.to_owned() });
                }
                Line::Machines { .. } => return Err(RecordError::NoHead),
                Line::Life(life) => {
                    record.lives.insert(life.key, life);
                }
                Line::Event { plan, event } => match record.events.last_mut() {
                    Some((last, events)) if *last == plan => events.push(event),
                    _ => record.events.push((plan, vec![event])),
                },
            }
        }
        Ok(record)
    }
}

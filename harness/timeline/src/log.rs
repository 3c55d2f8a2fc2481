//! `events.jsonl`: one event a line, appended as they come.

use serde_json::error::Category;

use crate::{Body, EVENT_FORMAT, Event};

/// Longest line that is read. The longest that is written is a serial line with its escapes.
const LINE_LIMIT: usize = 1 << 20;

/// One event as a line, with its line end.
pub fn write_event(event: &Event) -> Result<String, WriteError> {
    let mut line =
        serde_json::to_string(event).map_err(|source| WriteError { seq: event.seq, source })?;
    line.push('\n');
    Ok(line)
}

/// An event that has no form in JSON.
#[derive(Debug, thiserror::Error)]
#[error("event {seq} cannot be written as JSON: {source}")]
pub struct WriteError {
    seq: u64,
    source: serde_json::Error,
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// In order.
    pub events: Vec<Event>,
    /// False where the record breaks off: its last line is cut, or the run's end is not in it (the
    /// harness was killed).
    pub complete: bool,
}

/// A record that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("events.jsonl:{line}:{column}: {what}")]
pub struct ReadError {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What is wrong, and what to do about it where something can be done.
    pub what: String,
}

/// Reads a whole record. Strict: a line that is not an event, a gap in the numbers, a first event that is
/// not `run-started` and a format that is not ours are errors. Only a last line without its line end may
/// be broken: the harness died while it wrote it.
pub fn read_events(text: &str) -> Result<Record, ReadError> {
    let mut events: Vec<Event> = Vec::new();
    let mut cut = false;
    let mut rest = text;
    let mut line = 0;
    while !rest.is_empty() {
        line += 1;
        let error = |column: usize, what: String| ReadError { line, column: column.max(1), what };
        let (content, ended) = match rest.split_once('\n') {
            Some((content, tail)) => {
                rest = tail;
                (content, true)
            }
            None => (std::mem::take(&mut rest), false),
        };
        if content.len() > LINE_LIMIT {
            return Err(error(LINE_LIMIT, format!("line longer than {LINE_LIMIT} bytes")));
        }
        let event: Event = match serde_json::from_str(content) {
            Ok(event) => event,
            Err(source) if !ended && source.classify() == Category::Eof => {
                cut = true;
                break;
            }
            Err(source) => return Err(error(source.column(), format!("not an event: {source}"))),
        };
        check(&event, events.last()).map_err(|what| error(1, what))?;
        events.push(event);
    }
    if events.is_empty() {
        let what = "no event; the run had not begun when the harness stopped".to_owned();
        return Err(ReadError { line: 1, column: 1, what });
    }
    let ended = events.last().is_some_and(|event| event.body == Body::RunEnded);
    Ok(Record { complete: ended && !cut, events })
}

fn check(event: &Event, before: Option<&Event>) -> Result<(), String> {
    let due = before.map_or(0, |before| before.seq + 1);
    if event.seq != due {
        return Err(format!("event {} where {due} is due; lines are missing", event.seq));
    }
    match (&event.body, before) {
        (Body::RunStarted { facts }, None) if facts.format != EVENT_FORMAT => Err(format!(
            "format {}, but this loopbreak reads format {EVENT_FORMAT}; use the one that recorded it",
            facts.format
        )),
        (Body::RunStarted { .. }, None) => Ok(()),
        (Body::RunStarted { .. }, Some(_)) => Err("a second run-started".to_owned()),
        (_, None) => Err("the first event is not run-started".to_owned()),
        (_, Some(before)) if event.at_us < before.at_us => {
            Err("earlier than the event before it".to_owned())
        }
        _ => Ok(()),
    }
}

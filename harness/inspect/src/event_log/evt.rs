//! `.Evt` files: a ring of records, before Windows Vista.
//!
//! Layout: Microsoft, "EVENTLOGRECORD structure" and "Event Log File Format". The header of a log that
//! was not closed is stale, so records are found by their own marks: size, `LfLe`, and the size again
//! behind it.

use jiff::Timestamp;

use super::bytes::u32_at;
use super::event::{Datum, Event, matters};
use super::{EventLog, EventLogError, Gathered, LogForm, Mark};

pub(super) const MAGIC: &[u8] = b"LfLe";
const HEADER: usize = 48;
const RECORD_HEADER: usize = 56;
const MAX_RECORD: usize = 1 << 18;
/// Logs before Vista are some MiB; more than this is not looked at.
const MAX_SIZE: usize = 256 << 20;
const MAX_STRINGS: usize = 64;

pub(super) fn read(bytes: &[u8]) -> Result<EventLog, EventLogError> {
    if bytes.len() < HEADER {
        return Err(EventLogError::Short { size: bytes.len(), needed: HEADER });
    }
    let open = u32_at(bytes, 36).is_some_and(|flags| flags & 1 != 0);
    let mut gathered = Gathered::new(LogForm::Evt, open);
    let end = bytes.len().min(MAX_SIZE);
    if end < bytes.len() {
        gathered.damage(format!("what lies behind offset {end:#x} was not read: too large"));
    }
    // The header is no record, though it has the mark.
    let mut at = HEADER;
    while at + 8 <= end {
        if bytes.get(at + 4..at + 8) != Some(MAGIC) {
            at += 4;
            continue;
        }
        match record_at(&bytes[..end], at) {
            Found::Whole(record) => {
                read_record(record, &mut gathered);
                at += record.len();
            }
            // It goes on at the beginning of the ring, and is read whole or not at all.
            Found::Wrapped(record) => {
                read_record(&record, &mut gathered);
                break;
            }
            Found::Not => at += 4,
        }
    }
    Ok(gathered.finish())
}

enum Found<'b> {
    Whole(&'b [u8]),
    Wrapped(Vec<u8>),
    Not,
}

fn record_at(bytes: &[u8], at: usize) -> Found<'_> {
    let size = u32_at(bytes, at).unwrap_or(0) as usize;
    if !(RECORD_HEADER + 4..=MAX_RECORD).contains(&size) || !size.is_multiple_of(4) {
        return Found::Not;
    }
    let closed = |end: usize| u32_at(bytes, end - 4) == Some(size as u32);
    if let Some(record) = bytes.get(at..at + size) {
        return if closed(at + size) { Found::Whole(record) } else { Found::Not };
    }
    // A log that is cut off inside a record's last word has no such record either.
    let end = HEADER + at + size - bytes.len();
    if end > at || end < HEADER + 4 || !closed(end) {
        return Found::Not;
    }
    Found::Wrapped([&bytes[at..], &bytes[HEADER..end]].concat())
}

fn read_record(record: &[u8], gathered: &mut Gathered) {
    let word = |at| u32_at(record, at).unwrap_or(0);
    let number = u64::from(word(8));
    let time = Timestamp::from_second(i64::from(word(12))).ok();
    gathered.record(Mark { record: number, time });
    let id = word(20) & 0xffff;
    let (provider, _) = text_at(record, RECORD_HEADER);
    if !matters(&provider, id) {
        return;
    }
    let count = usize::from(word(26) as u16).min(MAX_STRINGS);
    let mut data = Vec::new();
    let mut at = word(36) as usize;
    for _ in 0..count {
        let (value, after) = text_at(record, at);
        data.push(Datum { name: None, value });
        at = after;
    }
    let start = word(52) as usize;
    let binary = record.get(start..start.saturating_add(word(48) as usize)).unwrap_or_default();
    if let Some(event) = Event::new(number, time, provider, id, data, binary) {
        gathered.event(event);
    }
}

/// The terminated text at an offset, and where it ends.
fn text_at(record: &[u8], at: usize) -> (String, usize) {
    let rest = record.get(at..).unwrap_or_default();
    let units: Vec<u16> = rest
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|&unit| unit != 0)
        .collect();
    (String::from_utf16_lossy(&units), at.saturating_add(units.len() * 2 + 2))
}

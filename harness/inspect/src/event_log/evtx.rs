//! `.evtx` files: a header, then chunks of 64 KiB, each with records of binary XML.
//!
//! Layout after Joachim Metz, "Windows XML Event Log (EVTX) format", and Andreas Schuster's work before
//! it. A log whose machine was switched off has stale counts and checksums in its header and last
//! chunk, so records are found by their own marks, not by the counts.

use winfmt::FileTime;

use super::binxml::{self, Budget};
use super::bytes::{u32_at, u64_at};
use super::event::{Event, matters};
use super::{EventLog, EventLogError, Gathered, LogForm, Mark};

pub(super) const MAGIC: &[u8] = b"ElfFile\0";
const HEADER: usize = 4096;
const CHUNK: usize = 65_536;
const CHUNK_MAGIC: &[u8] = b"ElfChnk\0";
const CHUNK_HEADER: usize = 512;
const RECORD_MAGIC: u32 = 0x0000_2a2a;
const RECORD_HEADER: usize = 24;
/// 256 MiB; the System log has 20 MiB unless someone changed that.
const MAX_CHUNKS: usize = 4096;

pub(super) fn read(bytes: &[u8]) -> Result<EventLog, EventLogError> {
    if bytes.len() < HEADER {
        return Err(EventLogError::Short { size: bytes.len(), needed: HEADER });
    }
    let open = u32_at(bytes, 120).is_some_and(|flags| flags & 1 != 0);
    let mut gathered = Gathered::new(LogForm::Evtx, open);
    let mut budget = Budget::for_file();
    for (index, chunk) in bytes[HEADER..].chunks(CHUNK).enumerate() {
        let offset = HEADER + index * CHUNK;
        if index >= MAX_CHUNKS {
            gathered.damage(format!("what lies behind offset {offset:#x} was not read: too large"));
            break;
        }
        read_chunk(chunk, offset, &mut budget, &mut gathered);
    }
    Ok(gathered.finish())
}

fn read_chunk(chunk: &[u8], offset: usize, budget: &mut Budget, gathered: &mut Gathered) {
    if !chunk.starts_with(CHUNK_MAGIC) {
        // Space that was never used is zeros.
        if chunk.iter().any(|&byte| byte != 0) {
            gathered.damage(format!("the chunk at offset {offset:#x} has no header"));
        }
        return;
    }
    if chunk.len() < CHUNK {
        gathered.damage(format!("the chunk at offset {offset:#x} is cut off"));
    }
    budget.begin_chunk();
    let end_of_use = u32_at(chunk, 48).map_or(0, |end| end as usize);
    let (mut at, mut last) = (CHUNK_HEADER, None::<u64>);
    while let Some(header) = chunk.get(at..at + RECORD_HEADER) {
        let place = offset + at;
        let size = u32_at(header, 4).unwrap_or(0) as usize;
        if u32_at(header, 0) != Some(RECORD_MAGIC) {
            if at >= end_of_use || end_of_use > chunk.len() {
                return;
            }
            gathered.damage(format!("no record at offset {place:#x}, where one should be"));
            gathered.log.unreadable += 1;
            match next_record(&chunk[..end_of_use], at) {
                Some(next) => at = next,
                None => return,
            }
            continue;
        }
        let number = u64_at(header, 8).unwrap_or(0);
        // Behind the part in use there may be records that were not counted yet, which follow on, and
        // remnants of older ones, which do not.
        if at >= end_of_use && last.is_some_and(|last| number != last.wrapping_add(1)) {
            return;
        }
        let Some(record) = chunk.get(at..at.saturating_add(size)).filter(|_| size > RECORD_HEADER)
        else {
            gathered.damage(format!("the record at offset {place:#x} is cut off"));
            gathered.log.unreadable += 1;
            return;
        };
        let written = FileTime::from_ticks(u64_at(header, 16).unwrap_or(0));
        let mark = Mark { record: number, time: written.to_timestamp() };
        // The last four bytes are the size again.
        let body = at + RECORD_HEADER..at + record.len().saturating_sub(4).max(RECORD_HEADER);
        match binxml::read(chunk, body, budget) {
            Ok(draft) => {
                gathered.record(mark);
                if let Some(id) = draft.id.filter(|id| matters(&draft.provider, *id)) {
                    let time = draft.time.or(mark.time);
                    let event =
                        Event::new(number, time, draft.provider, id, draft.data, &draft.binary);
                    event.into_iter().for_each(|event| gathered.event(event));
                }
            }
            Err(what) => {
                gathered.damage(format!("the record at offset {place:#x}: {what}"));
                gathered.log.unreadable += 1;
            }
        }
        last = Some(number);
        at += size;
    }
}

/// The first whole record behind a gap: its mark, and its size at both ends.
fn next_record(chunk: &[u8], from: usize) -> Option<usize> {
    (from..chunk.len()).step_by(8).skip(1).find(|&at| {
        let size = u32_at(chunk, at + 4).unwrap_or(0) as usize;
        u32_at(chunk, at) == Some(RECORD_MAGIC)
            && size > RECORD_HEADER + 4
            && u32_at(chunk, at + size - 4) == Some(size as u32)
    })
}

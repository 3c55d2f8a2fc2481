//! The boot log: a ring of records.

use super::record::RECORD_HEADER;
use super::{BootStatusError, LogEvent, Record};
use crate::Guid;
use crate::bytes::{u32_at, u64_at};

/// Size of the log, and of the file on the EFI partition.
pub const LOG_SIZE: usize = 0x10000;
pub(super) const LOG_HEADER: usize = 0x18;
const LOG_VERSION: u32 = 4;

/// The boot log: the file on the EFI partition, or the part of `bootstat.dat` behind the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootLog {
    records: Vec<Record>,
}

impl BootLog {
    /// An empty log.
    pub fn new() -> Self {
        Self { records: Vec::new() }
    }

    /// Reads a log: all of the file on the EFI partition, or what lies behind the status.
    ///
    /// # Errors
    /// [`BootStatusError::TooShort`], [`BootStatusError::UnknownLog`],
    /// [`BootStatusError::DamagedLog`].
    pub fn parse(log: &[u8]) -> Result<Self, BootStatusError> {
        let word = |index: usize| {
            let too_short = BootStatusError::TooShort { found: log.len(), needed: LOG_HEADER };
            u32_at(log, 4 * index).map(|value| value as usize).ok_or(too_short)
        };
        let (version, start, size, next, first) =
            (word(0)?, word(1)?, word(2)?, word(3)?, word(4)?);
        if version != LOG_VERSION as usize {
            let version = u32::try_from(version).unwrap_or(u32::MAX);
            return Err(BootStatusError::UnknownLog { version });
        }
        let damaged = |offset, what| BootStatusError::DamagedLog { offset, what };
        if size > log.len() {
            return Err(damaged(8, "it claims to be larger than its file"));
        }
        if start < LOG_HEADER || ![next, first].iter().all(|at| (start..=size).contains(at)) {
            return Err(damaged(4, "its first or next record lies outside"));
        }
        let mut records = Vec::new();
        if first <= next {
            read_records(log, first, next, &mut records)?;
        } else {
            read_records(log, first, size, &mut records)?;
            read_records(log, start, next, &mut records)?;
        }
        Ok(Self { records })
    }

    /// The records, the oldest first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Adds a record. The oldest ones go where there is no room.
    ///
    /// # Errors
    /// [`BootStatusError::RecordTooLarge`].
    pub fn append(&mut self, record: Record) -> Result<(), BootStatusError> {
        let room = LOG_SIZE - LOG_HEADER;
        if record.size() > room {
            return Err(BootStatusError::RecordTooLarge { size: record.size() });
        }
        self.records.push(record);
        let mut total: usize = self.records.iter().map(Record::size).sum();
        let mut gone = 0;
        while total > room {
            total -= self.records[gone].size();
            gone += 1;
        }
        self.records.drain(..gone);
        Ok(())
    }

    /// The log in [`LOG_SIZE`] bytes, unwrapped: the oldest record comes first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; LOG_HEADER];
        for record in &self.records {
            let size = u32::try_from(record.size()).unwrap_or(u32::MAX);
            bytes.extend(record.timestamp.to_le_bytes());
            bytes.extend(record.application.to_bytes());
            for word in [size, record.level, record.application_type, record.event.into()] {
                bytes.extend(u32::to_le_bytes(word));
            }
            bytes.extend(&record.payload);
        }
        let next = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let header = LOG_HEADER as u32;
        for (index, word) in
            [LOG_VERSION, header, LOG_SIZE as u32, next, header].into_iter().enumerate()
        {
            bytes[4 * index..4 * index + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes.resize(LOG_SIZE, 0);
        bytes
    }
}

impl Default for BootLog {
    fn default() -> Self {
        Self::new()
    }
}

fn read_records(
    log: &[u8],
    from: usize,
    to: usize,
    records: &mut Vec<Record>,
) -> Result<(), BootStatusError> {
    let mut at = from;
    // Less than a header is left over where the ring wraps.
    while at + RECORD_HEADER <= to {
        let damaged = |what| BootStatusError::DamagedLog { offset: at, what };
        let header = log.get(at..at + RECORD_HEADER).ok_or(damaged("a record is cut off"))?;
        let word = |offset| u32_at(header, offset).unwrap_or_default();
        let event = LogEvent::from(word(0x24));
        if event == LogEvent::End {
            return Ok(());
        }
        let size = word(0x18) as usize;
        if size < RECORD_HEADER || size > to - at {
            return Err(damaged("a record has an impossible size"));
        }
        records.push(Record {
            timestamp: u64_at(header, 0).unwrap_or_default(),
            application: Guid::read_at(header, 8).unwrap_or_default(),
            level: word(0x1c),
            application_type: word(0x20),
            event,
            payload: log
                .get(at + RECORD_HEADER..at + size)
                .ok_or(damaged("a record is cut off"))?
                .to_vec(),
        });
        at += size;
    }
    Ok(())
}

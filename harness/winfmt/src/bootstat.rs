//! The boot status file and the boot log.
//!
//! `C:\Windows\bootstat.dat` holds the status (`RTL_BSD_DATA`: did the last start succeed, how many
//! were tried) and behind it a log. On the EFI partition, `\EFI\Microsoft\Boot\BOOTSTAT.DAT` is a log
//! alone. Layout: windows-facts.md 3.2; the log also after files that Windows wrote.
//!
//! The understudy writes both. The harness only reads: the algorithm of the status' checksum is not
//! public, so a file of a real Windows must not be edited (windows-facts.md 3.2).

use jiff::civil::DateTime;

use crate::bytes::{u16_at, u32_at, u64_at, utf16_bytes, utf16_units};
use crate::{FileTime, Guid};

/// Size of `C:\Windows\bootstat.dat`: the status part and the log.
pub const FILE_SIZE: usize = LOG_OFFSET + LOG_SIZE;
/// Size of the log, and of the file on the EFI partition.
pub const LOG_SIZE: usize = 0x10000;
const LOG_OFFSET: usize = 0x800;
/// Up to `PowerButtonPressInfo`; later Windows appends.
const STATUS_SIZE: usize = 0x88;
/// What the understudy writes as `Version`: the size of the status, as Windows does.
const STATUS_VERSION: u32 = 0x88;
const LOG_HEADER: usize = 0x18;
const LOG_VERSION: u32 = 4;
const RECORD_HEADER: usize = 0x28;

/// Neither a boot status file nor a boot log, or a damaged one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootStatusError {
    /// Shorter than the smallest that Windows writes.
    #[error(
        "the boot status file has {found} bytes, it needs at least {needed}; it may be cut off"
    )]
    TooShort {
        /// Its size.
        found: usize,
        /// The least.
        needed: usize,
    },
    /// A log of another version than 4.
    #[error("the boot log has version {version}, only 4 is known; read nothing into it")]
    UnknownLog {
        /// The version.
        version: u32,
    },
    /// A log whose records do not follow each other.
    #[error("the boot log is damaged at offset {offset:#x} of the log: {what}")]
    DamagedLog {
        /// From the beginning of the log.
        offset: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A record larger than the log.
    #[error("a boot log record of {size} bytes does not fit the log")]
    RecordTooLarge {
        /// Its size.
        size: usize,
    },
}

/// `C:\Windows\bootstat.dat`. What is behind the known fields keeps its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootStatus {
    data: Vec<u8>,
}

impl BootStatus {
    /// A new file, as set-up leaves it: no start yet, the last shutdown good, an empty log.
    pub fn create() -> Self {
        let mut status = Self { data: vec![0; FILE_SIZE] };
        status.put_u32(0x00, STATUS_VERSION);
        // VER_NT_WORKSTATION.
        status.put_u32(0x04, 1);
        status.set_automatic_boot_menu(true);
        status.data[0x09] = 30;
        status.set_last_boot_succeeded(true);
        status.set_last_boot_shutdown(true);
        status.data[LOG_OFFSET..].copy_from_slice(&BootLog::new().to_bytes());
        status
    }

    /// Takes a file, also one of a newer Windows with more fields.
    ///
    /// # Errors
    /// [`BootStatusError::TooShort`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BootStatusError> {
        if bytes.len() < STATUS_SIZE {
            return Err(BootStatusError::TooShort { found: bytes.len(), needed: STATUS_SIZE });
        }
        Ok(Self { data: bytes })
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.data.clone()
    }

    /// `Version`.
    pub fn version(&self) -> u32 {
        self.u32(0x00)
    }

    /// `ProductType`: 1 workstation, 2 domain controller, 3 server.
    pub fn product_type(&self) -> u32 {
        self.u32(0x04)
    }

    /// `AabEnabled`: the boot manager offers its menu after a failure.
    pub fn automatic_boot_menu(&self) -> bool {
        self.data[0x08] != 0
    }

    /// Sets `AabEnabled`.
    pub fn set_automatic_boot_menu(&mut self, on: bool) {
        self.data[0x08] = u8::from(on);
    }

    /// `LastBootSucceeded`: the loader clears it, Windows sets it when a start is good.
    pub fn last_boot_succeeded(&self) -> bool {
        self.data[0x0a] != 0
    }

    /// Sets `LastBootSucceeded`.
    pub fn set_last_boot_succeeded(&mut self, yes: bool) {
        self.data[0x0a] = u8::from(yes);
    }

    /// `LastBootShutdown`: cleared while Windows runs, set when it has shut down.
    pub fn last_boot_shutdown(&self) -> bool {
        self.data[0x0b] != 0
    }

    /// Sets `LastBootShutdown`.
    pub fn set_last_boot_shutdown(&mut self, yes: bool) {
        self.data[0x0b] = u8::from(yes);
    }

    /// `SleepInProgress`.
    pub fn sleep_in_progress(&self) -> bool {
        self.data[0x0c] != 0
    }

    /// Sets `SleepInProgress`.
    pub fn set_sleep_in_progress(&mut self, yes: bool) {
        self.data[0x0c] = u8::from(yes);
    }

    /// `BootAttemptCount`.
    pub fn boot_attempt_count(&self) -> u8 {
        self.data[0x30]
    }

    /// Sets `BootAttemptCount`.
    pub fn set_boot_attempt_count(&mut self, count: u8) {
        self.data[0x30] = count;
    }

    /// `LastBootCheckpoint`.
    pub fn last_boot_checkpoint(&self) -> bool {
        self.data[0x31] != 0
    }

    /// Sets `LastBootCheckpoint`.
    pub fn set_last_boot_checkpoint(&mut self, yes: bool) {
        self.data[0x31] = u8::from(yes);
    }

    /// `Checksum`, as stored. How it is computed is not public.
    pub fn checksum(&self) -> u8 {
        self.data[0x32]
    }

    /// `LastBootId`: counts the starts.
    pub fn last_boot_id(&self) -> u32 {
        self.u32(0x34)
    }

    /// Sets `LastBootId`.
    pub fn set_last_boot_id(&mut self, id: u32) {
        self.put_u32(0x34, id);
    }

    /// `LastSuccessfulShutdownBootId`.
    pub fn last_successful_shutdown_boot_id(&self) -> u32 {
        self.u32(0x38)
    }

    /// Sets `LastSuccessfulShutdownBootId`.
    pub fn set_last_successful_shutdown_boot_id(&mut self, id: u32) {
        self.put_u32(0x38, id);
    }

    /// `LastReportedAbnormalShutdownBootId`.
    pub fn last_reported_abnormal_shutdown_boot_id(&self) -> u32 {
        self.u32(0x3c)
    }

    /// Sets `LastReportedAbnormalShutdownBootId`.
    pub fn set_last_reported_abnormal_shutdown_boot_id(&mut self, id: u32) {
        self.put_u32(0x3c, id);
    }

    /// The log behind the status.
    ///
    /// # Errors
    /// As [`BootLog::parse`].
    pub fn log(&self) -> Result<BootLog, BootStatusError> {
        BootLog::parse(self.data.get(LOG_OFFSET..).unwrap_or_default())
    }

    /// Adds a record to the log behind the status. The oldest ones go where there is no room.
    ///
    /// # Errors
    /// As [`BootLog::parse`] and [`BootLog::append`].
    pub fn append(&mut self, record: Record) -> Result<(), BootStatusError> {
        let mut log = self.log()?;
        log.append(record)?;
        self.data[LOG_OFFSET..LOG_OFFSET + LOG_SIZE].copy_from_slice(&log.to_bytes());
        Ok(())
    }

    fn u32(&self, at: usize) -> u32 {
        // The constructors see to it that the status part is there.
        u32_at(&self.data, at).unwrap_or_default()
    }

    fn put_u32(&mut self, at: usize, value: u32) {
        self.data[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}

/// The boot log: the file on the EFI partition, or the part of `bootstat.dat` behind the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootLog {
    records: Vec<Record>,
}

/// What a record tells (`u32` in the file).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEvent {
    /// 0: nothing more up to the end of the ring.
    End,
    /// 1: a boot application began.
    Initialized,
    /// 17: the boot manager starts an entry. Seen in files that Windows wrote; the name is ours.
    EntryLaunched,
    /// 18: an entry came back, with a status. Seen in files that Windows wrote; the name is ours.
    EntryReturned,
    /// 49: the loader gives control to Windows.
    LaunchOs,
    /// 80: a text.
    LogEntry,
    /// Any other.
    Other(u32),
}

impl From<u32> for LogEvent {
    fn from(number: u32) -> Self {
        match number {
            0 => LogEvent::End,
            1 => LogEvent::Initialized,
            17 => LogEvent::EntryLaunched,
            18 => LogEvent::EntryReturned,
            49 => LogEvent::LaunchOs,
            80 => LogEvent::LogEntry,
            other => LogEvent::Other(other),
        }
    }
}

impl From<LogEvent> for u32 {
    fn from(event: LogEvent) -> u32 {
        match event {
            LogEvent::End => 0,
            LogEvent::Initialized => 1,
            LogEvent::EntryLaunched => 17,
            LogEvent::EntryReturned => 18,
            LogEvent::LaunchOs => 49,
            LogEvent::LogEntry => 80,
            LogEvent::Other(number) => number,
        }
    }
}

/// The boot manager, as the type of an application.
pub const APPLICATION_BOOT_MANAGER: u32 = 2;
/// A Windows loader, as the type of an application.
pub const APPLICATION_OS_LOADER: u32 = 3;

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// A counter that runs since power-on; its unit is not documented.
    pub timestamp: u64,
    /// The boot object whose application wrote it.
    pub application: Guid,
    /// 0 success, 1 information, 2 warning, 3 error.
    pub level: u32,
    /// [`APPLICATION_BOOT_MANAGER`], [`APPLICATION_OS_LOADER`] or another.
    pub application_type: u32,
    /// What happened.
    pub event: LogEvent,
    /// The rest, by event.
    pub payload: Vec<u8>,
}

impl Record {
    /// A boot application began, at a time; a loader also says which start it is.
    pub fn initialized(
        application: Guid,
        application_type: u32,
        at: FileTime,
        boot_id: u32,
    ) -> Self {
        let mut payload = time_fields(at).to_vec();
        payload.extend(1u32.to_le_bytes());
        payload.extend([0; 4]);
        if application_type == APPLICATION_OS_LOADER {
            payload.extend(boot_id.to_le_bytes());
            payload.extend([0; 4]);
        }
        Self {
            timestamp: 0,
            application,
            level: 1,
            application_type,
            event: LogEvent::Initialized,
            payload,
        }
    }

    /// The boot manager starts an entry.
    pub fn entry_launched(application: Guid, entry: Guid, path: &str) -> Self {
        let mut payload = entry.to_bytes().to_vec();
        payload.extend([0; 4]);
        payload.extend(utf16_bytes(path.encode_utf16().chain([0])));
        Self {
            timestamp: 0,
            application,
            level: 1,
            application_type: APPLICATION_BOOT_MANAGER,
            event: LogEvent::EntryLaunched,
            payload,
        }
    }

    /// An entry came back to the boot manager with an NTSTATUS.
    pub fn entry_returned(application: Guid, entry: Guid, status: u32) -> Self {
        let mut payload = entry.to_bytes().to_vec();
        payload.extend(status.to_le_bytes());
        payload.extend(8u32.to_le_bytes());
        Self {
            timestamp: 0,
            application,
            level: 1,
            application_type: APPLICATION_BOOT_MANAGER,
            event: LogEvent::EntryReturned,
            payload,
        }
    }

    /// The loader gives control to Windows.
    pub fn launch_os(application: Guid) -> Self {
        Self {
            timestamp: 0,
            application,
            level: 1,
            application_type: APPLICATION_OS_LOADER,
            event: LogEvent::LaunchOs,
            payload: Vec::new(),
        }
    }

    /// The time of an [`LogEvent::Initialized`] record.
    pub fn time(&self) -> Option<FileTime> {
        if self.event != LogEvent::Initialized {
            return None;
        }
        let field = |index: usize| {
            u16_at(&self.payload, 2 * index).and_then(|value| i16::try_from(value).ok())
        };
        let small = |index| field(index).and_then(|value| i8::try_from(value).ok());
        let nanoseconds = i32::from(field(6)?).checked_mul(1_000_000)?;
        DateTime::new(field(0)?, small(1)?, small(2)?, small(3)?, small(4)?, small(5)?, nanoseconds)
            .ok()
            .and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC).ok())
            .map(|at| FileTime::from_timestamp(at.timestamp()))
    }

    /// Which start an [`LogEvent::Initialized`] record of a loader belongs to.
    pub fn boot_id(&self) -> Option<u32> {
        let of_loader =
            self.event == LogEvent::Initialized && self.application_type == APPLICATION_OS_LOADER;
        of_loader.then(|| u32_at(&self.payload, 24)).flatten()
    }

    /// The entry that a record of the boot manager is about.
    pub fn entry(&self) -> Option<Guid> {
        matches!(self.event, LogEvent::EntryLaunched | LogEvent::EntryReturned)
            .then(|| Guid::read_at(&self.payload, 0))
            .flatten()
    }

    /// The path that the boot manager started.
    pub fn path(&self) -> Option<String> {
        let bytes = self.payload.get(20..).filter(|_| self.event == LogEvent::EntryLaunched)?;
        let units = utf16_units(bytes);
        let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
        Some(String::from_utf16_lossy(&units[..end]))
    }

    /// The NTSTATUS with which an entry came back.
    pub fn status(&self) -> Option<u32> {
        (self.event == LogEvent::EntryReturned).then(|| u32_at(&self.payload, 16)).flatten()
    }

    fn size(&self) -> usize {
        RECORD_HEADER + self.payload.len()
    }
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

/// `TIME_FIELDS`: year, month, day, hour, minute, second, millisecond, weekday (0 is Sunday).
fn time_fields(at: FileTime) -> [u8; 16] {
    let mut bytes = [0; 16];
    let Some(timestamp) = at.to_timestamp() else { return bytes };
    let at = timestamp.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let fields = [
        at.year(),
        i16::from(at.month()),
        i16::from(at.day()),
        i16::from(at.hour()),
        i16::from(at.minute()),
        i16::from(at.second()),
        at.millisecond(),
        i16::from(at.weekday().to_sunday_zero_offset()),
    ];
    for (bytes, field) in bytes.chunks_exact_mut(2).zip(fields) {
        bytes.copy_from_slice(&field.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bcd::known;

    fn time() -> FileTime {
        FileTime::from_timestamp("2024-07-19T04:09:30.25Z".parse().unwrap())
    }

    #[test]
    fn a_new_file_round_trips_its_fields() {
        let mut status = BootStatus::create();
        assert_eq!(status.to_bytes().len(), 0x10800);
        assert!(status.last_boot_succeeded() && status.last_boot_shutdown());
        status.set_last_boot_succeeded(false);
        status.set_boot_attempt_count(2);
        status.set_last_boot_id(7);
        status.set_last_successful_shutdown_boot_id(5);
        let again = BootStatus::parse(status.to_bytes()).unwrap();
        assert!(!again.last_boot_succeeded());
        assert_eq!((again.boot_attempt_count(), again.last_boot_id()), (2, 7));
        assert_eq!(again.last_successful_shutdown_boot_id(), 5);
        assert_eq!(again.log().unwrap().records(), []);
    }

    #[test]
    fn records_round_trip() {
        let loader = known::DEFAULT;
        let mut status = BootStatus::create();
        let manager = APPLICATION_BOOT_MANAGER;
        let path = r"\Windows\system32\winload.efi";
        for record in [
            Record::initialized(known::BOOT_MANAGER, manager, time(), 0),
            Record::entry_launched(known::BOOT_MANAGER, loader, path),
            Record::initialized(loader, APPLICATION_OS_LOADER, time(), 9),
            Record::launch_os(loader),
            Record::entry_returned(known::BOOT_MANAGER, loader, 0xc000_0001),
        ] {
            status.append(record).unwrap();
        }
        let log = BootStatus::parse(status.to_bytes()).unwrap().log().unwrap();
        let records = log.records();
        assert_eq!(records[0].time(), Some(time()));
        assert_eq!(records[0].boot_id(), None);
        assert_eq!(records[1].path().as_deref(), Some(path));
        assert_eq!(records[1].entry(), Some(loader));
        assert_eq!(records[2].boot_id(), Some(9));
        assert_eq!(records[3].event, LogEvent::LaunchOs);
        assert_eq!(records[4].status(), Some(0xc000_0001));
    }

    #[test]
    fn a_full_log_forgets_the_oldest() {
        let mut log = BootLog::new();
        for boot in 0..2000 {
            let loader = APPLICATION_OS_LOADER;
            log.append(Record::initialized(known::DEFAULT, loader, time(), boot)).unwrap();
        }
        assert_eq!(log.to_bytes().len(), LOG_SIZE);
        let log = BootLog::parse(&log.to_bytes()).unwrap();
        assert_eq!(log.records().last().unwrap().boot_id(), Some(1999));
        assert!(log.records().len() > 900);
        assert!(log.records()[0].boot_id().unwrap() > 1000);
    }

    #[test]
    fn a_wrapped_ring_is_read_from_its_oldest_record() {
        let mut log = BootLog::new();
        let record = |id| Record::initialized(known::DEFAULT, APPLICATION_OS_LOADER, time(), id);
        let size = record(0).size();
        for boot in 0..3 {
            log.append(record(boot)).unwrap();
        }
        // Three records; the ring says that the third is the oldest and the next goes in its place.
        let mut bytes = log.to_bytes();
        let third = LOG_HEADER + 2 * size;
        bytes[8..12].copy_from_slice(&((third + size) as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&(third as u32).to_le_bytes());
        bytes[16..20].copy_from_slice(&(third as u32).to_le_bytes());
        let ids = |bytes: &[u8]| -> Vec<_> {
            BootLog::parse(bytes).unwrap().records().iter().filter_map(Record::boot_id).collect()
        };
        assert_eq!(ids(&bytes), Vec::<u32>::new(), "first equals next: empty");
        bytes[12..16].copy_from_slice(&((LOG_HEADER + size) as u32).to_le_bytes());
        assert_eq!(ids(&bytes), [2, 0]);
    }

    #[test]
    fn short_and_foreign_files_are_refused() {
        assert_eq!(
            BootStatus::parse(vec![0; 0x50]),
            Err(BootStatusError::TooShort { found: 0x50, needed: STATUS_SIZE })
        );
        assert_eq!(
            BootLog::parse(&[9; 0x40]),
            Err(BootStatusError::UnknownLog { version: 0x0909_0909 })
        );
    }

    proptest! {
        #[test]
        fn any_log_is_read_or_refused(
            words in prop::collection::vec(0u32..0x200, 5),
            rest in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            bytes[..4].copy_from_slice(&4u32.to_le_bytes());
            bytes.extend(rest);
            if let Ok(log) = BootLog::parse(&bytes) {
                for record in log.records() {
                    let _ = (record.time(), record.boot_id(), record.path(), record.status());
                }
            }
        }

        #[test]
        fn any_status_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..0x900)) {
            if let Ok(status) = BootStatus::parse(bytes) {
                let _ = (status.log(), status.last_boot_id(), status.checksum());
            }
        }
    }
}

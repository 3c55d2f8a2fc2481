//! Records of the boot log.

use jiff::civil::DateTime;

use crate::bytes::{u16_at, u32_at, utf16_bytes, utf16_units};
use crate::{FileTime, Guid};

pub(super) const RECORD_HEADER: usize = 0x28;

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

    /// The time of an [`LogEvent::Initialized`] record, by the machine's clock: it can go back from one
    /// record to the next.
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

    pub(super) fn size(&self) -> usize {
        RECORD_HEADER + self.payload.len()
    }
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

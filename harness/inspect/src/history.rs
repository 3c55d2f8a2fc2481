//! What earlier starts left behind: boot status, boot log, event log, Startup Repair's log.

use disk::VolumeRole;
use serde::{Deserialize, Serialize};
use volume::Volume;
use winfmt::bootstat::{BootLog, BootStatus, LogEvent, Record};

use crate::Known;
use crate::boot::BootConfiguration;
use crate::event_log::{Event, EventLog};
use crate::opened_disk::{OpenedDisk, read_file};
use crate::startup_repair::StartupRepair;

/// What earlier starts left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct History {
    /// `bootstat.dat` of the Windows folder.
    pub boot_status: Known<BootStatusFacts>,
    /// `BOOTSTAT.DAT` beside the boot manager: its latest records, the oldest first.
    pub boot_log: Known<Vec<BootRecord>>,
    /// The System event log.
    pub events: Known<EventTail>,
    /// Startup Repair's log.
    pub startup_repair: Known<StartupRepairFacts>,
}

/// `bootstat.dat` (windows-facts.md 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootStatusFacts {
    /// `LastBootSucceeded`.
    pub last_boot_succeeded: bool,
    /// `LastBootShutdown`.
    pub last_boot_shut_down: bool,
    /// `BootAttemptCount`.
    pub attempts: u8,
    /// `LastBootId`.
    pub last_boot_id: u32,
}

/// A record of the boot log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootRecord {
    /// What happened.
    pub event: String,
    /// When, where the record says.
    pub time: Option<jiff::Timestamp>,
    /// The file that was started, where the record says.
    pub path: Option<String>,
}

/// What the System event log says about starts and stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EventTail {
    /// Records that were read, of every kind.
    pub records: u64,
    /// Records that are there but could not be read.
    pub unreadable: u64,
    /// It was not closed: the machine was switched off, or stopped.
    pub open: bool,
    /// What is damaged, in words.
    pub damage: Vec<String>,
    /// The latest events about starts and stops, the oldest first.
    pub events: Vec<Event>,
    /// The latest events about services and updates that were installed, the oldest first.
    #[serde(default)]
    pub changes: Vec<Event>,
    /// The latest events about drivers and services that did not start, the oldest first.
    #[serde(default)]
    pub not_started: Vec<Event>,
}

/// `SrtTrail.txt`, in any language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StartupRepairFacts {
    /// The file, from the root of its volume.
    pub path: String,
    /// When it was last changed.
    pub modified: Option<jiff::Timestamp>,
    /// Whether the last session ended with a repair that worked. That Windows starts is not said.
    pub repaired: Known<bool>,
    /// What it says.
    pub log: StartupRepair,
}

/// How many of the latest records of the boot log are shown.
const BOOT_RECORDS: usize = 12;
const MAX_STATUS: u64 = 4 << 20;
/// A larger log of Startup Repair is not read.
const MAX_REPAIR_LOG: u64 = 16 << 20;
/// How many of the latest events are shown.
const EVENTS: usize = 20;
/// A larger event log is not read. Windows' default is 20 MiB.
const MAX_LOG: u64 = 256 << 20;

/// Reads what earlier starts left behind.
pub(crate) fn read(opened: &mut OpenedDisk<'_>, boot: &Known<BootConfiguration>) -> History {
    let boot_status = opened.windows().and_then(|(volume, root)| {
        read_file(volume, &format!(r"{root}\bootstat.dat"), MAX_STATUS)
            .and_then(|bytes| Known::read(BootStatus::parse(bytes).map(Some)))
            .map(|status| BootStatusFacts {
                last_boot_succeeded: status.last_boot_succeeded(),
                last_boot_shut_down: status.last_boot_shutdown(),
                attempts: status.boot_attempt_count(),
                last_boot_id: status.last_boot_id(),
            })
    });
    History {
        boot_status,
        boot_log: boot_log(opened, boot),
        events: events(opened),
        startup_repair: startup_repair(opened),
    }
}

/// The log is beside the store.
fn boot_log(opened: &OpenedDisk<'_>, boot: &Known<BootConfiguration>) -> Known<Vec<BootRecord>> {
    boot.as_ref()
        .and_then(|boot| boot.bcd().map_or(Known::Absent, Known::Known))
        .and_then(|bcd| {
            let folder = bcd.path.rsplit_once('\\').map_or("", |(folder, _)| folder);
            opened.volume(bcd.partition).and_then(|mut volume| {
                read_file(&mut *volume, &format!(r"{folder}\BOOTSTAT.DAT"), MAX_STATUS)
            })
        })
        .and_then(|bytes| Known::read(BootLog::parse(&bytes).map(Some)))
        .map(|log| {
            let records = log.records();
            let latest = records.len().saturating_sub(BOOT_RECORDS);
            records[latest..].iter().map(record).collect()
        })
}

fn record(record: &Record) -> BootRecord {
    let event = match record.event {
        LogEvent::End => "end".to_owned(),
        LogEvent::Initialized => "an application began".to_owned(),
        LogEvent::EntryLaunched => "an entry was started".to_owned(),
        LogEvent::EntryReturned => match record.status() {
            Some(status) => format!("an entry came back with {status:#010x}"),
            None => "an entry came back".to_owned(),
        },
        LogEvent::LaunchOs => "Windows was started".to_owned(),
        LogEvent::LogEntry => "a text".to_owned(),
        LogEvent::Other(number) => format!("event {number}"),
    };
    BootRecord {
        event,
        time: record.time().and_then(|time| time.to_timestamp()),
        path: record.path(),
    }
}

/// Windows since Vista keeps its log in the first place, before in the second.
fn events(opened: &mut OpenedDisk<'_>) -> Known<EventTail> {
    opened.windows().and_then(|(volume, root)| {
        let mut log = Known::Absent;
        for file in [r"System32\winevt\Logs\System.evtx", r"System32\config\SysEvent.Evt"] {
            log = read_file(volume, &format!(r"{root}\{file}"), MAX_LOG);
            if log != Known::Absent {
                break;
            }
        }
        log.and_then(|bytes| Known::read(EventLog::read(&bytes).map(Some))).map(|log| {
            let (changes, events): (Vec<_>, Vec<_>) =
                log.events.into_iter().partition(|one| one.kind.is_change());
            let (not_started, events) =
                events.into_iter().partition(|one| one.kind.is_not_started());
            EventTail {
                records: log.records,
                unreadable: log.unreadable,
                open: log.open,
                damage: log.damage,
                events: latest(events),
                changes: latest(changes),
                not_started: latest(not_started),
            }
        })
    })
}

fn latest(mut events: Vec<Event>) -> Vec<Event> {
    let older = events.len().saturating_sub(EVENTS);
    events.split_off(older)
}

/// On the Windows volume; where that could not be reached, Startup Repair leaves its log on the EFI
/// system partition (windows-facts.md 3.6).
fn startup_repair(opened: &mut OpenedDisk<'_>) -> Known<StartupRepairFacts> {
    let found = opened.windows().and_then(|(volume, root)| {
        repair_log(volume, &format!(r"{root}\System32\LogFiles\Srt\SrtTrail.txt"))
    });
    if found != Known::Absent {
        return found;
    }
    for summary in opened.readable().filter(|own| own.role == VolumeRole::Efi) {
        if let Known::Known(mut volume) = opened.volume(summary.number)
            && let Known::Known(log) = repair_log(&mut *volume, r"Temp\SrtTrail.txt")
        {
            return Known::Known(log);
        }
    }
    Known::Absent
}

fn repair_log(volume: &mut dyn Volume, file: &str) -> Known<StartupRepairFacts> {
    let modified = volume.metadata(file).ok().and_then(|metadata| metadata.modified.to_timestamp());
    read_file(volume, file, MAX_REPAIR_LOG)
        .and_then(|bytes| Known::read(StartupRepair::read(&bytes).map(Some)))
        .map(|log| StartupRepairFacts {
            path: file.to_owned(),
            modified,
            repaired: log.repaired().map_or(Known::Absent, Known::Known),
            log,
        })
}

//! The events that matter, told by provider and number.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Data of one event are kept up to this number …
const MAX_DATA: usize = 32;
/// … and each up to this many characters.
const MAX_TEXT: usize = 512;

const KERNEL_POWER: &str = "Microsoft-Windows-Kernel-Power";
const KERNEL_BOOT: &str = "Microsoft-Windows-Kernel-Boot";
const ERROR_REPORTING: &str = "Microsoft-Windows-WER-SystemErrorReporting";
const SERVICES: &str = "Service Control Manager";
const UPDATE: &str = "Microsoft-Windows-WindowsUpdateClient";

/// An event that says how the machine started or ended, what did not start on it, or what was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// The record's number in the log.
    pub record: u64,
    /// When it was written (UTC); absent where the time cannot be.
    pub time: Option<Timestamp>,
    /// Who wrote it.
    pub provider: String,
    /// Its number.
    pub id: u32,
    /// What it says.
    pub kind: EventKind,
    /// All its data, as they stand; long ones are cut.
    pub data: Vec<Datum>,
}

/// One datum of an event. Events before Vista have no names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datum {
    /// Its name.
    pub name: Option<String>,
    /// Its value; numbers decimal or with `0x`, bytes as hexadecimal digits.
    pub value: String,
}

/// What an event says. A field that the record does not have, or not as a number, is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum EventKind {
    /// Kernel-Power 41: the machine started without a clean shutdown before.
    UnexpectedRestart {
        /// The stop code; 0 means that there was none: power lost, reset, or hung.
        bugcheck_code: Option<u32>,
        /// Its four parameters.
        parameters: Vec<u64>,
        /// When the power button was held down, as a FILETIME; 0 means that it was not.
        power_button_timestamp: Option<u64>,
    },
    /// BugCheck 1001 (WER-SystemErrorReporting; "Save Dump" before Vista): the last stop, told after
    /// the restart.
    BugcheckReported {
        /// The stop code.
        bugcheck_code: Option<u32>,
        /// Its four parameters.
        parameters: Vec<u64>,
        /// Where the dump was put.
        dump: Option<String>,
    },
    /// EventLog 6008: the shutdown before was not a clean one.
    DirtyShutdown {
        /// When the machine was last known to run, local time, from the event's binary data.
        last_alive_local: Option<DateTime>,
        /// The same in UTC.
        last_alive: Option<Timestamp>,
    },
    /// EventLog 6005: the event log began, so Windows started.
    LogStarted,
    /// EventLog 6006: the event log ended, so Windows was shut down cleanly.
    LogStopped,
    /// Kernel-Boot 18: how many entries the boot manager had.
    BootEntries {
        /// How many.
        count: Option<u64>,
    },
    /// Kernel-Boot 20: how the boot manager saw the last start and shutdown.
    LastBoot {
        /// The last shutdown was a clean one.
        shutdown_good: Option<bool>,
        /// The last start was a good one.
        boot_good: Option<bool>,
    },
    /// Kernel-Boot 27: how this start came about.
    BootType {
        /// 0 from power-on, 1 fast startup, 2 resumed from hibernation.
        number: Option<u64>,
    },
    /// Service Control Manager 7000: a driver or service did not start.
    StartFailed {
        /// Its key below `Services`, from the event's binary data; absent where that does not have it.
        service: Option<String>,
        /// What people are shown as its name, which may be in the language of the machine.
        display_name: String,
        /// The Win32 error.
        error: Option<u32>,
    },
    /// Service Control Manager 7026: drivers that start with the loader or the kernel were not loaded.
    DriversNotLoaded {
        /// Their keys below `Services`.
        names: Vec<String>,
    },
    /// Service Control Manager 7045: a service or driver was installed.
    ServiceInstalled {
        /// Its name.
        name: String,
        /// Its file, as the event has it.
        file: Option<String>,
    },
    /// WindowsUpdateClient 19: an update was installed.
    UpdateInstalled {
        /// What Windows Update calls it.
        title: String,
    },
}

impl EventKind {
    /// Whether it tells of something that was installed, rather than of a start or an end.
    pub fn is_change(&self) -> bool {
        matches!(self, Self::ServiceInstalled { .. } | Self::UpdateInstalled { .. })
    }

    /// Whether it tells of a driver or service that is not running, rather than of a start or an end.
    pub fn is_not_started(&self) -> bool {
        matches!(self, Self::StartFailed { .. } | Self::DriversNotLoaded { .. })
    }
}

/// Whether a record of this provider and number is wanted, so that the others need no decoding.
pub(super) fn matters(provider: &str, id: u32) -> bool {
    match provider {
        KERNEL_POWER => id == 41,
        KERNEL_BOOT => [18, 20, 27].contains(&id),
        ERROR_REPORTING | "BugCheck" | "Save Dump" => id == 1001,
        SERVICES => [7000, 7026, 7045].contains(&id),
        UPDATE => id == 19,
        _ if provider.eq_ignore_ascii_case("EventLog") => [6005, 6006, 6008].contains(&id),
        _ => false,
    }
}

impl Event {
    /// The event of a record; `None` where it is none that matters.
    pub(super) fn new(
        record: u64,
        time: Option<Timestamp>,
        provider: String,
        id: u32,
        mut data: Vec<Datum>,
        binary: &[u8],
    ) -> Option<Self> {
        if !matters(&provider, id) {
            return None;
        }
        data.truncate(MAX_DATA);
        for datum in &mut data {
            if let Some((end, _)) = datum.value.char_indices().nth(MAX_TEXT) {
                datum.value.truncate(end);
            }
        }
        let kind = kind(&provider, id, &data, binary)?;
        Some(Self { record, time, provider, id, kind, data })
    }
}

fn kind(provider: &str, id: u32, data: &[Datum], binary: &[u8]) -> Option<EventKind> {
    let named = |name: &str| {
        let found = data.iter().find(|datum| datum.name.as_deref() == Some(name))?;
        number(&found.value)
    };
    let code = |value: Option<u64>| value.and_then(|value| u32::try_from(value).ok());
    let text = |name: &str| {
        let found = data.iter().find(|datum| datum.name.as_deref() == Some(name))?;
        Some(found.value.clone())
    };
    Some(match (provider, id) {
        (KERNEL_POWER, _) => EventKind::UnexpectedRestart {
            bugcheck_code: code(named("BugcheckCode")),
            parameters: (1..=4).filter_map(|n| named(&format!("BugcheckParameter{n}"))).collect(),
            power_button_timestamp: named("PowerButtonTimestamp"),
        },
        (KERNEL_BOOT, 18) => {
            EventKind::BootEntries { count: data.first().and_then(|datum| number(&datum.value)) }
        }
        (KERNEL_BOOT, 20) => EventKind::LastBoot {
            shutdown_good: boolean(data, "LastShutdownGood"),
            boot_good: boolean(data, "LastBootGood"),
        },
        (KERNEL_BOOT, 27) => EventKind::BootType { number: named("BootType") },
        (SERVICES, 7000) => EventKind::StartFailed {
            service: key_name(binary),
            display_name: data.first()?.value.clone(),
            // `%%` and the number of a system message, in every language.
            error: code(data.get(1).and_then(|one| number(one.value.trim().strip_prefix("%%")?))),
        },
        (SERVICES, 7026) => EventKind::DriversNotLoaded { names: names(&data.first()?.value) },
        (SERVICES, _) => {
            EventKind::ServiceInstalled { name: text("ServiceName")?, file: text("ImagePath") }
        }
        (UPDATE, _) => EventKind::UpdateInstalled { title: text("updateTitle")? },
        (_, 1001) => {
            let (code_text, parameters) = stop(&data.first()?.value);
            EventKind::BugcheckReported {
                bugcheck_code: code(code_text),
                parameters,
                // The path ends in the name of a dump, in every language.
                dump: data.iter().map(|datum| &datum.value).find(|value| is_dump(value)).cloned(),
            }
        }
        (_, 6005) => EventKind::LogStarted,
        (_, 6006) => EventKind::LogStopped,
        (_, 6008) => {
            let utc = system_time(binary.get(16..).unwrap_or_default());
            EventKind::DirtyShutdown {
                last_alive_local: system_time(binary),
                last_alive: utc
                    .and_then(|utc| utc.to_zoned(TimeZone::UTC).ok())
                    .map(|z| z.timestamp()),
            }
        }
        _ => return None,
    })
}

/// The names of an event, one a line. Where the text was cut, its last name may be another's.
fn names(text: &str) -> Vec<String> {
    let cut = text.chars().count() >= MAX_TEXT;
    let mut names: Vec<String> = text
        .split(['\r', '\n'])
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if cut {
        names.pop();
    }
    names
}

/// The name of a service's key, as the Service Control Manager puts it into an event's binary data: UTF-16 with an end.
fn key_name(binary: &[u8]) -> Option<String> {
    let units = binary.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let units: Vec<u16> = units.take_while(|&unit| unit != 0).take(MAX_TEXT).collect();
    String::from_utf16(&units).ok().filter(|name| !name.trim().is_empty())
}

/// `0x0000007e (0xffffffffc0000005, 0x…, 0x…, 0x…)`: the code and the parameters.
fn stop(text: &str) -> (Option<u64>, Vec<u64>) {
    let mut numbers = text
        .split(|own: char| !own.is_ascii_alphanumeric())
        .filter(|part| part.starts_with("0x") || part.starts_with("0X"))
        .map(number);
    let code = numbers.next().flatten();
    (code, numbers.flatten().take(4).collect())
}

fn is_dump(text: &str) -> bool {
    let ending = text.len().checked_sub(4).and_then(|at| text.get(at..));
    ending.is_some_and(|ending| ending.eq_ignore_ascii_case(".dmp"))
}

/// A number as data hold it.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn boolean(data: &[Datum], name: &str) -> Option<bool> {
    let found = data.iter().find(|datum| datum.name.as_deref() == Some(name))?;
    match found.value.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        other => number(other).map(|number| number != 0),
    }
}

/// A SYSTEMTIME: year, month, day of week, day, hour, minute, second, millisecond.
pub(super) fn system_time(bytes: &[u8]) -> Option<DateTime> {
    let field = |index: usize| -> Option<i16> {
        bytes.get(2 * index..2 * index + 2)?.try_into().ok().map(i16::from_le_bytes)
    };
    let small = |index| field(index).and_then(|value| i8::try_from(value).ok());
    let nanoseconds = i32::from(field(7)?).checked_mul(1_000_000)?;
    DateTime::new(field(0)?, small(1)?, small(3)?, small(4)?, small(5)?, small(6)?, nanoseconds)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_read_from_the_text_that_every_language_has() {
        let text = "0x000000d1 (0x0000000000000028, 0x0000000000000002, 0x0, 0xfffff80001234567)";
        let (code, parameters) = stop(text);
        assert_eq!(code, Some(0xd1));
        assert_eq!(parameters, [0x28, 2, 0, 0xffff_f800_0123_4567]);
        assert_eq!(stop("0x1000000a (0x00000016, 0x00000002, 0x00000000, 0x804d9b27)").1.len(), 4);
        assert_eq!(stop("no numbers (x)"), (None, vec![]));
        assert_eq!(stop("0xzz (0x1)"), (None, vec![1]));
        assert!(is_dump(r"C:\Windows\MEMORY.DMP") && !is_dump("dmp") && !is_dump("äöü€"));
    }

    #[test]
    fn a_report_of_a_stop() {
        let data =
            ["0x0000007e (0xffffffffc0000005, 0x2, 0x3, 0x4)", r"C:\Windows\MEMORY.DMP", "id"];
        let data = data.map(|value| Datum { name: None, value: value.to_owned() }).to_vec();
        let event =
            Event::new(7, None, ERROR_REPORTING.to_owned(), 1001, data.clone(), &[]).unwrap();
        let EventKind::BugcheckReported { bugcheck_code, parameters, dump } = event.kind else {
            panic!("{event:?}")
        };
        assert_eq!(bugcheck_code, Some(0x7e));
        assert_eq!(parameters, [0xffff_ffff_c000_0005, 2, 3, 4]);
        assert_eq!(dump.as_deref(), Some(r"C:\Windows\MEMORY.DMP"));
        assert_eq!(Event::new(7, None, "Application".to_owned(), 1001, data, &[]), None);
    }

    #[test]
    fn a_driver_that_did_not_start() {
        let datum =
            |value: &str| Datum { name: Some("param1".to_owned()), value: value.to_owned() };
        let event = |id, data: Vec<Datum>, binary: &[u8]| {
            Event::new(1, None, SERVICES.to_owned(), id, data, binary).map(|event| event.kind)
        };
        let key: Vec<u8> = "luafv\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let shown = "Virtualisation des fichiers UAC".to_owned();
        let failed = |service: Option<&str>, error| EventKind::StartFailed {
            service: service.map(str::to_owned),
            display_name: shown.clone(),
            error,
        };
        let data = vec![datum(&shown), datum("%%1275")];
        assert_eq!(event(7000, data.clone(), &key), Some(failed(Some("luafv"), Some(1275))));
        // What is no name, and what is no number.
        assert_eq!(event(7000, data, &[0, 0]), Some(failed(None, Some(1275))));
        let data = vec![datum(&shown), datum("%%99999999999")];
        assert_eq!(event(7000, data, &[0x00, 0xD8]), Some(failed(None, None)));
        assert_eq!(event(7000, Vec::new(), &key), None);
        let names = |text: &str| match event(7026, vec![datum(text)], &[]) {
            Some(EventKind::DriversNotLoaded { names }) => names,
            other => panic!("{other:?}"),
        };
        assert_eq!(names("\r\nCSC\r\ndam"), ["CSC", "dam"]);
        assert_eq!(names(" \r\n"), [""; 0]);
        // Cut in the middle of a name.
        let long = format!("{}\r\ncsagent", "x".repeat(MAX_TEXT - 5));
        assert_eq!(names(&long).len(), 1);
    }

    #[test]
    fn impossible_times_are_none() {
        assert_eq!(system_time(&[0; 16]), None);
        assert_eq!(system_time(&[0xff; 16]), None);
        assert_eq!(system_time(&[1, 2]), None);
        let far = [2012i16, 6, 0, 18, 6, 13, 20, i16::MAX].map(i16::to_le_bytes).concat();
        assert_eq!(system_time(&far), None);
    }
}

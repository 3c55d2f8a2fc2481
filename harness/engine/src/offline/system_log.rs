//! The System log of the Windows volume, as far as it is of this run: what is newer, by the number of its record, than
//! what was in it before anything went wrong. Clocks say nothing here: a scenario may have set them.

use inspect::event_log::{EventKind, EventLog};
use timeline::{BugCheck, LogEntry};
use volume::Volume;

/// Since Vista, and before; below the system's folder (windows-facts 3.6).
const FILES: [&str; 2] =
    [r"Windows\System32\winevt\Logs\System.evtx", r"Windows\System32\config\SysEvent.Evt"];
/// A larger log is not read. Windows' default is 20 MiB.
const LIMIT: u64 = 64 << 20;

/// The number of the newest record; 0 where there is no log, `None` where it cannot be read.
pub(crate) fn newest_record(windows: &mut dyn Volume) -> Option<u64> {
    match read(windows) {
        Ok(Some((_, log))) => Some(log.newest.map_or(0, |newest| newest.record)),
        Ok(None) => Some(0),
        Err(reason) => {
            tracing::warn!(reason, "the System log before the run; nothing of it will count");
            None
        }
    }
}

/// Where the log is, and its entries since that record with their numbers, the oldest first. A log that cannot be read
/// tells nothing.
pub(crate) fn entries_since(
    windows: &mut dyn Volume,
    record: u64,
) -> Option<(&'static str, Vec<(u64, LogEntry)>)> {
    let (path, log) = match read(windows) {
        Ok(found) => found?,
        Err(reason) => {
            tracing::warn!(reason, "the System log after the run");
            return None;
        }
    };
    for what in &log.damage {
        tracing::debug!(what, "the System log is damaged");
    }
    let entries = log.events.into_iter().filter(|event| event.record > record);
    let entries = entries.filter_map(|event| Some((event.record, entry(event.kind)?)));
    Some((path, entries.collect()))
}

fn read(windows: &mut dyn Volume) -> Result<Option<(&'static str, EventLog)>, String> {
    for path in FILES {
        let told = |error: &dyn std::fmt::Display| format!("{path}: {error}");
        if !windows.exists(path).map_err(|error| told(&error))? {
            continue;
        }
        let size = windows.metadata(path).map_err(|error| told(&error))?.size;
        if size > LIMIT {
            return Err(told(&format!("{size} bytes are more than the {LIMIT} that are read")));
        }
        let bytes = windows.read(path).map_err(|error| told(&error))?;
        let log = EventLog::read(&bytes).map_err(|error| told(&error))?;
        return Ok(Some((path, log)));
    }
    Ok(None)
}

/// What an event of the log means for a run; `None` where that is nothing.
fn entry(kind: EventKind) -> Option<LogEntry> {
    Some(match kind {
        EventKind::LogStarted => LogEntry::Started,
        EventKind::StartFailed { service, display_name, error } => {
            LogEntry::StartFailed { name: service.unwrap_or(display_name), error }
        }
        EventKind::DriversNotLoaded { names } => LogEntry::NotLoaded { names },
        EventKind::UnexpectedRestart { bugcheck_code, parameters, .. } => {
            let stop = bugcheck_code.filter(|code| *code != 0);
            LogEntry::UnexpectedRestart { bug_check: bug_check(stop, &parameters) }
        }
        EventKind::BugcheckReported { bugcheck_code, parameters, dump } => {
            LogEntry::BugCheckReported { bug_check: bug_check(bugcheck_code, &parameters), dump }
        }
        EventKind::DirtyShutdown { .. } => LogEntry::DirtyShutdown,
        _ => return None,
    })
}

fn bug_check(code: Option<u32>, parameters: &[u64]) -> Option<BugCheck> {
    let parameters = parameters.try_into().ok()?;
    Some(BugCheck { code: code?.into(), parameters })
}

#[cfg(test)]
mod tests {
    use volume::{FileTime, MemoryDevice, Ntfs, NtfsFormat};

    use super::*;

    fn volume_with(path: &str, bytes: &[u8]) -> Ntfs {
        let time = FileTime::from_unix_seconds(1_721_362_140);
        let format = NtfsFormat { label: String::new(), serial: 5, time };
        let mut volume = Ntfs::format(MemoryDevice::new(vec![0; 16 << 20]), &format).unwrap();
        volume.create_dir_all(path.rsplit_once('\\').unwrap().0).unwrap();
        volume.write(path, bytes).unwrap();
        volume
    }

    #[test]
    fn a_log_that_cannot_be_read_tells_nothing() {
        let mut empty = volume_with(r"Windows\x", b"");
        assert_eq!((newest_record(&mut empty), entries_since(&mut empty, 0)), (Some(0), None));
        let mut odd = volume_with(FILES[0], b"no log");
        assert_eq!((newest_record(&mut odd), entries_since(&mut odd, 0)), (None, None));
    }

    /// The log of a real Windows 10, and what it was like some starts before.
    #[test]
    fn only_what_is_newer_than_before_counts() {
        let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/artifacts");
        let folder = std::env::var("LOOPBREAK_ARTIFACTS").unwrap_or_else(|_| beside.to_owned());
        let file = format!("{folder}/evtx/system-win10.evtx");
        let Ok(bytes) = std::fs::read(&file) else {
            println!("skipped: {file} is not there; set LOOPBREAK_ARTIFACTS");
            return;
        };
        // Its first chunk alone.
        let newest = newest_record(&mut volume_with(FILES[0], &bytes[..4096 + 65_536])).unwrap();
        let mut volume = volume_with(FILES[0], &bytes);
        let (path, entries) = entries_since(&mut volume, newest).unwrap();
        assert_eq!(path, FILES[0]);
        assert!(entries.iter().all(|(record, _)| *record > newest), "{newest}");
        let failed = LogEntry::StartFailed { name: "CldFlt".to_owned(), error: Some(50) };
        let not_loaded = LogEntry::NotLoaded { names: vec!["dam".to_owned()] };
        let of = |wanted: &LogEntry| {
            let of = entries.iter().filter(|(_, entry)| entry == wanted);
            of.map(|(record, _)| *record).collect::<Vec<_>>()
        };
        let after = |records: [u64; 3]| -> Vec<u64> {
            records.into_iter().filter(|record| *record > newest).collect()
        };
        assert!((44..343).contains(&newest), "{newest}");
        assert_eq!(of(&failed), after([35, 211, 343]));
        assert_eq!(of(&not_loaded), after([44, 214, 348]));
        assert!(!of(&LogEntry::Started).is_empty());
        let all = entries_since(&mut volume, 0).unwrap().1;
        assert!(all.len() > entries.len());
        assert_eq!(entries_since(&mut volume, 1881).unwrap().1, []);
    }
}

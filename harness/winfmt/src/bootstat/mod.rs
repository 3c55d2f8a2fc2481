//! The boot status file and the boot log.
//!
//! `C:\Windows\bootstat.dat` holds the status (`RTL_BSD_DATA`: did the last start succeed, how many
//! were tried) and behind it a log. On the EFI partition, `\EFI\Microsoft\Boot\BOOTSTAT.DAT` is a log
//! alone. Layout: windows-facts.md 3.2; the log also after files that Windows wrote.
//!
//! The understudy writes both. The harness only reads: the algorithm of the status' checksum is not
//! public, so a file of a real Windows must not be edited (windows-facts.md 3.2).

mod log;
mod record;
mod status;

pub use log::{BootLog, LOG_SIZE};
pub use record::{APPLICATION_BOOT_MANAGER, APPLICATION_OS_LOADER, LogEvent, Record};
pub use status::{BootStatus, FILE_SIZE};

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::log::LOG_HEADER;
    use super::status::STATUS_SIZE;
    use super::*;
    use crate::FileTime;
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

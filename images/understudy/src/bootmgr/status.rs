//! The boot status on the disk: `C:\Windows\bootstat.dat` for the counters, the log on the EFI
//! partition for whoever looks later.

use std::sync::{Arc, Mutex, PoisonError};

use volume::Volume;
use winfmt::bootstat::{
    APPLICATION_BOOT_MANAGER, APPLICATION_OS_LOADER, BootLog, BootStatus, Record,
};
use winfmt::{FileTime, Guid, bcd::known};

use super::attempts::BootRecord;
use crate::storage::Drive;

/// The status file.
const STATUS: &str = "\\Windows\\bootstat.dat";
/// The log file on the EFI partition.
const LOG: &str = "\\EFI\\Microsoft\\Boot\\BOOTSTAT.DAT";

/// The status of a running Windows: changed in place as the start gets on.
#[derive(Debug, Clone)]
pub struct StatusFile {
    drive: Arc<Drive>,
    record: Arc<Mutex<BootRecord>>,
}

/// Reads the record. `None` if it cannot be read: then nothing is counted (windows-facts.md 3.1).
pub(super) fn load(drive: &Drive) -> Option<BootRecord> {
    let status = BootStatus::parse(drive.read(STATUS).ok()?).ok()?;
    Some(BootRecord {
        last_boot_id: status.last_boot_id(),
        succeeded: status.last_boot_succeeded(),
        shutdown: status.last_boot_shutdown(),
        checkpoint: status.last_boot_checkpoint(),
        attempts: status.boot_attempt_count(),
        shutdown_boot_id: status.last_successful_shutdown_boot_id(),
        abnormal_boot_id: status.last_reported_abnormal_shutdown_boot_id(),
    })
}

/// Writes the record into the file that is there; a missing or broken file stays so.
pub(super) fn save(drive: &Drive, record: BootRecord) {
    let Some(mut status) = drive.read(STATUS).ok().and_then(|bytes| BootStatus::parse(bytes).ok())
    else {
        return;
    };
    status.set_last_boot_id(record.last_boot_id);
    status.set_last_boot_succeeded(record.succeeded);
    status.set_last_boot_shutdown(record.shutdown);
    status.set_last_boot_checkpoint(record.checkpoint);
    status.set_boot_attempt_count(record.attempts);
    status.set_last_successful_shutdown_boot_id(record.shutdown_boot_id);
    status.set_last_reported_abnormal_shutdown_boot_id(record.abnormal_boot_id);
    let mut volume = drive.volume();
    if let Err(error) = volume.write(STATUS, &status.to_bytes()).and_then(|()| volume.flush()) {
        crate::say!("[bootmgr] the boot status cannot be written: {error}");
    }
}

impl StatusFile {
    /// The status of the start that has just begun.
    pub fn new(drive: Arc<Drive>, record: BootRecord) -> Self {
        Self { drive, record: Arc::new(Mutex::new(record)) }
    }

    /// Changes the record and writes it.
    pub fn change(&self, change: impl FnOnce(&BootRecord) -> BootRecord) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        *record = change(&record);
        save(&self.drive, *record);
    }
}

/// Adds to the log on the EFI partition: the boot manager began, and started an entry.
pub(super) fn log_start(esp: &mut dyn Volume, entry: Guid, path: &str, boot_id: u32) {
    let now = FileTime::now();
    let mut log =
        esp.read(LOG).ok().and_then(|bytes| BootLog::parse(&bytes).ok()).unwrap_or_default();
    let records = [
        Record::initialized(known::BOOT_MANAGER, APPLICATION_BOOT_MANAGER, now, boot_id),
        Record::entry_launched(known::BOOT_MANAGER, entry, path),
        Record::initialized(entry, APPLICATION_OS_LOADER, now, boot_id),
        Record::launch_os(entry),
    ];
    for record in records {
        if log.append(record).is_err() {
            return;
        }
    }
    // The log is for people; a start does not fail for it.
    let _ = esp.write(LOG, &log.to_bytes()).and_then(|()| esp.flush());
}

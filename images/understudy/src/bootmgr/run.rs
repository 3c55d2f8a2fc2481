//! The boot manager at work: disk in, next stage out.

use std::sync::Arc;

use volume::{Fat, Volume, VolumeError};
use winfmt::bcd::{BcdError, BcdStore};
use winfmt::wim::WimHeader;

use super::attempts::BootRecord;
use super::decide::{Decision, Entry, Reason, decide};
use super::error::{BootError, Status};
use super::{status, store};
use crate::encryption::{self, Lock};
use crate::kernel::pe;
use crate::say;
use crate::storage::{Disk, Drive};

/// The store on the EFI partition.
pub const STORE: &str = "\\EFI\\Microsoft\\Boot\\BCD";

/// What the boot manager hands on.
pub enum Next {
    /// The Windows volume is encrypted, and the TPM does not give its key out.
    RecoveryKey {
        /// Names the key.
        key_id: String,
    },
    /// Windows.
    Windows {
        /// The loader's entry.
        entry: Entry,
        /// The Windows volume.
        drive: Arc<Drive>,
        /// The boot status as it was written for this start.
        record: BootRecord,
    },
    /// The recovery environment.
    Recovery {
        /// Its volume.
        recovery: Box<dyn Volume>,
        /// The EFI partition.
        esp: Box<dyn Volume>,
        /// The Windows volume, where it can be opened.
        drive: Option<Arc<Drive>>,
        /// Whether that may be used.
        lock: Lock,
        /// Why.
        reason: Reason,
    },
}

/// Decides and prepares what is started next.
pub fn run(disk: &Disk) -> Result<Next, BootError> {
    let mut esp = disk.esp().map_err(|error| {
        say!("[bootmgr] {error}");
        BootError::new(Status::NO_DEVICE, "EFI system partition")
    })?;
    let mut bcd = open_store(&mut esp)?;
    let broken = |error: BcdError| {
        say!("[bootmgr] {error}");
        BootError::new(Status::REGISTRY_CORRUPT, STORE)
    };
    let configuration = store::read(&bcd).map_err(broken)?;
    let windows_partition = configuration
        .default
        .and_then(|id| configuration.entries.get(&id))
        .and_then(|entry| entry.partition);
    let drive = match disk.windows(windows_partition) {
        Ok(volume) => Some(Arc::new(Drive::new(Box::new(volume)))),
        Err(error) => {
            say!("[bootmgr] {error}");
            None
        }
    };
    let lock = drive.as_deref().map_or(Lock::None, encryption::unlock);
    let key_for_windows = lock.key_for_windows().map(str::to_owned);
    // It lies on that volume.
    let record = drive.as_deref().filter(|_| key_for_windows.is_none()).and_then(status::load);
    let decided = decide(&configuration, record);
    if record.is_none() {
        say!("[bootmgr] boot status cannot be read; starts are not counted");
    } else {
        let verdict = decided.verdict;
        say!("[bootmgr] last start: {:?}, failures in a row: {}", verdict.last, verdict.failures);
    }
    if decided.consumed_boot_sequence {
        let taken = bcd.take_boot_sequence().and_then(|_| bcd.to_bytes()).map_err(broken)?;
        write(&mut esp, STORE, &taken);
    }
    let remember = |drive: &Drive| {
        if record.is_some() {
            status::save(drive, decided.record);
        }
    };
    match decided.decision {
        Decision::Stop(error) => Err(error),
        Decision::Windows { id, entry } => {
            if let Some(key_id) = key_for_windows {
                return Ok(Next::RecoveryKey { key_id });
            }
            let drive = drive
                .filter(|_| !entry.without_device)
                .ok_or_else(|| BootError::new(Status::NO_DEVICE, entry.path.clone()))?;
            // Before anything can fail: a start that ends on an error screen is a failed start.
            remember(&drive);
            check_loader(&drive, &entry.path)?;
            say!(
                "[bootmgr] starting {} (start {})",
                entry.description,
                decided.record.last_boot_id
            );
            status::log_start(&mut esp, id, &entry.path, decided.record.last_boot_id);
            Ok(Next::Windows { entry, drive, record: decided.record })
        }
        Decision::Recovery { id, entry, reason } => {
            let (partition, image) = entry.ramdisk.clone().unwrap_or_default();
            let recovery = open_recovery(disk, partition, &image)?;
            if let Some(drive) = &drive {
                remember(drive);
            }
            match reason {
                Reason::FailOver { failures } => {
                    say!("[bootmgr] {failures} failures in a row: starting {}", entry.description);
                }
                Reason::Asked => say!("[bootmgr] starting {}, once", entry.description),
            }
            status::log_start(&mut esp, id, &image, decided.record.last_boot_id);
            Ok(Next::Recovery { recovery, esp: Box::new(esp), drive, lock, reason })
        }
    }
}

/// The loader's program: there, and a program of the boot environment for this machine.
fn check_loader(drive: &Drive, path: &str) -> Result<(), BootError> {
    let image = drive.read(path).map_err(|error| {
        say!("[bootmgr] {error}");
        BootError::unreadable(&error, Status::NO_FILE, path)
    })?;
    pe::Image::parse(&image).map(|_| ()).map_err(|error| {
        say!("[bootmgr] {path}: {error}");
        BootError::new(Status::INVALID_IMAGE, path)
    })
}

fn open_store(esp: &mut Fat) -> Result<BcdStore, BootError> {
    let bytes = esp.read(STORE).map_err(|error| {
        say!("[bootmgr] {error}");
        BootError::unreadable(&error, Status::NO_FILE, STORE)
    })?;
    BcdStore::open(bytes).map_err(|error| {
        say!("[bootmgr] {error}");
        BootError::new(Status::REGISTRY_CORRUPT, STORE)
    })
}

/// The recovery volume, if the image on it is one.
fn open_recovery(
    disk: &Disk,
    partition: Option<winfmt::Guid>,
    image: &str,
) -> Result<Box<dyn Volume>, BootError> {
    let mut recovery = disk.recovery(partition).map_err(|error| {
        say!("[bootmgr] {error}");
        BootError::new(Status::NO_DEVICE, image)
    })?;
    let mut header = [0; WimHeader::SIZE];
    let read = recovery.read_at(image, 0, &mut header);
    let usable = |result: Result<usize, VolumeError>| match result {
        Ok(length) => WimHeader::parse(&header[..length]).map(|_| ()).map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = usable(read) {
        say!("[bootmgr] {image}: {error}");
        return Err(BootError::new(Status::NO_FILE, image));
    }
    Ok(Box::new(recovery))
}

fn write(esp: &mut Fat, path: &str, bytes: &[u8]) {
    if let Err(error) = esp.write(path, bytes).and_then(|()| esp.flush()) {
        say!("[bootmgr] {error}");
    }
}

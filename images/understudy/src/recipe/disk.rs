//! The disk of the image: partitions, file systems, files.

use std::fs::File;
use std::path::{Path, PathBuf};

use volume::{
    ATTRIBUTE_NO_DRIVE_LETTER, ATTRIBUTE_REQUIRED, BASIC_DATA, EFI_SYSTEM, Fat, FatFormat, FatKind,
    FileDevice, FileTime, MICROSOFT_RESERVED, Ntfs, NtfsFormat, Partition, PartitionTable,
    SharedDevice, SubDevice, TableError, Volume, VolumeError, WINDOWS_RECOVERY, create_partitions,
};
use winfmt::bcd::{BcdError, ElementId, ElementValue, StandardStore};
use winfmt::bootstat::{BootLog, BootStatus};
use winfmt::hive::HiveError;
use winfmt::reagent::{Location, ReAgent};
use winfmt::recovery_settings::{AutoRemediation, RecoverySettings};

use super::pe::{Kind, minimal};
use super::{hives, identity};
use crate::session::processes;
use crate::signatures::catalog;

const MIB: u64 = 1 << 20;
const ESP_SIZE: u64 = 64 * MIB;
const RESERVED_SIZE: u64 = 16 * MIB;
const WINDOWS_SIZE: u64 = 192 * MIB;
const RECOVERY_SIZE: u64 = 64 * MIB;
/// One MiB in front for the table, one behind for its backup.
const DISK_SIZE: u64 = 2 * MIB + ESP_SIZE + RESERVED_SIZE + WINDOWS_SIZE + RECOVERY_SIZE;

/// Why the disk could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The raw file.
    #[error("disk file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Partitions.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A file system.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A hive.
    #[error(transparent)]
    Hive(#[from] HiveError),
    /// The BCD store.
    #[error(transparent)]
    Bcd(#[from] BcdError),
}

/// Writes the raw disk with `boot_manager` as its boot manager.
pub(super) fn write(path: &Path, boot_manager: &[u8]) -> Result<(), DiskError> {
    let failed = |source| DiskError::File { path: path.to_owned(), source };
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(failed)?;
    file.set_len(DISK_SIZE).map_err(failed)?;
    let mut device = SharedDevice::new(FileDevice::new(file).map_err(failed)?);
    let table = table();
    create_partitions(&mut device, &table)?;
    let part = |index: usize| {
        let partition: &Partition = &table.partitions[index];
        SubDevice::new(device.clone(), partition.start, partition.len).map_err(failed)
    };
    let clock = FileTime::from_unix_seconds(identity::TIME_UNIX);
    let mut esp = Fat::format(
        part(0)?,
        &FatFormat { kind: FatKind::Fat32, id: 0x4C42_0001, label: "SYSTEM".to_owned() },
    )?;
    esp.set_clock(clock);
    fill_esp(&mut esp, boot_manager)?;
    esp.flush()?;
    let ntfs = |index, label: &str, serial| -> Result<Ntfs, DiskError> {
        let format = NtfsFormat { label: label.to_owned(), serial, time: clock };
        let mut volume = Ntfs::format(part(index)?, &format)?;
        volume.set_clock(clock);
        Ok(volume)
    };
    let mut windows = ntfs(2, "Windows", 0x6C6F_6F70_0000_0001)?;
    fill_windows(&mut windows)?;
    windows.flush()?;
    let mut recovery = ntfs(3, "Recovery", 0x6C6F_6F70_0000_0002)?;
    fill_recovery(&mut recovery)?;
    recovery.flush()?;
    Ok(())
}

fn table() -> PartitionTable {
    let mut start = MIB;
    let mut partition = |kind, id: winfmt::Guid, len, attributes, name: &str| {
        let partition = Partition { attributes, ..Partition::gpt(kind, id, start, len, name) };
        start += len;
        partition
    };
    let hidden = ATTRIBUTE_REQUIRED | ATTRIBUTE_NO_DRIVE_LETTER;
    let partitions = vec![
        partition(EFI_SYSTEM, identity::ESP, ESP_SIZE, 0, "EFI system partition"),
        partition(
            MICROSOFT_RESERVED,
            identity::RESERVED,
            RESERVED_SIZE,
            0,
            "Microsoft reserved partition",
        ),
        partition(BASIC_DATA, identity::WINDOWS, WINDOWS_SIZE, 0, "Basic data partition"),
        partition(WINDOWS_RECOVERY, identity::RECOVERY, RECOVERY_SIZE, hidden, "Recovery"),
    ];
    PartitionTable::gpt(identity::DISK, partitions)
}

fn fill_esp(esp: &mut Fat, boot_manager: &[u8]) -> Result<(), DiskError> {
    let boot = "\\EFI\\Microsoft\\Boot";
    esp.create_dir_all(boot)?;
    esp.create_dir_all("\\EFI\\BOOT")?;
    esp.write(&format!("{boot}\\bootmgfw.efi"), boot_manager)?;
    esp.write("\\EFI\\BOOT\\BOOTX64.EFI", boot_manager)?;
    let store = StandardStore {
        disk: identity::DISK,
        system_partition: identity::ESP,
        windows_partition: identity::WINDOWS,
        recovery_partition: identity::RECOVERY,
        loader: identity::LOADER,
        recovery_loader: identity::RECOVERY_LOADER,
        recovery_options: identity::RECOVERY_OPTIONS,
        description: "loopbreak understudy".to_owned(),
        locale: "en-US".to_owned(),
        timeout: 30,
    };
    let mut store = store.build(identity::time())?;
    // The drivers that are made for scenarios are seldom signed, and then by a test authority.
    let unchecked = ElementValue::Boolean(true);
    store.set(identity::LOADER, ElementId::NO_INTEGRITY_CHECKS, &unchecked)?;
    esp.write(&format!("{boot}\\BCD"), &store.to_bytes()?)?;
    esp.write(&format!("{boot}\\BOOTSTAT.DAT"), &BootLog::new().to_bytes())?;
    Ok(())
}

fn fill_windows(windows: &mut Ntfs) -> Result<(), DiskError> {
    for folder in [
        "\\Windows\\System32\\config",
        catalog::FOLDER,
        "\\Windows\\System32\\Boot",
        "\\Windows\\System32\\config\\RegBack",
        "\\Windows\\System32\\drivers\\etc",
        "\\Windows\\System32\\LogFiles\\Srt",
        "\\Windows\\System32\\Recovery",
        "\\Windows\\System32\\winevt\\Logs",
        "\\Windows\\Logs",
        "\\Windows\\Minidump",
        "\\Windows\\Temp",
        "\\Program Files\\Qemu-ga",
        "\\ProgramData",
        "\\Users\\Public\\Documents",
    ] {
        windows.create_dir_all(folder)?;
    }
    let config = "\\Windows\\System32\\config";
    let clock = identity::time();
    windows.write(&format!("{config}\\SYSTEM"), &hives::system(clock)?.to_bytes()?)?;
    windows.write(&format!("{config}\\SOFTWARE"), &hives::software(clock)?.to_bytes()?)?;
    let drivers: Vec<_> = hives::driver_files()
        .map(|image| {
            let name = image.rsplit('\\').next().unwrap_or(image);
            (format!("\\Windows\\{image}"), minimal(Kind::Driver, name))
        })
        .collect();
    for (path, image) in &drivers {
        windows.write(path, image)?;
    }
    let listed = drivers.iter().map(|(path, image)| (path.as_str(), image.as_slice()));
    let list = format!("{}\\{}", catalog::FOLDER, catalog::FILE);
    windows.write(&list, catalog::write(listed).as_bytes())?;
    for (file, kind) in [
        ("\\Windows\\System32\\winload.efi", Kind::BootApplication),
        ("\\Windows\\System32\\Boot\\winload.efi", Kind::BootApplication),
        ("\\Windows\\System32\\ntoskrnl.exe", Kind::Driver),
        ("\\Windows\\System32\\hal.dll", Kind::Driver),
        ("\\Windows\\System32\\svchost.exe", Kind::Driver),
        ("\\Windows\\System32\\spoolsv.exe", Kind::Driver),
        ("\\Program Files\\Qemu-ga\\qemu-ga.exe", Kind::Driver),
    ] {
        let name = file.rsplit('\\').next().unwrap_or(file);
        windows.write(file, &minimal(kind, name))?;
    }
    let system = processes::files().chain([processes::LIBRARY.to_owned()]);
    for file in system.chain(processes::TWINS.map(str::to_owned)) {
        let name = file.rsplit('\\').next().unwrap_or(&file);
        windows.write(&file, &minimal(Kind::Driver, name))?;
    }
    windows.write("\\Windows\\bootstat.dat", &BootStatus::create().to_bytes())?;
    windows.write(
        "\\Users\\Public\\Documents\\About this machine.txt",
        b"This is the loopbreak understudy: a model of Windows, not Windows.\r\n",
    )?;
    for (name, text) in recovery_files() {
        windows.write(&format!("\\Windows\\System32\\Recovery\\{name}"), text.as_bytes())?;
    }
    Ok(())
}

fn fill_recovery(recovery: &mut Ntfs) -> Result<(), DiskError> {
    let folder = "\\Recovery\\WindowsRE";
    recovery.create_dir_all(folder)?;
    let image = winfmt::wim::empty_windows_image(
        identity::RECOVERY_IMAGE,
        "loopbreak understudy recovery environment",
        identity::BUILD,
        identity::time(),
    );
    recovery.write(&format!("{folder}\\Winre.wim"), &image)?;
    recovery
        .write(&format!("{folder}\\boot.sdi"), b"loopbreak understudy, stands for boot.sdi\r\n")?;
    for (name, text) in recovery_files() {
        recovery.write(&format!("{folder}\\{name}"), text.as_bytes())?;
    }
    Ok(())
}

/// `ReAgent.xml` and `SrSettings.ini`, the same on both volumes. Everything of Quick Machine Recovery
/// is off until a scenario switches it on.
fn recovery_files() -> [(&'static str, String); 2] {
    let reagent = ReAgent {
        version: Some("2.0".to_owned()),
        winre_bcd: Some(identity::RECOVERY_LOADER),
        winre_location: Some(Location {
            path: "\\Recovery\\WindowsRE".to_owned(),
            disk_id: 0,
            offset: MIB + ESP_SIZE + RESERVED_SIZE + WINDOWS_SIZE,
            disk: identity::DISK,
        }),
        installed: Some(true),
        auto_repair: Some(true),
        custom_image_available: Some(false),
        other: Vec::new(),
    };
    let settings = RecoverySettings {
        cloud_remediation: Some(false),
        auto_remediation: Some(AutoRemediation {
            enabled: false,
            total_wait: None,
            wait_interval: None,
        }),
        headless: None,
        wifi: None,
    };
    [("ReAgent.xml", reagent.to_xml()), ("SrSettings.ini", settings.to_xml())]
}

#[cfg(test)]
mod tests {
    use winfmt::hive::Hive;

    use crate::bootmgr::{Entry, Next};
    use crate::signatures::Signatures;
    use crate::storage::Disk;

    #[test]
    fn the_disk_can_be_opened_as_the_machine_does_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("disk.raw");
        super::write(&path, b"MZ not really a boot manager").expect("a disk");
        let disk = Disk::open(path.to_str().expect("a plain path")).expect("opens");
        let Ok(Next::Windows { entry, drive, .. }) = crate::bootmgr::run(&disk) else {
            panic!("Windows is not started")
        };
        assert!(entry.no_integrity_checks && !entry.test_signing);
        // Where signatures are checked, all that came with the image is taken.
        let entry = Entry { no_integrity_checks: false, ..entry };
        let signatures = Signatures::read(&entry, &drive, &Hive::create("ROOT").expect("a hive"));
        for image in super::hives::driver_files() {
            let file = drive.read(&format!("\\Windows\\{image}")).expect("a driver");
            assert_eq!(signatures.check(&file), Ok(()), "{image}");
        }
    }
}

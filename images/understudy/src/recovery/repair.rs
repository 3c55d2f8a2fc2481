//! What Startup Repair can put right by itself: the boot entry, the loader's file, hives and control
//! sets, and an update that is half done. Never a driver's file or what a driver reads: it has no copy of
//! them, and nothing tells it what they should be.

use volume::{Volume, VolumeError};
use winfmt::bcd::{BcdStore, ElementId, ElementValue};
use winfmt::hive::{Data, Hive};

use crate::bootmgr::STORE;
use crate::kernel::pe;
use crate::session::servicing;
use crate::storage::{Drive, SOFTWARE_HIVE, SYSTEM_HIVE, control_set, load_hive};

/// Windows' own copies of the hives; since Windows 10 1803 only where `EnablePeriodicBackup` is set
/// (windows-facts.md 4).
const BACKUPS: &str = "\\Windows\\System32\\config\\RegBack";
/// The loader, and Windows' own copy of it.
const LOADER: &str = "\\Windows\\System32\\winload.efi";
const LOADER_COPY: &str = "\\Windows\\System32\\Boot\\winload.efi";
/// How many control sets are looked for.
const CONTROL_SETS: u32 = 8;

/// `ERROR_FILE_NOT_FOUND`.
const NOT_FOUND: u32 = 2;
/// `ERROR_WRITE_FAULT`.
const WRITE_FAULT: u32 = 0x1D;

/// Something that was wrong, and what came of its repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repair {
    /// What is wrong, in the words of the log.
    pub cause: String,
    /// What was tried.
    pub action: &'static str,
    /// 0: repaired. Else a Win32 error.
    pub error_code: u32,
}

/// Looks for everything that can be repaired, and repairs it.
pub(super) fn repair(drive: &Drive, esp: &mut dyn Volume) -> Vec<Repair> {
    let mut repairs = Vec::new();
    repairs.extend(SYSTEM_AND_SOFTWARE.iter().filter_map(|path| hive(drive, path)));
    repairs.extend(selected_set(drive));
    repairs.extend(update(drive));
    repairs.extend(loader(drive));
    repairs.extend(boot_entry(drive, esp));
    repairs
}

const SYSTEM_AND_SOFTWARE: [&str; 2] = [SYSTEM_HIVE, SOFTWARE_HIVE];

fn code(result: Result<(), VolumeError>) -> u32 {
    match result {
        Ok(()) => 0,
        Err(error) if error.is_not_found() => NOT_FOUND,
        Err(_) => WRITE_FAULT,
    }
}

fn write(drive: &Drive, path: &str, bytes: &[u8]) -> u32 {
    code(drive.write(path, bytes).and_then(|()| drive.flush()))
}

fn change_system(drive: &Drive, change: impl FnOnce(&mut Hive) -> bool) -> u32 {
    let Ok(mut hive) = load_hive(drive, SYSTEM_HIVE) else { return NOT_FOUND };
    if !change(&mut hive) {
        return NOT_FOUND;
    }
    hive.to_bytes().map_or(WRITE_FAULT, |bytes| write(drive, SYSTEM_HIVE, &bytes))
}

/// A hive that cannot be read is replaced by its backup, where that is a hive.
fn hive(drive: &Drive, path: &'static str) -> Option<Repair> {
    if load_hive(drive, path).is_ok() {
        return None;
    }
    let name = path.rsplit('\\').next().unwrap_or(path);
    let backup = drive.read(&format!("{BACKUPS}\\{name}")).ok();
    let sound = backup.filter(|bytes| Hive::open(bytes.clone()).is_ok());
    Some(Repair {
        cause: format!("The system registry is damaged: C:{path}."),
        action: "Registry roll back",
        error_code: sound.map_or(NOT_FOUND, |bytes| write(drive, path, &bytes)),
    })
}

/// `Select` names a control set that is not there: the last known good one is taken, else the first.
fn selected_set(drive: &Drive) -> Option<Repair> {
    let hive = load_hive(drive, SYSTEM_HIVE).ok()?;
    if control_set(&hive).is_some() {
        return None;
    }
    let there =
        |number: &u32| hive.find_key(format!("ControlSet{number:03}")).ok().flatten().is_some();
    let known_good = hive.get_dword("Select", "LastKnownGood").ok().flatten().filter(there);
    let number = known_good.or_else(|| (1..=CONTROL_SETS).find(there));
    let error_code = number.map_or(NOT_FOUND, |number| {
        change_system(drive, |hive| {
            ["Current", "Default"]
                .iter()
                .all(|name| hive.set_value("Select", *name, &Data::dword(number)).is_ok())
        })
    });
    Some(Repair {
        cause: "The system registry names a control set that is not there.".to_owned(),
        action: "Registry roll back",
        error_code,
    })
}

/// An update that the session manager would go on with is taken back: the list is renamed and the
/// order to carry it out is removed (windows-facts.md 4, "offline servicing").
fn update(drive: &Drive) -> Option<Repair> {
    let hive = load_hive(drive, SYSTEM_HIVE).ok()?;
    let set = control_set(&hive)?;
    let key = format!("{set}\\{}", servicing::MANAGER);
    let lines = hive.get_multi_string(&key, servicing::SETUP_EXECUTE).ok().flatten()?;
    if !servicing::is_due(&lines) {
        return None;
    }
    let mut error_code = change_system(drive, |hive| {
        hive.delete_value(&key, servicing::SETUP_EXECUTE).unwrap_or(false)
    });
    if error_code == 0 && drive.exists(servicing::PENDING).unwrap_or(false) {
        let old = format!("{}.old", servicing::PENDING);
        error_code = code(drive.rename(servicing::PENDING, &old).and_then(|()| drive.flush()));
    }
    Some(Repair {
        cause: "An update that was being installed keeps the system from starting.".to_owned(),
        action: "Revert pending update",
        error_code,
    })
}

fn is_program(drive: &Drive, path: &str) -> bool {
    drive.read(path).is_ok_and(|bytes| pe::Image::parse(&bytes).is_ok())
}

/// The loader's file, from Windows' own copy.
fn loader(drive: &Drive) -> Option<Repair> {
    if is_program(drive, LOADER) {
        return None;
    }
    let copy = drive.read(LOADER_COPY).ok().filter(|_| is_program(drive, LOADER_COPY));
    Some(Repair {
        cause: format!("Boot critical file C:{LOADER} is missing or corrupt."),
        action: "File repair",
        error_code: copy.map_or(NOT_FOUND, |bytes| write(drive, LOADER, &bytes)),
    })
}

/// The default entry's path, where it leads to no program.
fn boot_entry(drive: &Drive, esp: &mut dyn Volume) -> Option<Repair> {
    let mut store = BcdStore::open(esp.read(STORE).ok()?).ok()?;
    let entry = store.default_loader().ok().flatten()?;
    let path = entry.string(ElementId::PATH).unwrap_or_default();
    if is_program(drive, path) || !is_program(drive, LOADER) {
        return None;
    }
    let value = ElementValue::String(LOADER.to_owned());
    let bytes = store.set(entry.id, ElementId::PATH, &value).and_then(|()| store.to_bytes());
    let error_code = bytes
        .map_or(WRITE_FAULT, |bytes| code(esp.write(STORE, &bytes).and_then(|()| esp.flush())));
    Some(Repair {
        cause: format!("The boot configuration names {path}, which is not there."),
        action: "Boot configuration repair",
        error_code,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use volume::{Fat, FatFormat, FatKind, FileTime, MemoryDevice, Ntfs, NtfsFormat, Volume};
    use winfmt::Guid;
    use winfmt::bcd::{BcdStore, ElementId, ElementValue, StandardStore};
    use winfmt::hive::{Data, Hive};

    use super::{BACKUPS, LOADER, LOADER_COPY, Repair, STORE, repair};
    use crate::session::servicing;
    use crate::storage::{Drive, SOFTWARE_HIVE, SYSTEM_HIVE};

    const WINDOWS: Guid = Guid::from_bytes([5; 16]);

    fn system() -> Hive {
        let mut hive = Hive::create("ROOT").expect("a hive");
        for (name, number) in [("Current", 1), ("Default", 1), ("LastKnownGood", 2)] {
            hive.set_value("Select", name, &Data::dword(number)).expect("set");
        }
        for set in ["ControlSet001", "ControlSet002"] {
            hive.create_key(format!("{set}\\{}", servicing::MANAGER)).expect("create");
        }
        hive
    }

    fn program() -> Vec<u8> {
        crate::recipe::sample_program()
    }

    /// A sound Windows in memory.
    fn sound() -> (Arc<Drive>, Fat) {
        let format = NtfsFormat { label: "C".into(), serial: 1, time: FileTime::UNIX_EPOCH };
        let volume = Ntfs::format(MemoryDevice::zeroed(16 << 20), &format).expect("a volume");
        let drive = Arc::new(Drive::new(Box::new(volume)));
        for folder in [BACKUPS, "\\Windows\\System32\\Boot", "\\Windows\\WinSxS"] {
            drive.create_dir_all(folder).expect("folders");
        }
        drive.write(SYSTEM_HIVE, &system().to_bytes().expect("bytes")).expect("written");
        let software = Hive::create("ROOT").expect("a hive").to_bytes().expect("bytes");
        drive.write(SOFTWARE_HIVE, &software).expect("written");
        drive.write(LOADER, &program()).expect("written");
        drive.write(LOADER_COPY, &program()).expect("written");
        let format = FatFormat { kind: FatKind::Fat32, id: 1, label: "SYSTEM".to_owned() };
        let mut esp = Fat::format(MemoryDevice::zeroed(40 << 20), &format).expect("a volume");
        esp.create_dir_all("\\EFI\\Microsoft\\Boot").expect("folders");
        let id = |number| Guid::from_bytes([number; 16]);
        let standard = StandardStore {
            disk: id(1),
            system_partition: id(2),
            windows_partition: id(3),
            recovery_partition: id(4),
            loader: WINDOWS,
            recovery_loader: id(6),
            recovery_options: id(7),
            description: "Windows".into(),
            locale: "en-US".into(),
            timeout: 30,
        };
        let store = standard.build(winfmt::FileTime::ZERO).expect("builds");
        esp.write(STORE, &store.to_bytes().expect("bytes")).expect("written");
        (drive, esp)
    }

    fn actions(repairs: &[Repair]) -> Vec<(&str, u32)> {
        repairs.iter().map(|repair| (repair.action, repair.error_code)).collect()
    }

    #[test]
    fn a_sound_windows_is_left_alone() {
        let (drive, mut esp) = sound();
        assert_eq!(repair(&drive, &mut esp), []);
    }

    #[test]
    fn a_damaged_hive_comes_back_from_its_backup_and_only_from_there() {
        let (drive, mut esp) = sound();
        drive.write(SYSTEM_HIVE, &[0; 4096]).expect("written");
        assert_eq!(actions(&repair(&drive, &mut esp)), [("Registry roll back", 2)]);
        drive.write(&format!("{BACKUPS}\\SYSTEM"), b"").expect("written");
        assert_eq!(actions(&repair(&drive, &mut esp)), [("Registry roll back", 2)]);
        let backup = system().to_bytes().expect("bytes");
        drive.write(&format!("{BACKUPS}\\SYSTEM"), &backup).expect("written");
        assert_eq!(actions(&repair(&drive, &mut esp)), [("Registry roll back", 0)]);
        assert_eq!(drive.read(SYSTEM_HIVE).expect("reads"), backup);
        assert_eq!(repair(&drive, &mut esp), []);
    }

    #[test]
    fn a_wrong_control_set_gives_way_to_the_last_known_good_one() {
        let (drive, mut esp) = sound();
        let mut wrong = system();
        wrong.set_value("Select", "Default", &Data::dword(7)).expect("set");
        drive.write(SYSTEM_HIVE, &wrong.to_bytes().expect("bytes")).expect("written");
        assert_eq!(actions(&repair(&drive, &mut esp)), [("Registry roll back", 0)]);
        let hive = Hive::open(drive.read(SYSTEM_HIVE).expect("reads")).expect("opens");
        let set = crate::storage::control_set(&hive);
        assert_eq!(set.as_deref(), Some("ControlSet002"));
    }

    #[test]
    fn an_update_that_is_half_done_is_taken_back() {
        let (drive, mut esp) = sound();
        let mut due = system();
        let key = format!("ControlSet001\\{}", servicing::MANAGER);
        let lines = Data::multi_string(["\\SystemRoot\\System32\\poqexec.exe /noreboot"]);
        due.set_value(&key, servicing::SETUP_EXECUTE, &lines).expect("set");
        drive.write(SYSTEM_HIVE, &due.to_bytes().expect("bytes")).expect("written");
        drive.write(servicing::PENDING, b"half").expect("written");
        assert_eq!(actions(&repair(&drive, &mut esp)), [("Revert pending update", 0)]);
        assert!(!drive.exists(servicing::PENDING).expect("looks"));
        assert_eq!(repair(&drive, &mut esp), []);
    }

    #[test]
    fn the_loader_and_the_way_to_it_are_put_right() {
        let (drive, mut esp) = sound();
        drive.remove_file(LOADER).expect("removed");
        assert_eq!(actions(&repair(&drive, &mut esp)), [("File repair", 0)]);
        drive.write(LOADER, b"garbage").expect("written");
        assert_eq!(actions(&repair(&drive, &mut esp)), [("File repair", 0)]);

        let mut store = BcdStore::open(esp.read(STORE).expect("reads")).expect("opens");
        let wrong = ElementValue::String("\\Windows\\System32\\winload.exe".to_owned());
        store.set(WINDOWS, ElementId::PATH, &wrong).expect("set");
        esp.write(STORE, &store.to_bytes().expect("bytes")).expect("written");
        assert_eq!(actions(&repair(&drive, &mut esp)), [("Boot configuration repair", 0)]);
        assert_eq!(repair(&drive, &mut esp), []);
    }
}

//! A small UEFI disk with odd names: volume label, folders and files, services, product, boot entries.

use std::path::Path;

use volume::{
    BASIC_DATA, EFI_SYSTEM, Fat, FatFormat, FatKind, FileDevice, FileTime, Ntfs, NtfsFormat,
    Partition, PartitionTable, SharedDevice, SubDevice, Volume, create_partitions,
};
use winfmt::Guid;
use winfmt::bcd::{BcdStore, StandardStore};
use winfmt::hive::{Data, Hive, KeyPath, Name};

use crate::ODD;

const MIB: u64 = 1 << 20;
/// File names hold no C0 controls, which NTFS itself does not keep out of a directory that is read.
pub(crate) const ODD_FILE: &str = "a\u{9b}2J\u{202e}sys.\u{200b}b";

fn id(number: u8) -> Guid {
    let mut bytes = *b"loopbreak test 0";
    bytes[15] = number;
    Guid::from_bytes(bytes)
}

pub(crate) fn store() -> BcdStore {
    let store = StandardStore {
        disk: id(1),
        system_partition: id(2),
        windows_partition: id(3),
        recovery_partition: id(4),
        loader: id(5),
        recovery_loader: id(6),
        recovery_options: id(7),
        description: ODD.to_owned(),
        locale: ODD.to_owned(),
        timeout: 30,
    };
    store.build(winfmt::FileTime::from_ticks(133_600_000_000_000_000)).unwrap()
}

fn system() -> Hive {
    let mut hive = Hive::create("ROOT").unwrap();
    for (name, number) in [("Current", 1), ("Default", 1), ("Failed", 0), ("LastKnownGood", 1)] {
        hive.set_value("Select", name, &Data::dword(number)).unwrap();
    }
    let services = KeyPath::from(r"ControlSet001\Services");
    for (name, start, path) in [
        (ODD.to_owned(), 0, format!(r"System32\drivers\{ODD_FILE}")),
        (format!("gone{ODD}"), 1, format!(r"System32\drivers\{ODD}")),
        (format!("auto{ODD}"), 2, ODD.to_owned()),
    ] {
        let key = services.join(Name::from(name));
        hive.set_value(&key, "Type", &Data::dword(1)).unwrap();
        hive.set_value(&key, "Start", &Data::dword(start)).unwrap();
        hive.set_value(&key, "ErrorControl", &Data::dword(1)).unwrap();
        hive.set_value(&key, "ImagePath", &Data::expand_string(&path)).unwrap();
        hive.set_value(&key, "Group", &Data::string(ODD)).unwrap();
        let instances = key.join("Instances");
        hive.set_value(instances.join(ODD), "Altitude", &Data::string(ODD)).unwrap();
        hive.set_value(&instances, "DefaultInstance", &Data::string(ODD)).unwrap();
    }
    let control = r"ControlSet001\Control";
    let class = KeyPath::from(format!(r"{control}\Class")).join(ODD);
    hive.set_value(&class, "Class", &Data::string(ODD)).unwrap();
    hive.set_value(&class, "UpperFilters", &Data::multi_string([ODD])).unwrap();
    let crash = format!(r"{control}\CrashControl");
    hive.set_value(crash.as_str(), "DumpFile", &Data::expand_string(ODD)).unwrap();
    hive.set_value(crash.as_str(), "CrashDumpEnabled", &Data::dword(7)).unwrap();
    hive.set_value(crash.as_str(), "DumpFilters", &Data::multi_string([ODD])).unwrap();
    let manager = format!(r"{control}\Session Manager");
    let memory = format!(r"{manager}\Memory Management");
    hive.set_value(memory.as_str(), "PagingFiles", &Data::multi_string([ODD])).unwrap();
    let environment = format!(r"{manager}\Environment");
    hive.set_value(environment.as_str(), "PROCESSOR_ARCHITECTURE", &Data::string(ODD)).unwrap();
    let computer = format!(r"{control}\ComputerName\ComputerName");
    hive.set_value(computer.as_str(), "ComputerName", &Data::string(ODD)).unwrap();
    hive
}

fn software() -> Hive {
    let mut hive = Hive::create("ROOT").unwrap();
    let version = r"Microsoft\Windows NT\CurrentVersion";
    for name in ["ProductName", "EditionID", "CurrentBuild", "DisplayVersion", "InstallationType"] {
        hive.set_value(version, name, &Data::string(ODD)).unwrap();
    }
    hive.set_value(version, "SystemRoot", &Data::string(r"C:\Windows")).unwrap();
    hive
}

/// Writes the disk, as raw bytes.
pub(crate) fn disk(path: &Path) {
    let file = std::fs::File::create_new(path).unwrap();
    file.set_len(100 * MIB).unwrap();
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut device = SharedDevice::new(FileDevice::new(file).unwrap());
    let guid = id;
    let table = PartitionTable::gpt(
        guid(1),
        vec![
            Partition::gpt(EFI_SYSTEM, guid(2), MIB, 36 * MIB, "EFI"),
            Partition::gpt(BASIC_DATA, guid(3), 37 * MIB, 60 * MIB, "e\u{1b}[31m\u{202e}"),
        ],
    );
    create_partitions(&mut device, &table).unwrap();
    let part = |index: usize| {
        let partition = &table.partitions[index];
        SubDevice::new(device.clone(), partition.start, partition.len).unwrap()
    };
    let format = FatFormat { kind: FatKind::Fat32, id: 1, label: "SYSTEM".to_owned() };
    let mut esp = Fat::format(part(0), &format).unwrap();
    esp.create_dir_all(r"EFI\Microsoft\Boot").unwrap();
    esp.write(r"EFI\Microsoft\Boot\BCD", &store().to_bytes().unwrap()).unwrap();
    esp.flush().unwrap();
    let time = FileTime::from_unix_seconds(1_720_000_000);
    // A label has at most 32 characters.
    let format =
        NtfsFormat { label: "e\u{1b}[31mv\u{202e}\r\nerror: d".to_owned(), serial: 7, time };
    let mut windows = Ntfs::format(part(1), &format).unwrap();
    let config = r"Windows\System32\config";
    windows.create_dir_all(config).unwrap();
    windows.create_dir_all(r"Windows\System32\drivers").unwrap();
    windows.create_dir_all(ODD_FILE).unwrap();
    windows.write(&format!(r"{config}\SYSTEM"), &system().to_bytes().unwrap()).unwrap();
    windows.write(&format!(r"{config}\SOFTWARE"), &software().to_bytes().unwrap()).unwrap();
    windows.write(&format!(r"Windows\System32\drivers\{ODD_FILE}"), b"MZ").unwrap();
    let freeldr = format!("[FREELOADER]\r\nDefaultOS={ODD}\r\n");
    windows.write("freeldr.ini", freeldr.as_bytes()).unwrap();
    windows.flush().unwrap();
}

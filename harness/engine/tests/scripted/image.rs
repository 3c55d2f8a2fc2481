//! A small image: a disk with as much of a Windows on it as staging needs.

use std::path::Path;
use std::process::Command;

use faults::driver::{self, DriverKind, FaultyDriverOptions};
use scenario::Defect;
use volume::{
    BASIC_DATA, FileDevice, FileTime, Guid, Ntfs, NtfsFormat, Partition, PartitionTable,
    SharedDevice, SubDevice, Volume, WINDOWS_RECOVERY, create_partitions,
};
use winfmt::bcd::{ElementId, ElementValue, StandardStore};
use winfmt::hive::{Data, Hive};

const MIB: u64 = 1 << 20;
const WINDOWS: u64 = 24 * MIB;
const RECOVERY: u64 = 16 * MIB;

/// The profile of the image; its markers are the understudy's.
pub(crate) const PROFILE: &str = r#"
format = 1
is-model = true
memory = "64MiB"
noise = ['C:\Windows\System32\LogFiles\**']

[firmware]
kind = "bios"

[time-scale]
fw-cfg = "opt/org.loopbreak/time-scale"

[evidence]
dumps = ['C:\Windows\MEMORY.DMP']
recovery-logs = ['C:\Windows\System32\LogFiles\Srt\*']

[[markers]]
source = "serial"
starts_with = "[session] boot marked good"
phase = "healthy"

[[markers]]
source = "serial"
starts_with = "[recovery] waiting for a person"
phase = "recovery-prompt"

[[markers]]
source = "serial"
starts_with = "[bootmgr]"
phase = "boot-manager"

[[markers]]
source = "serial"
starts_with = "[kernel]"
phase = "kernel"

[[markers]]
source = "serial"
starts_with = "[session]"
phase = "session"

[[markers]]
source = "serial"
starts_with = "[recovery]"
phase = "recovery"
"#;

/// True where QEMU's disk programs are installed; says so where they are not.
pub(crate) fn tools() -> bool {
    let there = ["qemu-img", "qemu-storage-daemon"]
        .iter()
        .all(|name| Command::new(name).arg("--version").output().is_ok());
    if !there {
        println!("skipped: qemu-img or qemu-storage-daemon is not installed");
    }
    there
}

/// Writes the bundle of an image with this profile into the directory `bundle`.
pub(crate) fn write_bundle(bundle: &Path, profile: &str) {
    std::fs::create_dir(bundle).unwrap();
    let raw = bundle.join("disk.raw");
    write_disk(&raw);
    let made = Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "qcow2"])
        .args([&raw, &bundle.join("disk.qcow2")])
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::remove_file(raw).unwrap();
    std::fs::write(bundle.join("profile.toml"), profile).unwrap();
}

fn write_disk(path: &Path) {
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(path).unwrap();
    file.set_len(2 * MIB + WINDOWS + RECOVERY).unwrap();
    let mut disk = SharedDevice::new(FileDevice::new(file).unwrap());
    let partition = |kind, id, start, len, name: &str| {
        Partition::gpt(kind, Guid::from_bytes([id; 16]), start, len, name)
    };
    let partitions = vec![
        partition(BASIC_DATA, 1, MIB, WINDOWS, "Windows"),
        partition(WINDOWS_RECOVERY, 2, MIB + WINDOWS, RECOVERY, "Recovery"),
    ];
    let table = PartitionTable::gpt(Guid::from_bytes([7; 16]), partitions);
    create_partitions(&mut disk, &table).unwrap();
    let format = |index: usize| {
        let Partition { start, len, .. } = table.partitions[index];
        let time = FileTime::from_unix_seconds(1_721_362_140);
        let format = NtfsFormat { label: String::new(), serial: 5, time };
        Ntfs::format(SubDevice::new(disk.clone(), start, len).unwrap(), &format).unwrap()
    };
    let mut windows = format(0);
    for folder in [
        r"Windows\System32\config",
        r"Windows\System32\drivers",
        r"Windows\System32\LogFiles\Srt",
        r"Windows\System32\Recovery",
    ] {
        windows.create_dir_all(folder).unwrap();
    }
    let mut system = Hive::create("ROOT").unwrap();
    system.set_value("Select", "Current", &Data::dword(1)).unwrap();
    system.create_key(r"ControlSet001\Services").unwrap();
    for (name, number) in [("AutoReboot", 1), ("CrashDumpEnabled", 2)] {
        let key = r"ControlSet001\Control\CrashControl";
        system.set_value(key, name, &Data::dword(number)).unwrap();
    }
    agent(&mut system, &mut windows);
    let software = Hive::create("ROOT").unwrap();
    for (name, hive) in [("SYSTEM", system), ("SOFTWARE", software)] {
        let path = format!(r"Windows\System32\config\{name}");
        windows.write(&path, &hive.to_bytes().unwrap()).unwrap();
    }
    windows.create_dir_all("Boot").unwrap();
    windows.write(r"Boot\BCD", &store()).unwrap();
    // What the default entry of the store starts.
    windows.create_dir_all(r"Windows\System32").unwrap();
    windows.write(r"Windows\System32\winload.exe", b"MZ").unwrap();
    windows.flush().unwrap();
    let mut recovery = format(1);
    recovery.create_dir_all(r"Recovery\WindowsRE").unwrap();
    let time = winfmt::FileTime::from_ticks(133_600_000_000_000_000);
    let image = winfmt::wim::empty_image(winfmt::Guid::from_bytes([3; 16]), "recovery", time);
    recovery.write(r"Recovery\WindowsRE\Winre.wim", &image).unwrap();
    recovery.flush().unwrap();
}

/// The guest agent and the driver of its port, as far as an inspection looks.
fn agent(system: &mut Hive, windows: &mut Ntfs) {
    let options = FaultyDriverOptions::new(Defect::NullRead);
    let program = driver::build(&DriverKind::Faulty(options)).unwrap();
    for (name, path, start) in [
        ("QEMU-GA", r"Windows\qemu-ga.exe", 2),
        ("VirtioSerial", r"Windows\System32\drivers\vioser.sys", 3),
    ] {
        let key = format!(r"ControlSet001\Services\{name}");
        system.set_value(&key, "Start", &Data::dword(start)).unwrap();
        system.set_value(&key, "Type", &Data::dword(if start == 2 { 0x10 } else { 1 })).unwrap();
        system.set_value(&key, "ImagePath", &Data::string(&format!(r"C:\{path}"))).unwrap();
        windows.write(path, &program).unwrap();
    }
}

/// A boot configuration that leads to the recovery partition: what a scenario with recovery needs of its
/// image.
fn store() -> Vec<u8> {
    let id = |number| winfmt::Guid::from_bytes([number; 16]);
    let store = StandardStore {
        disk: id(7),
        system_partition: id(1),
        windows_partition: id(1),
        recovery_partition: id(2),
        loader: id(11),
        recovery_loader: id(12),
        recovery_options: id(13),
        description: "Windows".to_owned(),
        locale: "en-US".to_owned(),
        timeout: 0,
    };
    let mut store = store.build(winfmt::FileTime::from_ticks(1)).unwrap();
    let loader = r"\Windows\System32\winload.exe".to_owned();
    store.set(id(11), ElementId::PATH, &ElementValue::String(loader)).unwrap();
    store.set(id(11), ElementId::NO_INTEGRITY_CHECKS, &ElementValue::Boolean(true)).unwrap();
    store.to_bytes().unwrap()
}

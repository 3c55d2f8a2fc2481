//! FAT volumes, checked against `mtools`.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::process::Command;
use volume::{
    BlockDevice, Fat, FatFormat, FatKind, FileDevice, FileTime, Kind, MemoryDevice, SharedDevice,
    Volume,
};

const MIB: usize = 1 << 20;
/// 2024-07-19T04:09:00Z.
const INCIDENT: FileTime = FileTime::from_unix_seconds(1_721_362_140);

fn options(kind: FatKind) -> FatFormat {
    FatFormat { kind, id: 0x1234_abcd, label: "ESP".to_owned() }
}

fn edit(fat: &mut Fat) {
    fat.set_clock(INCIDENT);
    fat.create_dir_all("EFI\\Microsoft\\Boot").unwrap();
    fat.write("EFI\\Microsoft\\Boot\\bootmgfw.efi", &vec![7; 300_000]).unwrap();
    fat.write("efi/microsoft/boot/BCD", &[1; 32768]).unwrap();
    fat.write("EFI\\Microsoft\\Boot\\a name longer than eight.txt", b"long").unwrap();
    for index in 0..100 {
        fat.write(&format!("EFI\\file {index}.txt"), &vec![index; usize::from(index) * 50])
            .unwrap();
    }
    for index in (0..100).step_by(2) {
        fat.remove_file(&format!("EFI\\FILE {index}.txt")).unwrap();
    }
    fat.append("log.txt", b"one").unwrap();
    fat.append("LOG.TXT", b" two").unwrap();
    fat.write_at("log.txt", 10, b"far").unwrap();
    fat.rename("efi\\microsoft\\boot\\bcd", "EFI\\BCD.old").unwrap();
}

fn check(fat: &mut Fat) {
    assert_eq!(fat.read("efi\\microsoft\\BOOT\\bootmgfw.efi").unwrap(), vec![7; 300_000]);
    assert_eq!(fat.read("EFI\\BCD.old").unwrap(), [1; 32768]);
    assert!(!fat.exists("EFI\\Microsoft\\Boot\\BCD").unwrap());
    assert_eq!(fat.read("log.txt").unwrap(), b"one two\0\0\0far");
    let metadata = fat.metadata("log.txt").unwrap();
    assert_eq!((metadata.kind, metadata.size), (Kind::File, 13));
    assert_eq!((metadata.created, metadata.modified), (INCIDENT, INCIDENT));
    let names: Vec<_> =
        fat.list("EFI\\Microsoft\\Boot").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a name longer than eight.txt", "bootmgfw.efi"]);
    assert_eq!(fat.list("EFI").unwrap().len(), 52);
    let mut part = [0; 8];
    assert_eq!(fat.read_at("log.txt", 8, &mut part).unwrap(), 5);
    assert_eq!(&part[..5], b"\0\0far");
}

#[test]
fn both_kinds_hold_files_and_are_deterministic() {
    for (kind, size) in [(FatKind::Fat16, 16 * MIB), (FatKind::Fat32, 64 * MIB)] {
        let make = || {
            let mut device = SharedDevice::new(MemoryDevice::zeroed(size));
            let mut fat = Fat::format(device.clone(), &options(kind)).unwrap();
            edit(&mut fat);
            check(&mut fat);
            check(&mut Fat::open(device.clone()).unwrap());
            let mut bytes = vec![0; size];
            device.read_at(0, &mut bytes).unwrap();
            bytes
        };
        assert!(make() == make(), "{kind:?}: two volumes with the same history differ");
    }
}

#[test]
fn what_is_removed_gives_its_space_back() {
    let mut fat = Fat::format(MemoryDevice::zeroed(64 * MIB), &options(FatKind::Fat32)).unwrap();
    fat.write("anchor", b"x").unwrap();
    let before = fat.free_space().unwrap();
    edit(&mut fat);
    fat.remove_file("log.txt").unwrap();
    fat.remove_dir_all("EFI").unwrap();
    assert_eq!(fat.free_space().unwrap(), before);
    assert_eq!(fat.list("").unwrap().len(), 1);
}

#[test]
fn errors_name_path_and_operation() {
    let mut fat = Fat::format(MemoryDevice::zeroed(16 * MIB), &options(FatKind::Fat16)).unwrap();
    fat.create_dir_all("dir").unwrap();
    fat.write("file", b"").unwrap();
    assert_eq!(
        fat.read("dir\\missing").unwrap_err().to_string(),
        "cannot read 'dir\\missing' on the FAT volume: there is no such file or directory"
    );
    assert!(fat.read("dir").unwrap_err().to_string().contains("it is a directory"));
    assert!(fat.write("file\\x", b"").unwrap_err().to_string().contains("not a directory"));
    assert!(fat.rename("file", "dir").unwrap_err().to_string().contains("exists already"));
    assert!(fat.rename("dir", "dir\\dir").unwrap_err().to_string().contains("into itself"));
    assert!(fat.write("big", &vec![0; 20 * MIB]).unwrap_err().to_string().contains("full"));
    assert!(Fat::open(MemoryDevice::zeroed(MIB)).is_err());
}

#[test]
fn mtools_agrees() {
    if Command::new("mcopy").arg("--version").output().is_err() {
        println!("skipped: mtools is not installed");
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(64 << 20).unwrap();
    let device = FileDevice::new(file.reopen().unwrap()).unwrap();
    let mut fat = Fat::format(device, &options(FatKind::Fat32)).unwrap();
    edit(&mut fat);
    fat.flush().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(arguments[0])
            .arg("-i")
            .arg(file.path())
            .args(&arguments[1..])
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output.stdout
    };
    assert_eq!(run(&["mtype", "::log.txt"]), b"one two\0\0\0far");
    assert_eq!(run(&["mtype", "::EFI/Microsoft/Boot/bootmgfw.efi"]), vec![7; 300_000]);
    let listing = String::from_utf8(run(&["mdir", "-b", "::EFI"])).unwrap();
    assert_eq!(listing.lines().count(), 52, "{listing}");
    let info = String::from_utf8(run(&["minfo", "::"])).unwrap();
    assert!(info.to_lowercase().contains("1234abcd"), "{info}");
}

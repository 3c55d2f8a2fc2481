//! The fallback over libguestfs, for real. Each session starts a virtual machine: this takes a minute.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::path::{Path, PathBuf};
use std::process::Command;

use disk::{Acceleration, Access, Guestfs, GuestfsError, GuestfsVolume, OfflineDisk};
use volume::{
    BASIC_DATA, FileDevice, FileTime, Guid, Ntfs, NtfsFormat, Partition, PartitionTable,
    SharedDevice, SubDevice, Volume, create_partitions,
};

const MIB: u64 = 1 << 20;

fn guestfish() -> bool {
    let there = Command::new("guestfish").arg("--version").output().is_ok();
    if !there {
        println!("skipped: guestfish is not installed");
    }
    there
}

fn make_disk(path: &Path) {
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(path).unwrap();
    file.set_len(48 * MIB).unwrap();
    let disk = SharedDevice::new(FileDevice::new(file).unwrap());
    let partition = Partition::gpt(BASIC_DATA, Guid::from_bytes([1; 16]), MIB, 40 * MIB, "");
    let table = PartitionTable::gpt(Guid::from_bytes([2; 16]), vec![partition]);
    create_partitions(&mut disk.clone(), &table).unwrap();
    let time = FileTime::from_unix_seconds(1_721_362_140);
    let options = NtfsFormat { label: "Windows".to_owned(), serial: 5, time };
    let part = SubDevice::new(disk.clone(), MIB, 40 * MIB).unwrap();
    let mut windows = Ntfs::format(part, &options).unwrap();
    windows.create_dir_all(r"Windows\System32\config").unwrap();
    windows.write(r"Windows\System32\config\SYSTEM", b"regf").unwrap();
    windows.write(r"Windows\doomed.txt", b"x").unwrap();
    windows.flush().unwrap();
}

#[test]
fn files_of_an_ntfs_volume_are_written_read_and_removed() {
    if !guestfish() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk, with a 'name'.img");
    make_disk(&path);
    let disk = Guestfs::new(&path, Acceleration::Emulation).unwrap();
    let volume = GuestfsVolume::Partition(1);
    // What would be commands, if names were not only names.
    let hostile = "a'; !touch pwned; $(touch pwned) # & x";
    let file = format!(r"windows\SYSTEM32\{hostile}");
    let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 253) as u8).collect();
    disk.write(&volume, &file, &bytes).unwrap();
    assert!(disk.read(&volume, &file).unwrap() == bytes);
    disk.remove(&volume, r"Windows\DOOMED.txt").unwrap();
    let mut names = disk.list(&volume, "windows").unwrap();
    names.sort();
    assert_eq!(names, ["System32"]);
    let error = disk.read(&volume, r"Windows\none").unwrap_err();
    println!("{error}");
    assert!(matches!(error, GuestfsError::Failed { .. }), "{error}");
    assert!(!Path::new("pwned").exists());
    // Our own reader sees the same.
    let open = OfflineDisk::open(&path, Access::ReadOnly, directory.path()).unwrap();
    let mut windows = open.windows_volume().unwrap();
    assert!(windows.read(&format!(r"Windows\System32\{hostile}")).unwrap() == bytes);
    assert!(!windows.exists(r"Windows\doomed.txt").unwrap());
    assert!(windows.check().unwrap().errors.is_empty());
}

/// A volume that Windows encrypted, if there is one.
fn bitlocker() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let artifacts = std::env::var_os("LOOPBREAK_ARTIFACTS")
        .map_or_else(|| workspace.join("../shared/artifacts"), PathBuf::from);
    let path = artifacts.join("volumes/bitlk-aes-xts-128.img");
    if !path.is_file() {
        println!("skipped: there is no {}", path.display());
        return None;
    }
    Some(path)
}

/// The image of that name of cryptsetup's tests: its password is public, and of its contents only the
/// first sectors were kept, so its files cannot be listed.
#[test]
fn a_bitlocker_volume_is_opened_with_its_key() {
    let Some(path) = bitlocker().filter(|_| guestfish()) else { return };
    let directory = tempfile::tempdir().unwrap();
    let open = OfflineDisk::open(&path, Access::ReadOnly, directory.path()).unwrap();
    let volume = &open.volumes()[0];
    println!("{volume:?}");
    assert_eq!(volume.file_system, "BitLocker");
    assert!(volume.unreadable.as_ref().unwrap().contains("fallback over libguestfs"));
    let refused = open.volume(1).err().unwrap().to_string();
    assert!(refused.contains("encrypted"), "{refused}");
    let disk = Guestfs::new(&path, Acceleration::Emulation).unwrap();
    let key = directory.path().join("key");
    let list = |secret: &str| {
        std::fs::write(&key, secret).unwrap();
        let volume = GuestfsVolume::BitLocker { partition: 0, key: key.clone() };
        disk.list(&volume, "").unwrap_err().to_string()
    };
    let wrong = list("not the key\n");
    println!("{wrong}");
    assert!(wrong.contains("cryptsetup"), "{wrong}");
    // The key is right: what fails then is the mount of what was cut off.
    let right = list("anaconda\n");
    println!("{right}");
    assert!(right.contains("mount"), "{right}");
}

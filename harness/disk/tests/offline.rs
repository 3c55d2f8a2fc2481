//! Disks opened through QEMU's storage daemon: edits, locks, what is left when the harness is killed.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use disk::{Access, DiskError, Noise, OfflineDisk, Tree, check_qcow2, create_overlay};
use volume::{
    BASIC_DATA, EFI_SYSTEM, Fat, FatFormat, FatKind, FileDevice, FileTime, Guid, Ntfs, NtfsFormat,
    Partition, PartitionTable, SharedDevice, SubDevice, Volume, WINDOWS_RECOVERY,
    create_partitions,
};

const MIB: u64 = 1 << 20;
const CHANNEL_FILE: &str = r"Windows\System32\drivers\CrowdStrike\C-00000291-00000000-00000032.sys";

fn tools() -> bool {
    let there = ["qemu-img", "qemu-storage-daemon"]
        .iter()
        .all(|name| Command::new(name).arg("--version").output().is_ok());
    if !there {
        println!("skipped: qemu-img or qemu-storage-daemon is not installed");
    }
    there
}

/// A disk as the understudy has one, in small: a qcow2 file, and an overlay on it.
struct Disk {
    directory: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let raw = directory.path().join("disk.raw");
        make_raw(&raw);
        let base = directory.path().join("base.qcow2");
        let made = Command::new("qemu-img")
            .args(["convert", "-f", "raw", "-O", "qcow2"])
            .args([&raw, &base])
            .status()
            .unwrap();
        assert!(made.success());
        std::fs::remove_file(raw).unwrap();
        let disk = Self { directory };
        create_overlay(&disk.overlay(), &base).unwrap();
        disk
    }

    fn overlay(&self) -> PathBuf {
        self.directory.path().join("overlay, of a machine.qcow2")
    }

    fn open(&self, access: Access) -> Result<OfflineDisk, DiskError> {
        OfflineDisk::open_overlay(&self.overlay(), access, self.directory.path())
    }
}

fn make_raw(path: &Path) {
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(path).unwrap();
    file.set_len(128 * MIB).unwrap();
    let mut disk = SharedDevice::new(FileDevice::new(file).unwrap());
    let partition = |kind, id, start: u64, len: u64, name: &str| {
        Partition::gpt(kind, Guid::from_bytes([id; 16]), start * MIB, len * MIB, name)
    };
    let partitions = vec![
        partition(EFI_SYSTEM, 1, 1, 16, "EFI"),
        partition(BASIC_DATA, 2, 17, 20, "data"),
        partition(BASIC_DATA, 3, 37, 64, "Windows"),
        partition(WINDOWS_RECOVERY, 4, 101, 20, "recovery"),
    ];
    let table = PartitionTable::gpt(Guid::from_bytes([7; 16]), partitions);
    create_partitions(&mut disk, &table).unwrap();
    let part = |index: usize| {
        let partition = &table.partitions[index];
        SubDevice::new(disk.clone(), partition.start, partition.len).unwrap()
    };
    let esp = FatFormat { kind: FatKind::Fat16, id: 1, label: "ESP".to_owned() };
    Fat::format(part(0), &esp).unwrap().write("startup.nsh", b"efi").unwrap();
    let time = FileTime::from_unix_seconds(1_721_362_140);
    let ntfs = NtfsFormat { label: String::new(), serial: 5, time };
    Ntfs::format(part(1), &ntfs).unwrap().write("data.txt", b"data").unwrap();
    let mut windows = Ntfs::format(part(2), &ntfs).unwrap();
    windows.create_dir_all(r"Windows\System32\config").unwrap();
    windows.create_dir_all(r"Windows\System32\drivers\CrowdStrike").unwrap();
    windows.write(r"Windows\System32\config\SYSTEM", b"regf").unwrap();
    for index in 0..200 {
        windows.write(&format!(r"Windows\System32\library {index}.dll"), &[1; 3000]).unwrap();
    }
    Ntfs::format(part(3), &ntfs).unwrap().write("ReAgent.xml", b"<WindowsRE/>").unwrap();
}

#[test]
fn an_edit_lands_in_the_overlay_and_the_base_stays() {
    if !tools() {
        return;
    }
    let disk = Disk::new();
    let base = disk.directory.path().join("base.qcow2");
    let before = blake3::hash(&std::fs::read(&base).unwrap());
    let open = disk.open(Access::ReadWrite).unwrap();
    let noise = Noise::default();
    assert_eq!(open.system_root().unwrap(), "Windows");
    let mut windows = open.windows_volume().unwrap();
    let tree = Tree::read(&mut *windows, &noise).unwrap();
    windows.write(CHANNEL_FILE, &[9; 41_004]).unwrap();
    windows.write("big.bin", &vec![3; 9_000_000]).unwrap();
    windows.remove_file(r"Windows\System32\library 7.dll").unwrap();
    assert_eq!(open.read_back(CHANNEL_FILE).unwrap().unwrap(), [9; 41_004]);
    assert_eq!(open.read_back(&CHANNEL_FILE.to_lowercase()).unwrap().unwrap(), [9; 41_004]);
    assert_eq!(open.read_back(r"Windows\System32\library 7.dll").unwrap(), None);
    assert!(open.read_back(r"Windows").is_err());
    open.close().unwrap();

    let open = disk.open(Access::ReadOnly).unwrap();
    let mut windows = open.windows_volume().unwrap();
    assert_eq!(windows.read(CHANNEL_FILE).unwrap(), [9; 41_004]);
    assert!(open.read_back("big.bin").unwrap().unwrap() == vec![3; 9_000_000]);
    let after = Tree::read(&mut *windows, &noise).unwrap();
    let changes: Vec<_> = tree
        .changes(&after)
        .into_iter()
        .map(|change| format!("{} {}", change.what.as_str(), change.path))
        .collect();
    assert_eq!(
        changes,
        [
            format!("added {CHANNEL_FILE}"),
            r"removed Windows\System32\library 7.dll".to_owned(),
            "added big.bin".to_owned(),
        ]
    );
    let refused = windows.write("x", b"x").unwrap_err();
    assert!(refused.is_device(), "{refused}");
    assert_eq!(open.recovery_volume().unwrap().read("ReAgent.xml").unwrap(), b"<WindowsRE/>");
    assert_eq!(open.efi_volume().unwrap().read("startup.nsh").unwrap(), b"efi");
    open.close().unwrap();
    check_qcow2(&disk.overlay()).unwrap();
    assert_eq!(before, blake3::hash(&std::fs::read(&base).unwrap()), "the base was written to");
    let left: Vec<_> = std::fs::read_dir(disk.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".qcow2"))
        .collect();
    assert!(left.is_empty(), "{left:?} is left behind");
}

#[test]
fn a_disk_in_use_is_refused() {
    if !tools() {
        return;
    }
    let disk = Disk::new();
    let first = disk.open(Access::ReadWrite).unwrap();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let error = disk.open(access).unwrap_err().to_string();
        assert!(error.contains("lock"), "{error}");
    }
    drop(first);
    let one = disk.open(Access::ReadOnly).unwrap();
    let other = disk.open(Access::ReadOnly).unwrap();
    one.windows_volume().unwrap();
    other.windows_volume().unwrap();
}

#[test]
fn what_is_no_disk_is_refused_with_a_reason() {
    if !tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.qcow2");
    let error =
        OfflineDisk::open(&missing, Access::ReadOnly, directory.path()).unwrap_err().to_string();
    assert!(error.contains("missing.qcow2") && error.contains("No such file"), "{error}");
    let text = directory.path().join("text.qcow2");
    std::fs::write(&text, "no disk").unwrap();
    let error =
        OfflineDisk::open(&text, Access::ReadOnly, directory.path()).unwrap_err().to_string();
    assert!(error.contains("qcow2"), "{error}");
    let empty = directory.path().join("empty.qcow2");
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2"])
        .arg(&empty)
        .arg("8M")
        .status()
        .unwrap();
    assert!(made.success());
    let error =
        OfflineDisk::open(&empty, Access::ReadOnly, directory.path()).unwrap_err().to_string();
    assert!(error.contains("no partition table"), "{error}");
}

/// Runs this program again, as a harness that opens the disk and is killed.
#[test]
fn the_daemon_goes_with_a_harness_that_is_killed() {
    const DISK: &str = "OFFLINE_TEST_DISK";
    if let Some(path) = std::env::var_os(DISK) {
        let path = PathBuf::from(path);
        let _open =
            OfflineDisk::open_overlay(&path, Access::ReadWrite, path.parent().unwrap()).unwrap();
        println!("the disk is open");
        // Held until this process is killed.
        let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
        return;
    }
    if !tools() {
        return;
    }
    let disk = Disk::new();
    let mut harness = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_daemon_goes_with_a_harness_that_is_killed", "--nocapture"])
        .env(DISK, disk.overlay())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(harness.stdout.take().unwrap());
    let opened = std::io::BufRead::lines(output).any(|line| line.unwrap().contains("is open"));
    assert!(opened, "the other process did not open the disk");
    assert!(disk.open(Access::ReadWrite).is_err(), "the disk is not in use");
    harness.kill().unwrap();
    harness.wait().unwrap();
    // The supervisor notices at once; the lock is free as soon as the daemon is gone.
    let start = std::time::Instant::now();
    while let Err(error) = disk.open(Access::ReadWrite) {
        assert!(start.elapsed().as_secs() < 20, "the daemon is still there: {error}");
    }
}

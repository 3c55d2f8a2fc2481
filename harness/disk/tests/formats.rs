//! Disks of every format and of every layout, edited: each edit is proved by `close`, and read again.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::path::{Path, PathBuf};
use std::process::Command;

use disk::{Access, DiskError, OfflineDisk, VolumeRole, create_overlay};
use volume::{
    BASIC_DATA, Fat, FatFormat, FatKind, FileDevice, FileTime, Guid, MBR_EXTENDED, MBR_FAT32,
    MBR_LDM, MBR_NTFS, Ntfs, NtfsFormat, Partition, PartitionKind, PartitionTable, SharedDevice,
    SubDevice, TableStyle, Volume, create_partitions,
};

const MIB: u64 = 1 << 20;

fn tools() -> bool {
    let there = ["qemu-img", "qemu-storage-daemon"]
        .iter()
        .all(|name| Command::new(name).arg("--version").output().is_ok());
    if !there {
        println!("skipped: qemu-img or qemu-storage-daemon is not installed");
    }
    there
}

fn qemu_img(arguments: &[&str], directory: &Path) {
    let output = Command::new("qemu-img").args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn blank(path: &Path, mib: u64) -> SharedDevice {
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(path).unwrap();
    file.set_len(mib * MIB).unwrap();
    SharedDevice::new(FileDevice::new(file).unwrap())
}

fn part(disk: &SharedDevice, partition: &Partition) -> SubDevice<SharedDevice> {
    SubDevice::new(disk.clone(), partition.start, partition.len).unwrap()
}

fn ntfs() -> NtfsFormat {
    let time = FileTime::from_unix_seconds(1_721_362_140);
    NtfsFormat { label: "Windows".to_owned(), serial: 5, time }
}

fn windows(volume: &mut dyn Volume, root: &str) {
    volume.create_dir_all(&format!(r"{root}\System32\config")).unwrap();
    volume.write(&format!(r"{root}\System32\config\SYSTEM"), b"regf").unwrap();
    volume.flush().unwrap();
}

/// A BIOS disk: a boot volume of FAT32, and NTFS in a logical partition.
fn bios(path: &Path) {
    let disk = blank(path, 160);
    let mut boot = Partition::mbr(1, PartitionKind::Mbr(MBR_FAT32), MIB, 48 * MIB);
    boot.active = true;
    let system = Partition::mbr(5, PartitionKind::Mbr(MBR_NTFS), 50 * MIB, 100 * MIB);
    let extended = Partition::mbr(2, PartitionKind::Mbr(MBR_EXTENDED), 49 * MIB, 105 * MIB);
    let all = vec![boot.clone(), extended, system.clone()];
    let table = PartitionTable::mbr(0x1234_5678, all);
    create_partitions(&mut disk.clone(), &table).unwrap();
    let options = FatFormat { kind: FatKind::Fat32, id: 1, label: "BOOT".to_owned() };
    let mut fat = Fat::format(part(&disk, &boot), &options).unwrap();
    fat.create_dir_all("Boot").unwrap();
    fat.write(r"Boot\BCD", b"regf").unwrap();
    fat.flush().unwrap();
    windows(&mut Ntfs::format(part(&disk, &system), &ntfs()).unwrap(), "Windows");
}

/// Edits the Windows volume and the boot volume of a disk, and reads both again.
fn edited(path: &Path) {
    let scratch = path.parent().unwrap();
    let disk = OfflineDisk::open(path, Access::ReadWrite, scratch).unwrap();
    let root = disk.system_root().unwrap();
    let file = format!(r"{root}\System32\driver with a long name.sys");
    let mut windows = disk.windows_volume().unwrap();
    windows.write(&file, &[3; 70_000]).unwrap();
    windows.write(&format!(r"{root}\doomed"), b"x").unwrap();
    windows.remove_file(&format!(r"{root}\doomed")).unwrap();
    windows.append(&format!(r"{root}\System32\config\SYSTEM"), b" more").unwrap();
    windows.flush().unwrap();
    drop(windows);
    let mut boot = disk.boot_volume().unwrap();
    boot.create_dir_all("Boot").unwrap();
    boot.write(r"Boot\BCD", b"another store").unwrap();
    boot.rename(r"Boot\BCD", r"Boot\BCD.old").unwrap();
    boot.flush().unwrap();
    drop(boot);
    disk.close().unwrap();

    let disk = OfflineDisk::open(path, Access::ReadOnly, scratch).unwrap();
    let mut windows = disk.windows_volume().unwrap();
    assert_eq!(windows.read(&file).unwrap(), [3; 70_000]);
    assert_eq!(disk.read_back(&file.to_lowercase()).unwrap().unwrap(), [3; 70_000]);
    let hive = windows.read(&format!(r"{root}\System32\config\SYSTEM")).unwrap();
    assert_eq!(hive, b"regf more");
    let mut boot = disk.boot_volume().unwrap();
    assert_eq!(boot.read(r"boot\bcd.OLD").unwrap(), b"another store");
    assert!(windows.write("x", b"x").unwrap_err().is_device(), "a read-only disk was written to");
}

#[test]
fn a_bios_disk_of_every_format_is_edited() {
    if !tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    bios(&at("raw"));
    for (name, arguments) in [
        ("qcow2", vec!["-O", "qcow2"]),
        ("vhdx", vec!["-O", "vhdx"]),
        ("vmdk", vec!["-O", "vmdk"]),
        ("vhd", vec!["-O", "vpc", "-o", "force_size=on"]),
        ("vhd-fixed", vec!["-O", "vpc", "-o", "subformat=fixed,force_size=on"]),
    ] {
        let mut all = vec!["convert", "-f", "raw"];
        all.extend(arguments);
        all.extend(["raw", name]);
        qemu_img(&all, directory.path());
    }
    for name in ["raw", "qcow2", "vhdx", "vmdk", "vhd", "vhd-fixed"] {
        println!("{name}");
        let disk = OfflineDisk::open(&at(name), Access::ReadOnly, directory.path()).unwrap();
        assert_eq!(disk.table().style, TableStyle::Mbr);
        let seen: Vec<_> = disk
            .volumes()
            .iter()
            .map(|one| (one.number, one.role, one.file_system.as_str(), one.label.as_deref()))
            .filter(|one| one.1 != VolumeRole::Reserved)
            .collect();
        assert_eq!(
            seen,
            [
                (1, VolumeRole::Boot, "FAT32", Some("BOOT")),
                (5, VolumeRole::Windows, "NTFS", Some("Windows"))
            ]
        );
        drop(disk);
        edited(&at(name));
    }
}

#[test]
fn windows_on_fat_without_a_table_is_edited() {
    if !tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("reactos.img");
    let options = FatFormat { kind: FatKind::Fat32, id: 1, label: "REACTOS".to_owned() };
    windows(&mut Fat::format(blank(&path, 64), &options).unwrap(), "ReactOS");
    let disk = OfflineDisk::open(&path, Access::ReadOnly, directory.path()).unwrap();
    assert_eq!(disk.table().style, TableStyle::None);
    assert_eq!(disk.system_root().unwrap(), "ReactOS");
    assert!(disk.efi_volume().is_err() && disk.recovery_volume().is_err());
    drop(disk);
    edited(&path);
}

#[test]
fn a_dynamic_disk_is_refused_with_the_way_out() {
    if !tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dynamic.img");
    let disk = blank(&path, 64);
    let partition = Partition::mbr(1, PartitionKind::Mbr(MBR_LDM), MIB, 60 * MIB);
    let table = PartitionTable::mbr(7, vec![partition.clone()]);
    create_partitions(&mut disk.clone(), &table).unwrap();
    // What begins with it looks like a volume, and may be a piece of one.
    windows(&mut Ntfs::format(part(&disk, &partition), &ntfs()).unwrap(), "Windows");
    let disk = OfflineDisk::open(&path, Access::ReadWrite, directory.path()).unwrap();
    let seen = &disk.volumes()[0];
    assert_eq!((seen.role, seen.system_root.as_ref()), (VolumeRole::Data, None));
    assert!(seen.not_writable.as_ref().unwrap().way_out.contains("libguestfs"));
    for error in [disk.windows_volume().err().unwrap(), disk.volume(1).err().unwrap()] {
        println!("{error}");
        assert!(error.to_string().contains("dynamic disk"), "{error}");
    }
}

#[test]
fn files_that_a_disk_from_elsewhere_names_are_not_opened() {
    if !tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    bios(&at("base"));
    let base = at("base").to_string_lossy().into_owned();
    qemu_img(&["convert", "-f", "raw", "-O", "qcow2", "base", "base.qcow2"], directory.path());
    create_overlay(&at("overlay.qcow2"), &at("base.qcow2")).unwrap();
    let with_data = ["create", "-f", "qcow2", "-o", "data_file=data,data_file_raw=on", "ext", "8M"];
    qemu_img(&with_data, directory.path());
    let raw_below = ["create", "-f", "qcow2", "-F", "raw", "-b", &base, "raw-below.qcow2"];
    qemu_img(&raw_below, directory.path());
    let refused = |path: PathBuf| {
        let error = OfflineDisk::open(&path, Access::ReadOnly, directory.path()).unwrap_err();
        assert!(matches!(error, DiskError::Source(_)), "{error}");
        error.to_string()
    };
    assert!(refused(at("overlay.qcow2")).contains("base.qcow2"));
    refused(at("ext"));
    refused(at("raw-below.qcow2"));
    // As overlays of our own: only what lies on qcow2 files.
    let open =
        |name: &str| OfflineDisk::open_overlay(&at(name), Access::ReadOnly, directory.path());
    open("overlay.qcow2").unwrap().windows_volume().unwrap();
    for name in ["ext", "raw-below.qcow2", "base"] {
        let error = open(name).unwrap_err();
        assert!(matches!(error, DiskError::Chain { .. }), "{name}: {error}");
    }
    qemu_img(
        &["rebase", "-u", "-F", "qcow2", "-b", "overlay.qcow2", "overlay.qcow2"],
        directory.path(),
    );
    let circle = open("overlay.qcow2").unwrap_err().to_string();
    assert!(circle.contains("more than 8 files"), "{circle}");
}

#[test]
fn what_someone_else_changes_is_found() {
    if !tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.img");
    let disk = blank(&path, 80);
    let partition = Partition::gpt(BASIC_DATA, Guid::from_bytes([1; 16]), MIB, 64 * MIB, "");
    let table = PartitionTable::gpt(Guid::from_bytes([2; 16]), vec![partition.clone()]);
    create_partitions(&mut disk.clone(), &table).unwrap();
    windows(&mut Ntfs::format(part(&disk, &partition), &ntfs()).unwrap(), "WINNT");
    let open = || OfflineDisk::open(&path, Access::ReadWrite, directory.path()).unwrap();
    let edit = |open: &OfflineDisk| {
        let mut volume = open.windows_volume().unwrap();
        volume.write("written", &[0xa7; 100_000]).unwrap();
        volume.flush().unwrap();
    };
    // The bytes of the file change under the session.
    let session = open();
    edit(&session);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(5000).position(|part| part.iter().all(|&byte| byte == 0xa7)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(
        &std::fs::File::options().write(true).open(&path).unwrap(),
        b"changed",
        at as u64,
    )
    .unwrap();
    let error = session.close().unwrap_err();
    assert!(
        matches!(&error, DiskError::NotLanded { number: 1, file, .. } if file == "written"),
        "{error}"
    );
    println!("{error}");
    // A cluster of the file is marked as free.
    let session = open();
    edit(&session);
    bytes = std::fs::read(&path).unwrap();
    let mut volume = Ntfs::open(SubDevice::new(disk.clone(), MIB, 64 * MIB).unwrap()).unwrap();
    assert!(volume.check().unwrap().errors.is_empty());
    let boot = MIB as usize;
    let word = |at: usize| u64::from(u16::from_le_bytes([bytes[boot + at], bytes[boot + at + 1]]));
    let cluster = word(11) * u64::from(bytes[boot + 13]);
    let record = boot
        + u64::from_le_bytes(bytes[boot + 48..boot + 56].try_into().unwrap()) as usize
            * cluster as usize
        + 6 * 1024;
    let map = bitmap_place(&bytes, record, cluster as usize);
    let mut damaged = bytes.clone();
    damaged[map + 1..map + 2048].fill(0);
    std::fs::write(&path, damaged).unwrap();
    let error = session.close().unwrap_err();
    assert!(matches!(error, DiskError::Damaged { number: 1, .. }), "{error}");
    println!("{error}");
    // A cluster of another file was marked as free before: only the check of the whole volume sees that.
    let first = volume.extents("written").unwrap()[0].start / cluster;
    bytes[map + (first / 8) as usize] &= !(1 << (first % 8));
    let small = |disk: &OfflineDisk| {
        let mut volume = disk.windows_volume().unwrap();
        volume.write("small", b"in its record").unwrap();
    };
    std::fs::write(&path, &bytes).unwrap();
    let session = open();
    small(&session);
    let error = session.close_checked_whole().unwrap_err();
    assert!(matches!(error, DiskError::Damaged { number: 1, .. }), "{error}");
    let session = open();
    small(&session);
    session.close().unwrap();
}

/// Where the map of clusters in use ($Bitmap, record 6) lies in the file.
fn bitmap_place(bytes: &[u8], record: usize, cluster: usize) -> usize {
    let word = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let long = |at: usize| word(at) | word(at + 2) << 16;
    assert_eq!(&bytes[record..record + 4], b"FILE");
    let mut at = record + word(record + 20);
    while long(at) != 0x80 {
        at += long(at + 4);
    }
    // The first run of its mapping pairs.
    let runs = at + word(at + 32);
    let (length_bytes, start_bytes) = (bytes[runs] & 15, bytes[runs] >> 4);
    let number = |from: usize, count: u8| {
        (0..usize::from(count)).fold(0, |sum, n| sum | usize::from(bytes[from + n]) << (8 * n))
    };
    let start = number(runs + 1 + usize::from(length_bytes), start_bytes);
    MIB as usize + start * cluster
}

/// What CompactOS has compressed is the same by our own reader and by the other one, and also after it was moved.
#[test]
fn both_readers_expand_what_compactos_has_compressed() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/cases");
    let cases = std::env::var_os("LOOPBREAK_CASES").map_or_else(|| beside.into(), PathBuf::from);
    let packed = cases.join("27-compactos.raw.xz");
    if !packed.is_file() {
        println!("skipped: {} is not there; set LOOPBREAK_CASES", packed.display());
        return;
    }
    if !tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.raw");
    let out = std::fs::File::create(&path).unwrap();
    assert!(Command::new("xz").arg("-dc").arg(packed).stdout(out).status().unwrap().success());
    let open = |access| OfflineDisk::open(&path, access, directory.path()).unwrap();
    let disk = open(Access::ReadWrite);
    let file = r"Windows\System32\drivers\viostor.sys";
    let mut windows = disk.windows_volume().unwrap();
    let contents = windows.read(file).unwrap();
    assert_eq!(contents.len(), 3000);
    assert!(contents.iter().filter(|&&byte| byte != 0).count() > 2900);
    assert_eq!(disk.read_back(file).unwrap().unwrap(), contents);
    windows.rename(file, "moved.sys").unwrap();
    windows.flush().unwrap();
    drop(windows);
    // The other reader has to find the same.
    disk.close().unwrap();
    assert_eq!(open(Access::ReadOnly).read_back("moved.sys").unwrap().unwrap(), contents);
}

//! Disks that Windows made: what is on them, and an edit of each volume, proved by `close`.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::path::{Path, PathBuf};
use std::process::Command;

use disk::{Access, OfflineDisk, VolumeRole};
use volume::TableStyle;

fn artifacts() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let given = std::env::var_os("LOOPBREAK_ARTIFACTS").map(PathBuf::from);
    given.unwrap_or_else(|| workspace.join("../shared/artifacts")).join("volumes")
}

/// Unpacks an artifact into `directory`; the disk in it.
fn unpack(name: &str, directory: &Path) -> Option<PathBuf> {
    let path = artifacts().join(name);
    if !path.is_file() {
        println!("skipped: there is no {}", path.display());
        return None;
    }
    let plain = directory.join("disk");
    let done = if name.ends_with(".gz") && !name.contains(".tar") {
        let out = std::fs::File::create(&plain).unwrap();
        Command::new("gzip").arg("-dc").arg(&path).stdout(out).status()
    } else if name.contains(".tar") {
        Command::new("tar").args(["-xSf"]).arg(&path).arg("-C").arg(directory).status()
    } else {
        std::fs::copy(&path, &plain).unwrap();
        Command::new("chmod").arg("u+w").arg(&plain).status()
    };
    assert!(done.unwrap().success(), "{name} cannot be unpacked");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    assert_eq!(files.len(), 1, "{files:?}");
    files.pop()
}

/// Opens a disk, edits every volume that can be written, proves it; how many those were.
fn edit(name: &str, style: TableStyle) -> Option<usize> {
    let directory = tempfile::tempdir().unwrap();
    let path = unpack(name, directory.path())?;
    let scratch = tempfile::tempdir().unwrap();
    let disk = OfflineDisk::open(&path, Access::ReadWrite, scratch.path()).unwrap();
    assert_eq!(disk.table().style, style, "{name}");
    let mut edited = 0;
    let bytes: Vec<u8> = (0..70_001u32).map(|n| (n % 251) as u8).collect();
    for seen in disk.volumes() {
        if seen.role == VolumeRole::Reserved {
            println!("{name}: {} no volume, {} MiB", seen.number, seen.len >> 20);
            continue;
        }
        let state = match (&seen.unreadable, &seen.not_writable) {
            (Some(reason), _) => reason.clone(),
            (None, Some(why)) => format!("{}; {}", why.reason, why.way_out),
            (None, None) => "writable".to_owned(),
        };
        println!(
            "{name}: {} {:?} {} '{}' {} MiB: {state}",
            seen.number,
            seen.role,
            seen.file_system,
            seen.label.as_deref().unwrap_or_default(),
            seen.len >> 20
        );
        if seen.unreadable.is_some() || seen.not_writable.is_some() || seen.file_system == "unknown"
        {
            continue;
        }
        let mut volume = disk.volume(seen.number).unwrap();
        volume.create_dir_all(r"Loopbreak\deep").unwrap();
        volume.write(r"Loopbreak\deep\file with a long name.bin", &bytes).unwrap();
        volume.write(r"Loopbreak\gone", b"x").unwrap();
        volume.remove_file(r"Loopbreak\gone").unwrap();
        volume.flush().unwrap();
        edited += 1;
    }
    disk.close().unwrap();
    let disk = OfflineDisk::open(&path, Access::ReadOnly, scratch.path()).unwrap();
    let read = |number| {
        let mut volume = disk.volume(number).ok()?;
        volume.read(r"loopbreak\DEEP\file with a long name.bin").ok()
    };
    let landed = disk.volumes().iter().filter(|seen| read(seen.number).as_ref() == Some(&bytes));
    assert_eq!(landed.count(), edited, "{name}");
    Some(edited)
}

#[test]
fn volumes_of_windows_disks_are_edited() {
    for (name, style, volumes) in [
        ("ntfs_index.raw.gz", TableStyle::Mbr, 1),
        ("vss_2_stor.tar.gz", TableStyle::Gpt, 1),
        // Seven partitions, none of them formatted.
        ("mbr-win-512.raw.tar", TableStyle::Mbr, 0),
        ("windows_volume.qcow2", TableStyle::None, 1),
        ("ntfs3_attrlist.raw.gz", TableStyle::None, 1),
        ("fixed-win.vhd", TableStyle::Mbr, 0),
    ] {
        if let Some(edited) = edit(name, style) {
            assert_eq!(edited, volumes, "{name}");
        }
    }
}

/// The log of the disk is taken as not carried out from one of its checkpoints on.
fn crash(path: &Path, checkpoint: u64) {
    let mut disk = std::fs::read(path).unwrap();
    let restart: Vec<usize> =
        (0..disk.len()).step_by(512).filter(|&at| disk[at..].starts_with(b"RSTR")).collect();
    assert_eq!(restart.len(), 2);
    for page in restart {
        // The flag of a clean volume, and the checkpoint of the client.
        disk[page + 0x3e..page + 0x40].fill(0);
        disk[page + 0x78..page + 0x80].copy_from_slice(&checkpoint.to_le_bytes());
    }
    std::fs::write(path, disk).unwrap();
}

#[test]
fn a_volume_of_a_windows_that_crashed_is_written_to_once_its_log_is_carried_out() {
    let directory = tempfile::tempdir().unwrap();
    let Some(path) = unpack("ntfs_index.raw.gz", directory.path()) else { return };
    let scratch = tempfile::tempdir().unwrap();
    // The last checkpoint but one of this log.
    crash(&path, 0x2080ee);
    let before = std::fs::read(&path).unwrap();
    let disk = OfflineDisk::open(&path, Access::ReadOnly, scratch.path()).unwrap();
    assert_eq!(disk.volumes()[0].not_writable, None);
    disk.volume(1).unwrap().list("").unwrap();
    assert_eq!(disk.replayed(), Vec::<String>::new());
    drop(disk);
    assert!(std::fs::read(&path).unwrap() == before, "reading has changed it");

    let disk = OfflineDisk::open(&path, Access::ReadWrite, scratch.path()).unwrap();
    let mut volume = disk.volume(1).unwrap();
    let [told] = &disk.replayed()[..] else { panic!("{:?}", disk.replayed()) };
    assert!(told.starts_with("partition 1: its log ($LogFile) was replayed"), "{told}");
    volume.write("new", b"contents").unwrap();
    drop(volume);
    disk.close_checked_whole().unwrap();
    let disk = OfflineDisk::open(&path, Access::ReadWrite, scratch.path()).unwrap();
    assert_eq!(disk.volume(1).unwrap().read("new").unwrap(), b"contents");
    assert_eq!(disk.replayed(), Vec::<String>::new());
}

#[test]
fn a_log_that_cannot_be_carried_out_leaves_its_volume_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let Some(path) = unpack("ntfs_index.raw.gz", directory.path()) else { return };
    let scratch = tempfile::tempdir().unwrap();
    crash(&path, 0x2080ef);
    let before = std::fs::read(&path).unwrap();
    let disk = OfflineDisk::open(&path, Access::ReadWrite, scratch.path()).unwrap();
    let why = disk.volumes()[0].not_writable.clone().unwrap();
    assert!(why.reason.contains("the record of its last checkpoint cannot be read"), "{why:?}");
    let mut volume = disk.volume(1).unwrap();
    let error = volume.write("new", b"contents").unwrap_err().to_string();
    assert!(error.contains("cannot be replayed here"), "{error}");
    drop((volume, disk));
    assert!(std::fs::read(&path).unwrap() == before);
}

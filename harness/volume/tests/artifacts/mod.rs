//! Disks and volumes that other systems made, unpacked for a test.

use std::path::{Path, PathBuf};
use std::process::Command;
use volume::{BlockDevice, FileDevice, SharedDevice, SubDevice, read_partitions};

/// The directory of volumes, or `None` with a line that says so.
pub(crate) fn volumes() -> Option<PathBuf> {
    let path = std::env::var_os("LOOPBREAK_ARTIFACTS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/artifacts")),
        PathBuf::from,
    );
    if !path.join("volumes").is_dir() {
        println!("skipped: no artifacts (set LOOPBREAK_ARTIFACTS)");
        return None;
    }
    Some(path.join("volumes"))
}

/// True if a program is installed; else a line says that the test is skipped.
pub(crate) fn tool(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {name} is not installed");
    }
    found
}

/// A raw disk with the contents of an artifact, in a directory of its own.
pub(crate) fn disk(name: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let from = volumes()?.join(name);
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("disk.raw");
    let sparse = "d=$(dirname \"$2\") && tar -C \"$d\" -xSf \"$1\" && mv \"$d\"/*.raw \"$2.new\" \
                  && mv \"$2.new\" \"$2\"";
    let command = if name.contains(".tar") {
        sparse
    } else if name.ends_with(".gz") {
        "gzip -dc \"$1\" > \"$2\""
    } else if name.ends_with(".qcow2") {
        if !tool("qemu-img") {
            return None;
        }
        "qemu-img convert -O raw \"$1\" \"$2\""
    } else {
        "cat \"$1\" > \"$2\""
    };
    let done = Command::new("sh").args(["-c", command, "sh"]).arg(&from).arg(&to).status().unwrap();
    assert!(done.success(), "{command} {}", from.display());
    Some((dir, to))
}

/// A disk in a file, to be shared.
pub(crate) fn open(image: &Path) -> SharedDevice {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(image).unwrap();
    SharedDevice::new(FileDevice::new(file).unwrap())
}

/// The last volume of a disk image.
pub(crate) fn last_volume(image: &Path) -> SubDevice<impl BlockDevice + use<>> {
    let mut disk = open(image);
    let table = read_partitions(&mut disk).unwrap();
    let last = table.partitions.last().unwrap();
    SubDevice::new(disk, last.start, last.len).unwrap()
}

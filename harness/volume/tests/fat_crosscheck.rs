//! What our writer does to FAT volumes that another system made, judged by mtools and `fsck.vfat`.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use volume::{BlockDevice, Fat, FatFormat, FatKind, SECTOR, Volume};

mod artifacts;

type Files = BTreeMap<String, Vec<u8>>;

fn run(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}: {said}{errors}");
    said + &errors
}

/// All files below a directory of this machine, with `/` between the parts.
fn tree(dir: &Path, above: &str, found: &mut Files) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{above}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            tree(&entry.path(), &format!("{name}/"), found);
        } else {
            found.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
}

/// All files of a volume, read by mtools.
fn theirs(image: &str) -> Files {
    let dir = tempfile::tempdir().unwrap();
    run("mcopy", &["-s", "-n", "-i", image, "::", dir.path().to_str().unwrap()]);
    let mut found = Files::new();
    tree(dir.path(), "", &mut found);
    found
}

fn data(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

/// Files that mtools puts there first.
fn prepare(image: &str) {
    let dir = tempfile::tempdir().unwrap();
    for (name, len) in
        [("README.TXT", 700), ("a long name of an old file.dat", 70_000), ("EMPTY", 0)]
    {
        std::fs::write(dir.path().join(name), data(len, len as u32)).unwrap();
    }
    std::fs::create_dir(dir.path().join("old directory")).unwrap();
    for index in 0..40 {
        let name = format!("old directory/file number {index}");
        std::fs::write(dir.path().join(name), data(index * 100, index as u32)).unwrap();
    }
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        run("mcopy", &["-s", "-i", image, path.to_str().unwrap(), "::"]);
    }
}

fn put(volume: &mut dyn Volume, files: &mut Files, name: &str, data: Vec<u8>) {
    volume.write(name, &data).unwrap();
    files.insert(name.to_owned(), data);
}

fn edit(volume: &mut dyn Volume, large: usize, files: &mut Files) {
    volume.create_dir_all("EFI/Microsoft/Boot").unwrap();
    put(volume, files, "EFI/Microsoft/Boot/bootmgfw.efi", data(large, 1));
    put(volume, files, "EFI/Microsoft/Boot/BCD", data(32768, 2));
    for index in 0..200 {
        put(
            volume,
            files,
            &format!("EFI/file with a long name {index}.txt"),
            data(index * 5, index as u32),
        );
    }
    put(volume, files, "EFI/Microsoft/Boot/BCD", data(40_000, 3));
    put(volume, files, "README.TXT", data(3, 4));
    for index in (0..200).step_by(3) {
        let name = format!("EFI/file with a long name {index}.txt");
        volume.remove_file(&name).unwrap();
        files.remove(&name);
    }
    volume.rename("EFI/file with a long name 1.txt", "old directory/Moved File.txt").unwrap();
    let moved = files.remove("EFI/file with a long name 1.txt").unwrap();
    files.insert("old directory/Moved File.txt".to_owned(), moved);
    // A directory that moves has another one above it.
    volume.create_dir_all("EFI/moves/with what is in it").unwrap();
    put(volume, files, "EFI/moves/with what is in it/file", data(100, 11));
    volume.rename("EFI/moves", "old directory/Moved").unwrap();
    let inside = files.remove("EFI/moves/with what is in it/file").unwrap();
    files.insert("old directory/Moved/with what is in it/file".to_owned(), inside);
    volume.append("EFI/file with a long name 2.txt", &data(9000, 5)).unwrap();
    files.get_mut("EFI/file with a long name 2.txt").unwrap().extend(data(9000, 5));
    volume.flush().unwrap();
}

/// Edits the volume in `image`, and has the others judge. Returns a line of the table.
fn judge(name: &str, image: &Path, large: usize) -> String {
    let text = image.to_str().unwrap();
    prepare(text);
    let mut files = theirs(text);
    assert_eq!(files.len(), 43);
    let mut volume = volume::open(artifacts::open(image)).unwrap();
    assert_eq!(volume.check().unwrap(), volume::Check::default(), "{name}");
    assert_eq!(volume.label().unwrap(), "OLD", "{name}");
    assert_eq!(volume.guard().unwrap(), None);
    let free = volume.free_space().unwrap();
    edit(&mut *volume, large, &mut files);
    assert_eq!(volume.check().unwrap(), volume::Check::default(), "{name}");
    run("fsck.vfat", &["-n", "-v", text]);
    let read = theirs(text);
    assert_eq!(read.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>(), "{name}");
    for (path, data) in &files {
        assert!(read[path] == *data, "{name}: {path} is read back differently");
    }
    let bytes: usize = files.values().map(Vec::len).sum();
    volume.remove_dir_all("EFI").unwrap();
    volume.flush().unwrap();
    run("fsck.vfat", &["-n", text]);
    assert!(volume.free_space().unwrap() + 65536 > free);
    format!("{name:<28} {:>5} {bytes:>9} {:>9} {:>6}", files.len(), "identical", "clean")
}

#[test]
fn other_implementations_agree() {
    if !["mcopy", "mkfs.vfat", "fsck.vfat"].iter().all(|name| {
        // They have no `--version`.
        let found = Command::new(name).arg("-V").output().is_ok();
        if !found {
            println!("skipped: {name} is not installed");
        }
        found
    }) {
        return;
    }
    println!("{:<28} {:>5} {:>9} {:>9} {:>6}", "volume", "files", "bytes", "read back", "volume");
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, size: u64, options: &[&str]| {
        let image = dir.path().join(name);
        std::fs::File::create_new(&image).unwrap().set_len(size).unwrap();
        let image_text = image.to_str().unwrap();
        run("mkfs.vfat", &[options, &["-n", "OLD", image_text]].concat());
        image
    };
    let fat12 = make("FAT12", 4 << 20, &["-F", "12"]);
    println!("{}", judge("FAT12 of mkfs.vfat", &fat12, 200_000));
    let fat32 = make("FAT32", 64 << 20, &["-F", "32"]);
    println!("{}", judge("FAT32 of mkfs.vfat", &fat32, 8_000_000));
    for (kind, size) in [(FatKind::Fat16, 32 << 20), (FatKind::Fat32, 64 << 20)] {
        let name = format!("{kind:?} of this crate");
        let image = dir.path().join(&name);
        std::fs::File::create_new(&image).unwrap().set_len(size).unwrap();
        let format = FatFormat { kind, id: 0x1234_abcd, label: "OLD".to_owned() };
        Fat::format(artifacts::open(&image), &format).unwrap();
        println!("{}", judge(&name, &image, 8_000_000));
    }

    // The partitions of a disk that Windows divided, where they lie.
    let Some((_dir, disk)) = artifacts::disk("mbr-win-512.raw.tar") else { return };
    let table = volume::read_partitions(&mut artifacts::open(&disk)).unwrap();
    for (number, cluster, large) in [(1, "2", 2_000_000), (5, "2", 2_000_000), (8, "8", 8_000_000)]
    {
        let partition = table.partition(number).unwrap();
        let image = make(&format!("part{number}"), partition.len, &["-F", "16", "-s", cluster]);
        let file = std::fs::File::options().write(true).open(&disk).unwrap();
        file.write_all_at(&std::fs::read(&image).unwrap(), partition.start).unwrap();
        let line = judge(&format!("partition {number} of mbr-win-512"), &image, large);
        println!("{line}");
        // The same through the disk: the partition and nothing beside it changes.
        let mut before = vec![0; SECTOR as usize];
        let mut device = artifacts::open(&disk);
        device.read_at(partition.start + partition.len, &mut before).unwrap();
        let part = volume::SubDevice::new(device.clone(), partition.start, partition.len).unwrap();
        let mut volume = volume::open(part).unwrap();
        volume.write("NEW.TXT", b"new").unwrap();
        volume.flush().unwrap();
        let offset = format!("{}@@{}", disk.display(), partition.start);
        assert_eq!(run("mtype", &["-i", &offset, "::NEW.TXT"]), "new");
        let mut after = vec![0; SECTOR as usize];
        device.read_at(partition.start + partition.len, &mut after).unwrap();
        assert_eq!(before, after);
    }
    assert_eq!(volume::read_partitions(&mut artifacts::open(&disk)).unwrap(), table);
    let mut last = volume::open(artifacts::last_volume(&disk)).unwrap();
    assert_eq!(last.read("new.txt").unwrap(), b"new");
}

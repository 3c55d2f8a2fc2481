//! NTFS volumes edited heavily, and checked against themselves, a model in memory, and `ntfs-3g`.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use volume::{
    FileDevice, FileTime, Kind, MemoryDevice, Ntfs, NtfsFormat, SharedDevice, Volume, VolumeError,
};

const MIB: usize = 1 << 20;
/// 2024-07-19T04:09:00Z.
const INCIDENT: FileTime = FileTime::from_unix_seconds(1_721_362_140);

fn options() -> NtfsFormat {
    NtfsFormat { label: "Windows".to_owned(), serial: 0x1234_5678_9abc_def0, time: INCIDENT }
}

/// A fresh volume in memory, and a handle on its device.
fn fresh(size: usize) -> (Ntfs, SharedDevice) {
    let device = SharedDevice::new(MemoryDevice::zeroed(size));
    (Ntfs::format(device.clone(), &options()).unwrap(), device)
}

fn bytes_of(device: &mut SharedDevice) -> Vec<u8> {
    use volume::BlockDevice;
    let mut bytes = vec![0; device.len() as usize];
    device.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Numbers that look random and are the same on every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

#[track_caller]
fn assert_sound(ntfs: &mut Ntfs) {
    let check = ntfs.check().unwrap();
    assert!(check.errors.is_empty(), "{:#?}", check.errors);
    assert_eq!(check, volume::Check::default());
}

#[test]
fn a_fresh_volume_is_empty_and_sound() {
    let (mut ntfs, _) = fresh(32 * MIB);
    assert_eq!(ntfs.list("").unwrap(), []);
    assert_eq!(ntfs.label().unwrap(), "Windows");
    assert_eq!(ntfs.serial(), 0x1234_5678_9abc_def0);
    assert!(!ntfs.is_dirty().unwrap());
    assert_eq!(ntfs.metadata("\\").unwrap().modified, INCIDENT);
    assert_sound(&mut ntfs);
}

#[test]
fn files_come_back_by_any_spelling_of_their_path() {
    let (mut ntfs, device) = fresh(32 * MIB);
    ntfs.create_dir_all("Windows\\System32\\drivers\\CrowdStrike").unwrap();
    let path = "\\Windows\\System32/drivers\\CrowdStrike\\C-00000291-00000000-00000032.sys";
    ntfs.write(path, &[7; 41_000]).unwrap();
    ntfs.write("small.txt", b"in the record").unwrap();
    ntfs.write("empty", b"").unwrap();
    assert_eq!(ntfs.read(&path.to_uppercase()).unwrap(), [7; 41_000]);
    assert_eq!(ntfs.read("/SMALL.TXT").unwrap(), b"in the record");
    assert_eq!(ntfs.read("empty").unwrap(), b"");
    let metadata = ntfs.metadata(path).unwrap();
    assert_eq!((metadata.kind, metadata.size), (Kind::File, 41_000));
    assert_eq!((metadata.created, metadata.modified), (INCIDENT, INCIDENT));
    let names: Vec<_> = ntfs.list("/").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["empty", "small.txt", "Windows"]);
    assert_sound(&mut ntfs);
    // Everything is on the device without a flush.
    let mut again = Ntfs::open(device).unwrap();
    assert_eq!(again.read(path).unwrap(), [7; 41_000]);
}

#[test]
fn errors_name_path_and_operation() {
    let (mut ntfs, _) = fresh(32 * MIB);
    ntfs.create_dir_all("dir").unwrap();
    ntfs.write("file", b"x").unwrap();
    let text = |result: Result<(), VolumeError>| result.unwrap_err().to_string();
    assert_eq!(
        text(ntfs.read("dir\\missing").map(drop)),
        "cannot read 'dir\\missing' on the NTFS volume: there is no such file or directory"
    );
    assert!(ntfs.read("missing\\file").unwrap_err().is_not_found());
    assert!(text(ntfs.read("dir").map(drop)).contains("it is a directory"));
    assert!(text(ntfs.write("dir", b"")).contains("it is a directory"));
    assert!(text(ntfs.write("file\\x", b"")).contains("not a directory"));
    assert!(text(ntfs.write("a:b", b"")).contains("new name"));
    assert!(text(ntfs.remove_file("dir")).contains("it is a directory"));
    assert!(text(ntfs.remove_dir_all("file")).contains("not a directory"));
    assert!(text(ntfs.remove_file("$MFT")).contains("system file"));
    assert!(text(ntfs.write("$Bitmap", b"")).contains("system file"));
    assert!(text(ntfs.write_at("$LogFile", 0, b"x")).contains("system file"));
    assert!(text(ntfs.rename("dir", "dir\\dir")).contains("into itself"));
    assert!(text(ntfs.rename("file", "dir")).contains("exists already"));
    assert!(text(ntfs.write("big", &vec![0; 40 * MIB])).contains("full"));
    assert_sound(&mut ntfs);
}

#[test]
fn a_directory_of_thousands_grows_and_shrinks() {
    let (mut ntfs, device) = fresh(64 * MIB);
    ntfs.create_dir_all("many").unwrap();
    let name = |index: u64| format!("many\\file number {:05} of many.txt", index * 7919 % 3001);
    for index in 0..3000 {
        ntfs.write(&name(index), format!("contents {index}").as_bytes()).unwrap();
    }
    assert_sound(&mut ntfs);
    assert_eq!(ntfs.list("many").unwrap().len(), 3000);
    for index in (0..3000).filter(|index| index % 3 != 0) {
        ntfs.remove_file(&name(index)).unwrap();
    }
    assert_sound(&mut ntfs);
    let mut again = Ntfs::open(device.clone()).unwrap();
    assert_eq!(again.list("many").unwrap().len(), 1000);
    for index in (0..3000).step_by(3) {
        assert_eq!(again.read(&name(index)).unwrap(), format!("contents {index}").as_bytes());
    }
    again.remove_dir_all("many").unwrap();
    assert_eq!(again.list("").unwrap(), []);
    assert_sound(&mut again);
}

#[test]
fn growing_cutting_and_overwriting() {
    let (mut ntfs, _) = fresh(64 * MIB);
    let mut model = Vec::new();
    for index in 0..400u32 {
        let line = format!("line {index} of a log that grows\r\n");
        ntfs.append("log.txt", line.as_bytes()).unwrap();
        model.extend(line.as_bytes());
        ntfs.append(&format!("other{}.txt", index % 7), &[1; 3000]).unwrap();
    }
    assert_eq!(ntfs.read("log.txt").unwrap(), model);
    ntfs.write_at("log.txt", 5000, b"overwritten").unwrap();
    model[5000..5011].copy_from_slice(b"overwritten");
    ntfs.write_at("log.txt", 100_000, b"far").unwrap();
    model.resize(100_000, 0);
    model.extend(b"far");
    assert_eq!(ntfs.read("log.txt").unwrap(), model);
    for size in [99_999, 4096, 4095, 10, 0, 5_000_000, 70_000] {
        ntfs.set_size("log.txt", size).unwrap();
        model.resize(size as usize, 0);
        assert!(ntfs.read("log.txt").unwrap() == model, "at {size}");
        assert_eq!(ntfs.metadata("log.txt").unwrap().size, size);
    }
    let mut part = [9; 20];
    assert_eq!(ntfs.read_at("log.txt", 69_990, &mut part).unwrap(), 10);
    assert_eq!(part, [[0; 10], [9; 10]].concat()[..]);
    assert_sound(&mut ntfs);
}

#[test]
fn moving_within_and_between_directories() {
    let (mut ntfs, _) = fresh(32 * MIB);
    ntfs.create_dir_all("one\\deep").unwrap();
    ntfs.create_dir_all("two").unwrap();
    ntfs.write("one\\a.txt", b"a").unwrap();
    ntfs.write("two\\b.txt", b"b").unwrap();
    ntfs.rename("one\\a.txt", "one\\A.TXT").unwrap();
    assert_eq!(ntfs.list("one").unwrap()[0].name, "A.TXT");
    ntfs.rename("one\\A.TXT", "two\\a much longer name than before.txt").unwrap();
    ntfs.rename("two\\a much longer name than before.txt", "two\\B.txt").unwrap();
    assert_eq!(ntfs.read("two\\b.TXT").unwrap(), b"a");
    assert_eq!(ntfs.list("two").unwrap().len(), 1);
    ntfs.rename("one", "two\\three").unwrap();
    assert!(ntfs.exists("two\\three\\deep").unwrap());
    assert!(!ntfs.exists("one").unwrap());
    assert_sound(&mut ntfs);
}

/// A name of 255 characters leaves little room in the record for anything else.
#[test]
fn long_names_and_full_records() {
    let (mut ntfs, _) = fresh(32 * MIB);
    let long = "n".repeat(255);
    ntfs.write("short", &[5; 600]).unwrap();
    ntfs.rename("short", &long).unwrap();
    assert_eq!(ntfs.read(&long).unwrap(), [5; 600]);
    ntfs.create_dir_all(&format!("{long}d").replacen('n', "", 1)).unwrap();
    let dir = format!("{}d", "n".repeat(254));
    for index in 0..200 {
        ntfs.write(&format!("{dir}\\{index:0>255}"), b"x").unwrap();
    }
    assert_eq!(ntfs.list(&dir).unwrap().len(), 200);
    assert_sound(&mut ntfs);
}

/// Many random changes, against a model in memory.
fn churn(ntfs: &mut Ntfs, seed: u64, steps: u64) -> BTreeMap<String, Vec<u8>> {
    let mut numbers = Numbers(seed);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for dir in 0..6 {
        ntfs.create_dir_all(&format!("dir{dir}\\nested directory")).unwrap();
    }
    for step in 0..steps {
        ntfs.set_clock(FileTime::from_ticks(INCIDENT.ticks() + step * 10_000_000));
        let fresh = format!(
            "dir{}{}\\file {} {}.dat",
            numbers.below(6),
            if numbers.below(2) == 0 { "\\nested directory" } else { "" },
            numbers.below(300),
            "x".repeat(numbers.below(40) as usize)
        );
        let known = files.keys().nth(numbers.below(files.len().max(1) as u64) as usize).cloned();
        match (numbers.below(10), known) {
            (0..=3, _) | (_, None) => {
                let len = match numbers.below(4) {
                    0 => numbers.below(700),
                    1 => numbers.below(9000),
                    2 => numbers.below(60_000),
                    _ => numbers.below(300),
                };
                let data = numbers.bytes(len as usize);
                ntfs.write(&fresh, &data).unwrap();
                files.insert(fresh, data);
            }
            (4 | 5, Some(path)) => {
                ntfs.remove_file(&path).unwrap();
                files.remove(&path);
            }
            (6, Some(path)) => {
                let len = numbers.below(5000) as usize;
                let data = numbers.bytes(len);
                ntfs.append(&path, &data).unwrap();
                files.get_mut(&path).unwrap().extend(data);
            }
            (7, Some(path)) => {
                let offset = numbers.below(20_000) as usize;
                let data = numbers.bytes(300);
                ntfs.write_at(&path, offset as u64, &data).unwrap();
                let file = files.get_mut(&path).unwrap();
                file.resize(file.len().max(offset + 300), 0);
                file[offset..offset + 300].copy_from_slice(&data);
            }
            (8, Some(path)) => {
                let size = numbers.below(30_000);
                ntfs.set_size(&path, size).unwrap();
                files.get_mut(&path).unwrap().resize(size as usize, 0);
            }
            (_, Some(path)) => {
                ntfs.rename(&path, &fresh).unwrap();
                let data = files.remove(&path).unwrap();
                files.insert(fresh, data);
            }
        }
    }
    files
}

/// All files of a volume, with contents.
fn tree(ntfs: &mut Ntfs, path: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in ntfs.list(path).unwrap() {
        let below =
            if path.is_empty() { entry.name.clone() } else { format!("{path}\\{}", entry.name) };
        match entry.kind {
            Kind::Directory => tree(ntfs, &below, found),
            _ => {
                let data = ntfs.read(&below).unwrap();
                assert_eq!(entry.size, data.len() as u64, "{below}");
                found.insert(below, data);
            }
        }
    }
}

#[test]
fn random_changes_agree_with_a_model() {
    for seed in [1, 77, 12345] {
        let (mut ntfs, device) = fresh(48 * MIB);
        let files = churn(&mut ntfs, seed, 3000);
        assert_sound(&mut ntfs);
        let mut found = BTreeMap::new();
        tree(&mut Ntfs::open(device).unwrap(), "", &mut found);
        assert!(found == files, "seed {seed}: contents differ");
    }
}

#[test]
fn the_same_changes_give_the_same_bytes() {
    let make = || {
        let (mut ntfs, mut device) = fresh(32 * MIB);
        churn(&mut ntfs, 4711, 800);
        bytes_of(&mut device)
    };
    assert!(make() == make(), "two volumes with the same history differ");
}

#[test]
fn nearly_full_volumes_with_scattered_space() {
    let (mut ntfs, _) = fresh(16 * MIB);
    let mut count = 0;
    while ntfs.write(&format!("f{count}"), &[1; 5000]).is_ok() {
        count += 1;
    }
    for index in (0..count).step_by(2) {
        ntfs.remove_file(&format!("f{index}")).unwrap();
    }
    let free = ntfs.free_space().unwrap() as usize;
    // Too scattered for one record, or not: either way nothing is damaged.
    let data = vec![3; free / 2];
    let large = ntfs.write("large", &data);
    if large.is_ok() {
        assert_eq!(ntfs.read("large").unwrap(), data);
    }
    let data = vec![4; 50 * 4096];
    ntfs.write("medium", &data).unwrap();
    assert_eq!(ntfs.read("medium").unwrap(), data);
    assert_sound(&mut ntfs);
}

fn tool(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {name} is not installed");
    }
    found
}

fn run(name: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(name).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{name} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn the_tools_of_ntfs_3g_agree() {
    if !["ntfsinfo", "ntfsls", "ntfscat", "ntfsfix"].iter().all(|name| tool(name)) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("volume.img");
    let file = std::fs::File::create_new(&image).unwrap();
    file.set_len(48 << 20).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&image).unwrap();
    let mut ntfs = Ntfs::format(FileDevice::new(file).unwrap(), &options()).unwrap();
    let files = churn(&mut ntfs, 99, 2500);
    ntfs.create_dir_all("many").unwrap();
    for index in 0..700 {
        ntfs.write(&format!("many\\entry {index}"), b"x").unwrap();
    }
    for index in (0..700).step_by(2) {
        ntfs.remove_file(&format!("many\\entry {index}")).unwrap();
    }
    ntfs.flush().unwrap();
    drop(ntfs);
    let path = image.to_str().unwrap();
    run("ntfsfix", &["-n", path]);
    let info = String::from_utf8(run("ntfsinfo", &["-m", path])).unwrap();
    assert!(info.contains("Volume Name: Windows"), "{info}");
    for (name, data) in &files {
        let slashes = name.replace('\\', "/");
        let contents = run("ntfscat", &[path, &slashes]);
        assert!(contents == *data, "{name}");
        run("ntfsinfo", &["-F", &slashes, path]);
    }
    let listing = String::from_utf8(run("ntfsls", &["-p", "/many", path])).unwrap();
    assert_eq!(listing.lines().filter(|line| line.starts_with("entry ")).count(), 350);
}

/// Taken down on drop, also by a failing test.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("fusermount").arg("-u").arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "cannot unmount");
    }
}

/// Needs a kernel with FUSE and the right to mount.
#[test]
fn ntfs_3g_opens_what_was_edited_here_and_the_other_way_round() {
    if !tool("ntfs-3g") || !Path::new("/dev/fuse").exists() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("volume.img");
    let mount = dir.path().join("mount");
    std::fs::create_dir(&mount).unwrap();
    std::fs::File::create_new(&image).unwrap().set_len(48 << 20).unwrap();
    let open = || {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&image).unwrap();
        FileDevice::new(file).unwrap()
    };
    let mut ntfs = Ntfs::format(open(), &options()).unwrap();
    let files = churn(&mut ntfs, 5, 2500);
    drop(ntfs);
    let mounted = Command::new("ntfs-3g").arg(&image).arg(&mount).status().unwrap();
    if !mounted.success() {
        println!("skipped: ntfs-3g cannot mount here");
        return;
    }
    let mounted = Mounted(mount.clone());
    for (name, data) in &files {
        let there = std::fs::read(mount.join(name.replace('\\', "/"))).unwrap();
        assert!(there == *data, "{name}");
    }
    // Now the other one edits.
    std::fs::create_dir_all(mount.join("from ntfs-3g/deep")).unwrap();
    for index in 0..500 {
        std::fs::write(mount.join(format!("from ntfs-3g/deep/file {index}")), vec![3; index * 40])
            .unwrap();
    }
    for name in files.keys().step_by(2) {
        std::fs::remove_file(mount.join(name.replace('\\', "/"))).unwrap();
    }
    drop(mounted);
    let mut ntfs = Ntfs::open(open()).unwrap();
    assert_sound(&mut ntfs);
    for index in 0..500 {
        let data = ntfs.read(&format!("from ntfs-3g\\deep\\file {index}")).unwrap();
        assert_eq!(data, vec![3; index * 40]);
        if index % 2 == 0 {
            ntfs.remove_file(&format!("from ntfs-3g\\deep\\file {index}")).unwrap();
        }
    }
    for name in files.keys().skip(1).step_by(2) {
        assert_eq!(ntfs.read(name).unwrap(), files[name]);
        ntfs.append(name, b"more").unwrap();
    }
    assert_sound(&mut ntfs);
}

#[test]
fn where_a_file_lies_is_where_its_bytes_are() {
    let (mut ntfs, mut device) = fresh(16 * MIB);
    let mut numbers = Numbers(3);
    let (small, large) = (numbers.bytes(100), numbers.bytes(300_000));
    ntfs.write("small", &small).unwrap();
    ntfs.write("large", &large).unwrap();
    ntfs.flush().unwrap();
    let bytes = bytes_of(&mut device);
    let of = |extents: &[std::ops::Range<u64>]| -> Vec<u8> {
        extents
            .iter()
            .flat_map(|one| &bytes[one.start as usize..one.end as usize])
            .copied()
            .collect()
    };
    let found = of(&ntfs.extents("large").unwrap());
    assert_eq!(found[..large.len()], large);
    // In its record, with its name.
    let record = of(&ntfs.extents("small").unwrap());
    assert!(record.starts_with(b"FILE"));
    assert!(record.windows(small.len()).any(|part| part == small));
    ntfs.write("empty", &[]).unwrap();
    assert!(ntfs.extents("empty").is_ok());
    assert!(ntfs.extents("missing").unwrap_err().is_not_found());
}

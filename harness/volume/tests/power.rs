//! The power is cut at each single write of an operation: what is on the device then must be a
//! sound volume on which every file is whole, old or new.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::collections::BTreeMap;
use std::io;
use volume::{BlockDevice, FileTime, Kind, MemoryDevice, Ntfs, NtfsFormat, SharedDevice, Volume};

/// A device that loses its power after some writes.
struct Cut {
    inner: SharedDevice,
    writes_left: u64,
}

impl BlockDevice for Cut {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.writes_left == 0 {
            return Err(io::Error::other("the power is gone"));
        }
        self.writes_left -= 1;
        self.inner.write_at(offset, data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn prepared() -> Vec<u8> {
    let device = SharedDevice::new(MemoryDevice::zeroed(12 << 20));
    let time = FileTime::from_unix_seconds(1_721_362_140);
    let options = NtfsFormat { label: String::new(), serial: 1, time };
    let mut ntfs = Ntfs::format(device.clone(), &options).unwrap();
    ntfs.create_dir_all("drivers\\CrowdStrike").unwrap();
    // Enough names that the directories have blocks, at the point where one is split.
    for index in 0..110 {
        ntfs.write(&format!("drivers\\driver {index:03}.sys"), &vec![index; 900]).unwrap();
    }
    ntfs.write("small", b"old").unwrap();
    ntfs.write("large", &[1; 50_000]).unwrap();
    contents_of(&device)
}

fn contents_of(device: &SharedDevice) -> Vec<u8> {
    let mut device = device.clone();
    let mut bytes = vec![0; device.len() as usize];
    device.read_at(0, &mut bytes).unwrap();
    bytes
}

fn tree(ntfs: &mut Ntfs, path: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in ntfs.list(path).unwrap() {
        let below = format!("{path}\\{}", entry.name);
        if entry.kind == Kind::Directory {
            found.insert(below.clone(), b"directory".to_vec());
            tree(ntfs, &below, found);
        } else {
            found.insert(below.clone(), ntfs.read(&below).unwrap());
        }
    }
}

fn files(device: SharedDevice) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    tree(&mut Ntfs::open(device).unwrap(), "", &mut found);
    found
}

/// Cuts the power at every write of `work`.
fn cut_everywhere(name: &str, work: impl Fn(&mut Ntfs) -> Result<(), volume::VolumeError>) {
    let start = prepared();
    let before = files(SharedDevice::new(MemoryDevice::new(start.clone())));
    let done = SharedDevice::new(MemoryDevice::new(start.clone()));
    work(&mut Ntfs::open(done.clone()).unwrap()).unwrap();
    let after = files(done);
    for writes in 0.. {
        let inner = SharedDevice::new(MemoryDevice::new(start.clone()));
        let cut = Cut { inner: inner.clone(), writes_left: writes };
        let finished = work(&mut Ntfs::open(cut).unwrap()).is_ok();
        let check = Ntfs::open(inner.clone()).unwrap().check().unwrap();
        // A file that is between two names has both for a moment, or says so in one of them; the copy of a
        // record in `$MFTMirr` comes after the record.
        let errors: Vec<_> = check
            .errors
            .iter()
            .filter(|error| {
                let between = ["names, and", "has no such name", "is not the same in $MFTMirr"];
                !between.iter().any(|allowed| error.contains(allowed))
            })
            .collect();
        assert!(errors.is_empty(), "{name}, cut after {writes} writes: {errors:#?}");
        for (path, contents) in files(inner.clone()) {
            let (old, new) = (before.get(&path), after.get(&path));
            assert!(
                old == Some(&contents) || new == Some(&contents),
                "{name}, cut after {writes} writes: '{path}' is neither old nor new"
            );
        }
        let now = files(inner.clone());
        for path in before.keys().filter(|path| after.contains_key(*path)) {
            assert!(now.contains_key(path), "{name}, cut after {writes} writes: '{path}' is gone");
        }
        // What is left can be used: the same again succeeds, or finds itself done.
        let mut again = Ntfs::open(inner).unwrap();
        let _ = work(&mut again);
        again.write("one more", b"file").unwrap();
        if finished {
            assert!(writes > 1, "{name} writes nothing");
            assert!(check.errors.is_empty() && check.lost_clusters == 0, "{name}: {check:?}");
            return;
        }
    }
}

#[test]
fn creating() {
    cut_everywhere("a small file", |ntfs| ntfs.write("new", b"in the record"));
    cut_everywhere("a large file", |ntfs| ntfs.write("drivers\\CrowdStrike\\new", &[9; 41_004]));
    cut_everywhere("directories", |ntfs| ntfs.create_dir_all("a\\b\\c"));
}

#[test]
fn creating_many_with_splits() {
    cut_everywhere("many", |ntfs| {
        (0..25).try_for_each(|index| ntfs.write(&format!("drivers\\driver 050 {index}"), b"x"))
    });
}

#[test]
fn replacing() {
    cut_everywhere("small by small", |ntfs| ntfs.write("small", b"new"));
    cut_everywhere("small by large", |ntfs| ntfs.write("small", &[2; 30_000]));
    cut_everywhere("large by small", |ntfs| ntfs.write("large", b"new"));
    cut_everywhere("large by large", |ntfs| ntfs.write("large", &[3; 70_000]));
}

#[test]
fn removing() {
    cut_everywhere("a file", |ntfs| ntfs.remove_file("large"));
    cut_everywhere("a file of many", |ntfs| ntfs.remove_file("drivers\\driver 054.sys"));
    cut_everywhere("half of many", |ntfs| {
        (0..110).step_by(2).try_for_each(|index| {
            let path = format!("drivers\\driver {index:03}.sys");
            if ntfs.exists(&path)? { ntfs.remove_file(&path) } else { Ok(()) }
        })
    });
}

#[test]
fn moving() {
    cut_everywhere("a file", |ntfs| ntfs.rename("small", "drivers\\moved"));
    cut_everywhere("over another", |ntfs| ntfs.rename("small", "large"));
}

#[test]
fn growing_the_table_of_files() {
    cut_everywhere("files", |ntfs| {
        (0..70).try_for_each(|index| ntfs.write(&format!("drivers\\CrowdStrike\\{index}"), b"x"))
    });
}

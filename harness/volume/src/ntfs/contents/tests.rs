//! Files that CompactOS has compressed, on a volume: read, written over, deleted.

use super::*;
use crate::ntfs::crafted::{compress, entry, keys, make_index, spread};
use crate::ntfs::extend::REPARSE_POINTS;
use crate::wof::WofAlgorithm;
use crate::wof::tests::by_wimlib;
use crate::{
    BlockDevice, Changes, Check, FileDevice, FileTime, Kind, MemoryDevice, Ntfs, NtfsFormat,
    SharedDevice, Volume, check_changes, open_tracked,
};
use std::process::Command;

const TIME: FileTime = FileTime::from_unix_seconds(1_721_362_140);
const LEN: usize = 16 << 20;
const PATH: &str = "drivers\\packed.sys";
/// `FILE_ATTRIBUTE_ARCHIVE`.
const ARCHIVE: u32 = 0x20;

/// What stands in the file: a text with enough in it for several chunks of each kind.
fn text() -> Vec<u8> {
    (0..16_000).flat_map(|number: u32| format!("{number:x} ").into_bytes()).collect()
}

fn format(device: impl BlockDevice + 'static) -> Ntfs {
    let options = NtfsFormat { label: "C".to_owned(), serial: 1, time: TIME };
    let mut ntfs = Ntfs::format(device, &options).unwrap();
    ntfs.set_clock(TIME);
    ntfs.create_dir_all("drivers").unwrap();
    ntfs
}

/// A file that CompactOS has compressed, and its entry in the index of reparse points.
fn put(ntfs: &mut Ntfs, number: u32, data: &[u8]) -> Option<Vec<u8>> {
    let stored = by_wimlib(data, WofAlgorithm::from_number(number).unwrap())?;
    let key = compress(ntfs, PATH, [1, 2, 1, number], data.len() as u64, &stored);
    let others = [key[0], key[1], key[2], key[3], 99, 0, 0, 0, 0, 0, 1, 0];
    make_index(ntfs, "$Reparse", &REPARSE_POINTS, vec![entry(&key, &[]), entry(&others, &[])]);
    assert_eq!(ntfs.check().unwrap(), Check::default());
    Some(stored)
}

/// A volume in memory with such a file, and its bytes; `None` where nothing can make one.
fn prepared() -> Option<Vec<u8>> {
    let device = SharedDevice::new(MemoryDevice::zeroed(LEN));
    let mut ntfs = format(device.clone());
    put(&mut ntfs, 1, &text())?;
    Some(bytes_of(&device))
}

fn bytes_of(device: &SharedDevice) -> Vec<u8> {
    let mut bytes = vec![0; device.len() as usize];
    device.clone().read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn it_is_a_file_like_others() {
    for number in 0..4 {
        let device = SharedDevice::new(MemoryDevice::zeroed(LEN));
        let mut ntfs = format(device.clone());
        let data = text();
        let Some(stored) = put(&mut ntfs, number, &data) else { return };
        assert!(ntfs.read(PATH).unwrap() == data, "{number}");
        let mut part = [0; 50_000];
        for offset in [0, 1, 4095, 40_000, data.len() - 5, data.len(), data.len() + 9] {
            let read = ntfs.read_at(PATH, offset as u64, &mut part).unwrap();
            let there = &data[offset.min(data.len())..(offset + part.len()).min(data.len())];
            assert!(part[..read] == *there, "{number} at {offset}");
        }
        let metadata = ntfs.metadata(PATH).unwrap();
        assert_eq!((metadata.kind, metadata.size), (Kind::File, data.len() as u64));
        let entries = ntfs.list("drivers").unwrap();
        assert_eq!((entries[0].kind, entries[0].size), (Kind::File, data.len() as u64));
        let bytes = bytes_of(&device);
        let lies: Vec<u8> = ntfs
            .extents(PATH)
            .unwrap()
            .into_iter()
            .flat_map(|one| bytes[one.start as usize..one.end as usize].to_vec())
            .collect();
        assert!(lies.starts_with(&stored), "{number}");
    }
}

/// What a file is after it was written to: as one that was never compressed.
fn assert_plain(ntfs: &mut Ntfs, data: &[u8]) {
    assert!(ntfs.read(PATH).unwrap() == data);
    let inode = ntfs.engine.resolve_path(PATH).unwrap();
    assert!(!inode.has(kind::REPARSE_POINT));
    assert!(ntfs.engine.layout(&inode, kind::DATA, &wof_stream()).unwrap().is_none());
    assert_eq!(ntfs.metadata(PATH).unwrap().attributes, ARCHIVE);
    let own = inode.base.find(kind::FILE_NAME, &[]).unwrap();
    let dir = ntfs.engine.resolve_path("drivers").unwrap();
    let (_, listed) = ntfs
        .engine
        .find_name(&dir, &"packed.sys".encode_utf16().collect::<Vec<_>>())
        .unwrap()
        .unwrap();
    for name in [FileName::parse(own.value()).unwrap(), listed] {
        assert_eq!((name.flags & 0x600, name.reparse_tag()), (0, None));
        assert_eq!(name.encode()[60..64], [0; 4]);
    }
    assert_eq!(ntfs.list("drivers").unwrap()[0].size, data.len() as u64);
    // Of the index of reparse points only the other entry is left.
    assert_eq!(keys(ntfs, "$Reparse", &REPARSE_POINTS).len(), 1);
}

type Work = fn(&mut dyn Volume, &mut Vec<u8>);

/// Everything that writes to a file, and what it does to its bytes.
const WRITES: [(&str, Work); 8] = [
    ("over by a large one", |volume, data| {
        *data = vec![3; 90_000];
        volume.write(PATH, data).unwrap();
    }),
    ("over by a small one", |volume, data| {
        *data = b"small".to_vec();
        volume.write(PATH, data).unwrap();
    }),
    ("over by nothing", |volume, data| {
        data.clear();
        volume.write(PATH, data).unwrap();
    }),
    ("into its middle", |volume, data| {
        data[10_000..10_003].copy_from_slice(b"new");
        volume.write_at(PATH, 10_000, b"new").unwrap();
    }),
    ("to its end", |volume, data| {
        data.extend(b"more");
        volume.append(PATH, b"more").unwrap();
    }),
    ("cut", |volume, data| {
        data.truncate(5001);
        volume.set_size(PATH, 5001).unwrap();
    }),
    ("cut to nothing", |volume, data| {
        data.clear();
        volume.set_size(PATH, 0).unwrap();
    }),
    ("grown", |volume, data| {
        data.resize(200_000, 0);
        volume.set_size(PATH, 200_000).unwrap();
    }),
];

#[test]
fn what_is_written_to_becomes_plain() {
    let Some(bytes) = prepared() else { return };
    for (name, work) in WRITES {
        println!("{name}");
        let device = SharedDevice::new(MemoryDevice::new(bytes.clone()));
        let changes = Changes::default();
        let mut data = text();
        let mut volume = open_tracked(device.clone(), &changes).unwrap();
        volume.set_clock(TIME);
        work(&mut *volume, &mut data);
        volume.flush().unwrap();
        drop(volume);
        assert_eq!(check_changes(device.clone(), &changes).unwrap(), Check::default());
        let mut ntfs = Ntfs::open(device).unwrap();
        assert_eq!(ntfs.check().unwrap(), Check::default());
        assert_plain(&mut ntfs, &data);
    }
}

#[test]
fn what_is_moved_stays_compressed_and_what_is_deleted_is_gone() {
    let Some(bytes) = prepared() else { return };
    let device = SharedDevice::new(MemoryDevice::new(bytes));
    let changes = Changes::default();
    let mut volume = open_tracked(device.clone(), &changes).unwrap();
    volume.rename(PATH, "moved.sys").unwrap();
    let moved = volume.list("").unwrap();
    assert_eq!(moved.iter().find(|one| one.name == "moved.sys").unwrap().kind, Kind::File);
    assert!(volume.read("moved.sys").unwrap() == text());
    volume.set_times("moved.sys", TIME, TIME).unwrap();
    assert!(volume.read("moved.sys").unwrap() == text());
    let free = volume.free_space().unwrap();
    volume.remove_file("moved.sys").unwrap();
    assert!(volume.free_space().unwrap() > free);
    drop(volume);
    assert_eq!(check_changes(device.clone(), &changes).unwrap(), Check::default());
    let mut ntfs = Ntfs::open(device).unwrap();
    assert_eq!(keys(&mut ntfs, "$Reparse", &REPARSE_POINTS).len(), 1);
    assert_eq!(ntfs.check().unwrap(), Check::default());
}

#[test]
fn a_file_with_an_attribute_list_is_read_and_becomes_plain() {
    let device = SharedDevice::new(MemoryDevice::zeroed(LEN));
    let mut ntfs = format(device.clone());
    let data = text();
    if put(&mut ntfs, 0, &data).is_none() {
        return;
    }
    spread(&mut ntfs, PATH);
    assert!(ntfs.read(PATH).unwrap() == data);
    let changed = vec![5; 50_000];
    ntfs.write(PATH, &changed).unwrap();
    assert_plain(&mut ntfs, &changed);
    assert_eq!(ntfs.check().unwrap(), Check::default());
}

/// What cannot be read is told; and it can be written over and deleted all the same.
#[test]
fn what_cannot_be_expanded_is_told() {
    let mut ntfs = format(MemoryDevice::zeroed(LEN));
    for (numbers, size, stored, says) in [
        ([1, 1, 0, 0], 100, &[7; 100][..], "contents lie in a WIM archive"),
        ([1, 2, 1, 9], 100, &[7; 100], "with the algorithm 9"),
        ([1, 2, 1, 1], 100, &[7; 99], "chunk 0 of LZX is malformed"),
        ([1, 2, 1, 0], 5000, &[7; 3], "its table of chunks leaves"),
        ([1, 2, 1, 0], 1 << 50, &[7; 3], "has 1125899906842624 bytes"),
    ] {
        compress(&mut ntfs, PATH, numbers, size, stored);
        let error = ntfs.read(PATH).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(ntfs.write_at(PATH, 3, b"x").is_err());
        assert_eq!(ntfs.metadata(PATH).unwrap().size, size);
        let known =
            WofFile::algorithm(&[&[0; 8][..], &numbers.map(u32::to_le_bytes).concat()].concat());
        assert_eq!(ntfs.write(PATH, b"new").is_ok(), known.is_ok());
        ntfs.remove_file(PATH).unwrap();
        assert_eq!(ntfs.check().unwrap(), Check::default(), "{says}");
    }
    compress(&mut ntfs, PATH, [1, 2, 1, 0], 3, b"abc");
    let mut inode = ntfs.engine.resolve_path(PATH).unwrap();
    inode.base.remove(kind::DATA, &wof_stream());
    ntfs.engine.write_inode(&mut inode).unwrap();
    let error = ntfs.read(PATH).unwrap_err().to_string();
    assert!(error.contains("has no stream WofCompressedData"), "{error}");
    ntfs.write(PATH, b"new").unwrap();
    assert_eq!(ntfs.read(PATH).unwrap(), b"new");
    assert_eq!(ntfs.check().unwrap(), Check::default());
}

/// A device that loses its power after some writes.
struct Cut {
    inner: SharedDevice,
    writes_left: u64,
}

impl BlockDevice for Cut {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let left = self.writes_left.checked_sub(1).ok_or(std::io::ErrorKind::BrokenPipe)?;
        self.writes_left = left;
        self.inner.write_at(offset, data)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_power_cut_leaves_the_old_file_or_the_new_one() {
    let Some(bytes) = prepared() else { return };
    let new = vec![9; 70_000];
    let mut both = [false; 2];
    for writes_left in 0.. {
        let inner = SharedDevice::new(MemoryDevice::new(bytes.clone()));
        let mut cut = Ntfs::open(Cut { inner: inner.clone(), writes_left }).unwrap();
        let done = cut.write(PATH, &new).is_ok();
        let mut ntfs = Ntfs::open(inner).unwrap();
        assert_eq!(ntfs.check().unwrap().errors, Vec::<String>::new(), "{writes_left} writes");
        let now = ntfs.read(PATH).unwrap();
        assert!(now == new || now == text(), "{writes_left} writes");
        both[usize::from(now == new)] = true;
        if done {
            assert_eq!(both, [true; 2]);
            return;
        }
    }
}

fn run(name: &str, arguments: &[&str]) -> Option<String> {
    let Ok(output) = Command::new(name).args(arguments).output() else {
        println!("skipped: {name} is not installed");
        return None;
    };
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}: {said}");
    Some(said)
}

/// The tools of `ntfs-3g` find the volume clean before and after, and the file as it should be.
#[test]
fn ntfs_3g_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("volume.ntfs");
    let path = image.to_str().unwrap();
    std::fs::File::create_new(&image).unwrap().set_len(LEN as u64).unwrap();
    let open = || {
        let file = std::fs::File::options().read(true).write(true).open(&image).unwrap();
        FileDevice::new(file).unwrap()
    };
    let clean = || {
        run("ntfsfix", &["-n", path])?;
        run("ntfsresize", &["--info", "--force", "--no-progress-bar", path])
    };
    let mut ntfs = format(open());
    if put(&mut ntfs, 1, &text()).is_none() {
        return;
    }
    let inside = PATH.replace('\\', "/");
    let Some(said) = run("ntfsinfo", &["-F", &inside, path]) else { return };
    assert!(
        said.contains("WofCompressedData") && said.contains("SPARSE_FILE REPARSE_POINT"),
        "{said}"
    );
    assert!(clean().is_some());
    ntfs.write_at(PATH, 5, b"changed").unwrap();
    let mut data = text();
    data[5..12].copy_from_slice(b"changed");
    let said = run("ntfsinfo", &["-F", &inside, path]).unwrap();
    for gone in ["WofCompressedData", "REPARSE", "SPARSE"] {
        assert!(!said.contains(gone), "{gone}: {said}");
    }
    assert!(clean().is_some());
    let there = Command::new("ntfscat").args([path, &inside]).output().unwrap();
    assert!(there.status.success() && there.stdout == data);
    ntfs.remove_file(PATH).unwrap();
    assert!(clean().is_some());
}

//! Volumes that other systems made: every file is read with our code and with the crate `ntfs`, and
//! then the volumes are edited.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use ntfs::{NtfsFile, NtfsReadSeek};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use volume::{BlockDevice, Kind, Ntfs, Stream, Volume};

mod artifacts;

type Files = BTreeMap<String, Result<Vec<u8>, String>>;

fn ours(volume: &mut Ntfs, path: &str, found: &mut Files) {
    for entry in volume.list(path).unwrap() {
        let below = format!("{path}\\{}", entry.name);
        match entry.kind {
            Kind::Directory => ours(volume, &below, found),
            _ => {
                let data = volume.read(&below).map_err(|error| error.to_string());
                found.insert(below, data);
            }
        }
    }
}

fn theirs(
    ntfs: &ntfs::Ntfs,
    disk: &mut Stream<impl BlockDevice>,
    dir: &NtfsFile<'_>,
    path: &str,
    found: &mut Files,
) {
    let index = dir.directory_index(disk).unwrap();
    let mut entries = index.entries();
    while let Some(entry) = entries.next(disk) {
        let entry = entry.unwrap();
        let name = entry.key().unwrap().unwrap();
        let number = entry.file_reference().file_record_number();
        if number < 16 || name.namespace() == ntfs::structured_values::NtfsFileNamespace::Dos {
            continue;
        }
        let below = format!("{path}\\{}", name.name().to_string_lossy());
        let file = entry.to_file(ntfs, disk).unwrap();
        if file.is_directory() {
            theirs(ntfs, disk, &file, &below, found);
            continue;
        }
        let mut data = Vec::new();
        if let Some(item) = file.data(disk, "") {
            let item = item.unwrap();
            let mut value = item.to_attribute().unwrap().value(disk).unwrap();
            let mut buffer = vec![0; 1 << 16];
            loop {
                let count = value.read(disk, &mut buffer).unwrap();
                if count == 0 {
                    break;
                }
                data.extend(&buffer[..count]);
            }
        }
        found.insert(below, Ok(data));
    }
}

fn compare(name: &str, at_least: usize) -> Option<(tempfile::TempDir, PathBuf)> {
    let (dir, image) = artifacts::disk(name)?;
    let (mut one, mut other) = (Files::new(), Files::new());
    let mut volume = Ntfs::open(artifacts::last_volume(&image)).unwrap();
    ours(&mut volume, "", &mut one);
    let mut disk = Stream::new(artifacts::last_volume(&image));
    let mut ntfs = ntfs::Ntfs::new(&mut disk).unwrap();
    ntfs.read_upcase_table(&mut disk).unwrap();
    let root = ntfs.root_directory(&mut disk).unwrap();
    theirs(&ntfs, &mut disk, &root, "", &mut other);
    println!("{name}: {} files", one.len());
    assert!(one.len() >= at_least, "{name}: only {} files", one.len());
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{name}");
    for (path, data) in &one {
        // The shadow copies' file was never written as a file (its initialised size is 0), so it
        // reads as zeros, as with `ntfs-3g`. The other reader does not know initialised sizes.
        if path.ends_with("{3808876b-c176-4e48-b7ae-04046e6cc752}") {
            assert!(data.as_ref().unwrap().iter().all(|&byte| byte == 0));
            continue;
        }
        assert!(*data == other[path], "{name}: '{path}' differs: {:?}", data.as_ref().err());
    }
    let check = volume.check().unwrap();
    assert!(check.errors.is_empty(), "{name}: {:#?}", check.errors);
    println!("{name}: {check:?}");
    Some((dir, image))
}

/// Edits a volume that another system made; all that was there before stays as it was. `linked`: all
/// files are names of one.
fn edit(name: &str, image: &Path, linked: bool) {
    let mut before = Files::new();
    let mut volume = Ntfs::open(artifacts::last_volume(image)).unwrap();
    let lost = volume.check().unwrap();
    ours(&mut volume, "", &mut before);
    assert_eq!(volume.guard().unwrap(), None, "{name}");
    volume.create_dir_all("made\\by us").unwrap();
    for index in 0..300 {
        let path = format!("made\\by us\\file {index} with a long name.txt");
        volume.write(&path, &vec![index as u8; index * 30]).unwrap();
        if index % 3 == 0 {
            volume.remove_file(&path).unwrap();
        }
    }
    let victims: Vec<String> = before
        .iter()
        .filter(|(path, data)| data.is_ok() && !path.contains("System Volume Information"))
        .map(|(path, _)| path.clone())
        .collect();
    for (index, path) in victims.iter().enumerate() {
        match index % 4 {
            0 => volume.remove_file(path).unwrap(),
            1 => volume.append(path, b"appended").unwrap(),
            2 => volume.write(path, b"replaced").unwrap(),
            _ => {}
        }
        if index % 4 == 0 {
            before.remove(path);
        }
        let affected = before.iter_mut().filter(|(other, _)| linked || *other == path);
        for (_, data) in affected {
            match (index % 4, data) {
                (1, Ok(data)) => data.extend(b"appended"),
                (2, data) => *data = Ok(b"replaced".to_vec()),
                _ => {}
            }
        }
    }
    volume.flush().unwrap();
    let check = volume.check().unwrap();
    assert!(check.errors.is_empty(), "{name}: {:#?}", check.errors);
    assert_eq!(check.lost_clusters, lost.lost_clusters, "{name}");
    assert_eq!(check.lost_records, lost.lost_records, "{name}");
    let mut after = Files::new();
    ours(&mut volume, "", &mut after);
    assert_eq!(after.keys().filter(|path| path.starts_with("\\made")).count(), 200);
    after.retain(|path, _| !path.starts_with("\\made"));
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{name}");
    for (path, data) in &after {
        assert!(*data == before[path], "{name}: '{path}' differs");
    }
}

#[test]
fn a_volume_of_windows_with_small_clusters() {
    if let Some((_dir, image)) = compare("ntfs_index.raw.gz", 20) {
        edit("ntfs_index", &image, false);
    }
}

#[test]
fn attribute_lists_and_hard_links_of_linux() {
    if let Some((_dir, image)) = compare("ntfs3_attrlist.raw.gz", 1) {
        edit("ntfs3_attrlist", &image, true);
    }
}

#[test]
fn a_disk_of_windows_10_with_a_shadow_copy() {
    if let Some((_dir, image)) = compare("vss_2_stor.tar.gz", 3) {
        edit("vss_2_stor", &image, false);
    }
}

#[test]
fn a_volume_in_a_qcow2_image() {
    if let Some((_dir, image)) = compare("windows_volume.qcow2", 1) {
        edit("windows_volume", &image, false);
    }
}

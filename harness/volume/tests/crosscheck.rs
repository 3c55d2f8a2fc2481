//! What our writer does to volumes that other systems made, judged by other implementations: the tools
//! of `ntfs-3g` read the new files back and check the volume, and the crate `ntfs` says that nothing
//! else has changed: every stream, name, security descriptor, index of every other file record.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use ntfs::{NtfsFileFlags, NtfsReadSeek};
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use volume::{
    BlockDevice, Changes, Check, FileDevice, SharedDevice, Stream, Volume, check_changes,
    open_tracked,
};

mod artifacts;

/// Record number, attribute type, attribute name.
type Place = (u64, String, String);
type Print = BTreeMap<Place, blake3::Hash>;

const BITMAP: u64 = 6;
const ROOT: u64 = 5;
const BAD_CLUSTERS: u64 = 8;

/// The hash of every attribute of every file, read by the crate `ntfs`.
fn fingerprint(image: &Path) -> Print {
    let file = std::fs::File::open(image).unwrap();
    let mut disk = Stream::new(FileDevice::new(file).unwrap());
    let ntfs = ntfs::Ntfs::new(&mut disk).unwrap();
    let count = {
        let mft = ntfs.file(&mut disk, 0).unwrap();
        let data = mft.data(&mut disk, "").unwrap().unwrap();
        data.to_attribute().unwrap().value_length() / u64::from(ntfs.file_record_size())
    };
    let mut print = Print::new();
    for number in 0..count {
        let Ok(file) = ntfs.file(&mut disk, number) else { continue };
        if !file.flags().contains(NtfsFileFlags::IN_USE) {
            continue;
        }
        // The attributes of an extension record are those of its base, which lists them.
        let place = file.position().value().unwrap().get();
        let mut base = [0; 8];
        disk.device_mut().read_at(place + 0x20, &mut base).unwrap();
        if base != [0; 8] {
            continue;
        }
        let mut attributes = file.attributes();
        let mut places: BTreeMap<Place, u32> = BTreeMap::new();
        while let Some(item) = attributes.next(&mut disk) {
            let item = item.unwrap();
            let attribute = item.to_attribute().unwrap();
            let name = attribute.name().unwrap().to_string_lossy();
            if number == BAD_CLUSTERS && name == "$Bad" {
                continue;
            }
            let mut hasher = blake3::Hasher::new();
            let mut value = attribute.value(&mut disk).unwrap();
            let mut buffer = vec![0; 1 << 20];
            loop {
                let count = value.read(&mut disk, &mut buffer).unwrap();
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
            }
            let kind = attribute.ty().unwrap().to_string();
            // A file may have several names.
            let again = places.entry((number, kind.clone(), name.clone())).or_default();
            print.insert((number, kind, format!("{name}#{again}")), hasher.finalize());
            *again += 1;
        }
    }
    print
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

fn cat(image: &str, path: &str) -> Vec<u8> {
    run("ntfscat", &[image, &format!("/{DIR}/{path}")])
}

/// Bytes that differ from place to place.
fn data(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

const DIR: &str = "put by loopbreak";
const MIB: usize = 1 << 20;

/// The files that our writer leaves behind, in `DIR`.
fn edit(volume: &mut dyn Volume) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut put = |volume: &mut dyn Volume, name: &str, data: Vec<u8>| {
        volume.write(&format!("{DIR}\\{name}"), &data).unwrap();
        files.insert(name.replace('\\', "/"), data);
    };
    volume.create_dir_all(&format!("{DIR}\\many")).unwrap();
    put(volume, "small.sys", data(41, 1));
    put(volume, "empty", Vec::new());
    put(volume, "8 MB.bin", data(8_000_000, 2));
    for index in 0..300 {
        put(volume, &format!("many\\file number {index}.txt"), data(index * 7, index as u32));
    }
    // Overwritten: a small file by one of clusters, and the other way round, and a large one.
    put(volume, "grows", data(100, 3));
    put(volume, "grows", data(300_000, 4));
    put(volume, "shrinks", data(300_000, 5));
    put(volume, "shrinks", data(100, 6));
    put(volume, "replaced", data(2 * MIB, 7));
    put(volume, "replaced", data(2 * MIB + 12_345, 8));
    volume.write_at(&format!("{DIR}\\replaced"), 1_000_000, &data(5000, 9)).unwrap();
    files.get_mut("replaced").unwrap()[1_000_000..1_005_000].copy_from_slice(&data(5000, 9));
    volume.append(&format!("{DIR}\\grows"), &data(70_000, 10)).unwrap();
    files.get_mut("grows").unwrap().extend(data(70_000, 10));
    for index in (0..300).step_by(3) {
        let name = format!("many\\file number {index}.txt");
        volume.remove_file(&format!("{DIR}\\{name}")).unwrap();
        files.remove(&name.replace('\\', "/"));
    }
    volume.rename(&format!("{DIR}\\shrinks"), &format!("{DIR}\\many\\moved")).unwrap();
    let moved = files.remove("shrinks").unwrap();
    files.insert("many/moved".to_owned(), moved);
    volume.flush().unwrap();
    files
}

/// The last volume of an artifact in a file of its own, which is what the tools take.
fn volume_of(name: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let (dir, disk) = artifacts::disk(name)?;
    let mut from = artifacts::last_volume(&disk);
    let image = dir.path().join("volume.ntfs");
    let file = std::fs::File::create_new(&image).unwrap();
    file.set_len(from.len()).unwrap();
    let mut buffer = vec![0; MIB];
    let mut offset = 0;
    while offset < from.len() {
        let part = &mut buffer[..(from.len() - offset).min(MIB as u64) as usize];
        from.read_at(offset, part).unwrap();
        // What is all zeros stays a hole.
        if part.iter().any(|&byte| byte != 0) {
            file.write_all_at(part, offset).unwrap();
        }
        offset += part.len() as u64;
    }
    Some((dir, image))
}

/// An open volume whose changes are noted.
struct Open {
    volume: Box<dyn Volume>,
    device: SharedDevice,
    changes: Changes,
}

fn open(image: &Path) -> Open {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(image).unwrap();
    let device = SharedDevice::new(FileDevice::new(file).unwrap());
    let changes = Changes::default();
    let volume = open_tracked(device.clone(), &changes).unwrap();
    Open { volume, device, changes }
}

impl Open {
    /// The check of what was changed, which finds nothing, and that of the whole.
    fn check(&mut self, name: &str) -> Check {
        let found = check_changes(self.device.clone(), &self.changes).unwrap();
        assert_eq!((found.errors, found.lost_clusters), (Vec::new(), 0), "{name}");
        self.volume.check().unwrap()
    }
}

/// The checks of `ntfs-3g`: `$MFT` against its mirror and the boot sectors; and every cluster of every
/// file against `$Bitmap`.
fn clean(image: &str) {
    run("ntfsfix", &["-n", image]);
    let said = run("ntfsresize", &["--info", "--force", "--no-progress-bar", image]);
    assert!(String::from_utf8_lossy(&said).contains("Accounting clusters"), "{said:?}");
}

/// Edits a copy of the volume, lets the others judge, takes everything away again, and lets them judge
/// once more. Returns a line of the table.
fn judge(name: &str, path: &Path) -> String {
    let image = path.to_str().unwrap();
    clean(image);
    let before = fingerprint(path);
    let mut edited = open(path);
    edited.volume.set_clock(volume::FileTime::from_unix_seconds(1_721_362_140));
    let (sound, free) = (edited.check(name), edited.volume.free_space().unwrap());
    assert!(sound.errors.is_empty(), "{name}: {sound:?}");
    let names = edited.volume.list("").unwrap();
    let files = edit(&mut *edited.volume);
    assert_eq!(edited.check(name), sound, "{name}");
    drop(edited);

    clean(image);
    for (path, data) in &files {
        assert!(cat(image, path) == *data, "{name}: {path} is read back differently");
    }
    let listed = |dir: &str| {
        let lines = run("ntfsls", &["-p", &format!("/{DIR}/{dir}"), image]);
        String::from_utf8(lines)
            .unwrap()
            .lines()
            .filter(|line| !matches!(*line, "" | "." | ".."))
            .count()
    };
    assert_eq!(listed("many"), 201, "{name}");
    for path in ["small.sys", "8 MB.bin", "many/moved"] {
        let info = run("ntfsinfo", &["-F", &format!("/{DIR}/{path}"), image]);
        assert!(!info.is_empty());
    }
    let unchanged = compare(name, &before, &fingerprint(path), true);

    let mut edited = open(path);
    edited.volume.remove_dir_all(DIR).unwrap();
    assert_eq!(edited.check(name), sound, "{name}");
    assert_eq!(edited.volume.list("").unwrap(), names, "{name}");
    let kept = free - edited.volume.free_space().unwrap();
    drop(edited);
    clean(image);
    compare(name, &before, &fingerprint(path), false);
    let bytes: usize = files.values().map(Vec::len).sum();
    format!(
        "{name:<24} {:>5} {bytes:>9} {:>9} {unchanged:>9} {:>7} {kept:>9}",
        files.len(),
        "identical",
        "clean"
    )
}

/// Everything that was there is there as it was, but for what holds every file together: the table of
/// files, the map of clusters, and the directory that got a new entry. Returns how many attributes.
fn compare(name: &str, before: &Print, after: &Print, added: bool) -> usize {
    let ours = |(number, ..): &&Place| !matches!(*number, 0 | 1 | BITMAP | ROOT);
    let mut unchanged = 0;
    for place in before.keys().filter(ours) {
        assert_eq!(after.get(place), before.get(place), "{name}: {place:?} has changed");
        unchanged += 1;
    }
    let known: Vec<u64> = before.keys().map(|(number, ..)| *number).collect();
    let new = after.keys().filter(ours).filter(|(number, ..)| !known.contains(number)).count();
    assert_eq!(new > 0, added, "{name}: {new} attributes of records that were not there before");
    // Of the root: its own name, rights and whatever else it has.
    for place in before.keys().filter(|(number, kind, _)| {
        *number == ROOT && (kind == "SecurityDescriptor" || kind == "Data" || kind == "ObjectId")
    }) {
        assert_eq!(after.get(place), before.get(place), "{name}: {place:?} has changed");
    }
    unchanged
}

#[test]
fn other_implementations_agree_on_every_volume() {
    let tools = ["ntfscat", "ntfsls", "ntfsinfo", "ntfsfix", "ntfsresize"];
    if !tools.iter().all(|name| artifacts::tool(name)) {
        return;
    }
    println!(
        "{:<24} {:>5} {:>9} {:>9} {:>9} {:>7} {:>9}",
        "volume", "files", "bytes", "read back", "unchanged", "volume", "kept"
    );
    for name in
        ["ntfs_index.raw.gz", "vss_2_stor.tar.gz", "ntfs3_attrlist.raw.gz", "windows_volume.qcow2"]
    {
        let Some((_dir, path)) = volume_of(name) else { return };
        println!("{}", judge(name, &path));
    }
    if Command::new("mkntfs").arg("--version").output().is_err() {
        println!("skipped: mkntfs is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (sector, cluster) in [(512, 512), (512, 65536), (512, 131_072), (4096, 4096)] {
        let path = dir.path().join(format!("{sector}-{cluster}"));
        std::fs::File::create_new(&path).unwrap().set_len(128 << 20).unwrap();
        let (sector, cluster) = (sector.to_string(), cluster.to_string());
        let places = ["-p", "0", "-H", "0", "-S", "0"];
        let sizes = ["-F", "-Q", "-q", "-s", &sector, "-c", &cluster];
        run("mkntfs", &[&sizes[..], &places, &[path.to_str().unwrap()]].concat());
        println!("{}", judge(&format!("mkntfs {sector}/{cluster}"), &path));
    }
}

/// How many entries `ntfsinfo` counts in the indexes of a file.
fn index_entries(image: &str, record: u64) -> usize {
    let said = run("ntfsinfo", &["-v", "-i", &record.to_string(), image]);
    String::from_utf8_lossy(&said)
        .lines()
        .filter_map(|line| line.split_once("Index entries total:"))
        .map(|(_, count)| count.split_whitespace().next().unwrap().parse::<usize>().unwrap())
        .sum()
}

#[test]
fn files_that_windows_gave_object_ids_leave_their_index() {
    if !artifacts::tool("ntfsinfo") {
        return;
    }
    let Some((_dir, path)) = volume_of("ntfs_index.raw.gz") else { return };
    let image = path.to_str().unwrap();
    let ids = |print: &Print| print.keys().filter(|(_, kind, _)| kind == "ObjectId").count();
    let (before, entries) = (ids(&fingerprint(&path)), index_entries(image, 25));
    let mut one = open(&path);
    for entry in one.volume.list("").unwrap() {
        if entry.kind == volume::Kind::File {
            one.volume.remove_file(&entry.name).unwrap();
        }
    }
    one.volume.remove_dir_all("test_dir").unwrap();
    assert_eq!(one.check("removed").errors, Vec::<String>::new());
    drop(one);
    clean(image);
    let gone = before - ids(&fingerprint(&path));
    println!("{before} object ids, {gone} gone; {entries} entries of the index before");
    assert!(gone > 5);
    assert_eq!(index_entries(image, 25), entries - gone);
}

#[test]
fn links_of_a_file_with_an_attribute_list_are_moved() {
    if !artifacts::tool("ntfscat") {
        return;
    }
    let Some((_dir, path)) = volume_of("ntfs3_attrlist.raw.gz") else { return };
    let image = path.to_str().unwrap();
    let mut one = open(&path);
    let sound = one.check("before");
    let volume = &mut one.volume;
    let names: Vec<String> = volume.list("").unwrap().into_iter().map(|entry| entry.name).collect();
    let links: Vec<&String> = names.iter().filter(|name| name.ends_with(".txt")).collect();
    let contents = volume.read(links[0]).unwrap();
    volume.create_dir_all("moved").unwrap();
    let moved: Vec<(&String, String)> = links
        .iter()
        .enumerate()
        .map(|(index, name)| match index % 3 {
            0 => (*name, format!("moved\\{name}")),
            1 => (*name, format!("a much longer name than before for {name}")),
            _ => (*name, format!("moved\\{}", "x".repeat(200) + name)),
        })
        .collect();
    for (from, to) in &moved {
        volume.rename(from, to).unwrap();
    }
    assert_eq!(one.check("moved"), sound);
    drop(one);
    clean(image);
    for (from, to) in moved.iter().step_by(7) {
        let to = to.replace('\\', "/");
        assert_eq!(run("ntfscat", &[image, &format!("/{to}")]), contents, "{to}");
        let gone = Command::new("ntfscat").args([image, &format!("/{from}")]).output().unwrap();
        assert!(!gone.status.success(), "{from} is still there");
    }
    println!("{} links moved", moved.len());
    assert!(moved.len() > 80);
}

/// The judge itself: a change of one byte of a file that was there is seen.
#[test]
fn a_change_elsewhere_is_noticed() {
    let Some((_dir, path)) = volume_of("windows_volume.qcow2") else { return };
    let before = fingerprint(&path);
    let mut volume = open(&path).volume;
    volume.write_at("Windows\\System32\\config\\syslog", 0, b"!").unwrap();
    drop(volume);
    let after = fingerprint(&path);
    let changed: Vec<_> =
        before.keys().filter(|place| before.get(place) != after.get(place)).collect();
    assert!(changed.iter().any(|(number, kind, _)| *number > 16 && kind == "Data"), "{changed:?}");
}

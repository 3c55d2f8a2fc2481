//! Random operations on an NTFS volume against a model in memory; at the end the volume must be sound
//! for our check and for the tools of `ntfs-3g`. A failure is cut down to the fewest operations.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::LazyLock;
use volume::{
    BlockDevice, Changes, Check, FileTime, Kind, MemoryDevice, Ntfs, NtfsFormat, SharedDevice,
    Volume, check_changes, open_tracked,
};

const DIRS: [&str; 4] = ["", "one\\", "one\\two\\", "a directory with a long name\\"];

#[derive(Debug, Clone)]
enum Step {
    Write(String, usize),
    WriteAt(String, usize, usize),
    Append(String, usize),
    Resize(String, usize),
    Rename(String, String),
    Remove(String),
    RemoveDirectory(usize),
    /// Another handle of the same session.
    Reopen,
    /// Another session.
    Restart,
}

fn name() -> impl Strategy<Value = String> {
    (0..DIRS.len(), 0..25usize, prop::sample::select(vec![0usize, 0, 12, 180]))
        .prop_map(|(dir, number, long)| format!("{}file {number}{}", DIRS[dir], "x".repeat(long)))
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![0..100usize, 400..1000usize, 3000..5000usize, 0..200_000usize]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (name(), len()).prop_map(|(name, len)| Step::Write(name, len)),
        3 => (name(), len(), len()).prop_map(|(name, at, len)| Step::WriteAt(name, at, len)),
        3 => (name(), len()).prop_map(|(name, len)| Step::Append(name, len)),
        3 => (name(), len()).prop_map(|(name, len)| Step::Resize(name, len)),
        4 => (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        4 => name().prop_map(Step::Remove),
        1 => (1..DIRS.len()).prop_map(Step::RemoveDirectory),
        1 => Just(Step::Reopen),
        1 => Just(Step::Restart),
    ]
}

static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let device = SharedDevice::new(MemoryDevice::zeroed(16 << 20));
    let time = FileTime::from_unix_seconds(1_721_362_140);
    let options = NtfsFormat { label: "Model".to_owned(), serial: 7, time };
    drop(Ntfs::format(device.clone(), &options).unwrap());
    bytes_of(&device)
});

fn bytes_of(device: &SharedDevice) -> Vec<u8> {
    let mut device = device.clone();
    let mut bytes = vec![0; device.len() as usize];
    device.read_at(0, &mut bytes).unwrap();
    bytes
}

fn data(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|index| (index.wrapping_mul(31) ^ (seed * 7)) as u8).collect()
}

fn tree(ntfs: &mut dyn Volume, path: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in ntfs.list(path).unwrap() {
        let below =
            if path.is_empty() { entry.name.clone() } else { format!("{path}\\{}", entry.name) };
        if entry.kind == Kind::Directory {
            tree(ntfs, &below, found);
        } else {
            found.insert(below.clone(), ntfs.read(&below).unwrap());
        }
    }
}

fn make_dirs(ntfs: &mut dyn Volume) {
    for dir in &DIRS[1..] {
        ntfs.create_dir_all(dir).unwrap();
    }
}

/// Does all steps; after each, `each` gets the device and what the session has changed on it.
fn run(
    steps: &[Step],
    mut each: impl FnMut(&SharedDevice, &Changes),
) -> (SharedDevice, BTreeMap<String, Vec<u8>>) {
    let device = SharedDevice::new(MemoryDevice::new(EMPTY.clone()));
    let mut changes = Changes::default();
    let mut ntfs = open_tracked(device.clone(), &changes).unwrap();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    make_dirs(&mut *ntfs);
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Write(name, len) => {
                ntfs.write(name, &data(*len, number)).unwrap();
                files.insert(name.clone(), data(*len, number));
            }
            Step::WriteAt(name, at, len) => {
                let data = data(*len, number);
                let written = ntfs.write_at(name, *at as u64, &data);
                assert_eq!(written.is_ok(), files.contains_key(name));
                if let Some(file) = files.get_mut(name) {
                    file.resize(file.len().max(at + len), 0);
                    file[*at..at + len].copy_from_slice(&data);
                }
            }
            Step::Append(name, len) => {
                ntfs.append(name, &data(*len, number)).unwrap();
                files.entry(name.clone()).or_default().extend(data(*len, number));
            }
            Step::Resize(name, len) => {
                let resized = ntfs.set_size(name, *len as u64);
                assert_eq!(resized.is_ok(), files.contains_key(name));
                if let Some(file) = files.get_mut(name) {
                    file.resize(*len, 0);
                }
            }
            Step::Rename(from, to) => {
                let renamed = ntfs.rename(from, to);
                assert_eq!(renamed.is_ok(), files.contains_key(from), "{renamed:?}");
                if let Some(data) = files.remove(from) {
                    files.insert(to.clone(), data);
                }
            }
            Step::Remove(name) => {
                assert_eq!(ntfs.remove_file(name).is_ok(), files.remove(name).is_some());
            }
            Step::RemoveDirectory(dir) => {
                ntfs.remove_dir_all(DIRS[*dir]).unwrap();
                files.retain(|name, _| !name.starts_with(DIRS[*dir]));
                make_dirs(&mut *ntfs);
            }
            Step::Reopen => ntfs = open_tracked(device.clone(), &changes).unwrap(),
            Step::Restart => {
                changes = Changes::default();
                ntfs = open_tracked(device.clone(), &changes).unwrap();
            }
        }
        each(&device, &changes);
    }
    drop(ntfs);
    (device, files)
}

fn tools() -> bool {
    ["ntfsfix", "ntfsresize"].iter().all(|name| Command::new(name).arg("-V").output().is_ok())
}

/// `ntfsfix -n`, and every cluster of every file against the map of clusters.
fn judged(device: &SharedDevice) -> Result<(), String> {
    let image = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(image.path(), bytes_of(device)).unwrap();
    for tool in [&["ntfsfix", "-n"][..], &["ntfsresize", "--info", "--force"]] {
        let output = Command::new(tool[0]).args(&tool[1..]).arg(image.path()).output().unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            return Err(said + &String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_volume_behaves_as_its_model(steps in prop::collection::vec(step(), 1..120)) {
        let (device, files) = run(&steps, |_, _| {});
        let mut ntfs = Ntfs::open(device.clone()).unwrap();
        prop_assert_eq!(ntfs.check().unwrap(), Check::default());
        let mut found = BTreeMap::new();
        tree(&mut ntfs, "", &mut found);
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
        for (name, data) in &files {
            prop_assert!(found[name] == *data, "{} differs", name);
        }
        if tools() {
            prop_assert_eq!(judged(&device), Ok(()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The check of what a session changed finds no more and no less than that of the whole volume.
    #[test]
    fn the_check_of_changes_agrees_after_every_step(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps, |device, changes| {
            let found = check_changes(device.clone(), changes).unwrap();
            let whole = Ntfs::open(device.clone()).unwrap().check().unwrap();
            assert_eq!((found, whole), (Check::default(), Check::default()));
        });
    }
}

//! What differs between a disk and an earlier state of it, as far as a restore point covers it: the registry, and system
//! files by the endings of their names (windows-facts 4.6).

use std::collections::BTreeMap;

use blake3::Hash;
use disk::{Mark, Noise, Tree};
use faults::{Edit, Offline, OfflineError, VolumeRole};
use scenario::RestorePoint;
use winfmt::escaped;
use winfmt::hive::{EMPTY_LOG, WalkedKey};

use super::windows_disk::{WindowsDisk, read_hive};
use crate::error::RunError;

const C: VolumeRole = VolumeRole::Windows;
const CONFIG: &str = r"Windows\System32\config";
const HIVES: [&str; 7] =
    ["SYSTEM", "SOFTWARE", "SAM", "SECURITY", "DEFAULT", "COMPONENTS", "DRIVERS"];
const LOGS: [&str; 3] = ["LOG1", "LOG2", "LOG"];
/// Endings of system files, from the list that System Restore watches.
const ENDINGS: [&str; 20] = [
    "cat", "com", "cpl", "dll", "drv", "efi", "exe", "inf", "manifest", "msc", "mui", "mum", "nls",
    "ocx", "ps1", "scr", "sys", "tlb", "vbs", "vxd",
];

/// What goes back is held in memory.
const MOST_BYTES: u64 = 512 << 20;
const MOST_FILES: usize = 20_000;

/// The changes that bring registry and system files back to what they are at the `point`.
///
/// # Errors
/// One of the disks cannot be read, or more differs than is taken back here.
pub(crate) fn back_to(
    what: RestorePoint,
    windows: &mut WindowsDisk,
    point: &mut WindowsDisk,
    noise: &Noise,
) -> Result<Vec<Edit>, RunError> {
    let unreadable = |error: OfflineError| faults::RepairError::Disk(error);
    let mut edits = Vec::new();
    for hive in HIVES {
        edits.extend(registry(hive, windows, point).map_err(unreadable)?);
    }
    if !what.files {
        return Ok(edits);
    }
    let tree = |disk: &mut WindowsDisk| {
        Tree::read(disk.windows(), noise).map_err(|error| unreadable(error.into()))
    };
    let (earlier, now) = (tree(point)?, tree(windows)?);
    let differences = differences(&earlier, &now)?;
    room_for(&edits, &differences)?;
    for difference in differences {
        match difference {
            Difference::New(path) => {
                let path = windows.on_its_drive(path);
                edits.push(Edit::RemoveFile { volume: C, path });
            }
            Difference::Other(path, _) => {
                let path = windows.on_its_drive(path);
                let there = point.read_file(C, &path).map_err(unreadable)?;
                let gone = || RunError::Refused(format!("{} of the point is gone", C.path(&path)));
                let (bytes, modified) = there.ok_or_else(gone)?;
                edits.push(Edit::WriteFile { volume: C, path, bytes, modified });
            }
        }
    }
    Ok(edits)
}

/// A system file that is not as it was.
#[derive(Debug, PartialEq, Eq)]
enum Difference<'t> {
    /// It was not there; its path now.
    New(&'t str),
    /// It is another one, or gone; its path then, and its bytes.
    Other(&'t str, u64),
}

/// What differs between the system files of two trees. To Windows upper and lower case are the same, so that a file
/// whose name alone changed its case is the same file.
fn differences<'t>(earlier: &'t Tree, now: &'t Tree) -> Result<Vec<Difference<'t>>, RunError> {
    let (earlier, now) = (system_files(earlier)?, system_files(now)?);
    let mut differences = Vec::new();
    for (name, (path, mark)) in &earlier {
        if now.get(name).is_none_or(|(_, other)| other != mark) {
            differences.push(Difference::Other(path, mark.size()));
        }
    }
    let new = now.iter().filter(|(name, _)| !earlier.contains_key(*name));
    differences.extend(new.map(|(_, (path, _))| Difference::New(path)));
    Ok(differences)
}

/// The system files by their paths in lower case.
fn system_files(tree: &Tree) -> Result<BTreeMap<String, (&str, &Mark)>, RunError> {
    let mut files = BTreeMap::new();
    for (path, mark) in tree.files().filter(|(path, _)| is_system_file(path)) {
        if let Some((other, _)) = files.insert(path.to_lowercase(), (path, mark)) {
            return Err(RunError::Refused(format!(
                "{} and {} differ only in upper and lower case, so that they cannot be taken back from outside; use \
                 `files = false`",
                escaped(other),
                escaped(path)
            )));
        }
    }
    Ok(files)
}

/// Refuses what would not fit in memory.
fn room_for(registry: &[Edit], differences: &[Difference<'_>]) -> Result<(), RunError> {
    let held = |edit: &Edit| match edit {
        Edit::WriteFile { bytes, .. } => bytes.len() as u64,
        _ => 0,
    };
    let size = |difference: &Difference<'_>| match difference {
        Difference::Other(_, size) => *size,
        Difference::New(_) => 0,
    };
    let sizes = registry.iter().map(held).chain(differences.iter().map(size));
    let bytes = sizes.fold(0, u64::saturating_add);
    let files = differences.len();
    if bytes <= MOST_BYTES && files <= MOST_FILES {
        return Ok(());
    }
    Err(RunError::Refused(format!(
        "{files} system files differ from the restore point, and {bytes} bytes would go back; no more than {MOST_FILES} \
         files and {MOST_BYTES} bytes are taken back from outside; use `files = false`, or a fault that changes less"
    )))
}

/// A hive with its logs, where it holds something else than it did.
fn registry(
    hive: &str,
    windows: &mut WindowsDisk,
    point: &mut WindowsDisk,
) -> Result<Vec<Edit>, OfflineError> {
    let path = format!("{CONFIG}\\{hive}");
    let Some((bytes, modified)) = point.read_file(C, &path)? else { return Ok(Vec::new()) };
    let earlier = content(point, &path)?;
    // One that cannot be read holds something else.
    if content(windows, &path).is_ok_and(|now| now == earlier) {
        return Ok(Vec::new());
    }
    let write = |path, bytes, modified| Edit::WriteFile { volume: C, path, bytes, modified };
    let mut edits = vec![write(path.clone(), bytes, modified)];
    // A log that belongs to what the hive was since would be carried out over it.
    for ending in LOGS {
        let log = format!("{path}.{ending}");
        match (point.read_file(C, &log)?, windows.read_file(C, &log)?) {
            (Some((bytes, _)), _) => edits.push(write(log, bytes, None)),
            (None, Some(_)) => edits.push(write(log, EMPTY_LOG.to_vec(), None)),
            (None, None) => {}
        }
    }
    Ok(edits)
}

/// What a hive holds: its keys by their paths, each with a digest of its values. Times, and the order in the file, are
/// no part of it.
fn content(disk: &mut WindowsDisk, path: &str) -> Result<BTreeMap<String, Hash>, OfflineError> {
    let (hive, _) = read_hive(disk.windows(), path)?;
    let mut keys = BTreeMap::new();
    for walked in hive.walk() {
        let WalkedKey { path, key } = walked?;
        let mut values: Vec<String> = key
            .values()?
            .into_iter()
            .map(|value| format!("{:?} {:?}\n", value.name.text().to_lowercase(), value.data))
            .collect();
        values.sort();
        let names: Vec<String> =
            path.names().iter().map(|name| name.text().to_lowercase()).collect();
        keys.insert(names.join("\\"), blake3::hash(values.concat().as_bytes()));
    }
    Ok(keys)
}

/// True of what belongs to the system by its ending, and is no user's own.
fn is_system_file(path: &str) -> bool {
    let mut folders = path.split('\\');
    let users = folders.next().is_some_and(|first| first.eq_ignore_ascii_case("Users"));
    let name = path.rsplit('\\').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    let watched = |ending: &str| ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending));
    !users && ending.is_some_and(watched)
}

#[cfg(test)]
mod tests {
    use disk::Tree;

    use super::{Difference, MOST_BYTES, MOST_FILES, differences, is_system_file, room_for};

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mark = |content: &str| serde_json::json!({"size": 1, "content": content});
        let files: serde_json::Map<String, serde_json::Value> =
            files.iter().map(|(path, content)| ((*path).to_owned(), mark(content))).collect();
        serde_json::from_value(files.into()).unwrap()
    }

    #[test]
    fn a_name_that_changed_its_case_alone_is_the_same_file() {
        let (upper, lower) = (tree(&[(r"Windows\A.sys", "1")]), tree(&[(r"windows\a.sys", "1")]));
        assert_eq!(differences(&upper, &lower).unwrap(), []);
        assert_eq!(differences(&lower, &upper).unwrap(), []);
        let other = tree(&[(r"windows\a.sys", "2"), ("b.dll", "1"), ("b.txt", "1")]);
        let changed = [Difference::Other(r"Windows\A.sys", 1), Difference::New("b.dll")];
        assert_eq!(differences(&upper, &other).unwrap(), changed);
        let back = [Difference::Other("b.dll", 1), Difference::Other(r"windows\a.sys", 1)];
        assert_eq!(differences(&other, &upper).unwrap(), back);
        let both = tree(&[("a.sys", "1"), ("A.sys", "2")]);
        assert!(differences(&both, &upper).is_err() && differences(&upper, &both).is_err());
    }

    #[test]
    fn more_than_fits_in_memory_is_refused() {
        let large = |size| Difference::Other("a.sys", size);
        assert!(room_for(&[], &[large(MOST_BYTES)]).is_ok());
        assert!(room_for(&[], &[large(MOST_BYTES), large(1)]).is_err());
        assert!(room_for(&[], &[large(u64::MAX), large(1)]).is_err());
        let many: Vec<_> = (0..=MOST_FILES).map(|_| Difference::New("a.sys")).collect();
        assert!(room_for(&[], &many).is_err() && room_for(&[], &many[1..]).is_ok());
    }

    #[test]
    fn system_files_go_back_and_the_users_own_do_not() {
        for path in [r"Windows\System32\a.DLL", r"Program Files\b\c.exe", "x.sys"] {
            assert!(is_system_file(path), "{path}");
        }
        for path in [
            r"Users\Public\tool.exe",
            r"Windows\notes.txt",
            r"Windows\System32\config\SYSTEM",
            "sys",
        ] {
            assert!(!is_system_file(path), "{path}");
        }
    }
}

//! What differs between a disk and an earlier state of it, as far as a restore point covers it: the registry, and system
//! files by the endings of their names (windows-facts 4.6).

use std::collections::BTreeMap;

use blake3::Hash;
use disk::{Difference, Noise, Tree};
use faults::{Edit, Offline, OfflineError, VolumeRole};
use scenario::RestorePoint;
use winfmt::hive::{EMPTY_LOG, WalkedKey};

use super::windows_disk::{WindowsDisk, read_hive};
use crate::error::RunError;

const C: VolumeRole = VolumeRole::Windows;
const CONFIG: &str = r"Windows\System32\config";
const HIVES: [&str; 6] = ["SYSTEM", "SOFTWARE", "SAM", "SECURITY", "DEFAULT", "COMPONENTS"];
const LOGS: [&str; 3] = ["LOG1", "LOG2", "LOG"];
/// Endings of system files, from the list that System Restore watches.
const ENDINGS: [&str; 20] = [
    "cat", "com", "cpl", "dll", "drv", "efi", "exe", "inf", "manifest", "msc", "mui", "mum", "nls",
    "ocx", "ps1", "scr", "sys", "tlb", "vbs", "vxd",
];

/// The changes that bring registry and system files back to what they are at the `point`.
///
/// # Errors
/// One of the disks cannot be read.
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
    for change in earlier.changes(&now) {
        if !is_system_file(&change.path) {
            continue;
        }
        let path = windows.on_its_drive(&change.path);
        if change.what == Difference::Added {
            edits.push(Edit::RemoveFile { volume: C, path });
        } else if let Some((bytes, modified)) = point.read_file(C, &path).map_err(unreadable)? {
            edits.push(Edit::WriteFile { volume: C, path, bytes, modified });
        }
    }
    Ok(edits)
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
    use super::is_system_file;

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

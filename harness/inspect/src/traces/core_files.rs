//! Files that no start of Windows goes without.

use serde::{Deserialize, Serialize};
use volume::{Kind, Volume};

use crate::opened_disk::OpenedDisk;
use crate::{Known, program};

/// Programs of the session: each of them is started on the way to the logon, and the machine stops or stands
/// still without it (windows-facts.md 5.2, 5.3). All are in `System32` of every Windows since Vista.
const PROGRAMS: [&str; 8] = [
    "ntoskrnl.exe",
    "smss.exe",
    "csrss.exe",
    "wininit.exe",
    "winlogon.exe",
    "services.exe",
    "lsass.exe",
    "svchost.exe",
];
/// Entries that are looked at in search of another copy.
const MOST: usize = 50_000;
const DEEPEST: usize = 4;
const MAX_COPIES: usize = 8;

/// A file that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MissingFile {
    /// Where it belongs, from the root of the Windows volume.
    pub path: String,
    /// Other files of its name on that volume.
    pub copies: Vec<String>,
}

/// Two files of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Twins {
    /// The one in `System32`, from the root of the Windows volume.
    pub path: String,
    /// Its version.
    pub version: String,
    /// The one in `System32\drivers`.
    pub driver: String,
    /// Its version.
    pub driver_version: String,
}

pub(super) fn missing(opened: &mut OpenedDisk<'_>) -> Known<Vec<MissingFile>> {
    opened.windows().and_then(|(volume, root)| {
        let mut missing = Vec::new();
        for name in PROGRAMS {
            let path = format!(r"{root}\System32\{name}");
            match volume.exists(&path) {
                Ok(true) => {}
                Ok(false) => missing.push((name, path)),
                Err(error) => return Known::Unknown(error.to_string()),
            }
        }
        // A folder that holds none of them is not the system's.
        if missing.len() == PROGRAMS.len() {
            return Known::Unknown(format!(
                r"'{root}\System32' holds none of the programs that Windows starts with"
            ));
        }
        let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
        let copies = if names.is_empty() { Vec::new() } else { named(volume, &names) };
        let found = missing.into_iter().map(|(name, path)| {
            let same = |copy: &&String| {
                copy.rsplit('\\').next().is_some_and(|own| own.eq_ignore_ascii_case(name))
            };
            let copies = copies.iter().filter(same).take(MAX_COPIES).cloned().collect();
            MissingFile { path, copies }
        });
        Known::Known(found.collect())
    })
}

/// All files of these names, the nearest to the root first.
fn named(volume: &mut dyn Volume, names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let (mut level, mut seen) = (vec![String::new()], 0);
    for _ in 0..=DEEPEST {
        let mut next = Vec::new();
        for folder in level {
            for entry in volume.list(&folder).unwrap_or_default() {
                seen += 1;
                if seen > MOST {
                    return found;
                }
                let path = if folder.is_empty() {
                    entry.name.clone()
                } else {
                    format!("{folder}\\{}", entry.name)
                };
                match entry.kind {
                    Kind::Directory => next.push(path),
                    Kind::File
                        if names.iter().any(|name| name.eq_ignore_ascii_case(&entry.name)) =>
                    {
                        found.push(path);
                    }
                    _ => {}
                }
            }
        }
        level = next;
    }
    found
}

pub(super) fn twins(opened: &mut OpenedDisk<'_>) -> Known<Vec<Twins>> {
    opened.windows().and_then(|(volume, root)| {
        let folder = format!(r"{root}\System32");
        let drivers = format!(r"{folder}\drivers");
        let entries = match (volume.list(&folder), volume.list(&drivers)) {
            (Ok(folder), Ok(drivers)) => (folder, drivers),
            (Err(error), _) | (_, Err(error)) if error.is_not_found() => return Known::Absent,
            (Err(error), _) | (_, Err(error)) => return Known::Unknown(error.to_string()),
        };
        let mut twins = Vec::new();
        for entry in entries.0.iter().filter(|entry| entry.kind == Kind::File) {
            let is_driver = entry.name.to_ascii_lowercase().ends_with(".sys");
            let same = entries.1.iter().find(|other| other.name.eq_ignore_ascii_case(&entry.name));
            let Some(same) = same.filter(|_| is_driver) else { continue };
            let (path, driver) =
                (format!("{folder}\\{}", entry.name), format!("{drivers}\\{}", same.name));
            let mut version = |file: &str| match program::read(volume, file) {
                Known::Known(image) => match image.version {
                    Known::Known(version) => Some(version),
                    Known::Absent => Some("no version".to_owned()),
                    Known::Unknown(_) => None,
                },
                _ => None,
            };
            if let (Some(version), Some(driver_version)) = (version(&path), version(&driver))
                && version != driver_version
            {
                twins.push(Twins { path, version, driver, driver_version });
            }
        }
        Known::Known(twins)
    })
}

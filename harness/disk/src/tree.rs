//! What is on a volume, and what differs from before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use volume::{Kind, Volume, VolumeError};
use winfmt::paths::glob_matches;

/// Files above this many bytes are compared by size and time only.
const HASH_LIMIT: u64 = 64 << 20;
/// A damaged volume may hold folders in a circle or without end.
const DEPTH_LIMIT: usize = 128;
const ENTRY_LIMIT: usize = 4_000_000;

/// Paths that change by themselves and are left out: `C:\Windows\Logs\**` is all below a folder,
/// `C:\Windows\*.log` the files of one.
#[derive(Debug, Clone, Default)]
pub struct Noise {
    below: Vec<Vec<String>>,
    exact: Vec<Vec<String>>,
}

impl Noise {
    /// From the globs of a machine profile. Case does not matter.
    pub fn new<S: AsRef<str>>(globs: impl IntoIterator<Item = S>) -> Self {
        let mut noise = Self::default();
        for glob in globs {
            let mut parts = components(glob.as_ref());
            if parts.last().is_some_and(|last| last == "**") {
                parts.pop();
                noise.below.push(parts);
            } else {
                noise.exact.push(parts);
            }
        }
        noise
    }

    /// True if `path` (with or without its drive) is noise.
    pub fn covers(&self, path: &str) -> bool {
        let parts = components(path);
        let matches = |glob: &[String], parts: &[String]| {
            glob.len() == parts.len()
                && glob.iter().zip(parts).all(|(pattern, name)| glob_matches(pattern, name))
        };
        self.exact.iter().any(|glob| matches(glob, &parts))
            || self
                .below
                .iter()
                .any(|glob| parts.len() > glob.len() && matches(glob, &parts[..glob.len()]))
    }
}

fn components(path: &str) -> Vec<String> {
    let without_drive = match path.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => &path[2..],
        _ => path,
    };
    without_drive.split(['\\', '/']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Bytes.
    size: u64,
    /// BLAKE3 of the content, hex; for a very large file its time of last modification instead, and for
    /// one that cannot be read why not.
    content: String,
}

impl Mark {
    /// Its size in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, {}", self.size, self.content)
    }
}

/// All files of a volume that are not noise, by their path from its root, with `\` between the names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree(BTreeMap<String, Mark>);

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeChange {
    /// From the volume's root.
    pub path: String,
    /// What happened to it.
    pub what: Difference,
}

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its content is another.
    Changed,
}

impl Difference {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl Tree {
    /// Reads every file of `volume` that is not noise.
    pub fn read(volume: &mut dyn Volume, noise: &Noise) -> Result<Self, VolumeError> {
        let mut tree = BTreeMap::new();
        let mut buffer = vec![0; 1 << 20];
        let mut folders = vec![(String::new(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for entry in volume.list(&folder)? {
                let path = format!("{folder}\\{}", entry.name);
                if noise.covers(&path) || tree.len() >= ENTRY_LIMIT {
                    continue;
                }
                match entry.kind {
                    Kind::Directory if depth < DEPTH_LIMIT => folders.push((path, depth + 1)),
                    Kind::Directory | Kind::Reparse => {}
                    Kind::File => {
                        let mark = match mark(volume, &path, &mut buffer) {
                            Ok(mark) => mark,
                            // What cannot be read (encrypted, damaged) must not hide the rest.
                            Err(error) if !error.is_device() => Mark {
                                size: entry.size,
                                content: format!("unreadable: {}", error.reason),
                            },
                            Err(error) => return Err(error),
                        };
                        tree.insert(path.trim_start_matches('\\').to_owned(), mark);
                    }
                }
            }
        }
        Ok(Self(tree))
    }

    /// The files by their path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Mark)> {
        self.0.iter().map(|(path, mark)| (path.as_str(), mark))
    }

    /// What differs in `after`, by path.
    pub fn changes(&self, after: &Self) -> Vec<TreeChange> {
        let mut changes = Vec::new();
        for (path, before) in &self.0 {
            match after.0.get(path) {
                None => changes.push((path, Difference::Removed)),
                Some(mark) if mark != before => changes.push((path, Difference::Changed)),
                Some(_) => {}
            }
        }
        for path in after.0.keys().filter(|path| !self.0.contains_key(*path)) {
            changes.push((path, Difference::Added));
        }
        changes.sort_by(|one, other| one.0.cmp(other.0));
        changes.into_iter().map(|(path, what)| TreeChange { path: path.clone(), what }).collect()
    }
}

fn mark(volume: &mut dyn Volume, path: &str, buffer: &mut [u8]) -> Result<Mark, VolumeError> {
    let metadata = volume.metadata(path)?;
    if metadata.size > HASH_LIMIT {
        return Ok(Mark { size: metadata.size, content: metadata.modified.ticks().to_string() });
    }
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    while at < metadata.size {
        let read = volume.read_at(path, at, buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        at += read as u64;
    }
    Ok(Mark { size: metadata.size, content: hasher.finalize().to_hex().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_found_by_folder_and_by_pattern() {
        let noise = Noise::new([r"C:\Windows\Logs\**", r"C:\Windows\*.DMP", r"C:\pagefile.sys"]);
        assert!(noise.covers(r"\windows\logs\a\b.log"));
        assert!(noise.covers(r"C:\Windows\memory.dmp"));
        assert!(noise.covers("pagefile.sys"));
        assert!(!noise.covers(r"\Windows\Logs"));
        assert!(!noise.covers(r"\Windows\Minidump\x.dmp"));
        assert!(!noise.covers(r"\Windows\System32\pagefile.sys"));
    }

    #[test]
    fn differences_are_told_apart_and_sorted() {
        let tree = |files: &[(&str, &str)]| {
            Tree(
                files
                    .iter()
                    .map(|(path, content)| {
                        ((*path).to_owned(), Mark { size: 1, content: (*content).to_owned() })
                    })
                    .collect(),
            )
        };
        let before = tree(&[("a", "1"), ("c", "1"), ("d", "1")]);
        let after = tree(&[("b", "1"), ("c", "2"), ("d", "1")]);
        let changes: Vec<(String, &str)> = before
            .changes(&after)
            .into_iter()
            .map(|change| (change.path, change.what.as_str()))
            .collect();
        let expected = [("a", "removed"), ("b", "added"), ("c", "changed")];
        assert_eq!(changes, expected.map(|(path, what)| (path.to_owned(), what)));
    }
}

//! What was done to a disk since it was opened, to compare it with what is found there at the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use volume::Replayed;

use crate::worker::Found;

/// What should be at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A file with these contents, or nothing: all that was written or removed.
    Known(Found),
    /// Something was changed in part: what our own reader finds there.
    Touched,
}

/// By partition, then by path in upper case; with the path as it was given.
type Edits = BTreeMap<u32, BTreeMap<String, (String, Expected)>>;

/// What was done to one disk.
#[derive(Debug, Default)]
pub(crate) struct Session {
    edits: Mutex<Edits>,
    /// Logs that were carried out, by partition.
    replayed: Mutex<BTreeMap<u32, Replayed>>,
}

/// A path without the differences that do not make another one.
fn normal(path: &str) -> (String, String) {
    let parts: Vec<&str> = path.split(['\\', '/']).filter(|part| !part.is_empty()).collect();
    let path = parts.join("\\");
    (path.to_uppercase(), path)
}

impl Session {
    /// The log of a volume was carried out when it was opened.
    pub(crate) fn replayed(&self, partition: u32, replayed: Replayed) {
        self.all_replayed().insert(partition, replayed);
    }

    /// The logs that were carried out, by partition.
    pub(crate) fn all_replayed(&self) -> MutexGuard<'_, BTreeMap<u32, Replayed>> {
        self.replayed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn edits(&self) -> MutexGuard<'_, Edits> {
        self.edits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, partition: u32, path: &str, expected: Expected) {
        let (key, path) = normal(path);
        self.edits().entry(partition).or_default().insert(key, (path, expected));
    }

    /// A whole file was written.
    pub(crate) fn written(&self, partition: u32, path: &str, size: u64, hash: blake3::Hash) {
        let found = Found::File { size, blake3: hash.to_hex().to_string() };
        self.set(partition, path, Expected::Known(found));
    }

    /// Something was changed in part, or made.
    pub(crate) fn touched(&self, partition: u32, path: &str) {
        self.set(partition, path, Expected::Touched);
    }

    /// Something else than the contents was changed.
    pub(crate) fn touched_if_new(&self, partition: u32, path: &str) {
        let (key, path) = normal(path);
        let mut edits = self.edits();
        let volume = edits.entry(partition).or_default();
        volume.entry(key).or_insert((path, Expected::Touched));
    }

    /// A file, or a folder with what is in it, was removed.
    pub(crate) fn removed(&self, partition: u32, path: &str) {
        let below = format!("{}\\", normal(path).0);
        self.edits().entry(partition).or_default().retain(|key, _| !key.starts_with(&below));
        self.set(partition, path, Expected::Known(Found::Nothing));
    }

    /// A file, or a folder with what is in it, was moved.
    pub(crate) fn renamed(&self, partition: u32, from: &str, to: &str) {
        let ((old_key, old), (new_key, new)) = (normal(from), normal(to));
        let mut edits = self.edits();
        let volume = edits.entry(partition).or_default();
        let (from_below, to_below) = (format!("{old_key}\\"), format!("{new_key}\\"));
        let moved: Vec<(String, (String, Expected))> = volume
            .extract_if(.., |key, _| *key == old_key || key.starts_with(&from_below))
            .collect();
        volume.retain(|key, _| *key != new_key && !key.starts_with(&to_below));
        volume.insert(new_key.clone(), (new.clone(), Expected::Touched));
        for (key, (path, expected)) in moved {
            // Upper case may have another length than what it was made of; each is cut by its own.
            let place = (key.get(old_key.len()..), path.get(old.len()..));
            if let (Some(key), Some(path)) = place {
                volume.insert(format!("{new_key}{key}"), (format!("{new}{path}"), expected));
            }
        }
        if old_key != new_key {
            volume.insert(old_key, (old, Expected::Known(Found::Nothing)));
        }
    }

    /// The partitions that were changed, each with its paths and what should be there.
    pub(crate) fn changes(&self) -> Vec<(u32, Vec<(String, Expected)>)> {
        self.edits()
            .iter()
            .map(|(&partition, edits)| (partition, edits.values().cloned().collect()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(byte: u8) -> Expected {
        let blake3 = blake3::hash(&[byte]).to_hex().to_string();
        Expected::Known(Found::File { size: 1, blake3 })
    }

    fn write(session: &Session, path: &str, byte: u8) {
        session.written(2, path, 1, blake3::hash(&[byte]));
    }

    #[test]
    fn the_last_change_of_a_path_counts() {
        let session = Session::default();
        write(&session, r"\Windows\a.sys", 1);
        write(&session, "WINDOWS/A.SYS", 2);
        write(&session, r"Windows\b.sys", 3);
        session.touched(2, r"windows\B.sys");
        session.touched_if_new(2, r"Windows\A.sys");
        session.touched_if_new(2, r"Windows\c.sys");
        session.removed(5, "x");
        let nothing = Expected::Known(Found::Nothing);
        assert_eq!(
            session.changes(),
            [
                (
                    2,
                    vec![
                        (r"WINDOWS\A.SYS".to_owned(), file(2)),
                        (r"windows\B.sys".to_owned(), Expected::Touched),
                        (r"Windows\c.sys".to_owned(), Expected::Touched),
                    ]
                ),
                (5, vec![("x".to_owned(), nothing)]),
            ]
        );
    }

    #[test]
    fn what_lies_below_goes_with_its_folder() {
        let session = Session::default();
        write(&session, r"old\a", 1);
        write(&session, r"old\deep\b", 2);
        write(&session, r"older", 3);
        write(&session, r"new", 4);
        session.renamed(2, "old", "new");
        write(&session, r"gone\c", 5);
        session.removed(2, "gone");
        let changes = session.changes();
        let paths: Vec<&str> = changes[0].1.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["gone", "new", r"new\a", r"new\deep\b", "old", "older"]);
        assert_eq!(changes[0].1[2].1, file(1));
        assert_eq!(changes[0].1[4].1, Expected::Known(Found::Nothing));
        session.renamed(2, "new", "NEW");
        assert_eq!(session.changes()[0].1.len(), 6, "another case is the same place");
    }
}

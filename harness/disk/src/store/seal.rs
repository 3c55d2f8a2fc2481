//! Whether an image is still what was sealed, told cheaply.
//!
//! Hashing a disk of many gigabytes at each run is too slow, and sizes alone miss a flipped byte. So the
//! store notes for each file of an image size, inode, and the times of its last change of contents and of
//! status, as they were when it was last hashed: `seals/<digest>.json`. Nobody but the system sets the
//! status time. Where any of them differs the file is hashed, and noted again if it is whole.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fs_err as fs;
use serde::{Deserialize, Serialize};

const SEAL_FORMAT: u32 = 1;
/// File times are as coarse as the kernel's clock tick (1 to 10 ms). A file that changed this shortly
/// before it was noted could change again without a new time, so it is not believed.
const TICK: Duration = Duration::from_millis(50);

/// What was noted about the files of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seal {
    format: u32,
    files: BTreeMap<String, Mark>,
}

/// One file when it was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mark {
    size: u64,
    inode: u64,
    /// Nanoseconds since 1970, as the next two.
    modified: i128,
    changed: i128,
    /// When it was noted.
    noted: i128,
}

impl Mark {
    /// The file as it is now. To be taken before it is hashed: a change while it is hashed then shows.
    pub(crate) fn take(path: &Path) -> std::io::Result<Self> {
        let noted = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(i128::MAX));
        let metadata = fs::symlink_metadata(path)?;
        let nanos =
            |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Ok(Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
            noted,
        })
    }

    /// True if the file is certainly the one that was noted as `self`.
    fn is_still(&self, now: &Self) -> bool {
        let settled = i128::try_from(TICK.as_nanos())
            .is_ok_and(|tick| self.changed.saturating_add(tick) < self.noted);
        settled && Self { noted: self.noted, ..*now } == *self
    }
}

impl Seal {
    pub(crate) fn new(files: BTreeMap<String, Mark>) -> Self {
        Self { format: SEAL_FORMAT, files }
    }

    /// Reads the seal at `path`; `None` where there is none that can be believed.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let seal: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (seal.format == SEAL_FORMAT).then_some(seal)
    }

    /// Writes it whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&file, self)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// True if `file` was noted and `now` is how it was.
    pub(crate) fn holds(&self, file: &str, now: &Mark) -> bool {
        self.files.get(file).is_some_and(|mark| mark.is_still(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_just_before_it_was_noted_is_not_believed() {
        let second = 1_000_000_000;
        let mark = Mark { size: 1, inode: 2, modified: second, changed: second, noted: second };
        assert!(!mark.is_still(&mark));
        let later = Mark { noted: 2 * second, ..mark };
        assert!(later.is_still(&Mark { noted: 3 * second, ..mark }));
        for other in [
            Mark { size: 2, ..mark },
            Mark { inode: 3, ..mark },
            Mark { modified: 0, ..mark },
            Mark { changed: second + 1, ..mark },
        ] {
            assert!(!later.is_still(&other));
        }
    }

    #[test]
    fn a_seal_that_cannot_be_read_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seals").join("x.json");
        assert!(Seal::read(&path).is_none());
        let mark = Mark { size: 1, inode: 2, modified: 3, changed: 4, noted: 1 << 40 };
        let seal = Seal::new(BTreeMap::from([("disk.qcow2".to_owned(), mark)]));
        seal.write(&path).unwrap();
        assert_eq!(Seal::read(&path).unwrap(), seal);
        assert!(seal.holds("disk.qcow2", &mark) && !seal.holds("vars.fd", &mark));
        std::fs::write(&path, b"{\"format\":1,").unwrap();
        assert!(Seal::read(&path).is_none());
    }
}

//! What an interrupted matrix has done already.
//!
//! Each cell that has a verdict is one line of a file in the state directory. The file's name says what the matrix is
//! made of: the same command finds it, another one does not. A matrix that is complete leaves none.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use engine::StateDir;
use fs_err as fs;
use report::{Cell, ImageSummary, Measured};
use scenario::{Layer, Scenario};
use serde::{Deserialize, Serialize};

/// One cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    pub(super) incident: String,
    pub(super) layer: Layer,
    pub(super) image: ImageSummary,
    pub(super) cell: Cell,
    pub(super) measured: Option<Measured>,
}

/// The file of one matrix.
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<fs::File>,
}

/// What was done before.
pub(super) type Before = BTreeMap<(String, Layer), Done>;

impl Journal {
    /// Opens the journal of the matrix that is made of these runs on one image, and gives what it holds. `anew`: nothing.
    pub(super) fn open<'a>(
        state: &StateDir,
        image_digest: &str,
        runs: impl Iterator<Item = &'a Scenario>,
        anew: bool,
    ) -> std::io::Result<(Self, Before)> {
        let folder = state.root().join("matrix");
        fs::create_dir_all(&folder)?;
        let mut hasher = blake3::Hasher::new();
        for part in [env!("CARGO_PKG_VERSION").to_owned(), image_digest.to_owned()]
            .into_iter()
            .chain(runs.map(|scenario| format!("{} {}", scenario.name, scenario.digest())))
        {
            hasher.update(part.as_bytes());
            hasher.update(b"\n");
        }
        let path = folder.join(format!("{}.jsonl", &hasher.finalize().to_hex()[..16]));
        if anew {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let (before, whole) = read(&text);
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path)?;
        // A line that was cut off must not run into the next one.
        file.file().set_len(whole)?;
        file.flush()?;
        Ok((Self { path, file: Mutex::new(file) }, before))
    }

    /// Adds a cell. It is on the disk when this returns.
    pub(super) fn add(&self, done: &Done) -> std::io::Result<()> {
        let line = serde_json::to_string(done).map_err(std::io::Error::from)? + "\n";
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes())?;
        file.sync_data()
    }

    /// The matrix is complete.
    pub(super) fn close(self) -> std::io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// The cells of a journal, and how many bytes of it are whole lines that can be understood.
fn read(text: &str) -> (Before, u64) {
    let (mut before, mut whole) = (Before::new(), 0);
    for line in text.split_inclusive('\n') {
        let Some(done) = line.strip_suffix('\n').and_then(|line| serde_json::from_str(line).ok())
        else {
            break;
        };
        let done: Done = done;
        whole += line.len();
        before.insert((done.incident.clone(), done.layer), done);
    }
    (before, whole as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(incident: &str) -> Done {
        Done {
            incident: incident.to_owned(),
            layer: Layer::HostRepair,
            image: ImageSummary { name: "understudy".to_owned(), line: None, is_model: true },
            cell: Cell::NotApplicable { why: "no repair".to_owned() },
            measured: None,
        }
    }

    #[test]
    fn what_is_done_stays_done_and_a_cut_line_is_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(Some(folder.path())).unwrap();
        let open = |anew| Journal::open(&state, "digest", std::iter::empty(), anew).unwrap();
        let (journal, before) = open(false);
        assert!(before.is_empty());
        journal.add(&done("one")).unwrap();
        journal.add(&done("two")).unwrap();
        let path = journal.path.clone();
        drop(journal);
        // The power went while the second line was written.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        let (journal, before) = open(false);
        assert_eq!(before.keys().map(|key| key.0.as_str()).collect::<Vec<_>>(), ["one"]);
        journal.add(&done("three")).unwrap();
        drop(journal);
        let (journal, before) = open(false);
        assert_eq!(before.keys().map(|key| key.0.as_str()).collect::<Vec<_>>(), ["one", "three"]);
        journal.close().unwrap();
        assert!(open(false).1.is_empty());
    }

    #[test]
    fn another_image_and_anew_begin_with_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(Some(folder.path())).unwrap();
        let open = |image, anew| Journal::open(&state, image, std::iter::empty(), anew).unwrap();
        open("one", false).0.add(&done("one")).unwrap();
        assert!(open("other", false).1.is_empty());
        assert_eq!(open("one", false).1.len(), 1);
        assert!(open("one", true).1.is_empty());
    }
}

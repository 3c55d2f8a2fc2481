//! What an interrupted command has done already: a matrix, or a search.
//!
//! Each thing that is done is one line of a file in the state directory. The file's name says what the command is made
//! of: the same command finds it, another one does not. A command that is complete leaves none.

use std::io::Write as _;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use engine::StateDir;
use fs_err as fs;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The file of one command, with lines of one kind.
pub(super) struct Journal<D> {
    path: PathBuf,
    file: Mutex<fs::File>,
    lines: PhantomData<D>,
}

impl<D: Serialize + DeserializeOwned> Journal<D> {
    /// Opens the journal of the command that is made of these parts, in a folder for its kind, and gives what it holds.
    /// `anew`: nothing.
    pub(super) fn open(
        state: &StateDir,
        kind: &str,
        parts: impl IntoIterator<Item = String>,
        anew: bool,
    ) -> std::io::Result<(Self, Vec<D>)> {
        let folder = state.root().join(kind);
        fs::create_dir_all(&folder)?;
        let mut hasher = blake3::Hasher::new();
        for part in [env!("CARGO_PKG_VERSION").to_owned()].into_iter().chain(parts) {
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
        Ok((Self { path, file: Mutex::new(file), lines: PhantomData }, before))
    }

    /// Adds what was done. It is on the disk when this returns.
    pub(super) fn add(&self, done: &D) -> std::io::Result<()> {
        let line = serde_json::to_string(done).map_err(std::io::Error::from)? + "\n";
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes())?;
        file.sync_data()
    }

    /// The command is complete.
    pub(super) fn close(self) -> std::io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// The lines of a journal, and how many bytes of it are whole lines that can be understood.
fn read<D: DeserializeOwned>(text: &str) -> (Vec<D>, u64) {
    let (mut before, mut whole) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        let Some(done) = line.strip_suffix('\n').and_then(|line| serde_json::from_str(line).ok())
        else {
            break;
        };
        whole += line.len();
        before.push(done);
    }
    (before, whole as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(state: &StateDir, part: &str, anew: bool) -> (Journal<String>, Vec<String>) {
        Journal::open(state, "test", [part.to_owned()], anew).unwrap()
    }

    #[test]
    fn what_is_done_stays_done_and_a_cut_line_is_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(Some(folder.path())).unwrap();
        let (journal, before) = open(&state, "a", false);
        assert!(before.is_empty());
        journal.add(&"one".to_owned()).unwrap();
        journal.add(&"two".to_owned()).unwrap();
        let path = journal.path.clone();
        drop(journal);
        // The power went while the second line was written.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 3]).unwrap();
        let (journal, before) = open(&state, "a", false);
        assert_eq!(before, ["one"]);
        journal.add(&"three".to_owned()).unwrap();
        drop(journal);
        let (journal, before) = open(&state, "a", false);
        assert_eq!(before, ["one", "three"]);
        journal.close().unwrap();
        assert!(open(&state, "a", false).1.is_empty());
    }

    #[test]
    fn another_command_and_anew_begin_with_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(Some(folder.path())).unwrap();
        open(&state, "one", false).0.add(&"done".to_owned()).unwrap();
        assert!(open(&state, "other", false).1.is_empty());
        assert_eq!(open(&state, "one", false).1.len(), 1);
        assert!(open(&state, "one", true).1.is_empty());
    }
}

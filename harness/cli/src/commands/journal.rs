//! What an interrupted command of many runs has done already.
//!
//! Each part that has a verdict is one line of a file in the state directory. The file's name says what the work is
//! made of: the same command finds it, another one does not. Work that is complete leaves none.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use engine::StateDir;
use fs_err as fs;
use scenario::Scenario;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The file of one piece of work.
pub(crate) struct Journal {
    path: PathBuf,
    file: Mutex<fs::File>,
}

impl Journal {
    /// Opens the journal of the work that is made of these runs on one image, and gives what it holds. `anew`: nothing.
    /// `work` is the kind of work.
    pub(crate) fn open<'a, T: DeserializeOwned>(
        (state, work): (&StateDir, &str),
        image_digest: &str,
        runs: impl Iterator<Item = &'a Scenario>,
        anew: bool,
    ) -> std::io::Result<(Self, Vec<T>)> {
        let folder = state.root().join(work);
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

    /// Adds a part. It is on the disk when this returns.
    pub(crate) fn add(&self, done: &impl Serialize) -> std::io::Result<()> {
        let line = serde_json::to_string(done).map_err(std::io::Error::from)? + "\n";
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes())?;
        file.sync_data()
    }

    /// The work is complete.
    pub(crate) fn close(self) -> std::io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// The parts of a journal, and how many bytes of it are whole lines that can be understood.
fn read<T: DeserializeOwned>(text: &str) -> (Vec<T>, u64) {
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

    #[test]
    fn what_is_done_stays_done_and_a_cut_line_is_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(Some(folder.path())).unwrap();
        let open = |anew| {
            let none = std::iter::empty();
            Journal::open::<String>((&state, "work"), "digest", none, anew).unwrap()
        };
        let (journal, before) = open(false);
        assert!(before.is_empty());
        journal.add(&"one").unwrap();
        journal.add(&"two").unwrap();
        let path = journal.path.clone();
        drop(journal);
        // The power went while the second line was written.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        let (journal, before) = open(false);
        assert_eq!(before, ["one"]);
        journal.add(&"three").unwrap();
        drop(journal);
        let (journal, before) = open(false);
        assert_eq!(before, ["one", "three"]);
        journal.close().unwrap();
        assert!(open(false).1.is_empty());
    }

    #[test]
    fn another_image_and_anew_begin_with_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(Some(folder.path())).unwrap();
        let open = |image, anew| {
            let none = std::iter::empty();
            Journal::open::<String>((&state, "work"), image, none, anew).unwrap()
        };
        open("one", false).0.add(&"one").unwrap();
        assert!(open("other", false).1.is_empty());
        assert_eq!(open("one", false).1.len(), 1);
        assert!(open("one", true).1.is_empty());
    }
}

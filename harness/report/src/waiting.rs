//! Pending references, before somebody decides on them.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use timeline::Outcome;

use crate::reference;
use crate::reference::{AcceptError, Diff, ended, pending_content, reference_of, run_of};

/// A pending reference, and what it would replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The pending reference.
    pub pending: PathBuf,
    /// The reference that it would become.
    pub reference: PathBuf,
    /// The run that left it.
    pub run: String,
    /// The verdict of the pending one; absent where it is of another format.
    pub verdict: Option<String>,
    /// What differs. Absent: there is no reference yet.
    pub diff: Option<Diff>,
    /// The reference says the same by now.
    pub is_stale: bool,
}

/// Reads a pending reference and the one that it would replace.
///
/// # Errors
/// It is none, or one of the two is damaged.
pub fn waiting(pending: &Path) -> Result<Waiting, AcceptError> {
    let not_pending = || AcceptError::NotPending(pending.to_path_buf());
    let reference = reference_of(pending).ok_or_else(not_pending)?;
    let run = run_of(pending).ok_or_else(not_pending)?;
    let new = pending_content(pending)?;
    let old = reference::read(&reference).map_err(|error| AcceptError::Damaged {
        path: reference.clone(),
        what: error.to_string(),
    })?;
    let verdict = Outcome::parse(&new).ok().map(|outcome| outcome.verdict.name().to_owned());
    let is_stale = old.as_ref() == Some(&new);
    let diff = old.map(|old| Diff { old: ended(old), new: ended(new) });
    Ok(Waiting { pending: pending.to_path_buf(), reference, run, verdict, diff, is_stale })
}

/// Takes pending references away. All names are checked before the first is.
///
/// # Errors
/// One of them is none, or cannot be taken away.
pub fn reject(pending: &[PathBuf]) -> Result<(), AcceptError> {
    if pending.is_empty() {
        return Err(AcceptError::Nothing);
    }
    if let Some(other) = pending.iter().find(|path| reference_of(path).is_none()) {
        return Err(AcceptError::NotPending(other.clone()));
    }
    for path in pending {
        match fs::remove_file(path) {
            // Somebody else has just decided.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
    }
    Ok(())
}

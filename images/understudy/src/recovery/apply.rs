//! Doing what a verified manifest says.

use volume::{FileTime, Kind, VolumeError};
use winfmt::paths::glob_matches;

use super::remediation::{Action, Delete};
use crate::storage::{Drive, drive_path};

/// Why an action could not be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    /// Not a path that may be touched.
    #[error("{0}: not a file pattern on drive C:")]
    Path(String),
    /// The volume refused.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

/// Does all actions in order. Gives what was changed, for people and for the report; with an error,
/// what was changed before it.
pub(super) fn apply(drive: &Drive, actions: &[Action]) -> (Vec<String>, Result<(), ApplyError>) {
    let mut changes = Vec::new();
    for action in actions {
        let Action::Delete(delete) = action;
        if let Err(error) = delete_files(drive, delete, &mut changes) {
            return (changes, Err(error));
        }
    }
    let flushed = drive.flush().map_err(ApplyError::from);
    (changes, flushed)
}

fn delete_files(
    drive: &Drive,
    delete: &Delete,
    changes: &mut Vec<String>,
) -> Result<(), ApplyError> {
    let wrong = || ApplyError::Path(delete.path.clone());
    let path = drive_path(&delete.path).ok_or_else(wrong)?;
    let (folder, pattern) = path.rsplit_once('\\').ok_or_else(wrong)?;
    if folder.contains(['*', '?']) || pattern.is_empty() {
        return Err(wrong());
    }
    let entries = match drive.list(folder) {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        if entry.kind != Kind::File || !glob_matches(pattern, &entry.name) {
            continue;
        }
        let file = format!("{folder}\\{}", entry.name);
        let modified = drive.metadata(&file)?.modified;
        let old_enough = delete
            .modified_before
            .is_none_or(|limit| modified < FileTime::from(std::time::SystemTime::from(limit)));
        if old_enough {
            drive.remove_file(&file)?;
            changes.push(format!("deleted C:{file}"));
        }
    }
    Ok(())
}

//! Deriving a recorded run again, from its events alone.

use fs_err as fs;
use timeline::{Derived, ReadError, Record, read_events};

use super::run_dir::{RunDir, RunDirError};

/// A run cannot be derived again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Its directory.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// Its events.
    #[error("{path}: {source}")]
    Events {
        /// The file.
        path: String,
        /// Why.
        source: ReadError,
    },
}

/// What deriving a run again gave.
#[derive(Debug)]
pub struct Replayed {
    /// Timeline, outcome, measurements.
    pub derived: Derived,
    /// True where the record breaks off: the harness was killed.
    pub incomplete: bool,
    /// Whether outcome and measurements are, byte for byte, what the run itself wrote; `None` where it
    /// wrote none.
    pub same: Option<bool>,
}

/// The events of a run.
pub(super) fn events_of(run: &RunDir) -> Result<Record, ReplayError> {
    let path = run.events();
    let text = fs::read_to_string(&path).map_err(RunDirError::from)?;
    read_events(&text)
        .map_err(|source| ReplayError::Events { path: path.display().to_string(), source })
}

/// Derives timeline and outcome of `run` from its `events.jsonl` and nothing else, and compares the bytes
/// with what the run wrote.
pub fn replay(run: &RunDir) -> Result<Replayed, ReplayError> {
    let record = events_of(run)?;
    let derived = timeline::derive(&record.events);
    let same = match fs::read_to_string(run.outcome()) {
        Ok(outcome) => {
            let mut measured = serde_json::to_string_pretty(&derived.measurements)
                .map_err(|error| RunDirError::Io(error.into()))?;
            measured.push('\n');
            let measurements = fs::read_to_string(run.measurements()).unwrap_or_default();
            Some(outcome == derived.outcome.render() && measurements == measured)
        }
        Err(_) => None,
    };
    Ok(Replayed { derived, incomplete: !record.complete, same })
}

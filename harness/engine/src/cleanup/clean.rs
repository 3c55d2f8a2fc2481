//! Cleaning up after a harness that was killed.

use serde::Serialize;

use super::ledger::{Cleaned, LedgerError, clean_abandoned};
use crate::state_dir::StateDir;

/// What `loopbreak clean` did.
#[derive(Debug, Clone, Serialize)]
pub struct CleanReport {
    /// Per abandoned run or session: what was removed, and what could not be.
    pub cleaned: Vec<CleanedRun>,
    /// Runs and sessions that are under way and were left alone.
    pub under_way: usize,
}

/// One abandoned run or session.
#[derive(Debug, Clone, Serialize)]
pub struct CleanedRun {
    /// Its name.
    pub name: String,
    /// What was done.
    #[serde(flatten)]
    pub cleaned: Cleaned,
}

impl CleanReport {
    /// True if something could not be removed.
    pub fn leaked(&self) -> bool {
        self.cleaned.iter().any(|run| !run.cleaned.leaked.is_empty())
    }
}

/// Removes what runs left behind whose harness is gone.
pub fn clean(state: &StateDir) -> Result<CleanReport, LedgerError> {
    let (cleaned, under_way) = clean_abandoned(&state.ledgers())?;
    let cleaned = cleaned.into_iter().map(|(name, cleaned)| CleanedRun { name, cleaned }).collect();
    Ok(CleanReport { cleaned, under_way })
}

//! Which runs of a command have their beginning in common, and who drives it.
//!
//! The first of them to come drives it; the others wait, and begin with what it kept. Where it kept nothing, because
//! its machine was not given up, the next one drives its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use scenario::Scenario;
use tokio::sync::OwnedMutexGuard;

use super::beginning::Beginning;

/// What is kept for one beginning; locked by the run that drives it.
type Kept = Arc<tokio::sync::Mutex<Option<Arc<Beginning>>>>;

/// All that are in common.
#[derive(Debug, Default)]
pub(crate) struct Beginnings(Mutex<HashMap<String, InCommon>>);

#[derive(Debug, Default)]
struct InCommon {
    /// Runs that are not over yet.
    runs: usize,
    kept: Kept,
}

/// What a run does about its beginning.
#[derive(Debug)]
pub(crate) enum Role {
    /// It has none in common with others.
    Alone,
    /// It drives it, and keeps its machine for the others when it is given up.
    Drives(OwnedMutexGuard<Option<Arc<Beginning>>>),
    /// It begins with what another one kept.
    Joins(Arc<Beginning>),
}

impl Beginnings {
    /// These are going to be run, each once.
    pub(crate) fn announce<'a>(&self, scenarios: impl IntoIterator<Item = &'a Scenario>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in scenarios.into_iter().filter_map(Scenario::until_given_up) {
            all.entry(key).or_default().runs += 1;
        }
        all.retain(|_, common| common.runs > 1);
    }

    /// Waits for whoever drives the beginning of this scenario.
    pub(crate) async fn role(&self, scenario: &Scenario) -> Role {
        let Some(kept) = self.kept(scenario) else { return Role::Alone };
        let kept = kept.lock_owned().await;
        match &*kept {
            Some(beginning) => Role::Joins(Arc::clone(beginning)),
            None => Role::Drives(kept),
        }
    }

    fn kept(&self, scenario: &Scenario) -> Option<Kept> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Digests are made of all files of a scenario; most commands have nothing in common.
        if all.is_empty() {
            return None;
        }
        let key = scenario.until_given_up()?;
        all.get(&key).map(|common| Arc::clone(&common.kept))
    }

    /// A run of this scenario is over. What nobody waits for any more goes.
    pub(crate) fn over(&self, scenario: &Scenario) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        let Some(key) = scenario.until_given_up() else { return };
        if let Some(common) = all.get_mut(&key) {
            common.runs -= 1;
            if common.runs == 0 {
                all.remove(&key);
            }
        }
    }
}

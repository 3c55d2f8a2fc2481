//! What records of runs know of scenarios.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use engine::{RunDir, StateDir};
use scenario::{Recorded, Scenario};
use serde::Deserialize;

use crate::exit::infrastructure;

/// What took longer than this is slow.
const SLOW: Duration = Duration::from_secs(60);

/// The last recorded run of each scenario on each image.
#[derive(Debug, Default)]
pub(crate) struct History {
    last: BTreeMap<(String, String), Past>,
}

/// A recorded run.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    /// It did not end as expected.
    pub(crate) failed: bool,
    /// How long it took; absent where it was killed, or could not be brought to its end.
    pub(crate) took: Option<Duration>,
    /// The digest of the scenario as it was then.
    pub(crate) scenario_digest: String,
}

impl History {
    /// Reads the records of all runs.
    ///
    /// # Errors
    /// The folder of the runs cannot be read.
    pub(crate) fn read(state: &StateDir) -> anyhow::Result<Self> {
        let mut last = BTreeMap::new();
        for run in RunDir::list(&state.runs()).map_err(infrastructure)? {
            // One whose record cannot be read is told of where runs are listed.
            if let Ok(record) = run.record() {
                let mut past = Past::of(&run, record.scenario_digest);
                // Seeds and a matrix have no reference to be as: their exit code says nothing of the scenario.
                past.failed &= record.reference.parent().is_some_and(Path::exists);
                last.insert((record.scenario, record.image), past);
            }
        }
        Ok(Self { last })
    }

    /// The last run of a scenario on its image.
    pub(crate) fn of(&self, scenario: &Scenario) -> Option<&Past> {
        self.last.get(&(scenario.name.clone(), scenario.machine.image.clone()))
    }
}

#[derive(Deserialize)]
struct Summary {
    exit_code: u8,
}

#[derive(Deserialize)]
struct Measured {
    total_us: u64,
}

impl Past {
    /// What a run's files say. One that has no summary was killed, or could not be brought to its end.
    pub(crate) fn of(run: &RunDir, scenario_digest: String) -> Self {
        let read = |name: &str| fs_err::read_to_string(run.path().join(name)).ok();
        let summary: Option<Summary> =
            read("summary.json").and_then(|text| serde_json::from_str(&text).ok());
        let measured: Option<Measured> =
            read("measurements.json").and_then(|text| serde_json::from_str(&text).ok());
        Self {
            failed: summary.is_none_or(|summary| summary.exit_code != 0),
            took: measured.map(|measured| Duration::from_micros(measured.total_us)),
            scenario_digest,
        }
    }

    /// As filters ask for it.
    pub(crate) fn recorded(&self) -> Recorded {
        Recorded { failed: self.failed, slow: self.took.is_some_and(|took| took > SLOW) }
    }
}

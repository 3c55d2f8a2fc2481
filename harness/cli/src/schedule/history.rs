//! What records of runs know of scenarios.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use engine::{RunDir, StateDir};
use scenario::{Recorded, Scenario};
use serde::{Deserialize, Serialize};

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

/// What the runs of one scenario came to together, kept with each of them: `repeat.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Together {
    /// Its version.
    pub(crate) format: u32,
    /// How many runs there were.
    pub(crate) runs: usize,
    /// With which the command ended on their account.
    pub(crate) exit_code: u8,
}

/// The file of [`Together`] in a run directory.
pub(crate) const TOGETHER: &str = "repeat.json";

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
        // The last of several runs may be as expected where another was not.
        let together: Option<Together> =
            read(TOGETHER).and_then(|text| serde_json::from_str(&text).ok());
        let exit_code = together.map(|it| it.exit_code).or(summary.map(|it| it.exit_code));
        Self {
            failed: exit_code != Some(0),
            took: measured.map(|measured| Duration::from_micros(measured.total_us)),
            scenario_digest,
        }
    }

    /// As filters ask for it.
    pub(crate) fn recorded(&self) -> Recorded {
        Recorded { failed: self.failed, slow: self.took.is_some_and(|took| took > SLOW) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::run::scripted::Record;
    use crate::exit::Exit;

    #[test]
    fn of_a_repeated_scenario_all_runs_count_and_not_the_last_alone() {
        let record = Record::new();
        let passed = record.run(Exit::AsExpected).directory;
        let failed = |run: &RunDir| Past::of(run, String::new()).failed;
        assert!(!failed(&passed));
        let of = |exit_code| Together { format: 1, runs: 10, exit_code };
        passed.write_json(TOGETHER, &of(1)).unwrap();
        assert!(failed(&passed));
        // A flaky scenario may pass by policy.
        let differs = record.run(Exit::Differs).directory;
        differs.write_json(TOGETHER, &of(0)).unwrap();
        assert!(!failed(&differs));
    }
}

//! One run of one scenario, and what came of it.

use std::path::{Path, PathBuf};

use report::{Comparison, RunIdentity, Summary};
use scenario::Scenario;
use timeline::Derived;

use super::execute::RunOptions;
use super::exit_status::ExitStatus;
use super::lifecycle::FinishedRun;
use crate::cleanup::Cleaned;
use crate::error::RunError;
use crate::record::{RunDir, StatusSink};
use crate::session::Session;

/// What came of a run.
#[derive(Debug)]
pub struct RunResult {
    /// Timeline, outcome, measurements.
    pub derived: Derived,
    /// Against the reference.
    pub comparison: Comparison,
    /// What all of it means for a pipeline.
    pub exit: ExitStatus,
    /// The machine-readable summary.
    pub summary: Summary,
    /// The record of the run.
    pub directory: RunDir,
    /// What was cleaned up, and what could not be.
    pub cleaned: Cleaned,
}

impl Session {
    /// Runs one scenario to its outcome. `folder` is where its reference lies.
    pub async fn run(
        &self,
        scenario: &Scenario,
        folder: &Path,
        options: &RunOptions,
        status: StatusSink,
    ) -> Result<RunResult, RunError> {
        let reference = reference_path(folder, scenario);
        let finished = self.carry_out(scenario, Some(&reference), options, &status).await?;
        let FinishedRun { run, directory, derived, cleaned, .. } = finished;
        let comparison = report::compare(&derived.outcome, &reference, run.as_str())?;
        let exit = ExitStatus::of(&derived, &comparison, &cleaned);
        let identity =
            RunIdentity { run: run.as_str(), directory: directory.path(), exit_code: exit as u8 };
        let summary = report::summary(&derived, Some(&comparison), identity);
        directory.write_json("summary.json", &summary)?;
        Ok(RunResult { derived, comparison, exit, summary, directory, cleaned })
    }
}

/// Where the reference of a scenario lies.
pub fn reference_path(folder: &Path, scenario: &Scenario) -> PathBuf {
    folder.join(format!("{}.snap", scenario.reference_name()))
}

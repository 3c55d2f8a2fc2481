//! One run of one scenario, and what came of it.

use std::path::Path;

use report::{Comparison, RunIdentity, Summary};
use scenario::Scenario;
use timeline::Derived;

use super::execute::RunOptions;
use super::exit_status::ExitStatus;
use super::lifecycle::FinishedRun;
use crate::cleanup::Cleaned;
use crate::error::RunError;
use crate::preflight::NotApplicable;
use crate::record::{RunDir, StatusSink};
use crate::session::Session;
use crate::tasks::catch_panic;

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
    /// What an image lacks for a scenario; `None` where it can be run, or where something else is wrong, which a run
    /// says. Nothing is started.
    ///
    /// # Errors
    /// The command was interrupted.
    pub async fn not_applicable(
        &self,
        scenario: &Scenario,
        options: &RunOptions,
    ) -> Result<Option<NotApplicable>, RunError> {
        let prepared = catch_panic(self.prepare(scenario, options.start)).await;
        match prepared.map_err(RunError::from).flatten() {
            Err(RunError::NotApplicable(reason)) => Ok(Some(*reason)),
            Err(RunError::Interrupted) => Err(RunError::Interrupted),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// Runs one scenario to its outcome. `folder` is where its reference lies.
    pub async fn run(
        &self,
        scenario: &Scenario,
        folder: &Path,
        options: &RunOptions,
        status: StatusSink,
    ) -> Result<RunResult, RunError> {
        let finished = self.carry_out(scenario, Some(folder), options, &status).await?;
        let FinishedRun { run, directory, reference, derived, cleaned, .. } = finished;
        let (outcome, name) = (&derived.outcome, run.as_str());
        let comparison = if options.pending_aside {
            report::compare_aside(outcome, &reference, name, directory.path())?
        } else {
            report::compare(outcome, &reference, name)?
        };
        let exit = ExitStatus::of(&derived, &comparison, &cleaned);
        let identity =
            RunIdentity { run: run.as_str(), directory: directory.path(), exit_code: exit as u8 };
        let summary = report::summary(&derived, Some(&comparison), identity);
        directory.write_json("summary.json", &summary)?;
        Ok(RunResult { derived, comparison, exit, summary, directory, cleaned })
    }
}

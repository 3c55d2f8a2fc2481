//! Proving a fault: it is run for real, its inert control is run for real, and it is undone.

use std::sync::Arc;

use faults::{Example, KindInfo, inert_control};
use report::{Proof, Reversed, consequence};
use scenario::{Scenario, Start};

use super::execute::RunOptions;
use super::run::RunResult;
use crate::error::RunError;
use crate::offline::Reversal;
use crate::record::StatusSink;
use crate::session::Session;
use crate::tasks::blocking;

impl Session {
    /// One row of the catalogue's table, on the image of this name. Two machines run, one after the other.
    ///
    /// # Errors
    /// The example cannot be run on this image, or the harness failed or was interrupted. That a fault does
    /// not do what it ought to is no error: the row says so.
    pub async fn prove(
        &self,
        kind: &KindInfo,
        example: &Example,
        image: &str,
        status: StatusSink,
    ) -> Result<Proof, RunError> {
        // The pending references that runs leave beside their scenarios go with the folder.
        let folder = tempfile::Builder::new().prefix("prove").tempdir_in(&self.scratch)?;
        let scenario = example.load(image, folder.path())?;
        let options = RunOptions::default();
        let ran =
            concluded(self.run(&scenario, folder.path(), &options, Arc::clone(&status)).await?)?;
        let control = inert_control(&scenario);
        let inert = concluded(self.run(&control, folder.path(), &options, status).await?)?;
        let (landed, missing) = scenario
            .fault
            .iter()
            .map(|fault| fault.name().to_owned())
            .partition(|name| ran.derived.outcome.faults.contains(name));
        let runs = [&ran, &inert].map(|run| run.directory.path().display().to_string());
        Ok(Proof {
            fault: example.name.to_owned(),
            kind: kind.name.to_owned(),
            landed,
            missing,
            seen: consequence(&ran.derived.outcome),
            expected: example.consequence.to_owned(),
            differs: differences(&ran),
            inert: consequence(&inert.derived.outcome),
            inert_healthy: differences(&inert).is_empty(),
            reversal: self.undone(scenario).await?,
            runs,
        })
    }

    /// Staged onto a fresh overlay, and undone there.
    async fn undone(&self, scenario: Scenario) -> Result<Reversed, RunError> {
        let prepared = self.prepare(&scenario, Some(Start::Cold)).await?;
        let scratch = self.scratch.clone();
        let Reversal { staged, left } = blocking(move || prepared.reversal(&scratch)).await?;
        Ok(match (staged.len(), left) {
            (0, _) => Reversed::NothingOnTheDisk,
            (changes, left) if left.is_empty() => Reversed::Clean { changes },
            (_, objects) => Reversed::Differs { objects },
        })
    }
}

/// A run that tells something about the fault: one that was interrupted does not, for example.
fn concluded(run: RunResult) -> Result<RunResult, RunError> {
    let outcome = &run.derived.outcome;
    if outcome.verdict == timeline::Verdict::Infrastructure {
        return Err(RunError::NotProved {
            because: outcome.because.clone(),
            directory: run.directory.path().to_owned(),
        });
    }
    Ok(run)
}

fn differences(run: &RunResult) -> Vec<String> {
    run.derived.timeline.expectation.unmet.iter().map(ToString::to_string).collect()
}

//! The life of a run: begun, lived and finished in one place, whoever wants it — `run`, `fault prove`, the
//! detectors of an image.
//!
//! [`Session::carry_out`] is the only way to a machine. Whatever happens on the way, an error, a signal or a panic,
//! it waits for what is still going on, settles the ledger and tells the session what is left behind, before it
//! hands on what came of the run.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use scenario::Scenario;
use timeline::{Derived, Event, Verdict};

use super::execute::RunOptions;
use super::references::reference_path;
use crate::cleanup::{Cleaned, Ledger};
use crate::error::RunError;
use crate::machine::RunContext;
use crate::preflight::Prepared;
use crate::record::{RUN_FORMAT, Reporter, RunDir, RunId, RunRecord, RunStatus, StatusSink};
use crate::session::Session;
use crate::tasks::{Jobs, catch_panic};

/// A run that is over: what came of it, with its record written.
pub(crate) struct FinishedRun {
    pub(crate) run: RunId,
    pub(crate) directory: RunDir,
    pub(crate) image_digest: String,
    pub(crate) reference: PathBuf,
    pub(crate) derived: Derived,
    pub(crate) events: Vec<Event>,
    pub(crate) cleaned: Cleaned,
}

impl Session {
    /// Takes one scenario through its whole life. `references` is the folder of what its outcome will be compared with.
    ///
    /// # Errors
    /// The run has no outcome: it was refused, or the harness or the host failed before it had one. What it
    /// left behind the session knows.
    pub(crate) async fn carry_out(
        &self,
        scenario: &Scenario,
        references: Option<&Path>,
        options: &RunOptions,
        status: &StatusSink,
    ) -> Result<FinishedRun, RunError> {
        let reporter = Reporter::new(scenario, Arc::clone(status));
        let finished = self.begin_and_finish(scenario, references, options, &reporter).await;
        self.beginnings.over(scenario);
        reporter.done();
        finished
    }

    async fn begin_and_finish(
        &self,
        scenario: &Scenario,
        references: Option<&Path>,
        options: &RunOptions,
        reporter: &Reporter,
    ) -> Result<FinishedRun, RunError> {
        reporter.doing("looking at the image");
        let prepared = catch_panic(self.prepare(scenario, options.start)).await;
        let prepared = prepared.map_err(RunError::from).flatten()?;
        prepared.tell_unknown();
        reporter.doing("waiting for a run that begins in the same way");
        let role = self.interrupt.unless_raised(self.beginnings.role(scenario)).await?;
        let started = StartedRun::new(self, scenario, &prepared, references)?;
        let jobs = Jobs::default();
        let context = RunContext {
            session: self,
            scenario,
            prepared,
            run: &started.record.run,
            directory: &started.directory,
            ledger: &started.ledger,
            reporter,
            jobs: &jobs,
            role: Mutex::new(role),
        };
        let lived = catch_panic(context.execute(options)).await.map_err(RunError::from).flatten();
        reporter.doing("cleaning up");
        jobs.over().await;
        started.finish(self, lived).await
    }
}

/// A run that has a record and a ledger, and has to be finished.
#[must_use = "a run that is begun has to be finished"]
struct StartedRun {
    directory: RunDir,
    record: RunRecord,
    ledger: Ledger,
}

impl StartedRun {
    fn new(
        session: &Session,
        scenario: &Scenario,
        prepared: &Prepared,
        references: Option<&Path>,
    ) -> Result<Self, RunError> {
        let run = RunId::new();
        let directory = RunDir::create(&session.state.runs(), &run)?;
        let folder = references.unwrap_or_else(|| directory.path());
        let reference = reference_path(folder, scenario, &prepared.plan.image_line);
        let record = record(scenario, prepared, run, reference);
        directory.write_json("run.json", &record)?;
        directory.write_json("scenario.json", scenario)?;
        directory.write_json("plan.json", &prepared.plan)?;
        directory.write_json("host.json", &session.host)?;
        let ledger = session.ledgers.begin(record.run.as_str())?;
        Ok(Self { directory, record, ledger })
    }

    /// Nothing is left of the run but its record, and what is left nevertheless is told.
    async fn finish(
        self,
        session: &Session,
        lived: Result<(Derived, Vec<Event>), RunError>,
    ) -> Result<FinishedRun, RunError> {
        let Self { directory, mut record, ledger } = self;
        let cleaned = session.settle(record.run.as_str(), ledger).await;
        record.status = match &lived {
            Ok((derived, _)) if derived.outcome.verdict != Verdict::Infrastructure => {
                RunStatus::Complete
            }
            _ => RunStatus::Aborted,
        };
        let recorded = directory.write_json("run.json", &record);
        let (derived, events) = match lived {
            Ok(lived) => lived,
            Err(error) => {
                // The first thing that went wrong says more.
                if let Err(second) = recorded {
                    tracing::warn!(%second, "the run is not marked as aborted");
                }
                return Err(error.of_run(&directory));
            }
        };
        recorded?;
        directory.write(&directory.outcome(), derived.outcome.render().as_bytes())?;
        directory.write_json("measurements.json", &derived.measurements)?;
        let RunRecord { run, image_digest, reference, .. } = record;
        Ok(FinishedRun { run, directory, image_digest, reference, derived, events, cleaned })
    }
}

fn record(scenario: &Scenario, prepared: &Prepared, run: RunId, reference: PathBuf) -> RunRecord {
    RunRecord {
        format: RUN_FORMAT,
        run,
        scenario: scenario.name.clone(),
        scenario_digest: scenario.digest(),
        reference,
        image: prepared.image.name.clone(),
        image_digest: prepared.image.digest.clone(),
        image_line: Some(prepared.plan.image_line.clone()),
        began: jiff::Timestamp::now(),
        status: RunStatus::Running,
    }
}

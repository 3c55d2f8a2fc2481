//! Running the machines of a rollout, as many at a time as the host bears.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Interrupt, RunError, RunOptions, Session, Status, StatusSink};
use fleet::{Help, Life, LifeKey, Lives};
use scenario::Scenario;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::cast::Played;
use super::measure;
use crate::commands::journal::Journal;
use crate::exit::{Exit, infrastructure};
use crate::output::tell;
use crate::progress::status_sink;
use crate::session::{exit_code, marked};

/// What the run of a machine is known by, whatever rollout wants it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Key {
    /// Machines are different ones, even where they run the same.
    machine: u32,
    /// When there is a remediation.
    help: Help,
    /// The scenario, with the machine's seed.
    scenario: String,
}

impl Key {
    pub(super) fn of(life: LifeKey, scenario: &Scenario) -> Self {
        Self { machine: life.machine, help: life.help, scenario: scenario.digest() }
    }
}

/// A machine of which it is known what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    key: Key,
    life: Life,
}

/// All machines that were run.
pub(super) struct Machines {
    jobs: usize,
    known: BTreeMap<Key, Life>,
}

impl Machines {
    pub(super) fn new(jobs: u32, before: Vec<Known>) -> Self {
        let known = before.into_iter().map(|known| (known.key, known.life)).collect();
        Self { jobs: jobs as usize, known }
    }

    /// What is known of the machines of a rollout.
    pub(super) fn lives(&self, played: &Played) -> Lives {
        let mut lives = Lives::new();
        for life in self.known.values() {
            let key = Key::of(life.key, &played.of_machine(life.key));
            if let Some(own) = self.known.get(&key) {
                lives.insert(own.key, own.clone());
            }
        }
        lives
    }

    /// Runs these, and keeps what became of each.
    pub(super) async fn run(
        &mut self,
        session: &Arc<Session>,
        interrupt: &Interrupt,
        wanted: Vec<(Key, Scenario)>,
        journal: &Journal<Known>,
    ) -> anyhow::Result<Exit> {
        let options = RunOptions::default();
        for (_, scenario) in &wanted {
            if let Some(lacks) = session.not_applicable(scenario, &options).await.map_err(marked)? {
                tell(format!("error: {} on {}: {lacks}", lacks.scenario, lacks.image));
                return Ok(Exit::Usage);
            }
        }
        tell(format!("{} machines are to be run, {} at a time", wanted.len(), self.jobs));
        // No reference of the scenario is compared: the rollout has its own.
        let aside = tempfile::tempdir().map_err(infrastructure)?;
        let slots = Arc::new(Semaphore::new(self.jobs));
        let status = status_sink(false);
        let mut tasks = tokio::task::JoinSet::new();
        for (key, scenario) in wanted {
            let (session, interrupt) = (Arc::clone(session), interrupt.clone());
            let (slots, status) = (Arc::clone(&slots), named(&status, &key));
            let aside = aside.path().to_path_buf();
            tasks.spawn(async move {
                let _slot = slots.acquire_owned().await;
                let came = match interrupt.is_raised() {
                    true => Err(Failed::Run(RunError::Interrupted)),
                    false => one(&session, &key, &scenario, &aside, status).await,
                };
                (key, came)
            });
        }
        let mut exit = Exit::AsExpected;
        while let Some(over) = tasks.join_next().await {
            let (key, came) = match over {
                Ok(over) => over,
                // The others go on to their ends: each has to be cleaned up after.
                Err(error) => {
                    tell(format!("error: a run panicked: {error}"));
                    exit = exit.max(Exit::Infrastructure);
                    continue;
                }
            };
            match came {
                Ok(life) => {
                    let known = Known { key: key.clone(), life: life.clone() };
                    if let Err(error) = journal.add(&known) {
                        tell(format!("error: what is done cannot be noted: {error}"));
                        exit = exit.max(Exit::Infrastructure);
                    }
                    self.known.insert(key, life);
                }
                Err(error) => {
                    tell(format!("error: {}: {error}", name(&key)));
                    exit = exit.max(error.exit());
                }
            }
        }
        Ok(exit)
    }
}

/// A machine as progress and errors call it.
fn name(key: &Key) -> String {
    let help = match key.help {
        Help::Never => "not helped".to_owned(),
        Help::AfterAsks(asks) => format!("helped after {asks} requests"),
    };
    format!("machine {}, {help}", key.machine + 1)
}

/// Progress that tells machines of one scenario apart.
fn named(status: &StatusSink, key: &Key) -> StatusSink {
    let (status, name) = (Arc::clone(status), name(key));
    Arc::new(move |seen: &Status| status(&Status { scenario: name.clone(), ..seen.clone() }))
}

/// Why a machine's run says nothing.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Measure(#[from] measure::MeasureError),
    #[error("its record cannot be read: {0}")]
    Record(String),
    #[error("run {0} left something behind; `loopbreak clean` removes it")]
    Leaked(String),
}

impl Failed {
    fn exit(&self) -> Exit {
        match self {
            Self::Run(error) => exit_code(error),
            Self::Leaked(_) => Exit::Leaked,
            // The scenario is not one for a rollout.
            Self::Measure(measure::MeasureError::NoFailure { .. }) => Exit::Usage,
            Self::Measure(_) | Self::Record(_) => Exit::Infrastructure,
        }
    }
}

async fn one(
    session: &Session,
    key: &Key,
    scenario: &Scenario,
    aside: &std::path::Path,
    status: StatusSink,
) -> Result<Life, Failed> {
    let result = session.run(scenario, aside, &RunOptions::default(), status).await?;
    if !result.cleaned.leaked.is_empty() {
        return Err(Failed::Leaked(result.directory.name()));
    }
    let read = |path: &std::path::Path| {
        fs_err::read_to_string(path).map_err(|error| Failed::Record(error.to_string()))
    };
    let text = read(&result.directory.events())?;
    let events =
        timeline::read_events(&text).map_err(|error| Failed::Record(error.to_string()))?.events;
    let plan = read(&result.directory.path().join("plan.json"))?;
    let plan: serde_json::Value =
        serde_json::from_str(&plan).map_err(|error| Failed::Record(error.to_string()))?;
    let checkpoint = plan["checkpoint"].as_str().map(str::to_owned);
    let run = result.directory.name();
    let life = LifeKey { machine: key.machine, help: key.help };
    Ok(measure::life(life, run, checkpoint, scenario, &result.derived, &events)?)
}

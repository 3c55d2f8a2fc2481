//! Driving a machine from power-on to the conclusion: faults are armed in the order of the scenario, before
//! power-on or once it is up, and whoever switches it off and on again is played.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use disk::ServedDisk;
use hypervisor::{AgentError, HypervisorError, Machine, MachineSpec, ShutdownMode};
use scenario::{Moment, PowerEvent};
use timeline::steps::{POWER_CUT, POWER_CYCLE, POWER_RESET};
use timeline::{Body, ResetBy, Sink, Source, StepState};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::caught::caught;
use crate::error::RunError;
use crate::fuses::{Fuses, Tripped};
use crate::host_disk;
use crate::interrupt::EndsEarly;
use crate::ready::Ready;
use crate::recorder::Progress;
use crate::run::Work;
use crate::surroundings::Surroundings;
use crate::watch::{Decision, Watch, WatchEnd};

/// How long a machine must stay healthy with all faults in place to count as unaffected. Host time: the
/// channel file of 2024 took its machines down within seconds.
const SETTLE: Duration = Duration::from_secs(15);
/// A clean shutdown at the end, so that what the guest wrote last is on its disk.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// A machine on its way, and everything that acts on it.
pub(crate) struct Drive<'a> {
    pub(crate) work: &'a Work<'a>,
    pub(crate) ready: &'a Ready,
    pub(crate) sink: &'a Sink,
    pub(crate) watch: &'a mut Watch,
    pub(crate) surroundings: &'a Surroundings<'a>,
    /// `None` while it is off.
    pub(crate) machine: Option<Box<dyn Machine>>,
    began: Instant,
    /// What the machine is made of, as it is now.
    pub(crate) spec: MachineSpec,
    /// Its disk, where the harness is the drive.
    pub(crate) disk: Option<Arc<ServedDisk>>,
    /// Where files lie that something is the matter with.
    pub(crate) places: BTreeMap<String, Vec<Range<u64>>>,
    pub(crate) fuses: Fuses,
    /// Trouble that ends by itself.
    pub(crate) lifts: JoinSet<()>,
}

impl<'a> Drive<'a> {
    pub(crate) fn new(
        work: &'a Work<'a>,
        ready: &'a Ready,
        sink: &'a Sink,
        watch: &'a mut Watch,
        surroundings: &'a Surroundings<'a>,
    ) -> Self {
        let facts = work.prepared.plan.facts.clone();
        // Where the harness is the drive, it knows itself which errors it made.
        let machine_says = match work.serves_the_disk() {
            true => sink.clone(),
            false => host_disk::guarded(sink.clone(), ready.spec.disk.clone()),
        };
        Self {
            work,
            ready,
            sink,
            watch,
            surroundings,
            machine: None,
            began: Instant::now(),
            spec: ready.spec.clone(),
            disk: None,
            places: BTreeMap::new(),
            fuses: Fuses::new(facts, machine_says),
            lifts: JoinSet::new(),
        }
    }

    /// Powers the machine on, drives it until the verdict can no longer change, and switches it off.
    pub(crate) async fn run(mut self) -> Result<(), RunError> {
        let early = self.watch.ended_early();
        let ended = tokio::select! {
            biased;
            early = early => early.map_err(Stop::from),
            // After a panic the machine is still switched off in good order, and its disk read.
            ended = caught(self.conclude()) => ended.map_err(Stop::from).flatten(),
        };
        // Whoever is still starting a machine or editing its disk has to be through with it.
        self.work.jobs.over().await;
        let (why, detail) = match &ended {
            Ok(because) => ("concluded", because.clone()),
            Err(stop) => (stop.why(), stop.to_string()),
        };
        if let Err(error) = &ended
            && error.is_a_failure()
        {
            self.sink.emit(Source::Harness, Body::HarnessFailed { reason: error.to_string() });
        }
        self.sink.emit(Source::Harness, Body::WatchEnded { why: why.to_owned(), detail });
        let off = self.switch_off(ended.is_ok()).await;
        if let Err(error) = self.close_disk().await {
            self.sink.emit(Source::Harness, Body::HarnessFailed { reason: error.to_string() });
        }
        off
    }

    async fn switch_off(&mut self, concluded: bool) -> Result<(), RunError> {
        let Some(machine) = self.machine.take() else { return Ok(()) };
        self.work.reporter.doing("switching the machine off");
        // The last picture, whatever it shows.
        if let Err(error) = machine.screenshot("end").await {
            tracing::debug!(%error, "no last picture");
        }
        if concluded && self.watch.is_healthy() && !self.watch.has_failed() {
            shut_down(&*machine, self.watch).await;
        }
        machine.destroy().await?;
        Ok(())
    }

    async fn conclude(&mut self) -> Result<String, Stop> {
        self.serve_disk().await?;
        self.find_places().await?;
        self.arm_all(Moment::Staged).await?;
        self.power_on().await?;
        if self.work.prepared.stage.online.iter().any(|online| online.when() == Moment::Healthy) {
            match self.until_healthy().await {
                Ok(()) => self.arm_all(Moment::Healthy).await?,
                Err(Stop::Watch(WatchEnd::Concluded)) => {}
                Err(stop) => return Err(stop),
            }
        }
        loop {
            let decision = tokio::select! {
                biased;
                tripped = self.fuses.tripped() => {
                    self.power_fails(&tripped).await?;
                    continue;
                }
                decision = self.watch.until_decided(SETTLE) => decision?,
            };
            match decision {
                Decision::Concluded(conclusion) => return Ok(conclusion.because),
                Decision::AwaitsPowerCycle => self.power_cycle().await?,
                Decision::AwaitsHostRepair => self.host_repair().await?,
            }
        }
    }

    /// The power may fail on the way.
    async fn until_healthy(&mut self) -> Result<(), Stop> {
        loop {
            tokio::select! {
                biased;
                tripped = self.fuses.tripped() => self.power_fails(&tripped).await?,
                healthy = self.watch.until_healthy() => return Ok(healthy?),
            }
        }
    }

    /// The power has gone at a moment that a fault chose, and comes back at once.
    async fn power_fails(&mut self, tripped: &Tripped) -> Result<(), Stop> {
        self.work.reporter.doing("the power fails");
        let (name, proof) = match tripped.what {
            PowerEvent::Reset => {
                let before = self.watch.progress().borrow().boot;
                self.machine()?.reset_by(ResetBy::Power).await?;
                // What is waited for next is a moment of the next boot.
                let next = |progress: &Progress| {
                    (progress.boot != before || progress.conclusion.is_some()).then_some(())
                };
                self.watch.until("the reset", next).await?;
                (POWER_RESET, "the reset button was pressed".to_owned())
            }
            PowerEvent::Cut => {
                self.cut_power().await?;
                (POWER_CUT, format!("the power was cut {}", tripped.detail))
            }
        };
        if let Some(fault) = self.fuses.again() {
            let proof = vec![proof.trim_end().to_owned()];
            self.sink.emit(Source::Hypervisor, Body::FaultLanded { fault, proof });
        }
        if tripped.what == PowerEvent::Cut {
            if self.watch.is_concluded() {
                return Ok(());
            }
            self.on_again().await?;
        }
        self.power_is_back(name);
        Ok(())
    }

    fn power_is_back(&self, name: &str) {
        let (name, state, detail) = (name.to_owned(), StepState::Done, String::new());
        self.sink.emit(Source::Harness, Body::Step { name, state, detail });
        self.work.reporter.doing("watching");
    }

    /// Ends the machine at once.
    pub(crate) async fn cut_power(&mut self) -> Result<(), Stop> {
        if let Some(machine) = self.machine.take() {
            machine.cut_power().await?;
        }
        Ok(self.watch.until_off("the machine to be without power").await?)
    }

    async fn arm_all(&mut self, when: Moment) -> Result<(), Stop> {
        let work = self.work;
        for online in work.prepared.stage.online.iter().filter(|online| online.when() == when) {
            self.arm(online).await?;
            // Some faults take the power with them.
            if when == Moment::Healthy && self.machine.is_none() {
                self.on_again().await?;
                self.power_is_back(POWER_CUT);
            }
        }
        Ok(())
    }

    /// The machine, for what is done to it while it is on.
    pub(crate) fn machine(&self) -> Result<&dyn Machine, Stop> {
        self.machine.as_deref().ok_or(Stop::IsOff)
    }

    async fn power_on(&mut self) -> Result<(), Stop> {
        let ram = self.ready.ram.as_deref();
        self.work.reporter.doing(match ram {
            Some(_) => "restoring the machine",
            None => "starting the machine",
        });
        let machine = self.work.start(ram, &self.spec, self.fuses.sink()).await?;
        self.began = Instant::now();
        self.take(machine)
    }

    fn take(&mut self, machine: Box<dyn Machine>) -> Result<(), Stop> {
        let noted = self.work.note_emulator(&*machine, &self.ready.spec);
        self.machine = Some(machine);
        noted.map_err(|error| Stop::Ledger(error.to_string()))?;
        self.work.reporter.doing("watching");
        Ok(())
    }

    /// Switches the machine off.
    pub(crate) async fn off(&mut self) -> Result<(), Stop> {
        // Gone before the next of the same name begins: both would clean up the same files.
        if let Some(machine) = self.machine.take() {
            machine.destroy().await?;
        }
        Ok(self.watch.until_off("the machine to be off").await?)
    }

    /// Switches it on again. What was in RAM is gone; the disk, the firmware's variables and the TPM are the
    /// same, and the clock has gone on.
    pub(crate) async fn on_again(&mut self) -> Result<(), Stop> {
        let gone_on = self.began.elapsed().as_secs();
        let spec = MachineSpec {
            clock: self.ready.spec.clock.map(|clock| clock.saturating_add(gone_on)),
            ..self.spec.clone()
        };
        if let Some(disk) = &self.disk {
            disk.power_on();
        }
        let machine = self.work.start(None, &spec, self.fuses.sink()).await?;
        self.take(machine)
    }

    /// The scenario's operator: off, and on again.
    async fn power_cycle(&mut self) -> Result<(), Stop> {
        let sink = self.sink.clone();
        let step = |state| {
            let name = POWER_CYCLE.to_owned();
            sink.emit(Source::Harness, Body::Step { name, state, detail: String::new() });
        };
        self.work.reporter.doing("switching the machine off and on again");
        step(StepState::Started);
        self.off().await?;
        if self.watch.is_concluded() {
            return Ok(());
        }
        self.on_again().await?;
        step(StepState::Done);
        Ok(())
    }
}

/// Asks a healthy guest to shut down, so that its disk is complete. One that does not is switched off.
pub(crate) async fn shut_down(machine: &dyn Machine, watch: &mut Watch) {
    let early = watch.ended_early();
    tokio::select! {
        biased;
        _ = early => return,
        asked = machine.agent().shutdown(ShutdownMode::PowerDown) => {
            if let Err(error) = asked {
                tracing::debug!(%error, "no clean shutdown");
                return;
            }
        }
    }
    let off = watch.until_off("the machine to shut down");
    if tokio::time::timeout(SHUTDOWN, off).await.is_err() {
        tracing::warn!("the machine did not shut down within {} s", SHUTDOWN.as_secs());
    }
}

/// Why driving a machine ended without a conclusion.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error(transparent)]
    Watch(#[from] WatchEnd),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("the guest failed at {act}: {said}")]
    NotDone { act: String, said: String },
    #[error(transparent)]
    Machine(#[from] HypervisorError),
    #[error("the machine is off")]
    IsOff,
    #[error("the harness does not serve the machine's disk")]
    NoDrive,
    #[error("{path} has {found} bytes after the power cut, and not what was written")]
    NotInterrupted { path: String, found: usize },
    #[error("{path} was not found on the disk")]
    Nowhere { path: String },
    #[error(transparent)]
    Run(#[from] Box<RunError>),
    #[error("{0}")]
    Ledger(String),
}

impl From<EndsEarly> for Stop {
    fn from(why: EndsEarly) -> Self {
        Self::Watch(why.into())
    }
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        Self::Run(Box::new(error))
    }
}

impl Stop {
    fn why(&self) -> &'static str {
        match self {
            Self::Watch(WatchEnd::TimeLimit { .. }) => "time-limit",
            Self::Watch(WatchEnd::Early(EndsEarly::Interrupted)) => "interrupted",
            _ => "failed",
        }
    }

    /// True where the harness or the host failed, which the events do not say by themselves.
    fn is_a_failure(&self) -> bool {
        let panicked = matches!(self, Self::Watch(WatchEnd::Early(EndsEarly::Panicked(_))));
        panicked || !matches!(self, Self::Watch(_))
    }
}

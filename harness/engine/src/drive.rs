//! Driving a machine from power-on to the conclusion: faults are armed in the order of the scenario, before
//! power-on or once it is up, and whoever switches it off and on again is played.

use std::time::Duration;

use hypervisor::{AgentError, HypervisorError, Machine, MachineSpec, ShutdownMode};
use network::NetworkHandle;
use scenario::Moment;
use timeline::steps::POWER_CYCLE;
use timeline::{Body, Sink, Source, StepState};
use tokio::time::Instant;

use crate::error::RunError;
use crate::ready::Ready;
use crate::run::Work;
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
    pub(crate) network: &'a NetworkHandle,
    /// `None` while it is off.
    pub(crate) machine: Option<Box<dyn Machine>>,
    began: Instant,
}

impl<'a> Drive<'a> {
    pub(crate) fn new(
        work: &'a Work<'a>,
        ready: &'a Ready,
        sink: &'a Sink,
        watch: &'a mut Watch,
        network: &'a NetworkHandle,
    ) -> Self {
        Self { work, ready, sink, watch, network, machine: None, began: Instant::now() }
    }

    /// Powers the machine on, drives it until the verdict can no longer change, and switches it off.
    pub(crate) async fn to_the_end(mut self) -> Result<(), RunError> {
        let ended = self.to_the_conclusion().await;
        let (why, detail) = match &ended {
            Ok(because) => ("concluded", because.clone()),
            Err(stop) => (stop.why(), stop.to_string()),
        };
        if let Err(error) = &ended
            && !matches!(error, Stop::Watch(_))
        {
            self.sink.emit(Source::Harness, Body::HarnessFailed { reason: error.to_string() });
        }
        self.sink.emit(Source::Harness, Body::WatchEnded { why: why.to_owned(), detail });
        let Some(machine) = self.machine.take() else { return Ok(()) };
        self.work.reporter.doing("switching the machine off");
        // The last picture, whatever it shows.
        if let Err(error) = machine.screenshot("end").await {
            tracing::debug!(%error, "no last picture");
        }
        if ended.is_ok() && self.watch.is_healthy() {
            self.shut_down(&*machine).await;
        }
        machine.destroy().await?;
        Ok(())
    }

    async fn to_the_conclusion(&mut self) -> Result<String, Stop> {
        self.arm_all(Moment::Staged).await?;
        self.power_on().await?;
        if self.work.prepared.stage.online.iter().any(|online| online.when() == Moment::Healthy) {
            match self.watch.until_healthy().await {
                Ok(()) => self.arm_all(Moment::Healthy).await?,
                Err(WatchEnd::Concluded) => {}
                Err(end) => return Err(end.into()),
            }
        }
        loop {
            match self.watch.until_decided(SETTLE).await? {
                Decision::Concluded(conclusion) => return Ok(conclusion.because),
                Decision::AwaitsPowerCycle => self.power_cycle().await?,
            }
        }
    }

    async fn arm_all(&mut self, when: Moment) -> Result<(), Stop> {
        let work = self.work;
        for online in work.prepared.stage.online.iter().filter(|online| online.when() == when) {
            self.arm(online).await?;
        }
        Ok(())
    }

    /// The machine, for what is done to it while it is on.
    pub(crate) fn machine(&self) -> Result<&dyn Machine, Stop> {
        self.machine.as_deref().ok_or(Stop::IsOff)
    }

    async fn power_on(&mut self) -> Result<(), Stop> {
        let hypervisor = &self.work.session.hypervisor;
        let spec = &self.ready.spec;
        let machine = match &self.ready.ram {
            Some(ram) => {
                self.work.reporter.doing("restoring the machine");
                hypervisor.restore(ram, spec, self.sink.clone()).await?
            }
            None => {
                self.work.reporter.doing("starting the machine");
                hypervisor.start(spec, self.sink.clone()).await?
            }
        };
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
            ..self.ready.spec.clone()
        };
        let machine = self.work.session.hypervisor.start(&spec, self.sink.clone()).await?;
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

    /// Asks a healthy guest to shut down, so that its disk is complete. One that does not is switched off.
    async fn shut_down(&mut self, machine: &dyn Machine) {
        if let Err(error) = machine.agent().shutdown(ShutdownMode::PowerDown).await {
            tracing::debug!(%error, "no clean shutdown");
            return;
        }
        let off = self.watch.until_off("the machine to shut down");
        if tokio::time::timeout(SHUTDOWN, off).await.is_err() {
            tracing::warn!("the machine did not shut down within {} s", SHUTDOWN.as_secs());
        }
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
    #[error("{0}")]
    Ledger(String),
}

impl Stop {
    fn why(&self) -> &'static str {
        match self {
            Self::Watch(WatchEnd::TimeLimit { .. }) => "time-limit",
            Self::Watch(WatchEnd::Interrupted) => "interrupted",
            _ => "failed",
        }
    }
}

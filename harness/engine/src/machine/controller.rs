//! Driving a machine from power-on to the conclusion: faults are injected in the order of the scenario, before
//! power-on or once it is up, and whoever switches it off and on again is played.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use disk::ServedDisk;
use hypervisor::{Machine, MachineSpec};
use scenario::{Moment, PowerEvent};
use timeline::steps::{POWER_CUT, POWER_CYCLE, POWER_RESET};
use timeline::{Body, Observation, ResetBy, Sink, Source, StepState};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cable;
use super::context::RunContext;
use super::control_error::ControlError;
use super::faults::{NetworkFaults, PowerFaults, PowerLoss};
use super::limits::SETTLE;
use super::shutdown::shut_down;
use super::starting_point::StartingPoint;
use super::watch::{Decision, Watch, WatchEnd};
use crate::error::RunError;
use crate::host_disk;
use crate::record::Progress;
use crate::tasks::catch_panic;

/// A machine on its way, and everything that acts on it.
pub(crate) struct MachineController<'a> {
    pub(crate) context: &'a RunContext<'a>,
    pub(crate) starting_point: &'a StartingPoint,
    pub(crate) sink: &'a Sink,
    pub(crate) watch: &'a mut Watch,
    pub(crate) network_faults: &'a NetworkFaults<'a>,
    /// `None` while it is off.
    pub(crate) machine: Option<Box<dyn Machine>>,
    /// Whether it has been started, which a daemon may take its time for.
    started: watch::Sender<bool>,
    began: Instant,
    /// How long it had been running before.
    ran_before: Duration,
    /// What the machine is made of, as it is now.
    pub(crate) spec: MachineSpec,
    /// Its disk, where the harness is the drive.
    pub(crate) disk: Option<Arc<ServedDisk>>,
    /// Where files lie that something is the matter with.
    pub(crate) places: BTreeMap<String, Vec<Range<u64>>>,
    pub(crate) power_faults: PowerFaults,
    /// Trouble that ends by itself.
    pub(crate) lifts: JoinSet<()>,
    /// How the machine was switched off that another run drove until it was given up, while that is not said.
    afterwards: Vec<Observation>,
}

impl<'a> MachineController<'a> {
    pub(crate) fn new(
        context: &'a RunContext<'a>,
        starting_point: &'a StartingPoint,
        sink: &'a Sink,
        watch: &'a mut Watch,
        network_faults: &'a NetworkFaults<'a>,
    ) -> Self {
        let facts = context.prepared.plan.facts.clone();
        // Where the harness is the drive, it knows itself which errors it made.
        let machine_says = match context.prepared.serves_the_disk() {
            true => sink.clone(),
            false => host_disk::guarded(sink.clone(), starting_point.spec.disk.clone()),
        };
        Self {
            context,
            starting_point,
            sink,
            watch,
            network_faults,
            machine: None,
            started: watch::Sender::new(false),
            began: Instant::now(),
            ran_before: starting_point
                .taken_over
                .as_ref()
                .map_or(Duration::ZERO, |taken| taken.lasted),
            spec: starting_point.spec.clone(),
            disk: None,
            places: BTreeMap::new(),
            power_faults: PowerFaults::new(facts, machine_says),
            lifts: JoinSet::new(),
            afterwards: starting_point
                .taken_over
                .as_ref()
                .map_or_else(Vec::new, |taken| taken.afterwards.clone()),
        }
    }

    /// Powers the machine on, drives it until the verdict can no longer change, and switches it off.
    pub(crate) async fn run(mut self) -> Result<(), RunError> {
        let early = self.watch.ended_early();
        let cable = cable::comes_off(
            self.network_faults.network_report(),
            self.watch.progress(),
            self.started.subscribe(),
        );
        let ended = tokio::select! {
            biased;
            early = early => early.map_err(ControlError::from),
            reason = cable => Err(ControlError::Cable(reason)),
            // After a panic the machine is still switched off in good order, and its disk read.
            ended = catch_panic(self.conclude()) => ended.map_err(ControlError::from).flatten(),
        };
        // Whoever is still starting a machine or editing its disk has to be through with it.
        self.context.jobs.over().await;
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
        off?;
        // The record of it ends with a machine that is off.
        if ended.is_ok()
            && !self.watch.has_failed()
            && self.context.drives_for_others()
            // That machine is not any more as it was given up.
            && self.watch.progress().borrow().forced_stop.is_none()
            && self.watch.until_off("the machine to be off").await.is_ok()
        {
            let kept_waiting = self.watch.clock().kept_waiting();
            let StartingPoint { spec, before, .. } = self.starting_point;
            self.context.keep_beginning(spec, before, kept_waiting).await;
        }
        Ok(())
    }

    async fn switch_off(&mut self, concluded: bool) -> Result<(), RunError> {
        self.say_afterwards();
        let Some(machine) = self.machine.take() else { return Ok(()) };
        self.context.reporter.doing("switching the machine off");
        // The last picture, whatever it shows.
        if let Err(error) = machine.screenshot("end").await {
            tracing::debug!(%error, "no last picture");
        }
        self.force_stop(&*machine).await;
        if concluded && self.watch.is_healthy() && !self.watch.has_failed() {
            shut_down(&*machine, self.watch).await;
        }
        machine.destroy().await?;
        Ok(())
    }

    async fn conclude(&mut self) -> Result<String, ControlError> {
        if self.starting_point.taken_over.is_none() {
            self.begin().await?;
        }
        self.go_on().await
    }

    /// Until all faults are in place.
    async fn begin(&mut self) -> Result<(), ControlError> {
        self.serve_disk().await?;
        self.find_places().await?;
        self.inject_all(Moment::Staged).await?;
        self.power_on().await?;
        if self.context.prepared.stage.online.iter().any(|online| online.when() == Moment::Healthy)
        {
            match self.until_healthy().await {
                Ok(()) => self.inject_all(Moment::Healthy).await?,
                Err(ControlError::Watch(WatchEnd::Concluded)) => {}
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    /// Until the verdict can no longer change.
    async fn go_on(&mut self) -> Result<String, ControlError> {
        loop {
            let decision = tokio::select! {
                biased;
                loss = self.power_faults.next_loss() => {
                    self.power_fails(&loss).await?;
                    continue;
                }
                decision = self.watch.until_decided(SETTLE) => decision?,
            };
            match decision {
                Decision::Concluded(conclusion) => return Ok(conclusion.because),
                Decision::AwaitsPowerCycle => self.power_cycle().await?,
                Decision::AwaitsLayer(layer) => self.work(layer).await?,
                Decision::AwaitsSecondStart => self.start_again().await?,
            }
        }
    }

    /// The power may fail on the way.
    async fn until_healthy(&mut self) -> Result<(), ControlError> {
        loop {
            tokio::select! {
                biased;
                loss = self.power_faults.next_loss() => self.power_fails(&loss).await?,
                healthy = self.watch.until_healthy() => return Ok(healthy?),
            }
        }
    }

    /// The power has gone at a moment that a fault chose, and comes back at once.
    async fn power_fails(&mut self, loss: &PowerLoss) -> Result<(), ControlError> {
        self.context.reporter.doing("the power fails");
        let (name, proof) = match loss.what {
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
                (POWER_CUT, format!("the power was cut {}", loss.detail))
            }
        };
        if let Some(fault) = self.power_faults.again() {
            let proof = vec![proof.trim_end().to_owned()];
            self.sink.emit(Source::Hypervisor, Body::FaultLanded { fault, proof });
        }
        if loss.what == PowerEvent::Cut {
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
        self.context.reporter.doing("watching");
    }

    /// Ends the machine at once.
    pub(crate) async fn cut_power(&mut self) -> Result<(), ControlError> {
        if let Some(machine) = self.machine.take() {
            machine.cut_power().await?;
        }
        Ok(self.watch.until_off("the machine to be without power").await?)
    }

    async fn inject_all(&mut self, when: Moment) -> Result<(), ControlError> {
        let context = self.context;
        for online in context.prepared.stage.online.iter().filter(|online| online.when() == when) {
            self.inject(online).await?;
            // Some faults take the power with them.
            if when == Moment::Healthy && self.machine.is_none() {
                self.on_again().await?;
                self.power_is_back(POWER_CUT);
            }
        }
        Ok(())
    }

    /// The machine, for what is done to it while it is on.
    pub(crate) fn machine(&self) -> Result<&dyn Machine, ControlError> {
        self.machine.as_deref().ok_or(ControlError::IsOff)
    }

    async fn power_on(&mut self) -> Result<(), ControlError> {
        let ram = self.starting_point.ram.as_deref();
        self.context.reporter.doing(match ram {
            Some(_) => "restoring the machine",
            None => "starting the machine",
        });
        let machine = self.context.start(ram, &self.spec, self.power_faults.sink()).await?;
        self.began = Instant::now();
        self.take(machine)
    }

    fn take(&mut self, machine: Box<dyn Machine>) -> Result<(), ControlError> {
        let noted = self.context.note_emulator(&*machine, &self.starting_point.spec);
        self.watch.clock().follow(machine.emulator_pid());
        self.machine = Some(machine);
        self.started.send_replace(true);
        noted.map_err(|error| ControlError::Ledger(error.to_string()))?;
        self.context.reporter.doing("watching");
        Ok(())
    }

    /// Switches the machine off.
    pub(crate) async fn off(&mut self) -> Result<(), ControlError> {
        // Gone before the next of the same name begins: both would clean up the same files.
        if let Some(machine) = self.machine.take() {
            self.started.send_replace(false);
            // Its process id may be another's soon.
            self.watch.clock().follow(None);
            machine.destroy().await?;
        }
        self.say_afterwards();
        Ok(self.watch.until_off("the machine to be off").await?)
    }

    fn say_afterwards(&mut self) {
        for Observation { source, body } in self.afterwards.drain(..) {
            self.sink.emit(source, body);
        }
    }

    /// Switches it on again. What was in RAM is gone; the disk, the firmware's variables and the TPM are the
    /// same, and the clock has gone on.
    pub(crate) async fn on_again(&mut self) -> Result<(), ControlError> {
        let gone_on = (self.began.elapsed() + self.ran_before).as_secs();
        let spec = MachineSpec {
            clock: self.starting_point.spec.clock.map(|clock| clock.saturating_add(gone_on)),
            ..self.spec.clone()
        };
        if let Some(disk) = &self.disk {
            disk.power_on();
        }
        let machine = self.context.start(None, &spec, self.power_faults.sink()).await?;
        self.take(machine)
    }

    /// Switches it on as it was frozen.
    pub(crate) async fn on_from(&mut self, ram: &Path) -> Result<(), ControlError> {
        (self.began, self.ran_before) = (Instant::now(), Duration::ZERO);
        let machine = self.context.start(Some(ram), &self.spec, self.power_faults.sink()).await?;
        self.take(machine)
    }

    /// The scenario's operator: off, and on again.
    async fn power_cycle(&mut self) -> Result<(), ControlError> {
        let sink = self.sink.clone();
        let step = |state| {
            let name = POWER_CYCLE.to_owned();
            sink.emit(Source::Harness, Body::Step { name, state, detail: String::new() });
        };
        self.context.reporter.doing("switching the machine off and on again");
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

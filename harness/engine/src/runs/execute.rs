//! One run from its staging to its evidence.

use std::time::Duration;

use disk::{Access, OfflineDisk};
use faults::Origin;
use scenario::Start;
use timeline::steps::{BEGINNING, INJECT};
use timeline::{Body, Derived, Event, Sink, Source, StepState};
use tokio::sync::watch::Receiver;

use crate::error::RunError;
use crate::evidence::Collector;
use crate::machine::{MachineController, NetworkFaults, RunContext, StartingPoint, Watch};
use crate::offline::WindowsDisk;
use crate::record::{Progress, Recorder};

/// How a run is to be done, where it differs from the scenario.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// How the machine comes to run.
    pub start: Option<Start>,
    /// Keeps the machine's disk in the run directory.
    pub keep_disk: bool,
    /// A new outcome is left in the run directory, and not beside its reference.
    pub pending_aside: bool,
}

impl RunContext<'_> {
    pub(crate) async fn execute(
        &self,
        options: &RunOptions,
    ) -> Result<(Derived, Vec<Event>), RunError> {
        self.session.interrupt.check()?;
        let starting_point = self.prepare_start().await?;
        let (path, facts) = (self.directory.events(), self.prepared.plan.facts.clone());
        let taken = starting_point.taken_over.as_ref();
        let beginning = taken.map_or(&[][..], |taken| &taken.events);
        let mut recorder = Recorder::begin_with(&path, facts, beginning)?;
        recorder.look_at_frames(&self.directory.machine());
        let sink = recorder.sink();
        if let Some(taken) = taken {
            let (name, state) = (BEGINNING.to_owned(), StepState::Done);
            let detail = taken.run.clone();
            sink.emit(Source::Harness, Body::Step { name, state, detail });
            taken.not_looked_at().for_each(|frame| recorder.look_at(frame));
        }
        self.announce_staged(&sink, &starting_point);

        let spent = taken.map_or(Duration::ZERO, |taken| taken.spent);
        let watch = self.watch(&recorder, spent);
        if let Err(error) =
            self.with_network(&starting_point, &sink, watch, recorder.progress()).await
        {
            sink.emit(Source::Harness, Body::HarnessFailed { reason: error.to_string() });
        }
        // Whoever still edits the disk has to be through with it.
        self.jobs.over().await;
        self.reporter.doing("reading the disk");
        let forced_stop = recorder.progress().borrow().forced_stop.is_some();
        if let Err(error) = self.evidence(&starting_point, &sink, forced_stop).await {
            let reason = format!("the disk could not be read: {error}");
            sink.emit(Source::Harness, Body::HarnessFailed { reason });
        }
        if options.keep_disk {
            self.keep_disk(&starting_point)?;
        }
        let events = recorder.finish().await?;
        Ok((timeline::derive(&events), events))
    }

    /// Staged faults are in place before power-on.
    fn announce_staged(&self, sink: &Sink, starting_point: &StartingPoint) {
        for (origin, proof) in &starting_point.landed {
            if let Origin::Fault(fault) = origin {
                let step = |state| Body::Step {
                    name: format!("{INJECT}{fault}"),
                    state,
                    detail: String::new(),
                };
                sink.emit(Source::Harness, step(StepState::Started));
                let landed = Body::FaultLanded { fault: fault.clone(), proof: proof.clone() };
                sink.emit(Source::Disk, landed);
                sink.emit(Source::Harness, step(StepState::Done));
            }
        }
    }

    async fn with_network(
        &self,
        starting_point: &StartingPoint,
        sink: &Sink,
        mut watch: Watch,
        progress: Receiver<Progress>,
    ) -> Result<(), RunError> {
        let (network, update_service) = self.start_network(&starting_point.spec, sink)?;
        let scale = self.prepared.plan.time_scale;
        let network_faults =
            NetworkFaults::new(&network, update_service, progress, sink.clone(), scale);
        let controller =
            MachineController::new(self, starting_point, sink, &mut watch, &network_faults);
        let result = tokio::select! {
            result = controller.run() => result,
            never = network_faults.keep() => match never {},
        };
        if let Err(error) = network.stop().await {
            sink.emit(Source::Harness, Body::HarnessFailed { reason: error.to_string() });
        }
        result
    }

    async fn evidence(
        &self,
        starting_point: &StartingPoint,
        sink: &Sink,
        forced_stop: bool,
    ) -> Result<(), RunError> {
        let (path, scratch) = (starting_point.spec.disk.clone(), self.session.scratch.clone());
        let (scenario, profile) = (self.scenario.clone(), self.prepared.profile.clone());
        let (directory, to, before) =
            (self.directory.clone(), sink.clone(), starting_point.before.clone());
        let starting = self.prepared.starting();
        let drives = self.prepared.drives.clone();
        let reading = self.jobs.blocking(move || -> Result<Vec<String>, RunError> {
            let disk =
                OfflineDisk::open_overlay(&path, Access::ReadOnly, &scratch)?.starting(starting)?;
            let drive = drives.system;
            let mut disk = WindowsDisk::new(disk, None)?.with_drives(drives);
            let collector = Collector {
                scenario: &scenario,
                profile: &profile,
                directory: &directory,
                sink: &to,
                drive,
                forced_stop,
            };
            Ok(collector.collect(&mut disk, &before))
        });
        for trouble in reading.await? {
            sink.emit(Source::Harness, Body::HarnessFailed { reason: trouble });
        }
        Ok(())
    }

    fn keep_disk(&self, starting_point: &StartingPoint) -> Result<(), RunError> {
        fs_err::rename(&starting_point.spec.disk, self.directory.path().join("disk.qcow2"))?;
        Ok(())
    }
}

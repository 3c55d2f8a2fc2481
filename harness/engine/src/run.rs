//! One run of one scenario: plan, machine, watch, evidence, outcome.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disk::{Access, OfflineDisk};
use faults::{Online, Origin};
use hypervisor::{HypervisorError, Machine, MachineSpec};
use network::{Network, NetworkConfig, NetworkHandle};
use recovery::{CaptivePortal, ContentService, RemediationService};
use report::{Comparison, RunIdentity, Summary};
use scenario::{Scenario, Start};
use timeline::steps::INJECT;
use timeline::{Body, Derived, Event, Sink, Source, StepState};

use crate::collect::Collector;
use crate::drive::Drive;
use crate::error::RunError;
use crate::ids::RunId;
use crate::jobs::Jobs;
use crate::ledger::{Cleaned, Entry, Ledger};
use crate::life::Life;
use crate::offline::WindowsDisk;
use crate::prepare::Prepared;
use crate::ready::Ready;
use crate::recorder::{Progress, Recorder};
use crate::remediation;
use crate::result::ExitStatus;
use crate::rundir::RunDir;
use crate::session::Session;
use crate::status::{Reporter, StatusSink};
use crate::surroundings::Surroundings;
use crate::watch::Watch;

/// Limit of one request to the guest agent, under software emulation.
pub(crate) const AGENT: Duration = Duration::from_secs(120);

/// How a run is to be done, where it differs from the scenario.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// How the machine comes to run.
    pub start: Option<Start>,
    /// Keeps the machine's disk in the run directory.
    pub keep_disk: bool,
}

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
        let life = self.live(scenario, Some(&reference), options, &status).await?;
        let Life { run, directory, derived, cleaned, .. } = life;
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

/// One run under way: between the beginning and the end of its [`Life`].
pub(crate) struct Work<'a> {
    pub(crate) session: &'a Session,
    pub(crate) scenario: &'a Scenario,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) run: &'a RunId,
    pub(crate) directory: &'a RunDir,
    pub(crate) ledger: &'a Ledger,
    pub(crate) reporter: &'a Reporter,
    pub(crate) jobs: &'a Jobs,
}

impl Work<'_> {
    pub(crate) async fn to_the_end(
        &self,
        options: &RunOptions,
    ) -> Result<(Derived, Vec<Event>), RunError> {
        self.session.interrupt.check()?;
        let ready = self.make_ready().await?;
        let mut recorder =
            Recorder::begin(&self.directory.events(), self.prepared.plan.facts.clone())?;
        recorder.look_at_frames(&self.directory.machine());
        let sink = recorder.sink();
        self.announce_staged(&sink, &ready);

        let watch = Watch::new(
            recorder.progress(),
            sink.clone(),
            self.session.interrupt.clone(),
            self.reporter.clone(),
            self.scenario.limits.time.duration(),
            self.silence(),
        );
        if let Err(error) = self.with_network(&ready, &sink, watch, recorder.progress()).await {
            sink.emit(Source::Harness, Body::HarnessFailed { reason: error.to_string() });
        }
        // Whoever still edits the disk has to be through with it.
        self.jobs.over().await;
        self.reporter.doing("reading the disk");
        if let Err(error) = self.evidence(&ready, &sink).await {
            let reason = format!("the disk could not be read: {error}");
            sink.emit(Source::Harness, Body::HarnessFailed { reason });
        }
        if options.keep_disk {
            self.keep_disk(&ready)?;
        }
        let events = recorder.finish().await?;
        Ok((timeline::derive(&events), events))
    }

    /// Staged faults are armed before power-on.
    fn announce_staged(&self, sink: &Sink, ready: &Ready) {
        for (origin, proof) in &ready.landed {
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
        ready: &Ready,
        sink: &Sink,
        mut watch: Watch,
        progress: tokio::sync::watch::Receiver<Progress>,
    ) -> Result<(), RunError> {
        let (network, update_service) = self.start_network(&ready.spec, sink)?;
        let scale = self.prepared.plan.time_scale;
        let surroundings =
            Surroundings::new(&network, update_service, progress, sink.clone(), scale);
        let drive = Drive::new(self, ready, sink, &mut watch, &surroundings);
        let result = tokio::select! {
            result = drive.run() => result,
            never = surroundings.keep() => match never {},
        };
        if let Err(error) = network.stop().await {
            sink.emit(Source::Harness, Body::HarnessFailed { reason: error.to_string() });
        }
        result
    }

    pub(crate) fn start_network(
        &self,
        spec: &MachineSpec,
        sink: &Sink,
    ) -> Result<(NetworkHandle, Option<RemediationService>), RunError> {
        let authority = &self.session.authority;
        // Where the scenario does not say what time it is, it is the host's.
        let clock = self.scenario.machine.clock.unwrap_or_else(jiff::Timestamp::now);
        let update_service =
            match remediation::config(self.scenario, clock, &self.directory.recovery()) {
                Some(config) => Some(RemediationService::new(config, authority, sink.clone())?),
                None => None,
            };
        let mut services: Vec<network::Service> =
            update_service.iter().map(RemediationService::network_service).collect();
        if let Some(config) = remediation::content(self.scenario, clock) {
            let service = ContentService::new(config, authority, sink.clone())?;
            services.push(service.network_service());
        }
        let capture = self.directory.machine().join("network.pcapng");
        let socket = spec.cable.clone().unwrap_or_else(|| spec.sockets.join("cable"));
        let mut config = NetworkConfig::new(socket, capture, services);
        config.portal = Some(CaptivePortal::new(authority, clock)?.network_service());
        Ok((Network::start(config, sink.clone())?, update_service))
    }

    /// True where the harness itself has to be the machine's drive.
    pub(crate) fn serves_the_disk(&self) -> bool {
        self.prepared.stage.online.iter().any(Online::needs_drive)
    }

    /// Powers a machine on, or restores it from `ram`. Where nobody waits for it any more it is ended again.
    pub(crate) async fn start(
        &self,
        ram: Option<&Path>,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, RunError> {
        let hypervisor = Arc::clone(&self.session.hypervisor);
        let (ram, spec) = (ram.map(Path::to_path_buf), spec.clone());
        let starting = async move {
            match ram {
                Some(ram) => hypervisor.restore(&ram, &spec, sink).await,
                None => hypervisor.start(&spec, sink).await,
            }
        };
        let end = async |started: Result<Box<dyn Machine>, HypervisorError>| {
            if let Ok(machine) = started
                && let Err(error) = machine.destroy().await
            {
                tracing::error!(%error, "a machine that nobody waits for any more");
            }
        };
        Ok(self.jobs.apart(starting, end).await??)
    }

    pub(crate) fn note_emulator(
        &self,
        machine: &dyn Machine,
        spec: &MachineSpec,
    ) -> Result<(), RunError> {
        if let Some(pid) = machine.emulator_pid() {
            self.ledger.note(Entry::Process { pid, mark: spec.name.clone() })?;
        }
        Ok(())
    }

    async fn evidence(&self, ready: &Ready, sink: &Sink) -> Result<(), RunError> {
        let (path, scratch) = (ready.spec.disk.clone(), self.session.scratch.clone());
        let (scenario, profile) = (self.scenario.clone(), self.prepared.profile.clone());
        let (directory, to, before) = (self.directory.clone(), sink.clone(), ready.before.clone());
        let reading = self.jobs.blocking(move || -> Result<Vec<String>, RunError> {
            let disk = OfflineDisk::open_overlay(&path, Access::ReadOnly, &scratch)?;
            let mut disk = WindowsDisk::new(disk, None)?;
            let collector = Collector {
                scenario: &scenario,
                profile: &profile,
                directory: &directory,
                sink: &to,
            };
            Ok(collector.collect(&mut disk, &before))
        });
        for trouble in reading.await? {
            sink.emit(Source::Harness, Body::HarnessFailed { reason: trouble });
        }
        Ok(())
    }

    fn keep_disk(&self, ready: &Ready) -> Result<(), RunError> {
        fs_err::rename(&ready.spec.disk, self.directory.path().join("disk.qcow2"))?;
        Ok(())
    }
}

//! One run of one scenario: plan, machine, watch, evidence, outcome.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disk::{Access, OfflineDisk};
use faults::{OnlineWrite, Origin};
use hypervisor::{AgentError, GuestAgent, HypervisorError, Machine, MachineSpec, ShutdownMode};
use network::{Network, NetworkConfig, NetworkHandle};
use recovery::RemediationService;
use report::{Comparison, RunIdentity, Summary};
use scenario::{Scenario, Start, Unmet};
use timeline::steps::{INJECT, POWER_CYCLE};
use timeline::{Body, Derived, Event, Sink, Source, StepState, Verdict};

use crate::collect::Collector;
use crate::error::RunError;
use crate::ids::RunId;
use crate::ledger::{Cleaned, Entry, Ledger};
use crate::offline::WindowsDisk;
use crate::prepare::{Prepared, prepare};
use crate::ready::Ready;
use crate::recorder::Recorder;
use crate::remediation;
use crate::result::{ExitStatus, observed};
use crate::rundir::{RUN_FORMAT, RunDir, RunRecord, RunStatus};
use crate::session::Session;
use crate::status::{Reporter, StatusSink};
use crate::watch::{Decision, Watch, WatchEnd};

/// How long a machine must stay healthy with all faults in place to count as unaffected. Host time: the
/// channel file of 2024 took its machines down within seconds.
const SETTLE: Duration = Duration::from_secs(15);
/// A clean shutdown at the end, so that what the guest wrote last is on its disk.
const SHUTDOWN: Duration = Duration::from_secs(60);
/// A machine of which nothing at all is seen for this long, though it has not come up, is called silent. Far
/// more than any phase takes between two signs of life, under software emulation too.
pub(crate) const SILENCE: Duration = Duration::from_secs(180);
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
    /// What the scenario expects and what did not come so.
    pub unmet: Vec<Unmet>,
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
        let reporter = Reporter::new(&scenario.name, status);
        let result = self.run_reported(scenario, folder, options, &reporter).await;
        reporter.done();
        result
    }

    async fn run_reported(
        &self,
        scenario: &Scenario,
        folder: &Path,
        options: &RunOptions,
        reporter: &Reporter,
    ) -> Result<RunResult, RunError> {
        let prepared = Arc::new(prepare(
            &self.store,
            &self.authority,
            &self.host.emulator,
            scenario,
            options.start,
        )?);
        let run = RunId::new();
        let directory = RunDir::create(&self.state.runs(), &run)?;
        let mut record = RunRecord {
            format: RUN_FORMAT,
            run: run.clone(),
            scenario: scenario.name.clone(),
            scenario_digest: scenario.digest(),
            reference: reference_path(folder, &scenario.name),
            image: prepared.image.name.clone(),
            image_digest: prepared.image.digest.clone(),
            began: jiff::Timestamp::now(),
            status: RunStatus::Running,
        };
        directory.write_json("run.json", &record)?;
        directory.write_json("scenario.json", scenario)?;
        directory.write_json("plan.json", &prepared.plan)?;
        directory.write_json("host.json", &self.host)?;
        let ledger = Ledger::begin(&self.state.ledgers(), run.as_str())?;

        let work = Work {
            session: self,
            scenario,
            prepared: Arc::clone(&prepared),
            run: &run,
            directory: &directory,
            ledger: &ledger,
            reporter,
        };
        let done = work.to_the_end(options).await;
        reporter.doing("cleaning up");
        let settling = ledger.clone();
        let cleaned = tokio::task::spawn_blocking(move || settling.settle())
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let derived = match done {
            Ok((derived, _)) => derived,
            Err(error) => {
                record.status = RunStatus::Aborted;
                directory.write_json("run.json", &record)?;
                return Err(error);
            }
        };

        let outcome = derived.outcome.render();
        directory.write(&directory.outcome(), outcome.as_bytes())?;
        directory.write_json("measurements.json", &derived.measurements)?;
        record.status = match derived.outcome.verdict {
            Verdict::Infrastructure => RunStatus::Aborted,
            _ => RunStatus::Complete,
        };
        directory.write_json("run.json", &record)?;
        let comparison = report::compare(&derived.outcome, &record.reference, run.as_str())?;
        let unmet = scenario.expect.unmet(&observed(scenario, &derived));
        let exit = ExitStatus::of(&derived, &comparison, &unmet, &cleaned);
        let identity =
            RunIdentity { run: run.as_str(), directory: directory.path(), exit_code: exit as u8 };
        let summary = report::summary(&derived, Some(&comparison), identity);
        directory.write_json("summary.json", &summary)?;
        Ok(RunResult { derived, comparison, unmet, exit, summary, directory, cleaned })
    }
}

/// Where the reference of a scenario lies.
pub fn reference_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.snap"))
}

/// One run under way.
pub(crate) struct Work<'a> {
    pub(crate) session: &'a Session,
    pub(crate) scenario: &'a Scenario,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) run: &'a RunId,
    pub(crate) directory: &'a RunDir,
    pub(crate) ledger: &'a Ledger,
    pub(crate) reporter: &'a Reporter,
}

impl Work<'_> {
    pub(crate) async fn to_the_end(
        &self,
        options: &RunOptions,
    ) -> Result<(Derived, Vec<Event>), RunError> {
        if self.session.interrupt.is_raised() {
            return Err(RunError::Interrupted);
        }
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
        match self.with_network(&ready, &sink, watch).await {
            Ok(()) => {}
            Err(error) => {
                sink.emit(Source::Harness, Body::HarnessFailed { reason: error.to_string() })
            }
        }
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

    async fn with_network(&self, ready: &Ready, sink: &Sink, watch: Watch) -> Result<(), RunError> {
        let network = self.start_network(&ready.spec, sink)?;
        let result = self.with_machine(ready, sink, watch).await;
        if let Err(error) = network.stop().await {
            sink.emit(Source::Harness, Body::HarnessFailed { reason: error.to_string() });
        }
        result
    }

    pub(crate) fn start_network(
        &self,
        spec: &MachineSpec,
        sink: &Sink,
    ) -> Result<NetworkHandle, RunError> {
        let mut services = Vec::new();
        if let Some(config) = remediation::config(self.scenario, &self.directory.recovery()) {
            let service = RemediationService::new(config, &self.session.authority, sink.clone())?;
            services.push(service.network_service());
        }
        let capture = self.directory.machine().join("network.pcapng");
        let socket = spec.cable.clone().unwrap_or_else(|| spec.sockets.join("cable"));
        Ok(Network::start(NetworkConfig::new(socket, capture, services), sink.clone())?)
    }

    async fn with_machine(
        &self,
        ready: &Ready,
        sink: &Sink,
        mut watch: Watch,
    ) -> Result<(), RunError> {
        let hypervisor = &self.session.hypervisor;
        let machine = match &ready.ram {
            Some(ram) => {
                self.reporter.doing("restoring the machine");
                hypervisor.restore(ram, &ready.spec, sink.clone()).await?
            }
            None => {
                self.reporter.doing("starting the machine");
                hypervisor.start(&ready.spec, sink.clone()).await?
            }
        };
        self.note_emulator(&*machine, &ready.spec)?;
        self.reporter.doing("watching");
        let mut power = Power { machine: Some(machine), began: tokio::time::Instant::now() };
        let ended = self.drive(&mut power, ready, sink, &mut watch).await;
        let (why, detail) = match &ended {
            Ok(because) => ("concluded", because.clone()),
            Err(Stop::Watch(WatchEnd::TimeLimit { .. })) => ("time-limit", ended.to_text()),
            Err(Stop::Watch(WatchEnd::Interrupted)) => ("interrupted", ended.to_text()),
            Err(_) => ("failed", ended.to_text()),
        };
        if let Err(error) = &ended
            && !matches!(error, Stop::Watch(_))
        {
            sink.emit(Source::Harness, Body::HarnessFailed { reason: error.to_string() });
        }
        sink.emit(Source::Harness, Body::WatchEnded { why: why.to_owned(), detail });
        let Some(machine) = power.machine else { return Ok(()) };
        self.reporter.doing("switching the machine off");
        // The last picture, whatever it shows.
        if let Err(error) = machine.screenshot("end").await {
            tracing::debug!(%error, "no last picture");
        }
        if ended.is_ok() && watch.is_healthy() {
            self.shut_down(&*machine, &mut watch).await;
        }
        machine.destroy().await?;
        Ok(())
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

    /// From power-on to the conclusion.
    async fn drive(
        &self,
        power: &mut Power,
        ready: &Ready,
        sink: &Sink,
        watch: &mut Watch,
    ) -> Result<String, Stop> {
        let online = &self.prepared.stage.online;
        if let Some(machine) = &power.machine
            && !online.is_empty()
        {
            match watch.until_healthy().await {
                Ok(()) => {
                    for write in online {
                        self.inject(machine.agent(), write, sink, watch).await?;
                    }
                }
                Err(WatchEnd::Concluded) => {}
                Err(end) => return Err(end.into()),
            }
        }
        loop {
            match watch.until_decided(SETTLE).await? {
                Decision::Concluded(conclusion) => return Ok(conclusion.because),
                Decision::AwaitsPowerCycle => self.power_cycle(power, ready, sink, watch).await?,
            }
        }
    }

    /// The scenario's operator: off, and on again. What was in RAM is gone; the disk, the firmware's
    /// variables and the TPM are the same, and the clock has gone on.
    async fn power_cycle(
        &self,
        power: &mut Power,
        ready: &Ready,
        sink: &Sink,
        watch: &mut Watch,
    ) -> Result<(), Stop> {
        let step = |state| {
            let name = POWER_CYCLE.to_owned();
            sink.emit(Source::Harness, Body::Step { name, state, detail: String::new() });
        };
        self.reporter.doing("switching the machine off and on again");
        step(StepState::Started);
        // Gone before the next of the same name begins: both would clean up the same files.
        if let Some(machine) = power.machine.take() {
            machine.destroy().await?;
        }
        watch.until_off("the machine to be off").await?;
        if watch.is_concluded() {
            return Ok(());
        }
        let gone_on = power.began.elapsed().as_secs();
        let spec = MachineSpec {
            clock: ready.spec.clock.map(|clock| clock.saturating_add(gone_on)),
            ..ready.spec.clone()
        };
        let machine = self.session.hypervisor.start(&spec, sink.clone()).await?;
        let noted = self.note_emulator(&*machine, &spec);
        power.machine = Some(machine);
        noted.map_err(|error| Stop::Ledger(error.to_string()))?;
        step(StepState::Done);
        self.reporter.doing("watching");
        Ok(())
    }

    async fn inject(
        &self,
        agent: &dyn GuestAgent,
        write: &OnlineWrite,
        sink: &Sink,
        watch: &mut Watch,
    ) -> Result<(), Stop> {
        let step = |state, detail: &str| {
            let name = format!("{INJECT}{}", write.fault);
            sink.emit(Source::Harness, Body::Step { name, state, detail: detail.to_owned() });
        };
        agent.wait_up(AGENT).await?;
        step(StepState::Started, write.path.as_str());
        match deliver(agent, write, watch).await {
            Ok(proof) => {
                let landed = Body::FaultLanded { fault: write.fault.clone(), proof };
                sink.emit(Source::Agent, landed);
                step(StepState::Done, "");
                Ok(())
            }
            Err(error) => {
                step(StepState::Failed, &error.to_string());
                Err(error)
            }
        }
    }

    /// Asks a healthy guest to shut down, so that its disk is complete. One that does not is switched off.
    async fn shut_down(&self, machine: &dyn Machine, watch: &mut Watch) {
        if let Err(error) = machine.agent().shutdown(ShutdownMode::PowerDown).await {
            tracing::debug!(%error, "no clean shutdown");
            return;
        }
        let off = watch.until_off("the machine to shut down");
        if tokio::time::timeout(SHUTDOWN, off).await.is_err() {
            tracing::warn!("the machine did not shut down within {} s", SHUTDOWN.as_secs());
        }
    }

    async fn evidence(&self, ready: &Ready, sink: &Sink) -> Result<(), RunError> {
        let disk = self.open(&ready.spec.disk, Access::ReadOnly)?;
        let (scenario, profile) = (self.scenario.clone(), self.prepared.profile.clone());
        let (directory, to, before) = (self.directory.clone(), sink.clone(), ready.before.clone());
        let troubles = blocking(move || -> Result<Vec<String>, RunError> {
            let mut disk = WindowsDisk::new(disk, None)?;
            let collector = Collector {
                scenario: &scenario,
                profile: &profile,
                directory: &directory,
                sink: &to,
            };
            Ok(collector.collect(&mut disk, &before))
        })
        .await?;
        for trouble in troubles {
            sink.emit(Source::Harness, Body::HarnessFailed { reason: trouble });
        }
        Ok(())
    }

    fn open(&self, path: &Path, access: Access) -> Result<OfflineDisk, RunError> {
        Ok(OfflineDisk::open_overlay(path, access, &self.session.scratch)?)
    }

    fn keep_disk(&self, ready: &Ready) -> Result<(), RunError> {
        fs_err::rename(&ready.spec.disk, self.directory.path().join("disk.qcow2"))?;
        Ok(())
    }
}

/// Writes a file beside its place, reads it back, and moves it there, as an updater would: whoever watches
/// the folder sees either no file or the whole one, and a guest that stops because of it can no longer deny
/// what it got. Whether it has stopped, its display may be the only one to tell.
async fn deliver(
    agent: &dyn GuestAgent,
    write: &OnlineWrite,
    watch: &mut Watch,
) -> Result<Vec<String>, Stop> {
    let path = write.path.as_str();
    let beside = format!("{path}.new");
    let mut proof = agent.write_file(&beside, &write.bytes).await?.lines();
    let arguments = ["/c", "move", "/y", &beside, path].map(str::to_owned);
    let moved = tokio::select! {
        biased;
        moved = agent.exec("cmd.exe", &arguments, AGENT) => moved,
        stopped = watch.until_stopped("the guest to take the file") => {
            stopped?;
            Err(AgentError::GuestGone { during: "guest-exec cmd.exe".to_owned() })
        }
    };
    match moved {
        Ok(moved) if moved.exit_code == Some(0) => proof.push(format!("moved to {path}")),
        Ok(moved) => {
            let said = String::from_utf8_lossy(&moved.stderr).trim().to_owned();
            return Err(Stop::NotMoved { path: path.to_owned(), said });
        }
        Err(AgentError::GuestGone { .. }) => {
            proof.push(format!("the guest was gone as soon as it was moved to {path}"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(proof)
}

/// A machine that somebody may switch off and on.
struct Power {
    /// `None` while it is off.
    machine: Option<Box<dyn Machine>>,
    began: tokio::time::Instant,
}

/// Why driving a machine ended without a conclusion.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Watch(#[from] WatchEnd),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("the guest did not move the file to {path}: {said}")]
    NotMoved { path: String, said: String },
    #[error("the machine could not be switched off and on again: {0}")]
    Power(#[from] HypervisorError),
    #[error("{0}")]
    Ledger(String),
}

trait ToText {
    fn to_text(&self) -> String;
}

impl ToText for Result<String, Stop> {
    fn to_text(&self) -> String {
        match self {
            Ok(text) => text.clone(),
            Err(stop) => stop.to_string(),
        }
    }
}

/// Runs work that blocks (the disk, offline) away from the tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
) -> Result<T, RunError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

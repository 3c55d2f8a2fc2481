//! One run of one scenario: plan, machine, watch, evidence, outcome.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disk::{Access, OfflineDisk, Tree, create_overlay};
use faults::{OnlineWrite, Origin};
use hypervisor::{AgentError, GuestAgent, Machine, MachineSpec, ShutdownMode};
use network::{Network, NetworkConfig, NetworkHandle};
use recovery::RemediationService;
use report::{Comparison, RunIdentity, Summary};
use scenario::{Observed, Scenario, ServiceAnswer, Start, Unmet};
use timeline::steps::INJECT;
use timeline::{Body, Derived, Sink, Source, StepState, What};

use crate::collect::Collector;
use crate::error::RunError;
use crate::ids::RunId;
use crate::ledger::{Cleaned, Entry, Ledger};
use crate::offline::WindowsDisk;
use crate::prepare::{Prepared, copy_writable, prepare};
use crate::recorder::Recorder;
use crate::remediation;
use crate::rundir::{RUN_FORMAT, RunDir, RunRecord, RunStatus};
use crate::session::Session;
use crate::status::{Reporter, StatusSink};
use crate::watch::{Watch, WatchEnd};

/// How long a machine must stay healthy with all faults in place to count as unaffected. Host time: the
/// channel file of 2024 took its machines down within seconds.
const SETTLE: Duration = Duration::from_secs(15);
/// A clean shutdown at the end, so that what the guest wrote last is on its disk.
const SHUTDOWN: Duration = Duration::from_secs(60);
/// A machine of which nothing at all is seen for this long, though it has not come up, is called silent. Far
/// more than any phase takes between two signs of life, under software emulation too.
const SILENCE: Duration = Duration::from_secs(180);
/// Limit of one request to the guest agent, under software emulation.
const AGENT: Duration = Duration::from_secs(120);

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

/// What a run means for a pipeline. The numbers are the exit codes of the command, and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// 0: as expected.
    AsExpected = 0,
    /// 1: the outcome differs from its reference, or an expectation was not met.
    Differs = 1,
    /// 2: usage, scenario or image error: nothing was run.
    Usage = 2,
    /// 3: the harness or the host failed; says nothing about the product.
    Infrastructure = 3,
    /// 4: something that a run made was left behind.
    Leaked = 4,
}

impl ExitStatus {
    fn of(derived: &Derived, comparison: &Comparison, unmet: &[Unmet], cleaned: &Cleaned) -> Self {
        if !cleaned.leaked.is_empty() {
            Self::Leaked
        } else if derived.outcome.verdict == timeline::Verdict::Infrastructure {
            Self::Infrastructure
        } else if !unmet.is_empty() || !matches!(comparison, Comparison::Same { .. }) {
            Self::Differs
        } else {
            Self::AsExpected
        }
    }
}

/// What came out, in the words in which a scenario expects it.
fn observed(scenario: &Scenario, derived: &Derived) -> Observed {
    let outcome = &derived.outcome;
    let stops = derived.timeline.boots.iter().filter_map(|boot| {
        let signature = boot.stop.as_ref()?.signature();
        Some((signature.code?.0, signature.module))
    });
    let answers: Vec<&str> = derived
        .timeline
        .happenings
        .iter()
        .filter_map(|happening| match &happening.what {
            What::Request { request, answer, facts, .. } if request == "report" => {
                facts.get("result").map(String::as_str).or(Some(answer.as_str()))
            }
            What::Request { answer, .. } => Some(answer.as_str()),
            _ => None,
        })
        .collect();
    let update_service = scenario.update_service.as_ref().map(|_| match answers.as_slice() {
        [] => ServiceAnswer::NotAsked,
        answers if answers.contains(&"applied") => ServiceAnswer::Applied,
        answers if answers.contains(&"refused") => ServiceAnswer::Refused,
        _ => ServiceAnswer::NoMatch,
    });
    Observed {
        verdict: outcome.verdict.to_string(),
        layers: outcome.brought_back_by.iter().map(ToString::to_string).collect(),
        stops: stops.collect(),
        update_service,
    }
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
        record.status = if done.is_ok() { RunStatus::Complete } else { RunStatus::Aborted };
        directory.write_json("run.json", &record)?;
        let derived = done?;

        let outcome = derived.outcome.render();
        directory.write(&directory.outcome(), outcome.as_bytes())?;
        directory.write_json("measurements.json", &derived.measurements)?;
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
struct Work<'a> {
    session: &'a Session,
    scenario: &'a Scenario,
    prepared: Arc<Prepared>,
    run: &'a RunId,
    directory: &'a RunDir,
    ledger: &'a Ledger,
    reporter: &'a Reporter,
}

/// What a machine starts from, ready on disk.
struct Ready {
    spec: MachineSpec,
    /// RAM to restore, where it starts from a checkpoint.
    ram: Option<PathBuf>,
    /// The Windows volume before anything went wrong.
    before: Tree,
    /// Faults that are on the disk already, with their proof.
    landed: Vec<(Origin, Vec<String>)>,
}

impl Work<'_> {
    async fn to_the_end(&self, options: &RunOptions) -> Result<Derived, RunError> {
        if self.session.interrupt.is_raised() {
            return Err(RunError::Interrupted);
        }
        let ready = self.make_ready().await?;
        let recorder = Recorder::begin(&self.directory.events(), self.prepared.plan.facts.clone())?;
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
        Ok(timeline::derive(&events))
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

    fn start_network(&self, spec: &MachineSpec, sink: &Sink) -> Result<NetworkHandle, RunError> {
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
        let ended = self.drive(&*machine, sink, &mut watch).await;
        let (why, detail) = match &ended {
            Ok(because) => ("concluded", because.clone()),
            Err(Stop::Watch(WatchEnd::TimeLimit { .. })) => ("time-limit", ended.to_text()),
            Err(Stop::Watch(WatchEnd::Interrupted)) => ("interrupted", ended.to_text()),
            Err(_) => ("failed", ended.to_text()),
        };
        if let Err(error @ (Stop::Agent(_) | Stop::NotMoved { .. })) = &ended {
            sink.emit(Source::Harness, Body::HarnessFailed { reason: error.to_string() });
        }
        sink.emit(Source::Harness, Body::WatchEnded { why: why.to_owned(), detail });
        self.reporter.doing("switching the machine off");
        // The last picture, whatever it shows.
        if let Err(error) = machine.screenshot("end").await {
            tracing::debug!(%error, "no last picture");
        }
        if matches!(&ended, Ok(_)) && watch.is_healthy() {
            self.shut_down(&*machine, &mut watch).await;
        }
        machine.destroy().await?;
        Ok(())
    }

    fn note_emulator(&self, machine: &dyn Machine, spec: &MachineSpec) -> Result<(), RunError> {
        if let Some(pid) = machine.emulator_pid() {
            self.ledger.note(Entry::Process { pid, mark: spec.name.clone() })?;
        }
        Ok(())
    }

    /// From power-on to the conclusion.
    async fn drive(
        &self,
        machine: &dyn Machine,
        sink: &Sink,
        watch: &mut Watch,
    ) -> Result<String, Stop> {
        let online = &self.prepared.stage.online;
        if !online.is_empty() {
            match watch.until_healthy().await {
                Ok(()) => {
                    for write in online {
                        self.inject(machine.agent(), write, sink).await?;
                    }
                }
                Err(WatchEnd::Concluded) => {}
                Err(end) => return Err(end.into()),
            }
        }
        let conclusion = watch.until_concluded(SETTLE).await?;
        Ok(conclusion.because)
    }

    async fn inject(
        &self,
        agent: &dyn GuestAgent,
        write: &OnlineWrite,
        sink: &Sink,
    ) -> Result<(), Stop> {
        let step = |state, detail: &str| {
            let name = format!("{INJECT}{}", write.fault);
            sink.emit(Source::Harness, Body::Step { name, state, detail: detail.to_owned() });
        };
        agent.wait_up(AGENT).await?;
        step(StepState::Started, write.path.as_str());
        match deliver(agent, write).await {
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
        Ok(OfflineDisk::open(path, access, &self.session.scratch)?)
    }

    fn keep_disk(&self, ready: &Ready) -> Result<(), RunError> {
        fs_err::rename(&ready.spec.disk, self.directory.path().join("disk.qcow2"))?;
        Ok(())
    }

    // ---- What a machine starts from. ----

    async fn make_ready(&self) -> Result<Ready, RunError> {
        match (&self.prepared.plan.start, &self.prepared.plan.checkpoint) {
            (Start::Checkpoint, Some(key)) => self.from_checkpoint(key).await,
            _ => {
                let spec = self.spec("m")?;
                let (before, landed) = self.stage(&spec).await?;
                Ok(Ready { spec, ram: None, before, landed })
            }
        }
    }

    /// How long a machine may say nothing at all: longer than it is told to wait in recovery.
    fn silence(&self) -> Duration {
        let waits = self
            .scenario
            .recovery
            .quick_machine_recovery
            .as_ref()
            .map_or(Duration::ZERO, |settings| {
                settings.wait_interval.duration() / self.prepared.plan.time_scale.max(1)
            });
        SILENCE + waits
    }

    /// A directory of the run for what must not outlive it.
    fn work_directory(&self, part: &str) -> Result<PathBuf, RunError> {
        let path = self.session.state.work().join(format!("{}-{part}", self.run));
        self.ledger.note(Entry::Directory { path: path.clone() })?;
        fs_err::create_dir_all(&path)?;
        Ok(path)
    }

    fn spec(&self, part: &str) -> Result<MachineSpec, RunError> {
        let plan = &self.prepared.plan;
        let profile = &self.prepared.profile;
        let work = self.work_directory(part)?;
        // Sockets need a short path; see `Session`.
        let letters = self.run.as_str().rsplit('-').next().unwrap_or_default();
        let sockets = self.session.scratch.join(format!("{letters}{part}"));
        self.ledger.note(Entry::Directory { path: sockets.clone() })?;
        fs_err::create_dir_all(&sockets)?;
        let fw_cfg = profile
            .time_scale
            .iter()
            .map(|scale| (scale.fw_cfg.clone(), plan.time_scale.to_string()))
            .collect();
        Ok(MachineSpec {
            name: format!("loopbreak-{}-{part}", self.run),
            profile: profile.clone(),
            disk: work.join("disk.qcow2"),
            firmware_vars: self.prepared.image.firmware_vars().map(|_| work.join("vars.fd")),
            tpm_state: profile.tpm.map(|_| work.join("tpm")),
            cable: Some(sockets.join("cable")),
            sockets,
            evidence: if part == "m" { self.directory.machine() } else { work.join("evidence") },
            fw_cfg,
            clock: plan.clock,
        })
    }

    /// Puts what the scenario gives onto a fresh overlay of the image.
    async fn stage(
        &self,
        spec: &MachineSpec,
    ) -> Result<(Tree, Vec<(Origin, Vec<String>)>), RunError> {
        self.reporter.doing("staging");
        if let Some(tpm) = &spec.tpm_state {
            fs_err::create_dir_all(tpm)?;
        }
        let (prepared, scratch) = (Arc::clone(&self.prepared), self.session.scratch.clone());
        let (disk, vars) = (spec.disk.clone(), spec.firmware_vars.clone());
        blocking(move || prepared.stage_onto(&disk, vars.as_deref(), &scratch)).await
    }

    async fn from_checkpoint(&self, key: &str) -> Result<Ready, RunError> {
        let store = &self.session.store;
        let checkpoint = match store.checkpoint(key) {
            Some(checkpoint) => checkpoint,
            None => self.take_checkpoint(key).await?,
        };
        let spec = self.spec("m")?;
        create_overlay(&spec.disk, &checkpoint.disk()).map_err(disk::DiskError::from)?;
        if let Some(to) = &spec.firmware_vars {
            copy_writable(&checkpoint.firmware_vars(), to)?;
        }
        if let Some(to) = &spec.tpm_state {
            copy_directory(&checkpoint.tpm_state(), to)?;
        }
        let facts = fs_err::read(checkpoint.facts())?;
        let before: Tree = serde_json::from_slice(&facts).map_err(std::io::Error::from)?;
        Ok(Ready { spec, ram: Some(checkpoint.ram()), before, landed: Vec::new() })
    }

    /// Brings a machine up with all that is given, and freezes it when it is healthy.
    async fn take_checkpoint(&self, key: &str) -> Result<disk::StoredCheckpoint, RunError> {
        let partial = self.session.store.new_checkpoint()?;
        // The overlay is written where the checkpoint will lie, so that nothing is copied; a path in it
        // names only the image below.
        let mut spec = self.spec("c")?;
        spec.disk = partial.path().join("disk.qcow2");
        spec.firmware_vars = spec.firmware_vars.map(|_| partial.path().join("vars.fd"));
        spec.tpm_state = spec.tpm_state.map(|_| partial.path().join("tpm"));
        self.ledger.note(Entry::Directory { path: partial.path().to_path_buf() })?;
        let (before, _) = self.stage(&spec).await?;

        let events = self.directory.path().join("checkpoint-events.jsonl");
        let recorder = Recorder::begin(&events, self.prepared.plan.facts.clone())?;
        let sink = recorder.sink();
        let mut watch = Watch::new(
            recorder.progress(),
            sink.clone(),
            self.session.interrupt.clone(),
            self.reporter.clone(),
            self.scenario.limits.time.duration(),
            self.silence(),
        );
        let network = self.start_network(&spec, &sink)?;
        self.reporter.doing("taking a checkpoint");
        let machine = self.session.hypervisor.start(&spec, sink.clone()).await?;
        self.note_emulator(&*machine, &spec)?;
        let frozen = match watch.until_healthy().await {
            Ok(()) => {
                self.reporter.doing("freezing the machine");
                // The agent is up when the boot is good; a machine frozen before would lose its greeting.
                match machine.agent().wait_up(AGENT).await {
                    Ok(()) => {
                        machine.save(&partial.path().join("ram")).await.map_err(RunError::from)
                    }
                    Err(error) => {
                        machine.destroy().await?;
                        Err(RunError::NotHealthy {
                            reason: error.to_string(),
                            events: events.clone(),
                        })
                    }
                }
            }
            Err(end) => {
                machine.destroy().await?;
                Err(match end {
                    WatchEnd::Interrupted => RunError::Interrupted,
                    end => RunError::NotHealthy { reason: end.to_string(), events: events.clone() },
                })
            }
        };
        if let Err(error) = network.stop().await {
            tracing::warn!(%error, "the network of the checkpoint's machine");
        }
        recorder.finish().await?;
        frozen?;
        let facts = serde_json::to_vec(&before).map_err(std::io::Error::from)?;
        fs_err::write(partial.path().join("facts.json"), facts)?;
        Ok(self.session.store.keep_checkpoint(key, partial)?)
    }
}

/// Writes a file beside its place, reads it back, and moves it there, as an updater would: whoever watches
/// the folder sees either no file or the whole one, and a guest that stops because of it can no longer deny
/// what it got.
async fn deliver(agent: &dyn GuestAgent, write: &OnlineWrite) -> Result<Vec<String>, Stop> {
    let path = write.path.as_str();
    let beside = format!("{path}.new");
    let mut proof = agent.write_file(&beside, &write.bytes).await?.lines();
    let arguments = ["/c", "move", "/y", &beside, path].map(str::to_owned);
    match agent.exec("cmd.exe", &arguments, AGENT).await {
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

/// Why driving a machine ended without a conclusion.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Watch(#[from] WatchEnd),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("the guest did not move the file to {path}: {said}")]
    NotMoved { path: String, said: String },
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

fn copy_directory(from: &Path, to: &Path) -> Result<(), RunError> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let path = entry?.path();
        if path.is_file()
            && let Some(name) = path.file_name()
        {
            copy_writable(&path, &to.join(name))?;
        }
    }
    Ok(())
}

/// Runs work that blocks (the disk, offline) away from the tasks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
) -> Result<T, RunError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

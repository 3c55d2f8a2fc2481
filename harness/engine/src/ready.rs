//! What a machine starts from: a freshly staged overlay, or a fork of a RAM checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disk::{Tree, create_overlay};
use hypervisor::MachineSpec;
use scenario::Start;

use crate::error::RunError;
use crate::ledger::Entry;
use crate::prepare::{Landed, Staged, copy_writable};
use crate::recorder::Recorder;
use crate::run::{AGENT, SILENCE, Work, blocking};
use crate::watch::{Watch, WatchEnd};

/// What a machine starts from, ready on disk.
pub(crate) struct Ready {
    pub(crate) spec: MachineSpec,
    /// RAM to restore, where it starts from a checkpoint.
    pub(crate) ram: Option<PathBuf>,
    /// The Windows volume before anything went wrong.
    pub(crate) before: Tree,
    /// Faults that are on the disk already, with their proof.
    pub(crate) landed: Landed,
}

impl Work<'_> {
    pub(crate) async fn make_ready(&self) -> Result<Ready, RunError> {
        match (&self.prepared.plan.start, &self.prepared.plan.checkpoint) {
            (Start::Checkpoint, Some(key)) => self.fork_checkpoint(key).await,
            _ => {
                let spec = self.spec("m")?;
                let (before, landed) = self.stage(&spec).await?;
                Ok(Ready { spec, ram: None, before, landed })
            }
        }
    }

    /// How long a machine may say nothing at all: longer than it is told to wait in recovery.
    pub(crate) fn silence(&self) -> Duration {
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
            disk_socket: None,
            firmware_vars: self.prepared.image.firmware_vars().map(|_| work.join("vars.fd")),
            tpm_state: profile.tpm.map(|_| work.join("tpm")),
            cable: Some(sockets.join("cable")),
            sockets,
            evidence: if part == "m" { self.directory.machine() } else { work.join("evidence") },
            fw_cfg,
            clock: plan.clock_chip,
        })
    }

    /// Puts what the scenario gives onto a fresh overlay of the image.
    async fn stage(&self, spec: &MachineSpec) -> Result<Staged, RunError> {
        self.reporter.doing("staging");
        if let Some(tpm) = &spec.tpm_state {
            fs_err::create_dir_all(tpm)?;
            if let Some(state) = self.prepared.image.tpm_state() {
                copy_directory(&state, tpm)?;
            }
        }
        let (prepared, scratch) = (Arc::clone(&self.prepared), self.session.scratch.clone());
        let (disk, vars) = (spec.disk.clone(), spec.firmware_vars.clone());
        blocking(move || prepared.stage_onto(&disk, vars.as_deref(), &scratch)).await
    }

    async fn fork_checkpoint(&self, key: &str) -> Result<Ready, RunError> {
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
        let (network, _) = self.start_network(&spec, &sink)?;
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

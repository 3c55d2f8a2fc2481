//! What a machine starts from: a freshly staged overlay, or a fork of a RAM checkpoint.

use std::path::PathBuf;
use std::sync::Arc;

use disk::create_overlay;
use faults::StagePlan;
use hypervisor::MachineSpec;
use scenario::Start;

use super::beginning::{Beginning, TakenOver};
use super::context::RunContext;
use super::spec::Places;
use crate::cleanup::Entry;
use crate::error::RunError;
use crate::offline::{Before, Landed, MachineFiles, Staged, copy_directory, copy_writable};

/// What a machine starts from, ready on disk.
pub(crate) struct StartingPoint {
    pub(crate) spec: MachineSpec,
    /// RAM to restore, where it starts from a checkpoint.
    pub(crate) ram: Option<PathBuf>,
    /// The Windows volume before anything went wrong.
    pub(crate) before: Before,
    /// Faults that are on the disk already, with their proof.
    pub(crate) landed: Landed,
    /// Where it is off, and given up: what another run drove until there.
    pub(crate) taken_over: Option<TakenOver>,
}

impl RunContext<'_> {
    pub(crate) async fn prepare_start(&self) -> Result<StartingPoint, RunError> {
        if let Some(beginning) = self.joins() {
            return self.take_over(beginning).await;
        }
        match (&self.prepared.plan.start, &self.prepared.plan.checkpoint) {
            (Start::Checkpoint, Some(key)) => self.fork_checkpoint(key).await,
            _ => {
                let spec = self.spec("m")?;
                self.reporter.doing("staging");
                self.lay_out(&spec).await?;
                let stage = self.prepared.stage.clone();
                let staged = if self.scenario.starts_twice() {
                    let (given, faults) = stage.before_and_after_a_start();
                    self.stage(&spec, given).await?;
                    self.first_start(&spec).await?;
                    self.stage(&spec, faults).await?
                } else {
                    self.stage(&spec, stage).await?
                };
                let (before, landed) = staged;
                Ok(StartingPoint { spec, ram: None, before, landed, taken_over: None })
            }
        }
    }

    /// A machine that another run drove until it was given up.
    async fn take_over(&self, beginning: Arc<Beginning>) -> Result<StartingPoint, RunError> {
        self.reporter.doing("taking over the beginning of another run");
        let spec = self.spec("m")?;
        let evidence = self.directory.machine();
        let taking = move || {
            let (before, taken) = beginning.take_over(&MachineFiles::of(&spec), &evidence)?;
            let taken_over = Some(taken);
            Ok(StartingPoint { spec, ram: None, before, landed: Vec::new(), taken_over })
        };
        self.jobs.blocking(taking).await
    }

    /// A directory of the run for what must not outlive it.
    fn work_directory(&self, part: &str) -> Result<PathBuf, RunError> {
        let path = self.session.state.work().join(format!("{}-{part}", self.run));
        self.ledger.note(Entry::Directory { path: path.clone() })?;
        fs_err::create_dir_all(&path)?;
        Ok(path)
    }

    fn spec(&self, part: &str) -> Result<MachineSpec, RunError> {
        let work = self.work_directory(part)?;
        // Sockets need a short path; see `Session`.
        let letters = self.run.as_str().rsplit('-').next().unwrap_or_default();
        let sockets = self.session.scratch.join(format!("{letters}{part}"));
        self.ledger.note(Entry::Directory { path: sockets.clone() })?;
        fs_err::create_dir_all(&sockets)?;
        let evidence = if part == "m" { self.directory.machine() } else { work.join("evidence") };
        let name = Places::name(self.run.as_str(), part);
        Ok(self.prepared.spec(Places { name, work, sockets, evidence }))
    }

    /// Makes the parts of a machine.
    async fn lay_out(&self, spec: &MachineSpec) -> Result<(), RunError> {
        let (prepared, parts) = (Arc::clone(&self.prepared), MachineFiles::of(spec));
        self.jobs.blocking(move || prepared.lay_out(&parts)).await
    }

    /// Puts what a plan stages onto the machine's disk, into its variables and its TPM.
    async fn stage(&self, spec: &MachineSpec, stage: StagePlan) -> Result<Staged, RunError> {
        let (prepared, scratch) = (Arc::clone(&self.prepared), self.session.scratch.clone());
        let parts = MachineFiles::of(spec);
        self.session.interrupt.check()?;
        self.jobs.blocking(move || prepared.stage_onto(&stage, &parts, &scratch)).await
    }

    /// A good start before anything goes wrong, after which the machine is off: the key of its volume is
    /// sealed to it.
    async fn first_start(&self, spec: &MachineSpec) -> Result<(), RunError> {
        let own = self.spec("f")?;
        let first = MachineSpec {
            disk: spec.disk.clone(),
            firmware_vars: spec.firmware_vars.clone(),
            tpm_state: spec.tpm_state.clone(),
            ..own
        };
        self.reporter.doing("a first start, to which the key is sealed");
        self.start_until_healthy(&first, "first-start-events.jsonl").await?.shut_down().await
    }

    async fn fork_checkpoint(&self, key: &str) -> Result<StartingPoint, RunError> {
        let store = &self.session.store;
        let checkpoint = match store.checkpoint(key) {
            Some(checkpoint) => checkpoint,
            None => self.take_checkpoint(key).await?,
        };
        let spec = self.spec("m")?;
        let forking = move || {
            let before = fork(&checkpoint, &MachineFiles::of(&spec))?;
            let ram = Some(checkpoint.ram());
            Ok(StartingPoint { spec, ram, before, landed: Vec::new(), taken_over: None })
        };
        self.jobs.blocking(forking).await
    }

    /// The disk of the machine with all that is given, before its first fault: what a restore point of then holds. It
    /// goes with the run.
    pub(crate) async fn earlier_disk(&self) -> Result<PathBuf, RunError> {
        let spec = self.spec("p")?;
        match (&self.prepared.plan.start, &self.prepared.plan.checkpoint) {
            (Start::Checkpoint, Some(key)) => {
                let checkpoint = self.session.store.checkpoint(key).ok_or_else(|| {
                    let gone = "the checkpoint that the machine started from is gone";
                    RunError::Refused(gone.to_owned())
                })?;
                create_overlay(&spec.disk, &checkpoint.disk()).map_err(disk::DiskError::from)?;
            }
            _ => {
                self.lay_out(&spec).await?;
                let (given, _) = self.prepared.stage.clone().before_and_after_a_start();
                self.stage(&spec, given).await?;
            }
        }
        Ok(spec.disk)
    }

    /// Makes the parts of a machine anew from the checkpoint that it started from, and gives the RAM to restore.
    pub(crate) async fn fork_again(&self, spec: &MachineSpec) -> Result<PathBuf, RunError> {
        let key = self.prepared.plan.checkpoint.as_deref();
        let checkpoint =
            key.and_then(|key| self.session.store.checkpoint(key)).ok_or_else(|| {
                RunError::Refused("the checkpoint that the machine started from is gone".to_owned())
            })?;
        let files = MachineFiles::of(spec);
        let forking = move || {
            files.remove()?;
            fork(&checkpoint, &files)?;
            Ok(checkpoint.ram())
        };
        self.jobs.blocking(forking).await
    }

    /// Brings a machine up with all that is given, and freezes it when it is healthy.
    async fn take_checkpoint(&self, key: &str) -> Result<disk::StoredCheckpoint, RunError> {
        // Both wait for the store's lock.
        let store = self.session.store.clone();
        let partial = self.jobs.blocking(move || Ok(store.new_checkpoint()?)).await?;
        // The overlay is written where the checkpoint will lie, so that nothing is copied; a path in it
        // names only the image below.
        let mut spec = self.spec("c")?;
        spec.disk = partial.path().join("disk.qcow2");
        spec.firmware_vars = spec.firmware_vars.map(|_| partial.path().join("vars.fd"));
        spec.tpm_state = spec.tpm_state.map(|_| partial.path().join("tpm"));
        self.ledger.note(Entry::Directory { path: partial.path().to_path_buf() })?;
        self.reporter.doing("staging");
        self.lay_out(&spec).await?;
        let (before, _) = self.stage(&spec, self.prepared.stage.clone()).await?;
        self.reporter.doing("taking a checkpoint");
        let up = self.start_until_healthy(&spec, "checkpoint-events.jsonl").await?;
        self.reporter.doing("freezing the machine");
        up.freeze(&partial.path().join("ram"), &self.session.interrupt).await?;
        let facts = serde_json::to_vec(&before).map_err(std::io::Error::from)?;
        fs_err::write(partial.path().join("facts.json"), facts)?;
        let (store, key) = (self.session.store.clone(), key.to_owned());
        self.jobs.blocking(move || Ok(store.keep_checkpoint(&key, partial)?)).await
    }
}

/// Makes the parts of a machine as they were when the checkpoint was taken, and gives what was on its disk then.
fn fork(checkpoint: &disk::StoredCheckpoint, files: &MachineFiles) -> Result<Before, RunError> {
    create_overlay(&files.disk, &checkpoint.disk()).map_err(disk::DiskError::from)?;
    if let Some(to) = &files.variables {
        copy_writable(&checkpoint.firmware_vars(), to)?;
    }
    if let Some(to) = &files.tpm {
        copy_directory(&checkpoint.tpm_state(), to)?;
    }
    let facts = fs_err::read(checkpoint.facts())?;
    Ok(serde_json::from_slice(&facts).map_err(std::io::Error::from)?)
}

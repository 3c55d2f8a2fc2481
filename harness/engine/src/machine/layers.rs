//! The layers that the harness works itself, when the machine would else be given up: off, and then `host-repair`
//! (the disk edited from here) or `rollback` (back to the checkpoint), and on again.

use disk::{Access, OfflineDisk};
use timeline::{Body, Layer, Source, StepState, steps};

use super::control_error::ControlError;
use super::controller::MachineController;
use crate::error::RunError;
use crate::offline::WindowsDisk;

impl MachineController<'_> {
    /// Works one layer.
    pub(crate) async fn work(&mut self, layer: Layer) -> Result<(), ControlError> {
        self.step(layer, StepState::Started, String::new());
        match layer {
            Layer::HostRepair => self.host_repair().await,
            Layer::Rollback => self.roll_back().await,
            // Nobody asks for another.
            other => Err(RunError::Refused(format!("nothing here works {other}")).into()),
        }
    }

    fn step(&self, layer: Layer, state: StepState, detail: String) {
        let name = format!("{}{layer}", steps::LAYER);
        self.sink.emit(Source::Harness, Body::Step { name, state, detail });
    }

    /// Does what the scenario has done to the disk. Where that cannot be done, the layer has failed and the
    /// machine stays off: the next layer has its turn, or the timeline gives the machine up.
    async fn host_repair(&mut self) -> Result<(), ControlError> {
        self.context.reporter.doing("repairing the disk");
        self.off().await?;
        match self.edit_disk().await {
            Ok(proof) => {
                self.step(Layer::HostRepair, StepState::Done, proof.join("; "));
                self.on_again().await
            }
            Err(error) => {
                self.step(Layer::HostRepair, StepState::Failed, error.to_string());
                Ok(())
            }
        }
    }

    /// Disk, firmware variables, TPM and RAM are again those of the checkpoint from which the machine started. That
    /// this cannot be done is no word about the product: nothing of the machine's own takes part in it.
    async fn roll_back(&mut self) -> Result<(), ControlError> {
        self.context.reporter.doing("rolling the machine back");
        self.off().await?;
        self.close_disk().await?;
        let ram = self.context.fork_again(&self.spec).await?;
        self.serve_disk().await?;
        let detail = "disk, firmware variables, TPM and RAM of the checkpoint".to_owned();
        self.step(Layer::Rollback, StepState::Done, detail);
        self.on_from(&ram).await
    }

    /// The edits, each with what was read back of it.
    async fn edit_disk(&self) -> Result<Vec<String>, RunError> {
        let (disk, scratch) =
            (self.starting_point.spec.disk.clone(), self.context.session.scratch.clone());
        let image = self.context.prepared.image.disk();
        let (scenario, clock) = (self.context.scenario.clone(), self.starting_point.spec.clock);
        let starting = self.context.prepared.starting();
        let drives = self.context.prepared.drives.clone();
        let editing = move || {
            let opened = OfflineDisk::open_overlay(&disk, Access::ReadWrite, &scratch)?
                .starting(starting.clone())?;
            let mut windows = WindowsDisk::new(opened, clock)?.with_drives(drives.clone());
            let given_up = windows
                .accept_crash_state()
                .map_err(Box::new)
                .map_err(|source| disk::DiskError::Volume { path: disk.clone(), source })?;
            let mut proof: Vec<String> = given_up.into_iter().collect();
            let backup =
                OfflineDisk::open(&image, Access::ReadOnly, &scratch)?.starting(starting)?;
            let mut backup = WindowsDisk::new(backup, None)?.with_drives(drives);
            let applied =
                faults::repair(&scenario, &mut windows, &mut backup)?.apply(&mut windows)?;
            proof.extend(windows.replayed());
            windows.into_disk().close()?;
            proof.extend(applied.landed.into_iter().flat_map(|(_, lines)| lines));
            Ok(proof)
        };
        self.context.jobs.blocking(editing).await
    }
}

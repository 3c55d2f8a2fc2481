//! The layer `host-repair`: off, the disk edited from here, and on again.

use disk::{Access, OfflineDisk};
use timeline::{Body, Layer, Source, StepState, steps};

use super::control_error::ControlError;
use super::controller::MachineController;
use crate::error::RunError;
use crate::offline::WindowsDisk;

impl MachineController<'_> {
    /// Does what the scenario has done to the disk. Where that cannot be done, the layer has failed and the
    /// machine stays off: the timeline gives it up.
    pub(crate) async fn host_repair(&mut self) -> Result<(), ControlError> {
        let sink = self.sink.clone();
        let step = |state, detail: String| {
            let name = format!("{}{}", steps::LAYER, Layer::HostRepair);
            sink.emit(Source::Harness, Body::Step { name, state, detail });
        };
        self.context.reporter.doing("repairing the disk");
        step(StepState::Started, String::new());
        self.off().await?;
        match self.edit_disk().await {
            Ok(proof) => {
                step(StepState::Done, proof.join("; "));
                self.on_again().await
            }
            Err(error) => {
                step(StepState::Failed, error.to_string());
                Ok(())
            }
        }
    }

    /// The edits, each with what was read back of it.
    async fn edit_disk(&self) -> Result<Vec<String>, RunError> {
        let (disk, scratch) =
            (self.starting_point.spec.disk.clone(), self.context.session.scratch.clone());
        let image = self.context.prepared.image.disk();
        let (scenario, clock) = (self.context.scenario.clone(), self.starting_point.spec.clock);
        let editing = move || {
            let opened = OfflineDisk::open_overlay(&disk, Access::ReadWrite, &scratch)?;
            let mut windows = WindowsDisk::new(opened, clock)?;
            let given_up = windows
                .accept_crash_state()
                .map_err(Box::new)
                .map_err(|source| disk::DiskError::Volume { path: disk.clone(), source })?;
            let mut proof: Vec<String> = given_up.into_iter().collect();
            let backup = OfflineDisk::open(&image, Access::ReadOnly, &scratch)?;
            let mut backup = WindowsDisk::new(backup, None)?;
            let applied =
                faults::repair(&scenario, &mut windows, &mut backup)?.apply(&mut windows)?;
            windows.into_disk().close()?;
            proof.extend(applied.landed.into_iter().flat_map(|(_, lines)| lines));
            Ok(proof)
        };
        self.context.jobs.blocking(editing).await
    }
}

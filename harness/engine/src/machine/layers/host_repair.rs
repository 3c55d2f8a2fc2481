//! `host-repair`: the disk is edited from here.

use disk::{Access, OfflineDisk};

use super::Worked;
use super::work::failed;
use crate::machine::control_error::ControlError;
use crate::machine::controller::MachineController;
use crate::offline::WindowsDisk;

impl MachineController<'_> {
    /// Does what the scenario has done to the disk.
    pub(super) async fn host_repair(&self) -> Result<Worked, ControlError> {
        let scenario = self.context.scenario.clone();
        let (image, scratch) =
            (self.context.prepared.image.disk(), self.context.session.scratch.clone());
        let starting = self.context.prepared.starting();
        let drives = self.context.prepared.drives.clone();
        let repaired = self
            .edit_disk(move |windows| {
                let backup =
                    OfflineDisk::open(&image, Access::ReadOnly, &scratch)?.starting(starting)?;
                let mut backup = WindowsDisk::new(backup, None)?.with_drives(drives);
                Ok(faults::repair(&scenario, windows, &mut backup)?.apply(windows)?.proof())
            })
            .await;
        match repaired {
            Ok((given_up, proof)) => {
                let proof = given_up.into_iter().chain(proof);
                Ok(Worked::Done(proof.collect::<Vec<_>>().join("; ")))
            }
            Err(error) => failed(error),
        }
    }
}

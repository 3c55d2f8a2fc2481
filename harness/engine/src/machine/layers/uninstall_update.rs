//! `uninstall-update`: what an update brought is taken back, from what the disk itself has of it.

use super::Worked;
use super::work::failed;
use crate::machine::control_error::ControlError;
use crate::machine::controller::MachineController;

impl MachineController<'_> {
    /// Takes back what the scenario says.
    pub(super) async fn uninstall_update(&self) -> Result<Worked, ControlError> {
        let Some(what) = self.context.scenario.uninstall_update.clone() else {
            return Ok(Worked::Failed("the scenario uninstalls nothing".to_owned()));
        };
        let build = self.context.prepared.build;
        let taken = self
            .edit_disk(move |windows| {
                let plan = faults::uninstall(&what, build, windows)?;
                Ok(plan.apply_for_good(windows)?)
            })
            .await;
        match taken {
            Ok((given_up, proof)) => {
                let proof = given_up.into_iter().chain(proof);
                Ok(Worked::Done(proof.collect::<Vec<_>>().join("; ")))
            }
            Err(error) => failed(error),
        }
    }
}

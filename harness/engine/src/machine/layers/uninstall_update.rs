//! `uninstall-update`: what an update brought is taken back, from what the disk itself has of it.

use super::Worked;
use crate::machine::controller::MachineController;

impl MachineController<'_> {
    /// Takes back what the scenario says.
    pub(super) async fn uninstall_update(&self) -> Worked {
        let Some(what) = self.context.scenario.uninstall_update.clone() else {
            return Worked::Failed("the scenario uninstalls nothing".to_owned());
        };
        let build = self.context.prepared.build;
        let taken = self
            .edit_disk(move |windows| {
                let plan = faults::uninstall(&what, build, windows)?;
                Ok(plan.apply(windows)?.proof())
            })
            .await;
        match taken {
            Ok((given_up, proof)) => {
                Worked::Done(given_up.into_iter().chain(proof).collect::<Vec<_>>().join("; "))
            }
            Err(error) => Worked::Failed(error.to_string()),
        }
    }
}

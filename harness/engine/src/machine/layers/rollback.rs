//! `rollback`: back to the checkpoint.

use super::Worked;
use crate::machine::control_error::ControlError;
use crate::machine::controller::MachineController;

impl MachineController<'_> {
    /// Disk, firmware variables, TPM and RAM are again those of the checkpoint from which the machine started. That
    /// this cannot be done is no word about the product: nothing of the machine's own takes part in it.
    pub(super) async fn roll_back(&mut self) -> Result<Worked, ControlError> {
        self.close_disk().await?;
        let ram = self.context.fork_again(&self.spec).await?;
        self.serve_disk().await?;
        let detail = "disk, firmware variables, TPM and RAM of the checkpoint".to_owned();
        Ok(Worked::Replaced { ram, detail })
    }
}

//! The second healthy start of a machine that a layer brought back, with nothing of the layer left on its disk.

use timeline::steps::START_AGAIN;
use timeline::{Body, Source, StepState};

use crate::error::RunError;
use crate::machine::control_error::ControlError;
use crate::machine::controller::MachineController;
use crate::machine::shutdown::shut_down;

impl MachineController<'_> {
    /// Shuts the healthy machine down, looks at its disk, and switches it on again.
    pub(crate) async fn start_again(&mut self) -> Result<(), ControlError> {
        self.context.reporter.doing("starting once more");
        if let Some(machine) = self.machine.take() {
            shut_down(&*machine, self.watch).await;
            self.machine = Some(machine);
        }
        self.off().await?;
        let scenario = self.context.scenario.clone();
        let left =
            self.look_at_disk(move |windows| Ok(faults::left_over(&scenario, windows)?)).await?;
        if !left.is_empty() {
            // A later start would not be the one that a user has.
            let why = format!("left on the disk by a layer: {}", left.join(", "));
            return Err(RunError::Refused(why).into());
        }
        let (name, state) = (START_AGAIN.to_owned(), StepState::Started);
        let detail = "no flag of a layer and no one-time entry is left".to_owned();
        self.sink.emit(Source::Harness, Body::Step { name, state, detail });
        self.on_again().await
    }
}

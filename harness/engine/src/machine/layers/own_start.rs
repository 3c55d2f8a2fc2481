//! A start that is part of a layer: it is watched and recorded, and proves nothing by itself.

use timeline::steps::OWN_START;
use timeline::{Body, Layer, OwnStart, Source, StepState};

use crate::machine::control_error::ControlError;
use crate::machine::controller::MachineController;
use crate::machine::shutdown::shut_down;

impl MachineController<'_> {
    /// Switches the machine on for the layer. `Err` inside: it did not come up, and why; it is off then.
    pub(super) async fn own_start(
        &mut self,
        layer: Layer,
    ) -> Result<Result<(), String>, ControlError> {
        let (name, state) = (format!("{OWN_START}{layer}"), StepState::Started);
        self.sink.emit(Source::Harness, Body::Step { name, state, detail: String::new() });
        self.on_again().await?;
        let what = format!("the start of {layer}");
        let came = self
            .watch
            .until(&what, |progress| match &progress.own_start {
                Some(OwnStart::Up) => Some(Ok(())),
                Some(OwnStart::Failed(why)) => Some(Err(why.clone())),
                Some(OwnStart::Begun) | None => None,
            })
            .await?;
        if came.is_err() {
            self.off().await?;
        }
        Ok(came)
    }

    /// Shuts the machine down in good order. `Err` inside: it fell before that.
    pub(super) async fn end_own_start(&mut self) -> Result<Result<(), String>, ControlError> {
        if let Some(machine) = self.machine.take() {
            shut_down(&*machine, self.watch).await;
            self.machine = Some(machine);
        }
        self.off().await?;
        let fell = match &self.watch.progress().borrow().own_start {
            Some(OwnStart::Failed(why)) => Some(why.clone()),
            _ => None,
        };
        Ok(fell.map_or(Ok(()), Err))
    }
}

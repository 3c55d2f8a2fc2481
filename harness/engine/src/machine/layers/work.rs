//! A layer's turn: its steps in the record, and the machine on again where it changed something.

use std::path::PathBuf;

use timeline::{Body, Layer, Source, StepState, steps};

use crate::error::RunError;
use crate::machine::StartingPoint;
use crate::machine::control_error::ControlError;
use crate::machine::controller::MachineController;
use crate::record::Progress;

/// What came of a layer. The machine is off.
pub(super) enum Worked {
    /// It changed something. What, for people.
    Done(String),
    /// It put another machine in the place of this one, whose RAM lies here.
    Replaced { ram: PathBuf, detail: String },
    /// It could not do what it is there for. Why; nothing of it is left.
    Failed(String),
}

/// What an error at the disk comes to. Only what was found before anything was changed is a layer that failed: a disk
/// that was changed in part is none that a later layer could be credited for, and what the host could not do is no word
/// about the product.
///
/// # Errors
/// All else, as it is.
pub(super) fn failed(error: RunError) -> Result<Worked, ControlError> {
    match error {
        RunError::Uninstall(_) | RunError::Repair(_) => Ok(Worked::Failed(error.to_string())),
        error => Err(error.into()),
    }
}

impl MachineController<'_> {
    /// Gives one layer its turn. Where it failed the machine stays off: the next layer has its turn, or the timeline
    /// gives the machine up.
    pub(crate) async fn work(&mut self, layer: Layer) -> Result<(), ControlError> {
        self.layer_step(layer, StepState::Started, String::new());
        self.context.reporter.doing(match layer {
            Layer::HostRepair => "repairing the disk",
            Layer::Rollback => "rolling the machine back",
            Layer::SafeMode => "repairing in safe mode",
            Layer::UninstallUpdate => "uninstalling",
            Layer::RestorePoint => "going back to the restore point",
            Layer::LastKnownGood => "starting with the last known good control set",
            Layer::Reboots => "switching the machine off and on again",
            _ => "working a layer",
        });
        self.off().await?;
        let kept_waiting = self.watch.clock().kept_waiting();
        let StartingPoint { spec, before, .. } = self.starting_point;
        self.context.keep_beginning(spec, before, kept_waiting).await;
        let worked = match layer {
            Layer::HostRepair => self.host_repair().await?,
            Layer::Rollback => self.roll_back().await?,
            Layer::SafeMode => self.safe_mode().await?,
            Layer::UninstallUpdate => self.uninstall_update().await?,
            Layer::RestorePoint => self.restore_point().await?,
            Layer::LastKnownGood => self.last_known_good().await?,
            Layer::Reboots => self.reboot(),
            // Nobody asks for another.
            other => return Err(RunError::Refused(format!("nothing here works {other}")).into()),
        };
        match worked {
            Worked::Done(detail) => {
                self.layer_step(layer, StepState::Done, detail);
                self.on_again().await
            }
            Worked::Replaced { ram, detail } => {
                self.layer_step(layer, StepState::Done, detail);
                self.on_from(&ram).await
            }
            Worked::Failed(why) => {
                self.layer_step(layer, StepState::Failed, why);
                // The timeline hears of it a moment later, and until then would have the same layer once more.
                let heard =
                    |progress: &Progress| (progress.awaits_layer != Some(layer)).then_some(());
                Ok(self.watch.until("what follows from it", heard).await?)
            }
        }
    }

    fn layer_step(&self, layer: Layer, state: StepState, detail: String) {
        let name = format!("{}{layer}", steps::LAYER);
        self.sink.emit(Source::Harness, Body::Step { name, state, detail });
    }
}

#[cfg(test)]
mod tests {
    use faults::{ApplyError, Origin, UninstallError};

    use super::{Worked, failed};
    use crate::error::RunError;

    #[test]
    fn only_what_was_found_before_anything_was_changed_is_a_layer_that_failed() {
        let refused = failed(RunError::Uninstall(UninstallError::NoUpdate));
        assert!(
            matches!(refused, Ok(Worked::Failed(why)) if why == "there is no installed update")
        );
        let half = ApplyError::Disk {
            origin: Origin::Layer(scenario::Layer::UninstallUpdate),
            object: "a".to_owned(),
            source: "the volume is full".into(),
        };
        assert!(failed(RunError::Apply(half)).is_err());
        assert!(failed(RunError::Io(std::io::ErrorKind::Other.into())).is_err());
    }
}

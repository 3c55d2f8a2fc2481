//! `last-known-good`: one start with the control set of the last good one.

use faults::{Select, select};
use timeline::Layer;

use super::Worked;
use crate::machine::control_error::ControlError;
use crate::machine::controller::MachineController;

impl MachineController<'_> {
    pub(super) async fn last_known_good(&mut self) -> Result<Worked, ControlError> {
        let into = self
            .edit_disk(|windows| {
                let before = select(windows)?;
                Ok((before, faults::into_last_known_good().apply(windows)?.proof()))
            })
            .await;
        let (given_up, (before, flag)) = match into {
            Ok(into) => into,
            Err(error) => return Ok(Worked::Failed(error.to_string())),
        };
        let mut came = self.own_start(Layer::LastKnownGood).await?;
        if came.is_ok() {
            came = self.end_own_start().await?;
        }
        // Whatever came of it, the next start is to take the default control set.
        let out = self
            .edit_disk(|windows| {
                let off = faults::out_of_last_known_good().apply(windows)?.proof();
                Ok((select(windows)?, off))
            })
            .await;
        let (after, off) = match out {
            Ok((_, out)) => out,
            Err(error) => {
                let why = format!("the flag `lastknowngood` cannot be taken off: {error}");
                return Ok(Worked::Failed(why));
            }
        };
        let changed = format!("Select {before} before, {after} after");
        Ok(match came {
            _ if !went_back(before, after) => Worked::Failed(match came {
                Ok(()) => format!("Windows did not take another control set: {changed}"),
                Err(why) => format!("{why}, and it did not take another control set: {changed}"),
            }),
            Err(why) => Worked::Failed(format!(
                "{why} with the last known good control set, too: {changed}"
            )),
            Ok(()) => {
                let proof = given_up.into_iter().chain(flag).chain([changed]).chain(off);
                Worked::Done(proof.collect::<Vec<_>>().join("; "))
            }
        })
    }
}

/// True where Windows gave the control set up that it would have started with (windows-facts 4).
fn went_back(before: Select, after: Select) -> bool {
    after.failed == before.default && after.current != before.default
}

//! `safe-mode`: the flag set from here, the repair done in safe mode through the guest agent, the flag taken off.

use faults::{DISABLED, Edit, IntoSafeMode, SafeModeAct};
use timeline::Layer;

use super::Worked;
use crate::error::RunError;
use crate::machine::control_error::ControlError;
use crate::machine::controller::MachineController;
use crate::machine::faults::agent_commands::Command;
use crate::machine::faults::guest_agent::{self, Done};
use crate::machine::limits::AGENT_LIMIT;
use crate::offline::WindowsDisk;

/// There only while Windows runs in safe mode.
const OPTION: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\SafeBoot\Option";

impl MachineController<'_> {
    pub(super) async fn safe_mode(&mut self) -> Result<Worked, ControlError> {
        let Some(safe) = self.context.scenario.safe_mode.clone() else {
            return Ok(Worked::Failed("the scenario declares no safe mode".to_owned()));
        };
        let into = self
            .edit_disk(move |windows| {
                let IntoSafeMode { edits, acts } = faults::into_safe_mode(&safe, windows)?;
                let applied = edits.apply(windows)?;
                Ok((acts, applied))
            })
            .await;
        let (given_up, (acts, applied)) = match into {
            Ok(into) => into,
            Err(error) => return Ok(Worked::Failed(error.to_string())),
        };
        let undo = applied.undo.clone();
        let mut proof: Vec<String> = given_up.into_iter().chain(applied.proof()).collect();
        let repaired = self.in_safe_mode(&acts).await?;
        // Whatever came of it, the next start is to be one in full.
        let left = self.edit_disk(move |windows| out(windows, &undo, &acts)).await;
        Ok(match (repaired, left) {
            (_, Err(error)) => {
                Worked::Failed(format!("the machine cannot leave safe mode: {error}"))
            }
            (Err(why), Ok(_)) => Worked::Failed(why),
            (Ok(done), Ok((_, Out { proof: left, missing }))) => match missing {
                Some(why) => Worked::Failed(why),
                None => {
                    proof.extend(done);
                    proof.extend(left);
                    Worked::Done(proof.join("; "))
                }
            },
        })
    }

    /// The start in safe mode and what is done there, each with its proof. `Err` inside: why the layer failed. The
    /// machine is off afterwards.
    async fn in_safe_mode(
        &mut self,
        acts: &[SafeModeAct],
    ) -> Result<Result<Vec<String>, String>, ControlError> {
        if let Err(why) = self.own_start(Layer::SafeMode).await? {
            return Ok(Err(format!("safe mode did not come up: {why}")));
        }
        let done = self.repair_in_safe_mode(acts).await;
        // A machine that fell in the meantime tells more than the agent that no longer answers.
        if let Err(why) = self.end_own_start().await? {
            return Ok(Err(format!("safe mode did not stay up: {why}")));
        }
        match done {
            Ok(proof) => Ok(Ok(proof)),
            Err(ControlError::Agent(error)) => {
                Ok(Err(format!("the guest agent did not do it in safe mode: {error}")))
            }
            Err(error @ ControlError::NotDone { .. }) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }

    async fn repair_in_safe_mode(
        &mut self,
        acts: &[SafeModeAct],
    ) -> Result<Vec<String>, ControlError> {
        let machine = self.machine.as_deref().ok_or(ControlError::IsOff)?;
        let agent = machine.agent();
        agent.wait_up(AGENT_LIMIT).await?;
        let not_safe = |said| ControlError::NotDone {
            act: "asking whether this is safe mode".to_owned(),
            said,
        };
        let asked = Command::query_value(OPTION, "OptionValue");
        guest_agent::command(agent, &asked, self.watch, not_safe).await?;
        let mut proof = vec!["Windows says that it is in safe mode".to_owned()];
        for act in acts {
            match act {
                SafeModeAct::Delete(path) => {
                    let act = faults::Act::Remove { path: path.clone() };
                    proof.extend(guest_agent::act(agent, &act, self.watch).await?);
                }
                SafeModeAct::DisableService(name) => {
                    let failed = |said| ControlError::NotDone {
                        act: format!("switching the service {name} off"),
                        said,
                    };
                    let key = format!(r"HKLM\SYSTEM\CurrentControlSet\Services\{name}");
                    let set = Command::set_dword(&key, "Start", DISABLED);
                    match guest_agent::command(agent, &set, self.watch, failed).await? {
                        // What the hive holds is read once the machine is off.
                        Done::Said(_) => proof.push(format!("{name} switched off")),
                        Done::Gone => return Err(failed("the guest was gone".to_owned())),
                    }
                }
            }
        }
        Ok(proof)
    }
}

/// What was done on the way out.
struct Out {
    proof: Vec<String>,
    /// What the repair was to leave on the disk, and is not there.
    missing: Option<String>,
}

/// Takes flag and list entry off, and reads back what the repair left.
fn out(windows: &mut WindowsDisk, undo: &[Edit], acts: &[SafeModeAct]) -> Result<Out, RunError> {
    let proof = faults::out_of_safe_mode(undo).apply(windows)?.proof();
    let missing = faults::not_repaired(windows, acts)?;
    Ok(Out { proof, missing })
}

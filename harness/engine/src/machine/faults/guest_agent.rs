//! What is done through the guest agent while the machine is up, and what proves it. A guest that stops
//! because of it can no longer deny it; whether it has stopped, its display may be the only one to tell.

use faults::{Act, OnlineWrite};
use hypervisor::{AgentError, GuestAgent};
use scenario::WindowsPath;

use super::agent_commands::{Command, beside, into_place, of_act};
use crate::machine::control_error::ControlError;
use crate::machine::limits::AGENT_LIMIT;
use crate::machine::watch::Watch;

/// The most of a file that is read back for its digest.
const READ_BACK: usize = 64 << 20;

/// Writes a file beside its place, reads it back, and moves it there, as an updater would: whoever watches
/// the folder sees either no file or the whole one.
pub(crate) async fn deliver(
    agent: &dyn GuestAgent,
    write: &OnlineWrite,
    watch: &mut Watch,
) -> Result<Vec<String>, ControlError> {
    let path = write.path.as_str();
    let mut proof = agent.write_file(&beside(write), &write.bytes).await?.lines();
    let failed = |said| ControlError::NotDone { act: format!("moving the file to {path}"), said };
    proof.push(match command(agent, &into_place(write), watch, failed).await? {
        Done::Said(_) => format!("moved to {path}"),
        Done::Gone => format!("the guest was gone as soon as it was moved to {path}"),
    });
    Ok(proof)
}

/// Does it, and gives the lines that prove it.
pub(crate) async fn act(
    agent: &dyn GuestAgent,
    act: &Act,
    watch: &mut Watch,
) -> Result<Vec<String>, ControlError> {
    let failed = |said| ControlError::NotDone { act: act.to_string(), said };
    let line = match act {
        Act::Move { from, to } => {
            let was = digest(agent, from).await?;
            match command(agent, &of_act(act), watch, failed).await? {
                Done::Said(_) => {
                    let is = digest(agent, to).await?;
                    if is != was {
                        return Err(failed(format!("{to} now has {is}, {from} had {was}")));
                    }
                    format!("{from} moved to {to}: {is}")
                }
                Done::Gone => {
                    format!("the guest was gone as soon as {from} ({was}) was moved to {to}")
                }
            }
        }
        Act::Remove { path } => {
            let was = digest(agent, path).await?;
            match command(agent, &of_act(act), watch, failed).await? {
                // `del` ends well even where it could not delete the file.
                Done::Said(said) => match agent.read_file(path.as_str(), READ_BACK).await {
                    Err(AgentError::Refused { .. }) => format!("{path} ({was}) is gone"),
                    Ok(_) => return Err(failed(format!("the file is still there; {said}"))),
                    Err(error) => return Err(error.into()),
                },
                Done::Gone => format!("the guest was gone as soon as {path} ({was}) was deleted"),
            }
        }
        Act::EndProcess { program } => match command(agent, &of_act(act), watch, failed).await? {
            Done::Said(said) => format!("taskkill: {said}"),
            Done::Gone => format!("the guest was gone as soon as {program} was ended"),
        },
    };
    Ok(vec![line])
}

/// How a command went.
pub(crate) enum Done {
    /// With success, and these words.
    Said(String),
    /// The guest did not live to tell.
    Gone,
}

pub(crate) async fn command(
    agent: &dyn GuestAgent,
    command: &Command,
    watch: &mut Watch,
    failed: impl Fn(String) -> ControlError,
) -> Result<Done, ControlError> {
    let ended = tokio::select! {
        biased;
        ended = agent.exec(command.program, &command.arguments, AGENT_LIMIT) => ended,
        stopped = watch.until_stopped("the guest to take it") => {
            stopped?;
            return Ok(Done::Gone);
        }
    };
    match ended {
        Ok(ended) if ended.exit_code == Some(0) => Ok(Done::Said(words(&ended.stdout))),
        Ok(ended) => Err(failed(words(&ended.stderr))),
        Err(AgentError::GuestGone { .. }) => Ok(Done::Gone),
        Err(error) => Err(error.into()),
    }
}

/// What a program said, in one line.
fn words(output: &[u8]) -> String {
    String::from_utf8_lossy(output).split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn digest(agent: &dyn GuestAgent, path: &WindowsPath) -> Result<String, ControlError> {
    let bytes = agent.read_file(path.as_str(), READ_BACK).await?;
    Ok(format!("{} bytes, blake3 {}", bytes.len(), blake3::hash(&bytes).to_hex()))
}

//! Arming the faults of a machine that exists: each kind in its own way, all with the same record. The step
//! begins, what was read back is the proof that the fault landed, the step is done.

use faults::{Online, OnlineWrite};
use hypervisor::{AgentError, GuestAgent};
use timeline::steps::INJECT;
use timeline::{Body, Source, StepState};

use crate::drive::{Drive, Stop};
use crate::run::AGENT;
use crate::watch::Watch;

/// Who read the proof back, and what it was, one line each.
type Proof = (Source, Vec<String>);

impl Drive<'_> {
    /// Puts one fault in place.
    pub(crate) async fn arm(&mut self, online: &Online) -> Result<(), Stop> {
        let sink = self.sink.clone();
        let step = |state, detail: String| {
            let name = format!("{INJECT}{}", online.fault());
            sink.emit(Source::Harness, Body::Step { name, state, detail });
        };
        if online.needs_agent() {
            self.machine()?.agent().wait_up(AGENT).await?;
        }
        step(StepState::Started, online.about());
        match self.put_in_place(online).await {
            Ok((source, proof)) => {
                let fault = online.fault().to_owned();
                sink.emit(source, Body::FaultLanded { fault, proof });
                step(StepState::Done, String::new());
                Ok(())
            }
            Err(error) => {
                step(StepState::Failed, error.to_string());
                Err(error)
            }
        }
    }

    async fn put_in_place(&mut self, online: &Online) -> Result<Proof, Stop> {
        match online {
            Online::Write(write) => {
                let machine = self.machine.as_deref().ok_or(Stop::IsOff)?;
                Ok((Source::Agent, deliver(machine.agent(), write, self.watch).await?))
            }
        }
    }
}

/// Writes a file beside its place, reads it back, and moves it there, as an updater would: whoever watches
/// the folder sees either no file or the whole one, and a guest that stops because of it can no longer deny
/// what it got. Whether it has stopped, its display may be the only one to tell.
async fn deliver(
    agent: &dyn GuestAgent,
    write: &OnlineWrite,
    watch: &mut Watch,
) -> Result<Vec<String>, Stop> {
    let path = write.path.as_str();
    let beside = format!("{path}.new");
    let mut proof = agent.write_file(&beside, &write.bytes).await?.lines();
    let arguments = ["/c", "move", "/y", &beside, path].map(str::to_owned);
    let moved = tokio::select! {
        biased;
        moved = agent.exec("cmd.exe", &arguments, AGENT) => moved,
        stopped = watch.until_stopped("the guest to take the file") => {
            stopped?;
            Err(AgentError::GuestGone { during: "guest-exec cmd.exe".to_owned() })
        }
    };
    match moved {
        Ok(moved) if moved.exit_code == Some(0) => proof.push(format!("moved to {path}")),
        Ok(moved) => {
            let said = String::from_utf8_lossy(&moved.stderr).trim().to_owned();
            return Err(Stop::NotMoved { path: path.to_owned(), said });
        }
        Err(AgentError::GuestGone { .. }) => {
            proof.push(format!("the guest was gone as soon as it was moved to {path}"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(proof)
}

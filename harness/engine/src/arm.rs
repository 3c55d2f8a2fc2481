//! Arming the faults of a machine that exists: each kind in its own way, all with the same record. The step
//! begins, what was read back is the proof that the fault landed, the step is done.

use faults::Online;
use timeline::steps::INJECT;
use timeline::{Body, Source, StepState};

use crate::agent;
use crate::drive::{Drive, Stop};
use crate::run::AGENT;

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
                Ok((Source::Agent, agent::deliver(machine.agent(), write, self.watch).await?))
            }
            Online::Act(act) => {
                let machine = self.machine.as_deref().ok_or(Stop::IsOff)?;
                Ok((Source::Agent, agent::act(machine.agent(), &act.what, self.watch).await?))
            }
        }
    }
}

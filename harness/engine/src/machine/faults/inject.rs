//! Injecting faults into a machine that exists: each kind in its own way, all with the same record. The step
//! begins, what was read back is the proof that the fault landed, the step is done.

use std::sync::Arc;

use disk::Unflushed;
use faults::{InterruptedWrite, Online};
use timeline::steps::INJECT;
use timeline::{Body, Source, StepState};

use super::guest_agent;
use crate::machine::control_error::ControlError;
use crate::machine::controller::MachineController;
use crate::machine::limits::AGENT_LIMIT;

/// Who read the proof back, and what it was, one line each; `None` where the fault lands later.
type Proof = Option<(Source, Vec<String>)>;

impl MachineController<'_> {
    /// Puts one fault in place.
    pub(crate) async fn inject(&mut self, online: &Online) -> Result<(), ControlError> {
        let sink = self.sink.clone();
        let step = |state, detail: String| {
            let name = format!("{INJECT}{}", online.fault());
            sink.emit(Source::Harness, Body::Step { name, state, detail });
        };
        if online.needs_agent() {
            self.machine()?.agent().wait_up(AGENT_LIMIT).await?;
        }
        step(StepState::Started, online.about());
        match self.put_in_place(online).await {
            Ok(landed) => {
                if let Some((source, proof)) = landed {
                    let fault = online.fault().to_owned();
                    sink.emit(source, Body::FaultLanded { fault, proof });
                }
                step(StepState::Done, String::new());
                Ok(())
            }
            Err(error) => {
                step(StepState::Failed, error.to_string());
                Err(error)
            }
        }
    }

    async fn put_in_place(&mut self, online: &Online) -> Result<Proof, ControlError> {
        match online {
            Online::Write(write) => {
                let machine = self.machine.as_deref().ok_or(ControlError::IsOff)?;
                let proof = guest_agent::deliver(machine.agent(), write, self.watch).await?;
                Ok(Some((Source::Agent, proof)))
            }
            Online::Act(act) => {
                let machine = self.machine.as_deref().ok_or(ControlError::IsOff)?;
                let proof = guest_agent::act(machine.agent(), &act.what, self.watch).await?;
                Ok(Some((Source::Agent, proof)))
            }
            Online::Storage(fault) => Ok(Some((Source::Disk, self.trouble(fault).await?))),
            Online::Power(fault) if fault.inert => {
                let proof = "the harness has the power in its hand, and leaves it on";
                Ok(Some((Source::Harness, vec![proof.to_owned()])))
            }
            Online::Power(fault) => {
                self.power_faults.inject(fault, self.watch.is_healthy());
                Ok(None)
            }
            Online::InterruptedWrite(write) => Ok(Some(self.interrupt(write).await?)),
            Online::Network(fault) => {
                Ok(Some((Source::Network, self.network_faults.trouble(fault))))
            }
            Online::Service(fault) => {
                Ok(Some((Source::Network, self.network_faults.service_trouble(fault))))
            }
            Online::Clock(_) => Ok(Some((Source::Harness, vec![self.clock_chip()]))),
        }
    }
}

impl MachineController<'_> {
    /// Writes the first part of a file in place and takes the power away before the rest.
    async fn interrupt(
        &mut self,
        write: &InterruptedWrite,
    ) -> Result<(Source, Vec<String>), ControlError> {
        let (path, bytes) = (write.path.as_str(), write.first_part());
        let agent = self.machine()?.agent();
        if write.inert {
            return Ok((Source::Agent, agent.write_file(path, &bytes).await?.lines()));
        }
        agent.write_unfinished(path, &bytes).await?;
        let disk = Arc::clone(self.drive()?);
        // What the guest asked to be flushed is on the disk; so nothing else need be lost.
        self.context.jobs.blocking(move || Ok(disk.cut(Unflushed::Kept, 0))).await?;
        self.power_faults.next_loss().await;
        self.cut_power().await?;
        let found = self.read_back(&write.path).await?;
        let found = found.ok_or_else(|| ControlError::Nowhere { path: path.to_owned() })?;
        if found != bytes {
            return Err(ControlError::NotInterrupted { path: path.to_owned(), found: found.len() });
        }
        let proof = format!(
            "{path} {} bytes blake3 {}: {} % of it written, the rest zeros, then the power was cut",
            found.len(),
            blake3::hash(&found).to_hex(),
            write.percent
        );
        Ok((Source::Disk, vec![proof]))
    }
}

impl MachineController<'_> {
    /// What the machine is powered on with.
    fn clock_chip(&self) -> String {
        let chip = self.starting_point.spec.clock.and_then(|chip| i64::try_from(chip).ok());
        match chip.and_then(|chip| jiff::Timestamp::from_second(chip).ok()) {
            Some(time) => format!("clock chip at power-on: {time}"),
            None => "clock chip at power-on: the host's time".to_owned(),
        }
    }
}

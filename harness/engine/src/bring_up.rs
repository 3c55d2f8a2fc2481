//! A machine that has to be healthy once before the run proper: to be frozen as a checkpoint, or to have the
//! key of its volume sealed.

use std::path::PathBuf;

use hypervisor::{Machine, MachineSpec};
use network::NetworkHandle;

use crate::drive::shut_down;
use crate::error::RunError;
use crate::recorder::Recorder;
use crate::run::{AGENT, Work};
use crate::watch::{Watch, WatchEnd};

/// A healthy machine with all that is around it.
pub(crate) struct Up {
    pub(crate) machine: Box<dyn Machine>,
    watch: Watch,
    around: Around,
}

struct Around {
    network: NetworkHandle,
    recorder: Recorder,
    /// Its events, which are no part of the run's.
    events: PathBuf,
}

impl Work<'_> {
    /// Starts it and waits until it is healthy and its agent answers. Its events go to the file `events` of
    /// the run directory.
    pub(crate) async fn bring_up(&self, spec: &MachineSpec, events: &str) -> Result<Up, RunError> {
        let events = self.directory.path().join(events);
        let recorder = Recorder::begin(&events, self.prepared.plan.facts.clone())?;
        let sink = recorder.sink();
        let mut watch = Watch::new(
            recorder.progress(),
            sink.clone(),
            self.session.interrupt.clone(),
            self.reporter.clone(),
            self.scenario.limits.time.duration(),
            self.silence(),
        );
        let (network, _) = self.start_network(spec, &sink)?;
        let around = Around { network, recorder, events };
        let machine = self.session.hypervisor.start(spec, sink).await?;
        self.note_emulator(&*machine, spec)?;
        let up = match watch.until_healthy().await {
            // The agent is up when the boot is good; a machine frozen before would lose its greeting.
            Ok(()) => machine.agent().wait_up(AGENT).await.map_err(|error| error.to_string()),
            Err(WatchEnd::Interrupted) => {
                machine.destroy().await?;
                around.end().await?;
                return Err(RunError::Interrupted);
            }
            Err(end) => Err(end.to_string()),
        };
        match up {
            Ok(()) => Ok(Up { machine, watch, around }),
            Err(reason) => {
                machine.destroy().await?;
                let events = around.events.clone();
                around.end().await?;
                Err(RunError::NotHealthy { reason, events })
            }
        }
    }
}

impl Up {
    /// Freezes it with its RAM in this file.
    pub(crate) async fn freeze(self, ram: &std::path::Path) -> Result<(), RunError> {
        let frozen = self.machine.save(ram).await;
        self.around.end().await?;
        Ok(frozen?)
    }

    /// Shuts it down in good order.
    pub(crate) async fn shut_down(mut self) -> Result<(), RunError> {
        shut_down(&*self.machine, &mut self.watch).await;
        let gone = self.machine.destroy().await;
        self.around.end().await?;
        Ok(gone?)
    }
}

impl Around {
    async fn end(self) -> Result<(), RunError> {
        if let Err(error) = self.network.stop().await {
            tracing::warn!(%error, "the network of the machine that was brought up before the run");
        }
        self.recorder.finish().await?;
        Ok(())
    }
}

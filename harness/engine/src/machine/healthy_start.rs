//! A machine that has to be healthy once before the run proper: to be frozen as a checkpoint, or to have the
//! key of its volume sealed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hypervisor::{Machine, MachineSpec};
use network::NetworkHandle;

use super::context::RunContext;
use super::limits::AGENT_LIMIT;
use super::shutdown::shut_down;
use super::watch::{Watch, WatchEnd};
use crate::error::RunError;
use crate::host_disk;
use crate::record::Recorder;
use crate::tasks::{EndsEarly, Interrupt};

/// A healthy machine with all that is attached to it.
pub(crate) struct HealthyMachine {
    pub(crate) machine: Box<dyn Machine>,
    watch: Watch,
    attached: Attached,
}

/// What goes on as long as the machine does.
struct Attached {
    network: NetworkHandle,
    recorder: Recorder,
    /// Its events, which are no part of the run's.
    events: PathBuf,
}

impl RunContext<'_> {
    /// Starts it and waits until it is healthy and its agent answers. Its events go to the file `events` of
    /// the run directory.
    pub(crate) async fn start_until_healthy(
        &self,
        spec: &MachineSpec,
        events: &str,
    ) -> Result<HealthyMachine, RunError> {
        let events = self.directory.path().join(events);
        let recorder = Recorder::begin(&events, self.prepared.plan.facts.clone())?;
        let sink = recorder.sink();
        let mut watch = self.watch(&recorder, Duration::ZERO);
        let (network, _) = self.start_network(spec, &sink)?;
        let attached = Attached { network, recorder, events };
        let sink = host_disk::guarded(sink, spec.disk.clone());
        let machine = self.start(None, spec, sink).await?;
        self.note_emulator(&*machine, spec)?;
        watch.clock().follow(machine.emulator_pid());
        let ended = match wait_healthy(&*machine, &mut watch).await {
            Ok(()) => return Ok(HealthyMachine { machine, watch, attached }),
            Err(ended) => ended,
        };
        machine.destroy().await?;
        let events = attached.events.clone();
        attached.end().await?;
        Err(match ended {
            NotHealthy::Early(why) => why.into(),
            NotHealthy::Reason(reason) => RunError::NotHealthy { reason, events },
        })
    }
}

/// Why a machine did not come up.
enum NotHealthy {
    /// The command is to end.
    Early(EndsEarly),
    /// What happened instead.
    Reason(String),
}

impl NotHealthy {
    fn new(end: WatchEnd, watch: &Watch) -> Self {
        match (end, &watch.progress().borrow().conclusion) {
            (WatchEnd::Early(why), _) => Self::Early(why),
            (_, Some(conclusion)) => Self::Reason(conclusion.because.clone()),
            (end, None) => Self::Reason(end.to_string()),
        }
    }
}

/// Waits until it is healthy, and its agent up: a machine that is frozen before would lose its greeting.
async fn wait_healthy(machine: &dyn Machine, watch: &mut Watch) -> Result<(), NotHealthy> {
    if let Err(end) = watch.until_healthy().await {
        return Err(NotHealthy::new(end, watch));
    }
    tokio::select! {
        biased;
        early = watch.ended_early() => match early {
            Ok(because) => Err(NotHealthy::Reason(because)),
            Err(end) => Err(NotHealthy::new(end, watch)),
        },
        up = machine.agent().wait_up(AGENT_LIMIT) => {
            up.map_err(|error| NotHealthy::Reason(error.to_string()))
        }
    }
}

impl HealthyMachine {
    /// Freezes it with its RAM in this file. Where it is interrupted the machine is ended.
    pub(crate) async fn freeze(self, ram: &Path, interrupt: &Interrupt) -> Result<(), RunError> {
        let frozen = interrupt.unless_raised(self.machine.save(ram)).await;
        self.attached.end().await?;
        Ok(frozen??)
    }

    /// Shuts it down in good order.
    pub(crate) async fn shut_down(mut self) -> Result<(), RunError> {
        shut_down(&*self.machine, &mut self.watch).await;
        let gone = self.machine.destroy().await;
        self.attached.end().await?;
        Ok(gone?)
    }
}

impl Attached {
    async fn end(self) -> Result<(), RunError> {
        if let Err(error) = self.network.stop().await {
            tracing::warn!(%error, "the network of the machine that was brought up before the run");
        }
        self.recorder.finish().await?;
        Ok(())
    }
}

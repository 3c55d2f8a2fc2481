//! A machine that has to be healthy once before the run proper: to be frozen as a checkpoint, or to have the
//! key of its volume sealed.

use std::path::{Path, PathBuf};

use hypervisor::{Machine, MachineSpec};
use network::NetworkHandle;

use crate::drive::shut_down;
use crate::error::RunError;
use crate::host_disk;
use crate::interrupt::{EndsEarly, Interrupt};
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
        let sink = host_disk::guarded(sink, spec.disk.clone());
        let machine = self.start(None, spec, sink).await?;
        self.note_emulator(&*machine, spec)?;
        let ended = match up(&*machine, &mut watch).await {
            Ok(()) => return Ok(Up { machine, watch, around }),
            Err(ended) => ended,
        };
        machine.destroy().await?;
        let events = around.events.clone();
        around.end().await?;
        Err(match ended {
            NotUp::Early(why) => why.into(),
            NotUp::Reason(reason) => RunError::NotHealthy { reason, events },
        })
    }
}

/// Why a machine did not come up.
enum NotUp {
    /// The command is to end.
    Early(EndsEarly),
    /// What happened instead.
    Reason(String),
}

impl NotUp {
    fn new(end: WatchEnd, watch: &Watch) -> Self {
        match (end, &watch.progress().borrow().conclusion) {
            (WatchEnd::Early(why), _) => Self::Early(why),
            (_, Some(conclusion)) => Self::Reason(conclusion.because.clone()),
            (end, None) => Self::Reason(end.to_string()),
        }
    }
}

/// Waits until it is healthy, and its agent up: a machine that is frozen before would lose its greeting.
async fn up(machine: &dyn Machine, watch: &mut Watch) -> Result<(), NotUp> {
    if let Err(end) = watch.until_healthy().await {
        return Err(NotUp::new(end, watch));
    }
    tokio::select! {
        biased;
        early = watch.ended_early() => match early {
            Ok(because) => Err(NotUp::Reason(because)),
            Err(end) => Err(NotUp::new(end, watch)),
        },
        up = machine.agent().wait_up(AGENT) => {
            up.map_err(|error| NotUp::Reason(error.to_string()))
        }
    }
}

impl Up {
    /// Freezes it with its RAM in this file. Where it is interrupted the machine is ended.
    pub(crate) async fn freeze(self, ram: &Path, interrupt: &Interrupt) -> Result<(), RunError> {
        let frozen = interrupt.unless_raised(self.machine.save(ram)).await;
        self.around.end().await?;
        Ok(frozen??)
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

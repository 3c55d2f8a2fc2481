//! Power that fails at a chosen moment.
//!
//! The moment is found where it is seen, and not by whoever waits for it: a phase in the very call that hands
//! over the line that shows it, a write on the thread of the disk. There the disk loses its power, and the step
//! is recorded. So what is on the disk does not depend on how fast the harness is; the machine, which can no
//! longer do anything, is ended right after.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use disk::{Cut, OnCut, ServedDisk, Unflushed};
use scenario::{PowerEvent, PowerFault, PowerMoment, PowerPhase};
use timeline::steps::{POWER_CUT, POWER_RESET};
use timeline::{Body, Observation, Phase, RunFacts, Sink, Source, StepState};
use tokio::sync::mpsc;

/// A moment that has come.
#[derive(Debug, Clone)]
pub(crate) struct Tripped {
    /// What happened to the power.
    pub(crate) what: PowerEvent,
    /// What was lost, for people.
    pub(crate) detail: String,
}

/// The power faults of a machine. Several come one after the other.
pub(crate) struct Fuses {
    shared: Arc<Shared>,
    tripped: mpsc::UnboundedReceiver<Tripped>,
}

struct Shared {
    facts: RunFacts,
    sink: Sink,
    state: Mutex<State>,
    tripped: mpsc::UnboundedSender<Tripped>,
}

#[derive(Default)]
struct State {
    disk: Weak<ServedDisk>,
    queue: VecDeque<Fuse>,
    /// The phase that is waited for.
    waiting: Option<Phase>,
}

struct Fuse {
    fault: PowerFault,
    /// How often it has tripped.
    times: u32,
}

impl Fuse {
    /// Each time another one, so that not the same is lost each time.
    fn seed(&self) -> u64 {
        self.fault.seed.wrapping_mul(101).wrapping_add(u64::from(self.times))
    }
}

impl Fuses {
    pub(crate) fn new(facts: RunFacts, sink: Sink) -> Self {
        let (sender, tripped) = mpsc::unbounded_channel();
        let state = Mutex::default();
        Self { shared: Arc::new(Shared { facts, sink, state, tripped: sender }), tripped }
    }

    /// What the machine's observations go through.
    pub(crate) fn sink(&self) -> Sink {
        let shared = Arc::clone(&self.shared);
        Sink::new(move |observation| {
            let phase = shared.phase(&observation);
            shared.sink.emit(observation.source, observation.body);
            if let Some(phase) = phase {
                shared.reached(phase);
            }
        })
    }

    /// What the disk calls when its power goes.
    pub(crate) fn on_cut(&self) -> OnCut {
        let shared = Arc::clone(&self.shared);
        Box::new(move |cut| shared.trip(PowerEvent::Cut, describe(cut)))
    }

    /// The disk whose power it is.
    pub(crate) fn protect(&self, disk: &Arc<ServedDisk>) {
        self.shared.state().disk = Arc::downgrade(disk);
    }

    /// Puts a fuse in. `healthy`: the machine is up, so that this moment is now.
    pub(crate) fn arm(&self, fault: &PowerFault, healthy: bool) {
        let first = {
            let mut state = self.shared.state();
            state.queue.push_back(Fuse { fault: fault.clone(), times: 0 });
            state.queue.len() == 1
        };
        if first {
            self.shared.set();
            if healthy {
                self.shared.reached(Phase::Healthy);
            }
        }
    }

    /// Waits until the power has gone.
    pub(crate) async fn tripped(&mut self) -> Tripped {
        match self.tripped.recv().await {
            Some(tripped) => tripped,
            // This holds a sender itself.
            None => std::future::pending().await,
        }
    }

    /// The power is back, and the machine at the beginning of a boot. Gives the fault that this was, if it was
    /// its first time, and sets the fuse for the next.
    pub(crate) fn again(&self) -> Option<String> {
        let first = {
            let mut state = self.shared.state();
            let fuse = state.queue.front_mut()?;
            fuse.times += 1;
            let first = (fuse.times == 1).then(|| fuse.fault.name.clone());
            if fuse.times >= fuse.fault.times {
                state.queue.pop_front();
            }
            first
        };
        self.shared.set();
        first
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn phase(&self, observation: &Observation) -> Option<Phase> {
        match &observation.body {
            Body::SerialLine { text, .. } => self.facts.phase_of(Source::Serial, Some(text)),
            Body::AgentUp => self.facts.phase_of(Source::Agent, None),
            _ => None,
        }
    }

    /// Waits for the moment of the first fuse.
    fn set(&self) {
        let mut state = self.state();
        let Some(fuse) = state.queue.front() else { return };
        let (seed, unflushed) = (fuse.seed(), unflushed(fuse.fault.unflushed));
        let (write, phase) = match fuse.fault.at {
            PowerMoment::Phase(phase) => (None, Some(phase_of(phase))),
            PowerMoment::Write(count) => (Some(count), None),
            PowerMoment::RandomWrite(most) => (Some(1 + seed % most.max(1)), None),
        };
        state.waiting = phase;
        if let (Some(count), Some(disk)) = (write, state.disk.upgrade()) {
            disk.cut_at_write(count, unflushed, seed);
        }
    }

    fn reached(&self, phase: Phase) {
        let (fault, seed, disk) = {
            let mut state = self.state();
            if state.waiting != Some(phase) {
                return;
            }
            state.waiting = None;
            let Some(fuse) = state.queue.front() else { return };
            (fuse.fault.clone(), fuse.seed(), state.disk.upgrade())
        };
        match (fault.what, disk) {
            (PowerEvent::Reset, _) => self.trip(PowerEvent::Reset, String::new()),
            // It tells `on_cut`.
            (PowerEvent::Cut, Some(disk)) => {
                disk.cut(unflushed(fault.unflushed), seed);
            }
            (PowerEvent::Cut, None) => self.trip(PowerEvent::Cut, String::new()),
        }
    }

    fn trip(&self, what: PowerEvent, detail: String) {
        let name = match what {
            PowerEvent::Cut => POWER_CUT,
            PowerEvent::Reset => POWER_RESET,
        };
        let step =
            Body::Step { name: name.to_owned(), state: StepState::Started, detail: detail.clone() };
        self.sink.emit(Source::Harness, step);
        let _ = self.tripped.send(Tripped { what, detail });
    }
}

fn describe(cut: &Cut) -> String {
    format!(
        "after {} writes; of {} that were not flushed {} are on the disk, {} in part, {} not",
        cut.writes,
        cut.unflushed,
        cut.kept,
        cut.torn,
        cut.lost()
    )
}

fn unflushed(unflushed: scenario::Unflushed) -> Unflushed {
    match unflushed {
        scenario::Unflushed::Kept => Unflushed::Kept,
        scenario::Unflushed::Lost => Unflushed::Lost,
        scenario::Unflushed::Torn => Unflushed::Torn,
    }
}

/// The timeline's word for where a boot can be interrupted.
pub(crate) fn phase_of(phase: PowerPhase) -> Phase {
    match phase {
        PowerPhase::BootManager => Phase::BootManager,
        PowerPhase::Loader => Phase::Loader,
        PowerPhase::Kernel => Phase::Kernel,
        PowerPhase::Session => Phase::Session,
        PowerPhase::Healthy => Phase::Healthy,
        PowerPhase::Recovery => Phase::Recovery,
    }
}

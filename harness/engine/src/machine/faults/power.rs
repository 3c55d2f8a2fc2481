//! Power that fails at a chosen moment.
//!
//! The moment is found where it is seen, and not by whoever waits for it: a phase in the very call that hands
//! over the line that shows it, a write on the thread of the disk. There the disk loses its power, and the step
//! is recorded. So what is on the disk does not depend on how fast the harness is; the machine, which can no
//! longer do anything, is ended right after.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use disk::{Cut, OnCut, ServedDisk, Unflushed};
use scenario::{PowerEvent, PowerFault, PowerMoment};
use timeline::steps::{POWER_CUT, POWER_RESET};
use timeline::{Body, Observation, Phase, RunFacts, Sink, Source, StepState};
use tokio::sync::mpsc;

use crate::preflight::phase_of;

/// The power has gone: a moment has come.
#[derive(Debug, Clone)]
pub(crate) struct PowerLoss {
    /// What happened to the power.
    pub(crate) what: PowerEvent,
    /// What was lost, for people.
    pub(crate) detail: String,
}

/// The power faults of a machine. Several come one after the other.
pub(crate) struct PowerFaults {
    shared: Arc<Shared>,
    losses: mpsc::UnboundedReceiver<PowerLoss>,
}

struct Shared {
    facts: RunFacts,
    sink: Sink,
    state: Mutex<State>,
    losses: mpsc::UnboundedSender<PowerLoss>,
}

#[derive(Default)]
struct State {
    disk: Weak<ServedDisk>,
    queue: VecDeque<Pending>,
    /// The phase that is waited for.
    waiting: Option<Phase>,
}

struct Pending {
    fault: PowerFault,
    /// How often it has happened.
    times: u32,
}

impl Pending {
    /// Each time another one, so that not the same is lost each time.
    fn seed(&self) -> u64 {
        self.fault.seed.wrapping_mul(101).wrapping_add(u64::from(self.times))
    }
}

impl PowerFaults {
    pub(crate) fn new(facts: RunFacts, sink: Sink) -> Self {
        let (sender, losses) = mpsc::unbounded_channel();
        let state = Mutex::default();
        Self { shared: Arc::new(Shared { facts, sink, state, losses: sender }), losses }
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
        Box::new(move |cut| shared.power_goes(PowerEvent::Cut, describe(cut)))
    }

    /// The disk whose power it is.
    pub(crate) fn protect(&self, disk: &Arc<ServedDisk>) {
        self.shared.state().disk = Arc::downgrade(disk);
    }

    /// Puts a fault in place. `healthy`: the machine is up, so that this moment is now.
    pub(crate) fn inject(&self, fault: &PowerFault, healthy: bool) {
        let first = {
            let mut state = self.shared.state();
            state.queue.push_back(Pending { fault: fault.clone(), times: 0 });
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
    pub(crate) async fn next_loss(&mut self) -> PowerLoss {
        match self.losses.recv().await {
            Some(loss) => loss,
            // This holds a sender itself.
            None => std::future::pending().await,
        }
    }

    /// The power is back, and the machine at the beginning of a boot. Gives the fault that this was, if it was
    /// its first time, and waits for the next moment.
    pub(crate) fn again(&self) -> Option<String> {
        let first = {
            let mut state = self.shared.state();
            let pending = state.queue.front_mut()?;
            pending.times += 1;
            let first = (pending.times == 1).then(|| pending.fault.name.clone());
            if pending.times >= pending.fault.times {
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

    /// Waits for the moment of the first fault.
    fn set(&self) {
        let mut state = self.state();
        let Some(pending) = state.queue.front() else { return };
        let (seed, unflushed) = (pending.seed(), unflushed(pending.fault.unflushed));
        let (write, phase) = match pending.fault.at {
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
            let Some(pending) = state.queue.front() else { return };
            (pending.fault.clone(), pending.seed(), state.disk.upgrade())
        };
        match (fault.what, disk) {
            (PowerEvent::Reset, _) => self.power_goes(PowerEvent::Reset, String::new()),
            // It tells `on_cut`.
            (PowerEvent::Cut, Some(disk)) => {
                disk.cut(unflushed(fault.unflushed), seed);
            }
            (PowerEvent::Cut, None) => self.power_goes(PowerEvent::Cut, String::new()),
        }
    }

    fn power_goes(&self, what: PowerEvent, detail: String) {
        let name = match what {
            PowerEvent::Cut => POWER_CUT,
            PowerEvent::Reset => POWER_RESET,
        };
        let step =
            Body::Step { name: name.to_owned(), state: StepState::Started, detail: detail.clone() };
        self.sink.emit(Source::Harness, step);
        let _ = self.losses.send(PowerLoss { what, detail });
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

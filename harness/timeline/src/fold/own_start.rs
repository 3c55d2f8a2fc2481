//! Starts that prove something else than that the machine is back: the one that is part of a layer, and the second
//! healthy one of a machine that a layer brought back.

use super::watcher::Watcher;
use crate::conclusion::Trigger;
use crate::{Body, Boot, BootKind, End, Event, Layer, Phase, StepState, Verdict, steps};

/// How the start of a layer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnStart {
    /// On its way.
    Begun,
    /// Healthy, or shut down in good order after that.
    Up,
    /// It came to nothing, or fell. Why, for people.
    Failed(String),
}

/// The start that is part of a layer's turn.
#[derive(Debug, Clone)]
pub(crate) struct LayerStart {
    pub(crate) layer: Layer,
    pub(crate) stands: OwnStart,
}

/// How far the proof by a second start is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Again {
    /// Nothing is to be proved yet.
    #[default]
    NotYet,
    /// Healthy once; the engine is to start the machine again.
    Awaited,
    /// The second start has begun; it is the boot after so many.
    Begun(usize),
}

impl Watcher {
    /// How the start of the layer that has its turn stands, where it has one of its own.
    pub fn own_start(&self) -> Option<OwnStart> {
        self.layer_start.as_ref().map(|start| start.stands.clone())
    }

    /// True while a machine that a layer brought back waits for its second start. The engine shuts it down, looks at
    /// its disk, and emits the step [`START_AGAIN`](crate::steps::START_AGAIN) before it switches it on.
    pub fn awaits_second_start(&self) -> bool {
        self.is_to_start_again() && self.watch_ended.is_none()
    }

    /// True while what happens to the machine is a layer's start.
    pub(super) fn in_own_start(&self) -> bool {
        self.layer_start.as_ref().is_some_and(|start| !matches!(start.stands, OwnStart::Failed(_)))
    }

    /// True where the start of a layer has come to nothing, and its layer is not through yet.
    pub(super) fn own_start_failed(&self) -> bool {
        matches!(self.own_start(), Some(OwnStart::Failed(_)))
    }

    /// True where an event is one of the machine in a layer's start, and not one of the layer's own steps.
    pub(super) fn is_of_the_own_start(&self, event: &Event) -> bool {
        let step = matches!(&event.body, Body::Step { name, .. } if name.starts_with(steps::LAYER));
        self.in_own_start() && !step
    }

    /// True from the first healthy start to the second one.
    pub(crate) fn is_to_start_again(&self) -> bool {
        matches!(self.again, Again::Awaited)
    }

    /// True in the second start itself, and not in one that came after it had failed.
    pub(super) fn is_second_start(&self) -> bool {
        matches!(self.again, Again::Begun(before) if self.boots.len() == before + 1)
    }

    /// Until the second start begins, what the machine does is its way down.
    pub(super) fn before_the_second_start(&mut self, event: &Event) {
        match &event.body {
            Body::Step { name, state: StepState::Started, .. } if name == steps::START_AGAIN => {
                self.again = Again::Begun(self.boots.len());
                self.late_lines = false;
            }
            Body::HarnessFailed { reason } => {
                self.conclude(&Trigger::HarnessFailed(reason), event.into());
            }
            _ => self.after_the_watch(event),
        }
    }

    /// What a trigger means for the start of a layer. True where the start is over by it.
    pub(super) fn own_start_moves(&mut self, trigger: &Trigger<'_>) -> bool {
        let last = self.boots.last();
        let stands = match trigger {
            Trigger::Reached(Phase::Healthy) => OwnStart::Up,
            Trigger::Reached(Phase::Recovery | Phase::RecoveryPrompt) => {
                OwnStart::Failed("the recovery environment came up instead".to_owned())
            }
            Trigger::Reached(Phase::RecoveryKey) => {
                OwnStart::Failed("it asks for the recovery key".to_owned())
            }
            Trigger::Silent => OwnStart::Failed(last.map_or_else(String::new, ended_in_words)),
            Trigger::BootEnded | Trigger::WentOff { .. } => match last {
                // Shut down once it was up, which the engine asked for.
                Some(boot) if boot.is_healthy() && boot.end == End::ShutDown => return false,
                Some(boot) => OwnStart::Failed(ended_in_words(boot)),
                None => return false,
            },
            _ => return false,
        };
        let over = matches!(stands, OwnStart::Failed(_));
        if let Some(start) = &mut self.layer_start {
            start.stands = stands;
        }
        over
    }

    /// True where this conclusion has to be proved by a second start first.
    pub(super) fn is_proved_by_a_second_start(&self, verdict: Verdict) -> bool {
        let wanted = self.facts.as_ref().is_some_and(|facts| facts.second_start);
        let helped = self.helped_after.is_some();
        wanted && helped && verdict == Verdict::Recovered && matches!(self.again, Again::NotYet)
    }
}

/// How a start of a layer ended, for people; free of addresses.
fn ended_in_words(boot: &Boot) -> String {
    if boot.kind() == BootKind::Recovery {
        return "the recovery environment came up instead".to_owned();
    }
    let signature = boot.signature();
    let module = signature.module.map(|module| format!(" in {module}")).unwrap_or_default();
    match (&boot.stop, signature.code) {
        (Some(_), Some(code)) => format!("stop {code}{module}"),
        (Some(_), None) => format!("a stop{module}"),
        (None, Some(code)) => format!("boot error {code}"),
        (None, None) if boot.silent => "it went silent".to_owned(),
        (None, None) => format!("it ended by {}", boot.end),
    }
}

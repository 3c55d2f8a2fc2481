//! Watching a machine: waiting for what the events say, with everything that can end the wait early.

use std::time::Duration;

use timeline::steps::{SETTLED, SILENT};
use timeline::{Body, Conclusion, Layer, Phase, Sink, Source, StepState};
use tokio::sync::watch;

use super::limits::stands;
use super::machine_clock::{MachineClock, Moment};
use crate::record::{Progress, Reporter};
use crate::tasks::{EndsEarly, Interrupt};

/// Why a wait ended without what it waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WatchEnd {
    /// The scenario's time limit.
    #[error("the scenario's time limit of {} s was reached while waiting for {waited_for}", limit.as_secs())]
    TimeLimit {
        /// What was waited for.
        waited_for: String,
        /// The limit.
        limit: Duration,
    },
    /// A signal, or a panic of the harness.
    #[error(transparent)]
    Early(#[from] EndsEarly),
    /// The events cannot be recorded any more.
    #[error("the events cannot be recorded any more")]
    RecorderBroken,
    /// The timeline came to a conclusion first.
    #[error("the watch came to its conclusion first")]
    Concluded,
}

/// What the watch has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The verdict can no longer change.
    Concluded(Conclusion),
    /// The machine stands at its stop screen, and the scenario has somebody who comes.
    AwaitsPowerCycle,
    /// The machine would be given up, but the scenario has a layer that the harness works.
    AwaitsLayer(Layer),
    /// A layer brought the machine back, and it has to come up once more.
    AwaitsSecondStart,
}

/// The eyes of a run.
pub(crate) struct Watch {
    progress: watch::Receiver<Progress>,
    sink: Sink,
    interrupt: Interrupt,
    reporter: Reporter,
    limit: Duration,
    /// What is left of it, from `began` on.
    left: Duration,
    began: Moment,
    silence: Duration,
    clock: MachineClock,
}

impl Watch {
    /// Begins watching; what is not spent yet of the time limit starts to run.
    pub(crate) fn new(
        progress: watch::Receiver<Progress>,
        sink: Sink,
        interrupt: Interrupt,
        reporter: Reporter,
        (limit, spent): (Duration, Duration),
        silence: Duration,
    ) -> Self {
        let clock = MachineClock::default();
        let (left, began) = (limit.saturating_sub(spent), clock.now());
        Self { progress, sink, interrupt, reporter, limit, left, began, silence, clock }
    }

    /// The clock by which it waits.
    pub(crate) fn clock(&self) -> &MachineClock {
        &self.clock
    }

    /// Waits until `found` sees what it looks for in the state after some event.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        mut found: impl FnMut(&Progress) -> Option<T>,
    ) -> Result<T, WatchEnd> {
        self.reporter.waits_for(what);
        let mut silent_since = self.clock.now();
        loop {
            {
                let progress = self.progress.borrow_and_update();
                self.reporter.follow(&progress);
                if let Some(value) = found(&progress) {
                    return Ok(value);
                }
                if progress.broken {
                    return Err(WatchEnd::RecorderBroken);
                }
            }
            let (patience, ought_to_move) = (self.patience(), self.ought_to_move());
            tokio::select! {
                changed = self.progress.changed() => {
                    if changed.is_err() {
                        return Err(WatchEnd::RecorderBroken);
                    }
                    silent_since = self.clock.now();
                }
                () = self.clock.has_had(patience, silent_since), if ought_to_move => {
                    let seconds = patience.as_secs();
                    let detail = if self.progress.borrow().at_stop_screen {
                        format!("the stop screen has not changed for {seconds} s")
                    } else {
                        format!("nothing was seen for {seconds} s")
                    };
                    let detail = format!("{detail}{}", self.clock.told_since(silent_since));
                    let (name, state) = (SILENT.to_owned(), StepState::Done);
                    self.sink.emit(Source::Harness, Body::Step { name, state, detail });
                    silent_since = self.clock.now();
                }
                why = self.interrupt.raised() => return Err(why.into()),
                () = self.clock.has_had(self.left, self.began) => {
                    return Err(WatchEnd::TimeLimit {
                        waited_for: what.to_owned(),
                        limit: self.limit,
                    });
                }
            }
        }
    }

    /// Waits until the machine's present boot is healthy. A conclusion that is reached before ends the
    /// wait, or a repair in its place: the machine will not get there.
    pub(crate) async fn until_healthy(&mut self) -> Result<(), WatchEnd> {
        let reached = self
            .until("a healthy machine", |progress| {
                if progress.phase == Some(Phase::Healthy) && !progress.stopped {
                    return Some(true);
                }
                (progress.conclusion.is_some() || progress.awaits_layer.is_some()).then_some(false)
            })
            .await?;
        if reached { Ok(()) } else { Err(WatchEnd::Concluded) }
    }

    /// Follows the run.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// True while the machine's present boot is healthy.
    pub(crate) fn is_healthy(&self) -> bool {
        let progress = self.progress.borrow();
        progress.phase == Some(Phase::Healthy) && !progress.stopped
    }

    /// Waits until there is nothing left to drive: the command is to end, or the harness or the host has
    /// failed, whatever the machine is busy with.
    pub(crate) fn ended_early(&self) -> impl Future<Output = Result<String, WatchEnd>> + use<> {
        let (interrupt, mut progress) = (self.interrupt.clone(), self.progress());
        async move {
            let failed = progress.wait_for(Progress::has_failed);
            tokio::select! {
                biased;
                why = interrupt.raised() => Err(why.into()),
                failed = failed => match failed {
                    Ok(progress) => Ok(progress.conclusion.clone().map_or_else(String::new, |end| end.because)),
                    Err(_) => Err(WatchEnd::RecorderBroken),
                },
            }
        }
    }

    /// True once the verdict can no longer change.
    pub(crate) fn is_concluded(&self) -> bool {
        self.progress.borrow().conclusion.is_some()
    }

    /// True once nothing can be said about the machine any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.progress.borrow().has_failed()
    }

    /// True while the machine is on its way: a healthy one may be silent, and so may one that is off.
    fn ought_to_move(&self) -> bool {
        let progress = self.progress.borrow();
        let on_its_way = |phase| phase != Phase::Healthy || progress.stopped;
        progress.phase.is_some_and(on_its_way) && progress.conclusion.is_none()
    }

    /// How long it may say nothing.
    fn patience(&self) -> Duration {
        if self.progress.borrow().at_stop_screen { stands(self.silence) } else { self.silence }
    }

    /// Waits until the machine's present boot has stopped.
    pub(crate) async fn until_stopped(&mut self, what: &str) -> Result<(), WatchEnd> {
        self.until(what, |progress| progress.stopped.then_some(())).await
    }

    /// Waits until the machine is off.
    pub(crate) async fn until_off(&mut self, what: &str) -> Result<(), WatchEnd> {
        self.until(what, |progress| progress.off.then_some(())).await
    }

    /// Waits for the timeline's conclusion, or for the operator to be wanted. Where the machine simply stays
    /// healthy there is no event to wait for: after `settle` of that the step [`SETTLED`] is recorded, and the
    /// timeline decides.
    pub(crate) async fn until_decided(&mut self, settle: Duration) -> Result<Decision, WatchEnd> {
        loop {
            let next = self
                .until("the end of the loop, or recovery", |progress| {
                    let concluded = progress.conclusion.clone().map(Decision::Concluded);
                    let waits = progress.awaits_power_cycle.map(|_| Decision::AwaitsPowerCycle);
                    let layer = progress.awaits_layer.map(Decision::AwaitsLayer);
                    let again = progress.awaits_second_start.then_some(Decision::AwaitsSecondStart);
                    let decided = concluded.or(waits).or(layer).or(again).map(Next::Decided);
                    decided.or_else(|| progress.settling.map(Next::Settling))
                })
                .await?;
            let boot = match next {
                Next::Decided(decision) => return Ok(decision),
                Next::Settling(boot) => boot,
            };
            let clock = self.clock.clone();
            let moved_on = self.until("the machine to fall, or to stay healthy", |progress| {
                (progress.conclusion.is_some() || progress.settling != Some(boot)).then_some(())
            });
            let since = clock.now();
            let stayed = tokio::select! {
                biased;
                moved_on = moved_on => {
                    moved_on?;
                    false
                }
                () = clock.has_had(settle, since) => true,
            };
            if stayed {
                let (name, state) = (SETTLED.to_owned(), StepState::Done);
                let seconds = settle.as_secs();
                let detail = clock.told_since(since);
                let detail = format!("healthy for {seconds} s with all faults in place{detail}");
                self.sink.emit(Source::Harness, Body::Step { name, state, detail });
            }
        }
    }
}

enum Next {
    Decided(Decision),
    Settling(u32),
}

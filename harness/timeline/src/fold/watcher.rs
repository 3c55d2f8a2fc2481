//! The state machine that turns events into boots.
//!
//! [`Watcher::feed`] takes one event after the other, live or from a record. Time plays no part in it, with one
//! exception that is a fact about QEMU and not about the host's speed: resets of one burst ([`RESET_BURST`]).
//!
//! Serial lines, monitor events and requests reach the harness by different ways, so neighbours may
//! arrive in the wrong order. Therefore the end of a boot is only decided when the next begins, and a
//! serial line that is late by one reset is given back to the boot that it belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ending::{Way, befell, by_the_guest, end};
use super::forced_stop::ForcedStop;
use super::happening::{Happening, What};
use super::own_start::{Again, LayerStart};
use crate::conclusion::Trigger;
use crate::findings::Findings;
use crate::layers::Ladder;
use crate::witness::Sign;
use crate::{
    Beginning, Body, Boot, BootKind, Cause, Change, Conclusion, Confidence, End, Event, Loop,
    Micros, Moment, Phase, PhaseReached, ResetBy, RunFacts, ScreenKind, Source, StartedFrom,
    StepState, loops, steps,
};

/// One reboot of a guest gives up to three RESET events within 30 ms (windows-facts.md, section 0). Two
/// resets with nothing between them, closer than this, are one.
pub const RESET_BURST: Duration = Duration::from_millis(100);

/// The state: everything that was understood of a run so far.
#[derive(Debug, Clone, Default)]
pub struct Watcher {
    pub(crate) facts: Option<RunFacts>,
    /// The last one may still be going on.
    pub(crate) boots: Vec<Boot>,
    /// True while a machine runs.
    pub(super) running: bool,
    /// When the current boot began, while nothing has been seen of it.
    pub(super) untouched_since: Option<Micros>,
    /// True from a reset until the first phase marker: serial lines may still be those of the boot before.
    pub(super) late_lines: bool,
    pub(crate) ladder: Ladder,
    pub(crate) changes: Vec<Change>,
    pub(crate) happenings: Vec<Happening>,
    pub(crate) armed: BTreeMap<String, Moment>,
    pub(crate) landed: BTreeSet<String>,
    pub(super) expected_resets_seen: u32,
    pub(crate) findings: Findings,
    pub(crate) conclusion: Option<Conclusion>,
    pub(crate) watch_ended: Option<(Moment, String)>,
    pub(crate) harness_failed: Option<String>,
    /// Each frame's boot, by its file.
    pub(super) frames: BTreeMap<String, usize>,
    /// What the display shows, and the boot in which it was seen.
    pub(super) showing: Option<(usize, ScreenKind)>,
    /// The operator is switching the machine off and on again, or the power has gone: who did it.
    pub(super) power_from: Option<ResetBy>,
    /// How often he did.
    pub(crate) power_cycles: u32,
    /// What the machine would be given up with, while a layer that the harness works has its turn instead.
    pub(crate) to_help: Option<Conclusion>,
    /// How many of these layers had it.
    pub(super) layers_tried: usize,
    /// The start that is part of the turn of one of them.
    pub(super) layer_start: Option<LayerStart>,
    /// The second start of a machine that one of them brought back.
    pub(super) again: Again,
    /// The last boot before one of them was done.
    pub(crate) helped_after: Option<u32>,
    /// When each boot's panic came.
    pub(crate) panics: BTreeMap<u32, Micros>,
    pub(crate) events: u64,
    pub(crate) first_at: Option<Micros>,
    pub(crate) last_at: Micros,
    /// How long the harness waited for a machine that did nothing.
    pub(crate) idle: Micros,
    pub(crate) run_ended: bool,
    /// What was taken over from another run.
    pub(crate) beginning: Option<Beginning>,
    /// The stop that the harness made of a machine that hung.
    pub(crate) forced_stop: Option<ForcedStop>,
}

impl Watcher {
    /// Nothing seen yet. The first event tells the rest.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the first event said.
    pub fn facts(&self) -> Option<&RunFacts> {
        self.facts.as_ref()
    }

    /// All boots so far; the last one may be going on.
    pub fn boots(&self) -> &[Boot] {
        &self.boots
    }

    /// The boot that is going on.
    pub fn current(&self) -> Option<&Boot> {
        self.boots.last().filter(|_| self.running)
    }

    /// The verdict, as soon as it can no longer change. What the machine does after that, until it is
    /// off, is no part of the outcome: else the outcome would depend on how fast the harness is.
    pub fn conclusion(&self) -> Option<Conclusion> {
        self.conclusion.clone()
    }

    /// The furthest phase of the boot that has not ended. `None` while no machine runs.
    pub fn phase(&self) -> Option<Phase> {
        self.boots.last().filter(|boot| boot.ended.is_none()).map(Boot::reached)
    }

    /// The number of the boot that is healthy with all faults armed, where only staying healthy can
    /// decide. While it stays the same, the engine lets the settle time pass and then emits the step
    /// [`SETTLED`](steps::SETTLED).
    pub fn settling(&self) -> Option<u32> {
        let boot = self.current()?;
        let waits = self.conclusion.is_none() && self.watch_ended.is_none();
        let waits = waits && self.to_help.is_none() && !self.is_to_start_again();
        (waits && boot.is_healthy() && self.all_armed()).then_some(boot.number)
    }

    /// True while the display of the boot that is going on shows a stop screen, or an error screen of boot
    /// manager or loader.
    pub fn at_stop_screen(&self) -> bool {
        self.boots.last().filter(|boot| boot.ended.is_none()).is_some_and(|boot| {
            boot.error.is_some() || boot.stop.as_ref().is_some_and(|stop| stop.picture.is_some())
        })
    }

    /// True while the boot that is going on has stopped.
    pub fn has_stopped(&self) -> bool {
        self.boots.last().is_some_and(|boot| boot.ended.is_none() && boot.has_stopped())
    }

    /// The number of the boot that stands at its stop or error screen until the scenario's operator comes. While it
    /// stays the same, the engine plays him: the step [`POWER_CYCLE`](steps::POWER_CYCLE), and the machine
    /// off and on.
    pub fn awaits_power_cycle(&self) -> Option<u32> {
        let boot = self.current()?;
        let stands = boot.silent && boot.has_stopped() && boot.kind() == BootKind::Windows;
        let watched = self.conclusion.is_none() && self.watch_ended.is_none();
        (stands && watched && !self.armed.is_empty() && self.somebody_comes())
            .then_some(boot.number)
    }

    /// True where the scenario has somebody who will yet switch the machine off and on again.
    pub(crate) fn somebody_comes(&self) -> bool {
        let cycles = self.facts.as_ref().and_then(|facts| facts.power_cycles);
        cycles.is_some_and(|cycles| cycles.at_most.is_none_or(|most| self.power_cycles < most))
    }

    /// Takes the next event.
    pub fn feed(&mut self, event: &Event) {
        self.events += 1;
        let at = Micros::new(event.at_us);
        self.first_at.get_or_insert(at);
        let quiet = at.since(self.last_at);
        self.last_at = self.last_at.max(at);
        if let Body::Step { name, state: StepState::Done, .. } = &event.body
            && [steps::SETTLED, steps::SILENT].contains(&name.as_str())
        {
            self.idle = self.idle.plus(quiet);
        }
        self.findings.take(event);
        self.bookkeeping(event);
        if self.conclusion.is_some() || self.watch_ended.is_some() {
            self.after_the_watch(event);
            return;
        }
        if self.to_help.is_some() && !self.is_of_the_own_start(event) {
            self.during_a_layer(event);
            return;
        }
        if self.is_to_start_again() {
            self.before_the_second_start(event);
            return;
        }
        let sign = self.sign(event);
        self.machine(event);
        if !self.without_power(event) {
            self.signs(event, sign.as_ref());
        }
        self.layers(event, sign.as_ref());
        self.steps(event);
        let given_up = self.to_help.is_some() && self.layer_start.is_none();
        if given_up || self.own_start_failed() || self.is_to_start_again() {
            self.give_up_boot(event);
        }
        // Healthy, and from now on on its way down.
        if self.is_to_start_again()
            && let Some(boot) = self.boots.last_mut()
        {
            boot.end = End::ShutDown;
        }
    }

    /// True where the power of the boot has gone, and this is only a last word of the guest.
    fn without_power(&self, event: &Event) -> bool {
        let guest = !matches!(event.body, Body::Frame { .. } | Body::HarnessFailed { .. });
        self.power_from == Some(ResetBy::Power) && guest
    }

    /// What counts at any time, before and after the watch.
    fn bookkeeping(&mut self, event: &Event) {
        match &event.body {
            Body::RunStarted { facts } => {
                self.facts.get_or_insert_with(|| (**facts).clone());
            }
            Body::FaultLanded { fault, .. } => {
                self.landed.insert(fault.clone());
            }
            Body::HarnessFailed { reason } if !self.waits_for_a_forced_stop() => {
                self.harness_failed.get_or_insert_with(|| reason.clone());
            }
            Body::RunEnded => self.run_ended = true,
            Body::Step { name, detail, .. } if name == steps::BEGINNING => {
                self.beginning = Some(Beginning { run: detail.clone(), boots: self.boots.len() });
            }
            _ => {}
        }
    }

    /// After the watch, only the disk still speaks; and a stop line that a reset overtook.
    pub(super) fn after_the_watch(&mut self, event: &Event) {
        if self.of_the_forced_stop(event) {
            return;
        }
        match &event.body {
            Body::LayerReport { .. } => {
                self.ladder.take(event, None);
            }
            Body::SerialLine { text, .. } if self.late_lines && self.watch_ended.is_none() => {
                match self.marker(Source::Serial, Some(text)) {
                    Some(phase) if Some(phase) == self.first_marked_phase() => {
                        self.late_lines = false;
                    }
                    Some(_) => {}
                    None => self.stop_text(event, text),
                }
            }
            Body::WatchEnded { why, .. } if self.watch_ended.is_none() => {
                self.watch_ended = Some((event.into(), why.clone()));
            }
            // A frame from before may be read after it.
            Body::Screen { file, screen } => self.picture(event, file, screen),
            _ => {}
        }
    }

    /// The machine itself: on, off, reset.
    fn machine(&mut self, event: &Event) {
        let moment = Moment::from(event);
        match &event.body {
            Body::MachineStarted { from } => self.started(*from, moment),
            Body::Reset { by, .. } if *by != ResetBy::Power && self.without_power(event) => {}
            Body::Reset { by, reason } => {
                if *by == ResetBy::Power {
                    self.power_from = None;
                }
                let burst = self
                    .untouched_since
                    .is_some_and(|began| Duration::from(moment.at.since(began)) <= RESET_BURST);
                if burst {
                    return;
                }
                if self.running {
                    self.close(event, Way::Reset { by: *by, reason });
                    if self.conclude(&Trigger::BootEnded, moment) {
                        self.late_lines = true;
                        return;
                    }
                }
                self.open(Cause::from(*by), moment);
            }
            Body::MachineStopped { reason } if self.running => {
                if let Some(by) = self.power_from {
                    self.close(event, Way::Reset { by, reason });
                    self.conclude(&Trigger::BootEnded, moment);
                    return;
                }
                self.close(event, Way::Stopped { reason });
                let trigger = match befell(reason) {
                    Some(what) => Trigger::HarnessFailed(what),
                    None => Trigger::WentOff { by_itself: by_the_guest(reason) },
                };
                self.conclude(&trigger, moment);
            }
            Body::WatchEnded { why, .. } => {
                self.watch_ended = Some((moment, why.clone()));
                self.finish(event, why == "time-limit");
            }
            _ => {}
        }
    }

    fn started(&mut self, from: StartedFrom, moment: Moment) {
        if from == StartedFrom::Checkpoint
            && let Some(last) = self.boots.last_mut()
            && last.is_healthy()
            && (self.running || last.reset_by == Some(ResetBy::Harness))
            && matches!(last.end, End::ShutDown | End::Unfinished)
        {
            // A machine that was frozen and restored is in the same boot as before.
            (last.end, last.ended, last.reset_by) = (End::Unfinished, None, None);
            self.running = true;
            self.late_lines = false;
            return;
        }
        let cause = match from {
            StartedFrom::Cold => self.power_from.take().map_or(Cause::PowerOn, Cause::from),
            StartedFrom::Checkpoint => Cause::RestoredFromCheckpoint,
        };
        self.open(cause, moment);
        // A machine that was off has said everything that it had to say.
        self.late_lines = false;
    }

    fn open(&mut self, cause: Cause, moment: Moment) {
        let number = u32::try_from(self.boots.len()).unwrap_or(u32::MAX).saturating_add(1);
        let phase = match cause {
            Cause::RestoredFromCheckpoint => Phase::Healthy,
            _ => Phase::Firmware,
        };
        self.boots.push(Boot {
            number,
            cause,
            began: moment,
            phases: vec![PhaseReached { phase, moment }],
            end: End::Unfinished,
            ended: None,
            reset_by: None,
            stop: None,
            error: None,
            failures: BTreeSet::new(),
            statuses: BTreeMap::new(),
            started: BTreeSet::new(),
            silent: false,
            expected: false,
            after_fault: false,
            began_after_all_faults: self.all_armed(),
            armed: Vec::new(),
            during: self.layer_start.as_ref().map(|start| start.layer),
            evidence: Vec::new(),
        });
        self.running = true;
        self.untouched_since = Some(moment.at);
        self.late_lines = number > 1;
    }

    /// Decides how the current boot ended.
    fn close(&mut self, event: &Event, way: Way<'_>) {
        let row = self.current_row().map_or(0, |row| row.boots.len());
        let budget = self.facts.as_ref().map_or(0, |facts| facts.expected_resets);
        let after_fault = !self.armed.is_empty();
        self.running = false;
        self.untouched_since = None;
        let expected_left = budget.saturating_sub(self.expected_resets_seen);
        let Some(boot) = self.boots.last_mut() else { return };
        boot.after_fault = after_fault;
        let what = match way {
            Way::Reset { by, reason } => {
                boot.reset_by = Some(by);
                let plain = !boot.has_stopped() && !boot.silent;
                if by == ResetBy::Guest
                    && plain
                    && boot.kind() == BootKind::Windows
                    && expected_left > 0
                {
                    boot.expected = true;
                    self.expected_resets_seen += 1;
                }
                format!("reset {reason}")
            }
            Way::Stopped { reason } => {
                if !by_the_guest(reason) {
                    boot.reset_by = Some(ResetBy::Harness);
                }
                format!("off: {reason}")
            }
            Way::WatchOver { .. } => "the watch ended".to_owned(),
        };
        boot.end = end(boot, way, row);
        if !matches!(way, Way::WatchOver { .. }) {
            boot.ended = Some(event.into());
        }
        boot.note(event.seq, event.source.confidence(), what);
    }

    /// Ends the watch of the current boot, if there is one.
    pub(super) fn finish(&mut self, event: &Event, time_limit: bool) {
        if self.running {
            self.close(event, Way::WatchOver { time_limit });
            self.late_lines = false;
        }
    }

    /// The recovery ladder.
    pub(super) fn layers(&mut self, event: &Event, sign: Option<&Sign>) {
        let Some(layer) = self.ladder.take(event, sign) else { return };
        let boot = self.boots.last().map_or(0, |boot| boot.number);
        self.changes.push(Change { layer, seq: event.seq, boot });
        let detail = match &event.body {
            Body::Step { detail, .. } => detail.clone(),
            _ => String::new(),
        };
        self.happen(event, What::Applied { layer, detail });
    }

    /// The harness's own steps.
    fn steps(&mut self, event: &Event) {
        let moment = Moment::from(event);
        match &event.body {
            Body::FaultLanded { fault, proof } => {
                self.arm(fault, moment);
                let (fault, proof) = (fault.clone(), proof.clone());
                self.happen(event, What::FaultLanded { fault, proof });
            }
            Body::Step { name, state: StepState::Started, .. } => {
                if let Some(fault) = name.strip_prefix(steps::INJECT) {
                    self.arm(fault.trim(), moment);
                } else if name == steps::POWER_CYCLE && self.awaits_power_cycle().is_some() {
                    self.power_from = Some(ResetBy::Operator);
                    self.power_cycles = self.power_cycles.saturating_add(1);
                } else if [steps::POWER_CUT, steps::POWER_RESET].contains(&name.as_str()) {
                    self.power_from = Some(ResetBy::Power);
                }
            }
            Body::Step { name, state: StepState::Failed, detail } => {
                let (name, detail) = (name.clone(), detail.clone());
                self.happen(event, What::StepFailed { name, detail });
            }
            Body::Step { name, state: StepState::Done, .. } => match name.as_str() {
                steps::SETTLED if self.conclude(&Trigger::Settled, moment) => {
                    self.finish(event, false);
                }
                steps::SILENT => self.silent(event),
                _ => {}
            },
            _ => {}
        }
    }

    pub(super) fn silent(&mut self, event: &Event) {
        let Some(boot) = self.boots.last_mut().filter(|_| self.running) else { return };
        // A machine in use may well be silent, and so may one that waits for a person.
        let waits = matches!(boot.reached(), Phase::RecoveryPrompt | Phase::RecoveryKey);
        if boot.is_healthy() || waits || self.stands_healthy(event) {
            return;
        }
        let Some(boot) = self.boots.last_mut() else { return };
        boot.silent = true;
        boot.note(event.seq, Confidence::Inferred, "silent");
        self.untouched_since = None;
        if self.conclude(&Trigger::Silent, event.into()) {
            self.finish(event, false);
        }
    }

    fn arm(&mut self, fault: &str, moment: Moment) {
        if self.armed.contains_key(fault) {
            return;
        }
        self.armed.insert(fault.to_owned(), moment);
        if let Some(boot) = self.boots.last_mut().filter(|_| self.running) {
            boot.armed.push(fault.to_owned());
        }
    }

    /// True where nothing that the scenario does is still to come.
    pub(crate) fn all_armed(&self) -> bool {
        let named = self.facts.iter().flat_map(|facts| &facts.faults);
        !self.armed.is_empty() && named.into_iter().all(|name| self.armed.contains_key(name))
    }

    /// How long the row of like failures is, with the boot that is going on as one that ends where it
    /// stands.
    pub(crate) fn row_with_current(&self) -> usize {
        let mut boots = self.boots.clone();
        let Some(last) = boots.last_mut() else { return 0 };
        last.end = match last.error {
            Some(_) if last.stop.is_none() => End::BootError,
            _ => End::HaltedAtStopScreen,
        };
        let number = last.number;
        let row = loops::rows(&boots, &self.changes).pop();
        row.filter(|row| row.boots.contains(&number)).map_or(0, |row| row.boots.len())
    }

    /// The row of like failures that the last boot is a member of.
    pub(crate) fn current_row(&self) -> Option<Loop> {
        let closed = &self.boots[..self.boots.len() - usize::from(self.running)];
        let last = closed.iter().rev().find(|boot| boot.kind() == BootKind::Windows)?;
        loops::rows(closed, &self.changes).pop().filter(|row| row.boots.contains(&last.number))
    }

    pub(super) fn happen(&mut self, event: &Event, what: What) {
        let boot = self.boots.last().map_or(0, |boot| boot.number);
        let (moment, source) = (event.into(), event.source);
        self.happenings.push(Happening { moment, boot, source, what });
    }
}

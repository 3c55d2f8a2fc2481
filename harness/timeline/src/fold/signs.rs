//! What is seen of the guest: phases, stops, requests.

use super::happening::What;
use super::watcher::Watcher;
use crate::conclusion::Trigger;
use crate::stop::StopText;
use crate::witness::{self, Sign};
use crate::{
    Body, Boot, BootErrorSeen, End, Event, Moment, Phase, PhaseReached, ResetBy, Source, Stop,
    StopCode,
};

/// The answer to a request that its service could not read. The two sides of a protocol of ours disagree, so
/// nothing follows for the product.
const UNREADABLE: &str = "bad-request";

impl Watcher {
    /// What a serial line means, by the image's witnesses.
    pub(super) fn sign(&self, event: &Event) -> Option<Sign> {
        let Body::SerialLine { text, .. } = &event.body else { return None };
        witness::read(&self.facts.as_ref()?.witnesses, text)
    }

    /// What is seen of the guest.
    pub(super) fn signs(&mut self, event: &Event, sign: Option<&Sign>) {
        let moment = Moment::from(event);
        match &event.body {
            Body::SerialLine { text, .. } => {
                match sign {
                    Some(Sign::StartFailure { name, status }) => self.failure(event, name, *status),
                    Some(Sign::Start(name)) => self.start(name),
                    Some(Sign::Lack { name, reason }) => {
                        self.lack(event, name, reason.as_deref());
                    }
                    _ => {}
                }
                let phase = self.marker(Source::Serial, Some(text));
                if let Some(phase) = phase {
                    self.give_back_late_phases(phase);
                    self.reach(phase, event, text);
                } else {
                    self.stop_text(event, text);
                }
                if let Some(Sign::BootError(status)) = sign {
                    self.boot_error(event, *status);
                }
            }
            Body::Frame { file, .. } => self.frame(file),
            Body::Screen { file, screen } => self.picture(event, file, screen),
            Body::AgentUp => {
                if let Some(phase) = self.marker(Source::Agent, None) {
                    self.reach(phase, event, "agent");
                }
            }
            Body::Panicked { bug_check, .. } => {
                if let Some(boot) = self.current().map(|boot| boot.number) {
                    self.panics.entry(boot).or_insert(moment.at);
                }
                self.stopped(event, "panic", |stop| stop.take_panic(event.seq, *bug_check));
            }
            Body::Watchdog { action } => {
                if let Some(boot) = self.boots.last_mut().filter(|_| self.running) {
                    boot.silent = true;
                    let what = format!("watchdog {action}");
                    boot.note(event.seq, event.source.confidence(), what);
                    self.untouched_since = None;
                }
            }
            Body::BlockIoError { device, operation, .. } => {
                let (device, operation) = (device.clone(), operation.clone());
                self.happen(event, What::BlockIoError { device, operation });
            }
            Body::Service { service, request, answer, facts } => {
                self.untouched_since = None;
                let what = What::Request {
                    service: service.clone(),
                    request: request.clone(),
                    answer: answer.clone(),
                    facts: facts.clone(),
                };
                self.happen(event, what);
                if answer == UNREADABLE {
                    let why = facts.get("reason").map_or("no reason given", String::as_str);
                    let reason =
                        format!("a `{request}` to the service `{service}` is not readable: {why}");
                    self.harness_failed.get_or_insert_with(|| reason.clone());
                    self.conclude(&Trigger::HarnessFailed(&reason), moment);
                    self.finish(event, false);
                }
            }
            Body::HarnessFailed { reason } => {
                self.conclude(&Trigger::HarnessFailed(reason), moment);
                if self.conclusion.is_some() {
                    self.finish(event, false);
                }
            }
            _ => {}
        }
    }

    /// Boot manager or loader say that they cannot go on. Nothing comes after that by itself, so there is
    /// nothing to wait for.
    fn boot_error(&mut self, event: &Event, status: StopCode) {
        let Some(boot) = self.boots.last_mut().filter(|_| self.running) else { return };
        let seen = BootErrorSeen { seq: event.seq, status: Some(status), by_line: true };
        boot.error = Some(seen);
        boot.note(event.seq, event.source.confidence(), "boot error line");
        self.silent(event);
    }

    pub(super) fn stopped(&mut self, event: &Event, what: &str, set: impl FnOnce(&mut Stop)) {
        let Some(boot) = self.boots.last_mut().filter(|_| self.running) else { return };
        set(boot.stop.get_or_insert_default());
        boot.note(event.seq, event.source.confidence(), what);
        self.untouched_since = None;
    }

    /// A driver or service failed while the machine goes on.
    fn failure(&mut self, event: &Event, name: &str, status: Option<u32>) {
        let Some(boot) = self.boots.last_mut().filter(|_| self.running) else { return };
        // No kernel runs before the first marker of a boot: such a line was overtaken by the reset.
        if boot.reached() > Phase::Firmware && boot.failures.insert(name.to_owned()) {
            boot.note(event.seq, event.source.confidence(), format!("{name} failed"));
            boot.statuses.extend(status.map(|status| (name.to_owned(), status)));
        }
    }

    /// A driver or service was started. Only those that somebody brought are remembered.
    fn start(&mut self, name: &str) {
        let brought = self.facts.as_ref().is_some_and(|facts| !facts.drivers.is_empty());
        let Some(boot) = self.boots.last_mut().filter(|_| self.running && brought) else { return };
        if boot.reached() > Phase::Firmware {
            boot.started.insert(name.to_owned());
        }
    }

    /// What the image lacks is no fault of who needs it, whatever comes of it.
    fn lack(&mut self, event: &Event, name: &str, what: Option<&str>) {
        let meant = self.facts.as_ref().is_some_and(|facts| {
            facts.made_to_lack.iter().any(|own| own.eq_ignore_ascii_case(name))
        });
        if meant || !self.running {
            return;
        }
        let what = what.unwrap_or("something that Windows has");
        let reason = format!("the model lacks what {name} needs: {what}; take a Windows image");
        self.conclude(&Trigger::ModelLacks(&reason), Moment::from(event));
        self.finish(event, false);
    }

    /// Reads a serial line as part of a stop message, of the current boot or the one before.
    pub(super) fn stop_text(&mut self, event: &Event, text: &str) {
        let Some(text) = StopText::parse(text) else { return };
        // No kernel runs before the first marker of a boot: such a line was overtaken by the reset.
        let late = |boot: &Boot| self.late_lines && boot.reached() == Phase::Firmware;
        let back = usize::from(self.current().is_some_and(late));
        let Some(index) = self.boots.len().checked_sub(1 + back) else { return };
        if back == 0 {
            self.untouched_since = None;
        }
        let boot = &mut self.boots[index];
        // Parameters and a module belong to a stop that was named before.
        let what = match &mut boot.stop {
            Some(stop) => stop.take_line(event.seq, text),
            None if matches!(text, StopText::Error { .. }) => {
                boot.stop.get_or_insert_default().take_line(event.seq, text)
            }
            None => None,
        };
        let Some(what) = what else { return };
        boot.note(event.seq, event.source.confidence(), what);
        if self.late_lines {
            self.stopped_after_all(index);
        }
    }

    /// A boot that had already been closed as a plain reset turns out to have stopped.
    pub(super) fn stopped_after_all(&mut self, index: usize) {
        let boot = &mut self.boots[index];
        if boot.ended.is_none() || boot.stop.is_none() {
            return;
        }
        boot.end = match boot.reset_by {
            Some(ResetBy::Guest | ResetBy::Hypervisor) => End::BugCheck,
            Some(_) => End::HaltedAtStopScreen,
            None => return,
        };
        if std::mem::take(&mut boot.expected) {
            self.expected_resets_seen = self.expected_resets_seen.saturating_sub(1);
        }
    }

    /// The phase that a sign stands for, by the image's profile.
    pub(super) fn marker(&self, source: Source, text: Option<&str>) -> Option<Phase> {
        self.facts.as_ref()?.phase_of(source, text)
    }

    /// The phase by which a boot is first heard of on the serial line.
    pub(super) fn first_marked_phase(&self) -> Option<Phase> {
        let markers = self.facts.iter().flat_map(|facts| &facts.markers);
        markers.filter(|marker| marker.source == Source::Serial).map(|marker| marker.phase).min()
    }

    /// The first phase that the profile can recognise on the serial line begins a boot. Lines of later
    /// phases that came before it, right after a reset, were those of the boot before.
    fn give_back_late_phases(&mut self, phase: Phase) {
        if !self.late_lines || !self.running || self.first_marked_phase() != Some(phase) {
            return;
        }
        self.late_lines = false;
        let Some((current, before)) = self.boots.split_last_mut() else { return };
        let Some(last) = before.last_mut() else { return };
        let late = current.phases.iter().filter(|reached| reached.phase > Phase::Firmware);
        let reached = last.reached();
        last.phases.extend(late.copied().filter(|late| late.phase > reached));
        current.phases.retain(|reached| reached.phase == Phase::Firmware);
        let only_said = |stop: &mut Stop| stop.panic.is_none() && stop.picture.is_none();
        if last.stop.as_ref().is_none_or(|stop| stop.line.is_none())
            && let Some(line) = current.stop.take_if(only_said).and_then(|stop| stop.line)
        {
            last.stop.get_or_insert_default().line = Some(line);
            let index = before.len() - 1;
            self.stopped_after_all(index);
        }
    }

    pub(super) fn reach(&mut self, phase: Phase, event: &Event, what: &str) {
        let Some(boot) = self.boots.last_mut().filter(|_| self.running) else { return };
        self.untouched_since = None;
        if phase <= boot.reached() {
            return;
        }
        let moment = Moment::from(event);
        boot.phases.push(PhaseReached { phase, moment });
        let by = match event.body {
            // That nothing moves is the harness's own observation; what it means is inferred.
            Body::Step { .. } => Source::Screen,
            _ => event.source,
        };
        boot.note(event.seq, by.confidence(), what);
        if self.conclude(&Trigger::Reached(phase), moment) {
            self.finish(event, false);
        }
    }
}

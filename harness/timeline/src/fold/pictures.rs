//! What the display shows: which boot a frame belongs to, and what follows from a stop screen.
//!
//! A frame is taken in one boot and read in the same, or, where reading takes its time, in the next. And
//! a display keeps its picture through a reset until the firmware draws on it. So what counts is the boot in
//! which the frame was taken; and a stop screen that goes away while the machine runs on was never this
//! boot's, because nothing but a reset ends one.

use super::watcher::Watcher;
use crate::{
    BootErrorSeen, BootKind, Certainty, End, Event, Phase, ResetBy, Screen, ScreenKind, Stop,
};

impl Watcher {
    /// Notes the boot in which a frame was taken.
    pub(super) fn frame(&mut self, file: &str) {
        if let Some(boot) = self.boots.len().checked_sub(1).filter(|_| self.running) {
            self.frames.insert(file.to_owned(), boot);
        }
    }

    /// Takes what a frame shows.
    pub(super) fn picture(&mut self, event: &Event, file: &str, screen: &Screen) {
        // A frame that was taken while no machine was watched shows nothing that counts.
        let Some(mut index) = self.frames.get(file).copied() else { return };
        self.shown(event, index, screen);
        if screen.is_boot_error() {
            self.error_screen(event, index, screen);
            return;
        }
        if !screen.is_stop() {
            self.no_stop_after_all(index, screen.kind);
            return;
        }
        let current = self.running && index + 1 == self.boots.len();
        if current && self.is_left_over(index) {
            let Some(before) = index.checked_sub(1) else { return };
            index = before;
        }
        let running = self.running && index + 1 == self.boots.len();
        let boot = &mut self.boots[index];
        // The recovery environment has blue and black pages of its own.
        if boot.kind() == BootKind::Recovery {
            return;
        }
        let stop = boot.stop.get_or_insert_default();
        if stop.take_picture(event.seq, screen.stop.as_ref()) {
            boot.note(event.seq, event.source.confidence(), "stop screen");
        }
        if running {
            self.untouched_since = None;
        } else {
            self.stopped_after_all(index);
        }
    }

    /// A picture may stand for a phase, by the image's profile.
    fn shown(&mut self, event: &Event, index: usize, screen: &Screen) {
        // A display keeps its picture through a reset: the same one as before is no news of this boot, and stays
        // that of the boot before.
        if self.showing.is_some_and(|(boot, kind)| boot < index && kind == screen.kind) {
            return;
        }
        self.showing = Some((index, screen.kind));
        let current = self.running && index + 1 == self.boots.len();
        if !current || screen.certainty < Certainty::Likely {
            return;
        }
        let phase = self.facts.as_ref().and_then(|facts| facts.phase_of_screen(screen.kind));
        // Whether a machine is up shows when its picture stands.
        if let Some(phase) = phase.filter(|phase| *phase != Phase::Healthy) {
            self.reach(phase, event, screen.kind.name());
        }
    }

    /// The machine is silent: that may well be what being up looks like, by the image's profile. True where it is.
    pub(super) fn stands_healthy(&mut self, event: &Event) -> bool {
        let Some((index, kind)) = self.showing else { return false };
        let phase = self.facts.as_ref().and_then(|facts| facts.phase_of_screen(kind));
        let current = self.running && index + 1 == self.boots.len();
        let fits = self.current().is_some_and(|boot| {
            boot.kind() == BootKind::Windows && boot.stop.is_none() && boot.error.is_none()
        });
        if phase != Some(Phase::Healthy) || !current || !fits {
            return false;
        }
        self.reach(Phase::Healthy, event, "a picture that stands");
        true
    }

    /// Boot manager or loader show why they cannot go on. Where nothing else says so it has to stand for a
    /// while, as a stop screen has to: a page of the recovery environment looks much alike.
    fn error_screen(&mut self, event: &Event, index: usize, screen: &Screen) {
        if index + 1 != self.boots.len() || !self.running || self.is_left_over(index) {
            return;
        }
        let boot = &mut self.boots[index];
        if boot.kind() == BootKind::Recovery || boot.stop.is_some() {
            return;
        }
        match &mut boot.error {
            Some(seen) => seen.status = seen.status.or(screen.status),
            None => {
                let (seq, status) = (event.seq, screen.status);
                boot.error = Some(BootErrorSeen { seq, status, by_line: false });
                boot.note(seq, event.source.confidence(), "boot error screen");
            }
        }
        self.untouched_since = None;
    }

    /// True for a stop screen in a boot that has only just been reset into and from which nothing was
    /// heard: the display still shows what it showed before. Only where something would have been heard.
    fn is_left_over(&self, index: usize) -> bool {
        self.late_lines
            && self.boots[index].reached() == Phase::Firmware
            && self.first_marked_phase().is_some()
    }

    /// Another picture: where only the display told of a stop, there was none in this boot. Then it was
    /// what the display still showed of the boot before, if that was reset for no reason that was seen.
    fn no_stop_after_all(&mut self, index: usize, kind: ScreenKind) {
        // A display may go dark over a stop screen (windows-facts.md 2, digital signage mode).
        if matches!(kind, ScreenKind::Black | ScreenKind::Unknown) {
            return;
        }
        let running = self.running && index + 1 == self.boots.len();
        if !running {
            return;
        }
        let boot = &mut self.boots[index];
        if let Some(error) = boot.error.take_if(|error| !error.by_line) {
            boot.evidence.retain(|evidence| evidence.seq != error.seq);
            boot.silent = false;
        }
        let only_shown = |stop: &mut Stop| stop.panic.is_none() && stop.line.is_none();
        let Some(picture) = boot.stop.take_if(only_shown).and_then(|stop| stop.picture) else {
            return;
        };
        boot.evidence.retain(|evidence| evidence.seq != picture.seq);
        boot.silent = false;
        // What was a stop screen at first sight and is doubtful at the second was nobody's.
        let Some(before) = index.checked_sub(1).filter(|_| !kind.is_stop()) else { return };
        let last = &mut self.boots[before];
        let for_no_reason = last.end == End::Reset && last.reset_by == Some(ResetBy::Guest);
        if for_no_reason && last.kind() == BootKind::Windows && last.stop.is_none() {
            last.stop = Some(Stop { picture: Some(picture), ..Stop::default() });
            self.stopped_after_all(before);
        }
    }
}

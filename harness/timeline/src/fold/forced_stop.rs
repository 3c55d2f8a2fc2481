//! The stop that the harness makes of a machine that hangs, by a non-maskable interrupt, so that it writes a dump
//! before it is switched off (windows-facts 6.7). It comes after the verdict and changes nothing of it: it is no end of a
//! boot, no failure of the product, and its dump is no boot's.

use std::collections::BTreeSet;

use super::ending::by_the_guest;
use super::watcher::Watcher;
use crate::stop::StopText;
use crate::{
    Body, BootKind, Dump, End, Event, Moment, ResetBy, StepState, Stop, StopCode, Verdict, steps,
};

/// NMI_HARDWARE_FAILURE, with which Windows stops at a non-maskable interrupt (windows-facts 6.7).
pub const NMI_HARDWARE_FAILURE: u32 = 0x80;

/// A stop that the harness made.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ForcedStop {
    /// When the interrupt was sent.
    pub moment: Moment,
    /// The boot that hung.
    pub boot: u32,
    /// What was seen of the stop; empty where the machine did not answer.
    pub stop: Stop,
    /// The guest restarted after it, or went off: its dump is written, if it writes one.
    pub over: bool,
    /// The dumps that it left on the disk.
    pub dumps: Vec<Dump>,
    /// Frames that were taken since.
    #[serde(skip)]
    frames: BTreeSet<String>,
    /// The harness waits for it yet.
    #[serde(skip)]
    waits: bool,
}

impl ForcedStop {
    /// True once the machine was seen to stop.
    pub fn is_seen(&self) -> bool {
        self.over || self.stop != Stop::default()
    }

    /// True where a dump can be of this stop, going by its code.
    pub(crate) fn fits(&self, dump: &Dump) -> bool {
        let code = StopCode(dump.bug_check.code);
        code == StopCode(NMI_HARDWARE_FAILURE.into()) || self.stop.signature().code == Some(code)
    }

    /// Takes what is seen of the machine after the interrupt. True where it was of this stop.
    fn take(&mut self, event: &Event) -> bool {
        match &event.body {
            Body::Panicked { bug_check, .. } if !self.over => {
                self.stop.take_panic(event.seq, *bug_check);
            }
            Body::SerialLine { text, .. } if !self.over => {
                if let Some(text) = StopText::parse(text) {
                    self.stop.take_line(event.seq, text);
                }
            }
            Body::Frame { file, .. } if !self.over => {
                self.frames.insert(file.clone());
            }
            Body::Screen { file, screen } if self.frames.contains(file) => {
                if screen.is_stop() {
                    self.stop.take_picture(event.seq, screen.stop.as_ref());
                }
            }
            Body::Step { name, .. } if name == steps::FORCE_STOP => self.waits = false,
            Body::Reset { by, .. } => self.over |= *by == ResetBy::Guest,
            Body::MachineStopped { reason } => self.over |= by_the_guest(reason),
            _ => return false,
        }
        true
    }
}

impl Watcher {
    /// The number of the boot that hangs, once the watch has ended over it while the machine was still on. The engine
    /// may then make it stop, by the step [`FORCE_STOP`](steps::FORCE_STOP).
    pub fn hangs(&self) -> Option<u32> {
        let (_, why) = self.watch_ended.as_ref()?;
        let given_up = match &self.conclusion {
            Some(conclusion) => conclusion.verdict == Verdict::Hung,
            None => why == "time-limit" && self.to_help.is_none(),
        };
        let boot = self.boots.last()?;
        let hangs = boot.end == End::Hang && boot.ended.is_none();
        let of_windows = boot.kind() == BootKind::Windows && boot.during.is_none();
        (given_up && hangs && of_windows).then_some(boot.number)
    }

    /// The stop that the harness made, where it did.
    pub fn forced_stop(&self) -> Option<&ForcedStop> {
        self.forced_stop.as_ref()
    }

    /// True while the harness waits for a stop that it makes. What fails meanwhile, for example a host's disk that is
    /// full of the dump, changes nothing of the verdict either.
    pub(super) fn waits_for_a_forced_stop(&self) -> bool {
        self.forced_stop.as_ref().is_some_and(|forced| forced.waits)
    }

    /// Takes an event that is of a stop that the harness made. True where it was.
    pub(super) fn of_the_forced_stop(&mut self, event: &Event) -> bool {
        if let Some(forced) = &mut self.forced_stop {
            return forced.take(event);
        }
        if let Body::Step { name, state: StepState::Started, .. } = &event.body
            && name == steps::FORCE_STOP
            && let Some(boot) = self.hangs()
        {
            self.forced_stop = Some(ForcedStop {
                moment: event.into(),
                boot,
                stop: Stop::default(),
                over: false,
                dumps: Vec::new(),
                frames: BTreeSet::new(),
                waits: true,
            });
            return true;
        }
        false
    }
}

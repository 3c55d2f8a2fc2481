//! One boot: why it began, how far it came, how it ended, and what that rests on.

use std::collections::{BTreeMap, BTreeSet};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Confidence, Layer, Moment, Phase, ResetBy, Signature, Stop, StopCode};

/// Why a boot began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The machine was switched on.
    PowerOn,
    /// The machine was restored from a RAM checkpoint; its boot was good when that was taken.
    RestoredFromCheckpoint,
    /// The guest reset itself.
    ResetByGuest,
    /// The harness reset it.
    ResetByHarness,
    /// The scenario's operator pressed the button.
    ResetByOperator,
    /// The hypervisor reset it, for example by its watchdog.
    ResetByHypervisor,
    /// Power was cut and came back.
    ResetByPower,
}

impl From<ResetBy> for Cause {
    fn from(by: ResetBy) -> Self {
        match by {
            ResetBy::Guest => Self::ResetByGuest,
            ResetBy::Harness => Self::ResetByHarness,
            ResetBy::Operator => Self::ResetByOperator,
            ResetBy::Hypervisor => Self::ResetByHypervisor,
            ResetBy::Power => Self::ResetByPower,
        }
    }
}

/// Which system a boot started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootKind {
    /// Windows, or an attempt at it.
    Windows,
    /// The recovery environment.
    Recovery,
}

/// How a boot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// It was healthy when the watch ended.
    StillUp,
    /// It was healthy, and then shut down or switched off.
    ShutDown,
    /// It stopped with a bug check and restarted by itself.
    BugCheck,
    /// It stopped with a bug check and stood there until somebody else, or nobody, did something.
    HaltedAtStopScreen,
    /// Boot manager or loader could not go on, and stood at their error screen.
    BootError,
    /// It went silent, or the watchdog found it dead.
    Hang,
    /// It was reset, and no stop was seen. For the recovery environment this is how it leaves.
    Reset,
    /// It went off before it was healthy.
    PowerOff,
    /// The recovery environment waited for a person.
    WaitingForAPerson,
    /// It asked for the recovery key of an encrypted volume, and nobody entered it.
    WaitingForRecoveryKey,
    /// The watch ended in the middle of it.
    Unfinished,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StillUp => "still up",
            Self::ShutDown => "shut down",
            Self::BugCheck => "bug check",
            Self::HaltedAtStopScreen => "halted at a stop screen",
            Self::BootError => "boot error",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::PowerOff => "power-off",
            Self::WaitingForAPerson => "waiting for a person",
            Self::WaitingForRecoveryKey => "waiting for the recovery key",
            Self::Unfinished => "unfinished",
        })
    }
}

/// The first time that a phase was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PhaseReached {
    /// Which.
    pub phase: Phase,
    /// When.
    pub moment: Moment,
}

/// One observation that the reading of a boot rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The event.
    pub seq: u64,
    /// How sure its source is.
    pub confidence: Confidence,
    /// What it shows: `panic`, `stop line`, `reset guest-reset`, …
    pub what: String,
}

/// An error screen of boot manager or loader, as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BootErrorSeen {
    /// The event.
    pub seq: u64,
    /// Its NTSTATUS, where it is known: a picture alone may not tell.
    pub status: Option<StopCode>,
    /// The serial line said so, and not only the display.
    pub by_line: bool,
}

/// The events from one power-on or reset to the next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Boot {
    /// From 1.
    pub number: u32,
    /// Why it began.
    pub cause: Cause,
    /// When.
    pub began: Moment,
    /// The phases it reached, in order. Never empty: it begins in the firmware, or, where it was
    /// restored from a checkpoint, healthy.
    pub phases: Vec<PhaseReached>,
    /// How it ended.
    pub end: End,
    /// When, and by which event. `None`: it was still going on when the watch ended.
    pub ended: Option<Moment>,
    /// Who reset it, where a reset ended it.
    pub reset_by: Option<ResetBy>,
    /// The stop, where there was one.
    pub stop: Option<Stop>,
    /// The error of boot manager or loader, where there was one.
    pub error: Option<BootErrorSeen>,
    /// Drivers and services that did not start, or whose process ended, as the guest named them.
    pub failures: BTreeSet<String>,
    /// The statuses of these, where the guest told them.
    pub statuses: BTreeMap<String, u32>,
    /// Drivers and services that were started, as the guest named them.
    pub started: BTreeSet<String>,
    /// Nothing moved in it any more: the engine said so, or the watchdog.
    pub silent: bool,
    /// It ended by a reset that the image declares to be normal.
    pub expected: bool,
    /// A fault was armed before it ended.
    pub after_fault: bool,
    /// It began when all faults were armed.
    pub began_after_all_faults: bool,
    /// The faults that were armed while it ran.
    pub armed: Vec<String>,
    /// It is the start of this layer, and neither a failure of the product nor a proof that it is back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during: Option<Layer>,
    /// What the reading of it rests on, in the order of the events.
    pub evidence: Vec<Evidence>,
}

impl Boot {
    /// The furthest phase.
    pub fn reached(&self) -> Phase {
        self.phases.last().map_or(Phase::Firmware, |reached| reached.phase)
    }

    /// True where it reached this phase.
    pub fn has_reached(&self, phase: Phase) -> bool {
        self.phases.iter().any(|reached| reached.phase == phase)
    }

    /// Windows or recovery.
    pub fn kind(&self) -> BootKind {
        let recovery = |phase| self.has_reached(phase);
        if recovery(Phase::Recovery) || recovery(Phase::RecoveryPrompt) {
            BootKind::Recovery
        } else {
            BootKind::Windows
        }
    }

    /// True while nothing but good was seen of it: healthy, no stop, not silent.
    pub fn is_healthy(&self) -> bool {
        self.reached() == Phase::Healthy && !self.has_stopped()
    }

    /// What makes its end the same as another's: of a boot error its status, which stands for a code. Empty
    /// where it did not stop.
    pub fn signature(&self) -> Signature {
        match (&self.stop, &self.error) {
            (Some(stop), _) => stop.signature(),
            (None, Some(error)) => Signature { code: error.status, ..Signature::default() },
            (None, None) => Signature::default(),
        }
    }

    /// True where it came to a halt: at a stop screen, or at an error screen of boot manager or loader.
    pub fn has_stopped(&self) -> bool {
        self.stop.is_some() || self.error.is_some()
    }

    /// How sure the end is: as sure as the best of what it rests on.
    pub fn confidence(&self) -> Confidence {
        match (&self.stop, self.end) {
            (Some(stop), End::BugCheck | End::HaltedAtStopScreen) => stop.confidence(),
            (_, End::BootError) => match self.error {
                Some(BootErrorSeen { by_line: true, .. }) => Confidence::GuestSays,
                _ => Confidence::Inferred,
            },
            (_, End::Hang) => Confidence::Inferred,
            // The screen and the serial line are the only ones to know.
            (_, End::WaitingForAPerson | End::WaitingForRecoveryKey | End::StillUp) => {
                Confidence::GuestSays
            }
            _ => Confidence::Observed,
        }
    }

    /// True where Windows failed in it: it stopped, hung, asked for the recovery key, went off before it was
    /// healthy, or was reset without a stop when nobody had asked for it.
    ///
    /// A reset by an operator is a failure only of a machine that was not healthy; a power cut and a
    /// reset by the harness are none by themselves, nor is a reset that the image declares. The start of a layer says
    /// something about the layer only.
    pub fn failed(&self) -> bool {
        if self.kind() == BootKind::Recovery || self.during.is_some() {
            return false;
        }
        match self.end {
            End::BugCheck
            | End::HaltedAtStopScreen
            | End::BootError
            | End::WaitingForRecoveryKey
            | End::Hang => true,
            End::PowerOff => self.reset_by.is_none(),
            End::Reset => match self.reset_by {
                Some(ResetBy::Guest) => !self.expected,
                Some(ResetBy::Operator | ResetBy::Hypervisor) => self.reached() < Phase::Healthy,
                Some(ResetBy::Harness | ResetBy::Power) | None => false,
            },
            End::StillUp | End::ShutDown | End::WaitingForAPerson | End::Unfinished => false,
        }
    }

    /// True where this failure counts towards a loop: one that went round because the harness pushed it
    /// is none.
    pub fn counts_towards_a_loop(&self) -> bool {
        self.failed() && !matches!(self.reset_by, Some(ResetBy::Harness | ResetBy::Power))
    }

    pub(crate) fn note(&mut self, seq: u64, confidence: Confidence, what: impl Into<String>) {
        self.evidence.push(Evidence { seq, confidence, what: what.into() });
    }
}

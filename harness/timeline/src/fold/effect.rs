//! What an event changed, and what happened around the boots.

use std::collections::BTreeMap;

use crate::{Cause, Conclusion, End, Layer, Moment, Phase, Source};

/// What one event changed, for whoever shows progress or acts on it.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A boot began.
    BootBegan {
        /// Its number.
        boot: u32,
        /// Why.
        cause: Cause,
    },
    /// A boot reached a phase for the first time.
    PhaseReached {
        /// Its number.
        boot: u32,
        /// Which phase.
        phase: Phase,
    },
    /// The first sign of a stop.
    Stopped {
        /// The boot's number.
        boot: u32,
    },
    /// A boot ended.
    BootEnded {
        /// Its number.
        boot: u32,
        /// How.
        end: End,
        /// True where Windows failed in it.
        failed: bool,
    },
    /// A fault was armed.
    FaultArmed {
        /// Its name in the scenario.
        fault: String,
    },
    /// A recovery layer changed something.
    LayerApplied {
        /// Which.
        layer: Layer,
    },
    /// The verdict can no longer change: the engine may stop the machine and read the disk.
    Concluded(Conclusion),
}

/// Something between the boots' milestones that a report shows.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Happening {
    /// When.
    pub moment: Moment,
    /// The boot that ran at that time, or the last one before it. 0: before the first.
    pub boot: u32,
    /// Who saw it.
    pub source: Source,
    /// What it was.
    pub what: What,
}

/// What a [`Happening`] was.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum What {
    /// A fault was put in place and read back.
    FaultLanded {
        /// Its name.
        fault: String,
        /// What was read back.
        proof: Vec<String>,
    },
    /// A step of the harness failed.
    StepFailed {
        /// Its name.
        name: String,
        /// For people.
        detail: String,
    },
    /// A request to a service of the scenario.
    Request {
        /// The service.
        service: String,
        /// The request.
        request: String,
        /// The answer.
        answer: String,
        /// Further facts.
        facts: BTreeMap<String, String>,
    },
    /// A recovery layer changed something.
    Applied {
        /// Which.
        layer: Layer,
        /// What, where the harness did it itself.
        #[serde(skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// A read or write of the disk failed.
    BlockIoError {
        /// The device.
        device: String,
        /// `read` or `write`.
        operation: String,
    },
}

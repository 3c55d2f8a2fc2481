//! What happened around the boots.

use std::collections::BTreeMap;

use crate::{Layer, Moment, Source};

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

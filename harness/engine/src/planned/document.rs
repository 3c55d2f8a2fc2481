//! The plan of a run as a document.

use jiff::Timestamp;
use scenario::{Expect, Moment, Start};
use serde::Serialize;
use words::ImageLine;

use crate::machine::Wait;

/// Version of the document.
pub const PLAN_FORMAT: u32 = 1;

/// What one run would do.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunPlan {
    /// [`PLAN_FORMAT`].
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// What it runs on.
    pub image: ImageUsed,
    /// What the scenario needs and is not known of the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_known: Vec<String>,
    /// From power-on, or from a checkpoint of the healthy machine.
    pub start: Start,
    /// Documented minutes of waiting pass this many times faster.
    pub time_scale: u32,
    /// What time it is at the start; `null`: the host's.
    pub clock: Option<Timestamp>,
    /// What the machine's clock chip says then.
    pub clock_chip: Option<Timestamp>,
    /// What is done to the disk before power-on.
    pub offline: OfflineEdits,
    /// What is done to the machine itself: before power-on, and once it is healthy.
    pub faults: Vec<WhileItRuns>,
    /// The services on its network. Everything else is silent.
    pub services: Vec<String>,
    /// The rungs of the recovery ladder that there are, in the order in which they can come.
    pub layers: Vec<Rung>,
    /// Resets that the image needs by itself and that do not count.
    pub expected_resets: u32,
    /// What is waited for, and for how long.
    pub waits: Vec<Wait>,
    /// What has to come out.
    pub expect: Expect,
    /// What the outcome is compared with.
    pub reference: ReferenceUsed,
    /// The domain that libvirt is given. The run's name stands as `RUN`.
    pub domain_xml: String,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageUsed {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// Which line of systems it is of.
    pub line: ImageLine,
    /// True where it is a model and not Windows.
    pub is_model: bool,
}

/// What is done to the disk before power-on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OfflineEdits {
    /// Done, in this order; each line was read back from a copy of the image's disk.
    pub done: Vec<Done>,
    /// Done only after a first good start, to which a key is sealed: what is changed.
    pub after_a_first_start: Vec<Done>,
}

/// The changes for one thing that the scenario declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Done {
    /// A fault or something given by its name, or `canary`, `recovery settings`, `update service`.
    pub what_for: String,
    /// The changes.
    pub changes: Vec<String>,
}

/// A fault that is not an edit of the disk of a machine that is off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WhileItRuns {
    /// The fault.
    pub fault: String,
    /// When it comes.
    pub when: Moment,
    /// What it is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// What the guest agent is asked to do, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agent: Vec<String>,
}

/// A rung of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rung {
    /// A layer, or `operator`.
    pub layer: &'static str,
    /// The scenario expects that it brings the machine back.
    pub expected: bool,
    /// What it does, line by line.
    pub does: Vec<String>,
}

/// A reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReferenceUsed {
    /// Where it lies.
    pub path: String,
    /// False where the first outcome will wait to be accepted.
    pub exists: bool,
}

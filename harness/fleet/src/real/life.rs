//! What one real machine did: measured, in the time of its guest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use words::{ImageLine, Layer, Span, Touch, Verdict};

/// What a machine's life is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LifeKey {
    /// The machine, from 0. Its number is added to the seed of all that chance decides in the scenario.
    pub machine: u32,
    /// When there is a remediation for it.
    pub help: Help,
}

/// When the remediation is published, counted by the machine's own requests: each life is another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Help {
    /// Never.
    Never,
    /// After so many of its requests were answered with nothing; 0: it is there from the beginning.
    AfterAsks(u32),
}

/// What became of a machine that took the update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Life {
    /// Which.
    pub key: LifeKey,
    /// The run that showed it.
    pub run: String,
    /// What it ran on.
    pub on: RanOn,
    /// The checkpoint that its machine was forked from, where there was one.
    pub checkpoint: Option<String>,
    /// What the run came to.
    pub verdict: Verdict,
    /// How it broke; nothing if it never did.
    pub breaks: Option<Break>,
    /// When it asked for a remediation, since it broke.
    pub asks: Vec<Span>,
    /// How it ended.
    pub ended: Ended,
}

/// What a machine ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RanOn {
    /// Which line of systems the image is of.
    pub image: ImageLine,
    /// True where it is a model and not Windows.
    pub is_model: bool,
    /// Documented waits passed this many times faster.
    pub time_scale: u32,
}

/// How a machine broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Break {
    /// Starts with the update that went well before.
    pub good_starts: u32,
    /// From the update, or from the beginning of the start that failed, to the failure.
    pub within: Span,
}

/// How a life ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ended {
    /// It never broke.
    Well,
    /// It is healthy again.
    Back {
        /// Since it broke.
        after: Span,
        /// The layer that brought it back; nothing where it started well by itself.
        by: Option<Layer>,
        /// Whose hands that needed.
        touch: Touch,
    },
    /// The scenario's limits say that nobody would wait for it any longer: it needs hands.
    GivenUp {
        /// Since it broke.
        after: Span,
    },
}

impl Ended {
    /// When, since it broke; nothing where it never did.
    fn after(&self) -> Option<Span> {
        match self {
            Self::Well => None,
            Self::Back { after, .. } | Self::GivenUp { after } => Some(*after),
        }
    }
}

/// All lives that are known.
pub type Lives = BTreeMap<LifeKey, Life>;

/// Milliseconds.
pub(super) fn ms(span: Span) -> u64 {
    u64::try_from(span.duration().as_millis()).unwrap_or(u64::MAX)
}

/// More starts than this go well with no update that breaks a machine.
const MOST_STARTS: u32 = 10_000;
/// A year, in milliseconds.
const LONGEST: u64 = 366 * 86_400_000;

impl Life {
    /// False where no machine can have lived so.
    pub(super) fn is_sound(&self) -> bool {
        let spans = [self.breaks.as_ref().map(|breaks| breaks.within), self.ended.after()];
        let spans = spans.into_iter().flatten().chain(self.asks.iter().copied());
        let starts = self.breaks.as_ref().map_or(0, |breaks| breaks.good_starts);
        self.breaks.is_some() == self.ended.after().is_some()
            && starts <= MOST_STARTS
            && spans.into_iter().all(|span| ms(span) <= LONGEST)
    }

    /// How many requests it made in less than this time since it broke, in milliseconds.
    pub(super) fn asked_before(&self, since_ms: u64) -> u32 {
        self.asks.iter().filter(|ask| ms(**ask) < since_ms).count() as u32
    }
}

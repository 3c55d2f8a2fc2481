//! What can be set.

use std::collections::BTreeMap;

use scenario::{Span, Start};
use schemars::JsonSchema;
use serde::Deserialize;

use super::size::Size;
use crate::args::FlakyArg;

/// A file of settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsFile {
    /// Version of this format.
    #[schemars(range(min = 1, max = 1))]
    #[serde(rename = "format")]
    _format: u32,
    /// Settings by the name of their profile.
    #[serde(default)]
    pub(super) profile: BTreeMap<String, Profile>,
}

/// Settings that belong together. What is absent is left to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Profile {
    /// How many machines may run at once.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) jobs: Option<u32>,
    /// The images to run on.
    pub(crate) image: Option<Vec<String>>,
    /// How machines start.
    pub(crate) start: Option<Start>,
    /// How often a run is tried again that the host or the harness failed.
    #[schemars(range(min = 0, max = 100))]
    pub(crate) retries: Option<u32>,
    /// What becomes of a flaky scenario.
    pub(crate) flaky: Option<FlakyArg>,
    /// Nothing is begun that would not end within this time.
    pub(crate) budget: Option<Span>,
    /// Whether a scenario that is not applicable is an error.
    pub(crate) no_skips: Option<bool>,
    /// Whether the machine's disk is kept.
    pub(crate) keep_disk: Option<bool>,
    /// Whether new outcomes are written beside their references.
    pub(crate) update: Option<Update>,
    /// The most that kept runs may take on the disk.
    pub(crate) max_size: Option<Size>,
}

/// Whether new outcomes are written beside their references.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Update {
    /// Not where CI is set.
    #[default]
    Auto,
    /// Always.
    New,
    /// Never.
    No,
}

impl Profile {
    /// These settings, and for what they leave open the others.
    pub(super) fn over(self, other: Self) -> Self {
        Self {
            jobs: self.jobs.or(other.jobs),
            image: self.image.or(other.image),
            start: self.start.or(other.start),
            retries: self.retries.or(other.retries),
            flaky: self.flaky.or(other.flaky),
            budget: self.budget.or(other.budget),
            no_skips: self.no_skips.or(other.no_skips),
            keep_disk: self.keep_disk.or(other.keep_disk),
            update: self.update.or(other.update),
            max_size: self.max_size.or(other.max_size),
        }
    }
}

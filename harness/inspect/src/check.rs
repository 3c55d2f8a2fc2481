//! The qualification of an image: named checks, each with its answer.

use std::fmt;

use serde::{Deserialize, Serialize};
use words::CheckName;

/// Version of the form in which qualifications are stored, and of what the checks mean. A stored one of
/// another version is not current: inspect again.
pub const QUALIFICATION_FORMAT: u32 = 2;

/// What an image can do, as far as its disk tells: `qualification.json` of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Qualification {
    /// [`QUALIFICATION_FORMAT`].
    pub format: u32,
    /// The product, in its own words, if it is known.
    pub product: Option<String>,
    /// One for each [`CheckName`], in its order.
    pub checks: Vec<Check>,
}

impl Qualification {
    /// Whether it was made by rules that still hold.
    pub fn is_current(&self) -> bool {
        self.format == QUALIFICATION_FORMAT
            && CheckName::ALL.iter().all(|name| self.checks.iter().any(|own| own.name == *name))
    }

    /// The answer to one check.
    pub fn check(&self, name: CheckName) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Checks that failed, in order.
    pub fn failing(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.answer == Answer::Fail)
    }

    /// Whether nothing failed.
    pub fn qualifies(&self) -> bool {
        self.failing().next().is_none()
    }
}

/// One check of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// How it came out.
    pub answer: Answer,
    /// What was found, and where.
    pub evidence: String,
    /// What a person does about it, where something is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Whether `fix` can do it without a person.
    #[serde(default)]
    pub fixable: bool,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// As it should be.
    Pass,
    /// As it should be today, and an update will find it wanting.
    Warn,
    /// Not as it should be.
    Fail,
    /// What it depends on could not be read.
    Unknown,
    /// It means nothing for this image.
    NotApplicable,
}

impl Answer {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not-applicable",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

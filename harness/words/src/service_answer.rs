//! What came of asking the update service.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The furthest that the conversation with the update service went.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceAnswer {
    /// It saw no request at all.
    NotAsked,
    /// It was asked and offered nothing.
    NoMatch,
    /// What it offered was refused by the machine.
    Refused,
    /// What it offered was applied by the machine.
    Applied,
}

impl ServiceAnswer {
    /// As scenarios and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::NoMatch => "no-match",
            Self::Refused => "refused",
            Self::Applied => "applied",
        }
    }
}

impl fmt::Display for ServiceAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

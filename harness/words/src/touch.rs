//! Whose hands a rung of the recovery ladder needs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose hands a layer needs. In order: each is harder to come by than the one before.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Touch {
    /// Nobody's: the machine alone.
    None,
    /// An administrator's, who may be far away.
    Remote,
    /// Somebody's at the machine.
    Console,
    /// An operator's of the hypervisor.
    Host,
}

impl Touch {
    /// As outcomes and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Remote => "remote",
            Self::Console => "console",
            Self::Host => "host",
        }
    }

    /// What it means, for people.
    pub const fn about(self) -> &'static str {
        match self {
            Self::None => "the machine alone",
            Self::Remote => "an administrator, who may be far away",
            Self::Console => "somebody at the machine",
            Self::Host => "an operator of the hypervisor",
        }
    }
}

impl fmt::Display for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

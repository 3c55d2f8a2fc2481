//! The last word on a run.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Windows failed and is healthy again, brought back by the expected layer where one is expected.
    Recovered,
    /// Windows failed and is healthy again, brought back by another layer than the expected one, or by none.
    RecoveredOtherwise,
    /// The faults were in place and Windows never failed.
    Unaffected,
    /// Windows fails in the same way again and again, and recovery does not come.
    Looping,
    /// The recovery environment came up and did not help, or waits for a person.
    StuckInRecovery,
    /// The machine neither goes on nor restarts.
    Hung,
    /// A file of the user's is damaged or gone, whatever else happened.
    DataLost,
    /// The harness or the host failed. Says nothing about the product, so no scenario may expect it.
    #[schemars(skip)]
    Infrastructure,
}

impl Verdict {
    /// All that say something about the machine, in the order in which they are listed: what a scenario may expect.
    pub const OF_A_MACHINE: [Self; 7] = [
        Self::Recovered,
        Self::RecoveredOtherwise,
        Self::Unaffected,
        Self::Looping,
        Self::StuckInRecovery,
        Self::Hung,
        Self::DataLost,
    ];

    /// As scenarios, outcomes and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::RecoveredOtherwise => "recovered-otherwise",
            Self::Unaffected => "unaffected",
            Self::Looping => "looping",
            Self::StuckInRecovery => "stuck-in-recovery",
            Self::Hung => "hung",
            Self::DataLost => "data-lost",
            Self::Infrastructure => "infrastructure",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

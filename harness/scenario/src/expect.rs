//! What a scenario expects. The timeline holds it against what came.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use words::Layer;

/// What has to come out. Everything that is not said here is left to the reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expect {
    /// The verdict.
    pub verdict: Verdict,
    /// The layers that bring the machine back, in order. None with `recovered`: it comes back by itself,
    /// by starting again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
    /// The stop with which failing boots end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// The NTSTATUS on the error screen of the boot manager or loader with which failing boots end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_error: Option<u32>,
    /// Drivers and services that do not start, or whose process ends, whatever becomes of the machine: a
    /// driver by its file while the kernel starts it, else by its service's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// It ends with the recovery key of the encrypted volume being asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovery_key: bool,
    /// What the update service gets to see and to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_service: Option<ServiceAnswer>,
}

/// A stop of the system.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stop {
    /// The stop code.
    pub bug_check: u32,
    /// The blamed module, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
}

/// How a run ended. `infrastructure` is no word here: a failure of the harness is never expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It failed, and the expected layer brought it back.
    Recovered,
    /// It failed, and a layer other than the expected one brought it back.
    RecoveredOtherwise,
    /// It never failed.
    Unaffected,
    /// It fails the same way again and again.
    Looping,
    /// The recovery environment comes up and cannot help.
    StuckInRecovery,
    /// It stands still.
    Hung,
    /// It came back without the user's data.
    DataLost,
}

impl Verdict {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::Recovered,
        Self::RecoveredOtherwise,
        Self::Unaffected,
        Self::Looping,
        Self::StuckInRecovery,
        Self::Hung,
        Self::DataLost,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::RecoveredOtherwise => "recovered-otherwise",
            Self::Unaffected => "unaffected",
            Self::Looping => "looping",
            Self::StuckInRecovery => "stuck-in-recovery",
            Self::Hung => "hung",
            Self::DataLost => "data-lost",
        }
    }
}

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
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::NoMatch => "no-match",
            Self::Refused => "refused",
            Self::Applied => "applied",
        }
    }
}

//! What a scenario expects. The timeline holds it against what came.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use words::{Layer, LayerResult, ServiceAnswer, Verdict};

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
    /// What comes of layers, also of those that do not help: with `stuck-in-recovery`, why it stays so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layer_results: BTreeMap<Layer, LayerResult>,
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

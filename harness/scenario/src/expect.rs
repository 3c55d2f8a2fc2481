//! What a scenario expects, and the comparison with what came out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Layer;

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

/// What came out, as far as it can be expected. Taken from the outcome by the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The outcome's word.
    pub verdict: String,
    /// The layers that brought the machine back, in order, as the outcome names them.
    pub layers: Vec<String>,
    /// The stop of every boot that ended in one: code and blamed module, where known.
    pub stops: Vec<(u64, Option<String>)>,
    /// The status of every boot that ended on an error screen of boot manager or loader.
    pub boot_errors: Vec<u32>,
    /// Drivers and services that did not start, or whose process ended, in any boot.
    pub failures: Vec<String>,
    /// The last boot ended with the recovery key being asked for.
    pub recovery_key: bool,
    /// `None` where the scenario has no update service.
    pub update_service: Option<ServiceAnswer>,
}

/// One expectation that was not met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// The key in `[expect]`.
    pub key: &'static str,
    /// What the scenario says.
    pub expected: String,
    /// What came out.
    pub found: String,
}

impl Expect {
    /// Holds what came out against what is expected. Empty: all met.
    pub fn unmet(&self, observed: &Observed) -> Vec<Unmet> {
        let mut unmet = Vec::new();
        let mut check = |met: bool, key, expected: String, found: String| {
            if !met {
                unmet.push(Unmet { key, expected, found });
            }
        };
        check(
            self.verdict.as_str() == observed.verdict,
            "verdict",
            self.verdict.as_str().to_owned(),
            observed.verdict.clone(),
        );
        if matches!(self.verdict, Verdict::Recovered | Verdict::RecoveredOtherwise) {
            let expected: Vec<&str> = self.layers.iter().map(|layer| layer.as_str()).collect();
            let met = expected.iter().eq(observed.layers.iter());
            let list = |layers: Vec<&str>| {
                if layers.is_empty() { "none".to_owned() } else { layers.join(", ") }
            };
            let found = observed.layers.iter().map(String::as_str).collect();
            check(met, "layers", list(expected), list(found));
        }
        if let Some(stop) = &self.stop {
            let same = |code: u64, module: Option<&str>| {
                code == u64::from(stop.bug_check)
                    && stop.module.as_deref().is_none_or(|expected| {
                        module.is_some_and(|module| module.eq_ignore_ascii_case(expected))
                    })
            };
            let met = !observed.stops.is_empty()
                && observed.stops.iter().all(|(code, module)| same(*code, module.as_deref()));
            let found: Vec<String> = observed
                .stops
                .iter()
                .map(|(code, module)| {
                    format!("{code:#x} in {}", module.as_deref().unwrap_or("no known module"))
                })
                .collect();
            let found = if found.is_empty() { "no stop".to_owned() } else { found.join(", ") };
            let module = stop.module.as_deref().unwrap_or("any module");
            check(met, "stop", format!("{:#x} in {module}", stop.bug_check), found);
        }
        if let Some(status) = self.boot_error {
            let met = !observed.boot_errors.is_empty()
                && observed.boot_errors.iter().all(|e| *e == status);
            let found: Vec<String> =
                observed.boot_errors.iter().map(|status| format!("{status:#x}")).collect();
            let found =
                if found.is_empty() { "no such screen".to_owned() } else { found.join(", ") };
            check(met, "boot-error", format!("{status:#x}"), found);
        }
        for expected in &self.failures {
            let met = observed.failures.iter().any(|name| name.eq_ignore_ascii_case(expected));
            let found = match observed.failures.join(", ") {
                found if found.is_empty() => "none".to_owned(),
                found => found,
            };
            check(met, "failures", expected.clone(), found);
        }
        if self.recovery_key {
            let (asked, not) = ("asked for".to_owned(), "not asked for".to_owned());
            check(observed.recovery_key, "recovery-key", asked, not);
        }
        if let Some(expected) = self.update_service {
            let found = observed.update_service.map_or("no service", ServiceAnswer::as_str);
            check(
                observed.update_service == Some(expected),
                "update-service",
                expected.as_str().to_owned(),
                found.to_owned(),
            );
        }
        unmet
    }
}

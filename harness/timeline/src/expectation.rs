//! What a scenario expects, held against what came: the only place where that is judged.
//!
//! The engine writes what is expected into the first event, so that a replay judges the same. What the
//! scenario leaves open is left to the reference.

use serde::{Deserialize, Serialize};

use crate::layers::REMEDIATION_SERVICE;
use crate::{
    Boot, BootOutcome, End, Happening, Layer, LayerOutcome, LayerResult, Logged, RunFacts,
    ServiceAnswer, StopOutcome, Verdict, What, outcome,
};

/// The stop with which failing boots are expected to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedStop {
    /// The stop code.
    pub code: u32,
    /// The blamed module, where one is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
}

/// Whether it came as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expectation {
    /// True where all of it came so. An `infrastructure` run never meets an expectation.
    pub met: bool,
    /// What did not.
    pub unmet: Vec<Unmet>,
}

/// One expectation that was not met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// The key in the scenario's `[expect]`.
    pub key: &'static str,
    /// What the scenario says.
    pub expected: String,
    /// What came.
    pub found: String,
}

impl std::fmt::Display for Unmet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is {}, expected {}", self.key, self.found, self.expected)
    }
}

impl RunFacts {
    /// The verdict that is expected. A layer that should bring the machine back means that it should come
    /// back.
    pub(crate) fn verdict_expected(&self) -> Option<Verdict> {
        let by_a_layer = (!self.expected_layers.is_empty()).then_some(Verdict::Recovered);
        self.expected_verdict.or(by_a_layer)
    }
}

/// What came, as far as it can be expected.
pub(crate) struct Came<'a> {
    pub(crate) verdict: Verdict,
    pub(crate) brought_back_by: Option<Layer>,
    pub(crate) boots: &'a [Boot],
    pub(crate) layers: &'a [LayerOutcome],
    pub(crate) happenings: &'a [Happening],
    pub(crate) log: &'a [Logged],
}

/// Holds what came against what the scenario expects.
pub(crate) fn judge(facts: Option<&RunFacts>, came: &Came<'_>) -> Expectation {
    let mut unmet = Vec::new();
    if came.verdict == Verdict::Infrastructure {
        // It says nothing about the machine, so nothing else is worth a word.
        let expected = facts.and_then(RunFacts::verdict_expected);
        let expected = expected.map_or("a word about the machine", Verdict::name).to_owned();
        unmet.push(Unmet { key: "verdict", expected, found: came.verdict.to_string() });
    } else if let Some(facts) = facts {
        let boots = came.boots.iter().map(outcome::boot).collect();
        let judge = Judge { facts, came, boots };
        unmet.extend(judge.verdict());
        unmet.extend(judge.layers());
        unmet.extend(judge.layer_results());
        unmet.extend(judge.stop());
        unmet.extend(judge.boot_error());
        unmet.extend(judge.failures());
        unmet.extend(judge.drivers());
        unmet.extend(judge.recovery_key());
        unmet.extend(judge.answer());
    }
    Expectation { met: unmet.is_empty(), unmet }
}

struct Judge<'a> {
    facts: &'a RunFacts,
    came: &'a Came<'a>,
    boots: Vec<BootOutcome>,
}

impl Judge<'_> {
    fn verdict(&self) -> Option<Unmet> {
        let expected = self.facts.verdict_expected()?;
        unless(expected == self.came.verdict, "verdict", || {
            (expected.to_string(), self.came.verdict.to_string())
        })
    }

    /// Where it is to come back, exactly by these; by none where none is named.
    fn layers(&self) -> Option<Unmet> {
        let comes_back = [Verdict::Recovered, Verdict::RecoveredOtherwise];
        self.facts.verdict_expected().filter(|verdict| comes_back.contains(verdict))?;
        let found: Vec<Layer> = self.came.brought_back_by.into_iter().collect();
        let expected = &self.facts.expected_layers;
        let names = |layers: &[Layer]| {
            listed(&layers.iter().map(|layer| layer.name()).collect::<Vec<_>>(), "none")
        };
        unless(found == *expected, "layers", || (names(expected), names(&found)))
    }

    fn layer_results(&self) -> Vec<Unmet> {
        let came = |layer: Layer| self.came.layers.iter().find(|own| own.layer == layer);
        let mut unmet = Vec::new();
        for (layer, expected) in &self.facts.expected_results {
            let own = came(*layer);
            let found = own.map_or(LayerResult::NotTried, |own| own.result);
            let reason = own.and_then(|own| own.reason.as_deref());
            unmet.extend(unless(found == *expected, "layer-results", || {
                let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                (format!("{layer} {expected}"), format!("{layer} {found}{reason}"))
            }));
        }
        unmet
    }

    fn stop(&self) -> Option<Unmet> {
        let expected = self.facts.expected_stop.as_ref()?;
        let is_it = |stop: &StopOutcome| {
            stop.code.is_some_and(|code| code.0 == u64::from(expected.code))
                && expected.module.as_ref().is_none_or(|module| {
                    stop.module.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(module))
                })
        };
        let stops = self.boots.iter().filter_map(|boot| boot.stop.as_ref());
        let stops: Vec<&StopOutcome> = stops.filter(|stop| stop.code.is_some()).collect();
        unless(!stops.is_empty() && stops.iter().all(|stop| is_it(stop)), "stop", || {
            let module = expected.module.as_deref().unwrap_or("any module");
            let found: Vec<String> = stops
                .iter()
                .map(|stop| {
                    let module = stop.module.as_deref().unwrap_or("no known module");
                    format!("{:#x} in {module}", stop.code.map_or(0, |code| code.0))
                })
                .collect();
            (format!("{:#x} in {module}", expected.code), listed(&found, "no stop"))
        })
    }

    fn boot_error(&self) -> Option<Unmet> {
        let expected = self.facts.expected_boot_error?;
        let found: Vec<u64> =
            self.boots.iter().filter_map(|boot| Some(boot.boot_error?.0)).collect();
        let is_it = |status: &u64| *status == u64::from(expected);
        unless(!found.is_empty() && found.iter().all(is_it), "boot-error", || {
            let found: Vec<String> = found.iter().map(|status| format!("{status:#x}")).collect();
            (format!("{expected:#x}"), listed(&found, "no such screen"))
        })
    }

    fn failures(&self) -> Vec<Unmet> {
        let seen = self.boots.iter().flat_map(|boot| &boot.failures);
        let found: Vec<&String> =
            seen.chain(self.came.log.iter().flat_map(Logged::failed)).collect();
        // The log knows a driver by its service.
        let same = |one: &str, other: &str| {
            one.eq_ignore_ascii_case(other)
                || self.facts.drivers.iter().any(|driver| driver.is(one) && driver.is(other))
        };
        let failed = |name: &str| found.iter().any(|found| same(found, name));
        let missing = self.facts.expected_failures.iter().filter(|name| !failed(name));
        missing
            .map(|name| Unmet {
                key: "failures",
                expected: name.clone(),
                found: listed(&found, "none"),
            })
            .collect()
    }

    /// Where nothing ever failed, what was brought has to have run.
    fn drivers(&self) -> Vec<Unmet> {
        if self.came.verdict != Verdict::Unaffected {
            return Vec::new();
        }
        let idle = self.facts.drivers_that_did_not_run(self.came.boots, self.came.log);
        idle.into_iter()
            .map(|driver| Unmet {
                key: "drivers",
                expected: format!("{} runs", driver.file),
                found: driver.told(),
            })
            .collect()
    }

    fn recovery_key(&self) -> Option<Unmet> {
        let asked = |boot: &BootOutcome| boot.end == End::WaitingForRecoveryKey;
        let met = !self.facts.expects_recovery_key || self.boots.last().is_some_and(asked);
        unless(met, "recovery-key", || ("asked for".to_owned(), "not asked for".to_owned()))
    }

    /// The furthest that the conversation with the update service went.
    fn answer(&self) -> Option<Unmet> {
        let expected = self.facts.expected_answer?;
        let happenings = self.came.happenings.iter();
        let answers: Vec<&str> =
            happenings.filter_map(|happening| answer(&happening.what)).collect();
        let found = match answers.as_slice() {
            [] => ServiceAnswer::NotAsked,
            answers if answers.contains(&"applied") => ServiceAnswer::Applied,
            answers if answers.contains(&"refused") => ServiceAnswer::Refused,
            _ => ServiceAnswer::NoMatch,
        };
        unless(expected == found, "update-service", || (expected.to_string(), found.to_string()))
    }
}

/// What the update service answered, or what the machine reported of it; `None` where it was not asked.
fn answer(what: &What) -> Option<&str> {
    match what {
        What::Request { service, .. } if service != REMEDIATION_SERVICE => None,
        // It came, and did not get so far as to ask.
        What::Request { request, .. } if request == "handshake" => None,
        What::Request { request, answer, facts, .. } if request == "report" => {
            Some(facts.get("result").unwrap_or(answer))
        }
        What::Request { answer, .. } => Some(answer),
        _ => None,
    }
}

fn unless(met: bool, key: &'static str, words: impl FnOnce() -> (String, String)) -> Option<Unmet> {
    if met {
        return None;
    }
    let (expected, found) = words();
    Some(Unmet { key, expected, found })
}

fn listed(words: &[impl AsRef<str>], none: &str) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    if words.is_empty() { none.to_owned() } else { words.join(", ") }
}

//! What a run means: held against what the scenario expects, and as an exit code.

use report::Comparison;
use scenario::{Observed, Scenario, ServiceAnswer, Unmet};
use timeline::{Derived, What};

use crate::ledger::Cleaned;

/// What a run means for a pipeline. The numbers are the exit codes of the command, and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// 0: as expected.
    AsExpected = 0,
    /// 1: the outcome differs from its reference, or an expectation was not met.
    Differs = 1,
    /// 2: usage, scenario or image error: nothing was run.
    Usage = 2,
    /// 3: the harness or the host failed; says nothing about the product.
    Infrastructure = 3,
    /// 4: something that a run made was left behind.
    Leaked = 4,
}

impl ExitStatus {
    pub(crate) fn of(
        derived: &Derived,
        comparison: &Comparison,
        unmet: &[Unmet],
        cleaned: &Cleaned,
    ) -> Self {
        if !cleaned.leaked.is_empty() {
            Self::Leaked
        } else if derived.outcome.verdict == timeline::Verdict::Infrastructure {
            Self::Infrastructure
        } else if !unmet.is_empty() || !matches!(comparison, Comparison::Same { .. }) {
            Self::Differs
        } else {
            Self::AsExpected
        }
    }
}

/// What came out, in the words in which a scenario expects it.
pub(crate) fn observed(scenario: &Scenario, derived: &Derived) -> Observed {
    let outcome = &derived.outcome;
    let stops = derived.timeline.boots.iter().filter_map(|boot| {
        let signature = boot.stop.as_ref()?.signature();
        Some((signature.code?.0, signature.module))
    });
    let answers: Vec<&str> = derived
        .timeline
        .happenings
        .iter()
        .filter_map(|happening| match &happening.what {
            What::Request { request, answer, facts, .. } if request == "report" => {
                facts.get("result").map(String::as_str).or(Some(answer.as_str()))
            }
            What::Request { answer, .. } => Some(answer.as_str()),
            _ => None,
        })
        .collect();
    let update_service = scenario.update_service.as_ref().map(|_| match answers.as_slice() {
        [] => ServiceAnswer::NotAsked,
        answers if answers.contains(&"applied") => ServiceAnswer::Applied,
        answers if answers.contains(&"refused") => ServiceAnswer::Refused,
        _ => ServiceAnswer::NoMatch,
    });
    Observed {
        verdict: outcome.verdict.to_string(),
        layers: outcome.brought_back_by.iter().map(ToString::to_string).collect(),
        stops: stops.collect(),
        update_service,
    }
}

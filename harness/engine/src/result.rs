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
    let boot_errors = outcome
        .boots
        .iter()
        .filter_map(|boot| boot.boot_error.and_then(|status| u32::try_from(status.0).ok()));
    let answers: Vec<&str> = derived
        .timeline
        .happenings
        .iter()
        .filter_map(|happening| match &happening.what {
            What::Request { service, request, answer, facts }
                if service == recovery::service::SERVICE && request == "report" =>
            {
                facts.get("result").map(String::as_str).or(Some(answer.as_str()))
            }
            What::Request { service, .. } if service != recovery::service::SERVICE => None,
            // It came, and did not get so far as to ask.
            What::Request { request, .. } if request == "handshake" => None,
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
        boot_errors: boot_errors.collect(),
        failures: outcome.boots.iter().flat_map(|boot| boot.failures.iter().cloned()).collect(),
        recovery_key: outcome
            .boots
            .last()
            .is_some_and(|boot| boot.end == timeline::End::WaitingForRecoveryKey),
        update_service,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::ledger::{Entry, Leak};

    const RECORDED: &str =
        include_str!("../../timeline/tests/fixtures/recorded-channel-file-291.jsonl");

    fn recovered() -> Derived {
        timeline::derive(&timeline::read_events(RECORDED).unwrap().events)
    }

    fn same() -> Comparison {
        Comparison::Same { reference: PathBuf::from("x.snap") }
    }

    #[test]
    fn the_worst_thing_that_happened_decides_the_exit_code() {
        let (clean, same) = (Cleaned::default(), same());
        let unmet = [Unmet { key: "verdict", expected: String::new(), found: String::new() }];
        let leaked = Cleaned {
            removed: Vec::new(),
            leaked: vec![Leak {
                entry: Entry::File { path: PathBuf::from("overlay") },
                reason: "busy".to_owned(),
            }],
        };
        let broken = timeline::derive(&[]);
        let of = ExitStatus::of;
        assert_eq!(of(&recovered(), &same, &[], &clean) as u8, 0);
        assert_eq!(of(&recovered(), &same, &unmet, &clean) as u8, 1);
        let missing = Comparison::NotCompared { reference: PathBuf::from("x.snap") };
        assert_eq!(of(&recovered(), &missing, &[], &clean) as u8, 1);
        assert_eq!(of(&broken, &same, &unmet, &clean) as u8, 3);
        assert_eq!(of(&broken, &same, &unmet, &leaked) as u8, 4);
        assert_eq!(of(&recovered(), &same, &[], &leaked) as u8, 4);
    }

    #[test]
    fn what_the_service_saw_is_told_apart() {
        let home = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/channel-file-291");
        let scenario = Scenario::load(std::path::Path::new(home)).unwrap();
        let observed = observed(&scenario, &recovered());
        assert_eq!(observed.verdict, "recovered");
        assert_eq!(observed.layers, ["quick-machine-recovery"]);
        assert_eq!(observed.update_service, Some(ServiceAnswer::Applied));
        assert!(observed.stops.iter().all(|stop| *stop == (0x50, Some("csagent.sys".to_owned()))));
        assert!(scenario.expect.unmet(&observed).is_empty());
    }
}

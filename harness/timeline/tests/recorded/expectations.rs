//! What a scenario expects, held against what came.

use std::collections::BTreeMap;

use crate::support::{events, renumber};
use crate::variations::facts;
use timeline::{
    Body, Event, Expectation, ExpectedStop, Layer, LayerResult, RunFacts, ServiceAnswer, Verdict,
    derive,
};

fn judged(events: &[Event]) -> Expectation {
    derive(events).timeline.expectation
}

/// What is not as expected in the main record, where the scenario expects this.
fn unmet(expect: impl FnOnce(&mut RunFacts)) -> Vec<(&'static str, String, String)> {
    let mut events = events("recorded-channel-file-291");
    expect(facts(&mut events));
    let Expectation { met, unmet } = judged(&events);
    assert_eq!(met, unmet.is_empty());
    unmet.into_iter().map(|unmet| (unmet.key, unmet.expected, unmet.found)).collect()
}

fn one(expect: impl FnOnce(&mut RunFacts)) -> (&'static str, String, String) {
    let mut all = unmet(expect);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn line(key: &'static str, expected: &str, found: &str) -> (&'static str, String, String) {
    (key, expected.to_owned(), found.to_owned())
}

#[test]
fn a_run_that_comes_as_expected_meets_all_of_it() {
    let all = unmet(|facts| {
        facts.expected_verdict = Some(Verdict::Recovered);
        facts.expected_layers = vec![Layer::QuickMachineRecovery];
        facts.expected_stop =
            Some(ExpectedStop { code: 0x50, module: Some("CSAGENT.SYS".to_owned()) });
        facts.expected_answer = Some(ServiceAnswer::Applied);
    });
    assert!(all.is_empty(), "{all:?}");
}

#[test]
fn each_key_says_what_it_expected_and_what_came() {
    let many = unmet(|facts| facts.expected_verdict = Some(Verdict::Looping));
    assert_eq!(many, [line("verdict", "looping", "recovered")]);
    assert_eq!(
        one(|facts| facts.expected_layers.push(Layer::HostRepair)),
        line("layers", "quick-machine-recovery, host-repair", "quick-machine-recovery")
    );
    let refused = (Layer::QuickMachineRecovery, LayerResult::Refused);
    assert_eq!(
        one(|facts| facts.expected_results = BTreeMap::from([refused])),
        line("layer-results", "quick-machine-recovery refused", "quick-machine-recovery applied")
    );
    assert_eq!(
        one(|facts| facts.expected_stop = Some(ExpectedStop { code: 0x7b, module: None })),
        line("stop", "0x7b in any module", "0x50 in csagent.sys, 0x50 in csagent.sys")
    );
    let module = Some("other.sys".to_owned());
    assert_eq!(
        one(|facts| facts.expected_stop = Some(ExpectedStop { code: 0x50, module })).1,
        "0x50 in other.sys"
    );
    assert_eq!(
        one(|facts| facts.expected_boot_error = Some(0xc000_000f)),
        line("boot-error", "0xc000000f", "no such screen")
    );
    assert_eq!(
        one(|facts| facts.expected_failures = vec!["agent".to_owned()]),
        line("failures", "agent", "none")
    );
    assert_eq!(
        one(|facts| facts.expects_recovery_key = true),
        line("recovery-key", "asked for", "not asked for")
    );
    assert_eq!(
        one(|facts| facts.expected_answer = Some(ServiceAnswer::Refused)),
        line("update-service", "refused", "applied")
    );
}

#[test]
fn where_nothing_brought_the_machine_back_no_layer_may_be_named() {
    // It comes back by itself: that is another verdict, and another layer.
    let mut events = events("channel-file-291");
    events.retain(|event| !matches!(event.body, Body::Service { .. }));
    facts(&mut events).expected_verdict = Some(Verdict::Recovered);
    facts(&mut events).expected_answer = Some(ServiceAnswer::NotAsked);
    let judged = judged(&renumber(events));
    let keys: Vec<&str> = judged.unmet.iter().map(|unmet| unmet.key).collect();
    assert_eq!(keys, ["verdict", "layers"]);
    assert_eq!(judged.unmet[1].to_string(), "layers is none, expected quick-machine-recovery");
}

#[test]
fn a_run_that_says_nothing_meets_nothing_and_only_says_so() {
    let mut events = events("recorded-channel-file-291");
    let facts = facts(&mut events);
    facts.expected_verdict = Some(Verdict::Recovered);
    facts.expected_stop = Some(ExpectedStop { code: 0x7b, module: None });
    events.pop();
    let judged = judged(&events);
    assert!(!judged.met);
    let [unmet] = judged.unmet.as_slice() else { panic!("{judged:?}") };
    assert_eq!(unmet.to_string(), "verdict is infrastructure, expected recovered");
}

#[test]
fn the_outcome_says_the_same_in_words() {
    let mut events = events("recorded-channel-file-291");
    facts(&mut events).expected_answer = Some(ServiceAnswer::Refused);
    let derived = derive(&events);
    let expectation = &derived.outcome.expectation;
    assert!(!expectation.met && !derived.timeline.expectation.met);
    assert_eq!(expectation.unmet, ["update-service is applied, expected refused"]);
}

#[test]
fn what_is_expected_is_in_the_record() {
    let mut events = events("recorded-channel-file-291");
    let facts = facts(&mut events);
    facts.expected_stop = Some(ExpectedStop { code: 0x7b, module: None });
    facts.expected_failures = vec!["agent".to_owned()];
    facts.expects_recovery_key = true;
    let text: String =
        events.iter().map(|event| timeline::write_event(event).expect("JSON")).collect();
    let read = timeline::read_events(&text).expect("a good record").events;
    assert_eq!(judged(&read), judged(&events));
    assert_eq!(judged(&read).unmet.len(), 3);
}

//! Rollouts played small: the same for any number of threads, and what rings and late signals come to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{july, play};
use fleet::{Choice, Outcome, Touches, simulate};

/// A fleet of a hundredth, with a hundredth of everything that has a size.
const SMALL: &[(&str, &str)] = &[
    ("fleet.machines", "85000"),
    ("update-service.requests-a-minute", "2500"),
    ("help-desk.hands", "250"),
    ("found-otherwise.machines", "10"),
];

#[test]
fn one_two_and_more_threads_give_the_same_bytes() {
    let changes: Vec<(&str, &str)> =
        SMALL.iter().copied().chain([("layer.quick-machine-recovery.available", "0.5")]).collect();
    let rollout = july(&changes);
    for plan in &rollout.plan {
        let one = play(&rollout, &plan.name, 7, 1).to_json();
        for threads in [2, 3, 4, 64] {
            assert!(one == play(&rollout, &plan.name, 7, threads).to_json(), "{threads} threads");
        }
        assert_ne!(one, play(&rollout, &plan.name, 8, 1).to_json(), "another seed");
    }
}

#[test]
fn everything_at_once_breaks_nearly_all_and_rings_a_few() {
    let rollout = july(SMALL);
    let once = play(&rollout, "everything-at-once", 1, 1);
    assert!(once.broke > 84_000, "{}", once.broke);
    assert_eq!(once.milestones.withdrawn, Some(78), "67 minutes from the first, and 10");
    assert!(once.alarm.as_ref().unwrap().rule.is_none(), "found by people");
    let days = |minutes: Option<u32>| f64::from(minutes.unwrap()) / 1440.0;
    let nearly_all = days(once.milestones.nearly_all_back);
    assert!((5.0..8.0).contains(&nearly_all), "97 of 100 are back after {nearly_all} days");
    let rings = play(&rollout, "four-rings", 1, 1);
    let alarm = rings.alarm.as_ref().unwrap();
    assert_eq!((alarm.rule.as_deref(), alarm.ring), (Some("canaries"), 0));
    assert!(alarm.minute >= 10, "a watched machine is known to be broken after ten minutes");
    assert!(rings.broke <= 1000 && rings.rings[1].began.is_none(), "{}", rings.broke);
    balanced(&once);
    balanced(&rings);
}

#[test]
fn signals_that_come_late_do_not_stop_hasty_rings() {
    let rollout = july(SMALL);
    let hasty = play(&rollout, "hasty-rings", 1, 1);
    let alarm = hasty.alarm.as_ref().unwrap();
    assert_eq!(alarm.ring, 2, "the last ring had begun");
    let last = hasty.rings.last().unwrap();
    assert!(last.began.unwrap() < alarm.minute && last.broke_before > 100);
    assert!(last.crash_reports_before < 20, "{}", last.crash_reports_before);
    let text = fleet::render_outcomes(&rollout, std::slice::from_ref(&hasty));
    assert!(text.contains("Not stopped in time: the last ring (all) began after 30 min"), "{text}");
    assert!(text.contains("This is a simulation."), "{text}");
    // The same rings with signals that come at once.
    let prompt: Vec<(&str, &str)> = SMALL
        .iter()
        .copied()
        .chain([
            ("signals.reports-while-broken", "0.9"),
            ("signals.crash-report-delay", "{ fixed = '1m' }"),
        ])
        .collect();
    let prompt = july(&prompt);
    let stopped = play(&prompt, "hasty-rings", 1, 1);
    assert!(stopped.broke < 200 && stopped.rings[1].began.is_none(), "{}", stopped.broke);
    let text = fleet::render_outcomes(&prompt, &[stopped]);
    assert!(text.contains("Stopped in ring 1 of 3 (first)"), "{text}");
}

#[test]
fn what_did_not_stop_it_is_not_said_to_have_stopped_it() {
    let told = |rollout: &fleet::Rollout, plan| {
        fleet::render_outcomes(rollout, &[play(rollout, plan, 1, 1)])
    };
    let mut idle = july(SMALL);
    idle.at_stop = fleet::AtStop::default();
    let text = told(&idle, "everything-at-once");
    assert!(text.contains("by people, no rule having seen it, but nothing was stopped."), "{text}");
    for plan in &mut idle.plan {
        plan.stop.clear();
    }
    let text = told(&fleet::Rollout { found_otherwise: None, ..idle }, "everything-at-once");
    assert!(text.contains("Nothing stopped it: no rule gave an alarm."), "{text}");
    let mute: Vec<(&str, &str)> = SMALL
        .iter()
        .copied()
        .chain([
            ("signals.mute", "1.0"),
            ("fault.every-machine.breaks", "0.0"),
            ("plan.four-rings.ring.canaries.healthy", "0.5"),
            ("signals.silent-after", "336h"),
        ])
        .collect();
    let text = told(&july(&mute), "four-rings");
    assert!(text.contains("There was no alarm, but early never began"), "{text}");
}

#[test]
fn a_good_update_reaches_all_without_an_alarm() {
    let rollout = july(SMALL);
    for plan in &rollout.plan {
        let choice = Choice { plan: plan.name.clone(), fault: None, seed: 3, threads: 1 };
        let outcome = simulate(&rollout, &choice).unwrap().outcome;
        assert_eq!((outcome.broke, outcome.alarm.is_some()), (0, false), "{}", plan.name);
        assert!(outcome.milestones.reached.is_some());
        assert_eq!((outcome.lost_minutes, outcome.touches), (0, Touches::default()));
    }
}

#[test]
fn quick_machine_recovery_spares_hands() {
    let none = play(&july(SMALL), "everything-at-once", 1, 1);
    let changes: Vec<(&str, &str)> =
        SMALL.iter().copied().chain([("layer.quick-machine-recovery.available", "0.8")]).collect();
    let some = play(&july(&changes), "everything-at-once", 1, 1);
    assert!(some.touches.console * 3 < none.touches.console, "{:?}", some.touches);
    assert!(some.lost_minutes < none.lost_minutes / 3);
    balanced(&some);
}

#[test]
fn a_service_that_is_asked_by_too_many_refuses_and_all_come_back_later() {
    let narrow: Vec<(&str, &str)> = SMALL
        .iter()
        .copied()
        .chain([("update-service.requests-a-minute", "600"), ("fault.every-machine.breaks", "0.0")])
        .collect();
    let rollout = july(&narrow);
    let outcome = play(&rollout, "everything-at-once", 1, 1);
    assert!(outcome.refusals > 100_000, "{}", outcome.refusals);
    assert!(outcome.took > 84_000, "{}", outcome.took);
    let wide = play(&july(SMALL), "everything-at-once", 1, 1);
    assert!(outcome.milestones.reached > wide.milestones.reached);
}

#[test]
fn a_late_fault_is_rolled_back_where_it_has_not_struck() {
    let changes: Vec<(&str, &str)> = SMALL
        .iter()
        .copied()
        .chain([("fault.every-machine.good-starts", "[0, 1, 2]"), ("found-otherwise.after", "2h")])
        .collect();
    let outcome = play(&july(&changes), "everything-at-once", 1, 1);
    assert!(outcome.rolled_back > 10_000, "{}", outcome.rolled_back);
    assert!(outcome.broke + outcome.rolled_back <= outcome.took);
    balanced(&outcome);
}

#[test]
fn forty_bytes_a_machine_are_enough() {
    // As many machines a shard, for each minute of the horizon, as 8.5 million for 336 hours have.
    let changes: Vec<(&str, &str)> = SMALL.iter().copied().chain([("horizon", "84h")]).collect();
    let rollout = july(&changes);
    let choice = Choice {
        plan: "everything-at-once".to_owned(),
        fault: Some("every-machine".to_owned()),
        seed: 1,
        threads: 1,
    };
    let played = simulate(&rollout, &choice).unwrap();
    assert!(played.outcome.broke > 84_000);
    let each = played.bytes as f64 / 85_000.0;
    assert!(each <= 40.0, "{each} bytes");
}

/// Every machine is somewhere, and none twice.
fn balanced(outcome: &Outcome) {
    let back: u64 = outcome.recovered.iter().map(|(_, times)| times).sum();
    assert_eq!(outcome.broke + outcome.broke_again, back + outcome.still_broken);
    assert!(outcome.broke <= outcome.took && outcome.took <= outcome.machines);
    let hands = outcome.recovered.last().unwrap().1;
    assert!(outcome.touches.console >= hands);
    let last = outcome.course.last().unwrap();
    assert_eq!(last.broken, outcome.still_broken);
}

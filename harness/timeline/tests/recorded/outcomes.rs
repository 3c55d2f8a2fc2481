//! What is made of recorded runs: one snapshot for each.

use crate::support::{RECORDS, events};
use timeline::{End, Layer, LayerResult, Outcome, Verdict, Watcher, derive};

#[test]
fn every_record_gives_its_outcome() {
    for (name, _) in RECORDS {
        let outcome = derive(&events(name)).outcome;
        insta::assert_snapshot!(name, outcome.render());
        assert_eq!(Outcome::parse(&outcome.render()).expect("reads again"), outcome);
    }
}

#[test]
fn the_verdicts_are_those_that_the_records_were_made_for() {
    let expected = [
        ("channel-file-291", Verdict::Recovered),
        ("channel-file-291-good-file", Verdict::Unaffected),
        ("channel-file-291-no-remediation", Verdict::StuckInRecovery),
        ("channel-file-291-cloud-off", Verdict::StuckInRecovery),
        ("channel-file-291-wrong-signature", Verdict::StuckInRecovery),
        ("channel-file-291-late", Verdict::Recovered),
        ("hang", Verdict::Hung),
        ("operator-power-cycle", Verdict::Looping),
        ("harness-reset", Verdict::Unaffected),
        ("conflicting-signals", Verdict::StuckInRecovery),
        ("data-lost", Verdict::DataLost),
        ("out-of-time", Verdict::Looping),
    ];
    for (name, verdict) in expected {
        assert_eq!(derive(&events(name)).outcome.verdict, verdict, "{name}");
    }
}

#[test]
fn a_record_concludes_before_its_watch_ends_and_not_at_its_end() {
    for (name, _) in RECORDS.iter().filter(|(name, _)| *name != "out-of-time") {
        let events = events(name);
        let mut watcher = Watcher::new();
        let mut concluded = None;
        for event in &events {
            let body = &event.body;
            if matches!(body, timeline::Body::WatchEnded { .. }) {
                break;
            }
            watcher.feed(event);
            concluded = concluded.or_else(|| watcher.conclusion().map(|_| event.seq));
        }
        let seq = concluded.unwrap_or_else(|| panic!("{name}: no conclusion"));
        let watch_ended = crate::support::position(&events, |body| {
            matches!(body, timeline::Body::WatchEnded { .. })
        });
        // The records were made so that the engine stops at once.
        assert!(
            watch_ended as u64 - seq <= 3,
            "{name}: concluded at {seq}, watched to {watch_ended}"
        );
    }
}

#[test]
fn the_main_run_is_read_as_it_was() {
    let derived = derive(&events("channel-file-291"));
    let boots = &derived.timeline.boots;
    let ends: Vec<End> = boots.iter().map(|boot| boot.end).collect();
    assert_eq!(ends, [End::BugCheck, End::BugCheck, End::BugCheck, End::Reset, End::StillUp]);
    let row = derived.timeline.in_loop.as_ref().expect("a loop");
    assert_eq!(row.boots, [2, 3], "the boot that had been healthy is no member of the row");
    assert_eq!(derived.outcome.brought_back_by, Some(Layer::QuickMachineRecovery));
    let times = &derived.measurements;
    assert_eq!(times.boots.len(), 5);
    assert!(times.outage_us.expect("an outage").get() > 10_000_000);
    let stops: u64 =
        times.boots.iter().filter_map(|boot| boot.panic_to_reset_us).map(|t| t.get()).sum();
    assert!((3_000_000..6_000_000).contains(&stops), "{stops}");
    // Only the last stop's dump is kept.
    let with_dump: Vec<u32> = boots
        .iter()
        .filter(|boot| boot.stop.as_ref().is_some_and(|stop| stop.dump.is_some()))
        .map(|boot| boot.number)
        .collect();
    assert_eq!(with_dump, [3]);
}

#[test]
fn small_dumps_are_those_of_the_stops_in_order() {
    let derived = derive(&events("channel-file-291-late"));
    let of: Vec<(String, Option<u32>)> =
        derived.timeline.dumps.iter().map(|dump| (dump.kind.clone(), dump.boot)).collect();
    let small = |boot| ("small".to_owned(), Some(boot));
    assert_eq!(of, [small(1), small(2), small(3), ("kernel".to_owned(), Some(3))]);
}

#[test]
fn a_refused_remediation_says_why_and_no_request_is_no_try() {
    let qmr = |name: &str| {
        let outcome = derive(&events(name)).outcome;
        outcome
            .layers
            .into_iter()
            .find(|layer| layer.layer == Layer::QuickMachineRecovery)
            .expect("always listed")
    };
    let refused = qmr("channel-file-291-wrong-signature");
    assert_eq!(refused.result, LayerResult::Refused);
    assert_eq!(refused.reason.as_deref(), Some("the signing certificate is not trusted"));
    assert_eq!(qmr("channel-file-291-cloud-off").result, LayerResult::NotTried);
    assert_eq!(qmr("channel-file-291-no-remediation").result, LayerResult::TriedNoHelp);
}

#[test]
fn the_trail_on_the_disk_does_not_take_the_reason_away() {
    let layers = derive(&events("channel-file-291-cloud-off")).outcome.layers;
    let repair = layers.iter().find(|layer| layer.layer == Layer::AutomaticRepair);
    let reason = repair.and_then(|repair| repair.reason.as_deref());
    assert_eq!(reason, Some("nothing to repair"));
}

//! The same run, seen a little differently: what must not change the outcome, and what must.

use crate::support::{RECORDS, beside, events, line, position, renumber};
use timeline::{
    Body, Cause, Confidence, End, Event, Outcome, Phase, ResetBy, RunFacts, Source, StartedFrom,
    StepState, Verdict, derive,
};

fn outcome(events: &[Event]) -> Outcome {
    derive(events).outcome
}

fn facts(events: &mut [Event]) -> &mut RunFacts {
    match &mut events[0].body {
        Body::RunStarted { facts } => facts,
        other => panic!("not the first event: {other:?}"),
    }
}

fn reset(body: &Body) -> bool {
    matches!(body, Body::Reset { .. })
}

#[test]
fn a_run_from_a_checkpoint_has_the_outcome_of_a_cold_one() {
    for (name, _) in RECORDS {
        let cold = events(name);
        let started = position(&cold, |body| matches!(body, Body::MachineStarted { .. }));
        let healthy = position(&cold, line("[session] boot marked good"));
        let mut forked = cold.clone();
        forked[started].body = Body::MachineStarted { from: StartedFrom::Checkpoint };
        forked.drain(started + 1..=healthy);
        let forked = renumber(forked);
        assert_eq!(outcome(&forked), outcome(&cold), "{name}");
        assert_eq!(derive(&forked).timeline.boots[0].cause, Cause::RestoredFromCheckpoint);
    }
}

#[test]
fn a_machine_that_is_frozen_and_restored_stays_in_its_boot() {
    let cold = events("channel-file-291");
    let healthy = position(&cold, line("[session] boot marked good"));
    let mut frozen = cold.clone();
    let stopped = Body::MachineStopped { reason: "saved".into() };
    let restored = Body::MachineStarted { from: StartedFrom::Checkpoint };
    frozen.insert(healthy + 1, beside(&cold[healthy], Source::Hypervisor, stopped));
    frozen.insert(healthy + 2, beside(&cold[healthy], Source::Hypervisor, restored));
    assert_eq!(outcome(&renumber(frozen)), outcome(&cold));
}

#[test]
fn a_burst_of_resets_is_one() {
    let one = events("channel-file-291");
    let mut burst = one.clone();
    let first = position(&one, reset);
    burst.insert(first + 1, Event { at_us: one[first].at_us + 30_000, ..one[first].clone() });
    assert_eq!(outcome(&renumber(burst)), outcome(&one));
}

#[test]
fn two_resets_apart_are_two() {
    let one = events("channel-file-291");
    let mut two = one.clone();
    let first = position(&one, reset);
    two.insert(first + 1, Event { at_us: one[first].at_us + 1_000_000, ..one[first].clone() });
    let boots = outcome(&renumber(two)).boots;
    assert_eq!(boots.len(), outcome(&one).boots.len() + 1);
    assert_eq!((boots[1].end, boots[1].reached), (End::Reset, Phase::Firmware));
}

#[test]
fn serial_lines_that_a_reset_overtakes_go_to_their_own_boot() {
    let right = events("channel-file-291");
    for late in 1..=4 {
        let mut wrong = right.clone();
        // The second boot's reset moves up, past the last lines of its boot.
        let resets: Vec<usize> = (0..right.len()).filter(|&i| reset(&right[i].body)).collect();
        let panicked = (0..right.len())
            .filter(|&i| matches!(right[i].body, Body::Panicked { .. }))
            .nth(1)
            .expect("a second panic");
        let event = wrong.remove(resets[1]);
        let earlier = Event { at_us: wrong[panicked].at_us, ..event };
        let panic = wrong.remove(panicked);
        let at = resets[1] - 1 - late;
        wrong.insert(at, panic);
        wrong.insert(at + 1, earlier);
        let wrong = renumber(wrong);
        assert_eq!(outcome(&wrong), outcome(&right), "{late} lines late");
    }
}

#[test]
fn a_panic_that_is_seen_before_the_stop_line_is_the_same_stop() {
    let right = events("channel-file-291");
    let mut other = right.clone();
    let line = position(&other, line("*** Fatal"));
    let panic = position(&other, |body| matches!(body, Body::Panicked { .. }));
    let event = other.remove(panic);
    other.insert(line, event);
    assert_eq!(outcome(&renumber(other)), outcome(&right));
}

#[test]
fn a_fault_whose_proof_comes_after_the_crash_arrived_before_it() {
    let right = events("channel-file-291");
    let mut late = right.clone();
    let landed = position(&late, |body| matches!(body, Body::FaultLanded { .. }));
    let event = late.remove(landed);
    let first = position(&late, reset);
    late.insert(first + 2, event);
    assert_eq!(outcome(&renumber(late)), outcome(&right));
}

#[test]
fn a_fault_that_is_never_proved_makes_the_run_worthless() {
    let mut events = events("channel-file-291");
    events.retain(|event| !matches!(event.body, Body::FaultLanded { .. }));
    let outcome = outcome(&renumber(events));
    assert_eq!(outcome.verdict, Verdict::Infrastructure);
    assert!(outcome.because.contains("bad-channel-file"), "{}", outcome.because);
    assert!(!outcome.expectation.met);
}

#[test]
fn what_the_machine_does_after_the_verdict_does_not_count() {
    let right = events("channel-file-291");
    let mut slow = right.clone();
    let over = position(&slow, |body| matches!(body, Body::WatchEnded { .. }));
    let panicked = position(&slow, |body| matches!(body, Body::Panicked { .. }));
    let again: Vec<Event> = slow[panicked..panicked + 12].to_vec();
    slow.splice(over..over, again);
    assert_eq!(outcome(&renumber(slow)), outcome(&right));
}

#[test]
fn recovered_by_another_layer_is_recovered_otherwise() {
    let mut events = events("channel-file-291");
    facts(&mut events).expected_layers = vec!["automatic-repair".into()];
    let outcome = outcome(&events);
    assert_eq!(outcome.verdict, Verdict::RecoveredOtherwise);
    assert!(!outcome.expectation.met);
}

#[test]
fn recovered_by_itself_is_recovered_otherwise() {
    let mut events = events("channel-file-291");
    events.retain(|event| !matches!(event.body, Body::Service { .. }));
    let outcome = outcome(&renumber(events));
    assert_eq!((outcome.verdict, outcome.brought_back_by), (Verdict::RecoveredOtherwise, None));
}

#[test]
fn a_repair_that_changes_something_begins_a_new_row() {
    let plain = events("channel-file-291-no-remediation");
    assert_eq!(outcome(&plain).in_loop.expect("a loop").boots, [2, 3, 5, 6, 8]);
    let mut repaired = plain.clone();
    let nothing = position(&repaired, line("[recovery] startup repair"));
    let text = "[recovery] startup repair: repaired the boot configuration".to_owned();
    repaired[nothing].body = Body::SerialLine { port: 0, text };
    assert_eq!(outcome(&repaired).in_loop.expect("a loop").boots, [5, 6, 8]);
}

#[test]
fn a_fault_that_is_there_from_the_start_is_judged_like_one_that_arrives() {
    let live = events("channel-file-291");
    let mut staged = live.clone();
    let landed = position(&staged, |body| matches!(body, Body::FaultLanded { .. }));
    let event = staged.remove(landed);
    staged.retain(|event| !matches!(event.body, Body::Step { .. }));
    // Without the healthy boot: the first start fails already.
    let first_reset = position(&staged, reset);
    let started = position(&staged, |body| matches!(body, Body::MachineStarted { .. }));
    staged.drain(started + 1..=first_reset);
    staged.insert(1, event);
    let staged = outcome(&renumber(staged));
    assert_eq!(staged.verdict, Verdict::Recovered);
    assert_eq!(staged.in_loop.expect("a loop").boots, [1, 2]);
}

#[test]
fn a_machine_that_fails_before_any_fault_is_no_test() {
    let mut events = events("channel-file-291");
    events.retain(|event| !matches!(event.body, Body::FaultLanded { .. } | Body::Step { .. }));
    let outcome = outcome(&renumber(events));
    assert_eq!(outcome.verdict, Verdict::Infrastructure);
    assert!(outcome.because.contains("before any fault"), "{}", outcome.because);
}

#[test]
fn expected_resets_are_no_failures() {
    // Two plain restarts by the guest before it is healthy, as an image's set-up does.
    let plain = events("channel-file-291-good-file");
    let healthy = position(&plain, line("[session] boot marked good"));
    let started = position(&plain, |body| matches!(body, Body::MachineStarted { .. }));
    let mut restarting = plain.clone();
    for _ in 0..2 {
        let mut round: Vec<Event> = plain[started + 1..healthy].to_vec();
        let by = ResetBy::Guest;
        let body = Body::Reset { by, reason: "guest-reset".into() };
        round.push(beside(&plain[healthy], Source::Hypervisor, body));
        restarting.splice(started + 1..started + 1, round);
    }
    let mut restarting = renumber(restarting);
    // Two in a row are a loop for this scenario, so without the image's word they are no baseline.
    assert_eq!(outcome(&restarting).verdict, Verdict::Infrastructure);
    facts(&mut restarting).expected_resets = 2;
    let outcome = outcome(&restarting);
    assert_eq!(outcome.verdict, Verdict::Unaffected);
    assert_eq!(outcome.boots.len(), 3);
}

#[test]
fn coming_up_and_falling_again_needs_more_than_coming_up() {
    // The fault lets the machine come up, and then stops it: healthy is no proof until it stays so.
    let main = events("channel-file-291");
    let first_reset = position(&main, reset);
    let panic = position(&main, |body| matches!(body, Body::Panicked { .. }));
    let healthy = position(&main, line("[session] boot marked good"));
    let started = position(&main, |body| matches!(body, Body::MachineStarted { .. }));
    let up = || main[started + 1..=healthy].to_vec();
    let mut falls: Vec<Event> = main[..=first_reset].to_vec();
    for _ in 0..2 {
        falls.extend(up());
        falls.extend(main[panic..=first_reset].to_vec());
    }
    falls.extend(up());
    let settled = Body::Step {
        name: timeline::SETTLED.into(),
        state: StepState::Done,
        detail: String::new(),
    };
    falls.push(beside(&main[healthy], Source::Harness, settled));
    let over = position(&main, |body| matches!(body, Body::WatchEnded { .. }));
    let tail = main[over..].to_vec();
    let mut at = 0;
    let mut falls: Vec<Event> = falls
        .into_iter()
        .chain(tail)
        .map(|event| {
            at += 1_000_000;
            Event { at_us: at, ..event }
        })
        .collect();
    facts(&mut falls).expected_layers.clear();
    let read = outcome(&renumber(falls.clone()));
    assert_eq!(read.boots.len(), 4, "{}", read.render());
    assert_eq!(read.verdict, Verdict::Recovered);
    assert_eq!(read.in_loop.expect("a loop").phase, Phase::Healthy);
    // With the settling taken away, it is time that runs out on a healthy machine.
    falls.retain(
        |event| !matches!(&event.body, Body::Step { name, .. } if name == timeline::SETTLED),
    );
    assert!(derive(&renumber(falls)).timeline.conclusion.is_none());
}

#[test]
fn only_the_guests_word_for_a_stop_is_marked_so() {
    let read = outcome(&events("operator-power-cycle"));
    let ends: Vec<(End, Confidence)> =
        read.boots.iter().map(|boot| (boot.end, boot.confidence)).collect();
    assert_eq!(ends, [(End::HaltedAtStopScreen, Confidence::GuestSays); 5]);
    assert_eq!(read.notes.len(), 5, "{:?}", read.notes);
}

#[test]
fn interrupted_and_failed_runs_are_infrastructure() {
    let events = events("channel-file-291");
    let recovery = position(&events, line("[recovery]"));
    for body in [
        Body::WatchEnded { why: "interrupted".into(), detail: String::new() },
        Body::HarnessFailed { reason: "the disk of the host is full".into() },
        Body::MachineStopped { reason: "emulator-failed".into() },
    ] {
        let mut cut = events[..recovery].to_vec();
        cut.push(beside(&events[recovery], Source::Harness, body));
        cut.push(beside(&events[recovery], Source::Harness, Body::RunEnded));
        assert_eq!(outcome(&renumber(cut)).verdict, Verdict::Infrastructure);
    }
}

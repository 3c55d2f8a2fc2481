//! The same run, seen a little differently: what must not change the outcome, and what must.

use crate::support::{RECORDS, beside, events, line, position, renumber};
use timeline::{
    Body, BootKind, BroughtDriver, Cause, Confidence, Derived, DriverState, End, Event, Layer,
    LayerResult, Marker, Outcome, Phase, ResetBy, RunFacts, Source, StartedFrom, StepState,
    StopCode, Verdict, Watcher, Witness, derive,
};

fn outcome(events: &[Event]) -> Outcome {
    derive(events).outcome
}

pub(crate) fn facts(events: &mut [Event]) -> &mut RunFacts {
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
    facts(&mut events).expected_layers = vec![Layer::AutomaticRepair];
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
        Body::MachineStopped { reason: "host-signal".into() },
        Body::MachineStopped { reason: "destroyed-by-others".into() },
        Body::MachineStopped { reason: "connection-lost".into() },
    ] {
        let mut cut = events[..recovery].to_vec();
        cut.push(beside(&events[recovery], Source::Harness, body));
        cut.push(beside(&events[recovery], Source::Harness, Body::RunEnded));
        assert_eq!(outcome(&renumber(cut)).verdict, Verdict::Infrastructure);
    }
}

/// The events of each boot: from after its beginning to the reset that ends it.
fn boots(events: &[Event]) -> Vec<Vec<Event>> {
    let started = position(events, |body| matches!(body, Body::MachineStarted { .. }));
    let over = position(events, |body| matches!(body, Body::WatchEnded { .. }));
    events[started + 1..over]
        .split_inclusive(|event| reset(&event.body))
        .map(<[_]>::to_vec)
        .collect()
}

/// A run of other boots: the events before the first, then these a second apart each, then the end.
fn run_of(events: &[Event], boots: &[&[Event]]) -> Vec<Event> {
    let started = position(events, |body| matches!(body, Body::MachineStarted { .. }));
    let over = position(events, |body| matches!(body, Body::WatchEnded { .. }));
    let (before, after) = (&events[..=started], &events[over..]);
    let all = before.iter().chain(boots.iter().copied().flatten()).chain(after);
    let all = all
        .enumerate()
        .map(|(second, event)| Event { at_us: second as u64 * 1_000_000, ..event.clone() });
    renumber(all.collect())
}

fn settled(after: &Event) -> Event {
    let (name, detail) = (timeline::SETTLED.to_owned(), String::new());
    beside(after, Source::Harness, Body::Step { name, state: StepState::Done, detail })
}

#[test]
fn a_phase_line_that_a_reset_overtakes_is_not_of_the_next_boot() {
    let hang = events("hang");
    let mut early = boots(&hang);
    // The second boot comes no further than the boot manager.
    let beyond = ["[loader]", "[kernel]"];
    early[1].retain(|event| !beyond.iter().any(|start| line(start)(&event.body)));
    let right = run_of(&hang, &[&early[0], &early[1]]);
    let last_line = position(&early[0], line("[kernel] dump written"));
    let late = early[0].remove(last_line);
    early[1].insert(0, late);
    let wrong = run_of(&hang, &[&early[0], &early[1]]);
    assert_eq!(outcome(&right).boots[1].reached, Phase::BootManager);
    assert_eq!(outcome(&wrong), outcome(&right));
}

#[test]
fn a_machine_that_only_the_harness_resets_is_in_no_loop() {
    let mut events = events("operator-power-cycle");
    assert_eq!(outcome(&events).in_loop.expect("a loop").boots.len(), 4);
    for event in &mut events {
        if let Body::Reset { by, .. } = &mut event.body {
            *by = ResetBy::Harness;
        }
    }
    let outcome = outcome(&events);
    assert_eq!((outcome.verdict, outcome.in_loop), (Verdict::Hung, None));
}

#[test]
fn a_second_fault_is_not_recovered_from_by_the_first_ones_recovery() {
    let main = events("channel-file-291");
    let parts = boots(&main);
    let mut first: Vec<Event> = parts.concat();
    let last = first.last().expect("events").clone();
    let second = || "second".to_owned();
    let landed = Body::FaultLanded { fault: second(), proof: vec![] };
    first.push(beside(&last, Source::Harness, landed));
    let panic = position(&parts[0], |body| matches!(body, Body::Panicked { .. }));
    let healthy = &parts[4];
    let mut run = run_of(&main, &[&first, &parts[0][panic..], healthy]);
    facts(&mut run).faults = vec!["bad-channel-file".into(), second()];
    // It fell while it was up. That it is up again proves nothing yet.
    let derived = derive(&run);
    assert_eq!(derived.timeline.boots.len(), 6);
    assert!(derived.timeline.conclusion.is_none(), "{:?}", derived.timeline.conclusion);
    let mut stays = run_of(&main, &[&first, &parts[0][panic..], healthy, &[settled(&last)]]);
    facts(&mut stays).faults = vec!["bad-channel-file".into(), second()];
    let conclusion = derive(&stays).timeline.conclusion.expect("settled");
    assert_eq!(conclusion.verdict, Verdict::Recovered);
}

#[test]
fn recovery_that_leads_only_to_recovery_is_stuck() {
    let stuck = events("channel-file-291-no-remediation");
    let parts = boots(&stuck);
    let recovery = &parts[3];
    let (one, two, three) = (&parts[0], &parts[1], &parts[2]);
    let twice = run_of(&stuck, &[one, two, three, recovery, recovery]);
    assert!(derive(&twice).timeline.conclusion.is_none());
    let thrice = run_of(&stuck, &[one, two, three, recovery, recovery, recovery]);
    let conclusion = derive(&thrice).timeline.conclusion.expect("a conclusion");
    assert_eq!(conclusion.verdict, Verdict::StuckInRecovery);
    assert_eq!(conclusion.because, "recovery was entered 3 times in vain");
}

#[test]
fn a_prompt_is_no_end_where_somebody_is_there() {
    let waiting = events("channel-file-291-cloud-off");
    let parts = boots(&waiting);
    let last = parts[3].last().expect("events").clone();
    let by = ResetBy::Operator;
    let pressed = Body::Reset { by, reason: "host-qmp-system-reset".into() };
    let healthy = &boots(&events("channel-file-291"))[4];
    let pressed = [beside(&last, Source::Hypervisor, pressed)];
    let mut run = run_of(&waiting, &[&parts.concat(), &pressed, healthy]);
    assert_eq!(outcome(&run).boots.len(), 4, "without an operator the prompt is the end");
    facts(&mut run).operator = true;
    let read = outcome(&run);
    let ends: Vec<End> = read.boots.iter().skip(3).map(|boot| boot.end).collect();
    assert_eq!(ends, [End::WaitingForAPerson, End::StillUp]);
    assert_eq!(read.verdict, Verdict::Recovered);
}

/// A run whose last boot asks for the recovery key with this line, after `keep` of its events.
fn asking(asks: &str, keep: impl Fn(&[Event]) -> usize) -> Vec<Event> {
    let waiting = events("channel-file-291-cloud-off");
    let mut parts = boots(&waiting);
    let last = parts.pop().expect("a boot");
    let text = format!("{asks} {{7d0e6d2c}}");
    let kept = last[..keep(&last)].to_vec();
    let asked = [beside(&last[0], Source::Serial, Body::SerialLine { port: 0, text })];
    let mut run = run_of(&waiting, &[&parts.concat(), &kept, &asked]);
    let (source, starts_with) = (Source::Serial, asks.to_owned());
    facts(&mut run).markers.push(Marker {
        source,
        starts_with,
        screen: None,
        phase: Phase::RecoveryKey,
    });
    run
}

#[test]
fn who_asks_for_the_recovery_key_decides_the_verdict() {
    let in_recovery = |last: &[Event]| position(last, line("[recovery] waiting"));
    let in_boot_manager = |last: &[Event]| position(last, line("[recovery]"));
    for (asks, keep, verdict, kind, who) in [
        (
            "[recovery] waiting for the recovery key",
            &in_recovery as &dyn Fn(&[Event]) -> usize,
            Verdict::StuckInRecovery,
            BootKind::Recovery,
            "recovery environment",
        ),
        (
            "[bootmgr] waiting for the recovery key",
            &in_boot_manager,
            Verdict::Hung,
            BootKind::Windows,
            "boot manager",
        ),
    ] {
        let run = asking(asks, keep);
        let conclusion = derive(&run).timeline.conclusion.expect("a conclusion");
        assert_eq!(conclusion.verdict, verdict);
        let because =
            format!("the {who} asks for the recovery key, and the scenario has nobody to enter it");
        assert_eq!(conclusion.because, because);
        let read = outcome(&run);
        let last = read.boots.last().expect("a boot");
        assert_eq!((last.kind, last.end), (kind, End::WaitingForRecoveryKey));
        assert_eq!((last.reached, last.confidence), (Phase::RecoveryKey, Confidence::GuestSays));
    }
}

#[test]
fn a_layer_after_which_windows_failed_did_not_bring_it_back() {
    let main = events("channel-file-291");
    let p = boots(&main);
    let run = run_of(&main, &[&p[0], &p[1], &p[2], &p[3], &p[2], &p[4]]);
    let read = outcome(&run);
    assert_eq!(read.boots.len(), 6);
    assert_eq!((read.verdict, read.brought_back_by), (Verdict::RecoveredOtherwise, None));
}

#[test]
fn a_restart_that_the_harness_asks_for_is_no_failure() {
    let run = events("harness-reset");
    let by: Vec<Option<ResetBy>> =
        derive(&run).timeline.boots.iter().map(|boot| boot.reset_by).collect();
    assert_eq!(by, [Some(ResetBy::Harness), None]);
    // The same, but by the guest itself, is one.
    let mut guest = run.clone();
    let first = position(&run, reset);
    guest[first].body = Body::Reset { by: ResetBy::Guest, reason: "guest-reset".into() };
    assert_eq!(outcome(&guest).verdict, Verdict::Recovered);
}

#[test]
fn the_watchdog_makes_a_hang_of_a_reset() {
    let hang = events("hang");
    let mut parts = boots(&hang);
    let silent = parts[1].pop().expect("the silent step");
    parts[1].push(beside(&silent, Source::Hypervisor, Body::Watchdog { action: "reset".into() }));
    let (by, reason) = (ResetBy::Hypervisor, "watchdog".to_owned());
    parts[1].push(beside(&silent, Source::Hypervisor, Body::Reset { by, reason }));
    let again = &parts[1];
    let read = outcome(&run_of(&hang, &[&parts[0], again, again, again, again]));
    assert_eq!(read.verdict, Verdict::Looping);
    let row = read.in_loop.expect("a loop");
    assert_eq!((row.end, row.boots.len()), (End::Hang, 4));
}

#[test]
fn more_dumps_than_stops_are_noted() {
    let mut run = events("channel-file-291");
    let dump = position(&run, |body| matches!(body, Body::Dump { .. }));
    let mut old = run[dump].clone();
    if let Body::Dump { kind, time, bug_check, .. } = &mut old.body {
        (*kind, *time) = ("small".into(), "2023-01-01T00:00:00Z".into());
        bug_check.code = 0x1A;
    }
    let mut small = run[dump].clone();
    if let Body::Dump { kind, .. } = &mut small.body {
        *kind = "small".into();
    }
    let smalls = [small.clone(), old, small.clone(), small];
    run.splice(dump..dump, smalls);
    let read = outcome(&renumber(run));
    assert_eq!(read.dumps.iter().filter(|dump| dump.boot.is_none()).count(), 1);
    assert_eq!(read.notes, ["a small dump of stop 0x0000001A belongs to no stop that was seen"]);
}

#[test]
fn a_machine_is_given_up_as_before_where_its_disk_cannot_be_repaired() {
    let given_up = events("channel-file-291-no-remediation");
    let step = |state, detail: &str| Body::Step {
        name: "layer host-repair".to_owned(),
        state,
        detail: detail.to_owned(),
    };
    let mut tried = given_up.clone();
    facts(&mut tried).driven = vec![Layer::HostRepair];
    let over = position(&tried, |body| matches!(body, Body::WatchEnded { .. }));
    let beside = |body| beside(&given_up[over], Source::Harness, body);
    tried.insert(over, beside(step(StepState::Started, "")));
    tried.insert(over + 1, beside(step(StepState::Failed, "it is encrypted")));
    let tried = renumber(tried);

    let (before, after) = (outcome(&given_up), outcome(&tried));
    assert_eq!((after.verdict, &after.because), (before.verdict, &before.because));
    assert_eq!(after.boots, before.boots);
    let repair = after.layers.last().expect("the layer was tried");
    assert_eq!((repair.layer, repair.result), (Layer::HostRepair, LayerResult::TriedNoHelp));
    assert_eq!(repair.reason.as_deref(), Some("it is encrypted"));
}

#[test]
fn where_one_layer_fails_the_next_has_its_turn() {
    let given_up = events("channel-file-291-no-remediation");
    let mut stream = given_up.clone();
    facts(&mut stream).driven = vec![Layer::HostRepair, Layer::Rollback];
    let over = position(&stream, |body| matches!(body, Body::WatchEnded { .. }));
    let mut watcher = Watcher::new();
    for event in &stream[..over] {
        watcher.feed(event);
    }
    let at = stream[over].at_us;
    let mut seq = stream[over].seq;
    let mut emit = |watcher: &mut Watcher, source, body| {
        watcher.feed(&Event { seq, at_us: at, source, body });
        seq += 1;
    };
    let step = |layer: Layer, state| Body::Step {
        name: format!("layer {layer}"),
        state,
        detail: String::new(),
    };
    assert_eq!(watcher.awaits_layer(), Some(Layer::HostRepair));
    // Only the one whose turn it is counts.
    emit(&mut watcher, Source::Harness, step(Layer::Rollback, StepState::Done));
    assert_eq!(watcher.awaits_layer(), Some(Layer::HostRepair));
    emit(&mut watcher, Source::Harness, step(Layer::HostRepair, StepState::Failed));
    assert_eq!((watcher.awaits_layer(), watcher.conclusion()), (Some(Layer::Rollback), None));
    emit(&mut watcher, Source::Harness, step(Layer::Rollback, StepState::Done));
    assert_eq!((watcher.awaits_layer(), watcher.conclusion()), (None, None));
    // What was frozen healthy proves nothing by that; that it stays so does.
    let from = StartedFrom::Checkpoint;
    emit(&mut watcher, Source::Hypervisor, Body::MachineStarted { from });
    assert_eq!(watcher.conclusion(), None);
    let (name, detail) = (timeline::steps::SETTLED.to_owned(), String::new());
    emit(&mut watcher, Source::Harness, Body::Step { name, state: StepState::Done, detail });
    let conclusion = watcher.conclusion().expect("it stayed healthy");
    assert_eq!(conclusion.verdict, Verdict::Recovered);
}

#[test]
fn what_a_machine_does_before_it_is_switched_off_to_be_repaired_does_not_count() {
    let given_up = events("channel-file-291-no-remediation");
    let mut watcher = Watcher::new();
    let mut stream = given_up.clone();
    facts(&mut stream).driven = vec![Layer::HostRepair];
    let mut awaits = None;
    for event in &stream {
        watcher.feed(event);
        if awaits.is_none() && watcher.awaits_layer().is_some() {
            awaits = Some((event.seq, watcher.boots().len()));
        }
    }
    let (_, boots) = awaits.expect("it would be given up");
    let mut watcher = Watcher::new();
    let emit = |watcher: &mut Watcher, source, body| {
        let seq = stream.len() as u64;
        watcher.feed(&Event { seq, at_us: stream[stream.len() - 1].at_us, source, body });
    };
    for event in stream.iter().take_while(|event| Some(event.seq) <= awaits.map(|(seq, _)| seq)) {
        watcher.feed(event);
    }
    // It goes on by itself until somebody switches it off.
    let reset = Body::Reset { by: ResetBy::Guest, reason: "guest-reset".to_owned() };
    emit(&mut watcher, Source::Hypervisor, reset);
    let text = "[bootmgr] starting Windows".to_owned();
    emit(&mut watcher, Source::Serial, Body::SerialLine { port: 0, text });
    let reason = "destroyed".to_owned();
    emit(&mut watcher, Source::Hypervisor, Body::MachineStopped { reason });
    assert_eq!(watcher.boots().len(), boots);
    let (name, detail) = ("layer host-repair".to_owned(), String::new());
    let done = Body::Step { name, state: StepState::Done, detail };
    emit(&mut watcher, Source::Harness, done);
    let from = StartedFrom::Cold;
    emit(&mut watcher, Source::Hypervisor, Body::MachineStarted { from });
    assert!(watcher.awaits_layer().is_none());
    let last = watcher.boots().last().expect("a boot");
    assert_eq!((watcher.boots().len(), last.cause), (boots + 1, Cause::PowerOn));
}

/// Two parts of the harness that do not understand each other say nothing about the product.
#[test]
fn a_request_that_the_update_service_cannot_read_is_infrastructure() {
    let mut run = events("channel-file-291");
    let scan = position(&run, |body| matches!(body, Body::Service { .. }));
    let Body::Service { answer, facts, .. } = &mut run[scan].body else { panic!("no request") };
    *answer = "bad-request".to_owned();
    facts.insert("reason".to_owned(), "invalid type: null".to_owned());
    let outcome = derive(&run).outcome;
    assert_eq!(outcome.verdict, Verdict::Infrastructure);
    assert!(outcome.because.contains("invalid type: null"), "{}", outcome.because);
}

/// A driver that somebody brought to see it run, and that never did, is no pass: on a model it says nothing, on
/// Windows the expectation is not met.
#[test]
fn a_brought_driver_that_never_ran_is_no_pass() {
    let brought = |model: bool, expected: bool| {
        let mut run = events("channel-file-291-good-file");
        let facts = facts(&mut run);
        facts.image_is_model = model;
        facts.witnesses = vec![witness(
            "start-failure",
            r"^\[kernel\] (?<name>.+) failed to load: 0x(?<status>[0-9A-F]{8})",
        )];
        facts.drivers = vec![winring0()];
        if expected {
            facts.expected_failures = vec!["WinRing0x64.sys".to_owned()];
        }
        let healthy = position(&run, line("[session] boot marked good"));
        let text =
            "[kernel] WinRing0x64.sys failed to load: 0xC0000263: no such function".to_owned();
        let mut failure = run[healthy].clone();
        failure.body = Body::SerialLine { port: 0, text };
        run.insert(healthy, failure);
        derive(&renumber(run))
    };
    let on_a_model = brought(true, false);
    assert_eq!(on_a_model.outcome.verdict, Verdict::Infrastructure);
    assert!(on_a_model.outcome.because.contains("winring0x64.sys never ran"));
    let driver = &on_a_model.outcome.drivers[0];
    assert_eq!(
        (driver.state, driver.status),
        (DriverState::DidNotRun, Some(StopCode(0xc000_0263)))
    );
    let on_windows = brought(false, false);
    assert_eq!(on_windows.outcome.verdict, Verdict::Unaffected);
    let unmet = &on_windows.timeline.expectation.unmet;
    assert_eq!(unmet.iter().map(|unmet| unmet.key).collect::<Vec<_>>(), ["drivers"]);
    for model in [true, false] {
        let expected = brought(model, true);
        assert_eq!(expected.outcome.verdict, Verdict::Unaffected);
        assert!(expected.timeline.expectation.met, "{:?}", expected.timeline.expectation);
    }
}

fn winring0() -> BroughtDriver {
    let service = "WinRing0_1_2_0".to_owned();
    BroughtDriver { file: "winring0x64.sys".to_owned(), service, starts: true }
}

fn witness(tells: &str, line: &str) -> Witness {
    serde_json::from_value(serde_json::json!({ "tells": tells, "line": line })).expect("a witness")
}

/// A healthy run in which somebody brought a driver and the image says these lines of it.
fn with_lines(lines: &[&str], change: impl FnOnce(&mut RunFacts)) -> Derived {
    let mut run = events("channel-file-291-good-file");
    let facts = facts(&mut run);
    facts.drivers = vec![winring0()];
    facts.witnesses.insert(0, witness("start", r"^\[kernel\] (?<name>.+) loaded$"));
    facts
        .witnesses
        .insert(0, witness("lack", "^the model lacks what (?<name>.+?) needs: (?<reason>.*)"));
    change(facts);
    let healthy = position(&run, line("[session] boot marked good"));
    for text in lines.iter().rev() {
        let mut event = run[healthy].clone();
        event.body = Body::SerialLine { port: 0, text: (*text).to_owned() };
        run.insert(healthy, event);
    }
    derive(&renumber(run))
}

/// Where an image tells of each driver that it starts, silence is an answer.
#[test]
fn a_brought_driver_has_to_be_seen_to_run() {
    let ran = with_lines(&["[kernel] WINRING0X64.SYS loaded"], |_| ()).outcome;
    assert_eq!((ran.verdict, ran.drivers[0].state), (Verdict::Unaffected, DriverState::Ran));
    let by_service = with_lines(&["[kernel] winring0_1_2_0 loaded"], |_| ()).outcome;
    assert_eq!(by_service.verdict, Verdict::Unaffected);
    let silent = with_lines(&["[kernel] other.sys loaded"], |_| ()).outcome;
    assert_eq!(
        (silent.verdict, silent.drivers[0].state),
        (Verdict::Infrastructure, DriverState::NotKnown)
    );
    // On Windows too, if its image tells; then the scenario's expectation is not met.
    let windows = with_lines(&[], |facts| facts.image_is_model = false);
    assert_eq!(windows.outcome.verdict, Verdict::Unaffected);
    assert_eq!(windows.timeline.expectation.unmet[0].key, "drivers");
    // One that nothing starts has not to run.
    let on_demand = with_lines(&[], |facts| facts.drivers[0].starts = false).outcome;
    assert_eq!(on_demand.verdict, Verdict::Unaffected);
    let plain = with_lines(&[], |facts| facts.drivers.clear()).outcome;
    assert_eq!((plain.verdict, plain.drivers.len()), (Verdict::Unaffected, 0));
}

/// What a model has not says nothing about who needs it, whatever comes of it.
#[test]
fn what_the_model_lacks_is_infrastructure() {
    const LACK: &str = "the model lacks what WinRing0x64.sys needs: an instruction";
    let stop = "*** Fatal System Error: 0x0000007e (0xFFFFFFFFC0000096,0x0,0x0,0x0)";
    let lacking = with_lines(&[LACK, stop], |_| ()).outcome;
    assert_eq!(lacking.verdict, Verdict::Infrastructure);
    for part in ["WinRing0x64.sys needs: an instruction", "take a Windows image"] {
        assert!(lacking.because.contains(part), "{}", lacking.because);
    }
    assert!(!lacking.expectation.met);
    // A driver that is made to need what no Windows has is the fault itself.
    let meant = with_lines(&[LACK, "[kernel] winring0x64.sys loaded"], |facts| {
        facts.made_to_lack = vec!["winring0X64.sys".to_owned()];
    });
    assert_eq!(meant.outcome.verdict, Verdict::Unaffected);
}

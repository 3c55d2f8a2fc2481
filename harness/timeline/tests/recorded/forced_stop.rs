//! A machine that hangs is made to stop, for its dump. Nothing of the outcome may come of that.

use crate::support::{beside, events, position, renumber};
use timeline::{
    Body, BugCheck, Derived, Event, NMI_HARDWARE_FAILURE, ResetBy, Screen, Source, StepState,
    StopCode, Verdict, Watcher, derive, steps,
};

fn step(state: StepState) -> (Source, Body) {
    let (name, detail) = (steps::FORCE_STOP.to_owned(), String::new());
    (Source::Harness, Body::Step { name, state, detail })
}

fn panicked(code: u64) -> (Source, Body) {
    let bug_check = Some(BugCheck { code, parameters: [0x4F_4454, 0, 0, 0] });
    (Source::Hypervisor, Body::Panicked { action: "run".to_owned(), bug_check })
}

fn serial(text: &str) -> (Source, Body) {
    (Source::Serial, Body::SerialLine { port: 0, text: text.to_owned() })
}

fn restarts() -> (Source, Body) {
    (Source::Hypervisor, Body::Reset { by: ResetBy::Guest, reason: "guest-reset".to_owned() })
}

fn frame(file: &str) -> (Source, Body) {
    let (file, digest, why) = (file.to_owned(), "d".to_owned(), "poll".to_owned());
    (Source::Screen, Body::Frame { file, digest, width: 1024, height: 768, why })
}

fn stop_screen(file: &str) -> (Source, Body) {
    let screen = serde_json::json!({ "kind": "blue-stop", "certainty": "sure",
        "stop": { "code": "0x00000080", "module": "wdf01000.sys" } });
    let screen: Screen = serde_json::from_value(screen).expect("a screen");
    (Source::Screen, Body::Screen { file: file.to_owned(), screen })
}

fn dump(kind: &str, code: u32, module: &str) -> (Source, Body) {
    let bug_check = BugCheck { code: code.into(), parameters: [0; 4] };
    let dump = Body::Dump {
        path: r"C:\Windows\MEMORY.DMP".to_owned(),
        file: format!("dumps/{kind}.dmp"),
        kind: kind.to_owned(),
        bug_check,
        module: Some(module.to_owned()),
        time: "2024-07-19T04:10:00Z".to_owned(),
    };
    (Source::Disk, dump)
}

/// What is seen after the watch has ended, and what lies on the disk then.
fn then(run: &[Event], seen: &[(Source, Body)], on_disk: &[(Source, Body)]) -> Derived {
    let mut run = run.to_vec();
    let over = position(&run, |body| matches!(body, Body::WatchEnded { .. }));
    let at = run[over].clone();
    let put = |(source, body): &(Source, Body)| beside(&at, *source, body.clone());
    let end = run.len() - 1;
    run.splice(end..end, on_disk.iter().map(put));
    run.splice(over + 1..=over, seen.iter().map(put));
    derive(&renumber(run))
}

#[test]
fn the_outcome_of_a_hang_is_the_same_with_its_dump() {
    let hang = events("hang");
    let plain = derive(&hang);
    assert_eq!(plain.outcome.verdict, Verdict::Hung);
    assert_eq!(plain.timeline.forced_stop, None);
    let seen = [
        step(StepState::Started),
        panicked(NMI_HARDWARE_FAILURE.into()),
        serial("*** Fatal System Error: 0x00000080 (0x00000000004F4454,0x0,0x0,0x0)"),
        serial("*** victim.sys"),
        frame("f-9.png"),
        stop_screen("f-9.png"),
        restarts(),
        step(StepState::Done),
        // What follows is a boot that nobody asked for.
        serial("[bootmgr] starting Windows"),
        serial("[session] boot marked good"),
        panicked(0x50),
    ];
    let on_disk =
        [dump("kernel", NMI_HARDWARE_FAILURE, "victim.sys"), dump("small", 0x80, "victim.sys")];
    let derived = then(&hang, &seen, &on_disk);
    assert_eq!(derived.outcome, plain.outcome);
    assert!(derived.timeline.dumps.is_empty());
    let forced = derived.timeline.forced_stop.expect("a forced stop");
    assert_eq!(forced.boot, 2);
    assert!(forced.over && forced.is_seen());
    assert_eq!(forced.stop.signature().code, Some(StopCode(0x80)));
    assert!(forced.stop.panic.is_some() && forced.stop.line.is_some());
    assert!(forced.stop.picture.is_some());
    let kinds: Vec<&str> = forced.dumps.iter().map(|dump| dump.kind.as_str()).collect();
    assert_eq!(kinds, ["kernel", "small"]);
    assert_eq!(forced.dumps[0].file, "dumps/kernel.dmp");
    // Without the step it would be taken for the dump of the stop before.
    let stray = then(&hang, &[], &on_disk[..1]);
    assert_eq!(stop_of_boot_1(&stray), stop(0x80, "victim.sys"));
    assert_eq!(stop_of_boot_1(&plain), stop(0x50, "csagent.sys"));
}

fn stop(code: u64, module: &str) -> (Option<StopCode>, Option<String>) {
    (Some(StopCode(code)), Some(module.to_owned()))
}

fn stop_of_boot_1(derived: &Derived) -> (Option<StopCode>, Option<String>) {
    let stop = derived.outcome.boots[0].stop.clone().expect("a stop");
    (stop.code, stop.module)
}

/// The machine stopped with 0x50 before it hung: the dump of that is that boot's, and the one that the harness made
/// must not be taken for it.
#[test]
fn a_forced_stop_is_never_the_stop_of_a_boot() {
    let hang = events("hang");
    let seen = [step(StepState::Started), restarts(), step(StepState::Done)];
    let own = dump("kernel", 0x50, "product.sys");
    let plain = then(&hang, &[], std::slice::from_ref(&own));
    assert_eq!(stop_of_boot_1(&plain), stop(0x50, "product.sys"));
    // Both are there: each where it belongs.
    let forced = dump("kernel", 0x80, "victim.sys");
    let both = then(&hang, &seen, &[own, forced.clone()]);
    assert_eq!(both.outcome, plain.outcome);
    assert_eq!(both.timeline.forced_stop.expect("a forced stop").dumps.len(), 1);
    // Only the harness's own is there, or one of which nobody knows whose it is.
    for strange in [forced, dump("kernel", 0x1A, "victim.sys")] {
        let derived = then(&hang, &seen, &[strange]);
        assert_eq!(stop_of_boot_1(&derived), stop(0x50, "csagent.sys"));
        assert_eq!(derived.outcome.verdict, Verdict::Hung);
    }
}

/// Where a boot stopped as a forced stop does, nobody knows whose such a dump is.
#[test]
fn a_dump_that_may_be_of_a_boot_or_of_the_forced_stop_is_of_neither() {
    let mut hang = events("hang");
    for event in &mut hang {
        if let Body::SerialLine { text, .. } = &mut event.body {
            *text = text.replace("0x00000050", "0x00000080");
        }
    }
    let seen = [step(StepState::Started), restarts(), step(StepState::Done)];
    let derived = then(&hang, &seen, &[dump("kernel", 0x80, "victim.sys")]);
    assert_eq!(stop_of_boot_1(&derived), stop(0x80, "csagent.sys"));
    assert!(derived.timeline.forced_stop.expect("a forced stop").dumps.is_empty());
    assert_eq!(derived.timeline.dumps[0].boot, None);
}

#[test]
fn what_fails_while_the_dump_is_written_changes_nothing() {
    let hang = events("hang");
    let plain = derive(&hang).outcome;
    let full = (Source::Harness, Body::HarnessFailed { reason: "the disk is full".to_owned() });
    let (begins, ends) = (step(StepState::Started), step(StepState::Failed));
    let meanwhile = then(&hang, &[begins.clone(), full.clone(), ends.clone()], &[]);
    assert_eq!(meanwhile.outcome, plain);
    let afterwards = then(&hang, &[begins, ends, full], &[]);
    assert_eq!(afterwards.outcome.verdict, Verdict::Infrastructure);
}

#[test]
fn only_a_machine_that_hangs_is_made_to_stop() {
    let hangs = |run: &[Event]| {
        let mut watcher = Watcher::new();
        run.iter().for_each(|event| watcher.feed(event));
        watcher.hangs()
    };
    let hang = events("hang");
    let over = position(&hang, |body| matches!(body, Body::WatchEnded { .. }));
    assert_eq!(hangs(&hang[..over]), None, "while it is watched it may go on");
    assert_eq!(hangs(&hang[..=over]), Some(2));
    for other in ["channel-file-291", "operator-power-cycle", "channel-file-291-no-remediation"] {
        assert_eq!(hangs(&events(other)), None, "{other}");
    }
    // Such a step of a run whose machine does not hang is nothing.
    let other = events("channel-file-291");
    let seen = [step(StepState::Started), panicked(0x80)];
    let derived = then(&other, &seen, &[]);
    assert_eq!(derived.outcome, derive(&other).outcome);
    assert_eq!(derived.timeline.forced_stop, None);
}

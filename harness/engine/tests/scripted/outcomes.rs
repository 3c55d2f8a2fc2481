//! Runs that come to a verdict about the machine.

use std::fs;

use disk::{Access, OfflineDisk};
use engine::{ExitStatus, RunOptions, RunResult, RunStatus, replay};
use hypervisor::{FakeHypervisor, Trigger};
use report::{Comparison, Pending};
use timeline::{Body, End, Event, Phase, Source, StepState, Verdict};
use winfmt::hive::Hive;

use crate::bench::{BAD_FILE, Bench, CANARY, Meanwhile, names};
use crate::guest::{Guest, healthy_start, into_recovery, reset, serial, stop};

/// Healthy; the moved file stops it; then the recovery environment, which waits for a person.
fn falls_into_recovery() -> Guest {
    let fake = FakeHypervisor::new()
        .on(Trigger::Start, healthy_start())
        .on(Trigger::Exec("cmd.exe".to_owned()), stop());
    let writes: Vec<(&'static str, &'static [u8])> = vec![
        (&BAD_FILE[3..], b"what the agent wrote"),
        (r"Windows\System32\LogFiles\Srt\SrtTrail.txt", b"nothing to repair"),
    ];
    Guest::new(fake, writes, into_recovery())
}

pub(crate) fn events(result: &RunResult) -> Vec<Event> {
    let text = fs::read_to_string(result.directory.events()).unwrap();
    let record = timeline::read_events(&text).unwrap();
    assert!(record.complete);
    record.events
}

pub(crate) fn because(result: &RunResult) -> &str {
    &result.derived.outcome.because
}

/// What is not as the scenario expects.
pub(crate) fn unmet(result: &RunResult) -> Vec<String> {
    result.derived.timeline.expectation.unmet.iter().map(ToString::to_string).collect()
}

fn steps(events: &[Event]) -> Vec<(&str, StepState)> {
    events
        .iter()
        .filter_map(|event| match &event.body {
            Body::Step { name, state, .. } => Some((name.as_str(), *state)),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_machine_falls_into_recovery_and_its_outcome_becomes_the_reference() {
    let Some(bench) = Bench::new() else { return };
    let mut scenario = bench.scenario("healthy", "stuck-in-recovery");
    scenario.expect.stop =
        Some(scenario::Stop { bug_check: 0x50, module: Some("csagent.sys".to_owned()) });
    let guest = falls_into_recovery();
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();

    let outcome = &result.derived.outcome;
    assert_eq!(outcome.verdict, Verdict::StuckInRecovery, "{}", outcome.because);
    assert!(outcome.expectation.met && unmet(&result).is_empty(), "{:?}", unmet(&result));
    let boots: Vec<(Phase, End)> =
        outcome.boots.iter().map(|boot| (boot.reached, boot.end)).collect();
    assert_eq!(
        boots,
        [
            (Phase::Healthy, End::BugCheck),
            (Phase::Kernel, End::BugCheck),
            (Phase::RecoveryPrompt, End::WaitingForAPerson),
        ]
    );
    let changes: Vec<&str> =
        outcome.disk_changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(changes, [BAD_FILE]);
    assert!(outcome.canaries.iter().all(|canary| canary.path == CANARY && canary.intact));
    assert_eq!(outcome.canaries.len(), 1);

    // The file went in beside its place and was moved there.
    let calls = guest.fake.calls();
    assert!(calls[0].starts_with("start loopbreak-"), "{calls:?}");
    assert_eq!(calls[1], format!("write {BAD_FILE}.new"));
    assert_eq!(calls[2], format!(r"exec cmd.exe /c move /y {BAD_FILE}.new {BAD_FILE}"));
    assert!(calls[3].starts_with("destroy loopbreak-"), "{calls:?}");
    assert_eq!(calls.len(), 4);

    // The record.
    let directory = &result.directory;
    assert_eq!(
        names(directory.path()),
        [
            "dumps",
            "events.jsonl",
            "host.json",
            "machine",
            "measurements.json",
            "outcome.json",
            "plan.json",
            "recovery",
            "run.json",
            "scenario.json",
            "summary.json",
        ]
    );
    assert_eq!(names(&directory.recovery()), ["SrtTrail.txt"]);
    let record = directory.record().unwrap();
    assert_eq!((record.status, record.scenario.as_str()), (RunStatus::Complete, "scripted"));
    assert_eq!(record.scenario_digest, scenario.digest());
    let replayed = replay(directory).unwrap();
    assert_eq!((replayed.same, replayed.incomplete), (Some(true), false));
    let events = events(&result);
    assert_eq!(events.iter().filter(|event| matches!(event.body, Body::Reset { .. })).count(), 2);

    // Where nothing may be written beside the references, the outcome waits in the run directory.
    let before = names(&bench.folder());
    let aside = RunOptions { pending_aside: true, ..RunOptions::default() };
    let once =
        bench.run(&scenario, &falls_into_recovery(), &aside, Meanwhile::Nothing).await.unwrap();
    assert_eq!(once.exit, ExitStatus::Differs);
    let Comparison::Missing { pending: Pending::Aside(pending), .. } = &once.comparison else {
        panic!("{:?}", once.comparison)
    };
    assert_eq!(pending.parent(), Some(once.directory.path()));
    assert_eq!(report::waiting(pending).unwrap().verdict.as_deref(), Some("stuck-in-recovery"));
    assert_eq!(names(&bench.folder()), before);

    // No reference yet: the outcome waits to become it, and then it is it.
    assert_eq!(result.exit, ExitStatus::Differs);
    let Comparison::Missing { pending: Pending::Written(pending), reference } = &result.comparison
    else {
        panic!("{:?}", result.comparison)
    };
    assert_eq!(pending.parent(), Some(bench.folder().as_path()));
    assert_eq!(*reference, record.reference);
    report::accept(std::slice::from_ref(pending)).unwrap();
    let again = falls_into_recovery();
    let result = bench.run(&scenario, &again, &options, Meanwhile::Nothing).await.unwrap();
    assert!(result.comparison.is_same(), "{:?}", result.comparison);
    assert_eq!(result.exit, ExitStatus::AsExpected);
    assert_eq!(names(&bench.folder()), ["scenario.toml", "scripted.understudy.snap"]);

    // What the scenario expects is held against it, whatever the reference says.
    let other = bench.scenario("healthy", "looping");
    let again = falls_into_recovery();
    let result = bench.run(&other, &again, &options, Meanwhile::Nothing).await.unwrap();
    assert_eq!(result.exit, ExitStatus::Differs);
    assert_eq!(unmet(&result), ["verdict is stuck-in-recovery, expected looping"]);
}

/// The settle time is host time, and here none of it passes.
#[tokio::test(start_paused = true)]
async fn a_machine_that_stays_healthy_is_unaffected() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "unaffected");
    let off = (Source::Hypervisor, Body::MachineStopped { reason: "guest-shutdown".to_owned() });
    let fake =
        FakeHypervisor::new().on(Trigger::Start, healthy_start()).on(Trigger::AgentShutdown, [off]);
    let guest = Guest::new(fake, Vec::new(), Vec::new());
    let options = RunOptions { keep_disk: true, ..RunOptions::default() };
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();

    assert_eq!(result.derived.outcome.verdict, Verdict::Unaffected, "{}", because(&result));
    let events = events(&result);
    assert_eq!(
        steps(&events),
        [
            ("inject bad-file", StepState::Started),
            ("inject bad-file", StepState::Done),
            (timeline::SETTLED, StepState::Done),
        ]
    );
    let proof = events.iter().find_map(|event| match &event.body {
        Body::FaultLanded { fault, proof } if fault == "bad-file" => Some(proof.join("\n")),
        _ => None,
    });
    let proof = proof.unwrap();
    assert!(proof.contains(&format!("moved to {BAD_FILE}")), "{proof}");
    // A healthy machine is shut down, not cut off.
    let calls = guest.fake.calls();
    assert!(calls.iter().any(|call| call == "guest-shutdown (powerdown)"), "{calls:?}");

    // Its disk was kept: what the scenario gives is on it.
    let disk = result.directory.path().join("disk.qcow2");
    let scratch = tempfile::tempdir().unwrap();
    let disk = OfflineDisk::open_overlay(&disk, Access::ReadOnly, scratch.path()).unwrap();
    let mut windows = disk.windows_volume().unwrap();
    assert!(windows.read(r"Windows\System32\drivers\csagent.sys").unwrap().starts_with(b"MZ"));
    assert!(windows.exists(&CANARY[3..]).unwrap());
    assert!(!windows.exists(&BAD_FILE[3..]).unwrap());
    let system = Hive::open(windows.read(r"Windows\System32\config\SYSTEM").unwrap()).unwrap();
    let start = system.get_dword(r"ControlSet001\Services\csagent", "Start").unwrap();
    assert_eq!(start, Some(1));
    let mut recovery = disk.recovery_volume().unwrap();
    let settings = recovery.read(r"Recovery\WindowsRE\SrSettings.ini").unwrap();
    assert!(String::from_utf8(settings).unwrap().contains("CloudRemediation"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_goes_silent_hangs() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("staged", "hung");
    let start = [serial("[bootmgr] starting Windows"), serial("[kernel] started")];
    let fake = FakeHypervisor::new().on(Trigger::Start, start);
    let guest = Guest::new(fake, Vec::new(), Vec::new());
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();

    assert_eq!(result.derived.outcome.verdict, Verdict::Hung, "{}", because(&result));
    let events = events(&result);
    // A staged fault is armed before power-on, and proved by what was read back from the disk.
    let at = |wanted: fn(&Body) -> bool| events.iter().position(|event| wanted(&event.body));
    let landed = at(|body| matches!(body, Body::FaultLanded { .. }));
    assert!(landed.is_some() && landed < at(|body| matches!(body, Body::MachineStarted { .. })));
    let silent = (timeline::SILENT, StepState::Done);
    assert_eq!(steps(&events).iter().filter(|step| **step == silent).count(), 1);
    // What was staged was there before: it is no change.
    assert!(result.derived.outcome.disk_changes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_only_repeats_itself_is_watched_until_the_time_limit() {
    let Some(bench) = Bench::new() else { return };
    let mut scenario = bench.scenario("healthy", "hung");
    scenario.limits.time = "1m".parse().unwrap();
    let fake = FakeHypervisor::new()
        .on(Trigger::Start, healthy_start())
        .on(Trigger::Exec("cmd.exe".to_owned()), stop());
    let rest = vec![reset(), serial("[bootmgr] starting Windows")];
    let guest = Guest::new(fake, Vec::new(), rest);
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();

    assert_eq!(result.derived.outcome.verdict, Verdict::Hung, "{}", because(&result));
    let ended = events(&result).into_iter().find_map(|event| match event.body {
        Body::WatchEnded { why, detail } => Some((why, detail)),
        _ => None,
    });
    let (why, detail) = ended.unwrap();
    assert_eq!(why, "time-limit");
    assert!(detail.contains("60 s"), "{detail}");
}

#[tokio::test]
async fn a_changed_canary_is_lost_data_whatever_else_happened() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "data-lost");
    let fake = FakeHypervisor::new()
        .on(Trigger::Start, healthy_start())
        .on(Trigger::Exec("cmd.exe".to_owned()), stop());
    let guest = Guest::new(fake, vec![(&CANARY[3..], b"Balance: 0\n")], into_recovery());
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();

    assert_eq!(result.derived.outcome.verdict, Verdict::DataLost, "{}", because(&result));
    assert_eq!(unmet(&result), [""; 0]);
}

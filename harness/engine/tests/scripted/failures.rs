//! Runs that say nothing about the machine: the harness or the host failed, somebody pressed Ctrl-C, or
//! the scenario cannot be run as asked.

use engine::{
    ExitStatus, Interrupt, RunError, RunOptions, RunResult, RunStatus, Session, StateDir, replay,
};
use hypervisor::{FakeHypervisor, Trigger};
use report::Comparison;
use std::sync::Arc;
use timeline::{Body, Phase, Source, Verdict};

use crate::bench::{AFTER_THE_FAULTS, BAD_FILE, Bench, Meanwhile, names};
use crate::guest::{Guest, healthy_start, stop};
use crate::image::PROFILE;
use crate::outcomes::{because, events};

/// Infrastructure, and no word on the product.
fn assert_says_nothing(bench: &Bench, result: &RunResult) {
    assert_eq!(result.derived.outcome.verdict, Verdict::Infrastructure, "{}", because(result));
    assert_eq!(result.exit, ExitStatus::Infrastructure);
    assert!(matches!(result.comparison, Comparison::NotCompared { .. }), "{:?}", result.comparison);
    assert_eq!(names(&bench.folder()), ["scenario.toml"]);
    assert_eq!(result.directory.record().unwrap().status, RunStatus::Aborted);
    let replayed = replay(&result.directory).unwrap();
    assert_eq!((replayed.same, replayed.incomplete), (Some(true), false));
}

#[tokio::test]
async fn ctrl_c_ends_the_watch_wherever_it_is() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "hung");
    for at in ["a healthy machine", AFTER_THE_FAULTS] {
        let mut fake = FakeHypervisor::new().on(Trigger::Exec("cmd.exe".to_owned()), stop());
        if at == AFTER_THE_FAULTS {
            fake = fake.on(Trigger::Start, healthy_start());
        }
        let guest = Guest::new(fake, Vec::new(), Vec::new());
        let options = RunOptions::default();
        let result =
            bench.run(&scenario, &guest, &options, Meanwhile::Interrupt(at)).await.unwrap();
        assert_says_nothing(&bench, &result);
        let interrupted = events(&result).iter().any(
            |event| matches!(&event.body, Body::WatchEnded { why, .. } if why == "interrupted"),
        );
        assert!(interrupted, "{at}");
        assert!(guest.fake.calls().last().unwrap().starts_with("destroy "), "{at}");
    }
}

#[tokio::test]
async fn ctrl_c_before_the_machine_leaves_a_record_without_outcome() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "hung");
    let guest = Guest::new(FakeHypervisor::new(), Vec::new(), Vec::new());
    let options = RunOptions::default();
    let staging = Meanwhile::InterruptWhen(|status| status.doing == "staging");
    let result = bench.run(&scenario, &guest, &options, staging).await;
    assert!(matches!(result, Err(RunError::Interrupted)), "{result:?}");
    assert!(!RunError::Interrupted.is_usage());
    let runs = bench.runs();
    assert_eq!(runs[0].record().unwrap().status, RunStatus::Aborted);
    assert!(!runs[0].outcome().exists());
    assert!(guest.fake.calls().is_empty());
}

#[tokio::test]
async fn ctrl_c_before_anything_is_begun_leaves_nothing() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "hung");
    let guest = Guest::new(FakeHypervisor::new(), Vec::new(), Vec::new());
    let options = RunOptions::default();
    let at_once = Meanwhile::InterruptWhen(|_| true);
    let result = bench.run(&scenario, &guest, &options, at_once).await;
    assert!(matches!(result, Err(RunError::Interrupted)), "{result:?}");
    assert!(bench.runs().is_empty());
}

/// The emulator's account cannot reach the socket, for example. Without its network the machine would be stuck in
/// recovery, and the product would be blamed.
#[tokio::test(start_paused = true)]
async fn a_cable_that_is_not_taken_up_says_nothing_about_the_product() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "hung");
    let mut start = healthy_start();
    start.retain(|(_, body)| *body != Body::AgentUp);
    let fake = FakeHypervisor::new().without_cable().on(Trigger::Start, start);
    let guest = Guest::new(fake, Vec::new(), Vec::new());
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_says_nothing(&bench, &result);
    assert!(because(&result).contains("never taken up"), "{}", because(&result));
    assert!(guest.fake.calls().last().unwrap().starts_with("destroy "));
}

/// The agent's answer is waited for without any event: two minutes, where nobody listened.
#[tokio::test(start_paused = true)]
async fn ctrl_c_is_heard_while_the_agent_is_waited_for() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "hung");
    let mut start = healthy_start();
    start.retain(|(_, body)| *body != Body::AgentUp);
    let guest = Guest::new(FakeHypervisor::new().on(Trigger::Start, start), Vec::new(), Vec::new());
    let options = RunOptions::default();
    let healthy = Meanwhile::InterruptWhen(|status| status.phase == Some(Phase::Healthy));
    let result = bench.run(&scenario, &guest, &options, healthy).await.unwrap();
    assert_says_nothing(&bench, &result);
    assert!(because(&result).contains("interrupted"), "{}", because(&result));
    assert!(guest.fake.calls().last().unwrap().starts_with("destroy "));
}

#[tokio::test]
async fn a_panic_while_the_machine_runs_ends_the_run_in_good_order() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "hung");
    let fake = FakeHypervisor::new()
        .on(Trigger::Start, healthy_start())
        .panic(Trigger::Write(format!("{BAD_FILE}.new")));
    let guest = Guest::new(fake, Vec::new(), Vec::new());
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_says_nothing(&bench, &result);
    let because = because(&result);
    assert!(because.contains("panicked: the script has it panic at Write"), "{because}");
    assert!(guest.fake.calls().last().unwrap().starts_with("destroy "));
}

#[tokio::test]
async fn a_panic_before_the_machine_runs_names_the_run() {
    let Some(bench) = Bench::new() else { return };
    let mut scenario = bench.scenario("healthy", "hung");
    scenario.machine.start = scenario::Start::Checkpoint;
    let fake = FakeHypervisor::new().panic(Trigger::Start);
    let guest = Guest::new(fake, Vec::new(), Vec::new());
    let options = RunOptions::default();
    let error = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap_err();
    let RunError::Panicked { what, directory: Some(directory) } = &error else {
        panic!("{error:?}")
    };
    assert!(what.contains("the script has it panic at Start"), "{what}");
    assert!(error.to_string().contains(&directory.display().to_string()), "{error}");
    assert!(!error.is_usage());
    assert_eq!(bench.runs()[0].record().unwrap().status, RunStatus::Aborted);
}

/// QEMU pauses a machine for whose disk the host has no room; nothing would ever come.
#[tokio::test(start_paused = true)]
async fn a_disk_that_nobody_breaks_fails_on_the_host_and_ends_the_run_at_once() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "hung");
    let full = (
        Source::Hypervisor,
        Body::BlockIoError {
            device: "libvirt-1-format".to_owned(),
            operation: "write".to_owned(),
            reason: "No space left on device".to_owned(),
        },
    );
    let mut early = healthy_start();
    early.truncate(2);
    early.push(full.clone());
    // Healthy, so that it is the agent that is waited for.
    let mut late = healthy_start();
    late.retain(|(_, body)| *body != Body::AgentUp);
    late.push(full);
    for start in [early, late] {
        let fake = FakeHypervisor::new().on(Trigger::Start, start);
        let guest = Guest::new(fake, Vec::new(), Vec::new());
        let options = RunOptions::default();
        let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
        assert_says_nothing(&bench, &result);
        let because = because(&result);
        assert!(because.contains("could not write to the machine's disk: No space"), "{because}");
        assert!(because.contains("the file system at /"), "{because}");
        let waited = events(&result).iter().any(
            |event| matches!(&event.body, Body::Step { name, .. } if name == timeline::SILENT),
        );
        assert!(!waited, "it was only found out by its silence");
        let calls = guest.fake.calls();
        assert_eq!(calls.len(), 2, "nothing is asked of a machine that is paused: {calls:?}");
    }
}

#[tokio::test]
async fn a_machine_that_cannot_be_started_says_why() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "hung");
    let fake = FakeHypervisor::new().fail(Trigger::Start, "no such processor");
    let guest = Guest::new(fake, Vec::new(), Vec::new());
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_says_nothing(&bench, &result);
    assert!(because(&result).contains("no such processor"), "{}", because(&result));
}

/// A row of the catalogue's table would say that the fault does not do what it ought to.
#[tokio::test]
async fn a_fault_that_could_not_be_proved_is_no_row() {
    let Some(bench) = Bench::new() else { return };
    let (_raiser, interrupt) = Interrupt::new();
    let fake = FakeHypervisor::new().fail(Trigger::Start, "no such processor");
    let session = Session::with_hypervisor(bench.state.clone(), Arc::new(fake), interrupt).unwrap();
    let kind = faults::kinds().find(|kind| kind.name == "power").unwrap();
    let result = session.prove(kind, &kind.examples[0], "understudy", Arc::new(|_| {})).await;
    let Err(RunError::NotProved { because, directory }) = result else {
        panic!("{result:?}");
    };
    assert!(because.contains("no such processor"), "{because}");
    assert!(directory.is_dir());
    assert_eq!(session.close(), []);
    bench.assert_clean();
}

#[tokio::test]
async fn a_fault_that_the_agent_refuses_is_no_verdict_on_the_machine() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "hung");
    let fake = FakeHypervisor::new()
        .on(Trigger::Start, healthy_start())
        .fail(Trigger::Write(format!("{BAD_FILE}.new")), "no space left");
    let guest = Guest::new(fake, Vec::new(), Vec::new());
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_says_nothing(&bench, &result);
    assert!(because(&result).contains("no space left"), "{}", because(&result));
    assert!(guest.fake.calls().last().unwrap().starts_with("destroy "));
}

#[tokio::test(start_paused = true)]
async fn an_image_that_does_not_come_up_by_itself_says_nothing() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "hung");
    let guest = Guest::new(FakeHypervisor::new(), Vec::new(), Vec::new());
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_says_nothing(&bench, &result);
    assert!(because(&result).contains("before any fault was armed"), "{}", because(&result));
}

/// Nothing is run, and nothing is recorded.
async fn refused(bench: &Bench, change: impl FnOnce(&mut scenario::Scenario)) -> String {
    let mut scenario = bench.scenario("healthy", "hung");
    change(&mut scenario);
    let guest = Guest::new(FakeHypervisor::new(), Vec::new(), Vec::new());
    let options = RunOptions::default();
    let error = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap_err();
    assert!(error.is_usage(), "{error}");
    assert!(bench.runs().is_empty());
    assert!(guest.fake.calls().is_empty());
    error.to_string()
}

#[tokio::test]
async fn what_cannot_be_run_as_asked_is_refused_before_anything_runs() {
    let Some(bench) = Bench::new() else { return };
    let error = refused(&bench, |scenario| scenario.machine.image = "windows-10".to_owned()).await;
    assert!(error.contains("no image `windows-10`"), "{error}");
    let error = refused(&bench, |scenario| {
        scenario.machine.clock = Some("1969-07-20T20:17:00Z".parse().unwrap());
    })
    .await;
    assert!(error.contains("before 1970"), "{error}");
    // A scenario that was put together by hand, past the checks of `Scenario::load`.
    let error = refused(&bench, |scenario| {
        scenario.canary[0].path = r"D:\ledger.txt".parse().unwrap();
    })
    .await;
    assert!(error.contains(r"D:\ledger.txt"), "{error}");

    let profile = PROFILE
        .replace("[time-scale]", "")
        .replace("fw-cfg = \"opt/org.loopbreak/time-scale\"", "");
    let bench = Bench::with_profile(&profile).unwrap();
    let error = refused(&bench, |scenario| {
        scenario.recovery.quick_machine_recovery.as_mut().unwrap().cloud_remediation = true;
    })
    .await;
    assert!(error.contains("leave `time-scale = 120` out"), "{error}");

    let bench = Bench::with_profile(&PROFILE.replace("\"healthy\"", "\"session\"")).unwrap();
    let error = refused(&bench, |_| {}).await;
    assert!(error.contains("how a healthy machine is recognised"), "{error}");

    let bench = Bench::with_profile("format = 1\nis-model = true\nmemory = \"none\"\n").unwrap();
    let error = refused(&bench, |_| {}).await;
    assert!(error.contains("profile.toml"), "{error}");
}

#[tokio::test]
async fn a_session_that_cannot_be_opened_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::open(Some(directory.path())).unwrap();
    // Neither is the store: a file lies where its images belong.
    std::fs::write(directory.path().join("images"), "").unwrap();
    let (_raiser, interrupt) = Interrupt::new();
    let hypervisor = Arc::new(FakeHypervisor::new());
    assert!(Session::with_hypervisor(state.clone(), hypervisor, interrupt).is_err());
    assert_eq!(names(&state.ledgers()), [""; 0]);
}

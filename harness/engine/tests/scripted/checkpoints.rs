//! Runs from a RAM checkpoint: the first one takes it, the next ones are forked from it.

use engine::{ExitStatus, RunError, RunOptions, RunStatus};
use hypervisor::{FakeHypervisor, Trigger};
use report::{Comparison, Pending};
use scenario::Start;
use timeline::{Body, StartedFrom, Verdict};

use crate::bench::{BAD_FILE, Bench, Meanwhile, names};
use crate::guest::{Guest, healthy_start, into_recovery, stop};
use crate::outcomes::{because, events};

const FROM_CHECKPOINT: RunOptions =
    RunOptions { start: Some(Start::Checkpoint), keep_disk: false, pending_aside: false };

fn verbs(guest: &Guest) -> Vec<String> {
    let calls = guest.fake.calls();
    calls.iter().map(|call| call.split(' ').next().unwrap().to_owned()).collect()
}

/// `cold`: its first start is a cold one, for the checkpoint.
fn guest(cold: bool) -> Guest {
    let mut fake = FakeHypervisor::new().on(Trigger::Exec("cmd.exe".to_owned()), stop());
    if cold {
        fake = fake.on(Trigger::Start, healthy_start());
    }
    Guest::new(fake, Vec::new(), into_recovery())
}

#[tokio::test]
async fn the_first_run_takes_a_checkpoint_and_the_next_one_uses_it() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "stuck-in-recovery");
    let first = guest(true);
    let result = bench.run(&scenario, &first, &FROM_CHECKPOINT, Meanwhile::Nothing).await.unwrap();
    assert_eq!(result.derived.outcome.verdict, Verdict::StuckInRecovery, "{}", because(&result));
    assert_eq!(verbs(&first), ["start", "save", "restore", "write", "exec", "destroy"]);
    let checkpoints = bench.checkpoints();
    assert_eq!(checkpoints.len(), 1, "{checkpoints:?}");
    let directory = bench.state.root().join("checkpoints").join(&checkpoints[0]);
    assert_eq!(names(&directory), ["disk.qcow2", "facts.json", "ram"]);
    assert!(result.directory.path().join("checkpoint-events.jsonl").is_file());
    let from = |events: &[timeline::Event]| {
        events.iter().find_map(|event| match &event.body {
            Body::MachineStarted { from } => Some(*from),
            _ => None,
        })
    };
    assert_eq!(from(&events(&result)), Some(StartedFrom::Checkpoint));
    let Comparison::Missing { pending: Pending::Written(pending), .. } = &result.comparison else {
        panic!("{:?}", result.comparison)
    };
    report::accept(std::slice::from_ref(pending)).unwrap();

    let second = guest(false);
    let result = bench.run(&scenario, &second, &FROM_CHECKPOINT, Meanwhile::Nothing).await.unwrap();
    assert_eq!(verbs(&second), ["restore", "write", "exec", "destroy"]);
    assert_eq!(result.exit, ExitStatus::AsExpected, "{:?}", result.comparison);
    assert!(!result.directory.path().join("checkpoint-events.jsonl").exists());
    assert_eq!(bench.checkpoints(), checkpoints);

    // Another clock is another machine.
    let mut later = scenario.clone();
    later.machine.clock = Some("2024-07-19T05:27:00Z".parse().unwrap());
    let third = guest(true);
    bench.run(&later, &third, &FROM_CHECKPOINT, Meanwhile::Nothing).await.unwrap();
    assert_eq!(verbs(&third)[..2], ["start", "save"]);
    assert_eq!(bench.checkpoints().len(), 2);
}

/// What a machine does to its disk is its own: the checkpoint below it stays.
#[tokio::test]
async fn forks_of_a_checkpoint_do_not_see_each_other() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("healthy", "stuck-in-recovery");
    bench.run(&scenario, &guest(true), &FROM_CHECKPOINT, Meanwhile::Nothing).await.unwrap();
    let fake = FakeHypervisor::new().on(Trigger::Exec("cmd.exe".to_owned()), stop());
    let writes = Guest::new(fake, vec![(&BAD_FILE[3..], b"bad")], into_recovery());
    let changes = |result: &engine::RunResult| result.derived.outcome.disk_changes.len();
    let result = bench.run(&scenario, &writes, &FROM_CHECKPOINT, Meanwhile::Nothing).await.unwrap();
    assert_eq!(changes(&result), 1);
    let result =
        bench.run(&scenario, &guest(false), &FROM_CHECKPOINT, Meanwhile::Nothing).await.unwrap();
    assert_eq!(changes(&result), 0);
}

async fn no_checkpoint(fake: FakeHypervisor, meanwhile: Meanwhile) -> Option<RunError> {
    let bench = Bench::new()?;
    let scenario = bench.scenario("healthy", "stuck-in-recovery");
    let guest = Guest::new(fake, Vec::new(), Vec::new());
    let error = bench.run(&scenario, &guest, &FROM_CHECKPOINT, meanwhile).await.unwrap_err();
    assert!(!error.is_usage());
    assert_eq!(bench.checkpoints(), [""; 0]);
    assert_eq!(bench.runs()[0].record().unwrap().status, RunStatus::Aborted);
    assert!(!verbs(&guest).contains(&"save".to_owned()));
    Some(error)
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_come_up_gives_no_checkpoint() {
    let Some(error) = no_checkpoint(FakeHypervisor::new(), Meanwhile::Nothing).await else {
        return;
    };
    assert!(matches!(error, RunError::NotHealthy { .. }), "{error}");
    assert!(error.to_string().contains("checkpoint-events.jsonl"), "{error}");
}

#[tokio::test]
async fn ctrl_c_while_a_checkpoint_is_taken_leaves_none() {
    let interrupt = Meanwhile::Interrupt("a healthy machine");
    let Some(error) = no_checkpoint(FakeHypervisor::new(), interrupt).await else { return };
    assert!(matches!(error, RunError::Interrupted), "{error}");
}

#[tokio::test]
async fn a_machine_that_cannot_be_started_gives_no_checkpoint() {
    let fake = FakeHypervisor::new().fail(Trigger::Start, "no such processor");
    let Some(error) = no_checkpoint(fake, Meanwhile::Nothing).await else { return };
    assert!(error.to_string().contains("no such processor"), "{error}");
}

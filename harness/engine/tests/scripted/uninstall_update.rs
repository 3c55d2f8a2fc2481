//! Machines that would be given up, and an update that is uninstalled instead.

use engine::{RunOptions, RunResult, replay};
use scenario::{
    Fault, Layer, Moment, QualityUpdate, Scenario, ServicingTransaction, TransactionState,
    UninstallUpdate,
};
use timeline::{Cause, End, LayerResult};

use crate::bench::{BAD_FILE, Bench, Meanwhile};
use crate::guest::{Guest, healthy_start};
use crate::host_repair::{guest, stuck};
use crate::outcomes::{because, unmet};

/// The bad file came with an update, and this package is uninstalled when the machine would be given up.
fn uninstalled(mut scenario: Scenario, package: &str) -> Scenario {
    scenario.fault.push(Fault::QualityUpdate(QualityUpdate {
        name: "update".to_owned(),
        when: Moment::Staged,
        kb: "KB5000001".to_owned(),
        brings: vec!["bad-file".to_owned()],
        inert: false,
    }));
    let package = Some(package.to_owned());
    scenario.uninstall_update = Some(UninstallUpdate { package, ..UninstallUpdate::default() });
    scenario
}

async fn run(bench: &Bench, verdict: &str, package: &str, guest: &Guest) -> RunResult {
    let mut scenario = uninstalled(bench.scenario("staged", "stuck-in-recovery"), package);
    scenario.expect.verdict = serde_json::from_value(verdict.into()).unwrap();
    if verdict.starts_with("recovered") {
        scenario.expect.layers = vec![Layer::UninstallUpdate];
    }
    let options = RunOptions::default();
    let result = bench.run(&scenario, guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_eq!(result.derived.outcome.verdict.name(), verdict, "{}", because(&result));
    assert_eq!(replay(&result.directory).unwrap().same, Some(true));
    result
}

fn ends(result: &RunResult) -> Vec<(Cause, End)> {
    result.derived.outcome.boots.iter().map(|boot| (boot.cause, boot.end)).collect()
}

fn layer(result: &RunResult) -> (LayerResult, Option<String>) {
    let mut layers = result.derived.outcome.layers.iter();
    let own = layers.find(|outcome| outcome.layer == timeline::Layer::UninstallUpdate).unwrap();
    (own.result, own.reason.clone())
}

const GIVEN_UP: [(Cause, End); 3] = [
    (Cause::PowerOn, End::BugCheck),
    (Cause::ResetByGuest, End::BugCheck),
    (Cause::ResetByGuest, End::WaitingForAPerson),
];

#[tokio::test(start_paused = true)]
async fn a_machine_whose_update_is_uninstalled_comes_back_and_starts_once_more() {
    let Some(bench) = Bench::new() else { return };
    let guest = guest(vec![stuck(), healthy_start(), healthy_start()]);
    let result = run(&bench, "recovered", "latest", &guest).await;
    let boots = ends(&result);
    assert_eq!(boots[..3], GIVEN_UP);
    assert_eq!(boots.len(), 5, "{boots:?}");
    let outcome = &result.derived.outcome;
    assert_eq!(outcome.brought_back_by, Some(timeline::Layer::UninstallUpdate));
    assert_eq!(unmet(&result), [""; 0]);
    let removed = |path: &str| {
        let change = outcome.disk_changes.iter().find(|change| change.path == path);
        change.is_some_and(|change| change.change == "removed")
    };
    assert!(removed(BAD_FILE), "{:?}", outcome.disk_changes);
    let package = r"C:\Windows\servicing\Packages\Package_for_KB5000001~6c6f6f7062726561~amd64~~26100.1.1.0.mum";
    assert!(removed(package), "{:?}", outcome.disk_changes);
}

#[tokio::test(start_paused = true)]
async fn a_package_that_is_not_there_cannot_be_uninstalled() {
    let Some(bench) = Bench::new() else { return };
    let guest = guest(vec![stuck(), healthy_start()]);
    let result = run(&bench, "stuck-in-recovery", "KB5000002", &guest).await;
    assert_eq!(ends(&result), GIVEN_UP);
    let (came, reason) = layer(&result);
    assert_eq!(came, LayerResult::TriedNoHelp);
    assert_eq!(reason.as_deref(), Some("there is no installed package of KB5000002"));
}

#[tokio::test(start_paused = true)]
async fn an_update_is_uninstalled_once() {
    let Some(bench) = Bench::new() else { return };
    let guest = guest(vec![stuck(), stuck(), healthy_start()]);
    let result = run(&bench, "stuck-in-recovery", "KB5000001", &guest).await;
    assert_eq!(ends(&result), [GIVEN_UP, GIVEN_UP].concat());
    assert_eq!(layer(&result).0, LayerResult::Applied);
    assert_eq!(result.derived.outcome.brought_back_by, None);
}

/// The first start after it proves nothing by itself.
#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_start_once_more_has_not_come_back() {
    let Some(bench) = Bench::new() else { return };
    let guest = guest(vec![stuck(), healthy_start(), stuck()]);
    let result = run(&bench, "stuck-in-recovery", "latest", &guest).await;
    assert_eq!(layer(&result).0, LayerResult::Applied);
    assert_eq!(result.derived.outcome.brought_back_by, None);
}

/// This system has no hive of the servicing stack, so there is nothing in it to take back.
#[tokio::test(start_paused = true)]
async fn what_an_update_left_to_be_done_is_given_up() {
    let Some(bench) = Bench::new() else { return };
    let mut scenario = bench.scenario("staged", "recovered");
    scenario.fault = vec![Fault::ServicingTransaction(ServicingTransaction {
        name: "half-done".to_owned(),
        when: Moment::Staged,
        state: TransactionState::MissingFiles,
        moves: Vec::new(),
        inert: false,
    })];
    scenario.uninstall_update =
        Some(UninstallUpdate { pending_actions: true, ..UninstallUpdate::default() });
    scenario.expect.layers = vec![Layer::UninstallUpdate];
    let guest = guest(vec![stuck(), healthy_start(), healthy_start()]);
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_eq!(unmet(&result), [""; 0], "{}", because(&result));
    let changes = &result.derived.outcome.disk_changes;
    let list = r"C:\Windows\WinSxS\pending.xml";
    for (path, what) in [(list.to_owned(), "removed"), (format!("{list}.old"), "added")] {
        assert!(changes.iter().any(|own| own.path == path && own.change == what), "{changes:?}");
    }
}

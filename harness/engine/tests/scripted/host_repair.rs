//! Machines that would be given up, and a disk that is repaired from the host instead.

use engine::{RunOptions, RunResult, replay};
use hypervisor::{FakeHypervisor, Trigger};
use scenario::{Delete, HostRepair, Layer, RepairAction, Scenario};
use timeline::{Cause, End, Verdict};

use crate::bench::{BAD_FILE, Bench, Meanwhile};
use crate::guest::{Guest, Seen, healthy_start, into_recovery, serial, stop};
use crate::outcomes::{because, unmet};

/// The scenario with the file deleted from the host when the machine would be given up.
pub(crate) fn repaired(mut scenario: Scenario, path: &str) -> Scenario {
    let path = path.parse().unwrap();
    let action = vec![RepairAction::Delete(Delete { path, modified_before: None })];
    scenario.host_repair = Some(HostRepair { action });
    scenario
}

/// A start that stops, then one more, and the recovery environment that waits for a person.
pub(crate) fn stuck() -> Vec<Seen> {
    let start = [serial("[bootmgr] starting Windows"), serial("[kernel] started")];
    [start.to_vec(), stop(), into_recovery()].concat()
}

pub(crate) fn guest(starts: Vec<Vec<Seen>>) -> Guest {
    let fake =
        starts.into_iter().fold(FakeHypervisor::new(), |fake, seen| fake.on(Trigger::Start, seen));
    Guest::new(fake, Vec::new(), Vec::new())
}

/// Runs a machine on which the bad file is deleted from the host when it would be given up.
async fn run(bench: &Bench, verdict: &str, path: &str, guest: &Guest) -> RunResult {
    let mut scenario = repaired(bench.scenario("staged", "stuck-in-recovery"), path);
    scenario.expect.verdict = serde_json::from_value(verdict.into()).unwrap();
    if verdict.starts_with("recovered") {
        scenario.expect.layers = vec![Layer::HostRepair];
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

/// What came of the layer, and why.
fn layer(result: &RunResult) -> (timeline::LayerResult, Option<String>) {
    let mut layers = result.derived.outcome.layers.iter();
    let repair = layers.find(|outcome| outcome.layer == timeline::Layer::HostRepair).unwrap();
    (repair.result, repair.reason.clone())
}

const GIVEN_UP: [(Cause, End); 3] = [
    (Cause::PowerOn, End::BugCheck),
    (Cause::ResetByGuest, End::BugCheck),
    (Cause::ResetByGuest, End::WaitingForAPerson),
];

#[tokio::test(start_paused = true)]
async fn a_machine_whose_disk_is_repaired_comes_back() {
    let Some(bench) = Bench::new() else { return };
    let guest = guest(vec![stuck(), healthy_start()]);
    let pattern = r"C:\Windows\System32\drivers\CrowdStrike\C-00000291-*32.sys";
    let result = run(&bench, "recovered", pattern, &guest).await;
    let expected = [&GIVEN_UP[..], &[(Cause::PowerOn, End::StillUp)]].concat();
    assert_eq!(ends(&result), expected);
    let outcome = &result.derived.outcome;
    assert_eq!(outcome.brought_back_by, Some(timeline::Layer::HostRepair));
    assert_eq!(unmet(&result), [""; 0]);
    // It was on the disk before anything started, and is gone from it.
    let removed = outcome.disk_changes.iter().find(|change| change.path == BAD_FILE).unwrap();
    assert_eq!(removed.change, "removed");
    let calls: Vec<String> = guest.fake.calls();
    let verbs: Vec<&str> = calls.iter().filter_map(|call| call.split(' ').next()).collect();
    assert_eq!(verbs[..3], ["start", "destroy", "start"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_cannot_be_repaired() {
    let Some(bench) = Bench::new() else { return };
    let guest = guest(vec![stuck(), healthy_start()]);
    let result = run(&bench, "stuck-in-recovery", r"C:\Windows\no-*.sys", &guest).await;
    assert_eq!(ends(&result), GIVEN_UP);
    let (result, reason) = layer(&result);
    assert_eq!(result, timeline::LayerResult::TriedNoHelp);
    assert_eq!(reason.as_deref(), Some(r"there is no `C:\Windows\no-*.sys` to delete"));
}

#[tokio::test(start_paused = true)]
async fn a_disk_is_repaired_once() {
    let Some(bench) = Bench::new() else { return };
    let guest = guest(vec![stuck(), stuck(), healthy_start()]);
    let result = run(&bench, "stuck-in-recovery", BAD_FILE, &guest).await;
    assert_eq!(ends(&result), [GIVEN_UP, GIVEN_UP].concat());
    assert_eq!(layer(&result).0, timeline::LayerResult::Applied);
    assert_eq!(result.derived.outcome.brought_back_by, None);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_recovers_by_itself_is_left_alone() {
    let Some(bench) = Bench::new() else { return };
    let start = [&[serial("[bootmgr] starting Windows")], &stop()[..], &[crate::guest::reset()]];
    let guest = guest(vec![[start.concat(), healthy_start()].concat()]);
    let result = run(&bench, "recovered-otherwise", BAD_FILE, &guest).await;
    assert_eq!(result.derived.outcome.verdict, Verdict::RecoveredOtherwise);
    assert_eq!(layer(&result).0, timeline::LayerResult::NotTried);
}

//! Machines that would be given up, whose registry and system files go back to an earlier point instead.

use engine::{RunOptions, RunResult, replay};
use scenario::{Layer, RestorePoint};
use timeline::LayerResult;

use crate::bench::{BAD_FILE, Bench, CANARY, Meanwhile};
use crate::guest::healthy_start;
use crate::host_repair::{guest, stuck};
use crate::outcomes::{because, unmet};

async fn run(bench: &Bench, files: bool, verdict: &str) -> RunResult {
    let guest = guest(vec![stuck(), healthy_start(), healthy_start()]);
    let mut scenario = bench.scenario("staged", "stuck-in-recovery");
    scenario.restore_point = Some(RestorePoint { files });
    scenario.expect.verdict = serde_json::from_value(verdict.into()).unwrap();
    if verdict == "recovered" {
        scenario.expect.layers = vec![Layer::RestorePoint];
    }
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_eq!(result.derived.outcome.verdict.name(), verdict, "{}", because(&result));
    assert_eq!(replay(&result.directory).unwrap().same, Some(true));
    result
}

#[tokio::test(start_paused = true)]
async fn what_came_since_goes_and_the_users_own_files_stay() {
    let Some(bench) = Bench::new() else { return };
    let result = run(&bench, true, "recovered").await;
    let outcome = &result.derived.outcome;
    assert_eq!(outcome.brought_back_by, Some(timeline::Layer::RestorePoint));
    assert_eq!(outcome.boots.len(), 5, "and it starts once more");
    assert_eq!(unmet(&result), [""; 0]);
    let removed: Vec<&str> = outcome
        .disk_changes
        .iter()
        .filter(|change| change.change == "removed")
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(removed, [BAD_FILE]);
    let [canary] = &outcome.canaries[..] else { panic!("{:?}", outcome.canaries) };
    assert!(canary.path == CANARY && canary.intact);
}

/// The bad file is no part of the registry, which nothing has changed since.
#[tokio::test(start_paused = true)]
async fn where_nothing_differs_nothing_is_done() {
    let Some(bench) = Bench::new() else { return };
    let result = run(&bench, false, "stuck-in-recovery").await;
    let outcome = &result.derived.outcome;
    let own = outcome.layers.iter().find(|own| own.layer == timeline::Layer::RestorePoint).unwrap();
    assert_eq!(own.result, LayerResult::TriedNoHelp);
    assert_eq!(own.reason.as_deref(), Some("the registry is as at that point already"));
    assert_eq!(outcome.brought_back_by, None);
}

//! Which verdict a run gets.

use crate::conclusion::Standing;
use crate::{Boot, BootKind, Change, Layer, LayerResult, Phase, Verdict, Watcher};

/// The verdict of a run that is over, and why.
pub(crate) fn judge(watcher: &Watcher, brought_back: Option<Layer>) -> (Verdict, String) {
    let infrastructure = |because: String| (Verdict::Infrastructure, because);
    if let Some(reason) = &watcher.harness_failed {
        return infrastructure(format!("the harness failed: {reason}"));
    }
    let Some(facts) = &watcher.facts else {
        return infrastructure("the record has no run-started".to_owned());
    };
    if !watcher.run_ended {
        return infrastructure("the record breaks off before the end of the run".to_owned());
    }
    if let Some(fault) = watcher.armed.keys().find(|fault| !watcher.landed.contains(*fault)) {
        return infrastructure(format!("nothing proves that the fault {fault} landed"));
    }
    let (verdict, because) = match &watcher.conclusion {
        Some(conclusion) => (conclusion.verdict, conclusion.because.clone()),
        None => match &watcher.watch_ended {
            Some((_, why)) if why == "time-limit" => out_of_time(watcher),
            Some((_, why)) if why == "concluded" => out_of_time(watcher),
            Some((_, why)) => infrastructure(format!("the watch ended early: {why}")),
            None => infrastructure("the run ended without a watch".to_owned()),
        },
    };
    if verdict == Verdict::Infrastructure {
        return (verdict, because);
    }
    let lost = watcher.findings.canaries.values().filter(|intact| !**intact).count();
    if lost > 0 {
        let files = if lost == 1 { "a file".to_owned() } else { format!("{lost} files") };
        return (Verdict::DataLost, format!("{files} of the user's data did not survive"));
    }
    if verdict == Verdict::Unaffected && facts.image_is_model {
        // A model has not all that a real driver needs, and that says nothing about the driver.
        if let Some(driver) =
            facts.drivers_that_did_not_run(&watcher.boots, &watcher.findings.log).first()
        {
            return infrastructure(format!(
                "the driver {} never ran on this model: {}; take a Windows image, or expect it (`failures` in \
                 `[expect]`)",
                driver.file,
                driver.told()
            ));
        }
    }
    if verdict == Verdict::Recovered && !facts.expected_layers.is_empty() {
        let expected: Vec<&str> = facts.expected_layers.iter().map(|layer| layer.name()).collect();
        let expected = expected.join(", ");
        return match brought_back {
            Some(layer) if facts.expected_layers.contains(&layer) => (verdict, because),
            Some(layer) => (
                Verdict::RecoveredOtherwise,
                format!("{because}; brought back by {layer}, not by {expected}"),
            ),
            None => (
                Verdict::RecoveredOtherwise,
                format!("{because}; it came back by itself, not by {expected}"),
            ),
        };
    }
    (verdict, because)
}

/// Time ran out, or the engine ended the watch by its own judgement: what does the evidence say?
fn out_of_time(watcher: &Watcher) -> (Verdict, String) {
    if let Some(given_up) = &watcher.to_help {
        let because = format!("{}; the watch ended in the turn of a layer", given_up.because);
        return (given_up.verdict, because);
    }
    if watcher.is_to_start_again() {
        let because = "the watch ended before the machine was started once more";
        return (Verdict::Infrastructure, because.to_owned());
    }
    if !watcher.all_armed() {
        let because = "the watch ended before all faults were armed".to_owned();
        return (Verdict::Infrastructure, because);
    }
    let Some(last) = watcher.boots.last() else {
        return (Verdict::Infrastructure, "the machine never ran".to_owned());
    };
    let standing = Standing::of(watcher);
    let failures = standing.failed.len();
    if last.is_healthy() && !last.failed() {
        let verdict = if failures == 0 { Verdict::Unaffected } else { Verdict::Recovered };
        return (verdict, "healthy when the watch ended".to_owned());
    }
    if last.kind() == BootKind::Recovery {
        let because = "in the recovery environment when the watch ended".to_owned();
        return (Verdict::StuckInRecovery, because);
    }
    let loop_after = watcher.facts.as_ref().map_or(1, |facts| facts.loop_after.max(1)) as usize;
    let row = watcher.current_row().map_or(0, |row| row.boots.len());
    if row >= loop_after || standing.since_recovery >= loop_after {
        let because = format!("{} failed boots when the watch ended", row.max(failures));
        return (Verdict::Looping, because);
    }
    if standing.rounds > 0 {
        let because = "recovery did not help until the watch ended".to_owned();
        return (Verdict::StuckInRecovery, because);
    }
    (Verdict::Hung, format!("{} when the watch ended", last.end))
}

/// The layer whose change preceded the healthy boot in which the watch ended, and followed the last
/// failure. Where nobody saw a change while the machine ran, the layers' logs tell (`reports`): a layer is
/// credited whose last session changed something, if the recovery environment was entered in between. Where no
/// boot was recognised as one of the recovery environment, a session that is new in the log is proof enough
/// that there was one. A restart by hand is credited where nothing else helped since.
pub(crate) fn brought_back(
    boots: &[Boot],
    changes: &[Change],
    reports: &[(Layer, LayerResult)],
) -> Option<Layer> {
    let healthy = boots.last().filter(|boot| boot.has_reached(Phase::Healthy) && !boot.failed())?;
    let failed = boots.iter().rev().find(|boot| boot.failed())?;
    let between = |boot: u32| boot >= failed.number && boot < healthy.number;
    if let Some(change) = changes.iter().rev().find(|change| between(change.boot)) {
        return Some(change.layer);
    }
    let is_recovery = |boot: &&Boot| boot.kind() == BootKind::Recovery && boot.during.is_none();
    let mut recovery = boots.iter().filter(is_recovery).peekable();
    let entered = recovery.peek().is_none() || recovery.any(|boot| between(boot.number));
    let logged = reports.last().filter(|(_, result)| entered && *result == LayerResult::Applied);
    if let Some((layer, _)) = logged {
        return Some(*layer);
    }
    // Being switched off and on again is a chance for all starts that follow, and not only for the first.
    changes.last().map(|change| change.layer).filter(|layer| *layer == Layer::Reboots)
}

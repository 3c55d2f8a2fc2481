//! What real runs recorded, from the events to what a person reads, against the committed references.

use std::path::{Path, PathBuf};

use report::{Comparison, RunIdentity, Style, compare, pending_in, render_timeline, summary};
use timeline::Verdict;

use crate::{RECORDINGS, derived};

/// A copy of the scenario's committed reference, beside which a pending one may be written.
fn reference(recording: &str) -> (tempfile::TempDir, PathBuf) {
    let scenario = recording.strip_prefix("recorded-").expect("a recording");
    let file = format!("{scenario}.understudy.snap");
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copy = folder.path().join(&file);
    std::fs::copy(scenarios.join(scenario).join(&file), &copy).expect("the committed reference");
    (folder, copy)
}

#[test]
fn their_outcomes_are_the_committed_references() {
    for (name, _) in RECORDINGS {
        let (folder, reference) = reference(name);
        match compare(&derived(name).outcome, &reference, "recorded").expect("compares") {
            Comparison::Same { .. } => {}
            Comparison::Different { diff, .. } => panic!("{name}: {}", diff.render(Style::plain())),
            other => panic!("{name}: {other:?}"),
        }
        assert!(pending_in(folder.path()).expect("readable").is_empty(), "{name}");
    }
}

#[test]
fn a_machine_that_does_not_come_back_differs_from_the_reference() {
    let (folder, reference) = reference("recorded-channel-file-291");
    let mut outcome = derived("recorded-channel-file-291").outcome;
    outcome.verdict = Verdict::StuckInRecovery;
    outcome.because = "the recovery environment waits for a person".into();
    outcome.brought_back_by = None;
    outcome.touch = None;
    outcome.boots.pop();
    let comparison = compare(&outcome, &reference, "other").expect("compares");
    let Comparison::Different { diff, .. } = &comparison else { panic!("{comparison:?}") };
    insta::assert_snapshot!("recorded-difference", diff.render(Style::plain()));
    let pending = pending_in(folder.path()).expect("readable");
    assert_eq!(pending, [folder.path().join("channel-file-291.understudy@other.snap.new")]);
}

#[test]
fn they_are_shown() {
    for (name, _) in RECORDINGS {
        let style = Style::detect(false, None, Some(100));
        insta::assert_snapshot!(name, render_timeline(&derived(name), None, style));
    }
}

#[test]
fn the_main_run_fits_on_a_screen() {
    let style = Style::detect(false, None, Some(100));
    let shown = render_timeline(&derived("recorded-channel-file-291"), None, style);
    assert!(shown.lines().count() <= 35, "{}", shown.lines().count());
}

#[test]
fn the_main_runs_summary_says_what_a_pipeline_asks_for() {
    let derived = derived("recorded-channel-file-291");
    let (_folder, reference) = reference("recorded-channel-file-291");
    let comparison = compare(&derived.outcome, &reference, "recorded").expect("compares");
    let directory = Path::new("runs/recorded");
    let identity = RunIdentity { run: "recorded", directory, exit_code: 0 };
    let text = summary(&derived, Some(&comparison), identity).render();
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["verdict"], "recovered");
    assert_eq!(json["comparison"]["result"], "same");
    assert_eq!(json["boots"][0]["stop"]["module"], "csagent.sys");
    assert_eq!(json["boots"][0]["stop"]["parameters"][0], "0xFFFF840500000074");
    assert_eq!(json["boots"][0]["stop"]["dump"], true);
}

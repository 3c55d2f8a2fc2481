//! `loopbreak report`, on a recorded run whose outcome is not that of its reference.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

const EVENTS: &str = include_str!("../../timeline/tests/fixtures/recorded-channel-file-291.jsonl");
const RUN: &str = "20240719-040900-abcdef";

/// A state directory with one run in it, and a scenario beside it that expects something else.
fn state() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let scenario = place.path().join("scenarios/channel-file-291");
    std::fs::create_dir_all(&scenario).unwrap();
    std::fs::write(scenario.join("scenario.toml"), "format = 1\n\n[expect]\n").unwrap();
    let mut outcome = timeline::derive(&timeline::read_events(EVENTS).unwrap().events).outcome;
    outcome.boots.remove(1);
    let reference = scenario.join("channel-file-291.snap");
    let text =
        format!("---\nsource: scenario.toml\nexpression: outcome\n---\n{}", outcome.render());
    std::fs::write(&reference, text).unwrap();

    let run = place.path().join("state/runs").join(RUN);
    std::fs::create_dir_all(run.join("machine/frames")).unwrap();
    std::fs::write(run.join("events.jsonl"), EVENTS).unwrap();
    let record = serde_json::json!({
        "format": 1, "run": RUN, "scenario": "channel-file-291", "scenario-digest": "d",
        "reference": reference, "image": "understudy", "image-digest": "i",
        "began": "2024-07-19T04:09:00Z", "status": "complete",
    });
    std::fs::write(run.join("run.json"), record.to_string()).unwrap();
    let summary = serde_json::json!({
        "exit_code": 1,
        "comparison": {
            "result": "different", "reference": reference, "pending": null,
            "changes": ["healthy on the 4th boot instead of the 3rd"],
        },
    });
    std::fs::write(run.join("summary.json"), summary.to_string()).unwrap();
    place
}

fn report(place: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loopbreak"))
        .current_dir(place)
        .env("LOOPBREAK_STATE", place.join("state"))
        .env("GITHUB_STEP_SUMMARY", place.join("summary.md"))
        .arg("report")
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn all_reports_of_a_run_that_differs() {
    let place = state();
    let at = |name: &str| place.path().join(name);
    let output = report(
        place.path(),
        &["latest", "--junit", "r.xml", "--html", "r.html", "--markdown", "r.md", "--github"],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
    let changed = "healthy on the 4th boot instead of the 3rd";
    let junit = read("r.xml");
    assert!(junit.contains(&format!("<failure message=\"{changed}\"")), "{junit}");
    let html = read("r.html");
    assert!(html.contains(changed) && html.contains("<ins>+"), "{html}");
    assert!(read("r.md").contains(changed));
    assert_eq!(read("summary.md"), read("r.md"));
    let annotation = String::from_utf8(output.stdout).unwrap();
    let begin =
        "::error file=scenarios/channel-file-291/scenario.toml,line=3,title=channel-file-291";
    assert!(annotation.starts_with(begin), "{annotation}");
    // Nothing half-written is left.
    let left: Vec<_> = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".report"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn what_cannot_be_written_or_read_is_said() {
    let place = state();
    let said = |arguments: &[&str]| {
        let output = report(place.path(), arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = said(&["latest"]);
    assert!(code == Some(2) && error.contains("--html FILE"), "{error}");
    let (code, error) = said(&["latest", "--html", "nowhere/r.html"]);
    assert!(code == Some(2) && error.contains("nowhere/r.html cannot be written"), "{error}");
    std::fs::remove_file(place.path().join("state/runs").join(RUN).join("summary.json")).unwrap();
    let (code, error) = said(&["latest", "--html", "r.html"]);
    assert!(code == Some(2) && error.contains("came to no outcome"), "{error}");
    assert!(!place.path().join("r.html").exists());
}

//! `loopbreak fleet`, as a user meets it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

use serde_json::Value;

fn loopbreak(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loopbreak")).arg("fleet").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A fleet that is quick to play.
const SMALL: [&str; 6] = [
    "--set",
    "fleet.machines=3000",
    "--set",
    "help-desk.hands=10",
    "--set",
    "found-otherwise.machines=2",
];

fn simulate(more: &[&str]) -> Output {
    loopbreak(&[&["simulate", "july-2024"], &SMALL[..], more].concat())
}

#[test]
fn a_preset_is_played_with_what_was_set_and_the_assumptions_are_shown() {
    let output = simulate(&["--assumptions"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for wanted in ["everything-at-once", "four-rings", "This is a simulation.", "Stopped in ring 1"]
    {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    let machines = shown.lines().find(|line| line.starts_with("fleet.machines")).unwrap();
    assert!(machines.contains("3000"), "{machines}");
}

#[test]
fn json_is_the_same_for_any_number_of_threads() {
    let one = simulate(&["--json", "--threads", "1", "--plan", "everything-at-once"]);
    let two = simulate(&["--json", "--threads", "2", "--plan", "everything-at-once"]);
    assert!(one.status.success() && one.stdout == two.stdout);
    let document: Value = serde_json::from_slice(&one.stdout).unwrap();
    let outcomes = document["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 1);
    assert!(outcomes[0]["broke"].as_u64().unwrap() > 2900, "{}", outcomes[0]["broke"]);
    assert!(document["assumptions"].as_array().unwrap().len() > 60);
    let rounds = simulate(&["--json", "--rounds", "5", "--plan", "four-rings"]);
    let document: Value = serde_json::from_slice(&rounds.stdout).unwrap();
    assert_eq!(document["predictions"][0]["rounds"], 5);
}

#[test]
fn what_cannot_be_played_is_a_usage_error_that_says_what_to_do() {
    for (args, wanted) in [
        (vec!["simulate", "no-such-file"], "or a preset: july-2024"),
        (vec!["simulate", "july-2024", "--plan", "five"], "it has everything-at-once"),
        (vec!["simulate", "july-2024", "--set", "class.offices.share=1"], "cannot set"),
        (vec!["simulate", "july-2024", "--set", "seed"], "PATH=VALUE"),
        (vec!["preset", "june-2024"], "it has july-2024"),
    ] {
        let output = loopbreak(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(wanted), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_recommendation_is_a_table_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("plans.html");
    let few = ["--set", "search.first=[0.01]", "--set", "search.wait=['15m', '4h']"];
    let page_option = ["--html", page.to_str().unwrap(), "--within", "10m"];
    let args = [&["recommend", "july-2024"], &SMALL[..], &few, &page_option].concat();
    let output = loopbreak(&args);
    let shown = text(&output.stdout);
    assert!(shown.contains("everything at once") && shown.contains("every 4h"), "{shown}");
    assert!(shown.contains("Smallest loss within 10m: none"), "{shown}");
    assert_eq!(output.status.code(), Some(1), "no plan is so fast: {shown}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("This is a simulation."));
}

#[test]
fn a_preset_that_was_printed_can_be_played() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, loopbreak(&["preset", "july-2024"]).stdout).unwrap();
    let of_file = [&["simulate", file.to_str().unwrap()], &SMALL[..]].concat();
    assert_eq!(loopbreak(&of_file).stdout, simulate(&[]).stdout);
    let schema: Value = serde_json::from_slice(&loopbreak(&["preset", "schema"]).stdout).unwrap();
    assert!(schema["properties"]["plan"].is_object());
}

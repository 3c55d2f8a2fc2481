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

/// `fleet play`, as from the root of the project.
fn play(args: &[&str]) -> Output {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_loopbreak"));
    command.current_dir(root).args(["fleet", "play"]).args(args).output().unwrap()
}

fn rollout(name: &str, ending: &str) -> String {
    format!("scenarios/rollouts/channel-file-291-{name}.{ending}")
}

#[test]
fn recorded_rollouts_are_played_again_without_machines() {
    for (name, says) in [
        ("rings", "Stopped in ring 1 of 4 (canaries)"),
        ("at-once", "there was no ring to hold back"),
        ("late-telemetry", "telemetry (crash-reports) arrived 140 min after that"),
    ] {
        let (file, record) = (rollout(name, "toml"), rollout(name, "understudy.jsonl"));
        let output = play(&[&file, "--from", &record]);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{shown}{}", text(&output.stderr));
        for wanted in [says, "As its reference.", "a model, not Windows"] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
    }
}

#[test]
fn a_record_is_held_against_the_reference_and_what_it_does_not_say_is_told() {
    let (file, record) = (rollout("rings", "toml"), rollout("rings", "understudy.jsonl"));
    let output = play(&[&file, "--from", &record, "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let one = &document["rollouts"][0];
    assert_eq!(
        (&one["reference"], &one["plays"][0]["outcome"]["took"]),
        (&"same".into(), &3.into())
    );
    let figures = one["plays"][0]["simulated"].as_array().unwrap();
    assert!(figures.iter().all(|figure| figure["agrees"] == true), "{figures:?}");
    let set = play(&[&file, "--from", &record, "--set", "signals.silent-after=25m"]);
    assert!(text(&set.stdout).contains("nothing is compared with the reference"));
    // The same rollout elsewhere, where it has another reference.
    let folder = tempfile::tempdir().unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let copy = folder.path().join("copy.toml");
    std::fs::copy(root.join(&file), &copy).unwrap();
    let copy_text = copy.to_str().unwrap();
    let missing = play(&[copy_text, "--from", &record]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stdout).contains("There is no reference yet"));
    let reference =
        std::fs::read_to_string(root.join(rollout("rings", "understudy.json"))).unwrap();
    let other = reference.replacen("\"took\": 3", "\"took\": 4", 1);
    assert_ne!(other, reference);
    std::fs::write(folder.path().join("copy.understudy.json"), other).unwrap();
    let differs = play(&[copy_text, "--from", &record]);
    assert_eq!(differs.status.code(), Some(1));
    assert!(text(&differs.stdout).contains("outcomes[0].took: 3, the reference has 4"));
    // Machines that this record says nothing of.
    let lacks = play(&[&rollout("late-telemetry", "toml"), "--from", &record]);
    assert_eq!(lacks.status.code(), Some(2));
    assert!(text(&lacks.stderr).contains("does not say what becomes of machine"));
}

#[test]
fn what_real_machines_cannot_be_played_with_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let rings = std::fs::read_to_string(root.join(rollout("rings", "toml"))).unwrap();
    let real = "scenario = \"channel-file-291\"";
    for (to, says) in [
        ("scenario = \"channel-file-292\"", "no scenario `channel-file-292`"),
        ("scenario = \"channel-file-291-race/restarts\"", "has a content service"),
        ("scenario = \"channel-file-291-rollback\"", "has the variants"),
    ] {
        let file = folder.path().join("mine.toml");
        std::fs::write(&file, rings.replacen(real, to, 1)).unwrap();
        let output = play(&[file.to_str().unwrap()]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(says) && told.contains("mine.toml:11:"), "{told}");
    }
    let file = folder.path().join("none.toml");
    std::fs::write(&file, rings.replacen(&format!("[real]\n{real}\n"), "", 1)).unwrap();
    let output = play(&[file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("does not say what real machines are played with"));
}

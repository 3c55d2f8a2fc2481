//! Filters, pending outcomes and comparisons, on recorded runs and on the library's scenarios.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const EVENTS: &str = include_str!("../../timeline/tests/fixtures/recorded-channel-file-291.jsonl");
const RUNS: [&str; 2] = ["20240719-040900-abcdef", "20240720-040900-ghijkl"];

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

fn loopbreak(state: &Path, scenarios: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loopbreak"))
        .env("LOOPBREAK_STATE", state)
        .env("LOOPBREAK_SCENARIOS", scenarios)
        .args(arguments)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A recorded run of a scenario of the library, which ended with this exit code.
fn record(state: &Path, run: &str, scenario: &str, events: &str, exit_code: u8) {
    let directory = state.join("runs").join(run);
    std::fs::create_dir_all(directory.join("machine/frames")).unwrap();
    std::fs::write(directory.join("events.jsonl"), events).unwrap();
    let reference = state.join("none.snap");
    let record = serde_json::json!({
        "format": 1, "run": run, "scenario": scenario, "scenario-digest": "d",
        "reference": reference, "image": "understudy", "image-digest": "i",
        "began": "2024-07-19T04:09:00Z", "status": "complete",
    });
    std::fs::write(directory.join("run.json"), record.to_string()).unwrap();
    let loaded = scenario::Scenario::load(&library().join(scenario)).unwrap();
    std::fs::write(directory.join("scenario.json"), serde_json::to_string(&loaded).unwrap())
        .unwrap();
    let summary = serde_json::json!({ "exit_code": exit_code, "verdict": "recovered" });
    std::fs::write(directory.join("summary.json"), summary.to_string()).unwrap();
    let derived = timeline::derive(&timeline::read_events(events).unwrap().events);
    let measured = serde_json::to_string(&derived.measurements).unwrap();
    std::fs::write(directory.join("measurements.json"), measured).unwrap();
}

#[test]
fn a_filter_chooses_among_all_scenarios() {
    let state = tempfile::tempdir().unwrap();
    let filter = "incident(kb50*) & layer(quick-machine-recovery)";
    let listed = loopbreak(state.path(), &library(), &["scenario", "list", "--json", "-E", filter]);
    assert_eq!(listed.status.code(), Some(0), "{}", err(&listed));
    let names: Vec<String> = out(&listed)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].to_string())
        .collect();
    assert!(names.contains(&r#""kb5009624/quick-machine-recovery""#.to_owned()), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("\"kb50")), "{names:?}");

    let run = loopbreak(state.path(), &library(), &["run", "--list", "-E", filter]);
    assert_eq!(run.status.code(), Some(0), "{}", err(&run));
    assert_eq!(out(&run).lines().count(), names.len());
}

#[test]
fn a_filter_that_chooses_nothing_or_means_nothing_is_an_error() {
    let state = tempfile::tempdir().unwrap();
    for command in [&["run", "--list"][..], &["scenario", "list"], &["pending"], &["accept"]] {
        let arguments = [command, &["-E", "incident(kb99*)"]].concat();
        let output = loopbreak(state.path(), &library(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err(&output).contains("chooses none of"), "{}", err(&output));
        assert_eq!(out(&output), "");
    }
    let output = loopbreak(state.path(), &library(), &["run", "-E", "all() & incidnet(kb50*)"]);
    assert_eq!(output.status.code(), Some(2));
    let message = err(&output);
    assert!(message.contains("line 1, column 9: there is no predicate `incidnet`"), "{message}");
    assert!(message.ends_with("  all() & incidnet(kb50*)\n          ^\n"), "{message}");
}

#[test]
fn what_failed_last_is_run_again() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), RUNS[0], "channel-file-291", EVENTS, 1);
    let again = ["run", "--rerun-failed", "--list"];
    assert_eq!(out(&loopbreak(state.path(), &library(), &again)), "channel-file-291\n");
    let filtered = ["run", "--rerun-failed", "--list", "-E", "incident(kb*)"];
    assert_eq!(loopbreak(state.path(), &library(), &filtered).status.code(), Some(2));
    // A later run of it went well.
    record(state.path(), RUNS[1], "channel-file-291", EVENTS, 0);
    let output = loopbreak(state.path(), &library(), &again);
    assert_eq!(output.status.code(), Some(2), "{}", out(&output));
    let runs = loopbreak(state.path(), &library(), &["runs", "-E", "failed()"]);
    assert!(out(&runs).starts_with(RUNS[0]) && out(&runs).lines().count() == 1, "{}", out(&runs));
}

/// A folder of scenarios with one in it, its reference, and an outcome that waits.
fn waiting() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let home = place.path().join("channel-file-291-good");
    std::fs::create_dir_all(&home).unwrap();
    let own = library().join("channel-file-291-good");
    std::fs::create_dir(place.path().join("base")).unwrap();
    for file in ["base/csagent.toml", "channel-file-291-good/scenario.toml"] {
        std::fs::copy(library().join(file), place.path().join(file)).unwrap();
    }
    let reference = "channel-file-291-good.understudy.snap";
    let accepted = std::fs::read_to_string(own.join(reference)).unwrap();
    std::fs::write(home.join(reference), &accepted).unwrap();
    let changed = accepted.replacen("unaffected", "hung", 1);
    assert_ne!(accepted, changed);
    let pending = "channel-file-291-good.understudy@20240719-040900-abcdef.snap.new";
    std::fs::write(home.join(pending), changed).unwrap();
    place
}

#[test]
fn pending_outcomes_are_listed_in_words_and_decided_on() {
    let state = tempfile::tempdir().unwrap();
    let place = waiting();
    let command = |arguments: &[&str]| loopbreak(state.path(), place.path(), arguments);
    let listed = command(&["pending", "--json"]);
    let line: serde_json::Value = serde_json::from_str(out(&listed).trim()).unwrap();
    assert_eq!(line["scenario"], "channel-file-291-good");
    assert_eq!(line["changes"][0], "hung instead of unaffected");
    assert_eq!((&line["stale"], &line["new"]), (&false.into(), &false.into()));

    // Without a terminal it lists, and says the next command.
    let review = command(&["review"]);
    assert_eq!(review.status.code(), Some(0));
    assert!(out(&review).contains("hung instead of unaffected"), "{}", out(&review));
    assert!(err(&review).contains("loopbreak accept SCENARIO"), "{}", err(&review));

    let nothing = command(&["reject", "-E", "tag(nightly)"]);
    assert_eq!(nothing.status.code(), Some(2));
    let rejected = command(&["reject", "-E", "incident(channel-file-291-good)"]);
    assert!(out(&rejected).starts_with("rejected "), "{}", err(&rejected));
    assert!(err(&command(&["pending"])).contains("nothing is pending"));
    let again = command(&["reject", "-E", "all()"]);
    assert_eq!(again.status.code(), Some(2), "{}", out(&again));
}

#[test]
fn an_outcome_that_was_left_in_the_run_directory_is_accepted_from_there() {
    let state = tempfile::tempdir().unwrap();
    let place = waiting();
    let home = place.path().join("channel-file-291-good");
    let name = format!("channel-file-291-good.understudy@{}.snap.new", RUNS[0]);
    let run = state.path().join("runs").join(RUNS[0]);
    record(state.path(), RUNS[0], "channel-file-291-good", EVENTS, 1);
    let text = std::fs::read_to_string(run.join("run.json")).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let reference = home.join("channel-file-291-good.understudy.snap");
    record["reference"] = reference.to_str().unwrap().into();
    std::fs::write(run.join("run.json"), record.to_string()).unwrap();
    std::fs::rename(home.join(&name), run.join(&name)).unwrap();
    // Rejecting is about what lies beside references.
    let rejected = loopbreak(state.path(), place.path(), &["reject", "latest"]);
    assert_eq!(rejected.status.code(), Some(2), "{}", out(&rejected));
    let accepted = loopbreak(state.path(), place.path(), &["accept", "latest"]);
    assert_eq!(accepted.status.code(), Some(0), "{}", err(&accepted));
    assert!(std::fs::read_to_string(&reference).unwrap().contains("hung"));
    assert!(run.join(&name).exists(), "the record stays whole");
}

#[test]
fn an_accepted_outcome_is_the_reference() {
    let state = tempfile::tempdir().unwrap();
    let place = waiting();
    let accepted = loopbreak(state.path(), place.path(), &["accept", "-E", "verdict(unaffected)"]);
    assert_eq!(accepted.status.code(), Some(0), "{}", err(&accepted));
    let home = place.path().join("channel-file-291-good");
    let reference =
        std::fs::read_to_string(home.join("channel-file-291-good.understudy.snap")).unwrap();
    assert!(reference.contains("hung"));
}

#[test]
fn references_without_a_scenario_and_scenarios_without_a_reference_are_found() {
    let state = tempfile::tempdir().unwrap();
    let place = waiting();
    let home = place.path().join("channel-file-291-good");
    let check = || loopbreak(state.path(), place.path(), &["scenario", "check"]);
    assert_eq!(check().status.code(), Some(0));
    let reference = home.join("channel-file-291-good.understudy.snap");
    std::fs::rename(&reference, home.join("renamed.reactos-0.4.snap")).unwrap();
    let output = check();
    assert_eq!(output.status.code(), Some(2));
    assert!(out(&output).contains("ok, without a reference"), "{}", out(&output));
    assert!(err(&output).contains("renamed.reactos-0.4.snap is the reference of no scenario"));
}

#[test]
fn two_runs_are_compared() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), RUNS[0], "channel-file-291", EVENTS, 0);
    record(state.path(), RUNS[1], "channel-file-291", EVENTS, 0);
    let diff = || loopbreak(state.path(), &library(), &["diff", RUNS[0], RUNS[1]]);
    let same = diff();
    assert_eq!(same.status.code(), Some(0), "{}", err(&same));
    assert!(out(&same).starts_with("the outcomes are the same\n"), "{}", out(&same));
    assert!(out(&same).contains("both take the same steps"), "{}", out(&same));

    // The second run breaks off in the middle.
    let events: Vec<&str> = EVENTS.lines().collect();
    let half = events[..events.len() / 2].join("\n") + "\n";
    record(state.path(), RUNS[1], "channel-file-291", &half, 3);
    let differ = diff();
    assert_eq!(differ.status.code(), Some(1));
    let page = out(&differ);
    assert!(page.starts_with("the outcomes differ, from A to B:\n  "), "{page}");
    assert!(page.contains("the same steps until \u{201c}boot "), "{page}");
    assert!(page.contains("\n  the whole run"), "{page}");
}

#[test]
fn what_cannot_be_diagnosed_is_said() {
    let state = tempfile::tempdir().unwrap();
    let missing = loopbreak(state.path(), &library(), &["diagnose", "nothing-of-the-kind"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(err(&missing).contains("no disk, no image and no run"), "{}", err(&missing));
    record(state.path(), RUNS[0], "channel-file-291", EVENTS, 0);
    let without = loopbreak(state.path(), &library(), &["diagnose", "latest"]);
    assert_eq!(without.status.code(), Some(2));
    assert!(err(&without).contains("`loopbreak run --keep-disk` keeps it"), "{}", err(&without));
}

#[test]
fn a_quarantine_that_holds_no_longer_fails_the_run() {
    let state = tempfile::tempdir().unwrap();
    let place = waiting();
    let run = |entry: &str| {
        std::fs::write(place.path().join("quarantine.toml"), entry).unwrap();
        loopbreak(state.path(), place.path(), &["run", "--all", "--list"])
    };
    let entry = |scenario: &str, expires: &str| {
        format!(
            "format = 1\n[[quarantine]]\nscenario = \"{scenario}\"\nreason = \"known\"\n\
             tracker = \"https://example.org/7\"\nexpires = \"{expires}\"\n"
        )
    };
    let good = run(&entry("name(channel-file-291-*)", "2999-01-01"));
    assert_eq!(good.status.code(), Some(0), "{}", err(&good));
    for (text, at, what) in [
        (entry("name(channel-file-291-*)", "2024-07-19"), "6:11", "has expired"),
        (entry("name(kb*)", "2999-01-01"), "3:12", "no scenario is meant"),
        (entry("name(*)", "2999-01-01").replace("reason", "raeson"), "4:1", "unknown key `raeson`"),
    ] {
        let output = run(&text);
        assert_eq!(output.status.code(), Some(2));
        let message = err(&output);
        assert!(message.contains(&format!("quarantine.toml:{at}")), "{message}");
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn a_report_on_recorded_runs_knows_the_quarantine_too() {
    let state = tempfile::tempdir().unwrap();
    let place = waiting();
    record(state.path(), RUNS[0], "channel-file-291-good", EVENTS, 1);
    let file = state.path().join("r.xml");
    let report = |expires: &str| {
        let entry = format!(
            "format = 1\n[[quarantine]]\nscenario = \"name(*-good)\"\nreason = \"known\"\n\
             tracker = \"https://example.org/7\"\nexpires = \"{expires}\"\n"
        );
        std::fs::write(place.path().join("quarantine.toml"), entry).unwrap();
        let arguments = ["report", "latest", "--junit", file.to_str().unwrap()];
        let output = loopbreak(state.path(), place.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        std::fs::read_to_string(&file).unwrap()
    };
    let known = report("2999-01-01");
    assert!(known.contains("<skipped message=\"in quarantine until 2999-01-01: known"), "{known}");
    let expired = report("2024-07-19");
    assert!(expired.contains("<failure ") && !expired.contains("<skipped"), "{expired}");
}

#[test]
fn shards_are_a_partition_with_and_without_records() {
    let state = tempfile::tempdir().unwrap();
    let listed = |extra: &[&str]| {
        let output =
            loopbreak(state.path(), &library(), &[&["run", "--all", "--list"], extra].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        out(&output).lines().map(str::to_owned).collect::<Vec<String>>()
    };
    let whole = listed(&[]);
    let shards = || ["1/3", "2/3", "3/3"].map(|shard| listed(&["--shard", shard]));
    let check = |shards: &[Vec<String>; 3]| {
        let mut all = shards.concat();
        assert_eq!(all.len(), whole.len(), "none is there twice");
        all.sort_by_key(|name| whole.iter().position(|known| known == name));
        assert_eq!(all, whole);
    };
    let by_name = shards();
    check(&by_name);
    assert!(by_name.iter().all(|shard| shard.len().abs_diff(whole.len() / 3) <= 1));
    // With the record of a run, whatever it took.
    record(state.path(), RUNS[0], "channel-file-291", EVENTS, 0);
    let recorded = shards();
    check(&recorded);
    assert_eq!(recorded, shards());
    let wrong = loopbreak(state.path(), &library(), &["run", "--all", "--shard", "4/3"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(err(&wrong).contains("write it as 1/3"), "{}", err(&wrong));
}

#[test]
fn what_is_no_part_is_not_merged() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let part = |index: usize, code: u8| {
        format!(
            r#"[{{"scenario": "s{index}", "verdict": "hung", "exit_code": {code}, "listed": {{"index": {index}, "count": 2}}}}]"#
        )
    };
    let (one, two) = (file("1.json", &part(0, 0)), file("2.json", &part(1, 1)));
    let merge = |files: &[&str]| loopbreak(place.path(), &library(), &[&["merge"], files].concat());
    let merged = merge(&[&two, &one]);
    assert_eq!(merged.status.code(), Some(1), "the worst of them: {}", err(&merged));
    let documents: serde_json::Value = serde_json::from_str(&out(&merged)).unwrap();
    assert_eq!(
        (&documents[0]["scenario"], &documents[1]["scenario"]),
        (&"s0".into(), &"s1".into())
    );
    let xml = file("3.xml", "<testsuites/>");
    for (files, what) in [
        (&[one.as_str()][..], "1 of 2 results are missing"),
        (&[&one, &one], "both have s0"),
        (&[&one, &xml], "merge each kind by itself"),
    ] {
        let output = merge(files);
        assert_eq!(output.status.code(), Some(2));
        assert!(err(&output).contains(what), "{}", err(&output));
    }
}

#[test]
fn the_oldest_runs_go_until_the_others_are_small_enough() {
    let state = tempfile::tempdir().unwrap();
    for run in RUNS {
        record(state.path(), run, "channel-file-291", EVENTS, 0);
    }
    let there = || RUNS.map(|run| state.path().join("runs").join(run).exists());
    let prune = |arguments: &[&str]| {
        loopbreak(state.path(), &library(), &[&["runs", "prune"], arguments].concat())
    };
    let without = prune(&[]);
    assert_eq!(without.status.code(), Some(2));
    assert!(err(&without).contains("--max-size SIZE"), "{}", err(&without));
    let dry = prune(&["--max-size", "0MiB", "--dry-run"]);
    assert_eq!(out(&dry).matches("would remove ").count(), 2, "{}", err(&dry));
    assert_eq!(there(), [true, true]);
    // A run that is under way stays, however old it is.
    std::fs::create_dir_all(state.path().join("ledgers")).unwrap();
    let ledger = state.path().join("ledgers").join(format!("{}.jsonl", RUNS[0]));
    std::fs::write(&ledger, "").unwrap();
    assert_eq!(prune(&["--max-size", "0MiB"]).status.code(), Some(0));
    assert_eq!(there(), [true, false]);
    std::fs::remove_file(ledger).unwrap();
    assert!(out(&prune(&["--max-size", "0MiB"])).starts_with(&format!("removed {}, ", RUNS[0])));
    assert_eq!(there(), [false, false]);
}

#[test]
fn settings_hold_where_no_option_says_anything() {
    let state = tempfile::tempdir().unwrap();
    let place = tempfile::tempdir().unwrap();
    let command = |arguments: &[&str], variables: &[(&str, &str)]| {
        Command::new(env!("CARGO_BIN_EXE_loopbreak"))
            .current_dir(place.path())
            .env("LOOPBREAK_STATE", state.path())
            .env("LOOPBREAK_SCENARIOS", library())
            .envs(variables.iter().copied())
            .args(arguments)
            .output()
            .unwrap()
    };
    let run = ["run", "channel-file-291", "--list"];
    let image = |output: &Output| {
        let text = err(output);
        let named = text.split("no image `").nth(1).and_then(|rest| rest.split('`').next());
        named.map(str::to_owned)
    };
    assert_eq!(image(&command(&run, &[])), None, "the scenario's own image is not looked for");
    let text = "format = 1\n[profile.default]\nimage = [\"by-default\"]\n[profile.night]\nimage = [\"by-profile\"]\n";
    std::fs::write(place.path().join("loopbreak.toml"), text).unwrap();
    let variable = ("LOOPBREAK_IMAGE", "by-variable");
    let night = ("LOOPBREAK_PROFILE", "night");
    let option = [&run[..], &["--image", "by-option"]].concat();
    for (output, expected) in [
        (command(&run, &[]), "by-default"),
        (command(&run, &[night]), "by-profile"),
        (command(&[&run[..], &["--profile", "night"]].concat(), &[]), "by-profile"),
        (command(&run, &[variable, night]), "by-variable"),
        (command(&option, &[variable, night]), "by-option"),
    ] {
        assert_eq!(image(&output).as_deref(), Some(expected), "{}", err(&output));
    }
    std::fs::write(place.path().join("loopbreak.toml"), text.replace("image", "imgae")).unwrap();
    let wrong = command(&run, &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(err(&wrong).contains("--> loopbreak.toml:3:1"), "{}", err(&wrong));
    assert!(err(&wrong).contains("did you mean `image`?"), "{}", err(&wrong));
    let missing = command(&[&run[..], &["--settings", "nowhere.toml"]].concat(), &[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(err(&missing).contains("nowhere.toml"), "{}", err(&missing));
    assert!(out(&command(&["settings"], &[])).contains("[profile.ci]"));
}

/// What a matrix would run, with what its runs share; the time of the one that is on record.
#[test]
fn the_plan_of_a_matrix_says_what_goes_on_from_what() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), RUNS[0], "kb5021233/host-repair", EVENTS, 0);
    let arguments = ["plan", "matrix", "-E", "incident(kb5021233)", "-j", "2"];
    let plan = loopbreak(state.path(), &library(), &arguments);
    assert_eq!(plan.status.code(), Some(0), "{}", err(&plan));
    let plan = out(&plan);
    let line = |layer: &str| {
        plan.lines().find(|line| line.trim_start().starts_with(layer)).unwrap_or_default()
    };
    assert!(line("automatic-repair").contains("from a start of its own"), "{plan}");
    assert!(line("host-repair").contains("goes on from the machine that automatic-repair gave up"));
    assert!(line("reboots").contains("made of its other variants"), "{plan}");
    assert!(line("safe-mode").contains("not applicable: its repair is more than deleting"));
    assert!(line("uninstall-update").contains("not applicable: nothing that goes wrong came with"));
    assert!(plan.contains("6 runs: 3 from a start of their own, 3 go on"), "{plan}");
    assert!(plan.contains("by the last recorded runs of 1 of them"), "{plan}");
}

#[test]
fn a_matrix_that_cannot_be_is_refused_before_anything_runs() {
    let state = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let output = loopbreak(state.path(), &library(), arguments);
        assert_eq!(output.status.code(), Some(2), "{}", err(&output));
        err(&output)
    };
    let error = refused(&["matrix", "kb5021233", "--layers", "boot-media"]);
    assert!(error.contains("nothing here works boot-media yet; there are reboots"), "{error}");
    let error = refused(&["matrix", "kb5021233", "--layers", "rollback"]);
    assert!(error.contains("none of these incidents"), "{error}");
    let error = refused(&["matrix", "kb5021233"]);
    assert!(error.contains("understudy"), "no such image: {error}");
}

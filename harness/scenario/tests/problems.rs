//! Every kind of mistake, with where it is reported and what it says.

use std::path::Path;

use scenario::{Problem, Scenario, ScenarioError};

/// The main scenario with one replacement, loaded from a folder of its own.
fn load_with(replace: &str, by: &str) -> Result<Scenario, ScenarioError> {
    let original = include_str!("channel-file-291.toml");
    assert_eq!(original.matches(replace).count(), 1, "`{replace}` is not there exactly once");
    load_text(&original.replace(replace, by))
}

fn load_text(text: &str) -> Result<Scenario, ScenarioError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().join("channel-file-291");
    fs_err::create_dir(&folder).expect("a folder within it");
    fs_err::write(folder.join("scenario.toml"), text).expect("a file within it");
    Scenario::load(&folder)
}

/// The one problem that the replacement makes, and the text that it points at.
fn problem_with(replace: &str, by: &str) -> (Problem, String) {
    let error = load_with(replace, by).expect_err("the scenario loads in spite of the mistake");
    let ScenarioError::Invalid { problems } = error else {
        panic!("another error: {error}");
    };
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let problem = problems[0].clone();
    let meant = problem.meant.clone();
    (problem, meant)
}

#[track_caller]
fn assert_problem(replace: &str, by: &str, meant: &str, what: &str, expected: &str, fix: &str) {
    let (problem, found) = problem_with(replace, by);
    assert_eq!(found, meant, "{problem:#?}");
    assert!(problem.what.contains(what), "{problem:#?}");
    assert!(problem.expected.contains(expected), "{problem:#?}");
    assert!(problem.fix.contains(fix), "{problem:#?}");
}

#[test]
fn an_unknown_key_is_shown_with_the_one_that_was_meant() {
    let error = load_with("clock = ", "clokc = ").unwrap_err();
    let shown = error.to_string();
    let shown = shown.replace(&*temporary(&shown), "scenario.toml");
    insta::assert_snapshot!(shown, @r#"
    unknown key `clokc` in `machine`
      --> scenario.toml:19:1
       |
    19 | clokc = "2024-07-19T04:09:00Z"
       | ^^^^^
       = expected: one of `clock`, `needs`, `lacks`
       = do: did you mean `clock`?
    "#);
}

/// The path in a rendered error, which differs from run to run.
fn temporary(shown: &str) -> String {
    let line = shown.lines().nth(1).unwrap_or_default();
    let path = line.trim_start().trim_start_matches("--> ");
    path.split(".toml").next().unwrap_or_default().to_owned() + ".toml"
}

#[test]
fn all_problems_are_reported_in_the_order_of_the_file() {
    let original = include_str!("channel-file-291.toml");
    let text =
        original.replace("loop-after = 3", "loop-afer = 3").replace("format = 1", "format = 2");
    let error = load_text(&text).unwrap_err();
    let lines: Vec<&str> = error
        .problems()
        .iter()
        .map(|problem| text.lines().nth(problem.line - 1).unwrap())
        .collect();
    assert_eq!(lines, ["format = 2", "loop-afer = 3"]);
}

#[test]
fn mistakes_of_shape() {
    assert_problem(
        "time-scale = 120",
        "time_scale = 120",
        "time_scale",
        "unknown key `time_scale` in `machine`",
        "`time-scale`",
        "did you mean `time-scale`?",
    );
    assert_problem(
        "time-scale = 120",
        "time-scale = \"fast\"",
        "\"fast\"",
        "`machine.time-scale` is a text",
        "a whole number: Documented minutes",
        "without quotes",
    );
    assert_problem(
        "time-scale = 120",
        "time-scale = 0",
        "0",
        "out of range",
        "from 1 to 3600",
        "in that range",
    );
    assert_problem(
        "clock = \"2024-07-19T04:09:00Z\"",
        "clock = 2024-07-19T04:09:00Z",
        "2024-07-19T04:09:00Z",
        "`machine.clock` is a TOML date",
        "a text",
        "put it in quotes: \"2024-07-19T04:09:00Z\"",
    );
    assert_problem(
        "image = \"understudy\"\n",
        "",
        "[machine]",
        "`machine` has no `image`",
        "Name of the image",
        "add `image = \"…\"`",
    );
    assert_problem(
        "start = \"checkpoint\"",
        "start = \"checkpiont\"",
        "\"checkpiont\"",
        "`machine.start` cannot be `checkpiont`",
        "one of `cold`, `checkpoint`",
        "did you mean `checkpoint`?",
    );
    assert_problem(
        "verdict = \"recovered\"",
        "verdict = \"fixed\"",
        "\"fixed\"",
        "`expect.verdict` cannot be `fixed`",
        "`stuck-in-recovery`",
        "write one of these",
    );
}

#[test]
fn a_machine_that_may_not_ask_cannot_be_expected_to() {
    let error = load_with("cloud-remediation = true", "cloud-remediation = false").unwrap_err();
    let whats: Vec<&str> = error.problems().iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(whats.len(), 2, "{whats:?}");
    assert!(whats[0].contains("cloud remediation is off, so it never asks"), "{whats:?}");
    assert!(whats[1].contains("`applied` is expected"), "{whats:?}");
}

#[test]
fn a_service_that_is_expected_has_to_be_there() {
    let original = include_str!("channel-file-291.toml");
    let start = original.find("[update-service]").unwrap();
    let end = original.find("[expect]").unwrap();
    let text = format!("{}{}", &original[..start], &original[end..]);
    let error = load_text(&text).unwrap_err();
    let whats: Vec<&str> = error.problems().iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(whats.len(), 2, "{whats:?}");
    assert!(whats[0].contains("there is no update service to ask"), "{whats:?}");
    assert!(whats[1].contains("expected of the update service, but there is none"), "{whats:?}");
}

#[test]
fn files_are_looked_for_in_the_scenarios_folder() {
    let by = "content = { file = \"bad.bin\" }";
    let replace =
        "content = { channel-file = { fields = 21, patterns = { 21 = '\\\\.\\pipe\\*' } } }";
    let (problem, meant) = problem_with(replace, by);
    assert_eq!(meant, "\"bad.bin\"");
    assert!(problem.what.contains("no file `bad.bin`"), "{problem:#?}");
    let (problem, _) = problem_with(replace, "content = { file = \"../x/scenario.toml\" }");
    assert!(problem.what.contains("does not stay"), "{problem:#?}");
    // The scenario's own file is one that is there.
    let loaded = load_with(replace, "content = { file = \"scenario.toml\" }").unwrap();
    assert!(loaded.files["scenario.toml"].starts_with(b"#:schema"));
}

#[test]
fn a_missing_scenario_says_what_to_do() {
    let error = Scenario::load(Path::new("/nonexistent/scenario.toml")).unwrap_err();
    assert!(error.to_string().contains("loopbreak scenario list"), "{error}");
}

#[test]
fn what_an_image_needs_is_a_word_that_is_known() {
    assert_problem(
        "time-scale = 120",
        "time-scale = 120\nneeds = [\"licence\", \"crash-dumps\"]",
        "\"crash-dumps\"",
        "cannot be `crash-dumps`",
        "`automatic-restart`",
        "did you mean `crash-dump`?",
    );
    assert_problem(
        "time-scale = 120",
        "time-scale = 120\nneeds = [\"licence\"]\nlacks = [\"crash-dump\", \"licence\"]",
        "\"licence\"",
        "both need and lack `licence`",
        "`needs` or in `lacks`",
        "remove one",
    );
}

#[test]
fn what_an_image_needs_follows_from_what_is_declared() {
    let words = |scenario: &Scenario| -> Vec<&str> {
        scenario.needs().into_iter().map(scenario::CheckName::as_str).collect()
    };
    let declared = [
        "recovery-enabled",
        "boot-status-policy",
        "automatic-restart",
        "recovery-image",
        "recovery-partition",
        "recovery-reachable",
        "crash-dump",
    ];
    let scenario = load_with("time-scale = 120", "time-scale = 120").unwrap();
    assert_eq!(words(&scenario), declared);
    let by = "time-scale = 120\nneeds = [\"licence\"]\nlacks = [\"recovery-enabled\"]";
    let scenario = load_with("time-scale = 120", by).unwrap();
    let mut expected = declared[1..].to_vec();
    expected.push("licence");
    assert_eq!(words(&scenario), expected);
    for need in scenario::CheckName::ALL {
        let json = serde_json::to_value(need).unwrap();
        assert_eq!(json, need.as_str(), "one word for it");
    }
}

/// The first problem of a scenario with this fault: what it says, and what to do.
fn of_fault(fault: &str) -> String {
    let text = format!(
        "format = 1\nname = \"channel-file-291\"\ntitle = \"t\"\ndescription = \"d\"\n\n[machine]\nimage = \
         \"understudy\"\nstart = \"cold\"\n\n[[fault]]\nname = \"f\"\n{fault}\n\n[expect]\nverdict = \"hung\"\n"
    );
    match load_text(&text) {
        Ok(_) => String::new(),
        Err(error) => {
            let problem = &error.problems()[0];
            format!("{}; {}", problem.what, problem.fix)
        }
    }
}

#[test]
fn the_disk_and_its_power_have_rules_of_their_own() {
    let storage = |trouble: &str| of_fault(&format!("kind = \"storage\"\ntrouble = {trouble}"));
    let power = |keys: &str| of_fault(&format!("kind = \"power\"\n{keys}"));
    assert!(storage("{ read-error = {} }").contains("which part of the disk"));
    let both = r#"{ read-error = { file = 'C:\a', sectors = { first = 0, count = 1 } } }"#;
    assert!(storage(both).contains("both a file and sectors"));
    assert!(storage(r"{ write-error = { file = 'D:\a' } }").contains("drive D:"));
    assert!(storage("{ slow = { latency = \"0s\" } }").contains("latency"));
    assert_eq!(storage("{ write-error = { sectors = { first = 9, count = 1 } } }"), "");
    assert_eq!(storage("\"full\""), "");
    let reset = "what = \"reset\"\nat = { phase = \"kernel\" }";
    assert_eq!(power(reset), "");
    assert!(power(&format!("{reset}\nunflushed = \"lost\"")).contains("keeps its power"));
    assert!(power("what = \"reset\"\nat = { write = 3 }").contains("exactly one write"));
    assert!(power("at = { write = 0 }").contains("counted from 1"));
    let other = "at = { write = 3 }\n\n[[fault]]\nname = \"g\"\nkind = \"content-file\"\nwhen = \"healthy\"\n\
                 path = 'C:\\x'\ncontent = { text = \"x\" }";
    assert!(power(other).contains("before `g` is in place"));
    let write = "kind = \"interrupted-write\"\npath = 'C:\\x'\ncontent = { text = \"x\" }";
    assert_eq!(of_fault(write), "");
    assert!(of_fault(&format!("{write}\nwhen = \"staged\"")).contains("machine that is up"));
}

#[test]
fn trouble_is_not_given_and_has_to_be_somewhere() {
    let canary = "[[canary]]";
    assert_problem(
        "[[canary]]",
        "[[given]]\nname = \"x\"\nkind = \"network\"\ntrouble = \"no-dns\"\n\n[[canary]]",
        "[[given]]",
        "trouble is not given",
        "among `[[fault]]`",
        "move it",
    );
    let clock =
        |line: &str| format!("[[fault]]\nname = \"x\"\nkind = \"clock\"\n{line}\n\n{canary}");
    let cold =
        include_str!("channel-file-291.toml").replace("start = \"checkpoint\"", "start = \"cold\"");
    let whats = |fault: &str| -> Vec<String> {
        match load_text(&cold.replace(canary, fault)) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems().iter().map(|problem| problem.what.clone()).collect(),
        }
    };
    assert_eq!(whats(&clock("to = 2002-01-01T00:00:00Z")).len(), 1, "a time is a text");
    assert_eq!(whats(&clock("to = \"2002-01-01T00:00:00Z\"")), [""; 0]);
    assert_eq!(
        whats(&clock("to = \"1970-01-01T00:00:00Z\"")),
        ["no clock chip shows the year 1970"]
    );
    let online = clock("to = \"2002-01-01T00:00:00Z\"\nwhen = \"healthy\"");
    assert_eq!(whats(&online), ["the clock chip is set before power-on"]);
    let two = clock("to = \"2002-01-01T00:00:00Z\"").replace("\"x\"", "\"y\"");
    let two = clock("to = \"2002-01-01T00:00:00Z\"").replace(canary, &two);
    assert_eq!(whats(&two).len(), 2, "each of the two is told");
}

#[test]
fn an_updater_and_trouble_at_a_service_need_their_services() {
    let updater = "[[given]]\nname = \"x\"\nkind = \"content-updater\"\n\
                   content-folder = 'C:\\Windows\\System32\\drivers\\CrowdStrike'\n\n[[canary]]";
    assert_problem(
        "[[canary]]",
        updater,
        "\"content-updater\"",
        "no content service",
        "`[content-service]`",
        "add",
    );
    let original = include_str!("channel-file-291.toml");
    let service = "[content-service]\nfile = \"C-00000291-00000000-00000033.sys\"\n\
                   content = { channel-file = { fields = 21 } }\n\n[expect]";
    let with_service = original.replace("[[canary]]", updater).replace("[expect]", service);
    // What helps itself needs no layer that helps.
    let alone = with_service.replace("layers = [\"quick-machine-recovery\"]\n", "");
    for text in [&with_service, &alone] {
        load_text(text).unwrap();
    }
    let elsewhere = with_service.replace("000033.sys\"", "000033.sys/..\"");
    assert_eq!(load_text(&elsewhere).unwrap_err().problems().len(), 1);

    let start = original.find("[update-service]").unwrap();
    let end = original.find("[expect]").unwrap();
    let trouble =
        "[[fault]]\nname = \"x\"\nkind = \"service\"\nwhen = \"healthy\"\ntrouble = \"down\"\n\n";
    let text = format!("{}{trouble}{}", &original[..start], &original[end..]);
    let error = load_text(&text).unwrap_err();
    let first = &error.problems()[0];
    assert!(first.what.contains("no update service that could have trouble"), "{first:#?}");
}

#[test]
fn encryption_and_trust_have_their_places() {
    let problem = |table: &str| {
        let recovery = "[recovery.quick-machine-recovery]";
        problem_with(recovery, &format!("{table}\n\n{recovery}"))
    };
    let given = "[[given]]\nname = \"bitlocker\"\nkind = \"encryption\"\n";
    for (registers, meant, what) in [
        ("[7, 11]", "11", "BitLocker's own"),
        ("[24]", "24", "no register 24"),
        ("[7, 0, 7]", "7", "named twice"),
        ("[]", "[]", "to every start"),
    ] {
        let (problem, found) = problem(&format!("{given}registers = {registers}"));
        assert_eq!(found, meant, "{problem:#?}");
        assert!(problem.what.contains(what), "{problem:#?}");
    }
    let said = |table: &str| problem(table).0.what;
    let twice = format!("{given}\n{}", given.replace("bitlocker", "again"));
    assert!(said(&twice).contains("a second time"));
    let fault = given.replace("given", "fault").replace("kind", "when = \"healthy\"\nkind");
    assert!(said(&fault).contains("by itself does nothing"));
    let trust = "[[fault]]\nname = \"dbx\"\nkind = \"trust\"\nchange = \"secure-boot-database\"\n";
    assert!(said(trust).contains("starts from a checkpoint"));
    assert!(said(&format!("{trust}when = \"healthy\"")).contains("a machine that is off"));
    assert!(said(&trust.replace("fault", "given")).contains("no part of a sound machine"));
}

#[test]
fn a_roll_back_needs_a_checkpoint_and_trouble_that_it_can_end() {
    let rollback = "[rollback]\nto = \"checkpoint\"\n\n[expect]";
    let (problem, _) =
        problem_with("layers = [\"quick-machine-recovery\"]", "layers = [\"rollback\"]");
    assert!(problem.what.contains("nothing is declared for it"), "{problem:#?}");
    load_with("[expect]", rollback).expect("a roll-back to the checkpoint");
    let slow = "[[fault]]\nname = \"slow\"\nkind = \"storage\"\nwhen = \"healthy\"\n\
                trouble = { slow = { latency = \"2s\" } }\n";
    let (problem, _) = problem_with("[expect]", &format!("{slow}\n{rollback}"));
    assert!(problem.what.contains("`slow` is trouble with the drive"), "{problem:#?}");
    let cold = include_str!("channel-file-291.toml")
        .replace("start = \"checkpoint\"", "start = \"cold\"")
        .replace("[expect]", rollback);
    let error = load_text(&cold).unwrap_err().to_string();
    assert!(error.contains("but it starts from power-on"), "{error}");
}

#[test]
fn what_is_uninstalled_has_to_be_said_and_a_package_brings_files_and_values() {
    let with = |table: &str| problem_with("[expect]", &format!("{table}\n\n[expect]")).0;
    for table in [
        "[uninstall-update]\npackage = \"latest\"",
        "[uninstall-update]\ndriver = \"lbnet.inf\"\npending-actions = true",
        "[[given]]\nname = \"update\"\nkind = \"quality-update\"\nkb = \"KB1\"\nbrings = [\"sensor\"]",
    ] {
        load_with("[expect]", &format!("{table}\n\n[expect]")).expect(table);
    }
    let problem = with("[uninstall-update]");
    assert!(problem.what.contains("but not what"), "{problem:#?}");
    let problem = with("[uninstall-update]\ndriver = \"net.sys\"");
    assert!(problem.fix.contains("lbnet.inf"), "{problem:#?}");
    let problem = with("[uninstall-update]\npackage = \"a b\"");
    assert!(problem.expected.contains("latest"), "{problem:#?}");

    let update = |keys: &str| {
        with(&format!("[[given]]\nname = \"update\"\nkind = \"quality-update\"\n{keys}"))
    };
    let problem = update("kb = \"5000001\"");
    assert!(problem.expected.contains("`KB`"), "{problem:#?}");
    // It is a fault, which happens later, and no given.
    let problem = update("kb = \"KB1\"\nbrings = [\"channel-file-32\"]");
    assert!(problem.what.contains("no `channel-file-32` in `[[given]]`"), "{problem:#?}");
    let first = "kb = \"KB1\"\n[[given]]\nname = \"other\"\nkind = \"quality-update\"\n";
    let problem = update(&format!("{first}kb = \"KB1\""));
    assert!(problem.what.contains("another update is KB1 already"), "{problem:#?}");
    let store = "[[given]]\nname = \"store\"\nkind = \"boot-configuration\"\ndamage = { signing-policy = { testsigning = true } }";
    let problem = with(&format!(
        "{store}\n\n[[given]]\nname = \"update\"\nkind = \"quality-update\"\nkb = \"KB1\"\nbrings = [\"store\"]"
    ));
    assert!(problem.what.contains("a boot-configuration, which no package brings"), "{problem:#?}");
    let (problem, _) =
        problem_with("layers = [\"quick-machine-recovery\"]", "layers = [\"uninstall-update\"]");
    assert!(problem.what.contains("nothing is declared"), "{problem:#?}");
}

/// The first start, to which the key is sealed, would be missing from it.
#[test]
fn a_restore_point_is_not_made_of_a_machine_that_starts_twice() {
    let given =
        "[[given]]\nname = \"bitlocker\"\nkind = \"encryption\"\n[restore-point]\n\n[expect]";
    let cold = include_str!("channel-file-291.toml")
        .replace("start = \"checkpoint\"", "start = \"cold\"")
        .replace("[expect]", given);
    let error = load_text(&cold).unwrap_err().to_string();
    assert!(error.contains("the point would be without that start"), "{error}");
}

//! Files that extend others, and scenarios with variants.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use scenario::{Delete, Fault, Scenario, ScenarioError, ServiceStart, Verdict};

const BASE: &str = r#"
format = 1
[machine]
image = "understudy"
time-scale = 120

[[given]]
name = "sensor"
kind = "content-driver"
driver = "csagent.sys"
content-folder = 'C:\Windows\System32\drivers\CrowdStrike'

[[canary]]
path = 'C:\ledger.txt'
text = "old"

[limits]
loop-after = 4
"#;

const OWN: &str = r#"
extends = "../base/sensor.toml"
name = "incident"
title = "An incident"
description = "What happened."

[[given]]
name = "sensor"
start = "boot"

[[fault]]
name = "bad-file"
kind = "content-file"
path = 'C:\Windows\System32\drivers\CrowdStrike\C-1.sys'
content = { text = "bad" }

[[canary]]
path = 'C:\ledger.txt'
text = "new"

[[canary]]
path = 'C:\second.txt'
text = "two"

[[variant]]
name = "automatic-repair"
[variant.expect]
verdict = "stuck-in-recovery"

[[variant]]
name = "quick-machine-recovery"
[variant.machine]
time-scale = 60
[variant.update-service]
[[variant.update-service.remediation]]
id = "remove"
title = "Remove it"
target = { module = "csagent.sys", bug-check = 0x50 }
delete = { path = 'C:\Windows\System32\drivers\CrowdStrike\C-1.sys' }
[variant.expect]
verdict = "recovered"
layers = ["quick-machine-recovery"]
"#;

/// A folder of scenarios with a base and one incident.
fn folder(base: &str, own: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("base/sensor.toml", base), ("incident/scenario.toml", own)] {
        let path = folder.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    folder
}

fn error(base: &str, own: &str) -> ScenarioError {
    let folder = folder(base, own);
    Scenario::load_all(&folder.path().join("incident")).expect_err("it loads")
}

fn names(scenarios: &[Scenario]) -> Vec<&str> {
    scenarios.iter().map(|scenario| scenario.name.as_str()).collect()
}

#[test]
fn tables_are_merged_and_entries_of_lists_found_again_by_their_name() {
    let folder = folder(BASE, OWN);
    let scenarios = Scenario::load_all(&folder.path().join("incident")).unwrap();
    assert_eq!(names(&scenarios), ["incident/automatic-repair", "incident/quick-machine-recovery"]);
    let [local, cloud] = &scenarios[..] else { panic!("not two") };
    let [Fault::ContentDriver(sensor)] = &local.given[..] else { panic!("not one sensor") };
    assert_eq!((sensor.driver.as_str(), sensor.start), ("csagent.sys", ServiceStart::Boot));
    let canaries: Vec<&str> = local.canary.iter().map(|canary| canary.text.as_str()).collect();
    assert_eq!(canaries, ["new", "two"]);
    assert_eq!((local.limits.loop_after, local.machine.time_scale), (4, 120));
    assert_eq!(
        (local.expect.verdict, local.update_service.is_none()),
        (Verdict::StuckInRecovery, true)
    );
    assert_eq!((cloud.expect.verdict, cloud.machine.time_scale), (Verdict::Recovered, 60));
    let remediation = &cloud.update_service.as_ref().unwrap().remediation[0];
    let Delete { path, .. } = remediation.delete.as_ref().unwrap();
    assert_eq!(path.as_str(), r"C:\Windows\System32\drivers\CrowdStrike\C-1.sys");
    assert_eq!(
        (cloud.folder_name(), cloud.reference_name()),
        ("incident", "quick-machine-recovery")
    );
    assert_ne!(local.digest(), cloud.digest());
}

#[test]
fn a_change_of_the_base_is_a_change_of_the_scenario() {
    let digest = |base: &str| {
        let folder = folder(base, OWN);
        Scenario::load_all(&folder.path().join("incident")).unwrap()[0].digest()
    };
    assert_eq!(digest(BASE), digest(&format!("# A comment is none.\n{BASE}")));
    assert_ne!(digest(BASE), digest(&BASE.replace("loop-after = 4", "loop-after = 5")));
}

#[test]
fn a_base_is_no_scenario_and_a_variant_is_one() {
    let folder = folder(BASE, OWN);
    let listed = scenario::list(folder.path()).unwrap();
    let listed: Vec<Scenario> = listed.into_iter().map(|listed| listed.scenario.unwrap()).collect();
    assert_eq!(names(&listed), ["incident/automatic-repair", "incident/quick-machine-recovery"]);

    let incident = folder.path().join("incident");
    let one = Scenario::load(&incident.join("automatic-repair")).unwrap();
    assert_eq!(one.name, "incident/automatic-repair");
    assert_eq!(Scenario::home(&incident.join("automatic-repair")), incident);
    let error = Scenario::load(&incident.join("roll-back")).unwrap_err().to_string();
    assert!(error.contains("there is no variant `roll-back`"), "{error}");
    assert!(
        error.contains("incident/automatic-repair, incident/quick-machine-recovery"),
        "{error}"
    );
    let error = Scenario::load(&incident).unwrap_err().to_string();
    assert!(error.contains("which variant is meant"), "{error}");
}

#[test]
fn a_problem_is_shown_in_the_file_that_it_is_in() {
    let error = error(&BASE.replace("loop-after", "loop-afer"), &OWN.replace("cloud", "cluod"));
    let [problem] = error.problems() else { panic!("{error}") };
    assert!(problem.path.ends_with("base/sensor.toml"), "{problem:?}");
    assert_eq!((problem.line, problem.column, problem.meant.as_str()), (18, 1, "loop-afer"));
    assert!(error.to_string().contains("18 | loop-afer = 4"), "{error}");

    let wrong = OWN.replace("bug-check = 0x50", "bug-check = \"0x50\"");
    let error = self::error(BASE, &wrong);
    let [problem] = error.problems() else { panic!("{error}") };
    assert!(problem.path.ends_with("incident/scenario.toml"), "{problem:?}");
    assert_eq!(problem.line, wrong.lines().position(|line| line.contains("0x50")).unwrap() + 1);
}

#[test]
fn what_is_wrong_in_all_variants_is_said_once() {
    let error =
        error(BASE, &OWN.replace("content = { text = \"bad\" }", "content = { file = \"x\" }"));
    let [problem] = error.problems() else { panic!("{error}") };
    assert!(problem.what.contains("no file `x`"), "{problem:?}");
}

#[test]
fn mistakes_with_bases_and_variants_are_told() {
    for (replace, by, what) in [
        ("../base/sensor.toml", "../base/senso.toml", "there is no `../base/senso.toml` to extend"),
        ("../base/sensor.toml", "../incident", "one that extends another, 8 in all"),
        ("name = \"automatic-repair\"\n", "", "a variant has no name"),
        ("\"automatic-repair\"", "\"automatic repair\"", "cannot be a variant's name"),
        ("\"automatic-repair\"", "\"quick-machine-recovery\"", "two variants called"),
        (
            "[variant.machine]",
            "format = 1\n[variant.machine]",
            "`format` is not a key of a variant",
        ),
    ] {
        let own = OWN.replacen(replace, by, 1);
        assert_ne!(own, OWN, "{replace}");
        let error = error(BASE, &own);
        let [problem] = error.problems() else { panic!("{error}") };
        assert!(problem.what.contains(what), "{what}: {problem:?}");
    }
}

#[test]
fn a_base_that_cannot_be_read_is_named() {
    let error = Scenario::load(Path::new("/nonexistent/incident/variant")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/incident/variant"), "{error}");
}

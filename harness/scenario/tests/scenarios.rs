//! The scenarios that come with the project, and the schema beside them.

use std::path::{Path, PathBuf};

use scenario::{Scenario, Verdict};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

#[test]
fn the_checked_in_schema_is_current() {
    let checked_in = fs_err::read_to_string(folder().join(scenario::SCHEMA_FILE)).unwrap();
    assert!(
        checked_in == scenario::schema_text(),
        "scenarios/{} is not what the types say; write it again with \
         `cargo run -p scenario --example schema > scenarios/{0}`",
        scenario::SCHEMA_FILE
    );
}

#[test]
fn every_scenario_loads() {
    let listed = scenario::list(&folder()).unwrap();
    assert!(listed.len() >= 6, "only {} scenarios found", listed.len());
    for listed in listed {
        if let Err(error) = listed.scenario {
            panic!("{error}");
        }
    }
}

#[test]
fn the_main_scenario_says_what_it_is() {
    let scenario = Scenario::load(&folder().join("channel-file-291")).unwrap();
    assert_eq!(scenario.expect.verdict, Verdict::Recovered);
    assert_eq!(
        scenario.describe(),
        "Channel file 291, 19 July 2024 (on understudy; expected: recovered by quick-machine-recovery)"
    );
}

#[test]
fn the_canonical_form_reads_back_and_keeps_its_digest() {
    for listed in scenario::list(&folder()).unwrap() {
        let scenario = listed.scenario.unwrap();
        let text = serde_json::to_string(&scenario).unwrap();
        let mut back: Scenario = serde_json::from_str(&text).unwrap();
        back.files.clone_from(&scenario.files);
        assert_eq!(back, scenario);
        assert_eq!(back.digest(), scenario.digest());
    }
}

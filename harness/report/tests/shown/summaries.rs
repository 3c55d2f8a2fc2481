//! The machine-readable summary.

use std::path::Path;

use report::{Comparison, RunIdentity, summary};
use serde_json::Value;

use crate::{RECORDS, derived};

fn json(name: &str, comparison: Option<&Comparison>) -> Value {
    let identity = RunIdentity { run: "run-7", directory: Path::new("runs/run-7"), exit_code: 1 };
    let text = summary(&derived(name), comparison, identity).render();
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn the_main_run_has_what_a_pipeline_asks_for() {
    let reference = "scenarios/a/a.snap".into();
    let json = json("channel-file-291", Some(&Comparison::Same { reference }));
    assert_eq!(json["format"], 3);
    assert_eq!(json["verdict"], "recovered");
    assert_eq!(json["image"]["is_model"], true);
    assert_eq!(json["boots"][1]["stop"]["code"], "0x00000050");
    assert_eq!(json["boots"][1]["stop"]["name"], "PAGE_FAULT_IN_NONPAGED_AREA");
    assert_eq!(json["boots"][1]["stop"]["module"], "csagent.sys");
    assert_eq!(json["boots"][1]["stop"]["parameters"][0], "0xFFFF840500100074");
    assert_eq!(json["boots"][3]["kind"], "recovery");
    assert_eq!(json["boots"][4]["end"], "still-up");
    assert_eq!(json["loop"]["boots"], serde_json::json!([2, 3]));
    assert_eq!(json["layers"][1]["layer"], "quick-machine-recovery");
    assert_eq!(json["layers"][1]["result"], "applied");
    assert_eq!(json["comparison"]["result"], "same");
    assert_eq!(json["expectation"]["met"], true);
    assert_eq!(json["exit_code"], 1);
    assert_eq!(json["run_directory"], "runs/run-7");
    assert!(json["measurements"]["total_us"].as_u64().expect("a number") > 0);
    assert_eq!(json["measurements"]["boots"].as_array().expect("a list").len(), 5);
}

#[test]
fn every_record_has_a_summary() {
    for (name, _) in RECORDS {
        let json = json(name, None);
        assert_eq!(json["scenario"], name);
        assert_eq!(json["comparison"], Value::Null);
    }
}

#[test]
fn what_is_not_as_expected_is_told_with_what_came() {
    let mut derived = derived("hang");
    derived.timeline.expectation.met = false;
    derived.timeline.expectation.unmet = vec![timeline::Unmet {
        key: "stop",
        expected: "0x50 in any module".to_owned(),
        found: "no stop".to_owned(),
    }];
    let identity = RunIdentity { run: "run-7", directory: Path::new("runs/run-7"), exit_code: 1 };
    let json: Value = serde_json::from_str(&summary(&derived, None, identity).render()).unwrap();
    let unmet = serde_json::json!([
        { "key": "stop", "expected": "0x50 in any module", "found": "no stop" },
    ]);
    assert_eq!(json["expectation"], serde_json::json!({ "met": false, "unmet": unmet }));
}

//! The main job, its controls, and that the same scenario gives the same outcome however it is run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::Value;
use tests::{Loopbreak, events, run_directory};

const MAIN: &str = "channel-file-291";
/// What every change is held against. All incidents take some forty minutes: `loopbreak run --all --jobs 2`.
const KEPT: [&str; 7] = [
    MAIN,
    "channel-file-291-bad-signature",
    "channel-file-291-boot-start",
    "channel-file-291-cloud-off",
    "channel-file-291-good",
    "channel-file-291-late",
    "channel-file-291-unpublished",
];

fn boots(summary: &Value) -> Vec<Value> {
    summary["boots"].as_array().cloned().unwrap_or_default()
}

fn outcome(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("outcome.json")).unwrap()
}

#[test]
fn the_machine_falls_into_the_loop_and_quick_machine_recovery_brings_it_back() {
    let loopbreak = Loopbreak::built().unwrap();
    let summary = loopbreak.json(0, &["run", MAIN, "--json"]).unwrap();
    assert_eq!(summary["verdict"], "recovered");
    assert_eq!(summary["brought_back_by"], "quick-machine-recovery");
    assert_eq!(summary["image"]["is_model"], true);

    let boots = boots(&summary);
    let stopped: Vec<&Value> = boots.iter().filter(|boot| boot["end"] == "bug-check").collect();
    assert!(stopped.len() >= 2, "{boots:#?}");
    for boot in &stopped {
        assert_eq!(boot["stop"]["code"], "0x00000050");
        assert_eq!(boot["stop"]["module"], "csagent.sys");
        assert_eq!(boot["confidence"], "observed");
    }
    let kinds: Vec<&str> = boots.iter().filter_map(|boot| boot["kind"].as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "recovery").count(), 1);
    assert_eq!(kinds.last(), Some(&"windows"));
    assert_eq!(boots.last().unwrap()["end"], "still-up");

    // What the boots rest on is the hypervisor's word, not the guest's.
    let directory = run_directory(&summary).unwrap();
    let events = events(&directory).unwrap();
    let from_hypervisor = |name: &str| {
        events
            .iter()
            .filter(|event| event["event"] == name && event["source"] == "hypervisor")
            .count()
    };
    assert!(from_hypervisor("panicked") >= 2);
    assert!(from_hypervisor("reset") >= from_hypervisor("panicked"));

    // Each stop left a dump; an independent check of its header at the documented offsets
    // (windows-facts 6.4) agrees with `dump show`.
    let dumps: Vec<_> = std::fs::read_dir(directory.join("dumps")).unwrap().collect();
    assert!(dumps.len() >= 2, "{dumps:?}");
    for dump in dumps {
        let path = dump.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[..8], b"PAGEDU64");
        assert_eq!(bytes[0x38..0x3c], 0x50u32.to_le_bytes());
        let shown = loopbreak.json(0, &["dump", "show", path.to_str().unwrap(), "--json"]).unwrap();
        assert_eq!(shown["bug_check"]["code"], 0x50);
        assert_eq!(shown["module"], "csagent.sys");
        for (number, offset) in [0x40, 0x48, 0x50, 0x58].into_iter().enumerate() {
            let parameter = u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap());
            assert_eq!(shown["bug_check"]["parameters"][number], parameter);
        }
    }

    // The record alone gives the same bytes again.
    let run = summary["run"].as_str().unwrap();
    assert_eq!(loopbreak.expect(0, &["replay", run]).unwrap(), outcome(&directory));
}

#[test]
fn a_cold_boot_gives_the_same_outcome_as_a_fork_of_the_checkpoint() {
    let loopbreak = Loopbreak::built().unwrap();
    let cold = loopbreak.json(0, &["run", MAIN, "--json", "--start", "cold"]).unwrap();
    let fork = loopbreak.json(0, &["run", MAIN, "--json", "--start", "checkpoint"]).unwrap();
    assert_eq!(outcome(&run_directory(&cold).unwrap()), outcome(&run_directory(&fork).unwrap()));
    let started = |summary: &Value| {
        let events = events(&run_directory(summary).unwrap()).unwrap();
        let started = events.iter().find(|event| event["event"] == "machine-started").cloned();
        started.unwrap()["from"].clone()
    };
    assert_eq!(started(&cold), "cold");
    assert_eq!(started(&fork), "checkpoint");
}

#[test]
fn scenarios_come_out_as_their_references_say_two_at_a_time_and_alone() {
    let loopbreak = Loopbreak::built().unwrap();
    // Exit code 0: each expectation met, each reference equal.
    let arguments = ["run", "--jobs", "2", "--json"].into_iter().chain(KEPT).collect::<Vec<_>>();
    let together = loopbreak.json(0, &arguments).unwrap();
    let together = together.as_array().unwrap();
    // One of them has three variants.
    assert_eq!(together.len(), KEPT.len() + 2);
    // Exit code 0 holds each of them against its reference; two of them alone, in this very run, show without
    // the references that company makes no difference.
    for name in ["channel-file-291", "channel-file-291-late"] {
        let summary = together.iter().find(|summary| summary["scenario"] == name).unwrap();
        let alone = loopbreak.json(0, &["run", name, "--json"]).unwrap();
        assert_eq!(
            outcome(&run_directory(summary).unwrap()),
            outcome(&run_directory(&alone).unwrap()),
            "{name}"
        );
    }
    let of = |name: &str| together.iter().find(|summary| summary["scenario"] == name).unwrap();
    assert_eq!(of("channel-file-291-good")["verdict"], "unaffected");
    for stuck in ["unpublished", "cloud-off", "bad-signature"] {
        let summary = of(&format!("channel-file-291-{stuck}"));
        assert_eq!(summary["verdict"], "stuck-in-recovery", "{stuck}");
    }

    // With cloud remediation off the service is not asked; with a bad signature nothing is changed.
    let requests = |name: &str| {
        let events = events(&run_directory(of(name)).unwrap()).unwrap();
        events.into_iter().filter(|event| event["event"] == "service").collect::<Vec<_>>()
    };
    assert!(requests("channel-file-291-cloud-off").is_empty());
    let refused = requests("channel-file-291-bad-signature");
    assert!(refused.iter().any(|event| event["facts"]["result"] == "refused"), "{refused:#?}");
    let late = requests("channel-file-291-late");
    assert_eq!(late[0]["answer"], "no-match");
    assert!(late.iter().any(|event| event["answer"] == "offered"));
}

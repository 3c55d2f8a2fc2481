//! Disks and images, stores, dumps, runs, and what a user types.

use std::process::Command;

use engine::{RunDir, RunRecord, StateDir};
use serde_json::Value;
use winfmt::FileTime;
use winfmt::dump::{Builder, Context, Module};

use crate::{ODD, SHOWN, loopbreak, made, says, stdout, text, typed};

#[test]
fn a_disk_and_the_image_of_it() {
    if Command::new("qemu-img").arg("--version").output().is_err() {
        println!("skipped: qemu-img is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (state, disk) = (folder.path().join("state"), folder.path().join("disk.raw"));
    made::disk(&disk);
    let disk = text(&disk);
    let page = says(&state, &["image", "inspect", disk]);
    for shown in [
        format!("{SHOWN}, {SHOWN}"),
        r"e\x1b[31mv\u{202e}\x0d\x0aerror: d".to_owned(),
        format!("gone{SHOWN}"),
    ] {
        assert!(page.contains(&shown), "{shown} in:\n{page}");
    }
    let json: Value =
        serde_json::from_str(&says(&state, &["image", "inspect", disk, "--json"])).unwrap();
    assert!(json.to_string().contains(&Value::from(ODD).to_string()), "{json}");
    for arguments in [&["diagnose", disk][..], &["diagnose", disk, "--json"]] {
        let output = loopbreak(&state, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stdout(&output));
    }
    says(&state, &["image", "import", disk, "--dry-run"]);
    says(&state, &["image", "import", disk, "--name", "odd"]);
    let list = says(&state, &["image", "list"]);
    assert!(list.contains(r"a\x1b]0;t\x07b"), "{list}");
    says(&state, &["image", "list", "--json"]);
    says(&state, &["image", "inspect", "odd"]);
    for arguments in [["image", "qualify", "odd", "--json"], ["-v", "image", "qualify", "odd"]] {
        let output = loopbreak(&state, &arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stdout(&output));
    }
    loopbreak(&state, &["image", "qualify", "odd", "--fix", "--name", "fixed"]);
    says(&state, &["image", "verify", "odd"]);
    says(&state, &["image", "profile", "odd"]);
    says(&state, &["image", "rm", "odd"]);
    says(&state, &["image", "gc"]);
}

#[test]
fn a_boot_configuration_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("BCD");
    std::fs::write(&file, made::store().to_bytes().unwrap()).unwrap();
    let (state, file) = (folder.path(), text(&file));
    let page = says(state, &["bcd", "show", file]);
    assert_eq!(page.matches(&format!("description             {SHOWN}\n")).count(), 1, "{page}");
    says(state, &["bcd", "show", file, "{default}"]);
    assert_eq!(
        says(state, &["bcd", "get", file, "{default}", "description"]),
        format!("{SHOWN}\n")
    );
    let json = says(state, &["bcd", "get", file, "{default}", "description", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["value"], ODD);
    let json = says(state, &["bcd", "show", file, "--json"]);
    assert!(serde_json::from_str::<Value>(&json).is_ok());
    typed(state, &["bcd", "get", file, ODD, ODD]);
    typed(state, &["bcd", "set", file, "{default}", ODD, "x"]);
}

#[test]
fn a_crash_dump() {
    let folder = tempfile::tempdir().unwrap();
    let base = 0xFFFF_F800_2000_0000;
    let module = Module {
        name: ODD.to_owned(),
        path: ODD.to_owned(),
        base,
        size: 0x6000,
        entry: base + 0x1000,
        checksum: 0,
        timestamp: 0,
    };
    let dump = Builder {
        code: 0x50,
        parameters: [1, 0, base + 0x1017, 2],
        context: Context { rip: base + 0x1017, ..Context::default() },
        exception: None,
        time: FileTime::from_ticks(133_658_213_400_000_000),
        up_time: 1,
        build: 26100,
        comment: ODD.to_owned(),
        modules: vec![module],
        segments: Vec::new(),
        structures: base + 0x3C0_2000,
    };
    let file = folder.path().join("MEMORY.DMP");
    std::fs::write(&file, dump.build_small().unwrap()).unwrap();
    let page = says(folder.path(), &["dump", "show", text(&file)]);
    assert!(page.contains(&format!("module       {SHOWN}\n")), "{page}");
    let json = says(folder.path(), &["dump", "show", text(&file), "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["module"], ODD);
}

#[test]
fn a_recorded_run() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(Some(folder.path())).unwrap();
    let recording =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/recordings/channel-file-291.jsonl.gz");
    let unpacked = Command::new("gzip").args(["-dc", recording]).output().unwrap();
    let odd = serde_json::to_string(ODD).unwrap();
    // A module of the guest, the scenario, a service and files of it, all with the odd text in them.
    let events = String::from_utf8(unpacked.stdout)
        .unwrap()
        .replace("csagent.sys", &format!("{}.sys", odd.trim_matches('"')))
        .replace("channel-file-32", &format!("{}32", odd.trim_matches('"')))
        .replace("C-00000291", odd.trim_matches('"'));
    let run = state.runs().join("20260101-000000-odd");
    std::fs::create_dir_all(&run).unwrap();
    std::fs::write(run.join("events.jsonl"), events).unwrap();
    let record = serde_json::json!({
        "format": 1, "run": "20260101-000000-odd", "scenario": ODD, "scenario-digest": "0",
        "reference": "/nonexistent/reference.snap", "image": ODD, "image-digest": "0",
        "began": "2026-01-01T00:00:00Z", "status": "complete",
    });
    let read: RunRecord = serde_json::from_value(record.clone()).unwrap();
    assert_eq!(read.image, ODD);
    std::fs::write(run.join("run.json"), record.to_string()).unwrap();
    assert_eq!(RunDir::list(&state.runs()).unwrap().len(), 1);
    let state = folder.path();
    let page = says(state, &["timeline", "odd"]);
    assert!(page.contains(r"\u{9b}2J"), "{page}");
    let coloured = Command::new(env!("CARGO_BIN_EXE_loopbreak"))
        .env("LOOPBREAK_STATE", state)
        .args(["timeline", "odd", "--color", "always"])
        .output()
        .unwrap();
    let mut coloured = String::from_utf8(coloured.stdout).unwrap();
    assert!(coloured.contains("\u{1b}[31m"), "the colours of the page pass");
    for own in ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m"] {
        coloured = coloured.replace(own, "");
    }
    assert!(!coloured.contains('\u{1b}'), "{coloured}");
    for arguments in [
        vec!["timeline", "odd", "--json"],
        vec!["replay", "odd"],
        vec!["runs"],
        vec!["runs", "--json"],
    ] {
        says(state, &arguments);
    }
}

#[test]
fn what_a_user_types_comes_back_escaped() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        vec![ODD],
        vec!["run", ODD],
        vec!["run", "x", ODD],
        vec!["timeline", ODD],
        vec!["accept", ODD],
        vec!["image", "inspect", ODD],
        vec!["image", "import", ODD, "--name", "x"],
        vec!["image", "import", "/x", "--name", ODD],
        vec!["image", "rm", ODD],
        vec!["fault", "explain", ODD],
        vec!["fault", "prove", ODD],
        vec!["hive", "show", ODD],
        vec!["dump", "show", ODD],
        vec!["scenario", "check", ODD],
        vec!["driver", "build", "--fault", ODD, "-o", "/nonexistent/x"],
        vec!["run", "x", "--color", ODD],
    ] {
        let output = typed(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
}

//! The command without a machine: exit codes, errors that people read, and files that Windows wrote.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use tests::{Loopbreak, workspace};

fn artifacts() -> Option<PathBuf> {
    let path = std::env::var_os("LOOPBREAK_ARTIFACTS")
        .map_or_else(|| workspace().join("../shared/artifacts"), PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no artifacts of real Windows at {}", path.display());
    None
}

fn loopbreak() -> (Loopbreak, tempfile::TempDir) {
    let state = tempfile::tempdir().unwrap();
    (Loopbreak::built().unwrap().with_state(state.path()), state)
}

/// Unpacks an `.xz` into `folder`.
fn unpacked(artifact: &Path, folder: &Path) -> PathBuf {
    let to = folder.join(artifact.file_stem().unwrap());
    let out = std::fs::File::create(&to).unwrap();
    let done = std::process::Command::new("xz").arg("-dc").arg(artifact).stdout(out).status();
    assert!(done.unwrap().success());
    to
}

#[test]
fn what_cannot_be_run_ends_with_2_and_says_why() {
    let (loopbreak, folder) = loopbreak();
    for (arguments, says) in [
        (vec!["run"], "required"),
        (vec!["run", "no-such-scenario"], "no scenario `no-such-scenario`"),
        (vec!["run", "channel-file-291"], "no image `understudy` in the store"),
        (vec!["timeline", "zzz"], "no run `zzz`"),
        (vec!["dump", "show", "/nonexistent"], "/nonexistent"),
        (vec!["fly"], "unrecognized subcommand"),
    ] {
        let output = loopbreak.run(&arguments).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let scenario = folder.path().join("typo");
    std::fs::create_dir(&scenario).unwrap();
    let text =
        std::fs::read_to_string(workspace().join("harness/scenario/tests/channel-file-291.toml"))
            .unwrap()
            .replace("name = \"channel-file-291\"", "name = \"typo\"")
            .replace("time-scale", "time-scael");
    std::fs::write(scenario.join("scenario.toml"), text).unwrap();
    let output = loopbreak.run(&["run", scenario.to_str().unwrap()]).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("scenario.toml:21:1"), "{said}");
    assert!(said.contains("time-scael") && said.contains("`time-scale`"), "{said}");
}

#[test]
fn the_schema_that_is_checked_in_is_what_the_command_prints() {
    let (loopbreak, _state) = loopbreak();
    let checked_in =
        std::fs::read_to_string(workspace().join("scenarios/scenario.schema.json")).unwrap();
    assert_eq!(loopbreak.expect(0, &["scenario", "schema"]).unwrap(), checked_in);
    let list = loopbreak.expect(0, &["scenario", "list"]).unwrap();
    assert!(list.contains("channel-file-291-good"), "{list}");
    assert!(loopbreak.expect(0, &["scenario", "check"]).unwrap().contains(": ok\n"));
}

#[test]
fn hives_and_stores_that_windows_wrote_open_or_are_refused_with_the_reason() {
    let Some(artifacts) = artifacts() else { return };
    let (loopbreak, folder) = loopbreak();
    let show = |file: &Path, key: &str| {
        loopbreak.run(&["hive", "show", file.to_str().unwrap(), key, "--json"]).unwrap()
    };
    let windows_7 = unpacked(&artifacts.join("hives/system-win7sp1-x86.SYSTEM.xz"), folder.path());
    let select = loopbreak
        .json(0, &["hive", "show", windows_7.to_str().unwrap(), "Select", "--json"])
        .unwrap();
    let value = |name: &str| {
        let values = select["values"].as_array().unwrap();
        values.iter().find(|value| value["name"] == name).unwrap()["data"].clone()
    };
    assert_eq!((value("Current"), value("LastKnownGood")), (1.into(), 2.into()));
    let services = show(&windows_7, r"ControlSet001\services");
    let services: serde_json::Value = serde_json::from_slice(&services.stdout).unwrap();
    assert_eq!(services["subkeys"].as_array().unwrap().len(), 467);

    let refused = |file: &Path, says: &str| {
        let output = show(file, "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{}: {said}", file.display());
        assert!(said.contains(says), "{}: {said}", file.display());
    };
    let hives = artifacts.join("hives");
    refused(&unpacked(&hives.join("system-win10-1903.SYSTEM.xz"), folder.path()), "dirty");
    refused(&unpacked(&hives.join("system-xp-corrupt.SYSTEM.xz"), folder.path()), "damaged");
    // Its logs lie beside it: it is read as Windows would have it.
    let recovered = show(&hives.join("yarp/NewDirtyHive1/NewDirtyHive"), "");
    assert_eq!(recovered.status.code(), Some(0), "{recovered:?}");
    assert!(String::from_utf8_lossy(&recovered.stderr).contains("read with its logs"));
    refused(&hives.join("yarp/TruncatedHive"), "damaged");

    for (store, recovers) in [
        ("ka-2022-03-01/BCD", true),
        ("ka-2022-03-03/BCD", true),
        ("win10-uefi-regipy.BCD", true),
        ("ka-2022-03-01-recovery/BCD", false),
        ("windeploy-bios.BCD", false),
    ] {
        let file = artifacts.join("bcd").join(store);
        let shown = loopbreak.json(0, &["bcd", "show", file.to_str().unwrap(), "--json"]).unwrap();
        assert!(shown["default-loader"].is_string(), "{store}");
        let sequence = shown["recovery-sequence"].as_array().unwrap();
        assert_eq!(!sequence.is_empty(), recovers, "{store}");
    }

    // A dump of a user-mode program is no crash dump of a kernel.
    let mdmp = artifacts.join("dumps/user-wer1090.mdmp");
    let output = loopbreak.run(&["dump", "show", mdmp.to_str().unwrap()]).unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_command_that_is_not_through_in_time_tells_where_its_run_stood() {
    let (loopbreak, state) = loopbreak();
    let machine = state.path().join("runs/20240719-040900-abcdef/machine");
    std::fs::create_dir_all(machine.join("frames")).unwrap();
    for name in ["00001.png", "00002.png"] {
        std::fs::write(machine.join("frames").join(name), b"").unwrap();
    }
    let lines: String = (1..=99).map(|number| format!("line {number}\n")).collect();
    std::fs::write(machine.join("serial-0.log"), lines).unwrap();
    // Nothing is through in no time.
    let error = loopbreak.run_within(std::time::Duration::ZERO, &["doctor"]).unwrap_err();
    let error = error.to_string();
    for part in ["was not through within 0ns", "frames/00002.png\n", "line 75\n", "line 99\n"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("line 74\n") && !error.contains("00001.png"), "{error}");
}

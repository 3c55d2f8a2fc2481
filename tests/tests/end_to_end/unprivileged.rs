//! A whole run as a user without any rights.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use tests::{Loopbreak, workspace};

/// The user and group `nobody` of most systems.
const NOBODY: u32 = 65534;

fn give_away(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path());
        }
    }
}

#[test]
fn a_user_without_rights_runs_the_main_job() {
    let loopbreak = Loopbreak::built().unwrap();
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user; the other tests ran without root");
        return;
    }
    // A place that the user can reach, whatever the permissions above the workspace are.
    let place = tempfile::Builder::new().prefix("lbu").tempdir().unwrap();
    let copy = |from: &Path, to: &str| {
        let to = place.path().join(to);
        let done = Command::new("cp").arg("-r").arg(from).arg(&to).status().unwrap();
        assert!(done.success());
        to
    };
    let program = copy(loopbreak.program(), "loopbreak");
    // The process that parses volumes stands beside it.
    copy(&loopbreak.program().with_file_name("loopbreak-volumes"), "loopbreak-volumes");
    let scenarios = copy(&workspace().join("scenarios"), "scenarios");
    let state = place.path().join("state");
    std::fs::create_dir(&state).unwrap();
    for part in ["images", "names"] {
        copy(&loopbreak.state().join(part), &format!("state/{part}"));
    }
    give_away(place.path());

    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"])
        .arg(&program)
        .args(["run", "channel-file-291", "--json"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", place.path())
        .env("LOOPBREAK_STATE", &state)
        .env("LOOPBREAK_SCENARIOS", &scenarios)
        .current_dir(place.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["verdict"], "recovered");
}

//! Inputs made after public reports, each with the right answer (`README.md` beside them).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod disks;
mod dumps;
mod packages;
mod stores;
mod unpacked;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the command with a state directory of its own.
fn loopbreak(state: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loopbreak"));
    command.env("LOOPBREAK_STATE", state).args(arguments).output().unwrap()
}

/// What it says on success.
fn says(state: &Path, arguments: &[&str]) -> String {
    let output = loopbreak(state, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Its error, with the exit code that means that the input is at fault.
fn refused(state: &Path, arguments: &[&str]) -> String {
    let output = loopbreak(state, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    error
}

fn json(state: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&says(state, arguments)).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

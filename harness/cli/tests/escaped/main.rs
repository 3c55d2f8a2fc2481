//! What comes from a guest does not drive the terminal: every command that shows some of it, on hives, a disk, a dump
//! and a run whose names and texts are full of escape sequences.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod hives;
mod made;
mod others;
#[path = "../cases/unpacked.rs"]
mod unpacked;

use std::path::Path;
use std::process::{Command, Output};

use words::escape::is_unfit;

/// A title, a clear screen in C1, a colour, a line of its own, and what turns the direction of writing.
const ODD: &str =
    "a\u{1b}]0;t\u{7}b\u{9b}2J\u{1b}[31mc\r\nerror: d\u{202e}e\u{200b}f\u{2028}\u{7f}";
/// As it is shown.
const SHOWN: &str =
    r"a\x1b]0;t\x07b\u{9b}2J\x1b[31mc\x0d\x0aerror: d\u{202e}e\u{200b}f\u{2028}\x7f";

/// Runs the command; whatever it says must be fit for a terminal, and no line of it is the guest's.
fn loopbreak(state: &Path, arguments: &[&str]) -> Output {
    let output = typed(state, arguments);
    for bytes in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(bytes);
        let faked = text.lines().any(|line| line.starts_with("error: d"));
        assert!(!faked, "{arguments:?}: a guest began a line:\n{text}");
    }
    output
}

/// The same where the text is what the user typed, who may well break lines.
fn typed(state: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_loopbreak"))
        .env("LOOPBREAK_STATE", state)
        .args(arguments)
        .output()
        .unwrap();
    for (name, bytes) in [("output", &output.stdout), ("error", &output.stderr)] {
        let text = std::str::from_utf8(bytes).unwrap();
        let unfit: Vec<char> = text.chars().filter(|c| is_unfit(*c) && *c != '\n').collect();
        assert!(unfit.is_empty(), "{arguments:?}: {unfit:?} in standard {name}:\n{text}");
    }
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same with a success, and its standard output.
fn says(state: &Path, arguments: &[&str]) -> String {
    let output = loopbreak(state, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    stdout(&output)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

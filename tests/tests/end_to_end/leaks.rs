//! Nothing outlives a run: not after success, not after Ctrl-C, and after `kill -9` `clean` finds it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use tests::{Loopbreak, processes};

/// Starts a run and returns when its machine runs.
fn start(loopbreak: &Loopbreak) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = loopbreak
        .command(&["run", "channel-file-291", "--start", "cold"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while errors.read_line(&mut line).unwrap() > 0 {
        if line.contains("watching") {
            return (child, errors);
        }
        line.clear();
    }
    panic!("the run ended before its machine ran: {:?}", child.wait());
}

fn left(loopbreak: &Loopbreak) -> Vec<String> {
    let mut left = Vec::new();
    for folder in ["work", "ledgers"] {
        for entry in std::fs::read_dir(loopbreak.state().join(folder)).unwrap() {
            left.push(entry.unwrap().path().display().to_string());
        }
    }
    left
}

#[test]
fn clean_finds_everything_after_a_kill() {
    let loopbreak = Loopbreak::built().unwrap();
    let (mut child, _errors) = start(&loopbreak);
    child.kill().unwrap();
    child.wait().unwrap();
    let scratch = format!("lb-{}-", child.id());
    assert!(!processes(&scratch).unwrap().is_empty(), "the machine outlives a killed harness");
    assert!(!left(&loopbreak).is_empty());

    let cleaned = loopbreak.expect(0, &["clean"]).unwrap();
    assert!(cleaned.contains("removed process"), "{cleaned}");
    assert_eq!(processes(&scratch).unwrap(), Vec::<u32>::new());
    assert_eq!(left(&loopbreak), Vec::<String>::new());
    let sockets: Vec<_> = std::fs::read_dir(std::env::temp_dir())
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(&scratch))
        .collect();
    assert_eq!(sockets, Vec::<String>::new());
    assert_eq!(loopbreak.expect(0, &["clean"]).unwrap(), "nothing to clean\n");

    loopbreak.expect(0, &["run", "channel-file-291"]).unwrap();
    assert_eq!(left(&loopbreak), Vec::<String>::new());
}

#[test]
fn ctrl_c_cleans_up_and_says_so() {
    let loopbreak = Loopbreak::built().unwrap();
    let (mut child, mut errors) = start(&loopbreak);
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut errors, &mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{said}");
    assert!(said.contains("interrupted: cleaning up"), "{said}");
    assert_eq!(processes(&format!("lb-{pid}-")).unwrap(), Vec::<u32>::new());
    assert_eq!(left(&loopbreak), Vec::<String>::new());
}

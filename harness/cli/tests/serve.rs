//! `loopbreak serve remediation` from its start to its end by a signal.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn sigterm_ends_it_cleanly() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("remediations");
    std::fs::create_dir(&folder).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_loopbreak"))
        .args(["serve", "remediation", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"])
        .arg("--authority")
        .arg(directory.path().join("authority"))
        .arg("--events")
        .arg(directory.path().join("events.jsonl"))
        .arg(&folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with("machines ask https://localhost:"), "{first}");
    assert!(directory.path().join("authority/root.cer").exists());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("ended\n"));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loopbreak"))
        .args(["serve", "remediation", "--listen", "127.0.0.1:0", "--authority"])
        .arg(directory.path())
        .arg("--events")
        .arg(directory.path().join("events.jsonl"))
        .arg(directory.path().join("nowhere"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
}

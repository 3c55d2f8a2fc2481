//! Nothing outlives a run: not after success, not after a signal, a panic or on a full disk, and after
//! `kill -9` `clean` finds it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tests::{Loopbreak, processes};

/// Starts a command and returns when its machine runs.
fn start(loopbreak: &Loopbreak, arguments: &[&str]) -> (Child, BufReader<ChildStderr>) {
    let run = loopbreak.command(arguments);
    let mut child = Command::new("env")
        // Whoever runs the tests under `nohup` has it ignored everywhere, and the command respects that.
        .arg("--default-signal=HUP")
        .arg(run.get_program())
        .args(run.get_args())
        .envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(tests::workspace())
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
    let (mut child, _errors) = start(&loopbreak, &["run", "channel-file-291", "--start", "cold"]);
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

/// What a command that was ended early says, and its exit code; nothing may be left of it.
fn ended(loopbreak: &Loopbreak, mut child: Child, mut errors: impl Read) -> (Option<i32>, String) {
    let mut said = String::new();
    errors.read_to_string(&mut said).unwrap();
    let code = child.wait().unwrap().code();
    assert_eq!(processes(&format!("lb-{}-", child.id())).unwrap(), Vec::<u32>::new(), "{said}");
    assert_eq!(left(loopbreak), Vec::<String>::new(), "{said}");
    (code, said)
}

/// Each of the ways in which a pipeline or a person ends a command, on each of the commands that run machines.
#[test]
fn a_signal_cleans_up_and_says_so() {
    let loopbreak = Loopbreak::built().unwrap();
    let run = ["run", "channel-file-291", "--start", "cold"];
    for (signal, arguments) in [
        (Signal::INT, &run[..]),
        (Signal::TERM, &run),
        (Signal::HUP, &["fault", "prove", "driver-null-read"]),
        (Signal::TERM, &["image", "qualify", "understudy", "--boot"]),
    ] {
        let (child, errors) = start(&loopbreak, arguments);
        let pid = Pid::from_child(&child);
        // Twice, as `timeout` does: to the process, and to its group.
        kill_process(pid, signal).unwrap();
        kill_process(pid, signal).unwrap();
        let (code, said) = ended(&loopbreak, child, errors);
        println!("{signal:?} on {arguments:?}: exit code {code:?}");
        assert_eq!(code, Some(3), "{signal:?} {arguments:?}: {said}");
        assert!(said.contains("interrupted: cleaning up"), "{said}");
    }
}

#[test]
fn a_panic_cleans_up_and_names_the_run() {
    let loopbreak = Loopbreak::built().unwrap();
    if !cfg!(debug_assertions) {
        println!("skipped: only a build with debug assertions can be made to panic");
        return;
    }
    let panics = [("LOOPBREAK_TEST_PANIC", "frame")];
    let mut command = loopbreak.command(&["run", "channel-file-291", "--start", "cold"]);
    let child = command.envs(panics).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let pid = child.as_ref().unwrap().id();
    let output = child.unwrap().wait_with_output().unwrap();
    let (out, said) =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).into();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("asked for by LOOPBREAK_TEST_PANIC=frame"), "{said}");
    assert!(out.contains("infrastructure") && out.contains("run directory"), "{out}");
    assert_eq!(processes(&format!("lb-{pid}-")).unwrap(), Vec::<u32>::new());
    assert_eq!(left(&loopbreak), Vec::<String>::new());
}

/// The file system of the machines' disks is so small that a crash dump fills it.
#[test]
fn a_full_disk_of_the_host_is_told_at_once() {
    let loopbreak = Loopbreak::built().unwrap();
    let work = loopbreak.state().join("work");
    // In a mount namespace of its own: nobody else sees the small file system, and it goes by itself.
    let script =
        format!("mount -t tmpfs -o size=2m small {} && exec \"$@\"", work.to_str().unwrap());
    let mut small = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        small.arg("--map-root-user");
    }
    small.args(["--mount", "sh", "-c"]);
    let possible = small.get_args().map(ToOwned::to_owned).collect::<Vec<_>>();
    let mounts = Command::new("unshare").args(&possible).args([&script, "sh", "true"]).output();
    if !mounts.as_ref().is_ok_and(|output| output.status.success()) {
        println!("skipped: no file system can be mounted here: {mounts:?}");
        return;
    }
    let run = loopbreak.command(&["run", "channel-file-291", "--start", "cold"]);
    small.arg(&script).arg("sh").arg(run.get_program()).args(run.get_args());
    small.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    small.current_dir(tests::workspace());
    let output = small.output().unwrap();
    let (out, said) =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).into();
    println!("{out}{said}");
    assert_eq!(output.status.code(), Some(3), "{said}");
    let told = format!("{out}{said}").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(&format!("the file system at {} is full", work.display())), "{told}");
    assert!(!said.contains("nothing was seen for"), "{said}");
    assert_eq!(left(&loopbreak), Vec::<String>::new());
}

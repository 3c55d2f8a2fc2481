//! What the worker cannot do, tried from inside of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_loopbreak-volumes");
/// A signal of the kernel for a system call that a filter does not allow.
const SIGSYS: i32 = 31;
const SIGABRT: i32 = 6;

fn attempt(what: &str) -> Output {
    // As the harness starts it: a backtrace would be read from files.
    Command::new(PROGRAM).args(["--attempt", what]).env_clear().output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn seccomp_ends_whatever_reaches_out() {
    let calm = attempt("nothing");
    assert!(calm.status.success(), "{}", errors(&calm));
    for what in
        ["open", "create", "list", "unix-socket", "datagram", "connect", "listen", "exec", "thread"]
    {
        let output = attempt(what);
        assert_eq!(output.status.signal(), Some(SIGSYS), "{what}: {}", errors(&output));
        assert!(output.stdout.is_empty());
    }
    assert!(!Path::new("/tmp/loopbreak-attempt").exists());
}

#[test]
fn landlock_alone_denies_files_and_ports() {
    for what in ["open", "create", "list", "exec", "connect", "listen"] {
        let output = attempt(&format!("landlock-{what}"));
        let said = errors(&output);
        if said.contains("no Landlock") {
            println!("skipped: this kernel has no Landlock");
            return;
        }
        assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        assert!(said.contains("os error 13") || said.contains("os error 1)"), "{what}: {said}");
    }
}

#[test]
fn memory_is_limited() {
    let output = attempt("memory");
    assert_eq!(output.status.signal(), Some(SIGABRT), "{}", errors(&output));
    assert!(errors(&output).contains("memory allocation"), "{}", errors(&output));
}

/// The program where anybody may start it.
fn copied() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = directory.path().join("loopbreak-volumes");
    std::fs::copy(PROGRAM, &program).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    (directory, program)
}

#[test]
fn the_fence_needs_no_privileges() {
    let (_directory, program) = copied();
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"];
    let run = |what: &str| {
        let mut command = Command::new("setpriv");
        command.args(nobody).arg(&program).args(["--attempt", what]).env_remove("RUST_BACKTRACE");
        command.output()
    };
    match run("nothing") {
        Ok(output) if errors(&output).starts_with("setpriv:") => {
            println!("skipped: this user may not become another: {}", errors(&output));
            return;
        }
        Ok(output) => assert!(output.status.success(), "{}", errors(&output)),
        Err(error) => {
            println!("skipped: setpriv: {error}");
            return;
        }
    }
    for what in ["open", "connect", "exec"] {
        assert_eq!(run(what).unwrap().status.signal(), Some(SIGSYS), "{what}");
    }
    assert_eq!(run("memory").unwrap().status.signal(), Some(SIGABRT));
}

#[test]
fn the_fence_stands_in_a_container() {
    let (_directory, program) = copied();
    let run = |what: &str| {
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts"])
            .args(["--pid", "--fork"])
            .arg(&program)
            .args(["--attempt", what])
            .output()
            .unwrap()
    };
    let calm = run("nothing");
    if errors(&calm).starts_with("unshare:") {
        println!("skipped: no user namespaces here: {}", errors(&calm));
        return;
    }
    assert!(calm.status.success(), "{}", errors(&calm));
    for what in ["open", "connect", "exec"] {
        // `unshare` ends by the same signal, or, if it cannot, with 128 and its number.
        let status = run(what).status;
        let signal = status.signal().or(status.code().map(|code| code - 128));
        assert_eq!(signal, Some(SIGSYS), "{what}");
    }
}

#[test]
fn it_is_not_for_people() {
    let output = Command::new(PROGRAM).arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("started by loopbreak"));
}

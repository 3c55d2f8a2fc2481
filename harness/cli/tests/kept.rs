//! Kept runs: bundles of them, and their trend; and what is installed with the command.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

const RECOVERED: &str =
    include_str!("../../timeline/tests/fixtures/recorded-channel-file-291.jsonl");
const STUCK: &str =
    include_str!("../../timeline/tests/fixtures/recorded-channel-file-291-cloud-off.jsonl");

fn loopbreak(state: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loopbreak"))
        .env("LOOPBREAK_STATE", state)
        .env("HOME", "/home/jane.public")
        .env("USER", "jane.public")
        .args(arguments)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A run of a recording, as it would lie in the state directory.
fn record(state: &Path, run: &str, began: &str, events: &str, image_digest: &str) {
    let directory = state.join("runs").join(run);
    std::fs::create_dir_all(directory.join("recovery")).unwrap();
    std::fs::write(directory.join("events.jsonl"), events).unwrap();
    let record = serde_json::json!({
        "format": 1, "run": run, "scenario": "channel-file-291", "scenario-digest": "d",
        "reference": "/home/jane.public/work/channel-file-291/channel-file-291.understudy.snap",
        "image": "understudy", "image-digest": image_digest, "began": began, "status": "complete",
    });
    std::fs::write(directory.join("run.json"), record.to_string()).unwrap();
    let derived = timeline::derive(&timeline::read_events(events).unwrap().events);
    std::fs::write(directory.join("outcome.json"), derived.outcome.render()).unwrap();
    let measured = serde_json::to_string_pretty(&derived.measurements).unwrap() + "\n";
    std::fs::write(directory.join("measurements.json"), measured).unwrap();
    let log = "jane.public: key 111111-222222-333333-444444-555555-666666-000011-123456\n";
    std::fs::write(directory.join("recovery/log.txt"), log).unwrap();
}

#[test]
fn a_bundle_is_shown_and_replayed_in_another_place() {
    let (state, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(state.path(), "20240719-040900-abcdef", "2024-07-19T04:09:00Z", RECOVERED, "i");
    record(state.path(), "20240720-040900-bcdefg", "2024-07-20T04:09:00Z", STUCK, "i");
    let file = elsewhere.path().join("two.bundle");
    let file = file.to_str().unwrap();
    let bundled = loopbreak(state.path(), &["bundle", "abcdef", "bcdefg", "-o", file]);
    assert_eq!(bundled.status.code(), Some(0), "{}", err(&bundled));
    assert!(out(&bundled).contains("recovery-key 2x in 2 files"), "{}", out(&bundled));
    drop(state);

    let other = tempfile::tempdir().unwrap();
    let shown = loopbreak(other.path(), &["show", file]);
    assert_eq!(shown.status.code(), Some(0), "{}", err(&shown));
    let text = out(&shown);
    for part in ["the same byte for byte", "verdict     recovered", "verdict     stuck-in-recovery"]
    {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let folder = elsewhere.path().join("runs");
    let folder = folder.to_str().unwrap();
    let extracted = loopbreak(other.path(), &["show", file, "--extract", folder]);
    assert_eq!(extracted.status.code(), Some(0), "{}", err(&extracted));
    for file in ["run.json", "recovery/log.txt", "events.jsonl"] {
        let text =
            std::fs::read_to_string(Path::new(folder).join("20240719-040900-abcdef").join(file))
                .unwrap();
        assert!(!text.contains("jane.public") && !text.contains("111111-"), "{file}: {text}");
    }
    let one = format!("{folder}/20240719-040900-abcdef");
    let replayed = loopbreak(other.path(), &["replay", &one]);
    assert!(err(&replayed).contains("the same as the run's, byte for byte"), "{}", err(&replayed));
    assert_eq!(loopbreak(other.path(), &["timeline", &one]).status.code(), Some(0));
    let differ =
        loopbreak(other.path(), &["diff", &one, &format!("{folder}/20240720-040900-bcdefg")]);
    assert_eq!(differ.status.code(), Some(1), "{}", err(&differ));
    // What is there is not written over.
    let again = loopbreak(other.path(), &["show", file, "--extract", folder]);
    assert_eq!(again.status.code(), Some(2));
    assert!(err(&again).contains("is there already"), "{}", err(&again));
    // A byte that changed.
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let damaged = loopbreak(other.path(), &["show", file]);
    assert_eq!((damaged.status.code(), out(&damaged).as_str()), (Some(2), ""));
    assert!(err(&damaged).contains("two.bundle"), "{}", err(&damaged));
}

#[test]
fn a_reference_anywhere_on_the_host_names_no_place_in_a_bundle() {
    let state = tempfile::tempdir().unwrap();
    let run = "20240719-040900-abcdef";
    let file = state.path().join("one.bundle");
    let with_reference = |reference: &str| {
        record(state.path(), run, "2024-07-19T04:09:00Z", RECOVERED, "i");
        let path = state.path().join("runs").join(run).join("run.json");
        let mut record: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        record["reference"] = reference.into();
        std::fs::write(&path, record.to_string()).unwrap();
        loopbreak(state.path(), &["bundle", run, "-o", file.to_str().unwrap()])
    };
    for reference in ["/dev/shm/a b/it's/x.snap", "/q/x \"y\"/x.snap"] {
        let bundled = with_reference(reference);
        assert_eq!(bundled.status.code(), Some(0), "{reference}: {}", err(&bundled));
        let shown = loopbreak(state.path(), &["show", file.to_str().unwrap()]);
        assert_eq!(shown.status.code(), Some(0), "{reference}: {}", err(&shown));
        std::fs::remove_file(&file).unwrap();
    }
    // Nobody's: no run has it, and `accept` would write there.
    for reference in ["scenarios/x.snap", "../x.snap", "/x.snap"] {
        let bundled = with_reference(reference);
        assert_eq!(bundled.status.code(), Some(2), "{reference}: {}", err(&bundled));
        assert!(err(&bundled).contains("cannot be redacted"), "{}", err(&bundled));
        assert!(!file.exists());
    }
}

#[test]
fn a_trend_tells_since_when_and_with_what_else_an_outcome_changed() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), "20240719-040900-aaaaaa", "2024-07-19T04:09:00Z", RECOVERED, "i");
    record(state.path(), "20240719-050900-bbbbbb", "2024-07-19T05:09:00Z", RECOVERED, "i");
    record(state.path(), "20240720-040900-cccccc", "2024-07-20T04:09:00Z", STUCK, "j");
    // A run that was killed at once is of the host's, not of the machine's.
    let begun = RECOVERED.split_inclusive('\n').next().unwrap();
    record(state.path(), "20240721-040900-dddddd", "2024-07-21T04:09:00Z", begun, "j");
    record(state.path(), "20240722-040900-eeeeee", "2024-07-22T04:09:00Z", STUCK, "j");
    let page = state.path().join("page.html");
    let runs = state.path().join("runs");
    let shown = loopbreak(
        state.path(),
        &["trend", runs.to_str().unwrap(), "--html", page.to_str().unwrap()],
    );
    assert_eq!(shown.status.code(), Some(0), "{}", err(&shown));
    let text = out(&shown);
    assert!(
        text.contains(
            "channel-file-291 on understudy, a model, not Windows: 5 runs, 2024-07-19 to 2024-07-22"
        ),
        "{text}"
    );
    let changed: Vec<&str> = text.lines().filter(|line| line.contains("changed with")).collect();
    assert_eq!(changed.len(), 1, "{text}");
    assert!(
        changed[0].contains("20240720-040900-cccccc (stuck-in-recovery): the image is another; "),
        "{text}"
    );
    assert!(changed[0].contains("stuck-in-recovery instead of recovered"), "{text}");
    let day = |day: &str| {
        text.lines().find(|line| line.trim_start().starts_with(day)).unwrap().to_owned()
    };
    assert!(day("2024-07-19").contains("   2  recovered "), "{text}");
    assert!(day("2024-07-21").contains("infrastructure"), "{text}");
    let html = std::fs::read_to_string(page).unwrap();
    assert_eq!(html.matches("<g class=\"good\">").count(), 2, "{html}");
    assert_eq!(html.matches("<g class=\"bad\">").count(), 2);
    assert_eq!(html.matches("<g class=\"odd\">").count(), 1);
    let empty = tempfile::tempdir().unwrap();
    let none = loopbreak(state.path(), &["trend", empty.path().to_str().unwrap()]);
    assert_eq!(none.status.code(), Some(2));
    assert!(err(&none).contains("there is no run in"), "{}", err(&none));
}

#[test]
fn completions_and_pages_know_every_command() {
    let state = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = loopbreak(state.path(), &["completions", shell]);
        assert!(script.status.success(), "{shell}");
        for word in
            ["diagnose", "quick-machine-recovery", "max-size"].iter().take(1).chain(&["bisect"])
        {
            assert!(out(&script).contains(word), "{shell} does not complete {word}");
        }
    }
    // What a shell makes of it: bash completes the beginning of a command.
    let script = state.path().join("loopbreak.bash");
    std::fs::write(&script, out(&loopbreak(state.path(), &["completions", "bash"]))).unwrap();
    let ask = "source \"$0\"; COMP_WORDS=(loopbreak bis); COMP_CWORD=1; _loopbreak loopbreak bis loopbreak; echo \"${COMPREPLY[@]}\"";
    let completed = Command::new("bash").args(["-c", ask]).arg(&script).output().unwrap();
    assert_eq!(out(&completed).trim(), "bisect", "{}", err(&completed));
    let pages = state.path().join("man");
    let written = loopbreak(state.path(), &["man", "--output", pages.to_str().unwrap()]);
    assert!(written.status.success(), "{}", err(&written));
    for page in ["loopbreak.1", "loopbreak-run.1", "loopbreak-bisect-builds.1"] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".TH") && text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
}

#[test]
fn the_script_installs_what_a_shell_and_man_look_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let prefix = tempfile::tempdir().unwrap();
    // As in a checkout: the script, and below it what was built.
    let checkout = tempfile::tempdir().unwrap();
    let release = checkout.path().join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    std::fs::create_dir_all(checkout.path().join("scripts")).unwrap();
    std::fs::copy(root.join("scripts/install"), checkout.path().join("scripts/install")).unwrap();
    let script = || {
        let mut command = Command::new(checkout.path().join("scripts/install"));
        command.arg("--prefix").arg(prefix.path()).output().unwrap()
    };
    let nothing = script();
    assert_eq!(nothing.status.code(), Some(2));
    assert!(err(&nothing).contains("run scripts/build first"), "{}", err(&nothing));
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_loopbreak"), release.join("loopbreak")).unwrap();
    // The program beside it is not run here.
    std::os::unix::fs::symlink("/bin/true", release.join("loopbreak-volumes")).unwrap();
    // Twice: an installation is replaced.
    for _ in 0..2 {
        let installed = script();
        assert_eq!(installed.status.code(), Some(0), "{}", err(&installed));
        assert!(out(&installed).contains("is not in PATH"), "{}", out(&installed));
    }
    // A prefix that is not absolute is meant from where the command was given; no home is needed for it.
    let beside = tempfile::tempdir().unwrap();
    let mut relative = Command::new(checkout.path().join("scripts/install"));
    relative.current_dir(beside.path()).env_remove("HOME").args(["--prefix", "here"]);
    let relative = relative.output().unwrap();
    assert_eq!(relative.status.code(), Some(0), "{}", err(&relative));
    assert!(beside.path().join("here/bin/loopbreak").is_file());
    for file in [
        "bin/loopbreak-volumes",
        "share/man/man1/loopbreak.1",
        "share/man/man1/loopbreak-run.1",
        "share/bash-completion/completions/loopbreak",
        "share/zsh/site-functions/_loopbreak",
        "share/fish/vendor_completions.d/loopbreak.fish",
    ] {
        assert!(prefix.path().join(file).is_file(), "{file}");
    }
    let version =
        Command::new(prefix.path().join("bin/loopbreak")).arg("--version").output().unwrap();
    assert!(out(&version).starts_with("loopbreak "), "{}", err(&version));
}

//! End-to-end tests live in `tests/tests`; this library holds what they share: the built command, a state
//! directory of each test's own with the understudy image in it, and ways to look at what a run left.
//!
//! They boot real machines of 512 MiB under whatever accelerator the host has, so they assert what
//! happened, never how long it took.

pub mod guide;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Far longer than any of these commands takes, also on a busy host without KVM. It is there so that a machine that
/// hangs is told of, and not cut off with the whole of CI.
pub const LIMIT: Duration = Duration::from_secs(20 * 60);
/// Of serial line and events, where a command was not through in time.
const LINES: usize = 25;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The `loopbreak` command with a state directory.
#[derive(Debug, Clone)]
pub struct Loopbreak {
    program: PathBuf,
    state: PathBuf,
}

impl Loopbreak {
    /// The command that `scripts/build` built (`LOOPBREAK_BIN`), with a state directory that only this test has,
    /// and the built image (`LOOPBREAK_BUNDLE`) in it. What an earlier run of the test left there goes.
    pub fn built() -> anyhow::Result<Self> {
        let from = |name: &str, default: &str| {
            std::env::var_os(name).map_or_else(|| workspace().join(default), PathBuf::from)
        };
        let program = from("LOOPBREAK_BIN", "target/release/loopbreak");
        ensure!(program.is_file(), "{} is not there; run scripts/test", program.display());
        let bundle = from("LOOPBREAK_BUNDLE", "target/understudy");
        let thread = std::thread::current();
        // The test runner names each test's thread after it.
        let test = thread.name().context("the name of this test")?.replace("::", "-");
        let state = workspace().join("target/test-states").join(test);
        match std::fs::remove_dir_all(&state) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context(format!("removing {}", state.display()));
            }
            _ => {}
        }
        let built = Self { program, state };
        let bundle = bundle.to_str().context("a path that is text")?;
        built.expect(0, &["image", "import", bundle, "--name", "understudy"])?;
        Ok(built)
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The same command with another state directory.
    pub fn with_state(&self, state: &Path) -> Self {
        Self { program: self.program.clone(), state: state.to_path_buf() }
    }

    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The command with these arguments, run from the root of the workspace.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(workspace())
            .env("LOOPBREAK_STATE", &self.state)
            .env_remove("LOOPBREAK_CONNECT")
            // Whoever runs the tests in CI still tests what is written beside references.
            .env("INSTA_UPDATE", "new")
            .args(arguments);
        command
    }

    /// Runs it to its end, which has to come within [`LIMIT`].
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.run_within(LIMIT, arguments)
    }

    /// Runs it to its end. Where that does not come in time, the error tells where the newest run stood.
    pub fn run_within(&self, limit: Duration, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.command(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.with_context(|| format!("{arguments:?}"))?;
        let pid = child.id();
        let (ended, end) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || ended.send(child.wait_with_output()));
        let output = match end.recv_timeout(limit) {
            Ok(output) => output?,
            Err(_) => {
                let stood = self.newest_run().unwrap_or_else(|error| format!("{error:#}"));
                // It cleans up and ends.
                if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                    kill_process(pid, Signal::TERM)?;
                }
                let said = end.recv()??;
                let said = String::from_utf8_lossy(&said.stderr).into_owned();
                bail!("{arguments:?} was not through within {limit:?}\n{said}\n{stood}");
            }
        };
        let _ = waiting.join();
        Ok(output)
    }

    /// Last frame, end of the serial line and of the events.
    fn newest_run(&self) -> anyhow::Result<String> {
        let newest = |folder: &Path| -> anyhow::Result<PathBuf> {
            let entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
            let paths: Vec<PathBuf> = entries.collect::<anyhow::Result<_>>()?;
            paths.into_iter().max().with_context(|| format!("{} is empty", folder.display()))
        };
        let run = newest(&self.state.join("runs"))?;
        let machine = run.join("machine");
        let frame = newest(&machine.join("frames"));
        let frame = frame.map_or_else(|error| format!("{error:#}"), |it| it.display().to_string());
        let end_of = |file: PathBuf| {
            let bytes = std::fs::read(&file).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
            format!("end of {}:\n{end}\n", file.display())
        };
        let (serial, events) =
            (end_of(machine.join("serial-0.log")), end_of(run.join("events.jsonl")));
        Ok(format!("last frame: {frame}\n{serial}{events}"))
    }

    /// Runs it, expects this exit code, and gives its standard output.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.run(arguments)?;
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.code() == Some(code),
            "{arguments:?} ended with {:?}, not {code}\n{out}\n{}",
            output.status.code(),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(out)
    }

    /// Runs it, expects this exit code, and gives its standard output as JSON.
    pub fn json(&self, code: i32, arguments: &[&str]) -> anyhow::Result<Value> {
        let out = self.expect(code, arguments)?;
        serde_json::from_str(&out).with_context(|| format!("{arguments:?} printed no JSON: {out}"))
    }
}

/// The run directory that a summary names.
pub fn run_directory(summary: &Value) -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(summary["run_directory"].as_str().context("a run directory")?))
}

/// The events of a run.
pub fn events(directory: &Path) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(directory.join("events.jsonl"))?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Processes whose command line contains `mark`, other than this one.
pub fn processes(mark: &str) -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if pid != std::process::id()
            && String::from_utf8_lossy(&command).replace('\0', " ").contains(mark)
        {
            found.push(pid);
        }
    }
    Ok(found)
}

//! A state directory with a small image, a scenario folder, and sessions on scripted guests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{
    Interrupt, InterruptRaiser, RunDir, RunError, RunOptions, RunResult, Session, StateDir, Status,
};
use scenario::Scenario;

use crate::guest::Guest;
use crate::image::{PROFILE, tools, write_bundle};

/// What the watch waits for once all faults are in place.
pub(crate) const AFTER_THE_FAULTS: &str = "the end of the loop, or recovery";
/// Where the bad file goes, and where it is first written.
pub(crate) const BAD_FILE: &str =
    r"C:\Windows\System32\drivers\CrowdStrike\C-00000291-00000000-00000032.sys";
pub(crate) const CANARY: &str = r"C:\Users\Public\Documents\ledger.txt";

/// What happens to the machine while it is watched.
pub(crate) enum Meanwhile {
    /// What the script says.
    Nothing,
    /// Ctrl-C as soon as the watch waits for this.
    Interrupt(&'static str),
    /// Ctrl-C as soon as this is true of the run.
    InterruptWhen(fn(&Status) -> bool),
}

pub(crate) struct Bench {
    directory: tempfile::TempDir,
    pub(crate) state: StateDir,
}

impl Bench {
    /// `None` where QEMU's disk programs are missing.
    pub(crate) fn new() -> Option<Self> {
        Self::with_profile(PROFILE)
    }

    pub(crate) fn with_profile(profile: &str) -> Option<Self> {
        if !tools() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(Some(&directory.path().join("state"))).unwrap();
        let bundle = directory.path().join("bundle");
        write_bundle(&bundle, profile);
        let store = disk::Store::open(state.root()).unwrap();
        store.import(&bundle, "understudy").unwrap();
        Some(Self { directory, state })
    }

    /// The scenario's folder, where its reference will lie.
    pub(crate) fn folder(&self) -> PathBuf {
        self.directory.path().join("scripted")
    }

    /// A scenario with the bad channel file written at `when`, that expects `verdict`.
    pub(crate) fn scenario(&self, when: &str, verdict: &str) -> Scenario {
        let text = TEMPLATE
            .replace("{when}", when)
            .replace("{verdict}", verdict)
            .replace("{bad-file}", BAD_FILE)
            .replace("{canary}", CANARY);
        self.load(&text)
    }

    pub(crate) fn load(&self, text: &str) -> Scenario {
        fs::create_dir_all(self.folder()).unwrap();
        let path = self.folder().join("scenario.toml");
        fs::write(&path, text).unwrap();
        Scenario::load(&path).unwrap()
    }

    /// One run in a session of its own. Nothing but the record may be left of it.
    pub(crate) async fn run(
        &self,
        scenario: &Scenario,
        guest: &Guest,
        options: &RunOptions,
        meanwhile: Meanwhile,
    ) -> Result<RunResult, RunError> {
        let (raiser, interrupt) = Interrupt::new();
        let hypervisor = Arc::new(guest.clone());
        let session = Session::with_hypervisor(self.state.clone(), hypervisor, interrupt).unwrap();
        let (story, raiser) = (guest.clone(), Arc::new(raiser));
        let status = move |status: &Status| follow(status, &story, &raiser, &meanwhile);
        let result = session.run(scenario, &self.folder(), options, Arc::new(status)).await;
        assert_eq!(session.close(), []);
        self.assert_clean();
        result
    }

    /// Several runs in one session, one after the other, which may have their beginning in common.
    pub(crate) async fn run_together(
        &self,
        scenarios: &[Scenario],
        guest: &Guest,
    ) -> Vec<RunResult> {
        let (_raiser, interrupt) = Interrupt::new();
        let hypervisor = Arc::new(guest.clone());
        let session = Session::with_hypervisor(self.state.clone(), hypervisor, interrupt).unwrap();
        session.announce(scenarios);
        let mut results = Vec::new();
        for scenario in scenarios {
            let (folder, options) = (self.folder(), RunOptions::default());
            let result = session.run(scenario, &folder, &options, Arc::new(|_| {})).await;
            results.push(result.unwrap());
        }
        // What was kept is gone with the last that could want it.
        assert_eq!(names(&self.state.work()), [""; 0]);
        assert_eq!(session.close(), []);
        self.assert_clean();
        results
    }

    /// No overlay, no ledger.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(names(&self.state.work()), [""; 0]);
        assert_eq!(names(&self.state.ledgers()), [""; 0]);
    }

    /// The runs on record, oldest first.
    pub(crate) fn runs(&self) -> Vec<RunDir> {
        RunDir::list(&self.state.runs()).unwrap()
    }

    pub(crate) fn checkpoints(&self) -> Vec<String> {
        names(&self.state.root().join("checkpoints"))
    }
}

fn follow(status: &Status, guest: &Guest, raiser: &InterruptRaiser, meanwhile: &Meanwhile) {
    if status.waits_for == AFTER_THE_FAULTS {
        guest.go_on();
    }
    let now = match meanwhile {
        Meanwhile::Nothing => false,
        Meanwhile::Interrupt(at) => status.waits_for == *at,
        Meanwhile::InterruptWhen(now) => now(status),
    };
    if now {
        raiser.raise();
    }
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const TEMPLATE: &str = r#"
format = 1
name = "scripted"
title = "A scripted machine"
description = "What comes out is what the test's script says."

[machine]
image = "understudy"
start = "cold"
clock = "2024-07-19T04:09:00Z"
time-scale = 120

[[given]]
name = "sensor"
kind = "content-driver"
driver = "csagent.sys"
content-folder = 'C:\Windows\System32\drivers\CrowdStrike'
content-pattern = "C-00000291-*.sys"
start = "system"

[[given]]
name = "good-file"
kind = "content-file"
path = 'C:\Windows\System32\drivers\CrowdStrike\C-00000291-00000000-00000029.sys'
content = { channel-file = { fields = 21 } }

[[fault]]
name = "bad-file"
kind = "content-file"
when = "{when}"
path = '{bad-file}'
content = { channel-file = { fields = 21, patterns = { 21 = '\\.\pipe\*' } } }

[[canary]]
path = '{canary}'
text = "Balance carried forward: 1,204.50\n"

[recovery.quick-machine-recovery]
cloud-remediation = false
auto-remediation = true
total-wait-time = "40m"
wait-interval = "2m"

[expect]
verdict = "{verdict}"

[limits]
time = "10m"
loop-after = 3
recovery-rounds = 2
"#;

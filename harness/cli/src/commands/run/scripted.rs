//! Runs that no machine made, for tests: of a recording, with the exit code that a test wants.

use std::cell::Cell;
use std::path::PathBuf;

use engine::{RunDir, RunError, RunResult};
use report::{Comparison, RunIdentity};

use crate::exit::Exit;

const EVENTS: &str =
    include_str!("../../../../timeline/tests/fixtures/recorded-channel-file-291.jsonl");
const OTHER_EVENTS: &str =
    include_str!("../../../../timeline/tests/fixtures/recorded-channel-file-291-cloud-off.jsonl");

/// Where their records lie.
pub(crate) struct Record {
    place: tempfile::TempDir,
    count: Cell<u32>,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self { place: tempfile::tempdir().expect("a temporary folder"), count: Cell::new(0) }
    }

    /// A run of `channel-file-291`, to its recovery.
    pub(crate) fn run(&self, exit: Exit) -> RunResult {
        self.run_of("channel-file-291", EVENTS, exit)
    }

    /// A run that had another outcome.
    pub(crate) fn other_run(&self, exit: Exit) -> RunResult {
        self.run_of("channel-file-291", OTHER_EVENTS, exit)
    }

    fn run_of(&self, scenario: &str, events: &str, exit: Exit) -> RunResult {
        let number = self.count.replace(self.count.get() + 1);
        let name = format!("20240719-0409{number:02}-abcdef");
        let path = self.place.path().join(&name);
        std::fs::create_dir_all(path.join("machine/frames")).expect("a folder");
        std::fs::write(path.join("events.jsonl"), events).expect("events");
        let reference = PathBuf::from("/scenarios/a/a.snap");
        let record = serde_json::json!({
            "format": 1, "run": name, "scenario": scenario, "scenario-digest": "d",
            "reference": reference, "image": "understudy", "image-digest": "i",
            "began": "2024-07-19T04:09:00Z", "status": "complete",
        });
        std::fs::write(path.join("run.json"), record.to_string()).expect("a record");
        let derived = timeline::derive(&timeline::read_events(events).expect("events").events);
        let comparison = Comparison::Same { reference };
        let identity = RunIdentity { run: &name, directory: &path, exit_code: exit as u8 };
        let mut summary = report::summary(&derived, Some(&comparison), identity);
        summary.scenario = scenario.to_owned();
        std::fs::write(path.join("summary.json"), summary.render()).expect("a summary");
        let directory = RunDir::find(self.place.path(), &path.to_string_lossy()).expect("a run");
        let cleaned = engine::Cleaned::default();
        RunResult { derived, comparison, exit, summary, directory, cleaned }
    }
}

/// What a run that was not begun comes to.
pub(crate) fn refused() -> RunError {
    RunError::Refused("this image cannot do that".to_owned())
}

//! What cannot be removed after a run is told, whichever way the run goes.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use engine::{Entry, ExitStatus, Interrupt, LeftBehind, RunError, RunOptions, Session};
use hypervisor::{FakeHypervisor, Hypervisor, HypervisorError, Machine, MachineSpec, Trigger};
use scenario::Start;
use timeline::Sink;

use crate::bench::{Bench, names};

/// Puts a file where the directory of the machine's disk was, which is then no directory that could be removed,
/// and does not start the machine.
struct InTheWay;

#[async_trait]
impl Hypervisor for InTheWay {
    async fn start(
        &self,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, HypervisorError> {
        let directory = spec.disk.parent().unwrap();
        std::fs::remove_dir_all(directory).unwrap();
        std::fs::write(directory, "").unwrap();
        FakeHypervisor::new().fail(Trigger::Start, "not today").start(spec, sink).await
    }

    async fn restore(
        &self,
        _: &Path,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, HypervisorError> {
        self.start(spec, sink).await
    }
}

fn session(bench: &Bench) -> Session {
    let (_raiser, interrupt) = Interrupt::new();
    Session::with_hypervisor(bench.state.clone(), Arc::new(InTheWay), interrupt).unwrap()
}

/// So many things are left, each by a run, and `clean` still knows of them.
fn assert_told(bench: &Bench, session: Session, count: usize) {
    let left = session.close();
    assert_eq!(left.len(), count, "{left:?}");
    let mut ledgers: Vec<String> = left.iter().map(|one| format!("{}.jsonl", one.by)).collect();
    ledgers.sort();
    assert_eq!(names(&bench.state.ledgers()), ledgers);
    for LeftBehind { leak, .. } in left {
        let Entry::Directory { path } = &leak.entry else { panic!("{leak:?}") };
        std::fs::remove_file(path).unwrap();
    }
    assert!(!engine::clean(&bench.state).unwrap().leaked());
    bench.assert_clean();
}

#[tokio::test]
async fn a_run_that_leaves_something_behind_says_so_whether_or_not_it_has_an_outcome() {
    let Some(bench) = Bench::new() else { return };
    let mut scenario = bench.scenario("healthy", "hung");
    let (options, quiet) = (RunOptions::default(), || Arc::new(|_: &_| {}));
    let with_outcome = session(&bench);
    let result = with_outcome.run(&scenario, &bench.folder(), &options, quiet()).await.unwrap();
    assert_eq!(result.exit, ExitStatus::Leaked);
    assert_eq!(result.summary.exit_code, 4);
    assert_told(&bench, with_outcome, 1);

    scenario.machine.start = Start::Checkpoint;
    let aborted = session(&bench);
    let result = aborted.run(&scenario, &bench.folder(), &options, quiet()).await;
    assert!(matches!(result, Err(RunError::Hypervisor(_))), "{result:?}");
    assert_told(&bench, aborted, 1);
}

#[tokio::test]
async fn so_do_proofs_and_detectors() {
    let Some(bench) = Bench::new() else { return };
    let proving = session(&bench);
    let kind = faults::kinds().find(|kind| kind.name == "power").unwrap();
    let result = proving.prove(kind, &kind.examples[0], "understudy", Arc::new(|_| {})).await;
    assert!(matches!(result, Err(RunError::NotProved { .. })), "{result:?}");
    assert_told(&bench, proving, 1);

    let detecting = session(&bench);
    let report = detecting.detectors("understudy", Arc::new(|_| {})).await.unwrap();
    assert!(!report.stopped);
    assert_told(&bench, detecting, 2);
}

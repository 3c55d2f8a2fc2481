//! Running what was chosen: so many machines at once, in their order, within the budget, and again where the host failed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::{Interrupt, RunError, RunOptions, RunResult, Session, StatusSink};
use report::{Flaky, HostFailure, ListPlace, Repeat};
use scenario::{QuarantineEntry, Scenario};

use super::finished::{Finished, Turned};
use crate::exit::Exit;
use crate::schedule::{Known, Queue, first_to_last};
use crate::session::{exit_code, panicked};

/// A scenario on an image, and what is known of it before it runs.
pub(crate) struct Target {
    pub(crate) scenario: Scenario,
    pub(crate) folder: PathBuf,
    pub(crate) position: usize,
    pub(crate) listed: Option<ListPlace>,
    pub(crate) quarantine: Option<QuarantineEntry>,
    pub(crate) known: Known,
}

/// How all of them are run.
#[derive(Clone)]
pub(crate) struct Manner {
    pub(crate) options: RunOptions,
    /// How many machines at once.
    pub(crate) jobs: u32,
    /// How often a run is tried again that the host or the harness failed.
    pub(crate) retries: u32,
    /// Nothing is begun that would not end within it, as far as is known.
    pub(crate) budget: Option<Duration>,
    /// How each is repeated, how often, and what becomes of one that is flaky.
    pub(crate) repeat: Option<(Repeat, u32, Flaky)>,
    /// Where no reference lies, for outcomes that have none.
    pub(crate) aside: PathBuf,
}

/// A run that waits.
struct Waiting {
    target: usize,
    turn: u32,
    scenario: Scenario,
    folder: PathBuf,
}

/// What workers share.
struct Work {
    session: Arc<Session>,
    manner: Manner,
    interrupt: Interrupt,
    status: StatusSink,
    began: Instant,
    queue: Mutex<Queue<Waiting>>,
    done: Mutex<Vec<(usize, u32, Turned)>>,
}

/// Runs all targets; what came of them is in the order in which they were chosen.
pub(crate) async fn run_targets(
    session: &Arc<Session>,
    manner: &Manner,
    targets: Vec<Target>,
    interrupt: &Interrupt,
    status: StatusSink,
) -> Vec<Finished> {
    let work = Arc::new(Work {
        session: Arc::clone(session),
        manner: manner.clone(),
        interrupt: interrupt.clone(),
        status,
        began: Instant::now(),
        queue: Mutex::new(queue(manner, &targets)),
        done: Mutex::default(),
    });
    let workers: Vec<_> =
        (0..manner.jobs).map(|_| tokio::spawn(worker(Arc::clone(&work)))).collect();
    // A run that panics is caught in its worker. Should one end before its time nevertheless, what it had taken up has to
    // be told of, and is not what there was no time for.
    let mut panic = None;
    for worker in workers {
        panic = worker.await.err().map(|error| error.to_string()).or(panic);
    }
    let mut done: Vec<(usize, u32, Turned)> = std::mem::take(&mut *locked(&work.done));
    done.sort_by_key(|(target, turn, _)| (*target, *turn));
    let repeat = manner.repeat.map(|(by, _, policy)| (by, policy));
    let mut finished: Vec<Finished> = targets
        .into_iter()
        .map(|target| Finished {
            scenario: target.scenario.name,
            image: target.scenario.machine.image,
            position: target.position,
            listed: target.listed,
            quarantine: target.quarantine,
            repeat,
            turns: Vec::new(),
            left_out: 0,
        })
        .collect();
    for (target, _, turned) in done {
        finished[target].turns.push(turned);
    }
    let turns = manner.repeat.map_or(1, |(_, turns, _)| turns as usize);
    for one in &mut finished {
        one.left_out = turns.saturating_sub(one.turns.len());
        if let Some(what) = panic.clone().filter(|_| one.left_out > 0) {
            let came = Err(RunError::Panicked { what, directory: None });
            one.turns.push(Turned { tried_again: Vec::new(), came });
        }
    }
    finished.sort_by_key(|one| one.position);
    finished
}

fn queue(manner: &Manner, targets: &[Target]) -> Queue<Waiting> {
    let known: Vec<Known> = targets.iter().map(|target| target.known).collect();
    // Without a budget everything has its turn, in the order in which it was chosen.
    let order = match manner.budget {
        Some(_) => first_to_last(&known),
        None => (0..targets.len()).collect(),
    };
    let turns = manner.repeat.map_or(1, |(_, turns, _)| turns);
    let waiting = order.into_iter().flat_map(|index| (0..turns).map(move |turn| (index, turn)));
    let waiting = waiting.map(|(index, turn)| {
        let Target { scenario, folder, .. } = &targets[index];
        let (scenario, folder) = match manner.repeat {
            Some((Repeat::Seeds, ..)) => {
                (scenario.with_seed(u64::from(turn) + 1), manner.aside.clone())
            }
            _ => (scenario.clone(), folder.clone()),
        };
        (Waiting { target: index, turn, scenario, folder }, known[index].took)
    });
    Queue::new(waiting, manner.budget)
}

async fn worker(work: Arc<Work>) {
    loop {
        let next = locked(&work.queue).next(work.began.elapsed());
        let Some(Waiting { target, turn, scenario, folder }) = next else { return };
        let turned = one(&work, scenario, folder).await;
        locked(&work.done).push((target, turn, turned));
    }
}

/// One run, again as often as the host fails it and that is wanted.
async fn one(work: &Arc<Work>, scenario: Scenario, folder: PathBuf) -> Turned {
    let run = || {
        let (work, scenario, folder) = (Arc::clone(work), scenario.clone(), folder.clone());
        async move {
            if work.interrupt.is_raised() {
                return Err(RunError::Interrupted);
            }
            let running = tokio::spawn(async move {
                let status = Arc::clone(&work.status);
                work.session.run(&scenario, &folder, &work.manner.options, status).await
            });
            running.await.unwrap_or_else(panicked)
        }
    };
    with_retries(work.manner.retries, || work.interrupt.is_raised(), run).await
}

/// Runs again what the host or the harness failed, at most so often, and not once it is to end.
async fn with_retries<F: Future<Output = Result<RunResult, RunError>>>(
    retries: u32,
    ends: impl Fn() -> bool,
    mut run: impl FnMut() -> F,
) -> Turned {
    let mut tried_again = Vec::new();
    loop {
        let came = run().await;
        match host_failure(&came) {
            Some(failure) if !ends() && tried_again.len() < retries as usize => {
                tried_again.push(failure);
            }
            _ => return Turned { tried_again, came },
        }
    }
}

/// What the host or the harness failed; `None` for everything that says something about the product, that was refused,
/// or that left something behind.
fn host_failure(came: &Result<RunResult, RunError>) -> Option<HostFailure> {
    match came {
        Ok(result) if result.exit == Exit::Infrastructure => Some(HostFailure {
            run: Some(result.summary.run.clone()),
            because: result.summary.because.clone(),
        }),
        Err(error) if exit_code(error) == Exit::Infrastructure => {
            Some(HostFailure { run: None, because: error.to_string() })
        }
        Ok(_) | Err(_) => None,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use super::*;
    use crate::commands::run::scripted::{Record, refused};

    /// What a run comes to.
    type Coming = fn(&Record) -> Result<RunResult, RunError>;

    /// How often a run is begun that comes to this each time, or to the last of it for ever.
    async fn begun(retries: u32, came: &[Coming]) -> (usize, Turned) {
        let record = Record::new();
        let count = Cell::new(0);
        let run = || {
            let turn = count.replace(count.get() + 1);
            ready(came[turn.min(came.len() - 1)](&record))
        };
        let turned = with_retries(retries, || false, run).await;
        (count.get(), turned)
    }

    #[tokio::test]
    async fn what_the_host_failed_is_tried_again_and_noted() {
        let broken = |record: &Record| Ok(record.run(Exit::Infrastructure));
        let good = |record: &Record| Ok(record.run(Exit::AsExpected));
        let (count, turned) = begun(2, &[broken, good]).await;
        assert_eq!((count, turned.exit()), (2, Exit::AsExpected));
        assert_eq!(turned.tried_again.len(), 1);
        assert!(turned.tried_again[0].run.is_some());
        // Not more often than is wanted.
        let (count, turned) = begun(2, &[broken]).await;
        assert_eq!((count, turned.exit(), turned.tried_again.len()), (3, Exit::Infrastructure, 2));
        let (count, _) = begun(0, &[broken]).await;
        assert_eq!(count, 1);
    }

    #[tokio::test]
    async fn outcomes_of_the_product_refusals_and_leaks_are_never_tried_again() {
        let differs = |record: &Record| Ok(record.run(Exit::Differs));
        let leaked = |record: &Record| Ok(record.run(Exit::Leaked));
        let refused = |_: &Record| Err(refused());
        for (count, turned) in
            [begun(5, &[differs]).await, begun(5, &[leaked]).await, begun(5, &[refused]).await]
        {
            assert_eq!((count, turned.tried_again.len()), (1, 0));
        }
    }

    #[tokio::test]
    async fn a_command_that_is_to_end_tries_nothing_again() {
        let record = Record::new();
        let run = || ready(Ok(record.run(Exit::Infrastructure)));
        assert!(with_retries(5, || true, run).await.tried_again.is_empty());
    }
}

//! Playing a rollout, with any number of threads.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::layout::Layout;
use crate::machine::Setup;
use crate::model::{Fault, Plan, Rollout};
use crate::orders::{Orders, Report, Totals};
use crate::outcome::{OUTCOME_FORMAT, Outcome, Touches};
use crate::place::RolloutError;
use crate::shard::Shard;
use crate::world::{Seen, World};

/// The share that counts as all machines where the file does not say.
pub(crate) const REACH: f64 = 0.95;

/// What is played of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The plan, by name.
    pub plan: String,
    /// The fault, by name; nothing for a good update.
    pub fault: Option<String>,
    /// Of the random numbers.
    pub seed: u64,
    /// Threads, at least 1. The outcome is the same for any number.
    pub threads: usize,
}

/// What was played, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// What it came to.
    pub outcome: Outcome,
    /// Memory that the machines took in the end, in bytes.
    pub bytes: usize,
}

/// Plays a rollout that [`load`](crate::load) read.
///
/// # Errors
/// There is no such plan or fault.
pub fn simulate(rollout: &Rollout, choice: &Choice) -> Result<Played, RolloutError> {
    let plan = rollout.plan.iter().find(|plan| plan.name == choice.plan).ok_or_else(|| {
        let names = rollout.plan.iter().map(|plan| plan.name.clone()).collect();
        none(rollout, "plan", &choice.plan, names)
    })?;
    let fault = choice.fault.as_ref().map(|name| {
        rollout.fault.iter().find(|fault| fault.name == *name).ok_or_else(|| {
            let names = rollout.fault.iter().map(|fault| fault.name.clone()).collect();
            none(rollout, "fault", name, names)
        })
    });
    Ok(play(rollout, plan, fault.transpose()?, choice.seed, choice.threads))
}

pub(crate) fn none(
    rollout: &Rollout,
    kind: &'static str,
    name: &str,
    names: Vec<String>,
) -> RolloutError {
    RolloutError::NoSuch { file: rollout.name.clone(), kind, name: name.to_owned(), names }
}

/// The same for a plan and a fault that need not be in the file.
pub(crate) fn play(
    rollout: &Rollout,
    plan: &Plan,
    fault: Option<&Fault>,
    seed: u64,
    threads: usize,
) -> Played {
    let setup = Setup::new(rollout, plan, fault);
    let layout = Layout::new(rollout, plan);
    let reach = rollout.search.as_ref().map_or(REACH, |search| search.reach);
    let mut world = World::new(rollout, plan, reach, &setup, &layout);
    let mut shards: Vec<Shard<'_>> =
        (0..world.shards()).map(|number| Shard::new(number, seed, &setup, &layout)).collect();
    let last = if threads > 1 && shards.len() > 1 {
        together(&mut world, &mut shards, threads)
    } else {
        alone(&mut world, &mut shards)
    };
    shards.iter_mut().for_each(Shard::finish);
    let bytes = shards.iter().map(Shard::bytes).sum();
    let totals: Vec<&Totals> = shards.iter().map(|shard| &shard.totals).collect();
    let seen = world.finish(last);
    let mut outcome = outcome(rollout, seen, &totals);
    outcome.plan.clone_from(&plan.name);
    outcome.fault = fault.map(|fault| fault.name.clone());
    outcome.seed = seed;
    Played { outcome, bytes }
}

/// One thread. The last minute that was played.
fn alone(world: &mut World<'_>, shards: &mut [Shard<'_>]) -> u32 {
    let mut orders = world.begin();
    let mut reports: Vec<Report> = Vec::with_capacity(shards.len());
    loop {
        reports.clear();
        reports.extend(shards.iter_mut().map(|shard| shard.minute(&orders)));
        match world.next(orders.minute, &reports) {
            Some(next) => orders = next,
            None => return orders.minute,
        }
    }
}

/// Several threads, each with its own shards. The world takes their reports in the order of the shards, so it does
/// not matter who was first.
fn together(world: &mut World<'_>, shards: &mut [Shard<'_>], threads: usize) -> u32 {
    let each = shards.len().div_ceil(threads);
    thread::scope(|scope| {
        let workers: Vec<Worker> = shards
            .chunks_mut(each)
            .map(|shards| {
                let (orders_to, orders_from) = channel::<Arc<Orders>>();
                let (reports_to, reports_from) = channel();
                scope.spawn(move || work(shards, &orders_from, &reports_to));
                Worker { orders: orders_to, reports: reports_from }
            })
            .collect();
        let mut orders = Arc::new(world.begin());
        loop {
            for worker in &workers {
                // A worker that is gone has panicked; its reports are missing next.
                let _ = worker.orders.send(Arc::clone(&orders));
            }
            let mut reports = Vec::new();
            for worker in &workers {
                // The scope passes the panic on.
                let Ok(some) = worker.reports.recv() else { return orders.minute };
                reports.extend(some);
            }
            match world.next(orders.minute, &reports) {
                Some(next) => orders = Arc::new(next),
                None => return orders.minute,
            }
        }
    })
}

struct Worker {
    orders: Sender<Arc<Orders>>,
    reports: Receiver<Vec<Report>>,
}

fn work(shards: &mut [Shard<'_>], orders: &Receiver<Arc<Orders>>, reports: &Sender<Vec<Report>>) {
    while let Ok(orders) = orders.recv() {
        let done = shards.iter_mut().map(|shard| shard.minute(&orders)).collect();
        if reports.send(done).is_err() {
            return;
        }
    }
}

pub(crate) fn outcome(rollout: &Rollout, seen: Seen, totals: &[&Totals]) -> Outcome {
    let sum = |of: &dyn Fn(&Totals) -> u64| totals.iter().map(|it| of(it)).sum::<u64>();
    let layers = rollout.layer.iter().map(|layer| layer.label().to_owned());
    let names = layers.chain(["help-desk".to_owned()]);
    Outcome {
        format: OUTCOME_FORMAT,
        rollout: rollout.name.clone(),
        plan: String::new(),
        fault: None,
        seed: 0,
        machines: u64::from(rollout.fleet.machines),
        took: seen.took,
        broke: seen.broke,
        broke_again: seen.broke_any - seen.broke,
        recovered: names
            .enumerate()
            .map(|(at, name)| (name, sum(&|it| it.recovered.get(at).copied().unwrap_or(0))))
            .collect(),
        rolled_back: sum(&|it| it.rolled_back),
        still_broken: sum(&|it| it.still_broken),
        lost_minutes: sum(&|it| it.lost_minutes),
        touches: Touches {
            remote: sum(&|it| it.touches[0]),
            console: sum(&|it| it.touches[1]),
            host: sum(&|it| it.touches[2]),
        },
        refusals: seen.refusals,
        longest_queue: seen.longest_queue,
        alarm: seen.alarm,
        milestones: seen.milestones,
        rings: seen.rings,
        course: seen.course,
    }
}

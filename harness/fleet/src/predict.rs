//! How far chance alone makes outcomes differ: the same rollout played many times.
//!
//! What real machines did is compared with this: an outcome of twelve machines is one of many that could have come.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde::Serialize;

use crate::chance::Interval;
use crate::model::Rollout;
use crate::outcome::Outcome;
use crate::place::RolloutError;
use crate::simulate::{Choice, simulate};

/// Between which values outcomes lie. The value of each interval is the median.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Prediction {
    /// The plan.
    pub plan: String,
    /// How often it was played.
    pub rounds: u32,
    /// How many of the outcomes lie in each interval.
    pub confidence: f64,
    /// Machines that took the update.
    pub took: Interval,
    /// Machines that broke.
    pub broke: Interval,
    /// Machines that were broken at the end.
    pub still_broken: Interval,
    /// Hours in which machines were broken and would have been on.
    pub machine_hours: Interval,
    /// Touches.
    pub touches: Interval,
    /// Rounds with an alarm.
    pub alarms: u32,
    /// The minute of the alarm, where there was one.
    pub alarm: Option<Interval>,
}

/// Plays a rollout `rounds` times, with seeds from the choice's on, and gives the middle `confidence` of the outcomes.
/// The rounds are divided among the choice's threads; the answer is the same for any number.
///
/// # Errors
/// There is no such plan or fault.
pub fn predict(
    rollout: &Rollout,
    choice: &Choice,
    rounds: u32,
    confidence: f64,
) -> Result<Prediction, RolloutError> {
    let next = AtomicU32::new(0);
    let rounds = rounds.max(1);
    let work = || {
        let mut done = Vec::new();
        loop {
            let round = next.fetch_add(1, Ordering::Relaxed);
            if round >= rounds {
                return Ok(done);
            }
            let seed = choice.seed.wrapping_add(u64::from(round));
            done.push(simulate(rollout, &Choice { seed, threads: 1, ..choice.clone() })?.outcome);
        }
    };
    let outcomes: Result<Vec<Vec<Outcome>>, RolloutError> = thread::scope(|scope| {
        let workers: Vec<_> = (0..choice.threads.max(1)).map(|_| scope.spawn(work)).collect();
        // A panic of a worker is passed on by the scope.
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let outcomes = outcomes?.concat();
    let middle = |of: &dyn Fn(&Outcome) -> Option<f64>| {
        let mut values: Vec<f64> = outcomes.iter().filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let tail = (1.0 - confidence.clamp(0.0, 1.0)) / 2.0;
        // Outwards, so that no fewer lie inside than is said.
        let below = (last as f64 * tail).floor() as usize;
        Some(Interval { value: values[last / 2], from: values[below], to: values[last - below] })
    };
    // There is at least one round, so each of these has a value.
    let none = Interval { value: 0.0, from: 0.0, to: 0.0 };
    let all = |of: fn(&Outcome) -> f64| middle(&|it| Some(of(it))).unwrap_or(none);
    Ok(Prediction {
        plan: choice.plan.clone(),
        rounds,
        confidence,
        took: all(|it| it.took as f64),
        broke: all(|it| it.broke as f64),
        still_broken: all(|it| it.still_broken as f64),
        machine_hours: all(Outcome::machine_hours),
        touches: all(|it| it.touches.total() as f64),
        alarms: outcomes.iter().filter(|it| it.alarm.is_some()).count() as u32,
        alarm: middle(&|it| it.alarm.as_ref().map(|alarm| f64::from(alarm.minute))),
    })
}

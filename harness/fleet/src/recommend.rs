//! Looking for plans that lose little and are fast.
//!
//! Each plan is played with a good update, which says how fast it is, and with each fault of the file, which says
//! what a bad one would cost. A plan is worth a look if no other is both as fast and loses less.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::Serialize;

use crate::model::{Plan, Ring, Rollout, Search};
use crate::place::RolloutError;
use crate::simulate::play;

/// A plan and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Candidate {
    /// The plan.
    pub plan: Plan,
    /// Minutes until enough machines have a good update; nothing if that was not within the horizon.
    pub minutes: Option<u32>,
    /// Whether the good update was stopped by a false alarm.
    pub false_alarm: bool,
    /// The loss of a bad update, over all faults by their chance, in the unit of the costs.
    pub loss_if_bad: f64,
    /// That, times the chance of a bad update: what an update is expected to cost.
    pub expected_loss: f64,
    /// Machines that a bad update breaks, on average.
    pub broke: f64,
    /// Hours of machines lost by a bad update, on average.
    pub machine_hours: f64,
    /// Touches after a bad update, on average.
    pub touches: f64,
    /// No other plan is as fast and loses less.
    pub best: bool,
}

/// All plans, the fastest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recommendation {
    /// The rollout's name.
    pub rollout: String,
    /// All machines.
    pub machines: u32,
    /// The share of machines that counts as all of them.
    pub reach: f64,
    /// The chance that an update is bad.
    pub bad: f64,
    /// How often each plan was played with each fault.
    pub rounds: u32,
    /// The unit of the losses.
    pub unit: String,
    /// The plans.
    pub candidates: Vec<Candidate>,
}

impl Recommendation {
    /// Plans that no other beats, the fastest first.
    pub fn frontier(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|candidate| candidate.best)
    }

    /// The plan with the smallest loss of those that take no longer than this.
    pub fn within(&self, minutes: u32) -> Option<&Candidate> {
        // Along the frontier each slower plan loses less.
        self.frontier().take_while(|it| it.minutes.is_some_and(|own| own <= minutes)).last()
    }
}

/// Looks for plans. Each is played `rounds` times with each fault, with seeds from the file's on. The plans are
/// divided among `threads`; the answer is the same for any number.
///
/// # Errors
/// The file has no `[search]`.
pub fn recommend(
    rollout: &Rollout,
    rounds: u32,
    threads: usize,
) -> Result<Recommendation, RolloutError> {
    let no_search = || RolloutError::NoSearch { file: rollout.name.clone() };
    let search = rollout.search.as_ref().ok_or_else(no_search)?;
    let plans = plans(rollout, search);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(plan) = plans.get(at) else { return done };
            done.push((at, judge(rollout, search, plan, rounds.max(1))));
        }
    };
    let mut judged: Vec<(usize, Candidate)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        // A panic of a worker is passed on by the scope.
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    judged.sort_by_key(|(at, _)| *at);
    let mut candidates: Vec<Candidate> = judged.into_iter().map(|(_, it)| it).collect();
    mark_best(&mut candidates);
    Ok(Recommendation {
        rollout: rollout.name.clone(),
        machines: rollout.fleet.machines,
        reach: search.reach,
        bad: search.bad,
        rounds: rounds.max(1),
        unit: rollout.costs.unit.clone(),
        candidates,
    })
}

/// Sorts plans by speed, and marks those that no other beats.
fn mark_best(candidates: &mut [Candidate]) {
    let speed = |it: &Candidate| it.minutes.unwrap_or(u32::MAX);
    candidates.sort_by(|one, other| {
        speed(one).cmp(&speed(other)).then(one.expected_loss.total_cmp(&other.expected_loss))
    });
    let mut least = f64::INFINITY;
    for candidate in candidates {
        candidate.best = candidate.minutes.is_some() && candidate.expected_loss < least;
        if candidate.best {
            least = candidate.expected_loss;
        }
    }
}

/// Everything at once, and each first ring with each growth and wait. The same rings twice are one plan.
fn plans(rollout: &Rollout, search: &Search) -> Vec<Plan> {
    let like = rollout.plan.iter().find(|plan| plan.name == search.like);
    let stop = like.map(|plan| plan.stop.clone()).unwrap_or_default();
    let watched = like.is_some_and(|plan| plan.ring.first().is_some_and(|ring| ring.canary));
    let no_wait = words::Span::from_secs(0);
    let ring = |name: String, share, wait, canary| Ring {
        name,
        share,
        count: None,
        wait,
        healthy: None,
        classes: None,
        canary,
    };
    let all = ring("all".to_owned(), None, no_wait, false);
    let once = Plan { name: "everything at once".to_owned(), ring: vec![all], stop: stop.clone() };
    let mut plans = vec![once];
    for first in &search.first {
        for growth in &search.growth {
            for wait in &search.wait {
                let (mut rings, mut share, mut left) = (Vec::new(), *first, 1.0);
                while share < left {
                    let name = format!("ring-{}", rings.len() + 1);
                    rings.push(ring(name, Some(share), *wait, watched && rings.is_empty()));
                    left -= share;
                    share *= growth;
                }
                let name = format!("ring-{}", rings.len() + 1);
                rings.push(ring(name, None, no_wait, false));
                let is_new = plans.iter().all(|plan| plan.ring != rings);
                let name =
                    format!("{} %, then {growth} times as many, every {wait}", first * 100.0);
                if is_new && rings.len() > 1 {
                    plans.push(Plan { name, ring: rings, stop: stop.clone() });
                }
            }
        }
    }
    plans
}

fn judge(rollout: &Rollout, search: &Search, plan: &Plan, rounds: u32) -> Candidate {
    let good = play(rollout, plan, None, rollout.seed, 1).outcome;
    let chances: f64 = rollout.fault.iter().map(|fault| fault.chance).sum();
    let (mut loss, mut broke, mut hours, mut touches) = (0.0, 0.0, 0.0, 0.0);
    for fault in rollout.fault.iter().filter(|fault| fault.chance > 0.0) {
        let weight = fault.chance / chances / f64::from(rounds);
        for round in 0..rounds {
            let seed = rollout.seed.wrapping_add(u64::from(round));
            let bad = play(rollout, plan, Some(fault), seed, 1).outcome;
            loss += weight * bad.loss(&rollout.costs);
            broke += weight * bad.broke as f64;
            hours += weight * bad.machine_hours();
            touches += weight * bad.touches.total() as f64;
        }
    }
    Candidate {
        plan: plan.clone(),
        minutes: good.milestones.reached,
        false_alarm: good.alarm.is_some(),
        loss_if_bad: loss,
        expected_loss: loss * search.bad,
        broke,
        machine_hours: hours,
        touches,
        best: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::preset;

    fn candidate(minutes: Option<u32>, loss: f64) -> Candidate {
        let rollout = preset("july-2024").unwrap();
        Candidate {
            plan: rollout.plan[0].clone(),
            minutes,
            false_alarm: false,
            loss_if_bad: loss,
            expected_loss: loss,
            broke: 0.0,
            machine_hours: 0.0,
            touches: 0.0,
            best: false,
        }
    }

    #[test]
    fn a_plan_is_best_if_none_is_as_fast_and_loses_less() {
        let mut all: Vec<Candidate> =
            [(Some(10), 9.0), (Some(10), 8.0), (Some(20), 8.5), (None, 0.0), (Some(30), 2.0)]
                .map(|(minutes, loss)| candidate(minutes, loss))
                .to_vec();
        mark_best(&mut all);
        let best: Vec<(Option<u32>, f64)> =
            all.iter().filter(|it| it.best).map(|it| (it.minutes, it.expected_loss)).collect();
        assert_eq!(best, [(Some(10), 8.0), (Some(30), 2.0)]);
        let recommendation = Recommendation {
            rollout: String::new(),
            machines: 1,
            reach: 0.95,
            bad: 1.0,
            rounds: 1,
            unit: String::new(),
            candidates: all,
        };
        let within = |minutes| recommendation.within(minutes).map(|it| it.expected_loss);
        assert_eq!((within(9), within(29), within(400)), (None, Some(8.0), Some(2.0)));
    }

    #[test]
    fn rings_of_a_plan_grow_and_hold_everything() {
        let rollout = preset("july-2024").unwrap();
        let plans = plans(&rollout, rollout.search.as_ref().unwrap());
        assert_eq!(plans[0].ring.len(), 1);
        for plan in &plans[1..] {
            let shares: Vec<f64> = plan.ring.iter().filter_map(|ring| ring.share).collect();
            assert!(shares.is_sorted() && shares.iter().sum::<f64>() < 1.0, "{}", plan.name);
            assert_eq!(shares.len() + 1, plan.ring.len());
            assert!(plan.ring[0].canary && !plan.stop.is_empty());
        }
    }
}

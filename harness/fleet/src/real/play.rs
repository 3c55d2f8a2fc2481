//! The play itself: machines, and the same world that the simulation has.

use super::event::{Happened, PlayEvent};
use super::life::{LifeKey, Lives};
use super::machines::Machines;
use super::outcome::{Cast, Measured, RealOutcome};
use crate::distribution::Sampler;
use crate::layout::Layout;
use crate::machine::{Setup, minutes};
use crate::model::{Plan, Rollout, Signal, UpdateKind};
use crate::outcome::Outcome;
use crate::place::RolloutError;
use crate::simulate::{REACH, none, outcome};
use crate::world::{Seen, World};

/// How far a play came.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It has to be known what becomes of these machines. All of them took the update before anything that one of
    /// them does can have stopped it.
    Needs(Vec<LifeKey>),
    /// To its end.
    Done(Box<Play>),
}

/// A play that came to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// What it came to, for comparison.
    pub outcome: RealOutcome,
    /// What rests on measured durations.
    pub measured: Measured,
    /// The same as a simulation says it.
    pub as_simulated: Outcome,
    /// What happened, in order.
    pub events: Vec<PlayEvent>,
    /// The lives that were led.
    pub led: Lives,
}

/// Why a rollout cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// There is no such plan.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// Two runs of one machine.
    #[error(
        "machine {machine} broke in another way in run {run} than in its first run, so nothing can be said of it; \
         --fresh runs it again"
    )]
    Apart {
        /// The machine, from 1.
        machine: u32,
        /// The second run.
        run: String,
    },
    /// Nothing can be said of machines.
    #[error(
        "no machine takes the update in the plan `{0}`; give its rings machines, and `horizon` more time"
    )]
    NoMachine(String),
}

/// Plays a plan with what is known of the machines.
///
/// # Errors
/// There is no such plan, or two runs of one machine contradict each other.
pub fn play(rollout: &Rollout, plan: &str, cast: &Cast, lives: &Lives) -> Result<Step, PlayError> {
    let plan = rollout.plan.iter().find(|it| it.name == plan).ok_or_else(|| {
        let names = rollout.plan.iter().map(|plan| plan.name.clone()).collect();
        none(rollout, "plan", plan, names)
    })?;
    let setup = Setup::new(rollout, plan, None);
    let layout = Layout::new(rollout, plan);
    let reach = rollout.search.as_ref().map_or(REACH, |search| search.reach);
    let mut world = World::new(rollout, plan, reach, &setup, &layout);
    let mut machines = Machines::new(
        (&setup, &layout),
        lives,
        rollout.seed,
        rollout.update.kind != UpdateKind::Content,
        minutes(rollout.signals.canary_delay),
    );
    let stops_after = earliest_stop(rollout, plan);
    let mut orders = world.begin();
    let last = loop {
        let now = orders.minute;
        if let (Some(unknown), Some(after)) = (machines.unknown, stops_after) {
            // An alarm from before does not depend on it.
            let is_decided = world.seen.alarm.as_ref().is_some_and(|alarm| alarm.minute <= unknown);
            if !is_decided && now >= unknown.saturating_add(after) {
                break now;
            }
        }
        let report = machines.minute(&orders);
        match world.next(now, std::slice::from_ref(&report)) {
            Some(next) => orders = next,
            None => break now,
        }
    };
    if !machines.needs.is_empty() {
        return Ok(Step::Needs(machines.needs.into_iter().collect()));
    }
    if let Some((machine, run)) = machines.apart {
        return Err(PlayError::Apart { machine: machine + 1, run });
    }
    machines.finish();
    let seen = world.finish(last);
    let events = all_events(&machines, &seen, last);
    let mut as_simulated = outcome(rollout, seen, &[&machines.totals]);
    as_simulated.plan.clone_from(&plan.name);
    as_simulated.seed = rollout.seed;
    let led = machines.all.iter().filter_map(|one| one.life);
    // A machine that leads a second life led the first one, too.
    let first = |key: LifeKey| lives.get(&LifeKey { help: super::life::Help::Never, ..key });
    let led: Lives = led
        .flat_map(|life| [Some(life), first(life.key)])
        .flatten()
        .map(|life| (life.key, life.clone()))
        .collect();
    as_simulated.recovered = super::outcome::back_by(&machines).into_iter().collect();
    let Some(on) = led.values().next().map(|life| life.on.clone()) else {
        return Err(PlayError::NoMachine(plan.name.clone()));
    };
    let outcome = RealOutcome::of((rollout, plan), (cast, on), &machines, &as_simulated, &events);
    let measured = Measured::of(&as_simulated, &machines);
    Ok(Step::Done(Box::new(Play { outcome, measured, as_simulated, events, led })))
}

/// The fewest minutes from the moment at which a machine takes the update to the one from which on others cannot take
/// it because of what that machine did; nothing where no rule and nobody would stop it.
fn earliest_stop(rollout: &Rollout, plan: &Plan) -> Option<u32> {
    let signals = &rollout.signals;
    let heard = plan.stop.iter().map(|rule| match rule.signal {
        Signal::CrashReports => {
            let delay = Sampler::new(&signals.crash_report_delay);
            (delay.seconds().fold(f64::INFINITY, f64::min) / 60.0) as u32
        }
        Signal::Silent => minutes(signals.silent_after),
        Signal::Canaries => minutes(signals.canary_delay),
    });
    let found = rollout.found_otherwise.as_ref().map(|found| minutes(found.after));
    let heard = heard.chain(found).min()?;
    let stop = &rollout.at_stop;
    let done = [stop.halt, stop.withdraw].into_iter().flatten().map(minutes).min()?;
    Some(heard + done.max(1))
}

/// What machines and world did, in order.
fn all_events(machines: &Machines<'_>, seen: &Seen, last: u32) -> Vec<PlayEvent> {
    let at = |minute: u32, happened: Happened| PlayEvent { minute, happened };
    let rings = seen
        .rings
        .iter()
        .filter_map(|ring| Some(at(ring.began?, Happened::RingBegan { ring: ring.name.clone() })));
    let alarm = seen.alarm.as_ref();
    let alarm = alarm.map(|alarm| at(alarm.minute, Happened::Alarm { rule: alarm.rule.clone() }));
    let done = [
        (seen.milestones.halted, Happened::Halted),
        (seen.milestones.withdrawn, Happened::Withdrawn),
        (seen.milestones.remediation, Happened::RemediationPublished),
        (seen.milestones.rolled_back, Happened::RolledBack),
    ];
    let done = done.into_iter().filter_map(|(minute, happened)| Some(at(minute?, happened)));
    let own = machines.events.iter().cloned();
    let mut all: Vec<PlayEvent> = rings.chain(done).chain(own).chain(alarm).collect();
    all.retain(|event| event.minute <= last);
    // A stable sort: what is decided at the beginning of a minute comes first, the alarm at its end last.
    all.sort_by_key(|event| event.minute);
    all
}

//! What a rollout over real machines came to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use words::Verdict;

use super::event::{Happened, PlayEvent};
use super::life::{Ended, RanOn};
use super::machines::{Machines, One};
use crate::model::{Plan, Rollout};
use crate::outcome::{Alarm, Outcome, Touches};

/// What the machines run, for the outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cast {
    /// The scenario's name.
    pub scenario: String,
    /// Whether the scenario leaves something to chance, which each machine's own seed decides.
    pub has_chance: bool,
}

/// Version of the document.
pub const REAL_OUTCOME_FORMAT: u32 = 1;

/// What is compared with a reference: nothing in it rests on how long a machine took for what it did, as long as that
/// is the same minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RealOutcome {
    /// [`REAL_OUTCOME_FORMAT`].
    pub format: u32,
    /// The rollout's name.
    pub rollout: String,
    /// The plan's name.
    pub plan: String,
    /// What the machines ran.
    pub cast: Cast,
    /// On what.
    pub on: RanOn,
    /// So many machines there are.
    pub machines: u64,
    /// Machines that took the update.
    pub took: u64,
    /// Machines that never did.
    pub never_took: u64,
    /// Machines that broke.
    pub broke: u64,
    /// Of these, machines that came back without hands.
    pub by_themselves: u64,
    /// Of these, machines that needed hands, whether they got them or not.
    pub need_hands: u64,
    /// Machines that got the version before it broke them.
    pub saved: u64,
    /// Machines that were broken at the end.
    pub still_broken: u64,
    /// What brought how many back.
    pub back_by: BTreeMap<String, u64>,
    /// What stopped it; nothing if nothing did.
    pub stopped: Option<StoppedBy>,
    /// Whether that was before the last ring began.
    pub in_time: bool,
    /// Why it was not stopped in time, where machines broke.
    pub why_not_in_time: Option<String>,
    /// Each ring.
    pub rings: Vec<RealRing>,
    /// Each machine that took the update, in order.
    pub fates: Vec<Fate>,
}

/// What stopped a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StoppedBy {
    /// The signal of the rule; nothing where people did.
    pub rule: Option<String>,
    /// The minute of the alarm.
    pub minute: u32,
    /// The last ring that had begun when the alarm came.
    pub ring: String,
    /// Machines that showed the sign.
    pub hits: u64,
    /// Of so many.
    pub tries: u64,
}

/// A ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RealRing {
    /// Its name.
    pub name: String,
    /// Its machines.
    pub machines: u64,
    /// The minute in which it began; nothing if it never did.
    pub began: Option<u32>,
    /// Those that took the update.
    pub took: u64,
    /// Those that broke.
    pub broke: u64,
    /// Those that needed hands.
    pub need_hands: u64,
}

/// What became of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fate {
    /// Its number, from 1.
    pub machine: u32,
    /// Its ring.
    pub ring: String,
    /// The minute in which it took the update.
    pub took: u32,
    /// The verdict of its last run.
    pub verdict: Verdict,
    /// Whether it broke in this rollout.
    pub broke: bool,
    /// What brought it back.
    pub by: Option<String>,
}

/// What rests on measured durations. Kept beside the outcome, never compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measured {
    /// Minutes from the first machine that broke to the alarm.
    pub to_detect: Option<u32>,
    /// From the first machine that broke to the halt or the withdrawal.
    pub to_stop: Option<u32>,
    /// From the first machine that broke until all were back.
    pub to_repair: Option<u32>,
    /// Hours in which machines were broken and would have been on.
    pub machine_hours: f64,
    /// Whose hands were needed.
    pub touches: Touches,
    /// Checkpoints that the machines were forked from.
    pub checkpoints: usize,
    /// Machines whose run began with a start of its own.
    pub own_starts: usize,
    /// The run of each machine.
    pub runs: Vec<MachineRun>,
}

/// The last run of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MachineRun {
    /// The machine, from 1.
    pub machine: u32,
    /// The run.
    pub run: String,
    /// How it stood with the remediation in it.
    pub key: super::life::LifeKey,
    /// The minute in which it broke.
    pub broke: Option<u32>,
    /// The minute in which it was back.
    pub back: Option<u32>,
}

impl One<'_> {
    /// Whether it needed hands, or still does.
    fn needs_hands(&self) -> bool {
        self.broke.is_some() && (self.given_up || self.hands)
    }
}

/// What brought how many back.
pub(super) fn back_by(machines: &Machines<'_>) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (_, by) in machines.all.iter().filter_map(|one| one.back.as_ref()) {
        *all.entry(by.clone()).or_default() += 1;
    }
    all
}

impl RealOutcome {
    pub(super) fn of(
        (rollout, plan): (&Rollout, &Plan),
        (cast, on): (&Cast, RanOn),
        machines: &Machines<'_>,
        simulated: &Outcome,
        events: &[PlayEvent],
    ) -> Self {
        let count = |of: &dyn Fn(&One<'_>) -> bool| {
            machines.all.iter().filter(|one| of(one)).count() as u64
        };
        let in_ring = |at: usize, of: &dyn Fn(&One<'_>) -> bool| {
            count(&|one| one.machine.ring as usize == at && of(one))
        };
        let rings = simulated.rings.iter().enumerate().map(|(at, ring)| RealRing {
            name: ring.name.clone(),
            machines: ring.machines,
            began: ring.began,
            took: in_ring(at, &|one| one.took.is_some()),
            broke: in_ring(at, &|one| one.broke.is_some()),
            need_hands: in_ring(at, &|one| one.needs_hands()),
        });
        let milestones = &simulated.milestones;
        let is_stopped = milestones.halted.is_some() || milestones.withdrawn.is_some();
        let in_time = is_stopped && simulated.rings.iter().any(|ring| ring.began.is_none());
        let broke = count(&|one| one.broke.is_some());
        let took = count(&|one| one.took.is_some());
        let stopped = simulated.alarm.as_ref().filter(|_| is_stopped).map(|alarm| StoppedBy {
            rule: alarm.rule.clone(),
            minute: alarm.minute,
            ring: simulated.rings[alarm.ring].name.clone(),
            hits: alarm.hits,
            tries: alarm.tries,
        });
        let fates = machines.all.iter().enumerate().filter_map(|(at, one)| {
            Some(Fate {
                machine: at as u32 + 1,
                ring: plan.ring[one.machine.ring as usize].name.clone(),
                took: one.took?,
                verdict: one.life?.verdict,
                broke: one.broke.is_some(),
                by: one.back.as_ref().map(|(_, by)| by.clone()),
            })
        });
        Self {
            format: REAL_OUTCOME_FORMAT,
            rollout: rollout.name.clone(),
            plan: plan.name.clone(),
            cast: cast.clone(),
            on,
            machines: u64::from(rollout.fleet.machines),
            took,
            never_took: u64::from(rollout.fleet.machines) - took,
            broke,
            by_themselves: count(&|one| one.back.is_some() && !one.needs_hands()),
            need_hands: count(&|one| one.needs_hands()),
            saved: simulated.rolled_back,
            still_broken: simulated.still_broken,
            back_by: back_by(machines),
            stopped,
            in_time,
            why_not_in_time: (broke > 0 && !in_time).then(|| why_not(simulated, events)),
            rings: rings.collect(),
            fates: fates.collect(),
        }
    }
}

/// Why the last ring had begun when it was stopped, if it was.
fn why_not(outcome: &Outcome, events: &[PlayEvent]) -> String {
    let Some(alarm) = &outcome.alarm else { return "no rule gave an alarm".to_owned() };
    let milestones = &outcome.milestones;
    if milestones.halted.is_none() && milestones.withdrawn.is_none() {
        return format!("the alarm came after {} min, but nothing was stopped", alarm.minute);
    }
    let late = how_late(outcome, alarm, events);
    match outcome.rings.as_slice() {
        [_] => format!("there was no ring to hold back; {late}"),
        rings => {
            let last = rings.last().and_then(|ring| Some((&ring.name, ring.began?)));
            let began = last.map_or_else(String::new, |(name, began)| {
                format!("; the last ring ({name}) had begun after {began} min")
            });
            format!("{late}{began}")
        }
    }
}

/// How long after the first machine broke the signal came, and how long after it the rule was sure.
fn how_late(outcome: &Outcome, alarm: &Alarm, events: &[PlayEvent]) -> String {
    let first = outcome.milestones.first_broke.unwrap_or(alarm.minute);
    let Some(rule) = &alarm.rule else {
        return format!(
            "no rule saw it; people gave the alarm {} min after the first machine broke",
            alarm.minute.saturating_sub(first)
        );
    };
    let is_sign = |event: &&PlayEvent| match &event.happened {
        Happened::CrashReport { .. } => rule == "crash-reports",
        Happened::Silent { .. } => rule == "silent",
        Happened::CanaryBroken { .. } => rule == "canaries",
        _ => false,
    };
    let sign = events.iter().find(is_sign).map_or(alarm.minute, |event| event.minute);
    format!(
        "the first machine broke after {first} min, telemetry ({rule}) arrived {} min after that, and the rule was \
         sure {} min later",
        sign.saturating_sub(first),
        alarm.minute.saturating_sub(sign)
    )
}

impl Measured {
    pub(super) fn of(outcome: &Outcome, machines: &Machines<'_>) -> Self {
        let milestones = &outcome.milestones;
        let first = milestones.first_broke;
        let since = |minute: Option<u32>| Some(minute?.saturating_sub(first?));
        let stopped = [milestones.halted, milestones.withdrawn].into_iter().flatten().min();
        let lives = machines.all.iter().filter_map(|one| one.life);
        let mut checkpoints: Vec<&str> =
            lives.clone().filter_map(|life| life.checkpoint.as_deref()).collect();
        checkpoints.sort_unstable();
        checkpoints.dedup();
        let own_starts = lives.filter(|life| life.checkpoint.is_none()).count();
        let runs = machines.all.iter().enumerate().filter_map(|(at, one)| {
            let life = one.life?;
            Some(MachineRun {
                machine: at as u32 + 1,
                run: life.run.clone(),
                key: life.key,
                broke: one.broke,
                back: one.back.as_ref().map(|(minute, _)| *minute),
            })
        });
        Self {
            to_detect: since(outcome.alarm.as_ref().map(|alarm| alarm.minute)),
            to_stop: since(stopped),
            to_repair: since(milestones.all_back),
            machine_hours: outcome.machine_hours(),
            touches: outcome.touches,
            checkpoints: checkpoints.len(),
            own_starts,
            runs: runs.collect(),
        }
    }
}

impl Ended {
    /// True where it is healthy in the end.
    pub const fn is_healthy(&self) -> bool {
        matches!(self, Self::Well | Self::Back { .. })
    }
}

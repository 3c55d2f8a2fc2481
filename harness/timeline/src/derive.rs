//! Everything that follows from a run's events, in one place.

use std::collections::BTreeMap;

use crate::expectation::{Came, judge};
use crate::findings::match_dumps;
use crate::{
    Boot, Change, Conclusion, DriverOutcome, Dump, Event, Expectation, ForcedStop, Happening,
    Layer, LayerOutcome, Logged, Loop, Measurements, Micros, Moment, Outcome, RunFacts, Verdict,
    Watcher, loops, verdict,
};

/// All boots of a machine in order, with what happened around them and what came of it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Timeline {
    /// What the first event said. Absent where there is none.
    pub facts: Option<RunFacts>,
    /// All boots until the verdict.
    pub boots: Vec<Boot>,
    /// Faults, requests and failures, in order.
    pub happenings: Vec<Happening>,
    /// What the recovery layers changed, in order.
    pub changes: Vec<Change>,
    /// The recovery ladder.
    pub layers: Vec<LayerOutcome>,
    /// The longest row of like failures, where it is long enough for a loop.
    pub in_loop: Option<Loop>,
    /// The layer whose change preceded the healthy boot.
    pub brought_back_by: Option<Layer>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub because: String,
    /// Whether it came as the scenario expects.
    pub expectation: Expectation,
    /// The verdict that was reached while the machine was watched, and by which event.
    pub conclusion: Option<Conclusion>,
    /// The faults that were read back, sorted.
    pub faults: Vec<String>,
    /// The drivers that somebody brought, and whether they ran.
    pub drivers: Vec<DriverOutcome>,
    /// When the first fault was armed.
    pub first_fault: Option<Moment>,
    /// The dumps on the disk, without those of a stop that the harness made.
    pub dumps: Vec<Dump>,
    /// The stop that the harness made of a machine that hung.
    pub forced_stop: Option<ForcedStop>,
    /// What the System log says that was not in it before the run.
    pub system_log: Vec<Logged>,
    /// Path to `added`, `removed`, `changed`.
    pub disk_changes: BTreeMap<String, String>,
    /// Path to intact.
    pub canaries: BTreeMap<String, bool>,
    /// When the verdict was reached, or the watch ended.
    pub watch_over: Option<Moment>,
    /// When each boot's panic came.
    pub panics: BTreeMap<u32, Micros>,
    /// The first event's time.
    pub began_at: Micros,
    /// The last event's time.
    pub last_at: Micros,
    /// How long the harness waited for a machine that did nothing.
    pub idle: Micros,
    /// The beginning that was taken over from another run.
    pub beginning: Option<Beginning>,
    /// Number of events.
    pub events: u64,
    /// False where the run's end is not recorded.
    pub complete: bool,
}

/// A beginning that two runs have in common: it was driven once, in the other one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Beginning {
    /// The run in which it was driven.
    pub run: String,
    /// Number of boots in it.
    pub boots: usize,
}

/// What follows from a run's events.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    /// For people.
    pub timeline: Timeline,
    /// For comparison.
    pub outcome: Outcome,
    /// For budgets.
    pub measurements: Measurements,
}

/// Derives everything from the events of a run. The same events give the same result, always; a record
/// that breaks off gives an `infrastructure` verdict over what is there.
pub fn derive(events: &[Event]) -> Derived {
    let mut watcher = Watcher::new();
    for event in events {
        watcher.feed(event);
    }
    watcher.derive()
}

impl Watcher {
    /// Everything that follows from the events that were fed so far. The verdict is meaningful when the
    /// run's last event was among them.
    pub fn derive(&self) -> Derived {
        let timeline = self.timeline();
        let outcome = Outcome::of(&timeline);
        let measurements = Measurements::of(&timeline);
        Derived { timeline, outcome, measurements }
    }

    /// The boots so far, with everything around them.
    pub fn timeline(&self) -> Timeline {
        let mut boots = self.boots.clone();
        let mut forced_stop = self.forced_stop.clone();
        let dumps = match_dumps(&mut boots, &self.findings.dumps, forced_stop.as_mut());
        let brought_back_by = verdict::brought_back(&boots, &self.changes, &self.ladder.reports);
        let (verdict, because) = verdict::judge(self, brought_back_by);
        let facts = self.facts.clone();
        let (loop_after, expected) = facts
            .as_ref()
            .map_or((1, &[][..]), |facts| (facts.loop_after, &facts.expected_layers[..]));
        let layers = self.ladder.results(expected);
        let came = Came {
            verdict,
            brought_back_by,
            boots: &boots,
            layers: &layers,
            happenings: &self.happenings,
            log: &self.findings.log,
        };
        let expectation = judge(facts.as_ref(), &came);
        Timeline {
            in_loop: loops::find_loop(&boots, &self.changes, loop_after),
            layers,
            happenings: self.happenings.clone(),
            changes: self.changes.clone(),
            brought_back_by,
            verdict,
            because,
            expectation,
            conclusion: self.conclusion.clone(),
            faults: self.landed.iter().cloned().collect(),
            drivers: facts
                .as_ref()
                .map_or_else(Vec::new, |facts| facts.driver_outcomes(&boots, &self.findings.log)),
            first_fault: self.armed.values().copied().min_by_key(|moment| moment.seq),
            dumps,
            forced_stop,
            system_log: self.findings.log.clone(),
            disk_changes: self.findings.changes.clone(),
            canaries: self.findings.canaries.clone(),
            watch_over: self
                .conclusion
                .as_ref()
                .map(|conclusion| conclusion.moment)
                .or_else(|| self.watch_ended.as_ref().map(|(moment, _)| *moment)),
            panics: self.panics.clone(),
            began_at: self.first_at.unwrap_or_default(),
            last_at: self.last_at,
            idle: self.idle,
            beginning: self.beginning.clone(),
            events: self.events,
            complete: self.run_ended,
            boots,
            facts,
        }
    }
}

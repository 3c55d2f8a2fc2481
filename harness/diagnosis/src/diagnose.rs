//! The diagnosis as a whole.

use inspect::Inspection;
use inspect::traces::Traces;
use serde::Serialize;

use crate::changes::{self, Period};
use crate::condition::{self, Condition};
use crate::recovery;
use crate::statement::{Statement, Stop};
use crate::stops;
use crate::suspects::{self, Failure, Scene, Suspect};

/// Version of the form of a [`Diagnosis`].
pub const DIAGNOSIS_FORMAT: u32 = 1;

/// Why a Windows does not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diagnosis {
    /// [`DIAGNOSIS_FORMAT`].
    pub format: u32,
    /// The system, in its own words.
    pub system: Option<String>,
    /// Whether it starts.
    pub condition: Condition,
    /// What that rests on.
    pub because: Vec<Statement>,
    /// The last starts.
    pub starts: Vec<Statement>,
    /// All stops, the oldest first.
    pub stops: Vec<Stop>,
    /// What changed before the first failure, the latest first.
    pub changes: Vec<Statement>,
    /// What recovery tried.
    pub tried: Vec<Statement>,
    /// Whether recovery can work at all.
    pub recovery: Vec<Statement>,
    /// Who is suspect, the first one first.
    pub suspects: Vec<Suspect>,
}

impl Diagnosis {
    /// Whether Windows stopped since its last good start, as far as is known, or does not start.
    pub fn has_stopped(&self) -> bool {
        self.condition == Condition::DoesNotStart
            || self.stops.iter().any(|stop| stop.over == Some(false))
    }
}

/// When it began to fail: the first stop that is not over; without one, the last start, where that failed.
fn first_failure(inspection: &Inspection, recent: &[Stop], last: Option<bool>) -> Option<Failure> {
    let stop = recent.iter().filter_map(|stop| stop.time).min();
    let stop = stop.map(|time| Failure { time, words: "the first stop" });
    stop.or_else(|| {
        let log = inspection.history.boot_log.known().filter(|_| last == Some(false))?;
        let time = log.iter().filter_map(|record| record.time).max()?;
        Some(Failure { time, words: "the last start" })
    })
}

/// Judges what was read of a disk.
pub fn diagnose(inspection: &Inspection, traces: &Traces) -> Diagnosis {
    let system = inspection.system.product.known().cloned();
    if let Some((condition, because)) = condition::without_system(inspection) {
        return Diagnosis {
            format: DIAGNOSIS_FORMAT,
            system,
            condition,
            because: vec![because],
            starts: Vec::new(),
            stops: Vec::new(),
            changes: Vec::new(),
            tried: Vec::new(),
            recovery: Vec::new(),
            suspects: Vec::new(),
        };
    }
    let good = stops::last_good(inspection);
    let stops = stops::stops(inspection, traces, good.as_ref());
    let (last, mut because) = condition::last_start(inspection, &stops, good.as_ref());
    let recent: Vec<Stop> = stops.iter().filter(|stop| stop.over != Some(true)).cloned().collect();
    let first = first_failure(inspection, &recent, last);
    // Where nothing tells of the last start, changes alone make nobody suspect.
    let repaired = inspection.history.startup_repair.known().is_some();
    let fails = last == Some(false) || last.is_none() && (!recent.is_empty() || repaired);
    let changes =
        changes::changes(inspection, traces, Period { end: first.map(|first| first.time) });
    let scene = Scene { inspection, traces, stops: &recent, changes: &changes, first, fails };
    let suspects = suspects::suspects(&scene);
    let structural = suspects.iter().find(|suspect| suspects::is_structural(suspect));
    let against = condition::stands_against(inspection);
    let condition = match (last, structural) {
        _ if !against.is_empty() => {
            because.extend(against);
            Condition::DoesNotStart
        }
        (_, Some(suspect)) if last != Some(false) => {
            let text = format!("something stands against the next start: {}", suspect.name);
            because.push(Statement::new(text, "the suspects below"));
            Condition::DoesNotStart
        }
        (Some(false), _) => Condition::DoesNotStart,
        (Some(true), _) => Condition::NothingFound,
        (None, _) => Condition::NotKnown,
    };
    let changes = if fails { changes::told(&changes, inspection, traces) } else { Vec::new() };
    Diagnosis {
        format: DIAGNOSIS_FORMAT,
        system,
        condition,
        because,
        starts: stops::starts(inspection, traces),
        stops,
        changes,
        tried: recovery::tried(inspection),
        recovery: recovery::can_work(inspection),
        suspects,
    }
}

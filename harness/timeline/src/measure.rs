//! Measurements: what is not deterministic, kept beside the outcome and never compared with a reference.

use serde::{Deserialize, Serialize};

use crate::{Boot, Micros, Phase, Timeline};

/// Version of the measurements document.
pub const MEASUREMENTS_FORMAT: u32 = 1;

/// How long things took. All times in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurements {
    /// [`MEASUREMENTS_FORMAT`].
    pub format: u32,
    /// Number of events in the record.
    pub events: u64,
    /// From the first event to the last.
    pub total_us: Micros,
    /// From the first event to the verdict, or to the end of the watch.
    pub to_verdict_us: Option<Micros>,
    /// From the first fault to the first time that the machine was healthy after its last failure.
    pub outage_us: Option<Micros>,
    /// Doing nothing: how long the harness waited, without an event, until it took the machine for one that
    /// stays healthy or that stands still.
    #[serde(default)]
    pub idle_us: Micros,
    /// Each boot.
    pub boots: Vec<BootMeasurements>,
}

/// One boot's times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootMeasurements {
    /// Its number.
    pub number: u32,
    /// Since the run began.
    pub began_us: Micros,
    /// To its end, or to the end of the watch.
    pub duration_us: Option<Micros>,
    /// When each phase was reached, since the boot began.
    pub phases: Vec<PhaseMeasurement>,
    /// From power-on or reset to healthy.
    pub to_healthy_us: Option<Micros>,
    /// From the panic to the reset: the time for stop screen and dump.
    pub panic_to_reset_us: Option<Micros>,
}

/// When a phase was reached, and how long it lasted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseMeasurement {
    /// Which.
    pub phase: Phase,
    /// Since the boot began.
    pub at_us: Micros,
    /// Until the next phase or the boot's end.
    pub lasted_us: Option<Micros>,
}

impl Measurements {
    pub(crate) fn of(timeline: &Timeline) -> Self {
        let watch_over = timeline.watch_over.map(|moment| moment.at);
        let boots = timeline.boots.iter().map(|boot| {
            let end = boot.ended.map(|ended| ended.at).or(watch_over);
            let nexts = boot.phases.iter().skip(1).map(|next| Some(next.moment.at)).chain([end]);
            let phases = boot.phases.iter().zip(nexts).map(|(reached, next)| PhaseMeasurement {
                phase: reached.phase,
                at_us: reached.moment.at.since(boot.began.at),
                lasted_us: next.map(|next| next.since(reached.moment.at)),
            });
            let healthy = boot.phases.iter().find(|reached| reached.phase == Phase::Healthy);
            BootMeasurements {
                number: boot.number,
                began_us: boot.began.at.since(timeline.began_at),
                duration_us: end.map(|end| end.since(boot.began.at)),
                phases: phases.collect(),
                to_healthy_us: healthy.map(|healthy| healthy.moment.at.since(boot.began.at)),
                panic_to_reset_us: timeline
                    .panics
                    .get(&boot.number)
                    .zip(boot.ended)
                    .map(|(panic, ended)| ended.at.since(*panic)),
            }
        });
        let failed = timeline.boots.iter().any(|boot| boot.failed() && boot.after_fault);
        // Since the last failure, so that a second start that proves the first counts for nothing.
        let failures = timeline.boots.iter().rposition(Boot::failed).map_or(0, |last| last + 1);
        let since = &timeline.boots[failures..];
        let is_back = timeline.boots.last().is_some_and(Boot::is_healthy);
        let healthy = since.iter().find(|boot| boot.is_healthy() && boot.during.is_none());
        let healthy = healthy
            .filter(|_| is_back)
            .and_then(|boot| boot.phases.iter().find(|reached| reached.phase == Phase::Healthy));
        Self {
            format: MEASUREMENTS_FORMAT,
            events: timeline.events,
            total_us: timeline.last_at.since(timeline.began_at),
            to_verdict_us: watch_over.map(|over| over.since(timeline.began_at)),
            outage_us: timeline
                .first_fault
                .zip(healthy)
                .filter(|_| failed)
                .map(|(fault, healthy)| healthy.moment.at.since(fault.at)),
            idle_us: timeline.idle,
            boots: boots.collect(),
        }
    }
}

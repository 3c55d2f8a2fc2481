//! Runs of one scenario on one image, in the order in which they began.

use std::collections::BTreeMap;

use serde::Serialize;
use timeline::{Derived, Micros, Outcome, Verdict};

use crate::changes::changes;

/// A run that was kept.
#[derive(Debug)]
pub struct KeptRun {
    /// Its name, which sorts by the time when it began.
    pub run: String,
    /// The day, `2026-11-30`, in UTC.
    pub day: String,
    /// The scenario.
    pub scenario: String,
    /// The image's name.
    pub image: String,
    /// What the scenario said then.
    pub scenario_digest: String,
    /// What the image was then.
    pub image_digest: String,
    /// What its events come to.
    pub derived: Derived,
}

/// All series, by scenario and image.
#[derive(Debug, Serialize)]
pub struct Trend {
    /// Each.
    pub series: Vec<Series>,
}

/// The runs of one scenario on one image.
#[derive(Debug, Serialize)]
pub struct Series {
    /// The scenario.
    pub scenario: String,
    /// The image.
    pub image: String,
    /// The image is a model and not Windows.
    pub is_model: bool,
    /// By day, the oldest first.
    pub days: Vec<DayOfRuns>,
    /// The runs in order.
    pub runs: Vec<PointInTime>,
}

/// One run of a series.
#[derive(Debug, Serialize)]
pub struct PointInTime {
    /// The run.
    pub run: String,
    /// Its day.
    pub day: String,
    /// What became of the machine.
    pub verdict: Verdict,
    /// From the first fault to healthy again.
    pub outage_us: Option<Micros>,
    /// All of it.
    pub total_us: Micros,
    /// Boots up to the verdict.
    pub boots: usize,
    /// What differs from the run before it that had a verdict on the machine, in words. What was another then, scenario
    /// or image, comes first.
    pub changes: Vec<String>,
}

/// The runs of one day.
#[derive(Debug, Serialize)]
pub struct DayOfRuns {
    /// The day.
    pub day: String,
    /// How many.
    pub runs: usize,
    /// How often each verdict, the most frequent first.
    pub verdicts: Vec<(Verdict, usize)>,
    /// The median of those that came back.
    pub outage_us: Option<Micros>,
    /// The median.
    pub total_us: Option<Micros>,
}

impl Trend {
    /// Of some runs, in any order.
    pub fn of(runs: Vec<KeptRun>) -> Self {
        let mut by: BTreeMap<(String, String), Vec<KeptRun>> = BTreeMap::new();
        for run in runs {
            by.entry((run.scenario.clone(), run.image.clone())).or_default().push(run);
        }
        let series =
            by.into_iter().map(|((scenario, image), runs)| Series::of(scenario, image, runs));
        Self { series: series.collect() }
    }
}

impl Series {
    fn of(scenario: String, image: String, mut kept: Vec<KeptRun>) -> Self {
        kept.sort_by(|one, other| (&one.day, &one.run).cmp(&(&other.day, &other.run)));
        let is_model = kept.last().is_some_and(|run| run.derived.outcome.image.is_model);
        let mut before: Option<&KeptRun> = None;
        let mut runs = Vec::new();
        for run in &kept {
            let Derived { outcome, measurements, .. } = &run.derived;
            // What the host failed says nothing of the machine: it is no change, and nothing is compared with it.
            let of_machine = outcome.verdict != Verdict::Infrastructure;
            let told =
                before.filter(|_| of_machine).map(|before| since(before, run)).unwrap_or_default();
            if of_machine {
                before = Some(run);
            }
            runs.push(PointInTime {
                run: run.run.clone(),
                day: run.day.clone(),
                verdict: outcome.verdict,
                outage_us: measurements.outage_us,
                total_us: measurements.total_us,
                boots: outcome.boots.len(),
                changes: told,
            });
        }
        let days = runs.chunk_by(|one, other| one.day == other.day).map(DayOfRuns::of).collect();
        Self { scenario, image, is_model, days, runs }
    }
}

fn since(before: &KeptRun, now: &KeptRun) -> Vec<String> {
    let (old, new): (&Outcome, &Outcome) = (&before.derived.outcome, &now.derived.outcome);
    let mut told = changes(old, new);
    if told.is_empty() && old.render() != new.render() {
        told.push("the outcome changed in what has no words; see the diff".to_owned());
    }
    // Alone it is no change of the machine, but it is the likeliest reason of one.
    if !told.is_empty() {
        if before.image_digest != now.image_digest {
            told.insert(0, "the image is another".to_owned());
        }
        if before.scenario_digest != now.scenario_digest {
            told.insert(0, "the scenario is another".to_owned());
        }
    }
    told
}

impl DayOfRuns {
    fn of(runs: &[PointInTime]) -> Self {
        let mut verdicts: Vec<(Verdict, usize)> = Vec::new();
        for run in runs {
            match verdicts.iter_mut().find(|(verdict, _)| *verdict == run.verdict) {
                Some((_, count)) => *count += 1,
                None => verdicts.push((run.verdict, 1)),
            }
        }
        verdicts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        // How long the host took to fail is no measurement of the machine.
        let of_machine = || runs.iter().filter(|run| run.verdict != Verdict::Infrastructure);
        Self {
            day: runs.first().map(|run| run.day.clone()).unwrap_or_default(),
            runs: runs.len(),
            verdicts,
            outage_us: median(of_machine().filter_map(|run| run.outage_us)),
            total_us: median(of_machine().map(|run| run.total_us)),
        }
    }
}

/// The middle one; of an even number the lower of the two.
fn median(times: impl Iterator<Item = Micros>) -> Option<Micros> {
    let mut times: Vec<Micros> = times.collect();
    times.sort_unstable();
    times.get(times.len().checked_sub(1)? / 2).copied()
}

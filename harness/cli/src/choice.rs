//! Which scenarios and runs a command means: names, `-E FILTER`, and what records of runs know of them.

use std::collections::BTreeMap;

use engine::{RunDir, StateDir};
use scenario::{Filter, Recorded, Scenario};
use serde::Deserialize;

use crate::args::Global;
use crate::exit::{infrastructure, usage};
use crate::scenarios::Found;

/// What took longer than this is slow.
const SLOW: u64 = 60_000_000;

/// The filter of a command, given with `-E`.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct Choice {
    /// Take only what this filter chooses, such as 'incident(kb50*)'
    ///
    /// Predicates: name, incident, variant, image, layer, verdict, fault, tag, each with a pattern in which * stands
    /// for any text; failed() and slow() of the last recorded run (slow: more than a minute); all(), none(). `&` is
    /// both, `|` either, `-` without, `!` all others. A filter that chooses nothing is an error.
    #[arg(short = 'E', long = "filter", value_name = "FILTER")]
    pub(crate) filter: Option<String>,
}

impl Choice {
    /// Understands the filter.
    ///
    /// # Errors
    /// It cannot be understood; the error points at the place.
    pub(crate) fn parse(&self) -> anyhow::Result<Option<Filter>> {
        self.filter.as_deref().map(parse).transpose()
    }
}

/// A filter from its text.
///
/// # Errors
/// It cannot be understood; the error points at the place.
pub(crate) fn parse(text: &str) -> anyhow::Result<Filter> {
    text.parse().map_err(usage)
}

/// What a filter chooses of some scenarios.
///
/// # Errors
/// It chooses none of them, or the records of runs cannot be read.
pub(crate) fn choose(
    global: &Global,
    found: Vec<Found>,
    filter: &Filter,
) -> anyhow::Result<Vec<Found>> {
    let last = if filter.asks_for_records() { last_runs(global)? } else { BTreeMap::new() };
    let count = found.len();
    let chosen: Vec<Found> = found
        .into_iter()
        .filter(|(scenario, _)| {
            let recorded = last.get(&key(&scenario.name, &scenario.machine.image));
            filter.matches(scenario, recorded.copied().unwrap_or_default())
        })
        .collect();
    if chosen.is_empty() {
        return Err(nothing(filter, count, "scenarios"));
    }
    Ok(chosen)
}

/// A filter that chooses nothing is more likely a mistake than a wish.
pub(crate) fn nothing(filter: &Filter, count: usize, what: &str) -> anyhow::Error {
    usage(anyhow::anyhow!("the filter `{filter}` chooses none of {count} {what}"))
}

/// What a filter chooses of some runs.
///
/// # Errors
/// It chooses none of them.
pub(crate) fn choose_runs(runs: Vec<RunDir>, filter: &Filter) -> anyhow::Result<Vec<RunDir>> {
    let count = runs.len();
    let chosen: Vec<RunDir> = runs
        .into_iter()
        .filter(|run| {
            // One whose record cannot be read is told of where runs are listed.
            scenario_of(run).is_some_and(|scenario| filter.matches(&scenario, recorded(run)))
        })
        .collect();
    if chosen.is_empty() { Err(nothing(filter, count, "runs")) } else { Ok(chosen) }
}

/// A scenario on an image.
type Key = (String, String);

fn key(scenario: &str, image: &str) -> Key {
    (scenario.to_owned(), image.to_owned())
}

/// Each scenario's last recorded run on each image.
pub(crate) fn last_runs(global: &Global) -> anyhow::Result<BTreeMap<Key, Recorded>> {
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let mut last = BTreeMap::new();
    for run in RunDir::list(&state.runs()).map_err(infrastructure)? {
        if let Ok(record) = run.record() {
            last.insert(key(&record.scenario, &record.image), recorded(&run));
        }
    }
    Ok(last)
}

/// The scenario that a run ran, on the image that it ran on.
fn scenario_of(run: &RunDir) -> Option<Scenario> {
    let text = fs_err::read_to_string(run.path().join("scenario.json")).ok()?;
    let scenario: Scenario = serde_json::from_str(&text).ok()?;
    Some(scenario.on_image(&run.record().ok()?.image))
}

#[derive(Deserialize)]
struct Summary {
    exit_code: u8,
}

#[derive(Deserialize)]
struct Measured {
    total_us: u64,
}

/// What is known of a run. One that has no summary was killed, or could not be brought to its end.
fn recorded(run: &RunDir) -> Recorded {
    let read = |name: &str| fs_err::read_to_string(run.path().join(name)).ok();
    let summary: Option<Summary> =
        read("summary.json").and_then(|text| serde_json::from_str(&text).ok());
    let measured: Option<Measured> =
        read("measurements.json").and_then(|text| serde_json::from_str(&text).ok());
    Recorded {
        failed: summary.is_none_or(|summary| summary.exit_code != 0),
        slow: measured.is_some_and(|measured| measured.total_us > SLOW),
    }
}

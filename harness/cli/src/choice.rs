//! Which scenarios and runs a command means: names, `-E FILTER`, and what records of runs know of them.

use engine::{RunDir, StateDir};
use scenario::{Filter, Scenario};

use crate::args::Global;
use crate::exit::usage;
use crate::scenarios::Found;
use crate::schedule::{History, Past};

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
    let history = if filter.asks_for_records() {
        History::read(&StateDir::open(global.state.as_deref()).map_err(usage)?)?
    } else {
        History::default()
    };
    let count = found.len();
    let chosen: Vec<Found> = found
        .into_iter()
        .filter(|(scenario, _)| {
            let recorded = history.of(scenario).map(Past::recorded).unwrap_or_default();
            filter.matches(scenario, recorded)
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
            scenario_of(run).is_some_and(|scenario| {
                let recorded = Past::of(run, String::new()).recorded();
                filter.matches(&scenario, recorded)
            })
        })
        .collect();
    if chosen.is_empty() { Err(nothing(filter, count, "runs")) } else { Ok(chosen) }
}

/// The scenario that a run ran, on the image that it ran on.
pub(crate) fn scenario_of(run: &RunDir) -> Option<Scenario> {
    let text = fs_err::read_to_string(run.path().join("scenario.json")).ok()?;
    let scenario: Scenario = serde_json::from_str(&text).ok()?;
    Some(scenario.on_image(&run.record().ok()?.image))
}

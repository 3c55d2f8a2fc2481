//! Recorded runs: `loopbreak runs`, `timeline`, `replay`.

use engine::{RunDir, StateDir, replay};
use winfmt::escaped;

use crate::args::Global;
use crate::choice::{Choice, choose_runs};
use crate::commands::run::style;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, print_json, print_styled, tell};

pub(crate) fn open(global: &Global, name: &str) -> anyhow::Result<RunDir> {
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    RunDir::find(&state.runs(), name).map_err(usage)
}

pub(crate) fn list(global: &Global, choice: &Choice, json: bool) -> anyhow::Result<Exit> {
    let filter = choice.parse()?;
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let mut runs = RunDir::list(&state.runs()).map_err(infrastructure)?;
    if let Some(filter) = &filter {
        runs = choose_runs(runs, filter)?;
    }
    let mut text = String::new();
    let print = if json { print_json } else { print };
    for run in runs {
        let record = match run.record() {
            Ok(record) => record,
            Err(error) => {
                tell(format!("warning: {error}"));
                continue;
            }
        };
        // A run that was killed has no summary.
        let verdict = fs_err::read_to_string(run.path().join("summary.json"))
            .ok()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
            .and_then(|summary| Some(summary.get("verdict")?.as_str()?.to_owned()));
        if json {
            let line = serde_json::json!({
                "run": record.run, "scenario": record.scenario, "image": record.image, "image_line": record.image_line,
                "began": record.began, "status": record.status, "verdict": verdict,
                "directory": run.path(),
            });
            text += &format!("{line}\n");
        } else {
            let verdict = verdict.unwrap_or_else(|| format!("{:?}", record.status).to_lowercase());
            let (run, scenario) = (&record.run, escaped(&record.scenario));
            text += &format!("{run}  {scenario:<36} {}\n", escaped(verdict));
        }
    }
    print(&text)?;
    Ok(Exit::AsExpected)
}

pub(crate) fn timeline(global: &Global, name: &str, json: bool) -> anyhow::Result<Exit> {
    let run = open(global, name)?;
    let replayed = replay(&run).map_err(usage)?;
    if replayed.incomplete {
        tell("note: the record of this run is incomplete; the harness was killed");
    }
    if json {
        print_json(&(serde_json::to_string_pretty(&replayed.derived.timeline)? + "\n"))?;
    } else {
        let style = style(global);
        print_styled(&report::render_timeline(&replayed.derived, None, style), style)?;
    }
    Ok(Exit::AsExpected)
}

pub(crate) fn replay_run(global: &Global, name: &str) -> anyhow::Result<Exit> {
    let run = open(global, name)?;
    let replayed = replay(&run).map_err(usage)?;
    print(&replayed.derived.outcome.render())?;
    for line in report::expectation_lines(&replayed.derived.timeline.expectation) {
        tell(format!("{}: expectations met: {line}", run.name()));
    }
    match replayed.same {
        Some(true) => {
            tell(format!(
                "{}: outcome and measurements are the same as the run's, byte for byte",
                run.name()
            ));
            Ok(Exit::AsExpected)
        }
        Some(false) => {
            tell(format!(
                "{}: differs from what the run wrote; was its directory edited?",
                run.name()
            ));
            Ok(Exit::Differs)
        }
        None => {
            tell(format!("{}: the run wrote no outcome to compare with", run.name()));
            Ok(Exit::AsExpected)
        }
    }
}

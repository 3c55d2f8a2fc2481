//! Recorded runs: `loopbreak runs`, `timeline`, `replay`.

use engine::{RunDir, StateDir, replay};

use crate::args::Global;
use crate::commands::run::style;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::print;

pub(crate) fn open(global: &Global, name: &str) -> anyhow::Result<RunDir> {
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    RunDir::find(&state.runs(), name).map_err(usage)
}

pub(crate) fn list(global: &Global, json: bool) -> anyhow::Result<Exit> {
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let mut text = String::new();
    for run in RunDir::list(&state.runs()).map_err(infrastructure)? {
        let record = match run.record() {
            Ok(record) => record,
            Err(error) => {
                eprintln!("warning: {error}");
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
                "run": record.run, "scenario": record.scenario, "image": record.image,
                "began": record.began, "status": record.status, "verdict": verdict,
                "directory": run.path(),
            });
            text += &format!("{line}\n");
        } else {
            let verdict = verdict.unwrap_or_else(|| format!("{:?}", record.status).to_lowercase());
            text += &format!("{}  {:<36} {verdict}\n", record.run, record.scenario);
        }
    }
    print(&text)?;
    Ok(Exit::AsExpected)
}

pub(crate) fn timeline(global: &Global, name: &str, json: bool) -> anyhow::Result<Exit> {
    let run = open(global, name)?;
    let replayed = replay(&run).map_err(usage)?;
    if replayed.incomplete {
        eprintln!("note: the record of this run breaks off; the harness was killed");
    }
    let text = if json {
        serde_json::to_string_pretty(&replayed.derived.timeline)? + "\n"
    } else {
        report::render_timeline(&replayed.derived, None, style(global))
    };
    print(&text)?;
    Ok(Exit::AsExpected)
}

pub(crate) fn replay_run(global: &Global, name: &str) -> anyhow::Result<Exit> {
    let run = open(global, name)?;
    let replayed = replay(&run).map_err(usage)?;
    print(&replayed.derived.outcome.render())?;
    for line in report::expectation_lines(&replayed.derived.timeline.expectation) {
        eprintln!("{}: as expected: {line}", run.name());
    }
    match replayed.same {
        Some(true) => {
            eprintln!(
                "{}: outcome and measurements are byte for byte those of the run",
                run.name()
            );
            Ok(Exit::AsExpected)
        }
        Some(false) => {
            eprintln!("{}: differs from what the run wrote; was its directory edited?", run.name());
            Ok(Exit::Differs)
        }
        None => {
            eprintln!("{}: the run wrote no outcome of its own to compare with", run.name());
            Ok(Exit::AsExpected)
        }
    }
}

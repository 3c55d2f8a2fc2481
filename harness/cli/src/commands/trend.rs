//! `loopbreak trend`: kept runs by date.

use std::path::PathBuf;

use clap::Args;
use engine::{RunDir, StateDir, replay};
use report::{KeptRun, Trend, render_trend, trend_page};

use crate::args::Global;
use crate::choice::{Choice, choose_runs};
use crate::commands::report::write_whole;
use crate::exit::{Exit, usage};
use crate::output::{print, print_json, tell};

/// What `trend` takes.
#[derive(Debug, Args)]
pub(crate) struct TrendArgs {
    /// A folder of run directories [default: the runs of the state directory]
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// Write a page of HTML that holds everything
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(global: &Global, args: &TrendArgs) -> anyhow::Result<Exit> {
    let filter = args.choice.parse()?;
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => StateDir::open(global.state.as_deref()).map_err(usage)?.runs(),
    };
    let mut runs = RunDir::list(&folder).map_err(usage)?;
    if runs.is_empty() {
        let what = format!(
            "there is no run in {}; name a folder that holds run directories, such as `runs` of a state directory",
            folder.display()
        );
        return Err(usage(anyhow::anyhow!(what)));
    }
    if let Some(filter) = &filter {
        runs = choose_runs(runs, filter)?;
    }
    let mut kept = Vec::new();
    for run in &runs {
        // What a run wrote is not taken at its word: its events are.
        let read = run.record().map_err(|error| error.to_string()).and_then(|record| {
            let replayed = replay(run).map_err(|error| error.to_string())?;
            Ok((record, replayed))
        });
        let (record, replayed) = match read {
            Ok(read) => read,
            Err(error) => {
                tell(format!("warning: {}: {error}; it is left out", run.name()));
                continue;
            }
        };
        kept.push(KeptRun {
            run: run.name(),
            day: record.began.to_zoned(jiff::tz::TimeZone::UTC).date().to_string(),
            scenario: record.scenario,
            image: record.image,
            scenario_digest: record.scenario_digest,
            image_digest: record.image_digest,
            derived: replayed.derived,
        });
    }
    let trend = Trend::of(kept);
    if let Some(file) = &args.html {
        write_whole(file, &trend_page("loopbreak: runs by date", &trend))?;
    }
    if args.json {
        let document = serde_json::json!({ "format": 1, "series": trend.series });
        print_json(&(serde_json::to_string_pretty(&document)? + "\n"))?;
    } else {
        print(&render_trend(&trend))?;
    }
    Ok(Exit::AsExpected)
}

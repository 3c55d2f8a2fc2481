//! `loopbreak run`.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use engine::{Interrupt, RunOptions, RunResult, Session, StateDir, StatusSink};
use report::Style;
use scenario::{Scenario, Start};
use tokio::sync::Semaphore;

use crate::args::{Global, RunArgs, StartArg};
use crate::commands::repeat;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{coloured, print, print_json, print_styled, tell};
use crate::progress::status_sink;
use crate::scenarios::{self, Found};
use crate::session::{exit_code, in_session, marked, panicked};

pub(crate) fn run(global: &Global, args: &RunArgs) -> anyhow::Result<Exit> {
    // Everything that can be wrong with a scenario is said before anything runs.
    let chosen = if args.all {
        scenarios::all(&global.scenarios)?
    } else {
        let mut chosen = Vec::new();
        for name in &args.names {
            chosen.extend(scenarios::find(&global.scenarios, name)?);
        }
        chosen
    };
    let aside = tempfile::tempdir().map_err(infrastructure)?;
    let chosen = match chosen.as_slice() {
        _ if args.seeds.or(args.times).is_none() => chosen,
        [(scenario, _)] => repeat::many(args, scenario, aside.path()),
        _ => return Err(usage(anyhow::anyhow!("--seeds and --times take a single scenario"))),
    };
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    in_session(global, state, async |session, interrupt| {
        run_all(global, args, chosen, session, interrupt).await
    })
}

async fn run_all(
    global: &Global,
    args: &RunArgs,
    chosen: Vec<Found>,
    session: &Arc<Session>,
    interrupt: &Interrupt,
) -> anyhow::Result<Exit> {
    let results = run_chosen(session, args, chosen, interrupt).await;
    if args.seeds.or(args.times).is_some() {
        let mut tally = repeat::Tally::new(args);
        for (_, result) in &results {
            tally.add(result);
        }
        let (page, exit) = tally.finish();
        print(&page)?;
        return Ok(exit);
    }

    let style = style(global);
    let mut exit = Exit::AsExpected;
    let mut summaries = Vec::new();
    for (name, result) in results {
        match result {
            Ok(result) => {
                exit = exit.max(result.exit);
                if args.json {
                    summaries.push(serde_json::to_value(&result.summary)?);
                } else {
                    print_styled(&page(&result, style), style)?;
                }
            }
            Err(error) => {
                exit = exit.max(exit_code(&error));
                tell(format!("error: {name}: {error}"));
            }
        }
    }
    if args.json {
        let one = summaries.len() == 1 && !args.all && args.names.len() == 1;
        let document = if one { summaries.remove(0) } else { serde_json::Value::Array(summaries) };
        print_json(&(serde_json::to_string_pretty(&document)? + "\n"))?;
    }
    Ok(exit)
}

async fn run_chosen(
    session: &Arc<Session>,
    args: &RunArgs,
    chosen: Vec<Found>,
    interrupt: &Interrupt,
) -> Vec<(String, Result<RunResult, engine::RunError>)> {
    let status: StatusSink = status_sink();
    let slots = Arc::new(Semaphore::new(args.jobs as usize));
    let options = RunOptions {
        start: args.start.map(|start| match start {
            StartArg::Cold => Start::Cold,
            StartArg::Checkpoint => Start::Checkpoint,
        }),
        keep_disk: args.keep_disk,
    };
    let mut tasks = Vec::new();
    for (scenario, folder) in chosen {
        let name = scenario.name.clone();
        let (session, slots, status) =
            (Arc::clone(session), Arc::clone(&slots), Arc::clone(&status));
        let (options, interrupt) = (options.clone(), interrupt.clone());
        let task = tokio::spawn(async move {
            let _slot = slots.acquire_owned().await;
            if interrupt.is_raised() {
                return Err(engine::RunError::Interrupted);
            }
            session.run(&scenario, &folder, &options, status).await
        });
        tasks.push((name, task));
    }
    let mut results = Vec::new();
    for (name, task) in tasks {
        results.push((name, task.await.unwrap_or_else(panicked)));
    }
    results
}

/// Timeline, verdict, comparison, and where to look further.
fn page(result: &RunResult, style: Style) -> String {
    let page = report::render_timeline(&result.derived, Some(&result.comparison), style);
    page + &format!("  run directory  {}\n\n", result.directory.path().display())
}

pub(crate) fn style(global: &Global) -> Style {
    let out = std::io::stdout();
    if coloured(global.color, &out) {
        Style::terminal(terminal_columns().filter(|_| out.is_terminal()).unwrap_or(100))
    } else {
        Style::plain()
    }
}

fn terminal_columns() -> Option<usize> {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
}

/// `loopbreak scenario stage`.
pub(crate) fn stage(global: &Global, name: &str, output: &Path) -> anyhow::Result<Exit> {
    let scenario = Scenario::load(&scenarios::place(&global.scenarios, name)).map_err(usage)?;
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let runtime = tokio::runtime::Runtime::new().map_err(infrastructure)?;
    let proof = runtime.block_on(hypervisor::prove_accelerator());
    let accelerator =
        proof.accelerator.ok_or_else(|| infrastructure(anyhow::anyhow!("{}", proof.seen)))?;
    let staged = engine::stage_for_hand(&state, &scenario, output, accelerator).map_err(marked)?;
    print(&(staged.join(" \\\n  ") + "\n"))?;
    Ok(Exit::AsExpected)
}

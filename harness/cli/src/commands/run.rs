//! `loopbreak run`.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use disk::Store;
use engine::{
    Interrupt, NotApplicable, RunOptions, RunResult, Session, StateDir, StatusSink, recorded_case,
};
use report::{Came, Case, Style};
use scenario::{Scenario, Start};
use tokio::sync::Semaphore;
use winfmt::escaped;

use crate::args::{Global, RunArgs, StartArg};
use crate::choice;
use crate::commands::{repeat, run_table};
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{coloured, print, print_json, print_styled, tell};
use crate::progress::status_sink;
use crate::scenarios::{self, Found};
use crate::session::{exit_code, in_session, marked, panicked};
use crate::update::pending_aside;

pub(crate) fn run(global: &Global, args: &RunArgs) -> anyhow::Result<Exit> {
    if args.repeats() && !args.reports.is_empty() {
        let what =
            "--seeds and --times count verdicts and compare nothing; there is no report on them";
        return Err(usage(anyhow::anyhow!(what)));
    }
    if args.json && args.reports.github {
        let what = "--json and --github both print to standard output; leave one out";
        return Err(usage(anyhow::anyhow!(what)));
    }
    args.reports.check()?;
    let aside = pending_aside(args.no_update, |name| std::env::var(name).ok())?;
    let options = options(args, aside);
    // Everything that can be wrong with a scenario is said before anything runs.
    let filter = args.choice.parse()?;
    let chosen = if args.names.is_empty() {
        scenarios::all(&global.scenarios)?
    } else {
        let mut chosen = Vec::new();
        for name in &args.names {
            chosen.extend(scenarios::find(&global.scenarios, name)?);
        }
        chosen
    };
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let images = images(&state, &args.image)?;
    let mut chosen = scenarios::on_images(chosen, &images);
    let failed = args.rerun_failed.then(|| choice::parse("failed()")).transpose()?;
    for filter in [filter, failed].iter().flatten() {
        chosen = choice::choose(global, chosen, filter)?;
    }
    if args.list {
        let names = |(scenario, _): &Found| match args.image.is_empty() {
            true => format!("{}\n", escaped(&scenario.name)),
            false => format!("{} on {}\n", escaped(&scenario.name), scenario.machine.image),
        };
        print(&chosen.iter().map(names).collect::<String>())?;
        return Ok(Exit::AsExpected);
    }
    let aside = tempfile::tempdir().map_err(infrastructure)?;
    let chosen = match chosen.as_slice() {
        _ if !args.repeats() => chosen,
        [(scenario, _)] => repeat::many(args, scenario, aside.path()),
        _ => {
            let what = "--seeds and --times take a single scenario, on a single image";
            return Err(usage(anyhow::anyhow!(what)));
        }
    };
    in_session(global, state, async |session, interrupt| {
        run_all(global, args, &options, chosen, session, interrupt).await
    })
}

/// The images that are named, each once. All are in the store.
pub(super) fn images(state: &StateDir, named: &[String]) -> anyhow::Result<Vec<String>> {
    let failed = |error: disk::StoreError| marked(error.into());
    let store = Store::open(state.root()).map_err(failed)?;
    let mut images: Vec<String> = Vec::new();
    for name in named {
        store.find(name).map_err(failed)?;
        if !images.contains(name) {
            images.push(name.clone());
        }
    }
    Ok(images)
}

async fn run_all(
    global: &Global,
    args: &RunArgs,
    options: &RunOptions,
    chosen: Vec<Found>,
    session: &Arc<Session>,
    interrupt: &Interrupt,
) -> anyhow::Result<Exit> {
    let single = args.repeats() || (chosen.len() == 1 && !args.is_open());
    let (chosen, mut skipped) = sift(session, args, options, chosen).await?;
    // Where nothing can be run at all, an exit code of 0 would say that something was tried.
    if !skipped.is_empty() && (single || args.no_skips || chosen.is_empty()) {
        return refuse(args, single, chosen.len(), &skipped);
    }
    let mut results = run_chosen(session, args, options, chosen, interrupt).await;
    if !single && !args.no_skips {
        skipped.extend(take_late(&mut results));
        if results.is_empty() {
            return refuse(args, single, 0, &skipped);
        }
    }
    if args.repeats() {
        let mut tally = repeat::Tally::new(args);
        for result in &results {
            tally.add(&result.came);
        }
        let (page, exit) = tally.finish();
        print(&page)?;
        return Ok(exit);
    }

    let style = style(global);
    let mut exit = Exit::AsExpected;
    let mut documents = Vec::new();
    for Finished { scenario, image, came } in &results {
        match came {
            Ok(result) => {
                exit = exit.max(result.exit);
                if args.json {
                    documents.push(serde_json::to_value(&result.summary)?);
                } else {
                    print_styled(&page(result, style), style)?;
                }
            }
            Err(error) => {
                exit = exit.max(exit_code(error));
                match args.image.is_empty() {
                    true => tell(format!("error: {scenario}: {error}")),
                    false => tell(format!("error: {scenario} on {image}: {error}")),
                }
            }
        }
    }
    if args.json {
        documents.extend(not_run(&skipped, Exit::AsExpected)?);
        print_documents(args, documents)?;
    } else if !single {
        print(&run_table::table(&results, &skipped))?;
    }
    // Last, so that a report that cannot be written hides nothing.
    write_reports(args, &results, &skipped, false)?;
    Ok(exit)
}

/// Takes out what an image lacks something for.
async fn sift(
    session: &Session,
    args: &RunArgs,
    options: &RunOptions,
    chosen: Vec<Found>,
) -> anyhow::Result<(Vec<Found>, Vec<NotApplicable>)> {
    let (mut kept, mut skipped) = (Vec::new(), Vec::new());
    for (scenario, folder) in chosen {
        match session.not_applicable(&scenario, options).await.map_err(marked)? {
            Some(reason) => {
                skipped.push(reason);
                // The others are the same scenario with another seed, or again.
                if args.repeats() {
                    break;
                }
            }
            None => kept.push((scenario, folder)),
        }
    }
    Ok((kept, skipped))
}

/// What an image turned out to lack only when its disk was to be edited, before its machine was started.
fn take_late(results: &mut Vec<Finished>) -> Vec<NotApplicable> {
    let late =
        |finished: &mut Finished| matches!(finished.came, Err(engine::RunError::NotApplicable(_)));
    let taken = results.extract_if(.., late);
    taken
        .filter_map(|finished| match finished.came {
            Err(engine::RunError::NotApplicable(reason)) => Some(*reason),
            _ => None,
        })
        .collect()
}

/// Says what cannot be run; nothing is.
fn refuse(
    args: &RunArgs,
    single: bool,
    others: usize,
    skipped: &[NotApplicable],
) -> anyhow::Result<Exit> {
    for reason in skipped {
        tell(format!("error: {} on {}: {reason}", reason.scenario, reason.image));
    }
    if !single {
        tell(run_table::nothing_was_run(skipped.len(), others));
    }
    if args.json {
        print_documents(args, not_run(skipped, Exit::Usage)?)?;
    }
    write_reports(args, &[], skipped, true)?;
    Ok(Exit::Usage)
}

/// What is not applicable is an error in them where the command refused it.
fn write_reports(
    args: &RunArgs,
    results: &[Finished],
    skipped: &[NotApplicable],
    refused: bool,
) -> anyhow::Result<()> {
    if args.reports.is_empty() {
        return Ok(());
    }
    let ran = results.iter().map(|Finished { scenario, image, came }| match came {
        Ok(result) => recorded_case(&result.directory).map_err(infrastructure),
        Err(error) => {
            let exit_code = exit_code(error) as u8;
            Ok(without_outcome(
                scenario,
                image,
                Came::Failed { error: error.to_string(), exit_code },
            ))
        }
    });
    let mut cases: Vec<Case> = ran.collect::<Result<_, _>>()?;
    cases.extend(skipped.iter().map(|skipped| {
        let why = skipped.to_string();
        let came = match refused {
            true => Came::Failed { error: why, exit_code: Exit::Usage as u8 },
            false => Came::NotApplicable(why),
        };
        without_outcome(&skipped.scenario, &skipped.image, came)
    }));
    let what = match (&args.choice.filter, args.names.is_empty()) {
        (Some(filter), _) => filter.clone(),
        (None, true) if args.rerun_failed => "what failed".to_owned(),
        (None, true) => "all scenarios".to_owned(),
        (None, false) => args.names.join(", "),
    };
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
    args.reports.write(&format!("loopbreak: {what}, {now}"), &cases)
}

fn without_outcome(scenario: &str, image: &str, came: Came) -> Case {
    Case { scenario: scenario.to_owned(), image: image.to_owned(), place: None, came }
}

fn not_run(skipped: &[NotApplicable], exit: Exit) -> anyhow::Result<Vec<serde_json::Value>> {
    skipped.iter().map(|reason| Ok(serde_json::to_value(reason.summary(exit))?)).collect()
}

/// One document where one was asked for, else an array.
fn print_documents(args: &RunArgs, mut documents: Vec<serde_json::Value>) -> anyhow::Result<()> {
    let one =
        documents.len() == 1 && !args.is_open() && args.names.len() == 1 && args.image.len() <= 1;
    let document = if one { documents.remove(0) } else { serde_json::Value::Array(documents) };
    Ok(print_json(&(serde_json::to_string_pretty(&document)? + "\n"))?)
}

/// A run that is over, or could not be begun.
pub(super) struct Finished {
    pub(super) scenario: String,
    pub(super) image: String,
    pub(super) came: Result<RunResult, engine::RunError>,
}

fn options(args: &RunArgs, pending_aside: bool) -> RunOptions {
    RunOptions { start: start(args.start), keep_disk: args.keep_disk, pending_aside }
}

pub(super) fn start(how: Option<StartArg>) -> Option<Start> {
    how.map(|how| match how {
        StartArg::Cold => Start::Cold,
        StartArg::Checkpoint => Start::Checkpoint,
    })
}

async fn run_chosen(
    session: &Arc<Session>,
    args: &RunArgs,
    options: &RunOptions,
    chosen: Vec<Found>,
    interrupt: &Interrupt,
) -> Vec<Finished> {
    let status: StatusSink = status_sink(args.image.len() > 1);
    let slots = Arc::new(Semaphore::new(args.jobs as usize));
    let mut tasks = Vec::new();
    for (scenario, folder) in chosen {
        let (name, image) = (scenario.name.clone(), scenario.machine.image.clone());
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
        tasks.push((name, image, task));
    }
    let mut results = Vec::new();
    for (scenario, image, task) in tasks {
        results.push(Finished { scenario, image, came: task.await.unwrap_or_else(panicked) });
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

//! `loopbreak run`.

mod finished;
mod machines;
#[cfg(test)]
pub(crate) mod scripted;
mod written;

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use disk::Store;
use engine::{Interrupt, RunError, RunOptions, RunResult, Session, StateDir};
use report::{Circumstances, Flaky, ListPlace, Repeat, Style};
use scenario::{Quarantine, Scenario, Span, Start};
use winfmt::escaped;

pub(super) use self::finished::{Finished, LEFT_OUT, Skipped, Turned, quarantined};
pub(super) use self::machines::{Manner, Target, run_targets};
use crate::args::{Global, RunArgs, StartArg};
use crate::choice;
use crate::commands::{repeat, run_table};
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{coloured, print, print_styled, tell};
use crate::progress::status_sink;
use crate::scenarios::{self, Found};
use crate::schedule::{History, Known, parts};
use crate::session::{in_session, marked};
use crate::update::pending_aside;

pub(crate) fn run(global: &Global, args: &RunArgs) -> anyhow::Result<Exit> {
    if args.json && args.reports.github {
        let what = "--json and --github both print to standard output; leave one out";
        return Err(usage(anyhow::anyhow!(what)));
    }
    args.reports.check()?;
    let settings = args.settings.load()?;
    let args = &args.clone().over(&settings);
    let update = settings.update.unwrap_or_default();
    let pending_aside = pending_aside(args.no_update, update, |name| std::env::var(name).ok())?;
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
    let quarantine = quarantine(global, &chosen)?;
    let failed = args.rerun_failed.then(|| choice::parse("failed()")).transpose()?;
    for filter in [filter, failed].iter().flatten() {
        chosen = choice::choose(global, chosen, filter)?;
    }
    let history = History::read(&state)?;
    let targets = targets(args, chosen, &history, quarantine.as_ref());
    if args.list {
        let names = |target: &Target| match args.image.is_empty() {
            true => format!("{}\n", escaped(&target.scenario.name)),
            false => {
                let image = &target.scenario.machine.image;
                format!("{} on {image}\n", escaped(&target.scenario.name))
            }
        };
        print(&targets.iter().map(names).collect::<String>())?;
        return Ok(Exit::AsExpected);
    }
    let aside = tempfile::tempdir().map_err(infrastructure)?;
    let manner = manner(args, pending_aside, aside.path());
    in_session(global, state, async |session, interrupt| {
        run_all(global, args, &manner, targets, session, interrupt).await
    })
}

/// What stands in quarantine. An entry that is about none of the scenarios, or has expired, is an error.
fn quarantine(global: &Global, chosen: &[Found]) -> anyhow::Result<Option<Quarantine>> {
    let Some(quarantine) = Quarantine::read(&global.scenarios).map_err(usage)? else {
        return Ok(None);
    };
    // An entry may be about a scenario that is not run now.
    let all = scenarios::all(&global.scenarios)?;
    let known = all.iter().chain(chosen).map(|(scenario, _)| scenario);
    quarantine.check(known, today()).map_err(usage)?;
    Ok(Some(quarantine))
}

/// The day, in UTC.
pub(super) fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// What is run here, with its place in the whole list.
fn targets(
    args: &RunArgs,
    chosen: Vec<Found>,
    history: &History,
    quarantine: Option<&Quarantine>,
) -> Vec<Target> {
    let count = chosen.len();
    let took = |scenario: &Scenario| history.of(scenario).and_then(|past| past.took);
    let part = args.shard.map(|shard| {
        let name = |scenario: &Scenario| format!("{} on {}", scenario.name, scenario.machine.image);
        let list: Vec<_> =
            chosen.iter().map(|(scenario, _)| (name(scenario), took(scenario))).collect();
        (shard.part - 1, parts(&list, shard.of))
    });
    let own = chosen.into_iter().enumerate().filter(|(index, _)| {
        part.as_ref().is_none_or(|(part, parts)| parts.get(*index) == Some(part))
    });
    own.map(|(index, (scenario, folder))| {
        let past = history.of(&scenario);
        Target {
            known: Known {
                changed: past.is_none_or(|past| past.scenario_digest != scenario.digest()),
                failed: past.is_some_and(|past| past.failed),
                took: took(&scenario),
            },
            position: index,
            listed: args.shard.map(|_| ListPlace { index, count }),
            quarantine: quarantine.and_then(|it| it.of(&scenario)).cloned(),
            scenario,
            folder,
        }
    })
    .collect()
}

fn manner(args: &RunArgs, pending_aside: bool, aside: &Path) -> Manner {
    let repeat = match (args.seeds, args.times) {
        (Some(seeds), _) => Some((Repeat::Seeds, seeds)),
        (None, times) => times.map(|times| (Repeat::Times, times)),
    };
    let flaky = args.flaky.map(Flaky::from).unwrap_or_default();
    Manner {
        options: RunOptions { start: start(args.start), keep_disk: args.keep_disk, pending_aside },
        jobs: args.jobs.unwrap_or(1),
        retries: args.retries.unwrap_or_default(),
        budget: args.budget.map(Span::duration),
        repeat: repeat.map(|(by, turns)| (by, turns, flaky)),
        aside: aside.to_path_buf(),
    }
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
    manner: &Manner,
    targets: Vec<Target>,
    session: &Arc<Session>,
    interrupt: &Interrupt,
) -> anyhow::Result<Exit> {
    if targets.is_empty() {
        return empty_shard(args);
    }
    let single = targets.len() == 1 && !args.is_open() && args.shard.is_none();
    let (targets, mut skipped) = sift(session, &manner.options, targets).await?;
    // Where nothing can be run at all, an exit code of 0 would say that something was tried. Of a part, others may have
    // what can: whoever puts the parts together says so.
    let nothing = targets.is_empty() && args.shard.is_none();
    if !skipped.is_empty() && (single || args.no_skips || nothing) {
        return refuse(args, single, targets.len(), &skipped);
    }
    if manner.repeat.is_none() && !args.apart {
        session.announce(targets.iter().map(|target| &target.scenario));
    }
    let status = status_sink(args.image.len() > 1);
    let mut results = run_targets(session, manner, targets, interrupt, status).await;
    if !single && !args.no_skips {
        skipped.extend(take_late(&mut results));
        if results.is_empty() && args.shard.is_none() {
            return refuse(args, single, 0, &skipped);
        }
    }

    for finished in &results {
        finished.note_together().map_err(infrastructure)?;
    }
    let style = style(global);
    for finished in &results {
        if !args.json {
            print_styled(&shown(finished, single, style), style)?;
        }
        for turn in &finished.turns {
            // The page of a scenario that was run several times has the errors.
            if let (Err(error), None) = (&turn.came, manner.repeat) {
                let Finished { scenario, image, .. } = finished;
                match args.image.is_empty() {
                    true => tell(format!("error: {scenario}: {error}")),
                    false => tell(format!("error: {scenario} on {image}: {error}")),
                }
            }
        }
    }
    if args.json {
        written::print_documents(args, &results, &skipped, Exit::AsExpected)?;
    } else if !single {
        print(&run_table::table(&results, &skipped))?;
    }
    // Last, so that a report that cannot be written hides nothing.
    written::write_reports(args, &results, &skipped, false)?;
    let nothing = results.iter().all(|finished| finished.turns.is_empty());
    if nothing && args.shard.is_none() {
        tell("error: there was no time for any of them; nothing was run");
        return Ok(Exit::Usage);
    }
    Ok(results.iter().map(Finished::exit).max().unwrap_or(Exit::AsExpected))
}

/// There are more parts than entries: another machine has all the work.
fn empty_shard(args: &RunArgs) -> anyhow::Result<Exit> {
    tell("nothing is to be run in this part");
    if args.json {
        written::print_documents(args, &[], &[], Exit::AsExpected)?;
    }
    written::write_reports(args, &[], &[], false)?;
    Ok(Exit::AsExpected)
}

/// Takes out what an image lacks something for.
async fn sift(
    session: &Session,
    options: &RunOptions,
    targets: Vec<Target>,
) -> anyhow::Result<(Vec<Target>, Vec<Skipped>)> {
    let (mut kept, mut skipped) = (Vec::new(), Vec::new());
    for target in targets {
        match session.not_applicable(&target.scenario, options).await.map_err(marked)? {
            Some(reason) => {
                let Target { position, listed, .. } = target;
                skipped.push(Skipped { reason, position, listed });
            }
            None => kept.push(target),
        }
    }
    Ok((kept, skipped))
}

/// What an image turned out to lack only when its disk was to be edited, before its machine was started.
fn take_late(results: &mut Vec<Finished>) -> Vec<Skipped> {
    let lacks = |turn: &Turned| matches!(turn.came, Err(RunError::NotApplicable(_)));
    let late = results.extract_if(.., |finished| finished.turns.iter().any(lacks));
    late.filter_map(|finished| {
        let (position, listed) = (finished.position, finished.listed);
        finished.turns.into_iter().find_map(|turn| match turn.came {
            Err(RunError::NotApplicable(reason)) => {
                Some(Skipped { reason: *reason, position, listed })
            }
            _ => None,
        })
    })
    .collect()
}

/// Says what cannot be run; nothing is.
fn refuse(
    args: &RunArgs,
    single: bool,
    others: usize,
    skipped: &[Skipped],
) -> anyhow::Result<Exit> {
    for Skipped { reason, .. } in skipped {
        tell(format!("error: {} on {}: {reason}", reason.scenario, reason.image));
    }
    if !single {
        tell(run_table::nothing_was_run(skipped.len(), others));
    }
    if args.json {
        written::print_documents(args, &[], skipped, Exit::Usage)?;
    }
    written::write_reports(args, &[], skipped, true)?;
    Ok(Exit::Usage)
}

pub(super) fn start(how: Option<StartArg>) -> Option<Start> {
    how.map(|how| match how {
        StartArg::Cold => Start::Cold,
        StartArg::Checkpoint => Start::Checkpoint,
    })
}

/// What is shown of one scenario.
fn shown(finished: &Finished, single: bool, style: Style) -> String {
    let mut text = String::new();
    if let Some(repeated) = finished.repeated() {
        if !single {
            text += &format!("{} on {}\n", escaped(&finished.scenario), finished.image);
        }
        text += &repeat::page(finished, &repeated);
    } else if let Some(Ok(result)) = finished.turns.first().map(|turn| &turn.came) {
        text += &page(result, style);
    }
    let notes = Circumstances { repeated: None, ..finished.circumstances() }.notes();
    text.extend(notes.iter().map(|note| format!("note: {note}\n")));
    if finished.passes_in_quarantine() {
        text += "note: it was as expected this time; if it stays so, its entry in quarantine.toml can go\n";
    }
    if single && finished.turns.is_empty() {
        text += &format!("left out: {}\n", LEFT_OUT);
    }
    let more = !notes.is_empty() || finished.repeat.is_some() || finished.passes_in_quarantine();
    if more { text + "\n" } else { text }
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

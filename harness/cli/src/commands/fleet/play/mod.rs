//! `loopbreak fleet play`: a rollout on real machines.

mod cast;
mod machines;
mod measure;
mod reference;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use disk::Store;
use engine::{Interrupt, Session, StateDir};
use fleet::{
    Figure, Lives, Play, PlayError, PlayRecord, Rollout, Step, compared_with_simulation, load,
    play, render_plays,
};
use serde_json::json;

use self::cast::Played;
use self::machines::{Key, Known, Machines};
use super::changes;
use crate::args::Global;
use crate::commands::journal::Journal;
use crate::commands::run::images;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, print_json, tell};
use crate::session::{in_session, marked};

#[derive(Debug, Args)]
pub(crate) struct PlayArgs {
    /// Rollout files with a `[real]` table
    ///
    /// Several that run the same machines run each of them once: what a machine does before anybody helps it is the
    /// same in all.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Change a number of the files; may be repeated
    ///
    /// Nothing is compared with a reference then.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// How many machines may run at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// Play again from a record, without machines
    #[arg(long, value_name = "RECORD", conflicts_with_all = ["jobs", "fresh"])]
    from: Option<PathBuf>,
    /// Run every machine anew, even where the same command was interrupted before
    #[arg(long)]
    fresh: bool,
    /// Make what came the reference, and keep its record beside it
    #[arg(long, conflicts_with = "set")]
    accept: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// All plans of a file, played, with what a simulation says of the same.
type Plays = Vec<(Play, Vec<Figure>)>;

pub(crate) fn run(global: &Global, args: &PlayArgs) -> anyhow::Result<Exit> {
    let changes = changes(&args.set)?;
    let mut played = Vec::new();
    for file in &args.files {
        played.push(Played::read(global, file, &changes)?);
    }
    if let Some(record) = &args.from {
        let [one] = played.as_slice() else {
            return Err(usage(anyhow::anyhow!("a record is of one file; name one")));
        };
        let lives = recorded(record, one)?;
        let plays = to_the_end(one, &lives)?;
        return show(args, &[(one, plays)]);
    }
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let digests = digests(&state, &played)?;
    let scenario =
        |played: &Played| format!("{} {}", played.scenario.name, played.scenario.digest());
    let parts = std::iter::once(digests).chain(played.iter().map(scenario));
    let (journal, before) =
        Journal::<Known>::open(&state, "rollouts", parts, args.fresh).map_err(infrastructure)?;
    if !before.is_empty() {
        tell(format!(
            "going on with a rollout that was interrupted: {} runs of machines are done; --fresh begins anew",
            before.len()
        ));
    }
    let mut machines = Machines::new(args.jobs, before);
    let mut all = Vec::new();
    let exit = in_session(global, state, async |session, interrupt| {
        let exit;
        (all, exit) = on_machines(session, interrupt, &played, &mut machines, &journal).await?;
        Ok(exit)
    })?;
    if exit > Exit::Differs {
        tell("what has a verdict is kept: the same command goes on from here");
        return Ok(exit);
    }
    let all: Vec<(&Played, Plays)> = played.iter().zip(all).collect();
    let shown = show(args, &all)?;
    // Only now: what is written above may have failed, and what came may still be accepted.
    if shown == Exit::AsExpected {
        journal.close().map_err(infrastructure)?;
    } else {
        tell("the runs are kept: --accept takes what came of them, --fresh runs the machines anew");
    }
    Ok(exit.max(shown))
}

/// The digests of all images, to know the same work by.
fn digests(state: &StateDir, played: &[Played]) -> anyhow::Result<String> {
    let mut names: Vec<String> =
        played.iter().map(|played| played.scenario.machine.image.clone()).collect();
    names.sort_unstable();
    names.dedup();
    images(state, &names)?;
    let store = Store::open(state.root()).map_err(|error| marked(error.into()))?;
    let digest = |name: &String| Ok(store.image(name)?.digest);
    let digests: Result<Vec<String>, disk::StoreError> = names.iter().map(digest).collect();
    Ok(digests.map_err(|error| marked(error.into()))?.join(" "))
}

/// Runs machines until each rollout can be played to its end.
async fn on_machines(
    session: &Arc<Session>,
    interrupt: &Interrupt,
    played: &[Played],
    machines: &mut Machines,
    journal: &Journal<Known>,
) -> anyhow::Result<(Vec<Plays>, Exit)> {
    loop {
        let (mut done, mut wanted) = (Vec::new(), Vec::<(Key, scenario::Scenario)>::new());
        for one in played {
            let lives = machines.lives(one);
            let mut plays = Vec::new();
            for plan in &one.rollout.plan {
                let step = play(&one.rollout, &plan.name, &one.cast, &lives);
                let step = step.map_err(|error| match error {
                    PlayError::Apart { .. } => infrastructure(error),
                    error => usage(error),
                })?;
                match step {
                    Step::Done(play) => plays.push(compared(&one.rollout, *play)?),
                    Step::Needs(keys) => {
                        for life in keys {
                            let scenario = one.of_machine(life);
                            let key = Key::of(life, &scenario);
                            if !wanted.iter().any(|(known, _)| *known == key) {
                                wanted.push((key, scenario));
                            }
                        }
                    }
                }
            }
            done.push(plays);
        }
        if wanted.is_empty() {
            return Ok((done, Exit::AsExpected));
        }
        let exit = machines.run(session, interrupt, wanted, journal).await?;
        if exit > Exit::AsExpected {
            return Ok((Vec::new(), exit));
        }
    }
}

fn compared(rollout: &Rollout, play: Play) -> anyhow::Result<(Play, Vec<Figure>)> {
    let figures = compared_with_simulation(rollout, &play).map_err(usage)?;
    Ok((play, figures))
}

/// What a record says of the machines of a file.
fn recorded(path: &PathBuf, played: &Played) -> anyhow::Result<Lives> {
    let text = fs_err::read_to_string(path).map_err(usage)?;
    let failed = |what: String| usage(anyhow::anyhow!("{}: {what}", path.display()));
    let record = PlayRecord::parse(&text).map_err(|error| failed(error.to_string()))?;
    if record.digest.as_ref().is_some_and(|digest| *digest != played.scenario.digest()) {
        return Err(failed(format!(
            "it is of machines that ran another version of the scenario {}; play it on machines, without --from",
            played.cast.scenario
        )));
    }
    if record.cast.scenario != played.cast.scenario || record.seed != played.rollout.seed {
        return Err(failed(format!(
            "it is of machines of {} with seed {}, and {} has {} with seed {}; name the file that it was made of",
            winfmt::escaped(&record.cast.scenario),
            record.seed,
            played.file.display(),
            played.cast.scenario,
            played.rollout.seed,
        )));
    }
    Ok(record.lives)
}

/// Plays without machines.
fn to_the_end(played: &Played, lives: &Lives) -> anyhow::Result<Plays> {
    let mut plays = Vec::new();
    for plan in &played.rollout.plan {
        match play(&played.rollout, &plan.name, &played.cast, lives).map_err(usage)? {
            Step::Done(play) => plays.push(compared(&played.rollout, *play)?),
            Step::Needs(keys) => {
                let machines: Vec<String> =
                    keys.iter().map(|key| (key.machine + 1).to_string()).collect();
                return Err(usage(anyhow::anyhow!(
                    "the record does not say what becomes of machine {} in the plan `{}`; play it on machines, without \
                     --from",
                    machines.join(", "),
                    plan.name
                )));
            }
        }
    }
    Ok(plays)
}

fn show(args: &PlayArgs, all: &[(&Played, Plays)]) -> anyhow::Result<Exit> {
    let mut exit = Exit::AsExpected;
    let mut documents = Vec::new();
    for (played, plays) in all {
        let record = PlayRecord {
            cast: played.cast.clone(),
            digest: Some(played.scenario.digest()),
            seed: played.rollout.seed,
            lives: plays.iter().flat_map(|(play, _)| play.led.clone()).collect(),
            events: plays
                .iter()
                .map(|(play, _)| (play.outcome.plan.clone(), play.events.clone()))
                .collect(),
        };
        let (compared, of_it) = match args.set.is_empty() {
            true => reference::compare(played, plays, &record, args.accept)?,
            false => (reference::Compared::not_at_all(), Exit::AsExpected),
        };
        exit = exit.max(of_it);
        if args.json {
            documents.push(document(played, plays, &compared)?);
        } else {
            print(&render_plays(&played.rollout, plays))?;
            print(&format!("\n{}\n\n", compared.text()))?;
        }
    }
    if args.json {
        let document = json!({ "format": 1, "rollouts": documents });
        print_json(&(serde_json::to_string_pretty(&document)? + "\n"))?;
    }
    Ok(exit)
}

fn document(
    played: &Played,
    plays: &Plays,
    compared: &reference::Compared,
) -> anyhow::Result<serde_json::Value> {
    let plays = plays.iter().map(|(play, figures)| {
        json!({
            "outcome": play.outcome, "measured": play.measured, "events": play.events, "simulated": figures,
        })
    });
    Ok(json!({
        "file": played.file,
        "plays": plays.collect::<Vec<_>>(),
        "reference": compared.word(),
        "changes": compared.changes(),
    }))
}

/// Reads a rollout file, with what was set over it.
fn read(file: &std::path::Path, changes: &[(String, String)]) -> anyhow::Result<(String, Rollout)> {
    let text = fs_err::read_to_string(file).map_err(usage)?;
    let rollout = load(&file.display().to_string(), &text, changes).map_err(usage)?;
    Ok((text, rollout))
}

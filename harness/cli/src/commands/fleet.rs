//! `loopbreak fleet`: rollouts over simulated fleets, and over real machines.

mod fit;
mod play;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use fleet::{
    Choice, PRESETS, Rollout, RolloutError, assumptions, load, page, predict, recommend,
    render_assumptions, render_outcomes, render_predictions, render_recommendation, simulate,
};
use serde_json::json;
use words::Span;

use crate::args::Global;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, print_json, tell};

/// How many of the outcomes lie in the interval that `--rounds` gives.
const CONFIDENCE: f64 = 0.95;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Play a rollout over a simulated fleet, plan by plan
    ///
    /// Says how many machines each plan loses, where it was stopped or why not, and what the repair takes. It is a
    /// simulation of up to 50 million machines; the same file and seed give the same result.
    Simulate(SimulateArgs),
    /// Play a rollout on real machines, and hold it against the simulation
    ///
    /// Each machine takes the update, which is the fault of the scenario that the file's `[real]` names, and either
    /// stays healthy, comes back by itself or needs hands. A machine that a stop kept the update from is not run.
    Play(play::PlayArgs),
    /// Find the ring plans that lose least for their speed
    ///
    /// Each plan of the file's `[search]` is played with a good update, which says how fast it is, and with each
    /// fault, which says what a bad one costs.
    Recommend(RecommendArgs),
    /// Make distributions for a rollout file from recorded runs
    ///
    /// Prints what the runs were measured to take, as observed, with intervals, in the notation of the file.
    Fit(fit::FitArgs),
    /// Print a rollout file that comes with loopbreak, to be changed, or the schema
    Preset {
        /// Its name, or `schema` for the JSON Schema of rollout files; without one, all names
        #[arg(value_name = "PRESET")]
        name: Option<String>,
    },
}

/// What is played.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// A rollout file, or a preset such as july-2024
    ///
    /// `loopbreak fleet preset` lists and prints presets.
    #[arg(value_name = "FILE|PRESET")]
    what: String,
    /// Change a number of the file; may be repeated
    ///
    /// The paths are those of the table of assumptions, for example
    /// 'layer.quick-machine-recovery.available=0.8'.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Use so many threads
    ///
    /// The result is the same for any number. The default is one for each processor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    source: Source,
    /// Play only this plan; may be repeated
    #[arg(long, value_name = "NAME")]
    plan: Vec<String>,
    /// Play this fault instead of the file's first one
    #[arg(long, value_name = "NAME", conflicts_with = "good")]
    fault: Option<String>,
    /// Play a good update
    #[arg(long)]
    good: bool,
    /// Seed of the random numbers, instead of the file's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Play each plan so often, and show how far chance makes it differ
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: Option<u32>,
    /// Print the table of assumptions as well
    #[arg(long)]
    assumptions: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecommendArgs {
    #[command(flatten)]
    source: Source,
    /// Play each plan so often with each fault
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Name the plan with the smallest loss that is no slower than this
    #[arg(long, value_name = "DURATION")]
    within: Option<Span>,
    /// Write a page with the plans and their drawing
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(crate) fn run(global: &Global, command: &FleetCommand) -> anyhow::Result<Exit> {
    match command {
        FleetCommand::Simulate(args) => simulated(args),
        FleetCommand::Play(args) => play::run(global, args),
        FleetCommand::Recommend(args) => look(args),
        FleetCommand::Fit(args) => fit::run(global, args),
        FleetCommand::Preset { name } => show(name.as_deref()),
    }
}

/// What was set over a file.
fn changes(set: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let change = |set: &String| {
        let (path, value) = set.split_once('=').ok_or_else(|| {
            usage(anyhow::anyhow!("--set {set}: write it as PATH=VALUE, for example seed=2"))
        })?;
        Ok((path.trim().to_owned(), value.trim().to_owned()))
    };
    set.iter().map(change).collect()
}

impl Source {
    fn read(&self) -> anyhow::Result<Rollout> {
        let changes = changes(&self.set)?;
        if let Some(preset) = PRESETS.iter().find(|preset| preset.name == self.what) {
            return load(preset.name, preset.text, &changes).map_err(usage);
        }
        let text = fs_err::read_to_string(&self.what).map_err(|error| {
            let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
            usage(anyhow::anyhow!(
                "{error}; name a rollout file, or a preset: {}",
                names.join(", ")
            ))
        })?;
        load(&self.what, &text, &changes).map_err(usage)
    }

    fn threads(&self) -> usize {
        self.threads.map_or_else(
            || std::thread::available_parallelism().map_or(1, usize::from),
            usize::from,
        )
    }
}

fn simulated(args: &SimulateArgs) -> anyhow::Result<Exit> {
    let rollout = args.source.read()?;
    let first = rollout.fault.first().map(|fault| fault.name.clone());
    let fault = if args.good { None } else { args.fault.clone().or(first) };
    let plans: Vec<String> = if args.plan.is_empty() {
        rollout.plan.iter().map(|plan| plan.name.clone()).collect()
    } else {
        args.plan.clone()
    };
    let choices = plans.into_iter().map(|plan| Choice {
        plan,
        fault: fault.clone(),
        seed: args.seed.unwrap_or(rollout.seed),
        threads: args.source.threads(),
    });
    let mut text = String::new();
    let mut document = json!({ "format": 1, "assumptions": assumptions(&rollout) });
    if let Some(rounds) = args.rounds {
        let all: Result<Vec<_>, RolloutError> =
            choices.map(|choice| predict(&rollout, &choice, rounds, CONFIDENCE)).collect();
        let all = all.map_err(usage)?;
        text.push_str(&render_predictions(&all));
        document["predictions"] = serde_json::to_value(all)?;
    } else {
        let all: Result<Vec<_>, RolloutError> =
            choices.map(|choice| Ok(simulate(&rollout, &choice)?.outcome)).collect();
        let all = all.map_err(usage)?;
        text.push_str(&render_outcomes(&rollout, &all));
        document["outcomes"] = serde_json::to_value(all)?;
    }
    if args.assumptions {
        text = format!("{text}\n{}", render_assumptions(&rollout));
    }
    if args.source.json {
        print_json(&(serde_json::to_string_pretty(&document)? + "\n"))?;
    } else {
        print(&text)?;
    }
    Ok(Exit::AsExpected)
}

fn look(args: &RecommendArgs) -> anyhow::Result<Exit> {
    let rollout = args.source.read()?;
    let found = recommend(&rollout, args.rounds, args.source.threads()).map_err(usage)?;
    if let Some(path) = &args.html {
        fs_err::write(path, page(&rollout, &found)).map_err(infrastructure)?;
        tell(format!("wrote {}", path.display()));
    }
    let within = args.within.map(|span| {
        let minutes = u32::try_from(span.minutes()).unwrap_or(u32::MAX);
        (span, found.within(minutes))
    });
    if args.source.json {
        let mut document = serde_json::to_value(&found)?;
        if let Some((_, best)) = &within {
            document["within"] = serde_json::to_value(best)?;
        }
        document["assumptions"] = serde_json::to_value(assumptions(&rollout))?;
        print_json(&(serde_json::to_string_pretty(&document)? + "\n"))?;
    } else {
        print(&render_recommendation(&found))?;
        if let Some((span, best)) = &within {
            let name = best.map_or("none; the fastest is slower", |best| &best.plan.name);
            print(&format!("\nSmallest loss within {span}: {name}\n"))?;
        }
    }
    // Asked for a plan, and there is none that is fast enough.
    let none = within.is_some_and(|(_, best)| best.is_none());
    Ok(if none { Exit::Differs } else { Exit::AsExpected })
}

fn show(name: Option<&str>) -> anyhow::Result<Exit> {
    let text = match name {
        None => PRESETS.iter().map(|preset| format!("{}\n", preset.name)).collect(),
        Some("schema") => fleet::schema_text(),
        Some(name) => match PRESETS.iter().find(|preset| preset.name == name) {
            Some(preset) => preset.text.to_owned(),
            // Its message lists those that there are.
            None => {
                return Err(
                    fleet::preset(name).map_or_else(usage, |_| usage(anyhow::anyhow!("no preset")))
                );
            }
        },
    };
    print(&text)?;
    Ok(Exit::AsExpected)
}

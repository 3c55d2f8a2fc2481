//! The arguments of `loopbreak run`.

use clap::{Args, ValueEnum};
use report::Flaky;
use scenario::{Span, Start};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::choice::Choice;
use crate::commands::report::Reports;
use crate::schedule::Shard;
use crate::settings::{Profile, SettingsArgs};

#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// Scenarios, by name or path, or one variant as `scenario/variant`
    ///
    /// A scenario's name runs all of its variants.
    #[arg(value_name = "SCENARIO", required_unless_present_any = ["all", "filter", "rerun_failed"])]
    pub(crate) names: Vec<String>,
    /// Run every scenario in the scenarios folder
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) choice: Choice,
    /// Run only what failed when it was last run
    ///
    /// The same as -E 'failed()'. With a filter, what both choose.
    #[arg(long)]
    pub(crate) rerun_failed: bool,
    /// Run nothing; list what would be run
    #[arg(long)]
    pub(crate) list: bool,
    /// Run on these images instead of the scenarios' own
    ///
    /// Several are separated by commas. Each scenario runs on each image, and its outcome is compared with the
    /// reference for the image's line. Several runs leave out what an image lacks something for: such a scenario is
    /// listed as not applicable, with the reason. If a single run is asked for, that is an error.
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        env = "LOOPBREAK_IMAGE",
        hide_env = true
    )]
    pub(crate) image: Vec<String>,
    /// Run nothing if a scenario is not applicable to its image
    ///
    /// Exit code 2 then.
    #[arg(long)]
    pub(crate) no_skips: bool,
    /// How many machines may run at once
    ///
    /// The default is 1, or what the settings say.
    #[arg(short, long, value_name = "N", env = "LOOPBREAK_JOBS", hide_env = true, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) jobs: Option<u32>,
    /// How machines start, cold or checkpoint, instead of what the scenario says
    ///
    /// `cold` is from power-on, `checkpoint` from a checkpoint of the healthy machine, RAM included.
    #[arg(
        long,
        value_name = "HOW",
        hide_possible_values = true,
        env = "LOOPBREAK_START",
        hide_env = true
    )]
    pub(crate) start: Option<StartArg>,
    /// Take every run from its own start, even where several begin in the same way
    ///
    /// Without it, runs of one command that differ only in what is done to a machine that is given up share the way
    /// there: one drives it, the others go on from a copy of its machine.
    #[arg(long)]
    pub(crate) apart: bool,
    /// Print JSON: the run's summary, or an array of summaries
    #[arg(long)]
    pub(crate) json: bool,
    /// Keep the machine's disk in the run directory
    #[arg(long)]
    pub(crate) keep_disk: bool,
    /// Write nothing beside the references
    ///
    /// New outcomes are left in the run directory. The default where CI is set. INSTA_UPDATE says it as well: `no`, or `new` to write them in CI, too.
    #[arg(long)]
    pub(crate) no_update: bool,
    /// Run each scenario with the seeds 1 to N and count the outcomes
    ///
    /// Another seed may have another outcome: nothing is compared with a reference, and no outcome fails.
    #[arg(long, value_name = "N", conflicts_with = "times", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) seeds: Option<u32>,
    /// Run each scenario N times as it is and count the outcomes
    ///
    /// A scenario that has two different outcomes is flaky. What the host or the harness fails is counted apart.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) times: Option<u32>,
    /// What becomes of a flaky scenario: fail or pass
    ///
    /// `pass` lets it pass if at least one of its runs was as expected. The default is `fail`, or what the settings say.
    #[arg(
        long,
        value_name = "HOW",
        hide_possible_values = true,
        env = "LOOPBREAK_FLAKY",
        hide_env = true
    )]
    pub(crate) flaky: Option<FlakyArg>,
    /// Try again, up to N times, what the host or the harness failed
    ///
    /// Outcomes of the product are never tried again. The default is 0, or what the settings say.
    #[arg(long, value_name = "N", env = "LOOPBREAK_RETRIES", hide_env = true, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) retries: Option<u32>,
    /// Begin nothing that would not end within this time, such as 30m
    ///
    /// As far as is known from recorded runs. Scenarios that changed come first, then those that failed last, then long
    /// ones; what is left out is named.
    #[arg(long, value_name = "TIME", env = "LOOPBREAK_BUDGET", hide_env = true)]
    pub(crate) budget: Option<Span>,
    /// Run one part of several, such as 1/3
    ///
    /// For machines that share the work. Parts take about the same time, by recorded durations; all machines have to have the same records, or none.
    /// `loopbreak merge` puts the parts' results together.
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(flatten)]
    pub(crate) reports: Reports,
}

impl RunArgs {
    /// These, and for what they leave open the settings.
    pub(crate) fn over(self, settings: &Profile) -> Self {
        let image = if self.image.is_empty() { settings.image.clone() } else { None };
        Self {
            image: image.unwrap_or(self.image),
            jobs: self.jobs.or(settings.jobs),
            start: self.start.or(settings.start.map(StartArg::from)),
            flaky: self.flaky.or(settings.flaky),
            retries: self.retries.or(settings.retries),
            budget: self.budget.or(settings.budget),
            no_skips: self.no_skips || settings.no_skips.unwrap_or_default(),
            keep_disk: self.keep_disk || settings.keep_disk.unwrap_or_default(),
            ..self
        }
    }

    /// True where no scenario is named, so that any number of them may be meant.
    pub(crate) fn is_open(&self) -> bool {
        self.all || self.choice.filter.is_some() || self.rerun_failed
    }
}

/// What becomes of a flaky scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FlakyArg {
    /// It fails
    Fail,
    /// It passes if at least one of its runs was as expected
    Pass,
}

impl From<Start> for StartArg {
    fn from(how: Start) -> Self {
        match how {
            Start::Cold => Self::Cold,
            Start::Checkpoint => Self::Checkpoint,
        }
    }
}

impl From<FlakyArg> for Flaky {
    fn from(how: FlakyArg) -> Self {
        match how {
            FlakyArg::Fail => Self::Fails,
            FlakyArg::Pass => Self::Passes,
        }
    }
}

/// How a machine comes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartArg {
    /// From power-on
    Cold,
    /// From a checkpoint of the healthy machine, RAM included
    Checkpoint,
}

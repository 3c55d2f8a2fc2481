//! Arguments. The doc comments are the help text.

mod run;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::run::{FlakyArg, RunArgs, StartArg};
use crate::choice::Choice;
use crate::commands::bcd::BcdCommand;
use crate::commands::bisect::BisectCommand;
use crate::commands::bundle::{BundleArgs, ShowArgs};
use crate::commands::diagnose::DiagnoseArgs;
use crate::commands::driver::DriverCommand;
use crate::commands::fault::FaultCommand;
use crate::commands::fleet::FleetCommand;
use crate::commands::guestfs::GuestfsCommand;
use crate::commands::hive::HiveCommand;
use crate::commands::image::ImageCommand;
use crate::commands::matrix::{MatrixArgs, MatrixOutput};
use crate::commands::report::Reports;
use crate::commands::serve::ServeCommand;
use crate::commands::trend::TrendArgs;
use crate::settings::{SettingsArgs, Size};

/// Break Windows virtual machines on purpose and prove that they come back.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  as expected
  1  the outcome differs from its reference, or an expectation was not met
  2  usage, scenario or image error; nothing was run
  3  the harness or the host failed, or the command was interrupted
  4  something that a run made was left behind";

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = GLOBAL)]
pub(crate) struct Global {
    /// Where images, checkpoints and runs are kept
    ///
    /// LOOPBREAK_STATE sets it as well. The default is $XDG_STATE_HOME/loopbreak, or ~/.local/state/loopbreak.
    #[arg(long, global = true, value_name = "DIR", env = "LOOPBREAK_STATE", hide_env = true)]
    pub(crate) state: Option<PathBuf>,
    /// Where scenarios are looked up by name
    ///
    /// LOOPBREAK_SCENARIOS sets it as well.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "LOOPBREAK_SCENARIOS",
        hide_env = true,
        default_value = "scenarios"
    )]
    pub(crate) scenarios: PathBuf,
    /// Use this libvirt connection instead of the built-in one
    ///
    /// For example qemu:///system, or qemu+ssh://host/system. LOOPBREAK_CONNECT sets it as well.
    #[arg(long, global = true, value_name = "URI", env = "LOOPBREAK_CONNECT", hide_env = true)]
    pub(crate) connect: Option<String>,
    /// Log to standard error; -vv for everything
    ///
    /// LOOPBREAK_LOG takes a filter instead, for example `info,engine=debug`.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colours: auto, always or never
    ///
    /// `auto` uses them on a terminal, unless NO_COLOR is set.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub(crate) color: When,
}

/// They come last in the help of every command.
const GLOBAL: &str = "Global options";

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run scenarios and compare their outcomes with the references
    Run(RunArgs),
    /// Hold incidents against the layers of the recovery ladder, each alone
    ///
    /// What saves a machine from what: for each incident and each layer, whether the machine came back, in how many
    /// boots, with whose hands. What no variant of an incident says is made of the others. The table is compared with
    /// its reference. A matrix that was interrupted goes on where it was.
    Matrix {
        #[command(flatten)]
        cells: MatrixArgs,
        #[command(flatten)]
        output: MatrixOutput,
    },
    /// Find the first build that breaks a machine, or the faults that break it together
    ///
    /// A search that was interrupted goes on where it was. Exit code 1 if nothing breaks, or if the machine breaks by itself.
    #[command(subcommand)]
    Bisect(BisectCommand),
    /// Say what a command would do, without a machine
    #[command(subcommand)]
    Plan(PlanCommand),
    /// List recorded runs
    #[command(args_conflicts_with_subcommands = true)]
    Runs {
        #[command(subcommand)]
        command: Option<RunsCommand>,
        #[command(flatten)]
        choice: Choice,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Show the timeline of a recorded run
    Timeline {
        /// A run's name, part of it, its directory, or `latest`
        #[arg(default_value = "latest")]
        run: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Derive the outcome of a recorded run again, from its events alone
    Replay {
        /// A run's name, part of it, its directory, or `latest`
        #[arg(default_value = "latest")]
        run: String,
    },
    /// Compare two recorded runs: outcomes in words, where they part, how long things took
    ///
    /// Exit code 1 if the outcomes differ.
    Diff {
        /// A run's name, part of it, its directory, or `latest`
        #[arg(value_name = "RUN_A")]
        one: String,
        /// The other run
        #[arg(value_name = "RUN_B")]
        other: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what became of scenarios from day to day, from kept runs
    ///
    /// Verdicts, medians of the main times, and where an outcome changed, in words. Runs are derived again from their events.
    Trend(TrendArgs),
    /// Write reports on recorded runs: HTML, JUnit, Markdown
    Report {
        /// Each a run's name, part of it, its directory, or `latest`
        ///
        /// Without one, the latest; with a filter, all that it chooses.
        #[arg(value_name = "RUN")]
        runs: Vec<String>,
        #[command(flatten)]
        choice: Choice,
        #[command(flatten)]
        reports: Reports,
    },
    /// Put recorded runs into one file, without secrets, for somebody else
    ///
    /// The file is a tar archive, compressed with zstd. Recovery keys, tokens, private keys, and the host's names and paths
    /// are taken out; its manifest says what was. `loopbreak show` opens it on any host.
    Bundle(BundleArgs),
    /// Open a bundle of runs: check it, and show what happened
    ///
    /// Every file is held against the manifest, every outcome is derived again.
    Show(ShowArgs),
    /// Put the results of shards together: JSON, or JUnit
    ///
    /// What `run --shard` left on several machines becomes what one run of the whole would have left, with its exit code.
    /// It is an error if a result is missing, or there twice.
    Merge {
        /// What each of the parts wrote, all of one kind
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Where to write it, instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Decide on pending outcomes, one after the other
    ///
    /// Each is shown against its reference, in words first. Without a terminal they are listed.
    Review {
        #[command(flatten)]
        choice: Choice,
    },
    /// List outcomes that wait to be accepted
    Pending {
        #[command(flatten)]
        choice: Choice,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Accept the outcome of a run as the new reference
    ///
    /// Given a scenario, it accepts all outcomes that are pending for it.
    Accept(DecideArgs),
    /// Take a pending outcome away, so that the reference stays
    Reject(DecideArgs),
    /// Print all settings with their defaults, explained
    ///
    /// To change some, write them into a loopbreak.toml in the folder where the command runs.
    Settings,
    /// Check, list and prepare scenarios
    #[command(subcommand)]
    Scenario(ScenarioCommand),
    /// Explain a word: a verdict, exit code, layer, check, touch or fault
    ///
    /// What it means, what it rests on, what to do next; of a layer, whose hands it needs, how it is set up on Windows,
    /// what evidence it leaves, what it cannot bring back, and where that is from.
    Explain {
        /// The word, as loopbreak writes it; its kind may stand before it, as in `layer safe-mode`
        #[arg(value_name = "WORD", required = true, num_args = 1..=2)]
        words: Vec<String>,
    },
    /// Explain faults, and prove them on real machines
    #[command(subcommand)]
    Fault(FaultCommand),
    /// Simulate rollouts over fleets of machines, and find ring plans
    #[command(subcommand)]
    Fleet(FleetCommand),
    /// Import, inspect and maintain images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Read and edit registry hives
    #[command(subcommand)]
    Hive(HiveCommand),
    /// Read and edit boot configuration stores
    #[command(subcommand)]
    Bcd(BcdCommand),
    /// Serve what machines ask for in recovery
    #[command(subcommand)]
    Serve(ServeCommand),
    /// Read and write files of volumes that only libguestfs can read
    ///
    /// BitLocker volumes, given their key, and dynamic disks. Each command starts a small Linux of its own, which
    /// takes many seconds.
    #[command(subcommand)]
    Guestfs(GuestfsCommand),
    /// Read crash dumps
    #[command(subcommand)]
    Dump(DumpCommand),
    /// Build faulty drivers
    #[command(subcommand)]
    Driver(DriverCommand),
    /// Say why a Windows does not start, from its disk alone
    ///
    /// What a support engineer would look at, in order: last starts, stops and blamed modules of all dumps, what changed
    /// before the first failure, what recovery tried, whether it can work at all; and the suspects, ranked, each with
    /// its reasons and with the repair that the layer `host-repair` could do. Nothing is changed.
    Diagnose(DiagnoseArgs),
    /// Print completions for a shell: bash, zsh, fish, elvish or powershell
    ///
    /// `scripts/install` puts them where the shells look.
    Completions {
        /// The shell
        #[arg(value_name = "SHELL", hide_possible_values = true)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the pages of all commands
    Man {
        /// Write a page for each command into this folder
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Check what this host can do, and say how to fix the rest
    ///
    /// The accelerator is tested by running a guest. Exit code 3 if no machine would run.
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove what killed runs left behind: processes, sockets, overlays, locks
    Clean {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Remove the oldest runs until the others are small enough
    ///
    /// Runs that are under way stay.
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// The most that kept runs may take on the disk, such as 20GiB
    ///
    /// LOOPBREAK_MAX_SIZE and `max-size` in the settings set it as well.
    #[arg(long, value_name = "SIZE", env = "LOOPBREAK_MAX_SIZE", hide_env = true)]
    pub(crate) max_size: Option<Size>,
    /// Remove nothing; say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// A run, `latest`, a scenario, or `scenario/variant`
    ///
    /// A run goes by its name or part of it. The default is `latest`; with a filter, all that it chooses.
    #[arg(value_name = "RUN|SCENARIO", conflicts_with = "filter")]
    pub(crate) what: Option<String>,
    #[command(flatten)]
    pub(crate) choice: Choice,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Print all that a run would do
    ///
    /// Image, offline edits, commands of the guest agent, layers, waits with their limits, what is expected, and the
    /// domain that libvirt would be given. No hypervisor is touched; the edits are done to a copy of the image's disk.
    Run(PlanRunArgs),
    /// Print what a matrix would run, and what its runs share
    ///
    /// Where several layers of an incident begin in the same way, one run drives the machine until it is given up, and
    /// the others go on from a copy of it.
    Matrix(MatrixArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PlanRunArgs {
    /// The scenario, by name or path, or one variant as `scenario/variant`
    #[arg(value_name = "SCENARIO")]
    pub(crate) name: String,
    /// The image, instead of the scenario's own
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,
    /// How the machine starts, cold or checkpoint
    ///
    /// The default is what the scenario says.
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    pub(crate) start: Option<StartArg>,
    /// What would run the machine, tcg or kvm
    ///
    /// A run tries which one works; the plan tries nothing.
    #[arg(long, value_name = "HOW", default_value = "tcg", hide_possible_values = true)]
    pub(crate) accelerator: AcceleratorArg,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What runs a machine's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AcceleratorArg {
    /// QEMU's emulator
    Tcg,
    /// The host's processor
    Kvm,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScenarioCommand {
    /// Check scenario files; errors come with line, column and the fix
    Check {
        /// Files, folders or names [default: all scenarios]
        #[arg(value_name = "SCENARIO")]
        names: Vec<String>,
    },
    /// List scenarios
    List {
        #[command(flatten)]
        choice: Choice,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of scenario files
    Schema,
    /// Prepare the disk of a scenario's machine as a run would, to boot it by hand
    Stage {
        /// The scenario, or `scenario/variant`
        scenario: String,
        /// New directory for disk.qcow2, vars.fd and QEMU's command line
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DumpCommand {
    /// Show a dump's stop code, parameters, blamed module and time
    Show {
        /// The dump file
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_and_the_folder_of_scenarios_are_told_apart() {
        let cli =
            Cli::try_parse_from(["loopbreak", "--scenarios", "dir", "run", "a", "b"]).unwrap();
        let Command::Run(run) = cli.command else { panic!("not run") };
        assert_eq!(run.names, ["a", "b"]);
        assert_eq!(cli.global.scenarios, PathBuf::from("dir"));
    }
}

//! Arguments. The doc comments are the help text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::bcd::BcdCommand;
use crate::commands::driver::DriverCommand;
use crate::commands::fault::FaultCommand;
use crate::commands::guestfs::GuestfsCommand;
use crate::commands::hive::HiveCommand;
use crate::commands::image::ImageCommand;

/// Breaks Windows virtual machines on purpose and proves that they come back.
///
/// Exit codes: 0 as expected; 1 the outcome differs from its reference or an expectation was not met;
/// 2 usage, scenario or image error; 3 the harness or the host failed, or the command was interrupted;
/// 4 something of the run was left behind.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where images, checkpoints and runs are kept [default: $XDG_STATE_HOME/loopbreak].
    #[arg(long, global = true, value_name = "DIR", env = "LOOPBREAK_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// Where scenarios are looked for by name.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "LOOPBREAK_SCENARIOS",
        default_value = "scenarios"
    )]
    pub(crate) scenarios: PathBuf,
    /// A libvirt connection instead of the embedded one, for example qemu:///system.
    #[arg(long, global = true, value_name = "URI", env = "LOOPBREAK_CONNECT")]
    pub(crate) connect: Option<String>,
    /// Says more on standard error; twice for everything. LOOPBREAK_LOG takes a filter instead.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to colour.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs scenarios and compares their outcomes with the references.
    Run(RunArgs),
    /// Shows the timeline of a recorded run.
    Timeline {
        /// A run's name, part of it, its directory, or `latest`.
        #[arg(default_value = "latest")]
        run: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Derives timeline and outcome of a recorded run again, from its events alone.
    Replay {
        /// A run's name, part of it, its directory, or `latest`.
        #[arg(default_value = "latest")]
        run: String,
    },
    /// Lists recorded runs.
    Runs {
        /// As JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Takes the outcome of a run, or all pending ones of a scenario, as the new reference.
    Accept {
        /// A run's name, part of it, `latest`, or a scenario's name, or `scenario/variant`.
        #[arg(default_value = "latest")]
        what: String,
    },
    /// Scenarios: check, list, schema.
    #[command(subcommand)]
    Scenario(ScenarioCommand),
    /// Images in the store.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Registry hives.
    #[command(subcommand)]
    Hive(HiveCommand),
    /// Boot configuration stores.
    #[command(subcommand)]
    Bcd(BcdCommand),
    /// Files of volumes that are not read otherwise, by libguestfs: BitLocker with its key, dynamic disks.
    ///
    /// Each command starts a small Linux of its own, which takes many seconds.
    #[command(subcommand)]
    Guestfs(GuestfsCommand),
    /// Crash dumps.
    #[command(subcommand)]
    Dump(DumpCommand),
    /// Faulty drivers.
    #[command(subcommand)]
    Driver(DriverCommand),
    /// What can go wrong: the fault catalogue.
    #[command(subcommand)]
    Fault(FaultCommand),
    /// Checks what this host can do, and says what to do about the rest.
    ///
    /// The accelerator is proved by running a guest. Exit code 3 where no machine would run.
    Doctor {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Removes what a killed run left behind: processes, sockets, overlays, locks.
    Clean {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Scenarios, by name or by path; with all their variants, or one, as `scenario/variant`.
    #[arg(value_name = "SCENARIO", required_unless_present = "all")]
    pub(crate) names: Vec<String>,
    /// Runs every scenario there is.
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// How many machines may run at once.
    #[arg(short, long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) jobs: u32,
    /// How machines come to run, instead of what the scenario says.
    #[arg(long, value_name = "HOW")]
    pub(crate) start: Option<StartArg>,
    /// Prints one JSON document on standard output: the summary of the run, or an array of them.
    #[arg(long)]
    pub(crate) json: bool,
    /// Keeps the machine's disk in the run directory.
    #[arg(long)]
    pub(crate) keep_disk: bool,
    /// Runs one scenario with each of the seeds from 1 to N, and counts what comes out. Nothing is compared
    /// with a reference.
    #[arg(long, value_name = "N", conflicts_with_all = ["all", "json", "times"], value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) seeds: Option<u32>,
    /// Runs one scenario N times as it is, and counts what comes out. Nothing is compared with a reference.
    #[arg(long, value_name = "N", conflicts_with_all = ["all", "json"], value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) times: Option<u32>,
}

/// How a machine comes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartArg {
    /// From power-on.
    Cold,
    /// From a RAM checkpoint of the healthy machine.
    Checkpoint,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScenarioCommand {
    /// Says whether scenario files are right, with line and column where not.
    Check {
        /// Files, folders or names; all scenarios where none is given.
        #[arg(value_name = "SCENARIO")]
        names: Vec<String>,
    },
    /// Lists scenarios.
    List {
        /// As JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Prints the JSON Schema of scenario files.
    Schema,
    /// Prepares the disk of a scenario's machine as a run would, for use by hand.
    Stage {
        /// The scenario, or `scenario/variant`.
        scenario: String,
        /// Directory to make: disk.qcow2, vars.fd and the command line for QEMU.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DumpCommand {
    /// Shows stop code, parameters, blamed module and time.
    Show {
        /// The dump.
        file: PathBuf,
        /// As JSON.
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

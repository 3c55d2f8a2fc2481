//! The `loopbreak` command: arguments, progress, exit codes. Everything else is the other crates'.

mod args;
mod choice;
mod commands;
mod exit;
mod output;
#[cfg(test)]
mod pipelines;
mod progress;
mod scenarios;
mod schedule;
mod session;
mod settings;
mod signals;
mod update;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::args::{Cli, Command, RunsCommand};
use crate::exit::{Exit, IntoCode, exit_of};
use crate::output::{Log, tell, tell_usage};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            tell_usage(&error);
            return if error.use_stderr() { Exit::Usage } else { Exit::AsExpected }.into_code();
        }
    };
    log(cli.global.verbose);
    std::panic::set_hook(Box::new(tell_of_panic));
    // What a panic has to say it has said; runs have cleaned up after it, and their records are named.
    match std::panic::catch_unwind(|| dispatch(&cli)) {
        Ok(Ok(exit)) => exit.into_code(),
        Ok(Err(error)) => {
            tell(format!("error: {}", told(&error)));
            exit_of(&error).into_code()
        }
        Err(_) => {
            tell("error: loopbreak panicked; this is a bug in loopbreak");
            Exit::Infrastructure.into_code()
        }
    }
}

/// An error with its causes. Many tell their cause themselves; what is said already is not said again.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn dispatch(cli: &Cli) -> anyhow::Result<Exit> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(args) => commands::run::run(global, args),
        Command::Matrix { cells, output } => commands::matrix::run(global, cells, output),
        Command::Bisect(command) => commands::bisect::run(global, command),
        Command::Plan(command) => commands::plan::run(global, command),
        Command::Timeline { run, json } => commands::runs::timeline(global, run, *json),
        Command::Replay { run } => commands::runs::replay_run(global, run),
        Command::Diff { one, other, json } => commands::diff::run(global, one, other, *json),
        Command::Trend(args) => commands::trend::run(global, args),
        Command::Report { runs, choice, reports } => {
            commands::report::run(global, runs, choice, reports)
        }
        Command::Bundle(args) => commands::bundle::bundle(global, args),
        Command::Show(args) => commands::bundle::show(global, args),
        Command::Merge { files, output } => commands::merge::run(files, output.as_deref()),
        Command::Settings => commands::settings::run(),
        Command::Runs { command: Some(RunsCommand::Prune(args)), .. } => {
            commands::prune::run(global, args)
        }
        Command::Runs { command: None, choice, json } => {
            commands::runs::list(global, choice, *json)
        }
        Command::Review { choice } => commands::review::run(global, choice),
        Command::Pending { choice, json } => commands::pending::list(global, choice, *json),
        Command::Accept(args) => commands::pending::accept(global, args),
        Command::Reject(args) => commands::pending::reject(global, args),
        Command::Scenario(command) => commands::scenario::run(global, command),
        Command::Image(command) => commands::image::run(global, command),
        Command::Serve(command) => commands::serve::run(command),
        Command::Guestfs(command) => commands::guestfs::run(command),
        Command::Hive(command) => commands::hive::run(command),
        Command::Bcd(command) => commands::bcd::run(command),
        Command::Dump(command) => commands::dump::run(command),
        Command::Driver(command) => commands::driver::run(global, command),
        Command::Explain { words } => commands::explain::run(words),
        Command::Fault(command) => commands::fault::run(global, command),
        Command::Fleet(command) => commands::fleet::run(global, command),
        Command::Diagnose(args) => commands::diagnose::run(global, args),
        Command::Completions { shell } => commands::manual::completions(*shell),
        Command::Man { output } => commands::manual::man(output.as_deref()),
        Command::Doctor { json } => commands::doctor::run(global, *json),
        Command::Clean { json } => commands::clean::run(global, *json),
    }
}

fn log(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "info,loopbreak=debug,engine=debug,hypervisor=debug,network=debug,recovery=debug",
        _ => "debug",
    };
    let own = std::env::var("LOOPBREAK_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = own.parse::<Targets>().unwrap_or_else(|error| {
        tell(format!("warning: LOOPBREAK_LOG={own}: {error}; write it like `info,engine=debug`"));
        Targets::new().with_default(tracing::Level::WARN)
    });
    let to_stderr = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Log::default);
    tracing_subscriber::registry().with(to_stderr.with_filter(filter)).init();
}

/// What the standard library prints of a panic, through the filter: its words may quote what a guest said.
fn tell_of_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
    let words = panic.payload_as_str().unwrap_or("it did not say why");
    tell(format!("thread '{name}' panicked{place}:\n{words}"));
    let backtrace = std::backtrace::Backtrace::capture();
    if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
        tell(backtrace);
    }
}

//! `loopbreak run`.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use engine::{
    Entry, Interrupt, RunOptions, RunResult, Session, SessionOptions, StateDir, StatusSink,
};
use report::Style;
use scenario::{Scenario, Start};
use tokio::sync::Semaphore;

use crate::args::{Global, RunArgs, StartArg};
use crate::commands::repeat;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{coloured, print};
use crate::progress::status_sink;
use crate::scenarios::{self, Found};

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
        _ => return Err(usage(anyhow::anyhow!("--seeds and --times are for one scenario"))),
    };
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    quiet_libvirt(&state);
    let runtime = tokio::runtime::Runtime::new().map_err(infrastructure)?;
    runtime.block_on(run_all(global, args, state, chosen))
}

/// libvirt's driver runs inside this process and would write its log to standard error.
#[expect(unsafe_code, reason = "libvirt takes its log's place from the environment only")]
pub(crate) fn quiet_libvirt(state: &StateDir) {
    if std::env::var_os("LIBVIRT_LOG_OUTPUTS").is_none() {
        let log = format!("3:file:{}", state.root().join("libvirt.log").display());
        // SAFETY: called before any thread is started, so nobody reads the environment meanwhile.
        #[expect(clippy::disallowed_methods, reason = "no thread runs yet")]
        unsafe {
            std::env::set_var("LIBVIRT_LOG_OUTPUTS", log);
        }
    }
}

/// What Ctrl-C does: once, everything is cleaned up; twice, the command ends at once.
pub(crate) fn on_ctrl_c(state: &StateDir) -> Interrupt {
    let (raiser, interrupt) = Interrupt::new();
    let ledgers = state.ledgers();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if raiser.raise() {
                eprintln!("interrupted: cleaning up; Ctrl-C again ends at once");
            } else {
                eprintln!("{}", may_be_left(&ledgers));
                std::process::exit(Exit::Leaked as i32);
            }
        }
    });
    interrupt
}

async fn run_all(
    global: &Global,
    args: &RunArgs,
    state: StateDir,
    chosen: Vec<Found>,
) -> anyhow::Result<Exit> {
    let interrupt = on_ctrl_c(&state);
    let options =
        SessionOptions { state, connect: global.connect.clone(), interrupt: interrupt.clone() };
    let session = Arc::new(Session::open(options).await.map_err(marked)?);
    let results = run_chosen(&session, args, chosen, &interrupt).await;
    let Some(session) = Arc::into_inner(session) else {
        anyhow::bail!("a run still holds the session after all runs ended");
    };
    let left = session.close();

    if args.seeds.or(args.times).is_some() {
        let mut tally = repeat::Tally::new(args);
        for (_, result) in &results {
            tally.add(result);
        }
        let (page, exit) = tally.finish();
        print(&page)?;
        tell_leaks("session", &left);
        return Ok(if left.leaked.is_empty() { exit } else { Exit::Leaked });
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
                    print(&page(&result, style))?;
                }
                tell_leaks(&name, &result.cleaned);
            }
            Err(error) => {
                exit = exit.max(if error.is_usage() { Exit::Usage } else { Exit::Infrastructure });
                eprintln!("error: {name}: {error}");
            }
        }
    }
    if args.json {
        let one = summaries.len() == 1 && !args.all && args.names.len() == 1;
        let document = if one { summaries.remove(0) } else { serde_json::Value::Array(summaries) };
        print(&(serde_json::to_string_pretty(&document)? + "\n"))?;
    }
    tell_leaks("session", &left);
    Ok(if left.leaked.is_empty() { exit } else { Exit::Leaked })
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
        let result =
            task.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        results.push((name, result));
    }
    results
}

pub(crate) fn marked(error: engine::RunError) -> anyhow::Error {
    if error.is_usage() { usage(error) } else { infrastructure(error) }
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

pub(crate) fn tell_leaks(what: &str, cleaned: &engine::Cleaned) {
    for leak in &cleaned.leaked {
        eprintln!("leaked by {what}: {}: {}", describe(&leak.entry), leak.reason);
    }
}

pub(crate) fn describe(entry: &Entry) -> String {
    match entry {
        Entry::Process { pid, mark } => format!("process {pid} ({mark})"),
        Entry::Directory { path } => format!("directory {}", path.display()),
        Entry::File { path } => format!("file {}", path.display()),
    }
}

fn may_be_left(ledgers: &Path) -> String {
    let mut text = "ended at once; this may be left behind:".to_owned();
    for entry in engine::noted(ledgers) {
        text += &format!("\n  {}", describe(&entry));
    }
    text + "\n`loopbreak clean` removes it"
}

/// `loopbreak scenario stage`.
pub(crate) fn stage(global: &Global, name: &str, output: &Path) -> anyhow::Result<Exit> {
    let scenario = Scenario::load(&scenarios::place(&global.scenarios, name)).map_err(usage)?;
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let staged = engine::stage_for_hand(&state, &scenario, output).map_err(marked)?;
    print(&(staged.join(" \\\n  ") + "\n"))?;
    Ok(Exit::AsExpected)
}

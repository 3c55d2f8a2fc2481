//! A command that runs machines: its signals, its session, and what is left of it at the end.

use std::sync::Arc;

use engine::{Entry, Interrupt, Ledgers, LeftBehind, Session, SessionOptions, StateDir};

use crate::args::Global;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::tell;
use crate::signals;

/// Opens a session, does `work` with it, and closes it, however the work ended. Whatever is left behind then
/// decides the exit code.
pub(crate) fn in_session(
    global: &Global,
    state: StateDir,
    work: impl AsyncFnOnce(&Arc<Session>, &Interrupt) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    quiet_libvirt(&state);
    let runtime = tokio::runtime::Runtime::new().map_err(infrastructure)?;
    runtime.block_on(async {
        let ledgers = Ledgers::new(&state);
        let noted = ledgers.clone();
        let interrupt = signals::listen(move || (may_be_left(&noted), Exit::Leaked))?;
        let (connect, listens) = (global.connect.clone(), interrupt.clone());
        let options = SessionOptions { state, connect, interrupt: listens, ledgers };
        let session = Arc::new(Session::open(options).await.map_err(marked)?);
        let worked = work(&session, &interrupt).await;
        let Some(session) = Arc::into_inner(session) else {
            anyhow::bail!("a run still holds the session after all runs ended");
        };
        let left = tokio::task::spawn_blocking(move || session.close()).await;
        let left = left.map_err(infrastructure)?;
        if left.is_empty() {
            return worked;
        }
        if let Err(error) = worked {
            tell(format!("error: {error:#}"));
        }
        for LeftBehind { by, leak } in left {
            tell(format!("left behind by {by}: {}: {}", describe(&leak.entry), leak.reason));
        }
        tell(CLEAN);
        Ok(Exit::Leaked)
    })
}

const CLEAN: &str = "`loopbreak clean` removes it";

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

/// The exit code that an error of the engine means.
pub(crate) fn exit_code(error: &engine::RunError) -> Exit {
    if error.is_usage() { Exit::Usage } else { Exit::Infrastructure }
}

/// An error of the engine with its exit code.
pub(crate) fn marked(error: engine::RunError) -> anyhow::Error {
    if error.is_usage() { usage(error) } else { infrastructure(error) }
}

/// What comes of a task that panicked; the session is still closed.
pub(crate) fn panicked<T>(error: tokio::task::JoinError) -> Result<T, engine::RunError> {
    Err(engine::RunError::Panicked { what: error.to_string(), directory: None })
}

pub(crate) fn describe(entry: &Entry) -> String {
    match entry {
        Entry::Process { pid, mark } => format!("process {pid} ({mark})"),
        Entry::Directory { path } => format!("directory {}", path.display()),
        Entry::File { path } => format!("file {}", path.display()),
    }
}

fn may_be_left(ledgers: &Ledgers) -> Vec<String> {
    let mut lines = vec!["stopped at once; this may have been left behind:".to_owned()];
    lines.extend(ledgers.noted().iter().map(|entry| format!("  {}", describe(entry))));
    lines.push(CLEAN.to_owned());
    lines
}

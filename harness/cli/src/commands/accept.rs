//! `loopbreak accept`.

use std::path::PathBuf;

use engine::{RunDir, StateDir, reference_path};

use crate::args::Global;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::print;

pub(crate) fn run(global: &Global, what: &str) -> anyhow::Result<Exit> {
    let pending = pending(global, what)?;
    let accepted = report::accept(&pending).map_err(usage)?;
    for one in accepted {
        print(&format!("accepted {} (from {})\n", one.reference.display(), one.from.display()))?;
        for other in one.others {
            eprintln!("note: another run's outcome is still pending: {}", other.display());
        }
    }
    Ok(Exit::AsExpected)
}

/// What is pending for a scenario of that name, else what the run of that name left.
fn pending(global: &Global, what: &str) -> anyhow::Result<Vec<PathBuf>> {
    if what.ends_with(".snap.new") {
        return Ok(vec![PathBuf::from(what)]);
    }
    let folder = global.scenarios.join(what);
    if folder.join("scenario.toml").is_file() {
        return report::pending_of(&reference_path(&folder, what)).map_err(infrastructure);
    }
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let run = RunDir::find(&state.runs(), what).map_err(usage)?;
    let record = run.record().map_err(usage)?;
    let pending = report::pending_of(&record.reference).map_err(infrastructure)?;
    let marker = format!("@{}.", record.run);
    Ok(pending.into_iter().filter(|path| path.to_string_lossy().contains(&marker)).collect())
}

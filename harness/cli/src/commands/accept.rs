//! `loopbreak accept`.

use std::path::PathBuf;

use engine::{RunDir, StateDir, pending_references};
use scenario::Scenario;

use crate::args::Global;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, tell};
use crate::scenarios;

pub(crate) fn run(global: &Global, what: &str) -> anyhow::Result<Exit> {
    let pending = pending(global, what)?;
    let accepted = report::accept(&pending).map_err(usage)?;
    for one in accepted {
        print(&format!("accepted {} (from {})\n", one.reference.display(), one.from.display()))?;
        for other in one.others {
            tell(format!("note: another run's outcome is still pending: {}", other.display()));
        }
    }
    Ok(Exit::AsExpected)
}

/// What is pending for a scenario of that name and all its variants, or for one of them, on images of any line, else what the run of that name left.
fn pending(global: &Global, what: &str) -> anyhow::Result<Vec<PathBuf>> {
    if what.ends_with(".snap.new") {
        return Ok(vec![PathBuf::from(what)]);
    }
    let place = scenarios::place(&global.scenarios, what);
    if Scenario::home(&place).join("scenario.toml").is_file() {
        let mut pending = Vec::new();
        for scenario in Scenario::load_all(&place).map_err(usage)? {
            let own = pending_references(&Scenario::home(&place), &scenario);
            pending.extend(own.map_err(infrastructure)?);
        }
        return Ok(pending);
    }
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let run = RunDir::find(&state.runs(), what).map_err(usage)?;
    let record = run.record().map_err(usage)?;
    let pending = report::pending_of(&record.reference).map_err(infrastructure)?;
    let marker = format!("@{}.", record.run);
    Ok(pending.into_iter().filter(|path| path.to_string_lossy().contains(&marker)).collect())
}

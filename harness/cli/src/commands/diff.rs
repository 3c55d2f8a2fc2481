//! `loopbreak diff`.

use engine::{RunDir, replay};
use serde_json::json;
use winfmt::escaped;

use crate::args::Global;
use crate::commands::runs::open;
use crate::exit::{Exit, usage};
use crate::output::{print, print_json, tell};

pub(crate) fn run(global: &Global, one: &str, other: &str, json: bool) -> anyhow::Result<Exit> {
    let (one, other) = (Side::read(&open(global, one)?)?, Side::read(&open(global, other)?)?);
    let compared = report::compare_runs(&one.derived, &other.derived);
    if json {
        let document = json!({
            "format": 1, "a": { "run": one.run, "scenario": one.scenario, "image": one.image },
            "b": { "run": other.run, "scenario": other.scenario, "image": other.image },
            "compared": compared,
        });
        print_json(&(serde_json::to_string_pretty(&document)? + "\n"))?;
    } else {
        let names = [one.name(), other.name()];
        print(&report::render_comparison(&compared, [&names[0], &names[1]]))?;
    }
    Ok(if compared.same { Exit::AsExpected } else { Exit::Differs })
}

/// One of the two.
struct Side {
    run: String,
    scenario: String,
    image: String,
    derived: timeline::Derived,
}

impl Side {
    fn read(run: &RunDir) -> anyhow::Result<Self> {
        let record = run.record().map_err(usage)?;
        let replayed = replay(run).map_err(usage)?;
        if replayed.incomplete {
            tell(format!(
                "note: the record of {} is incomplete; the harness was killed",
                run.name()
            ));
        }
        Ok(Self {
            run: run.name(),
            scenario: record.scenario,
            image: record.image,
            derived: replayed.derived,
        })
    }

    fn name(&self) -> String {
        format!("{} on {} ({})", escaped(&self.scenario), escaped(&self.image), self.run)
    }
}

//! `loopbreak clean`.

use engine::StateDir;

use crate::args::Global;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, print_json};
use crate::session::describe;

pub(crate) fn run(global: &Global, json: bool) -> anyhow::Result<Exit> {
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let report = engine::clean(&state).map_err(infrastructure)?;
    let exit = if report.leaked() { Exit::Leaked } else { Exit::AsExpected };
    if json {
        print_json(&(serde_json::to_string_pretty(&report)? + "\n"))?;
        return Ok(exit);
    }
    let mut text = String::new();
    for run in &report.cleaned {
        text += &format!("{}:\n", run.name);
        for entry in &run.cleaned.removed {
            text += &format!("  removed {}\n", describe(entry));
        }
        for leak in &run.cleaned.leaked {
            text += &format!("  NOT removed {}: {}\n", describe(&leak.entry), leak.reason);
        }
    }
    if report.cleaned.is_empty() {
        text += "nothing to clean\n";
    }
    if report.under_way > 0 {
        text +=
            &format!("{} runs or sessions are in progress and were left alone\n", report.under_way);
    }
    print(&text)?;
    Ok(exit)
}

//! `loopbreak plan matrix`: what a matrix would run, and what its runs share. No hypervisor is asked.

use std::collections::BTreeMap;

use engine::{RunDir, StateDir};

use super::MatrixArgs;
use super::rows::{Planned, Run, cells};
use crate::args::Global;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::print;

pub(crate) fn plan(global: &Global, args: &MatrixArgs) -> anyhow::Result<Exit> {
    let planned = cells(global, args)?;
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let lasted = recorded(&state)?;
    print(&tree(&planned, &lasted, args.jobs))?;
    Ok(Exit::AsExpected)
}

/// How long the last run of each scenario took, in seconds.
fn recorded(state: &StateDir) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut lasted = BTreeMap::new();
    for run in RunDir::list(&state.runs()).map_err(infrastructure)? {
        let Ok(record) = run.record() else { continue };
        let text = fs_err::read_to_string(run.measurements()).unwrap_or_default();
        let Ok(read) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        if let Some(total) = read["total_us"].as_u64() {
            lasted.insert(record.scenario, total / 1_000_000);
        }
    }
    Ok(lasted)
}

/// Which runs start a machine, and which go on from the machine of another.
fn tree(planned: &[Planned], lasted: &BTreeMap<String, u64>, jobs: u32) -> String {
    let mut text = String::new();
    let (mut starts, mut joins, mut seconds, mut known) = (0, 0, 0, 0);
    let mut incident = "";
    // The first run of each beginning.
    let mut begun: BTreeMap<String, String> = BTreeMap::new();
    for Planned { incident: of, layer, run } in planned {
        if of != incident {
            incident = of;
            begun.clear();
            text += &format!("{incident}\n");
        }
        let Run { scenario, made } = match run {
            Ok(run) => run,
            Err(why) => {
                text += &format!("  {layer:<24}  not applicable: {why}\n");
                continue;
            }
        };
        let whose = if *made { "made of its other variants" } else { scenario.reference_name() };
        let first = scenario.until_given_up().and_then(|beginning| {
            let known = begun.get(&beginning).cloned();
            begun.entry(beginning).or_insert_with(|| layer.to_string());
            known
        });
        let how = match &first {
            Some(first) => {
                joins += 1;
                format!("goes on from the machine that {first} gave up")
            }
            None => {
                starts += 1;
                "from a start of its own".to_owned()
            }
        };
        if let Some(took) = lasted.get(&scenario.name) {
            (seconds, known) = (seconds + took, known + 1);
        }
        text += &format!("  {layer:<24}  {how} ({whose})\n");
    }
    text +=
        &format!("\n{} runs: {starts} from a start of their own, {joins} go on\n", starts + joins);
    text += &match known {
        0 => "no run of them is on record, so nothing is known of their time\n".to_owned(),
        _ => format!(
            "at most {} s with --jobs {jobs}, by the last recorded runs of {known} of them, each from its own start\n",
            seconds / u64::from(jobs)
        ),
    };
    text
}

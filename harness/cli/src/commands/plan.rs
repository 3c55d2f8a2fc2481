//! `loopbreak plan`: what a command would do, without doing it.

use engine::{Done, PlanOptions, RunError, RunPlan, StateDir, plan_run};
use hypervisor::Accelerator;
use winfmt::escaped;

use super::run::{images, start};
use crate::args::{AcceleratorArg, Global, PlanCommand, PlanRunArgs};
use crate::exit::{Exit, usage};
use crate::output::{print, print_json, tell};
use crate::scenarios;
use crate::session::marked;

pub(crate) fn run(global: &Global, command: &PlanCommand) -> anyhow::Result<Exit> {
    match command {
        PlanCommand::Run(args) => plan(global, args),
        PlanCommand::Matrix(args) => super::matrix::plan(global, args),
    }
}

fn plan(global: &Global, args: &PlanRunArgs) -> anyhow::Result<Exit> {
    let chosen = scenarios::find(&global.scenarios, &args.name)?;
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let chosen = scenarios::on_images(chosen, &images(&state, args.image.as_slice())?);
    let accelerator = match args.accelerator {
        AcceleratorArg::Tcg => Accelerator::Emulation,
        AcceleratorArg::Kvm => Accelerator::Kvm,
    };
    let options = PlanOptions { accelerator, start: start(args.start) };
    let mut exit = Exit::AsExpected;
    let mut documents = Vec::new();
    for (scenario, folder) in &chosen {
        match plan_run(&state, scenario, folder, options) {
            Ok(plan) if args.json => documents.push(serde_json::to_value(&plan)?),
            Ok(plan) => print(&page(&plan))?,
            Err(RunError::NotApplicable(reason)) => {
                exit = exit.max(Exit::Usage);
                tell(format!("error: {} on {}: {reason}", reason.scenario, reason.image));
                if args.json {
                    documents.push(serde_json::to_value(reason.summary(Exit::Usage))?);
                }
            }
            Err(error) => return Err(marked(error)),
        }
    }
    if args.json {
        let one = documents.len() == 1;
        let document = if one { documents.remove(0) } else { serde_json::Value::Array(documents) };
        print_json(&(serde_json::to_string_pretty(&document)? + "\n"))?;
    }
    Ok(exit)
}

/// The plan for people.
fn page(plan: &RunPlan) -> String {
    let mut page = Page::default();
    page.line(&plan.scenario);
    let model = if plan.image.is_model { ", a model, not Windows" } else { "" };
    page.entry("image", &format!("{} ({}{model})", plan.image.name, plan.image.line));
    page.entry("digest", &plan.image.digest);
    for what in &plan.not_known {
        page.entry("not known", what);
    }
    page.entry("start", &word(serde_json::to_value(plan.start)));
    if plan.time_scale > 1 {
        page.entry("waits", &format!("documented ones pass {} times faster", plan.time_scale));
    }
    if let Some(clock) = plan.clock {
        page.entry("clock", &clock.to_string());
    }
    if plan.clock_chip != plan.clock
        && let Some(clock) = plan.clock_chip
    {
        page.entry("clock chip", &clock.to_string());
    }
    page.entry("resets", &format!("{} that do not count", plan.expected_resets));

    page.heading("offline, before power-on (done to a copy, and read back)");
    page.done(&plan.offline.done);
    if !plan.offline.after_a_first_start.is_empty() {
        page.heading("offline, after a first start that seals a key");
        page.done(&plan.offline.after_a_first_start);
    }
    page.heading("to the machine itself");
    for fault in &plan.faults {
        let when = word(serde_json::to_value(fault.when));
        let about = if fault.about.is_empty() { "" } else { &format!(": {}", fault.about) };
        page.line(&format!("  {} ({when}){about}", fault.fault));
        for step in &fault.agent {
            page.line(&format!("    agent: {step}"));
        }
    }
    page.heading("services on its network");
    for service in &plan.services {
        page.line(&format!("  {service}"));
    }
    page.heading("layers");
    for rung in &plan.layers {
        let expected = if rung.expected { " (expected to bring it back)" } else { "" };
        page.line(&format!("  {}{expected}", rung.layer));
        for line in &rung.does {
            page.line(&format!("    {line}"));
        }
    }
    page.heading("waits (not counting time in which the host gives the machine no processor)");
    for wait in &plan.waits {
        let seconds = wait.limit_seconds.as_secs_f64();
        page.line(&format!("  {seconds:>6} s  {}; then {}", wait.waits_for, wait.then));
    }
    page.heading("expected");
    let expected = serde_json::to_value(&plan.expect).unwrap_or_default();
    for (key, value) in expected.as_object().into_iter().flatten() {
        page.line(&format!("  {key}: {}", plain(value)));
    }
    let first = if plan.reference.exists {
        ""
    } else {
        " (none yet: the first outcome waits to be accepted)"
    };
    page.line(&format!("  reference: {}{first}", plan.reference.path));
    page.heading("domain");
    for line in plan.domain_xml.lines() {
        page.line(&format!("  {line}"));
    }
    page.text + "\n"
}

/// A word as scenarios write it.
fn word(value: serde_json::Result<serde_json::Value>) -> String {
    value.as_ref().map(plain).unwrap_or_default()
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text += &format!("{}\n", escaped(line));
    }

    fn entry(&mut self, label: &str, content: &str) {
        self.line(&format!("  {label:<12}{content}"));
    }

    fn heading(&mut self, heading: &str) {
        self.text.push('\n');
        self.line(heading);
    }

    fn done(&mut self, done: &[Done]) {
        for Done { what_for, changes } in done {
            self.line(&format!("  {what_for}"));
            for change in changes {
                self.line(&format!("    {change}"));
            }
        }
    }
}

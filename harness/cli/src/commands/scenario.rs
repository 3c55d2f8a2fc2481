//! `loopbreak scenario`.

use winfmt::escaped;

use crate::args::{Global, ScenarioCommand};
use crate::choice::{Choice, choose};
use crate::exit::{Exit, exit_of, usage};
use crate::output::{print, print_json, tell};
use crate::scenarios::{self, Found};

pub(crate) fn run(global: &Global, command: &ScenarioCommand) -> anyhow::Result<Exit> {
    match command {
        ScenarioCommand::Check { names } => check(global, names),
        ScenarioCommand::List { choice, json } => list(global, choice, *json),
        ScenarioCommand::Schema => {
            print_json(&scenario::schema_text())?;
            Ok(Exit::AsExpected)
        }
        ScenarioCommand::Stage { scenario, output } => super::run::stage(global, scenario, output),
    }
}

fn check(global: &Global, names: &[String]) -> anyhow::Result<Exit> {
    let names = if names.is_empty() { all_names(global)? } else { names.to_vec() };
    let mut exit = Exit::AsExpected;
    for name in names {
        match scenarios::find(&global.scenarios, &name) {
            Ok(found) => exit = exit.max(references(&found)?),
            Err(error) => {
                exit = exit.max(exit_of(&error));
                tell(error);
            }
        }
    }
    Ok(exit)
}

/// Says of each scenario that it is well, and whether it has a reference; a reference that belongs to none of them is
/// an error.
fn references(found: &[Found]) -> anyhow::Result<Exit> {
    let mut exit = Exit::AsExpected;
    let Some((_, folder)) = found.first() else { return Ok(exit) };
    let mut snapshots = Vec::new();
    for entry in fs_err::read_dir(folder).map_err(usage)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".snap") {
            snapshots.push(name);
        }
    }
    snapshots.sort();
    // `<scenario or variant>.<image line>.snap`; only the line may hold dots.
    let owner = |file: &str| file.split('.').next().unwrap_or_default().to_owned();
    for (scenario, _) in found {
        let name = escaped(&scenario.name);
        if snapshots.iter().any(|file| owner(file) == scenario.reference_name()) {
            print(&format!("{name}: ok\n"))?;
        } else {
            print(&format!("{name}: ok, without a reference; `loopbreak run {name}` makes one\n"))?;
        }
    }
    for file in &snapshots {
        if let Err(error) = report::check_reference(&folder.join(file)) {
            exit = Exit::Usage;
            tell(format!("error: {}", escaped(error)));
        }
    }
    for file in snapshots {
        if !found.iter().any(|(scenario, _)| owner(&file) == scenario.reference_name()) {
            exit = Exit::Usage;
            tell(format!(
                "error: {} is the reference of no scenario; delete it, or give it the name of one",
                escaped(folder.join(&file).display())
            ));
        }
    }
    Ok(exit)
}

fn all_names(global: &Global) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(&global.scenarios).map_err(usage)? {
        let entry = entry?;
        if entry.path().join("scenario.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn list(global: &Global, choice: &Choice, json: bool) -> anyhow::Result<Exit> {
    let filter = choice.parse()?;
    let mut found = scenarios::all(&global.scenarios)?;
    if let Some(filter) = &filter {
        found = choose(global, found, filter)?;
    }
    let mut text = String::new();
    let print = if json { print_json } else { print };
    for (scenario, folder) in found {
        if json {
            let line = serde_json::json!({
                "name": scenario.name, "title": scenario.title, "image": scenario.machine.image,
                "tags": scenario.tags, "expect": scenario.expect, "folder": folder,
            });
            text += &format!("{line}\n");
        } else {
            let (name, title) = (escaped(&scenario.name), escaped(scenario.describe()));
            text += &format!("{name:<44} {title}\n");
        }
    }
    print(&text)?;
    Ok(Exit::AsExpected)
}

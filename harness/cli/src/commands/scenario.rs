//! `loopbreak scenario`.

use winfmt::escaped;

use crate::args::{Global, ScenarioCommand};
use crate::exit::{Exit, exit_of, usage};
use crate::output::{print, print_json, tell};
use crate::scenarios;

pub(crate) fn run(global: &Global, command: &ScenarioCommand) -> anyhow::Result<Exit> {
    match command {
        ScenarioCommand::Check { names } => check(global, names),
        ScenarioCommand::List { json } => list(global, *json),
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
            Ok(found) => {
                for (scenario, _) in found {
                    print(&format!("{}: ok\n", scenario.name))?;
                }
            }
            Err(error) => {
                exit = exit.max(exit_of(&error));
                tell(error);
            }
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

fn list(global: &Global, json: bool) -> anyhow::Result<Exit> {
    let mut text = String::new();
    let print = if json { print_json } else { print };
    for (scenario, folder) in scenarios::all(&global.scenarios)? {
        if json {
            let line = serde_json::json!({
                "name": scenario.name, "title": scenario.title, "image": scenario.machine.image,
                "expect": scenario.expect, "folder": folder,
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

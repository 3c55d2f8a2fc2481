//! `loopbreak dump`.

use std::path::Path;

use crate::args::DumpCommand;
use crate::commands::hive::in_file;
use crate::exit::{Exit, usage};
use crate::output::{print, print_json};
use winfmt::escaped;

pub(crate) fn run(command: &DumpCommand) -> anyhow::Result<Exit> {
    match command {
        DumpCommand::Show { file, json } => show(file, *json),
    }
}

fn show(file: &Path, as_json: bool) -> anyhow::Result<Exit> {
    let bytes = fs_err::read(file).map_err(usage)?;
    let summary = winfmt::dump::summarize(std::io::Cursor::new(&bytes))
        .map_err(|error| usage(in_file(file, error)))?;
    if as_json {
        let mut document = serde_json::to_value(&summary)?;
        document["time"] = summary.time.to_string().into();
        print_json(&(serde_json::to_string_pretty(&document)? + "\n"))?;
        return Ok(Exit::AsExpected);
    }
    let kind = serde_json::to_value(summary.kind)?;
    let stop = &summary.bug_check;
    let name = stop.name.map(|name| format!(" {name}")).unwrap_or_default();
    let mut text = String::new();
    if stop.is_stop() {
        text += &format!("stop code    {:#x}{name}\n", stop.code);
        for (number, parameter) in stop.parameters.iter().enumerate() {
            text += &format!("parameter {}  {parameter:#018x}\n", number + 1);
        }
    } else {
        text += "stop code    none: a tool wrote it from a machine that had not stopped\n";
    }
    text += &format!("module       {}\n", escaped(summary.module.as_deref().unwrap_or("unknown")));
    text += &format!("time         {}\n", summary.time);
    text += &format!("kind         {}\n", kind.as_str().unwrap_or_default());
    text += &format!("machine      {}\n", summary.machine);
    if let Some(damage) = &summary.damage {
        text += &format!("missing      what follows the header: {damage}\n");
    }
    print(&text)?;
    Ok(Exit::AsExpected)
}

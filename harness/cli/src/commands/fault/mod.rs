//! `loopbreak fault`.

mod prove;

use clap::Subcommand;
use faults::{DefectInfo, KindInfo, defect_infos, explain, explain_defect, kinds};
use serde_json::json;

use crate::args::Global;
use crate::exit::{Exit, usage};
use crate::output::{print, print_json, sections};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum FaultCommand {
    /// List the kinds of faults, and the defects that a driver can have
    List {
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Explain a kind of fault or a driver's defect
    ///
    /// What it does, how it lands, how it is undone, and what to expect of it.
    Explain {
        /// A kind or a defect, as `fault list` shows it
        #[arg(value_name = "KIND")]
        kind: String,
    },
    /// Run faults on real machines and print a table of the results
    ///
    /// Two machines for each row: one with the fault, one with its inert control. The columns are: landed,
    /// consequence seen and expected, inert control, reversed. Exit code 1 if a row is not as it should be.
    Prove(prove::ProveArgs),
}

pub(crate) fn run(global: &Global, command: &FaultCommand) -> anyhow::Result<Exit> {
    match command {
        FaultCommand::Prove(args) => return prove::run(global, args),
        FaultCommand::List { json } => list(*json)?,
        FaultCommand::Explain { kind } => print(&explanation(kind)?)?,
    }
    Ok(Exit::AsExpected)
}

fn list(as_json: bool) -> anyhow::Result<()> {
    let mut text = String::new();
    if as_json {
        for kind in kinds() {
            let line = json!({ "kind": kind.name, "title": kind.title, "images": kind.images });
            text += &format!("{line}\n");
        }
        for defect in defect_infos() {
            let line = json!({
                "kind": "driver",
                "defect": defect.name,
                "title": defect.title,
                "stops": defect.stops,
            });
            text += &format!("{line}\n");
        }
    } else {
        text += "Kinds of faults (`kind` in [[fault]] and [[given]]):\n";
        let width = kinds().map(|kind| kind.name.len()).max().unwrap_or(0);
        for kind in kinds() {
            text += &format!("  {:<width$} {}\n", kind.name, kind.title);
        }
        text += "\nDefects of a driver (`defect` with `kind = \"driver\"`; `loopbreak driver build --fault`):\n";
        for defect in defect_infos() {
            text += &format!("  {:<16} {:<58} {}\n", defect.name, defect.title, stops(defect));
        }
        text += "\n`loopbreak fault explain KIND` explains one, `loopbreak fault prove KIND` runs it on real machines.\n";
    }
    if as_json {
        print_json(&text)?
    } else {
        print(&text)?
    }
    Ok(())
}

fn stops(defect: &DefectInfo) -> String {
    let codes: Vec<String> = defect.stops.iter().map(|code| format!("{code:#X}")).collect();
    match codes.as_slice() {
        [] => "no stop".to_owned(),
        codes => codes.join(", ").replace("0X", "0x"),
    }
}

pub(super) fn explanation(name: &str) -> anyhow::Result<String> {
    if let Some(kind) = explain(name) {
        return Ok(of_kind(kind));
    }
    if let Some(defect) = explain_defect(name) {
        return Ok(of_defect(defect));
    }
    Err(usage(anyhow::anyhow!(
        "no fault or defect is called `{name}`; `loopbreak fault list` lists them all"
    )))
}

fn of_kind(kind: &KindInfo) -> String {
    sections(
        kind.name,
        kind.title,
        &[
            ("What", kind.what),
            ("Lands", kind.lands),
            ("Undone", kind.undone),
            ("Inert", kind.inert),
            ("Images", kind.images),
            ("Expect", kind.expect),
        ],
    ) + &examples(kind)
}

/// The names of all examples, and the first one to copy.
fn examples(kind: &KindInfo) -> String {
    let names: Vec<&str> = kind.examples.iter().map(|example| example.name).collect();
    let Some(first) = kind.examples.first() else { return String::new() };
    let names = sections("", "", &[("Proved", &names.join(", "))]);
    let names = names.trim_start_matches(": \n");
    let lines: Vec<String> = first
        .scenario
        .trim()
        .lines()
        .map(|line| format!("    {line}").trim_end().to_owned())
        .collect();
    format!("{names}\n{}, in a scenario:\n\n{}\n", first.name, lines.join("\n"))
}

fn of_defect(defect: &DefectInfo) -> String {
    let driver = explain("driver");
    let [lands, undone, images] =
        driver.map_or(["", "", ""], |driver| [driver.lands, driver.undone, driver.images]);
    let expect = format!("{}. {}", stops(defect), defect.expect);
    sections(
        defect.name,
        defect.title,
        &[
            ("What", defect.what),
            ("Lands", lands),
            ("Undone", undone),
            ("Inert", defect.inert),
            ("Images", images),
            ("Expect", expect.as_str()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::WIDTH;

    #[test]
    fn every_kind_and_defect_is_explained_in_full_lines() {
        let names = kinds().map(|kind| kind.name);
        for name in names.chain(defect_infos().iter().map(|defect| defect.name)) {
            let text = explanation(name).unwrap();
            for label in ["What:", "Lands:", "Undone:", "Inert:", "Images:", "Expect:"] {
                assert!(text.contains(label), "{name}: {label}");
            }
            // The title stands on a line of its own, however long.
            assert!(text.lines().skip(1).all(|line| line.chars().count() <= WIDTH), "{text}");
        }
        assert!(explanation("nothing").unwrap_err().to_string().contains("fault list"));
    }
}

//! Scenarios on images that they were not written for: what an image lacks is told before anything starts, listed,
//! counted and never an error by itself; outcomes have references of their own for each line of systems; and a plan
//! says what a run would do.
//!
//! The other image is the BIOS disk of `any_disk`: no Windows, no agent, no recovery, another processor.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::Loopbreak;

use super::any_disk::{PROFILE, SCENARIO, make_disk};

const OTHER: &str = "bios-fat32";
/// What its inspection makes of the disk's folder `\ReactOS`.
const LINE: &str = "reactos";

/// Takes the agent, and a driver for the understudy's processor; harmless on it.
const DEMANDING: &str = r#"
format = 1
name = "demanding"
title = "A driver, and a file through the agent"
description = "Nothing goes wrong where the image has what it takes."

[machine]
image = "understudy"

[[fault]]
name = "driver"
kind = "driver"
driver = "quiet.sys"
defect = "null-read"
inert = true

[[fault]]
name = "file"
kind = "content-file"
when = "healthy"
path = 'C:\late.txt'
content = { text = "late\n" }

[expect]
verdict = "unaffected"
"#;

/// Takes a recovery environment and a clock that runs fast.
const RECOVERING: &str = r#"
format = 1
name = "recovering"
title = "Nothing to recover from"
description = "Quick Machine Recovery would ask again and again, in minutes."

[machine]
image = "understudy"
time-scale = 120

[recovery.quick-machine-recovery]
cloud-remediation = true
auto-remediation = true
total-wait-time = "40m"
wait-interval = "2m"

[[fault]]
name = "file"
kind = "content-file"
path = 'C:\early.txt'
content = { text = "early\n" }

[expect]
verdict = "unaffected"
"#;

struct Library {
    built: Loopbreak,
    folder: tempfile::TempDir,
}

impl Library {
    /// Three scenarios, of which the other image can take one.
    fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let work = folder.path();
        for (name, text) in
            [("edited-offline", SCENARIO), ("demanding", DEMANDING), ("recovering", RECOVERING)]
        {
            let place = work.join("scenarios").join(name);
            std::fs::create_dir_all(&place)?;
            std::fs::write(place.join("scenario.toml"), text)?;
        }
        let disk = make_disk(work)?;
        let profile = work.join("profile.toml");
        std::fs::write(
            &profile,
            format!("architecture = \"i686\"\ncpu = \"pentium3\"\n{}", PROFILE.trim_start()),
        )?;
        let built = Loopbreak::built()?;
        let [disk, profile] = [&disk, &profile].map(|path| path.to_string_lossy().into_owned());
        built.expect(0, &["image", "import", &disk, "--name", OTHER, "--profile", &profile])?;
        Ok(Self { built, folder })
    }

    fn scenarios(&self) -> String {
        self.folder.path().join("scenarios").to_string_lossy().into_owned()
    }

    fn all<'a>(scenarios: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let on_both =
            ["--scenarios", scenarios, "run", "--all", "--image", "understudy,bios-fat32"];
        on_both.iter().chain(more).copied().collect()
    }

    fn runs(&self) -> anyhow::Result<usize> {
        Ok(self.built.expect(0, &["runs", "--json"])?.lines().count())
    }
}

/// The documents of a run, as `scenario image verdict`.
fn came(documents: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let documents = documents.as_array().into_iter().flatten();
    let mut came: Vec<String> = documents
        .map(|one| {
            let parts = [&one["scenario"], &one["image"]["name"], &one["verdict"]].map(word);
            parts.join(" ")
        })
        .collect();
    came.sort();
    came
}

fn needs(documents: &Value, scenario: &str) -> Vec<String> {
    let documents = documents.as_array().into_iter().flatten();
    let own = documents.filter(|one| one["scenario"] == scenario);
    own.flat_map(|one| one["lacks"].as_array().into_iter().flatten())
        .filter_map(|lack| Some(lack["need"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn a_library_runs_on_two_images_and_what_one_of_them_lacks_is_told() -> anyhow::Result<()> {
    let library = Library::new()?;
    let (built, scenarios) = (&library.built, library.scenarios());

    // Nobody accepted anything yet: each outcome waits, beside those of the other line.
    let first = built.json(1, &Library::all(&scenarios, &["--json", "--jobs", "2"]))?;
    ensure!(
        came(&first)
            == [
                "demanding bios-fat32 not-applicable",
                "demanding understudy unaffected",
                "edited-offline bios-fat32 unaffected",
                "edited-offline understudy unaffected",
                "recovering bios-fat32 not-applicable",
                "recovering understudy unaffected",
            ],
        "{first:#}"
    );
    let demanding = needs(&first, "demanding");
    ensure!(demanding == ["architecture", "guest-agent"], "{first:#}");
    let recovering = needs(&first, "recovering");
    for need in ["recovery-enabled", "recovery-image", "time-scale"] {
        ensure!(recovering.iter().any(|own| own == need), "{need}: {recovering:?}");
    }
    let lines: Vec<&Value> = first
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["scenario"] == "edited-offline")
        .map(|one| &one["image"]["line"])
        .collect();
    ensure!(lines == ["understudy", LINE], "{lines:?}");
    for name in ["edited-offline", "demanding", "recovering"] {
        let path = Path::new(&scenarios).join(name);
        built.expect(0, &["accept", path.to_str().context("a path")?])?;
    }
    for (name, line, there) in [
        ("edited-offline", "understudy", true),
        ("edited-offline", LINE, true),
        ("demanding", LINE, false),
    ] {
        let file = format!("{name}/{name}.{line}.snap");
        ensure!(Path::new(&scenarios).join(&file).is_file() == there, "{file}");
    }

    // Now all is as accepted, and what was left out is no error.
    let page = built.expect(0, &Library::all(&scenarios, &["--jobs", "2"]))?;
    for part in [
        "4 runs: 4 as expected; 2 not applicable",
        "  architecture: driver `quiet.sys` is made for x86_64",
        "  guest-agent: ",
        "  time-scale: ",
    ] {
        ensure!(page.contains(part), "{part}: {page}");
    }
    Ok(())
}

#[test]
fn what_is_not_applicable_is_an_error_where_somebody_says_so_and_nothing_is_run()
-> anyhow::Result<()> {
    let library = Library::new()?;
    let (built, scenarios) = (&library.built, library.scenarios());
    let refused = |arguments: &[&str], says: &str| -> anyhow::Result<String> {
        let output = built.run(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(2), "{arguments:?}: {said}");
        ensure!(said.contains(says), "{arguments:?}: {said}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let here = ["--scenarios", scenarios.as_str(), "run"];
    let with = |more: &[&'static str]| [&here[..], more].concat();
    refused(
        &Library::all(&scenarios, &["--no-skips"]),
        "2 of 6 runs are not applicable, and --no-skips makes that an error; nothing was run",
    )?;
    refused(
        &with(&["demanding", "recovering", "--image", OTHER]),
        "none of the 2 runs is applicable",
    )?;
    refused(
        &with(&["demanding", "--image", OTHER]),
        "image `bios-fat32` lacks what the scenario needs",
    )?;
    refused(&with(&["demanding", "--image", OTHER, "--seeds", "3"]), "guest-agent")?;
    refused(&with(&["demanding", "--image", "nothing"]), "no image `nothing` in the store")?;
    let out = refused(&with(&["demanding", "--image", OTHER, "--json"]), "guest-agent")?;
    let document: Value = serde_json::from_str(&out)?;
    ensure!(document["verdict"] == "not-applicable" && document["exit_code"] == 2, "{document:#}");
    ensure!(library.runs()? == 0, "something was run");
    Ok(())
}

#[test]
fn a_plan_says_what_a_run_would_do_and_does_nothing() -> anyhow::Result<()> {
    let library = Library::new()?;
    let (built, scenarios) = (&library.built, library.scenarios());
    let plan = |image: &str, scenario: &str| {
        built.json(
            0,
            &["--scenarios", &scenarios, "plan", "run", scenario, "--image", image, "--json"],
        )
    };
    let changes = |plan: &Value, what_for: &str| -> Vec<String> {
        let done = plan["offline"]["done"].as_array().into_iter().flatten();
        let own = done.filter(|done| done["what-for"] == what_for);
        own.flat_map(|done| done["changes"].as_array().into_iter().flatten())
            .filter_map(|line| Some(line.as_str()?.to_owned()))
            .collect()
    };
    let other = plan(OTHER, "edited-offline")?;
    ensure!(other["image"]["line"] == LINE, "{other:#}");
    let greeting = changes(&other, "greeting");
    let [line] = greeting.as_slice() else { anyhow::bail!("{other:#}") };
    ensure!(line.starts_with(r"C:\greeting.txt: 25 bytes, blake3 "), "{line}");
    ensure!(other["reference"]["exists"] == false, "{other:#}");
    let xml = other["domain-xml"].as_str().context("a domain")?;
    ensure!(xml.contains("bus=\"ide\"") && xml.contains("rtl8139"), "{xml}");

    let own = plan("understudy", "demanding")?;
    let driver = changes(&own, "driver");
    for part in [r"drivers\quiet.sys: ", r"Services\quiet\Start = REG_DWORD "] {
        ensure!(driver.iter().any(|line| line.contains(part)), "{part}: {driver:#?}");
    }
    let agent = own["faults"][0]["agent"].to_string();
    for part in
        [r"write C:\\late.txt.new: 5 bytes", r"cmd.exe /c move /y C:\\late.txt.new C:\\late.txt"]
    {
        ensure!(agent.contains(part), "{part}: {agent}");
    }
    let waits = own["waits"].as_array().context("waits")?;
    let limit = |what: &str| {
        waits
            .iter()
            .find(|wait| wait["waits-for"] == what)
            .map(|wait| wait["limit-seconds"].clone())
    };
    ensure!(limit("the whole watch") == Some(900.0.into()), "{waits:#?}");
    ensure!(limit("each answer of the guest agent") == Some(120.0.into()), "{waits:#?}");
    let page = built.expect(0, &["plan", "run", "channel-file-291"])?;
    for part in ["quick-machine-recovery (expected to bring it back)", "<domain ", "csagent.sys"] {
        ensure!(page.contains(part), "{part}: {page}");
    }
    ensure!(library.runs()? == 0, "something was run");
    Ok(())
}

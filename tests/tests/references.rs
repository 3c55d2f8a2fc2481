//! Every reference of the library, held without a machine: a recorded run of each scenario is derived anew, and
//! what follows from it must be the reference, and what the scenario expects. `scripts/record` makes the
//! recordings, in `tests/recordings`, from runs of real machines.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use report::{Cell, Comparison, Matrix};
use scenario::{LayerResult, Scenario, Verdict, alone};
use tests::workspace;

/// The line of the image that the recordings are of.
const LINE: &str = "understudy";

fn recordings() -> PathBuf {
    workspace().join("tests/recordings")
}

/// The file name of a scenario's recording; of a variant the name has a slash.
fn recording(scenario: &Scenario) -> PathBuf {
    recordings().join(format!("{}.jsonl.gz", scenario.name.replace('/', ".")))
}

fn library() -> anyhow::Result<Vec<(Scenario, PathBuf)>> {
    scenario::list(&workspace().join("scenarios"))?
        .into_iter()
        .map(|listed| Ok((listed.scenario?, listed.folder)))
        .collect()
}

fn events(path: &Path) -> anyhow::Result<Vec<timeline::Event>> {
    let file = std::fs::File::open(path)
        .with_context(|| format!("{}; scripts/record makes it", path.display()))?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text)?;
    Ok(timeline::read_events(&text)?.events)
}

/// Derives the outcome from the recording and holds it against the reference in `folder`, of which `change` may
/// make another one.
fn hold(
    scenario: &Scenario,
    folder: &Path,
    change: impl FnOnce(String) -> String,
) -> anyhow::Result<Comparison> {
    let events = events(&recording(scenario))?;
    // What it shows is then what a slow host left time for.
    let out_of_time = |event: &timeline::Event| matches!(&event.body, timeline::Body::WatchEnded { why, .. } if why == "time-limit");
    ensure!(
        !events.iter().any(out_of_time),
        "{}: ended by the time limit; scripts/record records it anew",
        scenario.name
    );
    let derived = timeline::derive(&events);
    // The timeline of the recording was told what the scenario expected then; now it may expect something else.
    let verdict = serde_json::to_value(derived.outcome.verdict)?;
    let expected = scenario.expect.verdict.name();
    ensure!(verdict == expected, "{}: recorded as {verdict}, expected {expected}", scenario.name);
    for (layer, expected) in &scenario.expect.layer_results {
        let found = derived.outcome.layers.iter().find(|own| own.layer == *layer);
        let found = found.map_or(LayerResult::NotTried, |own| own.result);
        ensure!(found == *expected, "{}: {layer} {found}, expected {expected}", scenario.name);
    }
    // Beside a copy, so that a difference leaves nothing in the library.
    let aside = tempfile::tempdir()?;
    let name = format!("{}.{LINE}.snap", scenario.reference_name());
    let reference = aside.path().join(&name);
    let text = std::fs::read_to_string(folder.join(&name))
        .with_context(|| format!("the reference of {}", scenario.name))?;
    std::fs::write(&reference, change(text))?;
    Ok(report::compare(&derived.outcome, &reference, "replayed")?)
}

#[test]
fn every_reference_is_what_follows_from_a_recorded_run() -> anyhow::Result<()> {
    let library = library()?;
    let mut wrong = Vec::new();
    for (scenario, folder) in &library {
        match hold(scenario, folder, |text| text) {
            Ok(Comparison::Same { .. }) => {}
            Ok(other) => wrong.push(format!("{}: {other:?}", scenario.name)),
            Err(error) => wrong.push(format!("{}: {error:#}", scenario.name)),
        }
    }
    println!("{} references held", library.len() - wrong.len());
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), library.len(), wrong.join("\n"));
    Ok(())
}

/// That nothing helped has many reasons, and a wrong one among them would pass.
#[test]
fn where_the_machine_stays_stuck_the_scenario_says_what_came_of_the_layers() -> anyhow::Result<()> {
    for (scenario, _) in library()? {
        let stuck = scenario.expect.verdict == Verdict::StuckInRecovery;
        ensure!(!stuck || !scenario.expect.layer_results.is_empty(), "{}", scenario.name);
    }
    Ok(())
}

#[test]
fn no_recording_is_left_of_a_scenario_that_went() -> anyhow::Result<()> {
    let wanted: BTreeSet<PathBuf> =
        library()?.iter().map(|(scenario, _)| recording(scenario)).collect();
    let found = std::fs::read_dir(recordings())?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<BTreeSet<PathBuf>>>()?;
    let left: Vec<_> = found.difference(&wanted).collect();
    ensure!(left.is_empty(), "no scenario belongs to {left:?}");
    Ok(())
}

#[test]
fn a_reference_with_another_byte_is_told() -> anyhow::Result<()> {
    let (scenario, folder) =
        library()?.into_iter().find(|(one, _)| one.name == "channel-file-291").context("it")?;
    let changed = hold(&scenario, &folder, |text| text.replacen("csagent.sys", "csagenu.sys", 1))?;
    ensure!(matches!(changed, Comparison::Different { .. }), "{changed:?}");
    Ok(())
}

/// A cell of the accepted matrix that a variant of the library says is what follows from that variant's recorded run;
/// and what cannot be held against an incident is a cell that says so.
#[test]
fn the_accepted_matrix_agrees_with_the_recorded_runs() -> anyhow::Result<()> {
    let scenarios = workspace().join("scenarios");
    let path = scenarios.join(format!("matrix.{LINE}.json"));
    let matrix = Matrix::parse(&std::fs::read_to_string(&path)?)
        .with_context(|| path.display().to_string())?;
    let (mut held, mut wrong) = (0, Vec::new());
    for (incident, layer, cell) in matrix.cells() {
        let variants = Scenario::load_all(&scenarios.join(incident))?;
        let follows = match alone(&variants, layer) {
            Err(why) => Cell::NotApplicable { why },
            Ok(alone) if alone.made => continue,
            Ok(alone) => Cell::of(&timeline::derive(&events(&recording(&alone.scenario))?).outcome),
        };
        held += 1;
        if follows != *cell {
            wrong.push(format!("{incident} with {layer}: {cell:?}, but {follows:?} follows"));
        }
    }
    ensure!(held > 5, "only {held} cells of {}", path.display());
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

//! A recorded run as reports show it.

use std::path::{Path, PathBuf};

use fs_err as fs;
use report::{Came, Case, Circumstances, ComparisonSummary, Picture, Ran, RunIdentity};
use serde::Deserialize;

use super::replay::{ReplayError, events_of};
use super::run_dir::{RunDir, RunDirError};

/// A picture of the display is far smaller; what is larger was not written by a run.
const LARGEST_PICTURE: u64 = 4 << 20;

/// What of a run's summary does not follow from its events.
#[derive(Deserialize)]
struct Told {
    exit_code: u8,
    comparison: Option<ComparisonSummary>,
}

/// Reads a run back for a report: what its events come to, and what it was held against at the time.
///
/// # Errors
/// It has no outcome, because it was killed or could not begin; or its directory cannot be read.
pub fn recorded_case(run: &RunDir) -> Result<Case, ReplayError> {
    let record = run.record()?;
    let path = run.path().join("summary.json");
    let malformed = |reason: String| RunDirError::Malformed { path: path.clone(), reason };
    let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => malformed(
            "not there: the run came to no outcome, so there is nothing to report".to_owned(),
        ),
        _ => error.into(),
    })?;
    let told: Told = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    let events = events_of(run)?.events;
    let derived = timeline::derive(&events);
    let identity =
        RunIdentity { run: record.run.as_str(), directory: run.path(), exit_code: told.exit_code };
    let mut summary = report::summary(&derived, None, identity);
    let differs = told.comparison.as_ref().is_some_and(|it| it.result == "different");
    summary.comparison = told.comparison;
    let pictures = report::pictures(&events, &derived);
    let pictures = pictures.into_iter().filter_map(|shown| {
        // The name is from the record, which may come from somebody else.
        let name = Path::new(&shown.file).file_name()?;
        let path = run.machine().join("frames").join(name);
        let small = fs::metadata(&path).is_ok_and(|it| it.is_file() && it.len() <= LARGEST_PICTURE);
        let png = small.then(|| fs::read(&path).ok()).flatten()?;
        Some(Picture { title: shown.title.to_owned(), boot: shown.boot, path, png })
    });
    Ok(Case {
        scenario: record.scenario,
        image: record.image,
        place: place(&record.reference),
        came: Came::Ran(Box::new(Ran {
            pictures: pictures.collect(),
            // Against the reference as it is now.
            diff: differs
                .then(|| report::difference(&derived.outcome, &record.reference))
                .flatten()
                .map(|diff| diff.render(report::Style::plain())),
            summary,
            derived,
        })),
        circumstances: Circumstances::default(),
    })
}

/// The scenario's file beside its reference, and the line on which it says what it expects.
fn place(reference: &Path) -> Option<(PathBuf, u32)> {
    let file = reference.ancestors().skip(1).take(2).map(|it| it.join("scenario.toml"));
    let file = file.into_iter().find(|file| file.is_file())?;
    let text = fs::read_to_string(&file).ok()?;
    let line = text.lines().position(|line| line.trim_start().starts_with("[expect"));
    let line = line.and_then(|line| u32::try_from(line).ok()).map_or(1, |line| line + 1);
    // As seen from where the command runs, which in a pipeline is the repository.
    let here = std::env::current_dir().ok()?;
    let file = file.strip_prefix(&here).map(Path::to_path_buf).unwrap_or(file);
    Some((file, line))
}

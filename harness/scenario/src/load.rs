//! Reading scenarios from the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::fault::{Content, ContentFile, Fault};
use crate::model::Scenario;
use crate::problem::{Problem, ScenarioError};
use crate::schema::schema;
use crate::servicing::InterruptedWrite;
use crate::{rules, shape};

/// One scenario of a folder.
#[derive(Debug)]
pub struct Listed {
    /// Its folder.
    pub folder: PathBuf,
    /// The scenario, or what is wrong with it.
    pub scenario: Result<Scenario, ScenarioError>,
}

/// All scenarios below `dir`, by name. A folder without a `scenario.toml` is none.
///
/// # Errors
/// `dir` cannot be read.
pub fn list(dir: &Path) -> Result<Vec<Listed>, ScenarioError> {
    let read = |source| ScenarioError::Read { path: dir.to_owned(), source };
    let mut folders = Vec::new();
    for entry in fs_err::read_dir(dir).map_err(read)? {
        let folder = entry.map_err(read)?.path();
        if folder.join("scenario.toml").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    Ok(folders
        .into_iter()
        .map(|folder| Listed { scenario: Scenario::load(&folder), folder })
        .collect())
}

pub(crate) fn load(path: &Path) -> Result<Scenario, ScenarioError> {
    let path = if path.is_dir() { path.join("scenario.toml") } else { path.to_owned() };
    let read = |source| ScenarioError::Read { path: path.clone(), source };
    // Absolute, so that the folder has a name even for `scenario.toml` in the current one.
    let absolute = std::path::absolute(&path).map_err(read)?;
    let folder = absolute.parent().unwrap_or(&absolute);
    let source_text = fs_err::read_to_string(&path).map_err(read)?;
    match parse(&source_text, folder) {
        Ok(mut scenario) => {
            read_files(&mut scenario, folder)?;
            Ok(scenario)
        }
        Err(mut problems) => {
            problems.sort_by_key(|problem| problem.span.start);
            Err(ScenarioError::Invalid { path, source_text, problems })
        }
    }
}

/// A scenario from a text. The folder is only a name: no file of it is read.
pub(crate) fn from_text(text: &str, folder: &Path) -> Result<Scenario, ScenarioError> {
    parse(text, folder).map_err(|mut problems| {
        problems.sort_by_key(|problem| problem.span.start);
        ScenarioError::Invalid {
            path: folder.join("scenario.toml"),
            source_text: text.to_owned(),
            problems,
        }
    })
}

/// Makes a scenario of the text, or says all that is wrong with it. What is wrong with the shape hides
/// what is wrong with the sense, because there is no scenario yet to look at.
fn parse(source: &str, folder: &Path) -> Result<Scenario, Vec<Problem>> {
    let syntax = |error: toml::de::Error| {
        let place = error.span().unwrap_or(0..0);
        let fix = "correct the line; texts need quotes, Windows paths single ones";
        vec![Problem::new(source, place, error.message(), "TOML (https://toml.io)", fix)]
    };
    let document = DeTable::parse(source).map_err(syntax)?;
    let problems = shape::check(source, &document, &schema());
    if !problems.is_empty() {
        return Err(problems);
    }
    // The shape was checked, so this fails only where schema and types disagree.
    let scenario: Scenario = toml::from_str(source).map_err(syntax)?;
    let problems = rules::check(source, &document, &scenario, folder);
    if problems.is_empty() { Ok(scenario) } else { Err(problems) }
}

/// Most files, and most bytes, that a scenario may bring along in folders.
const MOST_FILES: usize = 4096;
const MOST_BYTES: u64 = 256 << 20;

fn read_files(scenario: &mut Scenario, folder: &Path) -> Result<(), ScenarioError> {
    let mut files = std::mem::take(&mut scenario.files);
    for fault in scenario.given.iter().chain(&scenario.fault) {
        match fault {
            Fault::ContentFile(ContentFile { content: Content::File(name), .. }) => {
                read_file(&mut files, folder, name)?;
            }
            Fault::DriverFile(driver) => read_file(&mut files, folder, &driver.file)?,
            Fault::DriverPackage(package) => {
                // The files that the INF names lie beside it; which ones, its sections say.
                let beside = package.inf.rsplit_once('/').map_or("", |(beside, _)| beside);
                read_folder(&mut files, folder, beside)?;
            }
            Fault::Update(update) => read_folder(&mut files, folder, &update.folder)?,
            Fault::InterruptedWrite(InterruptedWrite { content: Content::File(name), .. }) => {
                read_file(&mut files, folder, name)?;
            }
            // These bring no file along.
            _ => {}
        }
    }
    scenario.files = files;
    Ok(())
}

type Files = BTreeMap<String, Vec<u8>>;

fn read_file(files: &mut Files, folder: &Path, name: &str) -> Result<(), ScenarioError> {
    let path = folder.join(name);
    let bytes = fs_err::read(&path).map_err(|source| ScenarioError::Read { path, source })?;
    files.insert(name.to_owned(), bytes);
    Ok(())
}

/// All files of a folder and the folders in it. Links are refused: they could leave the scenario.
fn read_folder(files: &mut Files, folder: &Path, name: &str) -> Result<(), ScenarioError> {
    let mut folders = vec![name.to_owned()];
    while let Some(name) = folders.pop() {
        let path = folder.join(&name);
        let failed = |source| ScenarioError::Read { path: path.clone(), source };
        for entry in fs_err::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let below = format!("{name}/{}", entry.file_name().to_string_lossy());
            if kind.is_dir() {
                folders.push(below);
            } else if kind.is_file() {
                let size = entry.metadata().map_err(failed)?.len();
                let total: u64 = files.values().map(|bytes| bytes.len() as u64).sum();
                if files.len() >= MOST_FILES || total.saturating_add(size) > MOST_BYTES {
                    return Err(failed(std::io::Error::other(
                        "the scenario brings along more than 4096 files or 256 MiB",
                    )));
                }
                read_file(files, folder, &below)?;
            } else {
                return Err(failed(std::io::Error::other(format!(
                    "`{below}` is neither a file nor a folder"
                ))));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAIN: &str = include_str!("../../../scenarios/channel-file-291/scenario.toml");

    proptest! {
        #[test]
        fn a_damaged_scenario_never_panics_and_its_problems_can_be_shown(
            cuts in prop::collection::vec((0..MAIN.len(), 0usize..40, ".{0,6}"), 1..4)) {
            let mut text = MAIN.to_owned();
            for (at, length, by) in cuts {
                let start = (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap();
                let end = (start + length).min(text.len());
                let end = (end..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap();
                text.replace_range(start..end, &by);
            }
            let folder = Path::new("/channel-file-291");
            if let Err(problems) = parse(&text, folder) {
                prop_assert!(!problems.is_empty());
                let error = ScenarioError::Invalid {
                    path: folder.join("scenario.toml"),
                    source_text: text,
                    problems,
                };
                prop_assert!(error.to_string().contains("= do: "));
            }
        }
    }
}

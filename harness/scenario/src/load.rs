//! Reading scenarios from the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use crate::content::{Content, ContentFile};
use crate::fault::Fault;
use crate::host_repair::{FileWrite, RepairAction};
use crate::model::Scenario;
use crate::problem::{Problem, ScenarioError};
use crate::schema::schema;
use crate::servicing::InterruptedWrite;
use crate::sources::{Sources, file_of};
use crate::{rules, shape, variants};

/// One scenario of a folder.
#[derive(Debug)]
pub struct Listed {
    /// Its folder.
    pub folder: PathBuf,
    /// The scenario, or what is wrong with it.
    pub scenario: Result<Scenario, ScenarioError>,
}

/// All scenarios below `dir`, by name, each variant for itself. A folder without a `scenario.toml` is none:
/// what lies in it may be there for others to extend.
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
    let mut listed = Vec::new();
    for folder in folders {
        match load_all(&folder) {
            Ok(scenarios) => listed.extend(
                scenarios
                    .into_iter()
                    .map(|scenario| Listed { folder: folder.clone(), scenario: Ok(scenario) }),
            ),
            Err(error) => listed.push(Listed { folder, scenario: Err(error) }),
        }
    }
    Ok(listed)
}

impl Scenario {
    /// Reads and checks a scenario. `path` is the file or its folder, or `folder/variant`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place and what to do; or that it has variants, and
    /// which.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        load(path)
    }

    /// As [`Scenario::load`], with all variants where the path names none.
    ///
    /// # Errors
    /// As [`Scenario::load`].
    pub fn load_all(path: &Path) -> Result<Vec<Self>, ScenarioError> {
        load_all(path)
    }

    /// The folder that `path`, as in [`Scenario::load`], means.
    pub fn home(path: &Path) -> PathBuf {
        home(path).0
    }
}

/// The folder of the scenario that `path` means, and the variant where it names one.
fn home(path: &Path) -> (PathBuf, Option<String>) {
    let folder = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
    if path.is_file() {
        return (folder(path), None);
    }
    if !path.exists()
        && folder(path).join("scenario.toml").is_file()
        && let Some(variant) = path.file_name()
    {
        return (folder(path), Some(variant.to_string_lossy().into_owned()));
    }
    (path.to_owned(), None)
}

fn load_all(path: &Path) -> Result<Vec<Scenario>, ScenarioError> {
    let (home, variant) = home(path);
    let path = if path.is_file() { path.to_owned() } else { file_of(&home) };
    // Absolute, so that the folder has a name even for `scenario.toml` in the current one.
    let absolute = std::path::absolute(&path)
        .map_err(|source| ScenarioError::Read { path: path.clone(), source })?;
    let folder = absolute.parent().unwrap_or(&absolute);
    let mut scenarios = parse(&Sources::read(&path)?, folder)?;
    if let Some(variant) = variant {
        let full = |scenario: &Scenario| format!("{}/{variant}", scenario.folder_name());
        let names = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
        scenarios.retain(|scenario| scenario.name == full(scenario));
        if scenarios.is_empty() {
            let what = format!("there is no variant `{variant}`; these are the ones of");
            return Err(ScenarioError::Variant { what, path, names });
        }
    }
    for scenario in &mut scenarios {
        read_files(scenario, folder)?;
    }
    Ok(scenarios)
}

fn load(path: &Path) -> Result<Scenario, ScenarioError> {
    only(load_all(path)?, path)
}

fn only(mut scenarios: Vec<Scenario>, path: &Path) -> Result<Scenario, ScenarioError> {
    match scenarios.pop() {
        Some(scenario) if scenarios.is_empty() => Ok(scenario),
        last => {
            let what = "say which variant is meant of".to_owned();
            let names = scenarios.iter().chain(&last).map(|scenario| scenario.name.clone());
            Err(ScenarioError::Variant { what, path: path.to_owned(), names: names.collect() })
        }
    }
}

/// Makes scenarios of the texts, or says all that is wrong with them, each thing once though it may be
/// wrong in several variants.
fn parse(sources: &Sources, folder: &Path) -> Result<Vec<Scenario>, ScenarioError> {
    let invalid = |problems| ScenarioError::Invalid { problems };
    let mut scenarios = Vec::new();
    let mut problems: Vec<Problem> = Vec::new();
    for (variant, document) in variants::complete(sources).map_err(invalid)? {
        match parse_one(sources, &document, folder) {
            Ok(mut scenario) => {
                if let Some(variant) = variant {
                    scenario.name = format!("{}/{variant}", scenario.name);
                }
                scenarios.push(scenario);
            }
            Err(found) => {
                for problem in found {
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                }
            }
        }
    }
    problems.sort_by_key(|problem| problem.place);
    if problems.is_empty() { Ok(scenarios) } else { Err(invalid(problems)) }
}

/// What is wrong with the shape hides what is wrong with the sense, because there is no scenario yet to
/// look at.
fn parse_one(
    sources: &Sources,
    document: &Spanned<DeTable<'_>>,
    folder: &Path,
) -> Result<Scenario, Vec<Problem>> {
    let problems = shape::check(sources, document, &schema(), "the scenario");
    if !problems.is_empty() {
        return Err(problems);
    }
    // The shape was checked, so this fails only where schema and types disagree.
    let scenario = Scenario::deserialize(toml::de::Deserializer::from(document.clone()))
        .map_err(|error| vec![sources.syntax(&error)])?;
    let problems = rules::check(sources, document, &scenario, folder);
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
    for action in scenario.host_repair.iter().flat_map(|repair| &repair.action) {
        if let RepairAction::Write(FileWrite { content: Content::File(name), .. }) = action {
            read_file(&mut files, folder, name)?;
        }
    }
    scenario.files = files;
    Ok(())
}

/// Bytes of files by the name that the scenario uses.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

fn read_file(files: &mut Files, folder: &Path, name: &str) -> Result<(), ScenarioError> {
    let path = folder.join(name);
    let bytes = fs_err::read(&path).map_err(|source| ScenarioError::Read { path, source })?;
    files.insert(name.to_owned(), bytes);
    Ok(())
}

/// All files of a folder and the folders in it. Links are refused: they could leave the scenario.
pub(crate) fn read_folder(
    files: &mut Files,
    folder: &Path,
    name: &str,
) -> Result<(), ScenarioError> {
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

    const MAIN: &str = include_str!("../tests/channel-file-291.toml");

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
            let mut sources = Sources::default();
            // Two files, and the place of a problem may be in either.
            sources.push(folder.join("scenario.toml"), &text);
            sources.push(folder.join("base.toml"), MAIN);
            if let Err(error) = parse(&sources, folder) {
                prop_assert!(!error.problems().is_empty());
                prop_assert!(error.to_string().contains("= do: "));
            }
        }
    }
}

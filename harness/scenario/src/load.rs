//! Reading scenarios from the disk.

use std::path::{Path, PathBuf};

use crate::model::Scenario;
use crate::problem::{Problem, ScenarioError};

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
    let source_text = fs_err::read_to_string(&path).map_err(read)?;
    let scenario: Scenario = match toml::from_str(&source_text) {
        Ok(scenario) => scenario,
        Err(error) => {
            let problem = Problem::new(
                &source_text,
                error.span().unwrap_or(0..0),
                error.message(),
                "TOML",
                "",
            );
            return Err(ScenarioError::Invalid { path, source_text, problems: vec![problem] });
        }
    };
    Ok(scenario)
}

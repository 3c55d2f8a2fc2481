//! Finding scenarios by name or by path.

use std::path::{Path, PathBuf};

use scenario::Scenario;

use crate::exit::usage;

/// Loads one scenario: by path if it looks like one, else by its name in the scenarios folder.
pub(crate) fn find(folder: &Path, name: &str) -> anyhow::Result<(Scenario, PathBuf)> {
    let path = if name.contains('/') || name.ends_with(".toml") {
        PathBuf::from(name)
    } else {
        folder.join(name)
    };
    let home = if path.is_file() {
        path.parent().unwrap_or(Path::new(".")).to_path_buf()
    } else {
        path.clone()
    };
    if !path.exists() {
        return Err(usage(anyhow::anyhow!(
            "no scenario `{name}`: {} is not there; `loopbreak scenario list` shows what there is",
            path.display()
        )));
    }
    let scenario = Scenario::load(&path).map_err(usage)?;
    let home = fs_err::canonicalize(home)?;
    Ok((scenario, home))
}

/// All scenarios in a folder, by name.
pub(crate) fn all(folder: &Path) -> anyhow::Result<Vec<(Scenario, PathBuf)>> {
    let mut homes = Vec::new();
    for entry in fs_err::read_dir(folder).map_err(usage)? {
        let path = entry?.path();
        if path.join("scenario.toml").is_file() {
            homes.push(path);
        }
    }
    homes.sort();
    if homes.is_empty() {
        return Err(usage(anyhow::anyhow!("no scenarios in {}", folder.display())));
    }
    homes
        .into_iter()
        .map(|home| Ok((Scenario::load(&home).map_err(usage)?, fs_err::canonicalize(home)?)))
        .collect()
}

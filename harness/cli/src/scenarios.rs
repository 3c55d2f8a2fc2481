//! Finding scenarios by name or by path.

use std::path::{Path, PathBuf};

use scenario::Scenario;

use crate::exit::usage;

/// A scenario with the folder it was read from.
pub(crate) type Found = (Scenario, PathBuf);

/// Loads a scenario with all its variants, or the one that is named, as `scenario/variant`: by path if
/// there is such a one, else by its name in the scenarios folder.
pub(crate) fn find(folder: &Path, name: &str) -> anyhow::Result<Vec<Found>> {
    let path = place(folder, name);
    if !Scenario::home(&path).exists() {
        return Err(usage(anyhow::anyhow!(
            "no scenario `{name}`: {} does not exist; `loopbreak scenario list` lists all scenarios",
            path.display()
        )));
    }
    let scenarios = Scenario::load_all(&path).map_err(usage)?;
    let home = fs_err::canonicalize(Scenario::home(&path))?;
    Ok(scenarios.into_iter().map(|scenario| (scenario, home.clone())).collect())
}

/// Where a scenario lies. `NAME/VARIANT` is a path, too: only one that is there is taken for it.
pub(crate) fn place(folder: &Path, name: &str) -> PathBuf {
    let path = PathBuf::from(name);
    let is_one = || Scenario::home(&path).join("scenario.toml").is_file() || path.exists();
    if name.ends_with(".toml") || (name.contains('/') && is_one()) {
        path
    } else {
        folder.join(name)
    }
}

/// Each scenario on each of the images; on its own where none is named.
pub(crate) fn on_images(chosen: Vec<Found>, images: &[String]) -> Vec<Found> {
    if images.is_empty() {
        return chosen;
    }
    let on_each = chosen.into_iter().flat_map(|(scenario, folder)| {
        images.iter().map(move |image| (scenario.on_image(image), folder.clone()))
    });
    on_each.collect()
}

/// All scenarios in a folder, by name.
pub(crate) fn all(folder: &Path) -> anyhow::Result<Vec<Found>> {
    if !folder.is_dir() {
        return Err(usage(anyhow::anyhow!(
            "the scenarios folder {} does not exist; run where it is, or name it with --scenarios DIR",
            folder.display()
        )));
    }
    let listed = scenario::list(folder).map_err(usage)?;
    if listed.is_empty() {
        return Err(usage(anyhow::anyhow!("no scenarios in {}", folder.display())));
    }
    listed
        .into_iter()
        .map(|listed| Ok((listed.scenario.map_err(usage)?, fs_err::canonicalize(listed.folder)?)))
        .collect()
}

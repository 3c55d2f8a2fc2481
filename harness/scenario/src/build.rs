//! Another build of what a scenario brings along: the same driver, package or update, with the vendor's files of another
//! day.

use std::path::{Path, PathBuf};

use crate::fault::Fault;
use crate::load::{Files, read_folder};
use crate::model::Scenario;

/// A build cannot take the place of what the scenario has.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is nothing of that name.
    #[error("`{scenario}` has no fault and nothing given called `{name}`; it has {}", names.join(", "))]
    Unknown {
        /// The scenario.
        scenario: String,
        /// What was named.
        name: String,
        /// What there is.
        names: Vec<String>,
    },
    /// It has no files of its own.
    #[error(
        "`{name}` is a {kind}, which has no builds; there are builds of driver-file (a file), driver-package and update (a \
         folder). Of anything else, write each build as a [[variant]]"
    )]
    NoFiles {
        /// What was named.
        name: String,
        /// Its kind.
        kind: &'static str,
    },
    /// The build cannot be read.
    #[error("the build {} cannot be read as {what}: {why}", path.display())]
    Read {
        /// The build.
        path: PathBuf,
        /// What it has to be.
        what: &'static str,
        /// What the system said.
        why: String,
    },
}

impl Scenario {
    /// The scenario with another build in place of the files of the fault, or of what is given, called `name`: a file for
    /// a `driver-file`, a folder for a `driver-package` (with the INF under the name that the scenario has) and for an
    /// `update`.
    ///
    /// # Errors
    /// There is no such entry, it has no files, or the build cannot be read.
    pub fn with_build(&self, name: &str, build: &Path) -> Result<Self, BuildError> {
        let all = || self.given.iter().chain(&self.fault);
        let Some(fault) = all().find(|fault| fault.name() == name) else {
            let names = all().map(|fault| fault.name().to_owned()).collect();
            let (scenario, name) = (self.name.clone(), name.to_owned());
            return Err(BuildError::Unknown { scenario, name, names });
        };
        let mut scenario = self.clone();
        let failed =
            |what| move |why: String| BuildError::Read { path: build.to_path_buf(), what, why };
        match fault {
            Fault::DriverFile(driver) => {
                let bytes =
                    fs_err::read(build).map_err(|error| failed("a file")(error.to_string()))?;
                scenario.files.insert(driver.file.clone(), bytes);
            }
            Fault::DriverPackage(package) => {
                let beside = package.inf.rsplit_once('/').map_or("", |(beside, _)| beside);
                replace(&mut scenario.files, beside, build).map_err(failed("a folder"))?;
                if !scenario.files.contains_key(&package.inf) {
                    let inf = package.inf.rsplit('/').next().unwrap_or(&package.inf);
                    return Err(failed("a driver package")(format!("there is no {inf} in it")));
                }
            }
            Fault::Update(update) => {
                replace(&mut scenario.files, &update.folder, build).map_err(failed("a folder"))?;
            }
            other => {
                return Err(BuildError::NoFiles { name: name.to_owned(), kind: other.kind() });
            }
        }
        Ok(scenario)
    }
}

/// The files of `build` in place of those in `folder`.
fn replace(files: &mut Files, folder: &str, build: &Path) -> Result<(), String> {
    let mut new = Files::new();
    read_folder(&mut new, build, ".").map_err(|error| error.to_string())?;
    files.retain(|name, _| !name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')));
    files.extend(new.into_iter().map(|(name, bytes)| {
        (format!("{folder}/{}", name.strip_prefix("./").unwrap_or(&name)), bytes)
    }));
    Ok(())
}

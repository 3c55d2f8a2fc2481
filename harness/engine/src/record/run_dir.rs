//! The run directory: the record of one run. Whatever a report shows can be derived again from it.
//!
//! | file | what |
//! |---|---|
//! | `run.json` | format, run, scenario, image, how far it got |
//! | `scenario.json` | the scenario in canonical form |
//! | `plan.json` | what was to be done to which machine |
//! | `host.json` | versions and accelerator of the host |
//! | `events.jsonl` | every event, appended as it happened |
//! | `machine/` | serial logs, frames, packet capture; where the run began as another one did, that one's capture beside its own |
//! | `dumps/` | crash dumps found on the disk |
//! | `recovery/` | the recovery environment's logs, the remediation service's log |
//! | `outcome.json` | the canonical outcome |
//! | `measurements.json` | what is not deterministic |
//! | `summary.json` | what the command prints for programs, with the judged expectation; absent where the run has no outcome |

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use words::ImageLine;

use super::run_id::RunId;

/// The packet capture, in the folder of the machine's evidence.
pub(crate) const CAPTURE: &str = "network.pcapng";
/// The capture of the run whose beginning this one has taken over.
pub(crate) const CAPTURE_OF_THE_BEGINNING: &str = "network-beginning.pcapng";

/// Version of the run directory's layout and of `run.json`.
pub const RUN_FORMAT: u32 = 1;

/// A run directory cannot be made, written or read.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// There is no such run.
    #[error("no run `{name}` in {runs}; `loopbreak runs` lists them")]
    NoSuchRun {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        runs: PathBuf,
    },
    /// What is there is none.
    #[error("{path} is no run's directory: {what}; `loopbreak runs` lists runs")]
    NotARun {
        /// What was named.
        path: PathBuf,
        /// Why not.
        what: &'static str,
    },
    /// More than one run matches.
    #[error("`{name}` could be {first} or {second}; give more of its name")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// One that matches.
        first: String,
        /// Another.
        second: String,
    },
    /// A file of it is not what it should be.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// `run.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunRecord {
    /// [`RUN_FORMAT`].
    pub format: u32,
    /// The run.
    pub run: RunId,
    /// The scenario's name.
    pub scenario: String,
    /// Digest of the scenario in canonical form.
    pub scenario_digest: String,
    /// Where its reference lies; absolute.
    pub reference: PathBuf,
    /// The image's name.
    pub image: String,
    /// The image's digest.
    pub image_digest: String,
    /// Which line of systems the image is of; absent in records of before there were lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_line: Option<ImageLine>,
    /// When it began, the host's clock.
    pub began: jiff::Timestamp,
    /// How it ended: `running` until it has.
    pub status: RunStatus,
}

/// How far a run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Under way, or killed.
    Running,
    /// Its outcome was derived, and says something about the machine.
    Complete,
    /// Ended by a failure of the harness or the host, or by a signal. Where it has an outcome, that is
    /// `infrastructure`.
    Aborted,
}

/// One run's directory.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes the directory of a new run below `runs`.
    pub fn create(runs: &Path, run: &RunId) -> Result<Self, RunDirError> {
        let path = runs.join(run.as_str());
        fs::create_dir(&path)?;
        let directory = Self { path };
        for part in [directory.machine(), directory.dumps(), directory.recovery()] {
            fs::create_dir(part)?;
        }
        Ok(directory)
    }

    /// Finds a run: by path, by name, by a unique part of its name, or `latest`.
    pub fn find(runs: &Path, name: &str) -> Result<Self, RunDirError> {
        if name.contains('/') {
            let no_run = |what| RunDirError::NotARun { path: PathBuf::from(name), what };
            let path = match fs::canonicalize(name) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(no_run("it does not exist"));
                }
                path => path?,
            };
            if path.is_file() {
                return Err(no_run("it is a file; `loopbreak show` opens bundles"));
            }
            if !path.join("run.json").is_file() {
                return Err(no_run("it has no run.json"));
            }
            return Ok(Self { path });
        }
        let mut all = Self::list(runs)?;
        if name == "latest"
            && let Some(last) = all.pop()
        {
            return Ok(last);
        }
        let mut matching = all.into_iter().filter(|run| run.name().contains(name));
        match (matching.next(), matching.next()) {
            (Some(one), None) => Ok(one),
            (Some(one), Some(other)) => Err(RunDirError::Ambiguous {
                name: name.to_owned(),
                first: one.name(),
                second: other.name(),
            }),
            (None, _) => {
                Err(RunDirError::NoSuchRun { name: name.to_owned(), runs: runs.to_path_buf() })
            }
        }
    }

    /// All runs, oldest first.
    pub fn list(runs: &Path) -> Result<Vec<Self>, RunDirError> {
        let mut all = Vec::new();
        for entry in fs::read_dir(runs)? {
            let path = entry?.path();
            if path.join("run.json").is_file() {
                all.push(Self { path });
            }
        }
        all.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(all)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name, which is the run's.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The events.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// Evidence of the machine: serial logs, frames, packet capture.
    pub fn machine(&self) -> PathBuf {
        self.path.join("machine")
    }

    /// Crash dumps found on the disk.
    pub fn dumps(&self) -> PathBuf {
        self.path.join("dumps")
    }

    /// Logs of the recovery environment and of the remediation service.
    pub fn recovery(&self) -> PathBuf {
        self.path.join("recovery")
    }

    /// The outcome.
    pub fn outcome(&self) -> PathBuf {
        self.path.join("outcome.json")
    }

    /// The measurements.
    pub fn measurements(&self) -> PathBuf {
        self.path.join("measurements.json")
    }

    /// `run.json`, read.
    pub fn record(&self) -> Result<RunRecord, RunDirError> {
        let path = self.path.join("run.json");
        let record: RunRecord =
            serde_json::from_str(&fs::read_to_string(&path)?).map_err(|error| {
                RunDirError::Malformed { path: path.clone(), reason: error.to_string() }
            })?;
        if record.format != RUN_FORMAT {
            return Err(RunDirError::Malformed {
                path,
                reason: format!(
                    "format {} is not known; this loopbreak reads {RUN_FORMAT}",
                    record.format
                ),
            });
        }
        Ok(record)
    }

    /// Writes one of its JSON files whole or not at all.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), RunDirError> {
        let mut text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
        text.push('\n');
        self.write(&self.path.join(name), text.as_bytes())
    }

    /// Writes a file whole or not at all.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), RunDirError> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        fs::write(&partial, bytes)?;
        fs::rename(&partial, path)?;
        Ok(())
    }

    /// Path of something in it, relative, as events name it.
    pub fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.path).unwrap_or(path).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(run: &RunId) -> RunRecord {
        RunRecord {
            format: RUN_FORMAT,
            run: run.clone(),
            scenario: "s".to_owned(),
            scenario_digest: "d".to_owned(),
            reference: PathBuf::from("/r"),
            image: "understudy".to_owned(),
            image_digest: "i".to_owned(),
            image_line: None,
            began: jiff::Timestamp::UNIX_EPOCH,
            status: RunStatus::Running,
        }
    }

    #[test]
    fn a_run_is_found_by_part_of_its_name() {
        let runs = tempfile::tempdir().unwrap();
        let (one, other) = (RunId::new(), RunId::new());
        for run in [&one, &other] {
            let directory = RunDir::create(runs.path(), run).unwrap();
            directory.write_json("run.json", &record(run)).unwrap();
        }
        let letters = &one.as_str()[16..];
        assert_eq!(RunDir::find(runs.path(), letters).unwrap().record().unwrap().run, one);
        assert!(matches!(RunDir::find(runs.path(), "20"), Err(RunDirError::Ambiguous { .. })));
        assert!(matches!(RunDir::find(runs.path(), "zzzzzzz"), Err(RunDirError::NoSuchRun { .. })));
        assert!(RunDir::find(runs.path(), "latest").is_ok());
    }

    #[test]
    fn a_newer_format_is_refused() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunId::new();
        let directory = RunDir::create(runs.path(), &run).unwrap();
        directory.write_json("run.json", &RunRecord { format: 2, ..record(&run) }).unwrap();
        let text = directory.record().unwrap_err().to_string();
        assert!(text.contains("format 2 is not known"), "{text}");
    }
}

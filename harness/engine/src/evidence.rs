//! Evidence from the disk, once the machine is off: dumps, changed files, the user's data, recovery logs.

use std::path::Path;

use disk::Tree;
use hypervisor::MachineProfile;
use scenario::Scenario;
use timeline::{Body, BugCheck, Sink, Source};
use volume::{Kind, Volume};
use winfmt::paths::{WindowsPath, glob_matches};

use crate::offline::{WindowsDisk, noise};
use crate::record::RunDir;

/// Files of evidence above this are left on the disk: a full dump of a large machine.
const COPY_LIMIT: u64 = 1 << 30;

/// Reads the disk and emits what it finds. Damage to the disk is a finding of its own kind: it is
/// reported, and what can still be read is read.
pub(crate) struct Collector<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) profile: &'a MachineProfile,
    pub(crate) directory: &'a RunDir,
    pub(crate) sink: &'a Sink,
}

impl Collector<'_> {
    pub(crate) fn collect(&self, disk: &mut WindowsDisk, before: &Tree) -> Vec<String> {
        let mut troubles = Vec::new();
        let windows = disk.windows();
        self.canaries(windows);
        for (what, result) in [
            ("dumps", self.dumps(windows)),
            ("recovery logs", self.recovery_logs(windows)),
            ("changes", self.changes(windows, before)),
        ] {
            if let Err(error) = result {
                troubles.push(format!("{what} could not be read: {error}"));
            }
        }
        troubles
    }

    fn emit(&self, body: Body) {
        self.sink.emit(Source::Disk, body);
    }

    fn dumps(&self, windows: &mut dyn Volume) -> Result<(), CollectError> {
        for path in find(windows, &self.profile.evidence.dumps)? {
            if windows.metadata(&path)?.size > COPY_LIMIT {
                tracing::warn!(path, "the dump is larger than 1 GiB and stays on the disk");
                continue;
            }
            let bytes = windows.read(&path)?;
            let file = self.copy(&self.directory.dumps(), &path, &bytes)?;
            match winfmt::dump::summarize(std::io::Cursor::new(&bytes)) {
                Ok(summary) => self.emit(Body::Dump {
                    path: on_c(&path),
                    file,
                    kind: kind_word(summary.kind)?,
                    bug_check: BugCheck {
                        code: u64::from(summary.bug_check.code),
                        parameters: summary.bug_check.parameters,
                    },
                    module: summary.module.map(|module| module.to_ascii_lowercase()),
                    time: summary.time.to_string(),
                }),
                Err(error) => tracing::warn!(path, %error, "a dump cannot be read"),
            }
        }
        Ok(())
    }

    fn recovery_logs(&self, windows: &mut dyn Volume) -> Result<(), CollectError> {
        for path in find(windows, &self.profile.evidence.recovery_logs)? {
            if windows.metadata(&path)?.size > COPY_LIMIT {
                continue;
            }
            let bytes = windows.read(&path)?;
            let file = self.copy(&self.directory.recovery(), &path, &bytes)?;
            self.emit(Body::RecoveryLog { path: on_c(&path), file });
        }
        Ok(())
    }

    fn changes(&self, windows: &mut dyn Volume, before: &Tree) -> Result<(), CollectError> {
        let after = Tree::read(windows, &noise(self.profile))?;
        for change in before.changes(&after) {
            self.emit(Body::DiskChange {
                path: on_c(&change.path),
                change: change.what.as_str().to_owned(),
            });
        }
        Ok(())
    }

    fn canaries(&self, windows: &mut dyn Volume) {
        for canary in &self.scenario.canary {
            let path = canary.path.as_str();
            let inner = relative(path);
            // A file that cannot be read any more is lost to its user, whatever the reason.
            let intact = windows.read(&inner).is_ok_and(|found| found == canary.text.as_bytes());
            self.emit(Body::Canary { path: path.to_owned(), intact });
        }
    }

    /// Copies a file of evidence; gives its path within the run directory.
    fn copy(&self, folder: &Path, path: &str, bytes: &[u8]) -> Result<String, CollectError> {
        let name = path.rsplit('\\').next().unwrap_or(path);
        // The name comes from the guest.
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
            .collect();
        let to = folder.join(name.trim_start_matches('.'));
        fs_err::write(&to, bytes)?;
        Ok(self.directory.relative(&to))
    }
}

/// Why evidence could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    #[error(transparent)]
    Volume(#[from] volume::VolumeError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The word that the dump's own serialisation has for its kind.
fn kind_word(kind: winfmt::dump::DumpKind) -> Result<String, CollectError> {
    let word = serde_json::to_value(kind).map_err(std::io::Error::from)?;
    Ok(word.as_str().unwrap_or_default().to_owned())
}

/// The files that match globs such as `C:\Windows\Minidump\*.dmp`; only the last name may hold
/// wildcards.
fn find(windows: &mut dyn Volume, globs: &[String]) -> Result<Vec<String>, CollectError> {
    let mut found = Vec::new();
    for glob in globs {
        let inner = relative(glob);
        let (folder, pattern) = inner.rsplit_once('\\').unwrap_or(("", &inner));
        if !windows.exists(folder)? {
            continue;
        }
        for entry in windows.list(folder)? {
            let path = format!("{folder}\\{}", entry.name);
            if entry.kind == Kind::File
                && glob_matches(pattern, &entry.name)
                && !found.contains(&path)
            {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn relative(path: &str) -> String {
    WindowsPath::parse(path).map_or_else(|_| path.to_owned(), |path| path.components.join("\\"))
}

fn on_c(path: &str) -> String {
    format!("C:\\{}", path.trim_start_matches('\\'))
}

//! Evidence from the disk, once the machine is off: dumps, changed files, the user's data, recovery logs.

use std::path::Path;

use disk::Tree;
use faults::{Offline, VolumeRole};
use hypervisor::MachineProfile;
use inspect::startup_repair::Session;
use scenario::Scenario;
use timeline::{Body, BugCheck, Layer, LayerResult, Sink, Source};
use volume::Volume;
use winfmt::dump::DumpSummary;

use crate::offline::{
    Before, CopyError, DumpInPageFile, WindowsDisk, entries_since, find, is_startup_repair_log,
    noise, repair_sessions,
};
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
    /// The letter that the Windows volume has on the machine.
    pub(crate) drive: char,
    /// The harness made the machine stop before it was switched off.
    pub(crate) forced_stop: bool,
}

impl Collector<'_> {
    pub(crate) fn collect(&self, disk: &mut WindowsDisk, before: &Before) -> Vec<String> {
        let mut troubles = Vec::new();
        self.canaries(disk);
        let windows = disk.windows();
        for (what, result) in [
            ("dumps", self.dumps(windows)),
            ("recovery logs", self.recovery_logs(windows, before)),
            ("changes", self.changes(windows, &before.files)),
        ] {
            if let Err(error) = result {
                troubles.push(format!("{what} could not be read: {error}"));
            }
        }
        self.system_log(windows, before);
        // No verdict rests on it.
        if self.forced_stop
            && let Err(error) = self.dump_in_page_file(windows, before)
        {
            tracing::warn!(%error, "the dump in the page file could not be read");
        }
        troubles
    }

    /// As the machine's own programs name it.
    fn on_drive(&self, path: &str) -> String {
        format!("{}:\\{}", self.drive, path.trim_start_matches('\\'))
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
                Ok(summary) => self.dump(&path, file, summary)?,
                Err(error) => tracing::warn!(path, %error, "a dump cannot be read"),
            }
        }
        Ok(())
    }

    /// The dump of the stop that the harness made, where Windows has not made a file of it yet. Another dump in that
    /// place is of a stop that nobody knows, and no evidence.
    fn dump_in_page_file(
        &self,
        windows: &mut dyn Volume,
        before: &Before,
    ) -> Result<(), CollectError> {
        let Some(dump) = DumpInPageFile::find(windows)? else { return Ok(()) };
        let new = before.page_file.as_ref() != Some(&dump.digest);
        if !new || dump.code != timeline::NMI_HARDWARE_FAILURE || dump.size > COPY_LIMIT {
            tracing::warn!(
                code = format!("{:#x}", dump.code),
                bytes = dump.size,
                new,
                "the dump in the page file is left there"
            );
            return Ok(());
        }
        let path = self.directory.dumps().join("pagefile.dmp");
        dump.copy(windows, &mut fs_err::File::create(&path)?)?;
        match winfmt::dump::summarize(fs_err::File::open(&path)?) {
            Ok(summary) => {
                let file = self.directory.relative(&path);
                self.dump(DumpInPageFile::PATH, file, summary)?;
            }
            Err(error) => tracing::warn!(%error, "the dump in the page file cannot be read"),
        }
        Ok(())
    }

    fn dump(&self, path: &str, file: String, summary: DumpSummary) -> Result<(), CollectError> {
        // What is not a whole dump of a stop is no evidence of one.
        if summary.damage.is_some() || !summary.bug_check.is_stop() {
            tracing::warn!(path, damage = summary.damage, "no whole dump of a stop");
            return Ok(());
        }
        self.emit(Body::Dump {
            path: self.on_drive(path),
            file,
            kind: kind_word(summary.kind)?,
            bug_check: BugCheck {
                code: u64::from(summary.bug_check.code),
                parameters: summary.bug_check.parameters,
            },
            module: summary.module.map(|module| module.to_ascii_lowercase()),
            time: summary.time.to_string(),
        });
        Ok(())
    }

    fn recovery_logs(&self, windows: &mut dyn Volume, before: &Before) -> Result<(), CollectError> {
        for path in find(windows, &self.profile.evidence.recovery_logs)? {
            if windows.metadata(&path)?.size > COPY_LIMIT {
                continue;
            }
            let bytes = windows.read(&path)?;
            let file = self.copy(&self.directory.recovery(), &path, &bytes)?;
            self.emit(Body::RecoveryLog { path: self.on_drive(&path), file });
            if is_startup_repair_log(&path) {
                for session in new_sessions(&before.repair_sessions, repair_sessions(&bytes)) {
                    let (result, reason) = what_came_of(&session);
                    self.emit(Body::LayerReport {
                        layer: Layer::AutomaticRepair,
                        result,
                        reason: Some(reason),
                        path: self.on_drive(&path),
                    });
                }
            }
        }
        Ok(())
    }

    /// What Windows noted of its starts since the run began.
    fn system_log(&self, windows: &mut dyn Volume, before: &Before) {
        let since = before.system_log.and_then(|record| entries_since(windows, record));
        let Some((path, entries)) = since else { return };
        for (record, entry) in entries {
            self.emit(Body::SystemLog { record, path: self.on_drive(path), entry });
        }
    }

    fn changes(&self, windows: &mut dyn Volume, before: &Tree) -> Result<(), CollectError> {
        let after = Tree::read(windows, &noise(self.profile))?;
        for change in before.changes(&after) {
            self.emit(Body::DiskChange {
                path: self.on_drive(&change.path),
                change: change.what.as_str().to_owned(),
            });
        }
        Ok(())
    }

    fn canaries(&self, disk: &mut WindowsDisk) {
        for canary in &self.scenario.canary {
            let found = disk.read_file(VolumeRole::Windows, &faults::on_drive(&canary.path));
            // A file that cannot be read any more is lost to its user, whatever the reason.
            let intact = found
                .is_ok_and(|found| found.is_some_and(|(bytes, _)| bytes == canary.text.as_bytes()));
            self.emit(Body::Canary { path: canary.path.as_str().to_owned(), intact });
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

/// The sessions that were not there before. Startup Repair adds to its log or writes it anew.
fn new_sessions(before: &[Session], mut now: Vec<Session>) -> Vec<Session> {
    if now.starts_with(before) { now.split_off(before.len()) } else { now }
}

/// What a session of Startup Repair did, by its codes; its words are in the language of the system. Repairs
/// that succeeded are credited only if nothing that it tried failed.
fn what_came_of(session: &Session) -> (LayerResult, String) {
    let causes = &session.root_causes;
    let failed = |code: &u32| *code != 0;
    let codes = causes.iter().flat_map(|cause| &cause.repairs).map(|repair| repair.code);
    let (tried, wrong) = (codes.clone().count(), codes.filter(failed).collect::<Vec<_>>());
    let found = causes.first().map_or("no root cause found", |cause| cause.text.as_str());
    match wrong.first() {
        Some(code) => {
            let what =
                format!("{found}: {} of {tried} repairs failed, first 0x{code:x}", wrong.len());
            (LayerResult::TriedNoHelp, what)
        }
        None if tried > 0 => (LayerResult::Applied, format!("{found}: repaired")),
        None => (LayerResult::TriedNoHelp, format!("{found}: nothing was repaired")),
    }
}

/// Why evidence could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    #[error(transparent)]
    Volume(#[from] volume::VolumeError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Copy(#[from] CopyError),
}

/// The word that the dump's own serialisation has for its kind.
fn kind_word(kind: winfmt::dump::DumpKind) -> Result<String, CollectError> {
    let word = serde_json::to_value(kind).map_err(std::io::Error::from)?;
    Ok(word.as_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One session as Startup Repair writes it, with the code of its repair.
    fn session(code: u32) -> String {
        format!(
            "Session details\n---------------------------\nSystem Disk = \\Device\\Harddisk0\n\
             Windows directory = C:\\Windows\nAutoChk Run = 0\nNumber of root causes = 1\n\n\
             Root cause found: \n---------------------------\nBoot configuration is corrupt.\n\n\
             Repair action: Partition table repair\nResult: Error code =  0x{code:x}\n\
             Time taken = 9984 ms\n\n---------------------------\n---------------------------\n"
        )
    }

    fn told(before: &str, now: &str) -> Vec<(LayerResult, String)> {
        let before =
            if before.is_empty() { Vec::new() } else { repair_sessions(before.as_bytes()) };
        new_sessions(&before, repair_sessions(now.as_bytes())).iter().map(what_came_of).collect()
    }

    #[test]
    fn a_session_of_startup_repair_is_told_by_its_codes() {
        let repaired = "Boot configuration is corrupt.: repaired".to_owned();
        assert_eq!(told("", &session(0)), [(LayerResult::Applied, repaired.clone())]);
        let failed =
            "Boot configuration is corrupt.: 1 of 1 repairs failed, first 0x490".to_owned();
        assert_eq!(told("", &session(0x490)), [(LayerResult::TriedNoHelp, failed.clone())]);
        // Added to the log, written anew, and nothing new.
        let both = session(0x490) + &session(0);
        assert_eq!(told(&session(0x490), &both), [(LayerResult::Applied, repaired.clone())]);
        assert_eq!(told(&session(0x490), &session(0)), [(LayerResult::Applied, repaired)]);
        assert_eq!(told(&both, &both), []);
        assert_eq!(told("", "nothing of the kind"), []);
    }
}

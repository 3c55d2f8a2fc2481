//! A hive's file and the transaction logs beside it.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use winfmt::hive::{AppliedLog, EMPTY_LOG, Hive, HiveError, LogFormat, LogProblem, Recovery};

use super::in_file;
use crate::exit::usage;
use crate::output::tell;

/// A hive as its file and its logs say it is.
pub(crate) struct HiveFile {
    /// The file itself, links followed.
    path: PathBuf,
    /// As it was named, for messages.
    shown: PathBuf,
    pub(crate) hive: Hive,
    pub(crate) recovery: Recovery,
    /// The logs that were looked at.
    logs: Vec<PathBuf>,
    /// Logs to empty once the hive is saved.
    beside: Vec<PathBuf>,
}

impl HiveFile {
    /// Reads a hive, in memory brought up to date from the logs beside it. Says so on standard error.
    pub(crate) fn open(file: &Path) -> anyhow::Result<Self> {
        let opened = Self::open_with(file, &[])?;
        if !opened.recovery.clean {
            tell(format!(
                "note: {} was dirty; read with its logs: {}",
                file.display(),
                opened.story()
            ));
        }
        Ok(opened)
    }

    /// The same with logs that are somewhere else; without any, those beside the file.
    pub(crate) fn open_with(file: &Path, logs: &[PathBuf]) -> anyhow::Result<Self> {
        let bytes = read(file)?;
        let path = fs_err::canonicalize(file).map_err(usage)?;
        // The logs of a link's target are beside the target.
        let is_link = fs_err::symlink_metadata(file).map_err(usage)?.is_symlink();
        let beside = logs_beside(if is_link { &path } else { file })?;
        let logs = if logs.is_empty() { in_use(&beside)? } else { logs.to_vec() };
        let contents = logs.iter().map(|log| read(log)).collect::<Result<Vec<_>, _>>()?;
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let (hive, recovery) = Hive::recover(bytes, &contents)
            .map_err(|error| usage(in_file(file, with_names(error, &logs))))?;
        Ok(Self { path, shown: file.to_owned(), hive, recovery, logs, beside })
    }

    /// What was applied and what was not, with the names of the logs.
    pub(crate) fn story(&self) -> String {
        let mut parts: Vec<String> =
            self.recovery.applied.iter().map(|applied| self.applied(applied)).collect();
        if let Some(log) = self.recovery.base_block_from {
            parts.push(format!("the damaged base block taken from {}", name(&self.logs, log)));
        }
        let left_out = self.recovery.left_out.iter();
        parts.extend(left_out.map(|left| format!("left out {}", problem(&self.logs, left))));
        parts.join("; ")
    }

    fn applied(&self, applied: &AppliedLog) -> String {
        let AppliedLog { log, format, first, last, bytes, .. } = applied;
        let what = match format {
            LogFormat::DirtyVector => "all".to_owned(),
            LogFormat::Entries if first == last => format!("entry {first}"),
            LogFormat::Entries => format!("entries {first} to {last}"),
        };
        format!("{what} of {} ({bytes} bytes)", name(&self.logs, *log))
    }

    /// Writes the hive in the place of its file. If its logs were replayed they are emptied after that,
    /// so that no old entry of theirs can follow on what Windows writes next.
    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let bytes = self.checked_bytes()?;
        replace(&self.path, &bytes)?;
        if self.recovery.clean {
            return Ok(());
        }
        let mut emptied = Vec::new();
        for log in &self.beside {
            if fs_err::metadata(log).map_err(usage)?.len() == 0 {
                continue;
            }
            fs_err::write(log, EMPTY_LOG).map_err(usage).with_context(|| {
                format!("{} is saved and clean, but a log is not emptied", self.shown.display())
            })?;
            emptied.push(log.display().to_string());
        }
        if !emptied.is_empty() {
            tell(format!(
                "note: emptied {}: what was in it is in the hive now",
                emptied.join(" and ")
            ));
        }
        Ok(())
    }

    /// The finished file. It must be a hive again before it takes the place of the old one.
    pub(crate) fn checked_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let bytes = self.hive.to_bytes().map_err(|error| in_file(&self.shown, error))?;
        Hive::open(bytes.clone()).map_err(|error| in_file(&self.shown, error))?;
        Ok(bytes)
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.exists() && !path.is_file() {
        return Err(usage(anyhow!("{} is not a file", path.display())));
    }
    fs_err::read(path).map_err(usage)
}

/// The logs of a hive, whatever the case of their names: `.LOG1`, `.LOG2`, `.LOG`, in this order.
fn logs_beside(hive: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) =
        (hive.parent(), hive.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(Vec::new());
    };
    let listed = if folder == Path::new("") { Path::new(".") } else { folder };
    let mut found = Vec::new();
    for entry in fs_err::read_dir(listed).map_err(usage)? {
        let log = entry.map_err(usage)?.file_name();
        let suffix = log
            .to_str()
            .and_then(|own| own.get(..name.len()).zip(own.get(name.len()..)))
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, suffix)| suffix.to_ascii_uppercase());
        let rank = [".LOG1", ".LOG2", ".LOG"].iter().position(|log| suffix.as_deref() == Some(log));
        if let Some(rank) = rank
            && listed.join(&log).is_file()
        {
            found.push((rank, folder.join(&log)));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, log)| log).collect())
}

/// Where there are two logs, one without a number is left over from an installation image (regf
/// specification, "Multiple transaction log files").
fn in_use(beside: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let is_numbered = |log: &&PathBuf| {
        log.extension().is_some_and(|extension| !extension.eq_ignore_ascii_case("LOG"))
    };
    let numbered: Vec<PathBuf> = beside.iter().filter(is_numbered).cloned().collect();
    for log in &numbered {
        if fs_err::metadata(log).map_err(usage)?.len() > 0 {
            return Ok(numbered);
        }
    }
    Ok(beside.to_vec())
}

fn name(logs: &[PathBuf], log: usize) -> String {
    match logs.get(log) {
        Some(log) => log.display().to_string(),
        None => format!("log {}", log + 1),
    }
}

fn problem(logs: &[PathBuf], problem: &LogProblem) -> String {
    let place = problem.offset.map(|offset| format!(" (at offset {offset:#x})"));
    format!("{}: {}{}", name(logs, problem.log), problem.what, place.unwrap_or_default())
}

/// An error that calls the logs by their names.
fn with_names(error: HiveError, logs: &[PathBuf]) -> anyhow::Error {
    match error {
        HiveError::NoUsableLog { state, problems } => {
            let problems: String =
                problems.iter().map(|found| format!("\n  {}", problem(logs, found))).collect();
            anyhow!(
                "{state}, and none of its logs brings it up to date:{problems}\nfind the logs of the same time, or let Windows load the hive once"
            )
        }
        other => other.into(),
    }
}

/// Puts bytes in the place of a file, whole or not at all, with its permissions and owner. A link stays
/// one: `file` is what it leads to.
fn replace(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let before = fs_err::metadata(file).map_err(usage)?;
    if before.permissions().readonly() {
        let why = anyhow!("{} is read-only; make it writable, or edit a copy", file.display());
        return Err(usage(why));
    }
    let write = || -> std::io::Result<()> {
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        beside.write_all(bytes)?;
        beside.as_file().set_permissions(before.permissions())?;
        keep_owner(beside.as_file(), &before);
        beside.as_file().sync_all()?;
        beside.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display())).map_err(usage)
}

/// Only a privileged user can give a file to somebody else; for others it is their own already.
fn keep_owner(file: &std::fs::File, before: &std::fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};
    let _ = fchown(file, Some(before.uid()), Some(before.gid()));
}

/// Writes a new file, whole or not at all; one that is there already is replaced.
pub(crate) fn create(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if file.exists() {
        return replace(&fs_err::canonicalize(file).map_err(usage)?, bytes);
    }
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mut beside = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        beside.write_all(bytes)?;
        beside.as_file().sync_all()?;
        beside.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display())).map_err(usage)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use winfmt::hive::Data;

    use super::super::artifacts;
    use super::*;

    /// A hive that Windows 10 left dirty, and its logs, in a folder of our own.
    fn dirty(folder: &Path, names: [&str; 3]) -> Option<PathBuf> {
        for (from, to) in
            ["NewDirtyHive", "NewDirtyHive.LOG1", "NewDirtyHive.LOG2"].iter().zip(names)
        {
            let bytes = artifacts::read(&format!("hives/yarp/NewDirtyHive1/{from}"))?;
            std::fs::write(folder.join(to), bytes).unwrap();
        }
        Some(folder.join(names[0]))
    }

    #[test]
    fn logs_are_found_whatever_the_case_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let Some(hive) = dirty(folder.path(), ["System", "SYSTEM.log1", "system.LOG2"]) else {
            return;
        };
        // Neither a hive of a longer name nor a folder is taken for a log.
        std::fs::write(folder.path().join("SystemX.LOG1"), "x").unwrap();
        std::fs::create_dir(folder.path().join("SYSTEM.LOG")).unwrap();
        let opened = HiveFile::open_with(&hive, &[]).unwrap();
        let names: Vec<_> = opened.logs.iter().map(|log| log.file_name().unwrap()).collect();
        assert_eq!(names, ["SYSTEM.log1", "system.LOG2"]);
        assert!(opened.story().contains("SYSTEM.log1 (20480 bytes)"), "{}", opened.story());
        assert!(!opened.recovery.clean);
    }

    #[test]
    fn a_log_without_number_counts_only_where_the_numbered_are_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["S", "S.LOG", "S.LOG1", "S.LOG2"] {
            std::fs::write(path(name), "").unwrap();
        }
        let beside = logs_beside(&path("S")).unwrap();
        assert_eq!(beside, [path("S.LOG1"), path("S.LOG2"), path("S.LOG")]);
        assert_eq!(in_use(&beside).unwrap(), beside);
        std::fs::write(path("S.LOG2"), "x").unwrap();
        assert_eq!(in_use(&beside).unwrap(), [path("S.LOG1"), path("S.LOG2")]);
    }

    #[test]
    fn saving_keeps_the_link_and_the_permissions_and_empties_the_logs() {
        let folder = tempfile::tempdir().unwrap();
        let Some(hive) = dirty(folder.path(), ["h", "h.LOG1", "h.LOG2"]) else { return };
        let link = folder.path().join("link");
        symlink("h", &link).unwrap();
        std::fs::set_permissions(&hive, std::fs::Permissions::from_mode(0o640)).unwrap();
        let mut opened = HiveFile::open(&link).unwrap();
        opened.hive.set_value("k", "v", &Data::dword(1)).unwrap();
        opened.save().unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::metadata(&hive).unwrap().permissions().mode() & 0o777, 0o640);
        for log in ["h.LOG1", "h.LOG2"] {
            assert_eq!(std::fs::read(folder.path().join(log)).unwrap(), EMPTY_LOG);
        }
        let again = HiveFile::open(&hive).unwrap();
        assert!(again.recovery.clean);
        assert_eq!(again.hive.get_dword("k", "v").unwrap(), Some(1));
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 4, "hive, logs and link; no temporary file is left");
    }

    #[test]
    fn a_hive_that_is_refused_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let Some(hive) = dirty(folder.path(), ["h", "h.LOG1", "h.LOG2"]) else { return };
        for log in ["h.LOG1", "h.LOG2"] {
            std::fs::write(folder.path().join(log), "no log").unwrap();
        }
        let before = std::fs::read(&hive).unwrap();
        let error = HiveFile::open(&hive).err().unwrap().to_string();
        assert!(error.contains("h.LOG1: it does not begin with `regf` (at offset 0x0)"), "{error}");
        assert!(std::fs::read(&hive).unwrap() == before);
        assert_eq!(std::fs::read(folder.path().join("h.LOG1")).unwrap(), b"no log");
    }
}

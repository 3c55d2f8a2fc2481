//! What is left after the harness itself was killed: emulators that go on running, TPM emulators,
//! sockets, libvirt's own files. [`reap`] ends and removes them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::api::MachineSpec;
use crate::domain::Sockets;
use crate::error::HypervisorError;
use crate::process::{self, Ended};

const DIRECTORY: &str = "machines";
const END_LIMIT: Duration = Duration::from_secs(10);

/// What a machine has besides its files, written down before it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MachineRecord {
    name: String,
    sockets: Vec<PathBuf>,
    #[serde(default)]
    tpm_state: Option<PathBuf>,
    /// Of swtpm.
    #[serde(default)]
    pub(crate) tpm_pid: Option<u32>,
}

impl MachineRecord {
    pub(crate) fn new(spec: &MachineSpec, sockets: &Sockets) -> Self {
        Self {
            name: spec.name.clone(),
            sockets: sockets.all().map(Path::to_owned).to_vec(),
            tpm_state: spec.tpm_state.clone(),
            tpm_pid: None,
        }
    }

    pub(crate) fn write(&self, root: &Path) -> Result<(), HypervisorError> {
        let directory = root.join(DIRECTORY);
        fs_err::create_dir_all(&directory)
            .map_err(|error| HypervisorError::io("create", &directory, error))?;
        let path = Self::path(root, &self.name);
        let text = serde_json::to_string(self)
            .map_err(|error| HypervisorError::io("write", &path, error.into()))?;
        // Whole or not at all: it is read after a kill at any moment.
        let beside = path.with_extension("new");
        fs_err::write(&beside, text)
            .and_then(|()| fs_err::rename(&beside, &path))
            .map_err(|error| HypervisorError::io("write", &path, error))
    }

    pub(crate) fn remove(root: &Path, name: &str) {
        let _ = fs_err::remove_file(Self::path(root, name));
    }

    fn path(root: &Path, name: &str) -> PathBuf {
        root.join(DIRECTORY).join(format!("{name}.json"))
    }
}

/// What [`reap`] found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reaped {
    /// Processes that were ended: id and what they were.
    pub killed: Vec<(u32, String)>,
    /// Files and directories that were removed.
    pub removed: Vec<PathBuf>,
    /// What could not be ended or removed, for people.
    pub left: Vec<String>,
    /// True where the harness that owns the directory is still running; then nothing was touched.
    pub in_use: bool,
}

/// Marks `root` as in use by this process, for as long as the returned file is held. The kernel lets go
/// of it even after `kill -9`. Creates the directory where it is missing.
pub(crate) fn claim(root: &Path) -> Result<fs_err::File, HypervisorError> {
    let path = root.join("owner.lock");
    let failed = |action, error| HypervisorError::io(action, &path, error);
    loop {
        fs_err::create_dir_all(root).map_err(|error| failed("create the directory of", error))?;
        let opened =
            fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = match opened {
            // A reaper removed the directory in between.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            opened => opened.map_err(|error| failed("open", error))?,
        };
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| failed("claim (another loopbreak may be using it)", error.into()))?;
        // Likewise: then the lock is on a file that nobody else can see any more.
        let ours = file.metadata().map_err(|error| failed("examine", error))?;
        match fs_err::metadata(&path) {
            Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => return Ok(file),
            _ => {}
        }
    }
}

/// Ends every emulator and TPM emulator that was started below `root` (the directory of an embedded
/// libvirt), removes their sockets and then the directory itself. Does nothing where its owner is
/// still running.
///
/// Processes are found by their command lines, which name the directory or the machine; process ids
/// that were written down are only believed after a look at the command line.
pub fn reap(root: &Path) -> Result<Reaped, HypervisorError> {
    let mut out = Reaped::default();
    if !root.exists() {
        return Ok(out);
    }
    let claim = match claim(root) {
        Ok(claim) => claim,
        Err(HypervisorError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::WouldBlock =>
        {
            out.in_use = true;
            return Ok(out);
        }
        Err(error) => return Err(error),
    };

    let records = records(root)?;
    let processes = process::all().map_err(|error| HypervisorError::io("list", "/proc", error))?;
    for (pid, arguments) in &processes {
        let emulator = |arguments: &[String]| {
            process::is_emulator_below(arguments, root)
                || records.iter().any(|record| process::is_emulator_of(arguments, &record.name))
        };
        let tpm = |arguments: &[String]| {
            records
                .iter()
                .filter_map(|record| record.tpm_state.as_deref())
                .any(|state| process::is_tpm_emulator_of(arguments, state))
        };
        if emulator(arguments) {
            end(*pid, "emulator", emulator, &mut out);
        } else if tpm(arguments) {
            end(*pid, "TPM emulator", tpm, &mut out);
        }
    }
    if !out.left.is_empty() {
        // Without its sockets and records a process that lives on could not be found again.
        return Ok(out);
    }
    for path in records.iter().flat_map(|record| &record.sockets) {
        remove(path, |path| fs_err::remove_file(path), &mut out);
    }
    remove(root, |path| fs_err::remove_dir_all(path), &mut out);
    drop(claim);
    Ok(out)
}

fn records(root: &Path) -> Result<Vec<MachineRecord>, HypervisorError> {
    let directory = root.join(DIRECTORY);
    let entries = match fs_err::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(HypervisorError::io("list", directory, error)),
    };
    Ok(entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
        .filter_map(|entry| fs_err::read_to_string(entry.path()).ok())
        .filter_map(|text| serde_json::from_str(&text).ok())
        .collect())
}

fn end(pid: u32, what: &str, is_ours: impl Fn(&[String]) -> bool, out: &mut Reaped) {
    match process::kill(pid, is_ours, END_LIMIT) {
        Ok(Ended::Killed) => out.killed.push((pid, what.to_owned())),
        Ok(Ended::NotThere) => {}
        Ok(Ended::Stays) => out.left.push(format!("{what} with process id {pid} does not end")),
        Err(error) => out.left.push(format!("{what} with process id {pid}: {error}")),
    }
}

fn remove(path: &Path, how: impl Fn(&Path) -> std::io::Result<()>, out: &mut Reaped) {
    match how(path) {
        Ok(()) => out.removed.push(path.to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => out.left.push(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("r");
        fs_err::create_dir(&root).unwrap();
        let owner = claim(&root).unwrap();
        assert!(reap(&root).unwrap().in_use);
        assert!(root.exists());
        drop(owner);
        let reaped = reap(&root).unwrap();
        assert!(!reaped.in_use && reaped.left.is_empty());
        assert!(!root.exists());
        assert_eq!(reap(&root).unwrap(), Reaped::default());
    }

    #[test]
    fn recorded_sockets_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("r");
        let socket = directory.path().join("agent");
        fs_err::write(&socket, "").unwrap();
        let record = MachineRecord {
            name: "loopbreak-test".to_owned(),
            sockets: vec![socket.clone(), directory.path().join("missing")],
            tpm_state: None,
            tpm_pid: None,
        };
        record.write(&root).unwrap();
        fs_err::write(root.join(DIRECTORY).join("damaged.json"), "{").unwrap();
        let reaped = reap(&root).unwrap();
        assert_eq!(reaped.removed, [socket, root]);
    }
}

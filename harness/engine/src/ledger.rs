//! The ledger: every process, directory and file that a run made and that must not outlive it.
//!
//! An entry is written *before* the thing is made (a directory, a file) or right after it is known (a
//! process id), so that a harness that is killed at any moment leaves a list of what to look for. The
//! owner holds a lock on the ledger file; `loopbreak clean` leaves a ledger whose lock is held alone.
//!
//! A ledger is settled by its owner, who learns what is left. One that its owner forgets (a panic, an early
//! return) settles itself when it is dropped.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::state::StateDir;

/// One thing that a run made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Entry {
    /// A process. It is ours only if its command line contains `mark`.
    Process {
        /// Its id.
        pid: u32,
        /// A word of its command line that no other process has, for example the domain's name.
        mark: String,
    },
    /// A directory with all that is in it.
    Directory {
        /// Absolute.
        path: PathBuf,
    },
    /// A file or a socket.
    File {
        /// Absolute.
        path: PathBuf,
    },
}

/// Writing or reading a ledger failed.
#[derive(Debug, thiserror::Error)]
#[error("the ledger {path} cannot be {action}: {source}")]
pub struct LedgerError {
    path: PathBuf,
    action: &'static str,
    source: std::io::Error,
}

/// The ledgers that one command keeps. Clones share them.
#[derive(Debug, Clone)]
pub struct Ledgers {
    directory: PathBuf,
    open: Arc<Mutex<BTreeMap<PathBuf, Vec<Entry>>>>,
}

/// The ledger of a run under way, or of the session that runs belong to.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    /// Holds the lock.
    file: Mutex<File>,
    ledgers: Ledgers,
    settled: bool,
}

/// What a clean-up found and did.
#[must_use = "what is left behind decides the exit code"]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cleaned {
    /// What was there and is gone now.
    pub removed: Vec<Entry>,
    /// What is still there, with the reason.
    pub leaked: Vec<Leak>,
}

/// Something that could not be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leak {
    /// What it is.
    pub entry: Entry,
    /// Why it is still there.
    pub reason: String,
}

impl Ledgers {
    /// Those of this command, in the state directory `state`.
    pub fn new(state: &StateDir) -> Self {
        Self { directory: state.ledgers(), open: Arc::default() }
    }

    /// Begins the ledger called `name` (a run, or the session that runs belong to) and locks it for the life
    /// of this process.
    pub(crate) fn begin(&self, name: &str) -> Result<Ledger, LedgerError> {
        let path = self.directory.join(format!("{name}.jsonl"));
        let failed = |action| {
            let path = path.clone();
            move |source| LedgerError { path, action, source }
        };
        let file =
            OpenOptions::new().create_new(true).append(true).open(&path).map_err(failed("made"))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| failed("locked")(errno.into()))?;
        self.open().insert(path.clone(), Vec::new());
        Ok(Ledger { path, file: Mutex::new(file), ledgers: self.clone(), settled: false })
    }

    /// What this command has made and not settled, for the message of one that ends at once.
    pub fn noted(&self) -> Vec<Entry> {
        self.open().values().flatten().cloned().collect()
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Vec<Entry>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes one thing. Where that cannot be written (a full disk), it is still settled by this process.
    pub(crate) fn note(&self, entry: Entry) -> Result<(), LedgerError> {
        let mut line = serde_json::to_string(&entry).expect("a ledger entry is plain data");
        line.push('\n');
        self.ledgers.open().entry(self.path.clone()).or_default().push(entry);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).map_err(|source| LedgerError {
            path: self.path.clone(),
            action: "written",
            source,
        })
    }

    /// Removes all that was noted, latest first, and the ledger itself if nothing leaked.
    pub(crate) fn settle(mut self) -> Cleaned {
        self.settle_now()
    }

    fn settle_now(&mut self) -> Cleaned {
        self.settled = true;
        let entries = self.ledgers.open().get(&self.path).cloned().unwrap_or_default();
        let cleaned = clean_entries(&entries);
        if cleaned.leaked.is_empty() {
            // A ledger that cannot be removed is found, empty of leaks, by the next `clean`.
            let _ = std::fs::remove_file(&self.path);
        }
        self.ledgers.open().remove(&self.path);
        cleaned
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        for Leak { entry, reason } in self.settle_now().leaked {
            tracing::error!(ledger = %self.path.display(), ?entry, reason, "left behind");
        }
    }
}

/// The ledgers in `directory` whose owner is gone, each cleaned. A ledger whose owner still runs is
/// counted in `.1` and left alone.
pub(crate) fn clean_abandoned(
    directory: &Path,
) -> Result<(Vec<(String, Cleaned)>, usize), LedgerError> {
    let failed = |path: &Path, action| {
        let path = path.to_path_buf();
        move |source| LedgerError { path, action, source }
    };
    let mut cleaned = Vec::new();
    let mut held = 0;
    let listing = std::fs::read_dir(directory).map_err(failed(directory, "listed"))?;
    let mut paths: Vec<PathBuf> = listing
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    paths.sort();
    for path in paths {
        let file = match File::open(&path) {
            Ok(file) => file,
            // Its owner finished between the listing and now.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&path, "opened")(error)),
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            held += 1;
            continue;
        }
        // The last line may be cut: the harness was killed while it wrote it, so what it names was not
        // made yet.
        let entries: Vec<Entry> = BufReader::new(&file)
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect();
        let result = clean_entries(&entries);
        if result.leaked.is_empty() {
            std::fs::remove_file(&path).map_err(failed(&path, "removed"))?;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        cleaned.push((name, result));
    }
    Ok((cleaned, held))
}

fn clean_entries(entries: &[Entry]) -> Cleaned {
    let mut cleaned = Cleaned::default();
    for entry in entries.iter().rev() {
        let result = match entry {
            Entry::Process { pid, mark } => end_process(*pid, mark),
            Entry::Directory { path } => remove_directory(path),
            Entry::File { path } => removed(std::fs::remove_file(path)),
        };
        match result {
            Ok(true) => cleaned.removed.push(entry.clone()),
            Ok(false) => {}
            Err(reason) => cleaned.leaked.push(Leak { entry: entry.clone(), reason }),
        }
    }
    cleaned
}

/// `Ok(true)`: was there and is gone; `Ok(false)`: was not there.
fn removed(result: std::io::Result<()>) -> Result<bool, String> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

/// Removes a directory after ending the processes that name it in their command line: an emulator that
/// was started just before its process id could be noted, a storage daemon, a TPM emulator.
fn remove_directory(path: &Path) -> Result<bool, String> {
    let mark = path.to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").map_err(|error| error.to_string())?;
    for process in processes.filter_map(Result::ok) {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if pid != std::process::id() && names_directory(pid, mark.as_bytes()) {
            end_process(pid, &mark)?;
        }
    }
    removed(std::fs::remove_dir_all(path))
}

/// True if the process is an emulator or one of its helpers and names `directory` or something in it.
/// Only these: whoever looks at the directory with an editor keeps it.
fn names_directory(pid: u32, directory: &[u8]) -> bool {
    let Ok(command) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let program = command.split(|byte| *byte == 0).next().unwrap_or_default();
    let program = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    (program.starts_with(b"qemu-") || program.starts_with(b"swtpm"))
        && command.windows(directory.len()).enumerate().any(|(at, window)| {
            let next = command.get(at + directory.len());
            window == directory && next.is_none_or(|next| !next.is_ascii_alphanumeric())
        })
}

/// How long a killed process may take to go before it counts as leaked.
const PROCESS_END: rustix::time::Timespec = rustix::time::Timespec { tv_sec: 20, tv_nsec: 0 };

fn end_process(pid: u32, mark: &str) -> Result<bool, String> {
    let Some(handle) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Err(format!("{pid} is not a process id"));
    };
    // The handle is taken before the command line is read: the id cannot be given to another process
    // between the check and the signal.
    let Ok(process) = pidfd_open(handle, PidfdFlags::empty()) else { return Ok(false) };
    let Ok(command) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return Ok(false) };
    if !command.windows(mark.len()).any(|window| window == mark.as_bytes()) {
        // Either it has ended and the id belongs to somebody else, or it is a zombie without a command
        // line, which holds nothing.
        return Ok(false);
    }
    pidfd_send_signal(&process, Signal::KILL).map_err(|errno| errno.to_string())?;
    let mut wait = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
    match rustix::event::poll(&mut wait, Some(&PROCESS_END)) {
        Ok(0) => Err("it did not end within 20 seconds of being killed".to_owned()),
        Ok(_) => Ok(true),
        Err(errno) => Err(errno.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state directory, and the ledgers of one command in it.
    fn ledgers() -> (tempfile::TempDir, Ledgers) {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(Some(directory.path())).unwrap();
        (directory, Ledgers::new(&state))
    }

    #[test]
    fn what_was_noted_is_removed_latest_first() {
        let (state, ledgers) = ledgers();
        let ledger = ledgers.begin("run").unwrap();
        let directory = state.path().join("sockets");
        std::fs::create_dir(&directory).unwrap();
        let file = directory.join("agent");
        std::fs::write(&file, b"").unwrap();
        ledger.note(Entry::Directory { path: directory.clone() }).unwrap();
        ledger.note(Entry::File { path: file.clone() }).unwrap();
        ledger.note(Entry::File { path: state.path().join("never made") }).unwrap();
        let cleaned = ledger.settle();
        assert_eq!(
            cleaned.removed,
            vec![Entry::File { path: file }, Entry::Directory { path: directory.clone() }]
        );
        assert!(cleaned.leaked.is_empty());
        assert!(!directory.exists());
        assert_eq!(std::fs::read_dir(&ledgers.directory).unwrap().count(), 0);
    }

    #[test]
    fn a_ledger_whose_owner_lives_is_left_alone() {
        let (_state, ledgers) = ledgers();
        let ledger = ledgers.begin("run").unwrap();
        let (cleaned, held) = clean_abandoned(&ledgers.directory).unwrap();
        assert!(cleaned.is_empty());
        assert_eq!(held, 1);
        // Its owner was killed.
        let path = ledger.path.clone();
        let text = std::fs::read(&path).unwrap();
        drop(ledger);
        std::fs::write(&path, text).unwrap();
        let (cleaned, held) = clean_abandoned(&ledgers.directory).unwrap();
        assert_eq!((cleaned.len(), held), (1, 0));
    }

    #[test]
    fn a_ledger_that_is_forgotten_settles_itself() {
        let (state, ledgers) = ledgers();
        let file = state.path().join("overlay");
        std::fs::write(&file, b"").unwrap();
        let ledger = ledgers.begin("run").unwrap();
        ledger.note(Entry::File { path: file.clone() }).unwrap();
        drop(ledger);
        assert!(!file.exists());
        assert_eq!(std::fs::read_dir(&ledgers.directory).unwrap().count(), 0);
    }

    #[test]
    fn only_what_this_command_made_is_noted() {
        let (state, ledgers) = ledgers();
        let entry = |name: &str| Entry::File { path: state.path().join(name) };
        let others = Ledgers { directory: ledgers.directory.clone(), open: Arc::default() };
        let other = others.begin("another-command").unwrap();
        other.note(entry("theirs")).unwrap();
        let (one, two) = (ledgers.begin("one").unwrap(), ledgers.begin("two").unwrap());
        one.note(entry("a")).unwrap();
        two.note(entry("b")).unwrap();
        assert_eq!(ledgers.noted(), [entry("a"), entry("b")]);
        assert!(one.settle().leaked.is_empty());
        assert_eq!(ledgers.noted(), [entry("b")]);
    }

    #[test]
    fn only_a_process_that_carries_the_mark_is_ended() {
        let mark = format!("loopbreak-ledger-test-{}", std::process::id());
        let mut child = std::process::Command::new("sh")
            .args(["-c", "echo up; read line", &mark])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // A process that has only just been started has no command line yet.
        let mut up = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut up).unwrap();
        let strangers = [(child.id(), "another mark"), (std::process::id(), "no such mark")]
            .map(|(pid, mark)| Entry::Process { pid, mark: mark.to_owned() });
        assert!(clean_entries(&strangers).removed.is_empty());
        let ours = Entry::Process { pid: child.id(), mark };
        let cleaned = clean_entries(std::slice::from_ref(&ours));
        assert_eq!(cleaned.removed, vec![ours]);
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_cut_last_line_is_passed_over() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("victim");
        std::fs::write(&file, b"").unwrap();
        let entry = serde_json::to_string(&Entry::File { path: file.clone() }).unwrap();
        std::fs::write(state.path().join("x.jsonl"), format!("{entry}\n{{\"kind\":\"fi")).unwrap();
        let (cleaned, _) = clean_abandoned(state.path()).unwrap();
        assert_eq!(cleaned[0].1.removed, vec![Entry::File { path: file }]);
    }
}

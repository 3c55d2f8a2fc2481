//! A session: what all runs of one command share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use disk::Store;
use hypervisor::{Accelerator, Address, Hypervisor, Libvirt, Options, prove_accelerator};
use recovery::Authority;
use scenario::{Scenario, Start};
use serde::Serialize;

use crate::cleanup::{Cleaned, Entry, Leak, Ledger, Ledgers};
use crate::error::RunError;
use crate::machine::Beginnings;
use crate::preflight::{KnownImages, Prepared, Preparing, prepare};
use crate::record::RunId;
use crate::state_dir::StateDir;
use crate::tasks::{Interrupt, blocking};

/// What a session is opened with.
#[derive(Debug)]
pub struct SessionOptions {
    /// The state directory.
    pub state: StateDir,
    /// A libvirt URI instead of the embedded driver.
    pub connect: Option<String>,
    /// What ends the command before its time.
    pub interrupt: Interrupt,
    /// Where everything is noted that must not outlive the command.
    pub ledgers: Ledgers,
}

/// What the host is, for the record. `host.json` of a run directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostFacts {
    /// This program's version.
    pub loopbreak: String,
    /// The emulator's version, its own words.
    pub emulator: String,
    /// What ran the guests.
    pub accelerator: String,
    /// The libvirt connection.
    pub connection: String,
    /// Kernel release.
    pub kernel: String,
    /// Processors.
    pub processors: usize,
}

/// What all runs of one command share: connection, store, certificate authority, a short directory for
/// sockets, and the ledger of these.
pub struct Session {
    pub(crate) state: StateDir,
    pub(crate) store: Store,
    pub(crate) hypervisor: Arc<dyn Hypervisor>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) host: HostFacts,
    known: Arc<KnownImages>,
    pub(crate) scratch: PathBuf,
    pub(crate) interrupt: Interrupt,
    pub(crate) ledgers: Ledgers,
    ledger: Ledger,
    left: Mutex<Vec<LeftBehind>>,
    pub(crate) beginnings: Beginnings,
}

/// Something that is still there once a command is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// Who made it: a run, or the session itself.
    pub by: String,
    /// What it is, and why it is still there.
    pub leak: Leak,
}

impl Session {
    /// Opens the store and the connection to libvirt.
    pub async fn open(options: SessionOptions) -> Result<Self, RunError> {
        let SessionOptions { state, connect, interrupt, ledgers } = options;
        // First what would leave nothing behind if it failed.
        let at = state.clone();
        let opened = blocking(move || {
            let authority = Authority::open_or_create(&at.authority())?;
            Ok((authority, Store::open(at.root())?, emulator_version()))
        });
        let (authority, store, emulator) = opened.await?;
        let accelerator = interrupt.unless_raised(prove_accelerator()).await?;
        let ledger = ledgers.begin(&format!("session-{}", RunId::new()))?;
        let scratch = scratch_path();
        ledger.note(Entry::Directory { path: scratch.clone() })?;
        // Where that fails the ledger settles itself.
        let opened = Self::open_in(&state, connect, &scratch, accelerator.accelerator).await;
        let (hypervisor, accelerator, connection) = opened?;
        let host = HostFacts {
            loopbreak: env!("CARGO_PKG_VERSION").to_owned(),
            emulator,
            accelerator,
            connection,
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
        };
        Ok(Self {
            state,
            store,
            hypervisor,
            authority: Arc::new(authority),
            host,
            known: Arc::default(),
            scratch,
            interrupt,
            ledgers,
            ledger,
            left: Mutex::default(),
            beginnings: Beginnings::default(),
        })
    }

    async fn open_in(
        state: &StateDir,
        connect: Option<String>,
        scratch: &Path,
        accelerator: Option<Accelerator>,
    ) -> Result<(Arc<dyn Hypervisor>, String, String), RunError> {
        fs_err::create_dir(scratch)?;
        tracing::debug!(state = %state.root().display(), scratch = %scratch.display(), "session");
        let root = scratch.join("v");
        // libvirt asks each emulator binary what it can do, which takes seconds, and keeps the answer in its
        // cache. The root is this process's own; the cache is not.
        let cache = state.root().join("cache").join("libvirt");
        fs_err::create_dir_all(&cache)?;
        fs_err::create_dir(&root)?;
        fs_err::os::unix::fs::symlink(&cache, root.join("cache"))?;
        let options = Options { accelerator, ..Options::embedded(&root) };
        let (options, connection) = match connect {
            None => (options, "embedded".to_owned()),
            Some(uri) => {
                let directories = vec![state.root().to_path_buf(), scratch.to_path_buf()];
                let address = Address::Daemon { uri: uri.clone(), directories };
                (Options { address, ..options }, uri)
            }
        };
        let libvirt = Libvirt::open(options).await?;
        let accelerator = match libvirt.accelerator() {
            Accelerator::Kvm => "kvm",
            Accelerator::Emulation => "tcg",
        }
        .to_owned();
        Ok((Arc::new(libvirt), accelerator, connection))
    }

    /// A session on a given hypervisor, for tests.
    pub fn with_hypervisor(
        state: StateDir,
        hypervisor: Arc<dyn Hypervisor>,
        interrupt: Interrupt,
    ) -> Result<Self, RunError> {
        let authority = Authority::open_or_create(&state.authority())?;
        let store = Store::open(state.root())?;
        let ledgers = Ledgers::new(&state);
        let ledger = ledgers.begin(&format!("session-{}", RunId::new()))?;
        let scratch = scratch_path();
        ledger.note(Entry::Directory { path: scratch.clone() })?;
        fs_err::create_dir(&scratch)?;
        let host = HostFacts {
            loopbreak: env!("CARGO_PKG_VERSION").to_owned(),
            emulator: "none".to_owned(),
            accelerator: "none".to_owned(),
            connection: "given".to_owned(),
            kernel: String::new(),
            processors: 1,
        };
        Ok(Self {
            state,
            store,
            hypervisor,
            authority: Arc::new(authority),
            host,
            known: Arc::default(),
            scratch,
            interrupt,
            ledgers,
            ledger,
            left: Mutex::default(),
            beginnings: Beginnings::default(),
        })
    }

    /// Finds the image of a scenario and decides what will be done. It may take a while: disks are looked
    /// at, keys are made.
    pub(crate) async fn prepare(
        &self,
        scenario: &Scenario,
        start: Option<Start>,
    ) -> Result<Arc<Prepared>, RunError> {
        if scenario.rollback.is_some() {
            if start == Some(Start::Cold) {
                let why = "the layer rollback goes back to a checkpoint; leave out `--start cold`";
                return Err(RunError::Refused(why.to_owned()));
            }
            if !self.hypervisor.keeps_checkpoints() {
                let why = "the layer rollback needs a checkpoint, and those of this connection belong to root; \
                           leave out `--connect`, or run as root";
                return Err(RunError::Refused(why.to_owned()));
            }
        }
        let start = match start {
            None | Some(Start::Checkpoint) if !self.hypervisor.keeps_checkpoints() => {
                tracing::info!("from power-on: checkpoints of this connection belong to root");
                Some(Start::Cold)
            }
            start => start,
        };
        let with = Preparing {
            by_hand: false,
            state: self.state.clone(),
            store: self.store.clone(),
            authority: Arc::clone(&self.authority),
            known: Arc::clone(&self.known),
            emulator: self.host.emulator.clone(),
        };
        let scenario = scenario.clone();
        let preparing = blocking(move || prepare(&with, &scenario, start));
        Ok(Arc::new(self.interrupt.unless_raised(preparing).await??))
    }

    /// These scenarios are going to be run, each once, in this session. Where some of them go the same way until their
    /// machine is given up, one drives it until there, and the others go on with a copy of its machine.
    pub fn announce<'a>(&self, scenarios: impl IntoIterator<Item = &'a Scenario>) {
        self.beginnings.announce(scenarios);
    }

    /// A folder for a machine that is kept while the session lasts.
    pub(crate) fn folder_for_a_beginning(&self) -> Result<tempfile::TempDir, RunError> {
        let folder = tempfile::Builder::new().prefix("beginning-").tempdir_in(self.state.work())?;
        self.ledger.note(Entry::Directory { path: folder.path().to_path_buf() })?;
        Ok(folder)
    }

    /// Settles a run's ledger. What is left is known to the session from then on.
    pub(crate) async fn settle(&self, run: &str, ledger: Ledger) -> Cleaned {
        let file = ledger.path().to_path_buf();
        let settled = tokio::task::spawn_blocking(move || ledger.settle()).await;
        let cleaned = settled.unwrap_or_else(|panic| Cleaned {
            removed: Vec::new(),
            leaked: vec![Leak {
                entry: Entry::File { path: file },
                reason: format!("cleaning up what it lists failed: {panic}"),
            }],
        });
        self.remember(run, &cleaned);
        cleaned
    }

    fn remember(&self, by: &str, cleaned: &Cleaned) {
        let leaks = cleaned.leaked.iter().cloned();
        let leaks = leaks.map(|leak| LeftBehind { by: by.to_owned(), leak });
        self.left.lock().unwrap_or_else(PoisonError::into_inner).extend(leaks);
    }

    /// The image store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the host is.
    pub fn host(&self) -> &HostFacts {
        &self.host
    }

    /// Ends the session: the connection is closed. Gives what is left of it and of all its runs, however
    /// they ended; nothing, where all is well.
    #[must_use = "what is left behind decides the exit code"]
    pub fn close(self) -> Vec<LeftBehind> {
        let Self { hypervisor, ledger, left, .. } = self;
        drop(hypervisor);
        let mut left = left.into_inner().unwrap_or_else(PoisonError::into_inner);
        let own = ledger.settle().leaked.into_iter();
        left.extend(own.map(|leak| LeftBehind { by: "the session".to_owned(), leak }));
        left
    }
}

/// A directory for sockets. A Unix socket's path has at most 107 bytes, and libvirt adds many of them, so
/// this one is as short as it can be.
fn scratch_path() -> PathBuf {
    let letters = RunId::new();
    let letters = letters.as_str().rsplit('-').next().unwrap_or_default();
    let base = std::env::temp_dir();
    let base = if base.as_os_str().len() <= 24 { base } else { PathBuf::from("/tmp") };
    base.join(format!("lb-{}-{letters}", std::process::id()))
}

fn emulator_version() -> String {
    // Where it cannot be started the first machine says so, with what to do.
    Command::new("qemu-system-x86_64")
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().next().map(str::to_owned)
        })
        .unwrap_or_else(|| "unknown".to_owned())
}

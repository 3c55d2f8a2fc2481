//! A session: what all runs of one command share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use disk::Store;
use hypervisor::{Accelerator, Address, Hypervisor, Libvirt, Options};
use recovery::Authority;
use serde::Serialize;

use crate::error::RunError;
use crate::ids::RunId;
use crate::interrupt::Interrupt;
use crate::ledger::{Cleaned, Entry, Ledger};
use crate::state::StateDir;

/// What a session is opened with.
#[derive(Debug)]
pub struct SessionOptions {
    /// The state directory.
    pub state: StateDir,
    /// A libvirt URI instead of the embedded driver.
    pub connect: Option<String>,
    /// Ctrl-C.
    pub interrupt: Interrupt,
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
    pub(crate) authority: Authority,
    pub(crate) host: HostFacts,
    pub(crate) scratch: PathBuf,
    pub(crate) interrupt: Interrupt,
    ledger: Ledger,
}

impl Session {
    /// Opens the store and the connection to libvirt.
    pub async fn open(options: SessionOptions) -> Result<Self, RunError> {
        let SessionOptions { state, connect, interrupt } = options;
        // First what would leave nothing behind if it failed.
        let authority = Authority::open_or_create(&state.authority())?;
        let store = Store::open(state.root())?;
        let ledger = Ledger::begin(&state.ledgers(), &format!("session-{}", RunId::new()))?;
        let scratch = scratch_path();
        ledger.note(Entry::Directory { path: scratch.clone() })?;
        let opened = Self::open_in(&state, connect, &scratch).await;
        let (hypervisor, accelerator, connection) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                ledger.settle();
                return Err(error);
            }
        };
        let host = HostFacts {
            loopbreak: env!("CARGO_PKG_VERSION").to_owned(),
            emulator: emulator_version(),
            accelerator,
            connection,
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
        };
        Ok(Self { state, store, hypervisor, authority, host, scratch, interrupt, ledger })
    }

    async fn open_in(
        state: &StateDir,
        connect: Option<String>,
        scratch: &Path,
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
        let (options, connection) = match connect {
            None => (Options::embedded(&root), "embedded".to_owned()),
            Some(uri) => {
                let address = Address::Uri(uri.clone());
                (Options { address, ..Options::embedded(&root) }, uri)
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
        let ledger = Ledger::begin(&state.ledgers(), &format!("session-{}", RunId::new()))?;
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
        Ok(Self { state, store, hypervisor, authority, host, scratch, interrupt, ledger })
    }

    /// The image store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the host is.
    pub fn host(&self) -> &HostFacts {
        &self.host
    }

    /// Ends the session: the connection is closed, and nothing may be left of it.
    pub fn close(self) -> Cleaned {
        let Self { hypervisor, ledger, .. } = self;
        drop(hypervisor);
        ledger.settle()
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

//! The state directory: where images, checkpoints, runs and ledgers lie between commands.

use std::path::{Path, PathBuf};

use fs_err as fs;

/// Opening the state directory failed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Neither an option nor the environment says where state belongs.
    #[error("no place for state: set HOME, XDG_STATE_HOME or LOOPBREAK_STATE, or pass --state DIR")]
    NoHome,
    /// The directory cannot be made or written.
    #[error("the state directory {path} cannot be used: {source}; choose another with --state DIR")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The state directory. Everything below it belongs to loopbreak and to one user.
#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// Opens `explicit`, else `$XDG_STATE_HOME/loopbreak`, else `~/.local/state/loopbreak`, and makes
    /// what is not there yet.
    pub fn open(explicit: Option<&Path>) -> Result<Self, StateError> {
        let root = match explicit {
            Some(path) => path.to_path_buf(),
            None => default_root().ok_or(StateError::NoHome)?,
        };
        let unusable = |source| StateError::Unusable { path: root.clone(), source };
        fs::create_dir_all(&root).map_err(unusable)?;
        let root = fs::canonicalize(&root).map_err(unusable)?;
        let state = Self { root };
        for directory in [state.runs(), state.ledgers(), state.authority(), state.work()] {
            fs::create_dir_all(&directory)
                .map_err(|source| StateError::Unusable { path: directory.clone(), source })?;
        }
        Ok(state)
    }

    /// The directory itself, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One directory a run.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// One ledger a run that is under way (or was killed).
    pub fn ledgers(&self) -> PathBuf {
        self.root.join("ledgers")
    }

    /// Overlays of runs that are under way.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Firmware code that profiles want other than the distribution ships it. Made when it is wanted.
    pub fn firmware(&self) -> PathBuf {
        self.root.join("firmware")
    }

    /// The harness's certificate authority.
    pub fn authority(&self) -> PathBuf {
        self.root.join("authority")
    }

    /// The authority that signs test drivers.
    pub fn driver_authority(&self) -> PathBuf {
        self.root.join("driver-authority")
    }
}

fn default_root() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("loopbreak"))
}

//! Why a run could not be done, sorted by whose fault it is.

use std::path::{Path, PathBuf};

use winfmt::escaped;

use crate::intake::IntakeError;
use crate::preflight::NotApplicable;
use crate::record::RunDir;
use crate::tasks::EndsEarly;

/// A run could not be begun, or ended without an outcome.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The disk cannot be repaired as the scenario says.
    #[error(transparent)]
    Repair(#[from] faults::RepairError),
    /// What is to be uninstalled cannot be.
    #[error(transparent)]
    Uninstall(#[from] faults::UninstallError),
    /// The scenario asks for what this image or this connection cannot do: what that is, and what to do.
    /// Nothing was run.
    #[error("{0}")]
    Refused(String),
    /// The image lacks what the scenario needs. Nothing was started.
    #[error("{0}")]
    NotApplicable(Box<NotApplicable>),
    /// The image could not be looked at.
    #[error(transparent)]
    Image(#[from] Box<IntakeError>),
    /// An example of the fault catalogue that does not load.
    #[error(transparent)]
    Example(#[from] faults::ExampleError),
    /// The image is not in the store, or is damaged.
    #[error(transparent)]
    Store(#[from] disk::StoreError),
    /// The image's machine profile.
    #[error(transparent)]
    Profile(#[from] hypervisor::ProfileError),
    /// libvirt, QEMU, TPM.
    #[error(transparent)]
    Hypervisor(#[from] hypervisor::HypervisorError),
    /// Staging what the scenario gives.
    #[error(transparent)]
    Stage(#[from] faults::StageError),
    /// Doing it to the disk.
    #[error(transparent)]
    Apply(#[from] faults::ApplyError),
    /// Undoing it.
    #[error("{object} could not be brought back: {source}; the fault's undoing is wrong")]
    NotUndone {
        /// File, value or partition.
        object: String,
        /// Why.
        source: faults::OfflineError,
    },
    /// The disk, offline.
    #[error(transparent)]
    Disk(#[from] disk::DiskError),
    /// The machine's network.
    #[error(transparent)]
    Network(#[from] network::StartError),
    /// The certificate authority.
    #[error(transparent)]
    Authority(#[from] recovery::AuthorityError),
    /// The authority that signs drivers.
    #[error(transparent)]
    DriverAuthority(#[from] faults::signing::AuthorityError),
    /// The remediation service.
    #[error(transparent)]
    Service(#[from] recovery::ServiceError),
    /// The run directory.
    #[error(transparent)]
    RunDir(#[from] crate::record::RunDirError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] crate::cleanup::LedgerError),
    /// The events.
    #[error(transparent)]
    Record(#[from] crate::record::RecordError),
    /// The reference.
    #[error(transparent)]
    Reference(#[from] report::ReferenceError),
    /// The machine did not come up healthy while its checkpoint was made, or at its first start.
    #[error(
        "the machine did not come up healthy once before the run: {}; its events are in {events}",
        escaped(reason)
    )]
    NotHealthy {
        /// What happened instead.
        reason: String,
        /// Where to look.
        events: PathBuf,
    },
    /// The harness or the host failed while a fault was proved, so that nothing can be said of the fault.
    #[error("{}; the run is kept in {directory}", escaped(because))]
    NotProved {
        /// What failed.
        because: String,
        /// The run.
        directory: PathBuf,
    },
    /// A file of the run.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Ctrl-C, SIGTERM or SIGHUP before the machine ran.
    #[error("interrupted")]
    Interrupted,
    /// A task of the harness panicked.
    #[error("{what}{}", kept(directory.as_deref()))]
    Panicked {
        /// What it said.
        what: String,
        /// The run in which it happened, where there is one.
        directory: Option<PathBuf>,
    },
}

fn kept(directory: Option<&Path>) -> String {
    directory.map_or_else(String::new, |path| format!("; the run is kept in {}", path.display()))
}

impl From<EndsEarly> for RunError {
    fn from(why: EndsEarly) -> Self {
        match why {
            EndsEarly::Interrupted => Self::Interrupted,
            EndsEarly::Panicked(_) => Self::Panicked { what: why.to_string(), directory: None },
        }
    }
}

impl RunError {
    /// As it is told once the run has a directory.
    pub(crate) fn of_run(self, run: &RunDir) -> Self {
        match self {
            Self::Panicked { what, .. } => {
                Self::Panicked { what, directory: Some(run.path().to_path_buf()) }
            }
            other => other,
        }
    }

    /// True where what was asked for cannot be done as asked, whatever the host: exit code 2, not 3.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Refused(_)
            | Self::NotApplicable(_)
            | Self::Example(_)
            | Self::Profile(_)
            | Self::Stage(_) => true,
            Self::Store(error) => error.is_usage(),
            Self::Image(error) => error.is_usage(),
            _ => false,
        }
    }
}

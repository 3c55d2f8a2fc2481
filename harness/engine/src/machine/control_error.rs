//! Why the controller of a machine gives up.

use hypervisor::{AgentError, HypervisorError};

use super::watch::WatchEnd;
use crate::error::RunError;
use crate::tasks::EndsEarly;

/// Why driving a machine ended without a conclusion.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error(transparent)]
    Watch(#[from] WatchEnd),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("the guest failed at {act}: {said}")]
    NotDone { act: String, said: String },
    #[error(transparent)]
    Machine(#[from] HypervisorError),
    #[error("the machine is off")]
    IsOff,
    #[error("the harness does not serve the machine's disk")]
    NoDrive,
    #[error("{path} has {found} bytes after the power cut, and not what was written")]
    NotInterrupted { path: String, found: usize },
    #[error("{path} was not found on the disk")]
    Nowhere { path: String },
    #[error(transparent)]
    Run(#[from] Box<RunError>),
    #[error("{0}")]
    Ledger(String),
    #[error("{0}; nothing follows for the product")]
    Cable(String),
}

impl From<EndsEarly> for ControlError {
    fn from(why: EndsEarly) -> Self {
        Self::Watch(why.into())
    }
}

impl From<RunError> for ControlError {
    fn from(error: RunError) -> Self {
        Self::Run(Box::new(error))
    }
}

impl ControlError {
    pub(crate) fn why(&self) -> &'static str {
        match self {
            Self::Watch(WatchEnd::TimeLimit { .. }) => "time-limit",
            Self::Watch(WatchEnd::Early(EndsEarly::Interrupted)) => "interrupted",
            _ => "failed",
        }
    }

    /// True where the harness or the host failed, which the events do not say by themselves.
    pub(crate) fn is_a_failure(&self) -> bool {
        let panicked = matches!(self, Self::Watch(WatchEnd::Early(EndsEarly::Panicked(_))));
        panicked || !matches!(self, Self::Watch(_))
    }
}

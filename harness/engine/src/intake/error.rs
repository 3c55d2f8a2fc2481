//! Why an image cannot be taken in.

use std::path::PathBuf;

use disk::{DiskError, StoreError};
use hypervisor::ProfileError;
use inspect::FixError;

/// An image cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The store, or the file that was given.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk cannot be looked into.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The profile that was given.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// It cannot be fixed.
    #[error(transparent)]
    Fix(#[from] FixError),
    /// No firmware on this host to take fresh variables from.
    #[error(
        "a UEFI machine needs firmware variables and this host has none to copy; install ovmf, or give those of the machine with --vars FILE. Looked for: {looked}"
    )]
    NoFirmware {
        /// Where it was looked for.
        looked: String,
    },
    /// Variables that do not fit the firmware.
    #[error(
        "{path} has {size} bytes and the firmware's variables here have {expected}; give the variables of a machine with a 4 MiB OVMF, or leave --vars out for fresh ones"
    )]
    WrongVariables {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        size: u64,
        /// What they would have to be.
        expected: u64,
    },
    /// Options that exclude each other.
    #[error("{0}")]
    Contradiction(String),
    /// A file of it cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl IntakeError {
    /// True where the request was wrong, not the host.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Store(error) => error.is_usage(),
            Self::Profile(_)
            | Self::WrongVariables { .. }
            | Self::Contradiction(_)
            | Self::Disk(_) => true,
            Self::Fix(error) => matches!(error, FixError::Nothing(_)),
            Self::NoFirmware { .. } | Self::Io(_) => false,
        }
    }
}

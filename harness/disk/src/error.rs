//! Why a disk cannot be used.

use std::path::PathBuf;

use volume::{TableError, VolumeError};

use crate::overlay::OverlayError;
use crate::readback::ReadBackError;

/// The disk cannot be opened, read or edited.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The storage daemon cannot be started.
    #[error("qemu-storage-daemon cannot be started: {source}; install qemu-system-common")]
    NoProgram {
        /// Why.
        source: std::io::Error,
    },
    /// It did not take the disk.
    #[error("{path} cannot be opened: {message}")]
    Refused {
        /// The disk.
        path: PathBuf,
        /// What it said. "Failed to get … lock" means that a machine uses the disk.
        message: String,
    },
    /// Talking to it failed.
    #[error("{path} cannot be read or written: {source}")]
    Device {
        /// The disk.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No partition table.
    #[error("{path}: {source}")]
    Table {
        /// The disk.
        path: PathBuf,
        /// Why.
        source: TableError,
    },
    /// A volume that was asked for is not there.
    #[error("{path} has no {what}; its partitions are: {found}")]
    NoVolume {
        /// The disk.
        path: PathBuf,
        /// Which volume.
        what: &'static str,
        /// What there is.
        found: String,
    },
    /// A volume cannot be used.
    #[error("{path}: {source}")]
    Volume {
        /// The disk.
        path: PathBuf,
        /// Why.
        source: VolumeError,
    },
    /// A file cannot be read back with the other implementation.
    #[error("{path}: '{file}' cannot be read back: {source}")]
    ReadBack {
        /// The disk.
        path: PathBuf,
        /// The file on its Windows volume.
        file: String,
        /// Why.
        source: ReadBackError,
    },
    /// The disk is damaged after an edit.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
}

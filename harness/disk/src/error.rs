//! Why a disk cannot be used.

use std::path::PathBuf;

use volume::VolumeError;
use winfmt::escaped;

use crate::overlay::OverlayError;
use crate::store::SourceError;
use crate::worker::WorkerError;

/// The disk cannot be opened, read or edited.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It is no disk, or one that must not be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is an overlay on something that must not be opened.
    #[error("{path} must not be opened: {reason}")]
    Chain {
        /// The disk.
        path: PathBuf,
        /// What it refers to.
        reason: String,
    },
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
    /// The process that reads the volumes could not do it.
    #[error("{path}: {source}")]
    Worker {
        /// The disk.
        path: PathBuf,
        /// Why.
        source: WorkerError,
    },
    /// A volume that was asked for is not there.
    #[error("{path} has no {what}; on it: {}", escaped(found))]
    NoVolume {
        /// The disk.
        path: PathBuf,
        /// Which volume.
        what: String,
        /// What there is.
        found: String,
    },
    /// Several volumes could be meant, and which one the machine starts cannot be told.
    #[error(
        "{path}: which {what} it starts is not certain: {}; {remedy}; on it: {}",
        escaped(reason),
        escaped(choices)
    )]
    Uncertain {
        /// The disk.
        path: PathBuf,
        /// Of what there are several.
        what: String,
        /// Why it cannot be told.
        reason: String,
        /// What there is.
        choices: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A volume of a kind, or in a state, that is not read here.
    #[error("{path}: partition {number} cannot be read: {reason}")]
    Unreadable {
        /// The disk.
        path: PathBuf,
        /// The partition.
        number: u32,
        /// Why, and what to do.
        reason: String,
    },
    /// A volume cannot be used.
    #[error("{path}: {source}")]
    Volume {
        /// The disk.
        path: PathBuf,
        /// Why.
        source: Box<VolumeError>,
    },
    /// A volume does not agree with itself after it was edited.
    #[error(
        "{path}, partition {number}: the volume contradicts itself after the edit: {finding}; throw the \
         disk away, and have the volume's own system check the original (chkdsk /f)"
    )]
    Damaged {
        /// The disk.
        path: PathBuf,
        /// The partition.
        number: u32,
        /// The first findings.
        finding: String,
    },
    /// What the second reader finds is not what was written.
    #[error(
        "{path}, partition {number}: '{}' did not land: {expected} should be there, and another \
         reader finds {}; throw the disk away",
        escaped(file),
        escaped(found)
    )]
    NotLanded {
        /// The disk.
        path: PathBuf,
        /// The partition.
        number: u32,
        /// The file on its volume.
        file: String,
        /// What was written.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The disk file is damaged after an edit.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
}

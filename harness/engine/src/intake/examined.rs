//! A disk that is looked into more closely than an inspection does: for a diagnosis.

use std::path::Path;

use disk::{Access, Image, OfflineDisk, StoreError};
use inspect::traces::Traces;
use inspect::{Inspection, Known, Source};

use super::error::IntakeError;
use crate::record::RunDir;

/// A disk with all that was read of it, still open.
#[derive(Debug)]
pub struct Examined {
    /// What it is.
    pub inspection: Inspection,
    /// What happened to it.
    pub traces: Traces,
    disk: OfflineDisk,
    _scratch: tempfile::TempDir,
}

impl Examined {
    /// A disk file, or the bundle in a directory.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn file(path: &Path) -> Result<Self, IntakeError> {
        if !path.is_dir() {
            return Self::open(path, None, None, false);
        }
        let there = |name: &str| Some(path.join(name)).filter(|path| path.exists());
        let disk = there("disk.qcow2")
            .ok_or(StoreError::Incomplete { bundle: path.to_path_buf(), part: "disk.qcow2" })?;
        Self::open(&disk, there("vars.fd").as_deref(), there("tpm").as_deref(), false)
    }

    /// An image of the store.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn image(image: &Image) -> Result<Self, IntakeError> {
        let (vars, tpm) = (image.firmware_vars(), image.tpm_state());
        Self::open(&image.disk(), vars.as_deref(), tpm.as_deref(), false)
    }

    /// The disk that a run kept. `None`: it kept none.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn run(run: &RunDir) -> Result<Option<Self>, IntakeError> {
        let disk = run.path().join("disk.qcow2");
        if !disk.exists() {
            return Ok(None);
        }
        Self::open(&disk, None, None, true).map(Some)
    }

    fn open(
        disk: &Path,
        firmware_vars: Option<&Path>,
        tpm: Option<&Path>,
        is_overlay: bool,
    ) -> Result<Self, IntakeError> {
        // The socket's path must be short.
        let scratch = tempfile::Builder::new().prefix("lb-").tempdir()?;
        let disk = if is_overlay {
            OfflineDisk::open_overlay(disk, Access::ReadOnly, scratch.path())?
        } else {
            OfflineDisk::open(disk, Access::ReadOnly, scratch.path())?
        };
        let source = Source { disk: &disk, firmware_vars, tpm };
        let inspection = inspect::inspect(source);
        let traces = inspect::traces::traces(source, &inspection);
        Ok(Self { inspection, traces, disk, _scratch: scratch })
    }

    /// A file of the system's volume, by its path from the root.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>, IntakeError> {
        let Known::Known(number) = self.inspection.system.partition else {
            return Err(IntakeError::Contradiction(
                "the disk has no Windows to read from".to_owned(),
            ));
        };
        let mut volume = self.disk.volume(number)?;
        volume.read(path).map_err(|error| IntakeError::Io(std::io::Error::other(error)))
    }
}

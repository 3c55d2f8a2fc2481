//! Looking at an image, without taking anything in.

use std::path::Path;

use disk::{Access, Image, OfflineDisk, StoreError};
use inspect::{Inspection, Source};

use super::error::IntakeError;

/// Looks at a disk file, or at the bundle in a directory, without taking anything in.
pub fn inspect_file(path: &Path) -> Result<Inspection, IntakeError> {
    if !path.is_dir() {
        return inspect_disk(path, None, None);
    }
    let there = |name: &str| Some(path.join(name)).filter(|path| path.exists());
    let disk = there("disk.qcow2")
        .ok_or(StoreError::Incomplete { bundle: path.to_path_buf(), part: "disk.qcow2" })?;
    inspect_disk(&disk, there("vars.fd").as_deref(), there("tpm").as_deref())
}

/// Looks at an image in the store.
pub fn inspect_image(image: &Image) -> Result<Inspection, IntakeError> {
    let (vars, tpm) = (image.firmware_vars(), image.tpm_state());
    inspect_disk(&image.disk(), vars.as_deref(), tpm.as_deref())
}

pub(super) fn inspect_disk(
    disk: &Path,
    firmware_vars: Option<&Path>,
    tpm: Option<&Path>,
) -> Result<Inspection, IntakeError> {
    // The socket's path must be short.
    let scratch = tempfile::Builder::new().prefix("lb-").tempdir()?;
    let disk = OfflineDisk::open(disk, Access::ReadOnly, scratch.path())?;
    Ok(inspect::inspect(Source { disk: &disk, firmware_vars, tpm }))
}

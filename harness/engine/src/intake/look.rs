//! Looking at an image, without taking anything in.

use std::path::Path;

use disk::{Access, DiskError, Image, OfflineDisk, Starting, StoreError};
use hypervisor::MachineProfile;
use inspect::{Inspection, Source};

use super::error::IntakeError;

/// Looks at a disk file, or at the bundle in a directory, without taking anything in. `windows` is the partition of
/// the Windows that is meant.
pub fn inspect_file(path: &Path, windows: Option<u32>) -> Result<Inspection, IntakeError> {
    if !path.is_dir() {
        return Ok(inspect_disk(path, None, None, windows)?.0);
    }
    let there = |name: &str| Some(path.join(name)).filter(|path| path.exists());
    let disk = there("disk.qcow2")
        .ok_or(StoreError::Incomplete { bundle: path.to_path_buf(), part: "disk.qcow2" })?;
    let profile = there("profile.toml").map(|path| MachineProfile::read(&path)).transpose()?;
    let windows = windows.or(profile.and_then(|profile| profile.windows_partition));
    Ok(inspect_disk(&disk, there("vars.fd").as_deref(), there("tpm").as_deref(), windows)?.0)
}

/// Looks at an image in the store. `windows` outweighs its profile.
pub fn inspect_image(image: &Image, windows: Option<u32>) -> Result<Inspection, IntakeError> {
    let (vars, tpm) = (image.firmware_vars(), image.tpm_state());
    let windows = match windows {
        Some(number) => Some(number),
        None => MachineProfile::read(&image.profile())?.windows_partition,
    };
    Ok(inspect_disk(&image.disk(), vars.as_deref(), tpm.as_deref(), windows)?.0)
}

/// What is on a disk, and why it is not certain which Windows it starts, where it is not.
pub(super) fn inspect_disk(
    disk: &Path,
    firmware_vars: Option<&Path>,
    tpm: Option<&Path>,
    windows: Option<u32>,
) -> Result<(Inspection, Option<DiskError>), IntakeError> {
    // The socket's path must be short.
    let scratch = tempfile::Builder::new().prefix("lb-").tempdir()?;
    let starting = Starting {
        chosen: windows,
        firmware_vars: firmware_vars.map(Path::to_path_buf),
        ..Starting::default()
    };
    let disk = OfflineDisk::open(disk, Access::ReadOnly, scratch.path())?.starting(starting)?;
    let uncertain = disk.windows_partition().err();
    let uncertain = uncertain.filter(|error| matches!(error, DiskError::Uncertain { .. }));
    Ok((inspect::inspect(Source { disk: &disk, firmware_vars, tpm }), uncertain))
}

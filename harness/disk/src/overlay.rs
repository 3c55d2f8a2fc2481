//! qcow2 overlays: a machine writes into its own, and what lies below is never written again.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `qemu-img` could not do it.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// It cannot be started.
    #[error("qemu-img cannot be started: {source}; install qemu-utils")]
    NoProgram {
        /// Why.
        source: std::io::Error,
    },
    /// It failed.
    #[error("qemu-img could not {action} {path}: {message}")]
    Failed {
        /// What it was to do.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What it said.
        message: String,
    },
}

/// Makes the overlay `path` on `backing` (a qcow2 file), of the same size. The backing file's path goes
/// into the overlay, so it is made absolute by the caller.
pub fn create_overlay(path: &Path, backing: &Path) -> Result<(), OverlayError> {
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]).arg(backing).arg(path);
    run(command, "make the overlay", path)
}

/// Checks the structure of a qcow2 file.
pub fn check_qcow2(path: &Path) -> Result<(), OverlayError> {
    check_file(path, "qcow2")
}

/// Checks the structure of a disk file; `driver` is QEMU's name of its format. Raw disks and VHDs have
/// nothing that could be checked.
pub(crate) fn check_file(path: &Path, driver: &str) -> Result<(), OverlayError> {
    if matches!(driver, "raw" | "vpc") {
        return Ok(());
    }
    let mut command = Command::new("qemu-img");
    command.args(["check", "-q", "-f", driver]).arg(path);
    run(command, "check", path)
}

fn run(mut command: Command, action: &'static str, path: &Path) -> Result<(), OverlayError> {
    let output = command.output().map_err(|source| OverlayError::NoProgram { source })?;
    if output.status.success() {
        return Ok(());
    }
    let mut message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if message.is_empty() {
        message = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    }
    Err(OverlayError::Failed { action, path: path.to_path_buf(), message })
}

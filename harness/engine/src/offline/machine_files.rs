//! The files that a machine consists of while it is off.

use std::path::{Path, PathBuf};

use hypervisor::MachineSpec;

use crate::error::RunError;

/// The file in which swtpm keeps what a TPM 2.0 remembers while it is off.
pub(crate) const TPM_STATE: &str = "tpm2-00.permall";

/// What a machine consists of while it is off.
#[derive(Debug, Clone)]
pub(crate) struct MachineFiles {
    /// Its overlay.
    pub(crate) disk: PathBuf,
    /// Its firmware variables, where it has UEFI.
    pub(crate) variables: Option<PathBuf>,
    /// The folder of its TPM's state, where it has one.
    pub(crate) tpm: Option<PathBuf>,
}

impl MachineFiles {
    pub(crate) fn of(spec: &MachineSpec) -> Self {
        Self {
            disk: spec.disk.clone(),
            variables: spec.firmware_vars.clone(),
            tpm: spec.tpm_state.clone(),
        }
    }

    /// Removes them all.
    pub(crate) fn remove(&self) -> Result<(), RunError> {
        fs_err::remove_file(&self.disk)?;
        if let Some(variables) = &self.variables {
            fs_err::remove_file(variables)?;
        }
        if let Some(tpm) = &self.tpm {
            fs_err::remove_dir_all(tpm)?;
        }
        Ok(())
    }
}

/// Copies a sealed file so that its copy can be written.
pub(crate) fn copy_writable(from: &Path, to: &Path) -> Result<(), RunError> {
    fs_err::write(to, fs_err::read(from)?)?;
    Ok(())
}

/// As [`copy_writable`], all files of a folder.
pub(crate) fn copy_directory(from: &Path, to: &Path) -> Result<(), RunError> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let path = entry?.path();
        if path.is_file()
            && let Some(name) = path.file_name()
        {
            copy_writable(&path, &to.join(name))?;
        }
    }
    Ok(())
}

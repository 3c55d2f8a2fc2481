//! Kernel modules from the initramfs.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

/// Why a module could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot load kernel module {path}: {source}; it must come from the same kernel package as the kernel"
)]
pub struct ModuleError {
    /// File of the module.
    path: PathBuf,
    /// What the kernel said.
    source: io::Error,
}

/// Loads `/lib/modules/<name>.ko`. One that is loaded already is fine.
#[expect(unsafe_code, reason = "finit_module(2) has no safe wrapper")]
pub fn load_module(name: &str) -> Result<(), ModuleError> {
    let path = PathBuf::from(format!("/lib/modules/{name}.ko"));
    let load = || {
        let file = File::open(&path)?;
        // SAFETY: the descriptor is open, the parameter string is a NUL-terminated literal.
        let result =
            unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
        match result {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
                error => Err(error),
            },
        }
    };
    load().map_err(|source| ModuleError { path: path.clone(), source })
}

//! The shared libraries that the guest's program needs, as the host's dynamic linker finds them.
//!
//! The program is built like any other of the workspace, so that nothing is compiled a second time for a
//! static one; its initramfs has the linker and the libraries beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Why they are not known.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// `ldd` is missing or failed.
    #[error("`ldd {program}` (Debian package libc-bin) failed: {reason}")]
    Ldd {
        /// The program.
        program: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The host lacks a library.
    #[error("{program} needs {library}, which this host does not have")]
    Missing {
        /// The program.
        program: PathBuf,
        /// The library's name.
        library: String,
    },
    /// A library cannot be read.
    #[error("cannot read library {path}: {source}")]
    Read {
        /// The library.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Where each library has to be, as a path without the first slash, with its contents.
pub(super) fn of(program: &Path) -> Result<Vec<(String, Vec<u8>)>, LibraryError> {
    let failed = |reason: String| LibraryError::Ldd { program: program.to_owned(), reason };
    let output = Command::new("ldd")
        .arg(program)
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    paths(&String::from_utf8_lossy(&output.stdout))
        .map_err(|library| LibraryError::Missing { program: program.to_owned(), library })?
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path)
                .map_err(|source| LibraryError::Read { path: path.clone().into(), source })?;
            Ok((path.trim_start_matches('/').to_owned(), bytes))
        })
        .collect()
}

/// The paths in what `ldd` prints: `NAME => PATH (ADDRESS)`, and `PATH (ADDRESS)` for the linker itself. The
/// kernel's own object has a name and no path. An error is the name of a library that was not found.
fn paths(listing: &str) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    for line in listing.lines() {
        let (name, place) = match line.trim().split_once(" => ") {
            Some((name, place)) => (name, place),
            None => ("", line.trim()),
        };
        if place.starts_with("not found") {
            return Err(name.to_owned());
        }
        let path = place.split(" (").next().unwrap_or_default();
        if path.starts_with('/') {
            paths.push(path.to_owned());
        }
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::{of, paths};

    #[test]
    fn the_linker_and_the_libraries_are_found() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd1d5f2000)\n\
                       \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                       \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            paths(listing).unwrap(),
            [
                "/lib/x86_64-linux-gnu/libc.so.6",
                "/lib/x86_64-linux-gnu/libm.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
        assert_eq!(paths("\tlibx.so.1 => not found\n").unwrap_err(), "libx.so.1");
        assert!(paths("\tstatically linked\n").unwrap().is_empty());
    }

    #[test]
    fn a_program_of_this_host_has_its_linker() {
        let program = std::env::current_exe().unwrap();
        let libraries = of(&program).unwrap();
        assert!(libraries.iter().any(|(path, bytes)| path.contains("libc") && !bytes.is_empty()));
        assert!(libraries.iter().any(|(path, _)| path.contains("ld-linux")), "{libraries:?}");
    }
}

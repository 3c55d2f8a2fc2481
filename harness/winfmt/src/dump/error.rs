//! Why a dump cannot be read.

use std::io;

/// Why a file is not readable as a dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// No kernel dump.
    #[error("not a kernel dump: it starts with neither PAGEDU64 nor PAGEDUMP{}", hint(.0))]
    NotADump([u8; 8]),
    /// Cut off or inconsistent.
    #[error("the dump is damaged: {0}")]
    Damaged(&'static str),
    /// The file could not be read.
    #[error("reading the dump: {0}")]
    Read(#[source] io::Error),
}

fn hint(start: &[u8; 8]) -> &'static str {
    match &start[..4] {
        b"MDMP" => " (a user-mode minidump)",
        b"PAGE" => " (one that was not finished)",
        _ => "",
    }
}

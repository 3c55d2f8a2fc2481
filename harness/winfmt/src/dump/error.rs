//! Why a dump cannot be read.

use std::io;

/// Why a file is not readable as a dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// No kernel dump of 64-bit Windows.
    #[error("not a 64-bit kernel dump: it does not start with PAGEDU64{}", hint(.0))]
    NotADump([u8; 8]),
    /// A kind that this crate does not know.
    #[error("dump type {0} is not known")]
    UnknownKind(u32),
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
        b"PAGE" => " (a dump of 32-bit Windows, or one that was not finished)",
        _ => "",
    }
}

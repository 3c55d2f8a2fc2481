//! What a program's or driver's file says of itself: machine, checksum, version, embedded signature.
//!
//! The file is hostile input: each reader is bounded and gives what it could read. Trust is not decided
//! here: neither the signature's own mathematics, nor the chain of certificates, nor revocation is
//! checked. What is said is who *claims* to have signed, and whether the bytes are the ones that the
//! signature speaks of. Most files of Windows itself carry no signature; a catalogue has it.

mod headers;
mod signature;
#[cfg(test)]
mod tests;
mod version;

use serde::{Deserialize, Serialize};

pub use signature::Signature;
pub use version::Version;

use crate::Known;
use headers::Headers;

/// No PE file, or one whose headers are damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutableError {
    /// It is something else.
    #[error("no PE file: {0}")]
    NotAnExecutable(&'static str),
    /// Its headers cannot be.
    #[error("the PE file's headers are damaged: {0}")]
    Damaged(&'static str),
}

/// What a PE file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Executable {
    /// Its size in bytes.
    pub size: u64,
    /// The processor that it is for: `x86-64`, `x86`, `arm64`, `arm`, or the number of another.
    pub machine: String,
    /// It is for the native subsystem: a driver, or a program that runs before any subsystem.
    pub native: bool,
    /// It is a library (`IMAGE_FILE_DLL`).
    pub library: bool,
    /// `TimeDateStamp` as stored: seconds since 1970, or a hash of the file in newer builds of Windows.
    pub timestamp: u32,
    /// Its checksum. The loader refuses a boot driver whose checksum is wrong.
    pub checksum: Checksum,
    /// Its version resource.
    pub version: Known<Version>,
    /// Its embedded signature. Absent: there is none, and it may still be signed by a catalogue.
    pub signature: Known<Signature>,
}

/// The checksum in the header, and that of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checksum {
    /// As stored; 0 means that nobody made one.
    pub stored: u32,
    /// As it should be.
    pub computed: u32,
    /// Both are the same.
    pub right: bool,
}

impl Executable {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ExecutableError`].
    pub fn read(bytes: &[u8]) -> Result<Self, ExecutableError> {
        let headers = Headers::parse(bytes)?;
        let computed = checksum(bytes, headers.checksum_at);
        Ok(Self {
            size: bytes.len() as u64,
            machine: match headers.machine {
                0x8664 => "x86-64".to_owned(),
                0x014c => "x86".to_owned(),
                0xaa64 => "arm64".to_owned(),
                0x01c4 => "arm".to_owned(),
                other => format!("{other:#06x}"),
            },
            native: headers.subsystem == 1,
            library: headers.characteristics & 0x2000 != 0,
            timestamp: headers.timestamp,
            checksum: Checksum {
                stored: headers.checksum,
                computed,
                right: headers.checksum == computed,
            },
            version: Known::read(version::read(bytes, &headers)),
            signature: Known::read(signature::read(bytes, &headers)),
        })
    }
}

/// The checksum of `ImageHlp.dll` (`CheckSumMappedFile`): 16-bit words added with their carry, the
/// field itself left out, and the size.
fn checksum(bytes: &[u8], field: usize) -> u32 {
    let mut sum = 0u64;
    for (index, pair) in bytes.chunks(2).enumerate() {
        let at = index * 2;
        if at >= field && at < field + 4 {
            continue;
        }
        sum += u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 8;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (sum as u32).wrapping_add(bytes.len() as u32)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

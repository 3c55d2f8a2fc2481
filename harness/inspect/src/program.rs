//! What a driver's file says of itself, as far as it tells whose the driver is.

use serde::{Deserialize, Serialize};
use volume::Volume;

use crate::Known;
use crate::executable::Executable;
use crate::opened_disk::read_file;

/// What a service's file says of itself. None of it is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceImage {
    /// Bytes.
    pub size: u64,
    /// Instruction set.
    pub architecture: String,
    /// Whether its checksum is right: the loader refuses a boot driver where it is not.
    pub checksum_right: bool,
    /// Four numbers.
    pub version: Known<String>,
    /// `CompanyName`.
    pub company: Known<String>,
    /// The name on the certificate of the embedded signature. Absent: none is embedded; a catalog may
    /// still cover the file.
    pub signer: Known<String>,
}

/// Windows' largest driver has some ten megabytes.
const MAX_PROGRAM: u64 = 64 << 20;

/// Reads a file's headers, version and signature.
pub(crate) fn read(volume: &mut dyn Volume, file: &str) -> Known<ServiceImage> {
    read_file(volume, file, MAX_PROGRAM)
        .and_then(|bytes| Known::read(Executable::read(&bytes).map(Some)))
        .map(|own| ServiceImage {
            size: own.size,
            version: own.version.as_ref().map(|version| version.file.clone()),
            company: own.version.and_then(|version| optional(version.company)),
            signer: own.signature.and_then(|signature| optional(signature.signer)),
            checksum_right: own.checksum.right,
            architecture: own.machine,
        })
}

fn optional(text: Option<String>) -> Known<String> {
    text.filter(|text| !text.is_empty()).map_or(Known::Absent, Known::Known)
}

//! What a driver's file says of itself, as far as it tells whose the driver is.

use volume::Volume;

use crate::Known;
use crate::executable::Executable;
use crate::opened_disk::read_file;
use crate::services::ServiceImage;

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

//! What a driver's or program's file says of itself.

use volume::Volume;

use crate::Known;
use crate::services::ServiceImage;

/// Reads a file's headers, version and signature.
pub(crate) fn read(_volume: &mut dyn Volume, _file: &str) -> Known<ServiceImage> {
    Known::Unknown("programs are not read yet".to_owned())
}

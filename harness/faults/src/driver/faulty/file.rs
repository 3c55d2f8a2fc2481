//! What is wrong with the file itself, done to the finished image.

use scenario::Defect;

use crate::driver::checksum::checksum_field;

/// Does it.
pub(super) fn damage(image: &mut Vec<u8>, defect: &Defect) {
    match defect {
        Defect::BadChecksum => {
            // Not zero, which would mean that there is none.
            let at = checksum_field(image);
            for byte in &mut image[at..at + 4] {
                *byte ^= 0x5a;
            }
        }
        Defect::Truncated(truncated) => {
            let left = image.len() as u64 * u64::from(truncated.percent.min(99)) / 100;
            image.truncate(left as usize);
        }
        _ => {}
    }
}

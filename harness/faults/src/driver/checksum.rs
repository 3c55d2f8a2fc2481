//! The checksum in the headers of a driver image.

/// Where the checksum lies from the signature of the headers on, in images of both widths.
const CHECKSUM: usize = 4 + 20 + 64;

/// Where the checksum lies in an image that this module made.
pub(crate) fn checksum_field(image: &[u8]) -> usize {
    let headers = u32::from_le_bytes([image[0x3c], image[0x3d], image[0x3e], image[0x3f]]);
    headers as usize + CHECKSUM
}

// The kernel refuses a driver whose checksum does not match (STATUS_IMAGE_CHECKSUM_MISMATCH); the
// writer leaves it zero.
pub(crate) fn patch_checksum(image: &mut [u8]) {
    let at = checksum_field(image);
    let sum = checksum(image, at);
    image[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}

/// The checksum of an image whose checksum field lies at `field`: the 16-bit words' sum with the carry
/// added back, plus the length.
pub(crate) fn checksum(image: &[u8], field: usize) -> u32 {
    let mut sum = 0u32;
    for (index, word) in image.chunks(2).enumerate() {
        if (field..field + 4).contains(&(2 * index)) {
            continue;
        }
        sum += u32::from(u16::from_le_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum + image.len() as u32
}

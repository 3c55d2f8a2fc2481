//! The smallest native PE images: a driver whose `DriverEntry` says success, and a program that does
//! nothing. They stand where Windows has its own files, so that what looks for a file, its machine
//! and its checksum finds one.

/// What the image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A kernel driver, subsystem native.
    Driver,
    /// A boot application, subsystem 16.
    BootApplication,
}

const FILE_ALIGNMENT: u32 = 0x200;
const SECTION_ALIGNMENT: u32 = 0x1000;
const HEADERS: u32 = 0x200;

/// Builds an image. The same arguments give the same bytes. `name` is kept as text in it.
pub(super) fn minimal(kind: Kind, name: &str) -> Vec<u8> {
    // xor eax, eax; ret
    let mut text = vec![0x31, 0xC0, 0xC3];
    text.resize(16, 0xCC);
    text.extend_from_slice(format!("loopbreak understudy, stands for {name}\0").as_bytes());
    let raw = (text.len() as u32).next_multiple_of(FILE_ALIGNMENT);

    let mut image = Vec::new();
    // DOS header: only the magic and the offset of the PE header count.
    image.extend_from_slice(b"MZ");
    image.resize(0x3C, 0);
    put(&mut image, &0x40_u32.to_le_bytes());
    // Signature and file header: x86-64, one section, no time, optional header of 240 bytes,
    // executable and large-address-aware.
    put(&mut image, b"PE\0\0");
    put(&mut image, &0x8664_u16.to_le_bytes());
    put(&mut image, &1_u16.to_le_bytes());
    put(&mut image, &[0; 12]);
    put(&mut image, &240_u16.to_le_bytes());
    put(&mut image, &0x0022_u16.to_le_bytes());
    // Optional header, PE32+.
    let (base, subsystem) = match kind {
        Kind::Driver => (0x1_4000_0000_u64, 1_u16),
        Kind::BootApplication => (0x1_0000_0000, 16),
    };
    put(&mut image, &0x020B_u16.to_le_bytes());
    put(&mut image, &[14, 0]);
    for size in [raw, 0, 0, SECTION_ALIGNMENT, SECTION_ALIGNMENT] {
        put(&mut image, &size.to_le_bytes());
    }
    put(&mut image, &base.to_le_bytes());
    put(&mut image, &SECTION_ALIGNMENT.to_le_bytes());
    put(&mut image, &FILE_ALIGNMENT.to_le_bytes());
    for version in [10_u16, 0, 10, 0, 10, 0] {
        put(&mut image, &version.to_le_bytes());
    }
    put(&mut image, &[0; 4]);
    put(&mut image, &(2 * SECTION_ALIGNMENT).to_le_bytes());
    put(&mut image, &HEADERS.to_le_bytes());
    let checksum_at = image.len();
    put(&mut image, &[0; 4]);
    put(&mut image, &subsystem.to_le_bytes());
    // NX compatible. Not relocatable at will: there is nothing to relocate.
    put(&mut image, &0x0100_u16.to_le_bytes());
    for size in [0x10_0000_u64, 0x1000, 0x10_0000, 0x1000] {
        put(&mut image, &size.to_le_bytes());
    }
    put(&mut image, &[0; 4]);
    put(&mut image, &16_u32.to_le_bytes());
    put(&mut image, &[0; 16 * 8]);
    // The section: code, readable and executable, not pageable.
    put(&mut image, b".text\0\0\0");
    for field in [text.len() as u32, SECTION_ALIGNMENT, raw, HEADERS, 0, 0, 0, 0x6800_0020] {
        put(&mut image, &field.to_le_bytes());
    }
    image.resize(HEADERS as usize, 0);
    put(&mut image, &text);
    image.resize((HEADERS + raw) as usize, 0);
    let checksum = checksum(&image).to_le_bytes();
    image[checksum_at..checksum_at + 4].copy_from_slice(&checksum);
    image
}

fn put(image: &mut Vec<u8>, bytes: &[u8]) {
    image.extend_from_slice(bytes);
}

/// The checksum of an image whose checksum field is zero (Windows' `CheckSumMappedFile`): the
/// 16-bit words added with carry, plus the length.
fn checksum(image: &[u8]) -> u32 {
    let sum = image.chunks(2).fold(0_u32, |sum, word| {
        let word = u32::from(word[0]) | u32::from(word.get(1).copied().unwrap_or(0)) << 8;
        let sum = sum + word;
        (sum & 0xFFFF) + (sum >> 16)
    });
    sum + image.len() as u32
}

#[cfg(test)]
mod tests {
    use object::read::pe::PeFile64;

    use super::{Kind, minimal};

    #[test]
    fn a_minimal_driver_is_an_image_for_this_machine() {
        let image = minimal(Kind::Driver, "disk.sys");
        let file = PeFile64::parse(&*image).expect("a PE image");
        let headers = file.nt_headers();
        assert_eq!(headers.file_header.machine.get(object::LittleEndian).0, 0x8664);
        assert_eq!(headers.optional_header.subsystem.get(object::LittleEndian).0, 1);
        assert_eq!(
            headers.optional_header.address_of_entry_point.get(object::LittleEndian),
            0x1000
        );
        assert_ne!(headers.optional_header.check_sum.get(object::LittleEndian), 0);
        assert_eq!(image, minimal(Kind::Driver, "disk.sys"));
    }
}

//! Flat images, for tests: an image whose parts lie in the file as they do in memory, with an alignment below a page,
//! as linkers of the nineties made drivers.

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// A sound image with addresses of its sections unchanged: the file becomes what lies in memory.
pub(super) fn flattened(file: &[u8], alignment: u32) -> Vec<u8> {
    let pe = u32_at(file, 0x3C) as usize;
    let sections = usize::from(u16::from_le_bytes([file[pe + 6], file[pe + 7]]));
    let size = u32_at(file, pe + 24 + 56).next_multiple_of(0x1000);
    let mut out = vec![0; size as usize];
    let headers = u32_at(file, pe + 24 + 60) as usize;
    out[..headers].copy_from_slice(&file[..headers]);
    for section in 0..sections {
        let at = pe + 24 + 240 + 40 * section;
        let (virtual_size, address) = (u32_at(file, at + 8), u32_at(file, at + 12));
        let (raw, offset) = (u32_at(file, at + 16), u32_at(file, at + 20) as usize);
        let part = raw.min(virtual_size) as usize;
        out[address as usize..address as usize + part]
            .copy_from_slice(&file[offset..offset + part]);
        let whole = virtual_size.next_multiple_of(alignment);
        out[at + 16..at + 20].copy_from_slice(&whole.to_le_bytes());
        out[at + 20..at + 24].copy_from_slice(&address.to_le_bytes());
    }
    for field in [32, 36] {
        out[pe + 24 + field..pe + 24 + field + 4].copy_from_slice(&alignment.to_le_bytes());
    }
    let sum = super::pe::checksum(&out).expect("an image");
    out[pe + 24 + 64..pe + 24 + 68].copy_from_slice(&sum.to_le_bytes());
    out
}

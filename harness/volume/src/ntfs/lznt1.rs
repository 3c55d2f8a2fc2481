//! LZNT1, the compression of NTFS (\[MS-XCA\] 2.5).

/// Decompresses one compression unit of at most `limit` bytes. `None` if the data is malformed.
pub(crate) fn decompress(mut data: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(limit);
    while out.len() < limit && data.len() >= 2 {
        let header = u16::from_le_bytes([data[0], data[1]]);
        if header == 0 {
            break;
        }
        let len = usize::from(header & 0x0fff) + 1;
        let chunk = data.get(2..2 + len)?;
        let start = out.len();
        if header & 0x8000 == 0 {
            out.extend(chunk);
        } else {
            expand(chunk, &mut out, start)?;
        }
        // A chunk stands for 4096 bytes; a shorter one but the last is filled with zeros.
        data = &data[2 + len..];
        if data.len() >= 2 && data[..2] != [0, 0] {
            out.resize(start + 4096, 0);
        }
    }
    out.truncate(limit);
    Some(out)
}

/// Expands one compressed chunk, whose output starts at `start`.
fn expand(mut chunk: &[u8], out: &mut Vec<u8>, start: usize) -> Option<()> {
    while let Some((&flags, rest)) = chunk.split_first() {
        chunk = rest;
        for bit in 0..8 {
            let Some((&first, rest)) = chunk.split_first() else { break };
            if flags & 1 << bit == 0 {
                out.push(first);
                chunk = rest;
            } else {
                let (&second, rest) = rest.split_first()?;
                let token = u16::from_le_bytes([first, second]);
                let done = out.len() - start;
                // The further into the chunk, the more bits the distance has.
                let mut length_bits = 12;
                while length_bits > 4 && done > 1 << (16 - length_bits) {
                    length_bits -= 1;
                }
                let distance = usize::from(token >> length_bits) + 1;
                let length = usize::from(token & ((1 << length_bits) - 1)) + 3;
                if distance > done {
                    return None;
                }
                for _ in 0..length {
                    out.push(out[out.len() - distance]);
                }
                chunk = rest;
            }
            if out.len() - start > 4096 {
                return None;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_specification() {
        // [MS-XCA] 3.2.
        let compressed = [
            0x38, 0xb0, 0x88, 0x46, 0x23, 0x20, 0x00, 0x20, 0x47, 0x20, 0x41, 0x00, 0x10, 0xa2,
            0x47, 0x01, 0xa0, 0x45, 0x20, 0x44, 0x00, 0x08, 0x45, 0x01, 0x50, 0x79, 0x00, 0xc0,
            0x45, 0x20, 0x05, 0x24, 0x13, 0x88, 0x05, 0xb4, 0x02, 0x4a, 0x44, 0xef, 0x03, 0x58,
            0x02, 0x8c, 0x09, 0x16, 0x01, 0x48, 0x45, 0x00, 0xbe, 0x00, 0x9e, 0x00, 0x04, 0x01,
            0x18, 0x90, 0x00,
        ];
        let plain = b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E \
            E F# D E F# G F# D E F# G F# E D E A F# F# G A A G F# E D D E F# E D D\0";
        assert_eq!(decompress(&compressed, 4096).unwrap(), plain);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(data in prop::collection::vec(any::<u8>(), 0..256)) {
            if let Some(plain) = decompress(&data, 8192) {
                prop_assert!(plain.len() <= 8192);
            }
        }
    }
}

//! XPRESS with Huffman codes (\[MS-XCA\] 2.2, "LZ77+Huffman"), one chunk by itself.

use super::bits::Bits;
use super::copy_match;
use super::huffman::Code;

/// Bytes of the lengths of the codes: 512 symbols of four bits.
const LENGTHS: usize = 256;
/// Symbols below are bytes, the others the heads of matches.
const BYTES: u16 = 256;
/// Shortest match.
const SHORTEST: usize = 3;

/// Fills `out`. `None` if the chunk is malformed.
pub(super) fn decompress(input: &[u8], out: &mut [u8]) -> Option<()> {
    let (lengths, input) = input.split_at_checked(LENGTHS)?;
    let lengths: Vec<u8> = lengths.iter().flat_map(|two| [two & 15, two >> 4]).collect();
    let code = Code::new(&lengths)?;
    let mut bits = Bits::new(input);
    let mut at = 0;
    while at < out.len() {
        let symbol = code.read(&mut bits)?;
        if symbol < BYTES {
            out[at] = symbol as u8;
            at += 1;
            continue;
        }
        let head = symbol - BYTES;
        // A long length lies in bytes behind the words that were begun before the distance is read.
        bits.fill();
        let distance_bits = u32::from(head >> 4);
        let distance = 1 << distance_bits | bits.take(distance_bits)? as usize;
        let mut length = usize::from(head & 15);
        if length == 15 {
            let more = usize::from(bits.byte()?);
            length += more;
            if more == 0xff {
                length = usize::from(u16::from_le_bytes([bits.byte()?, bits.byte()?]));
                if length < 15 {
                    return None;
                }
            }
        }
        at = copy_match(out, at, distance, length + SHORTEST)?;
    }
    Some(())
}

//! LZX as WIM archives and WOF have it (\[MS-PATCH\], with the changes of the WIM format): chunks of 32 KiB, each by
//! itself.
//!
//! Against LZX in cabinets: nothing is carried over from chunk to chunk, the size of a block is one bit or 16, and the
//! targets of calls are always translated, as in a file of 12,000,000 bytes.

use super::bits::Bits;
use super::copy_match;
use super::huffman::Code;

/// The window, and so the longest chunk.
pub(super) const WINDOW: usize = 32 << 10;
/// Symbols below are bytes, the others the heads of matches.
const BYTES: usize = 256;
/// Classes of distances in a window of this size.
const SLOTS: usize = 30;
/// Lengths that the head of a match has room for; the last one says that a symbol of the length code follows.
const HEADS: usize = 8;
const LENGTH_SYMBOLS: usize = 249;
const SHORTEST: usize = 2;
/// From this class on the low three bits of a distance have a code of their own in an aligned block.
const FIRST_ALIGNED: usize = 8;
/// What the encoder took for the size of the file when it translated the targets of calls.
const FILE_SIZE: i32 = 12_000_000;

/// What goes from block to block.
struct State {
    main: [u8; BYTES + SLOTS * HEADS],
    length: [u8; LENGTH_SYMBOLS],
    /// The last distances.
    recent: [u32; 3],
}

/// Fills `out`. `None` if the chunk is malformed.
pub(super) fn decompress(input: &[u8], out: &mut [u8]) -> Option<()> {
    let mut bits = Bits::new(input);
    let mut state =
        State { main: [0; BYTES + SLOTS * HEADS], length: [0; LENGTH_SYMBOLS], recent: [1; 3] };
    let mut at = 0;
    while at < out.len() {
        let kind = bits.take(3)?;
        let size = if bits.take(1)? == 1 { WINDOW } else { bits.take(16)? as usize };
        // An empty block would let a hostile chunk go on for nothing.
        if size == 0 || size > out.len() - at {
            return None;
        }
        match kind {
            1 => compressed_block(&mut bits, &mut state, None, out, at, at + size)?,
            2 => {
                let mut lengths = [0; 8];
                for length in &mut lengths {
                    *length = bits.take(3)? as u8;
                }
                let aligned = Code::new(&lengths)?;
                compressed_block(&mut bits, &mut state, Some(&aligned), out, at, at + size)?;
            }
            3 => stored_block(&mut bits, &mut state, &mut out[at..at + size])?,
            _ => return None,
        }
        at += size;
    }
    translate_calls(out);
    Some(())
}

/// A block of bytes as they are, between new last distances and padding.
fn stored_block(bits: &mut Bits<'_>, state: &mut State, out: &mut [u8]) -> Option<()> {
    bits.align()?;
    for recent in &mut state.recent {
        let bytes = bits.bytes(4)?;
        *recent = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if *recent == 0 {
            return None;
        }
    }
    out.copy_from_slice(bits.bytes(out.len())?);
    if out.len() % 2 == 1 {
        bits.byte()?;
    }
    Some(())
}

/// A block of literals and matches, from `at` to `end` of the chunk.
fn compressed_block(
    bits: &mut Bits<'_>,
    state: &mut State,
    aligned: Option<&Code>,
    out: &mut [u8],
    mut at: usize,
    end: usize,
) -> Option<()> {
    let (bytes, matches) = state.main.split_at_mut(BYTES);
    read_lengths(bits, bytes)?;
    read_lengths(bits, matches)?;
    read_lengths(bits, &mut state.length)?;
    let (main, lengths) = (Code::new(&state.main)?, Code::new(&state.length)?);
    while at < end {
        let symbol = usize::from(main.read(bits)?);
        if symbol < BYTES {
            out[at] = symbol as u8;
            at += 1;
            continue;
        }
        let (slot, head) = ((symbol - BYTES) / HEADS, (symbol - BYTES) % HEADS);
        let more = if head == HEADS - 1 { usize::from(lengths.read(bits)?) } else { 0 };
        let distance = match slot {
            0..=2 => {
                let distance = state.recent[slot];
                state.recent[slot] = state.recent[0];
                distance
            }
            _ => {
                let distance = read_distance(bits, slot, aligned)?;
                state.recent[2] = state.recent[1];
                state.recent[1] = state.recent[0];
                distance
            }
        };
        state.recent[0] = distance;
        at = copy_match(&mut out[..end], at, distance as usize, head + more + SHORTEST)?;
    }
    Some(())
}

/// A distance of class `slot`, which is 3 at least. The first distances stand for those used last, so all are stored
/// larger by two.
fn read_distance(bits: &mut Bits<'_>, slot: usize, aligned: Option<&Code>) -> Option<u32> {
    let extra = (slot / 2 - 1) as u32;
    let base = (2 | slot as u32 & 1) << extra;
    let rest = match aligned {
        Some(code) if slot >= FIRST_ALIGNED => {
            bits.take(extra - 3)? << 3 | u32::from(code.read(bits)?)
        }
        _ => bits.take(extra)?,
    };
    Some(base + rest - 2)
}

/// Lengths of codes, as differences from those of the block before, in a code of their own.
fn read_lengths(bits: &mut Bits<'_>, lengths: &mut [u8]) -> Option<()> {
    let mut own = [0; 20];
    for length in &mut own {
        *length = bits.take(4)? as u8;
    }
    let code = Code::new(&own)?;
    let changed = |old: u8, by: u16| ((u16::from(old) + 17 - by) % 17) as u8;
    let mut at = 0;
    while at < lengths.len() {
        let (run, value) = match code.read(bits)? {
            by @ 0..=16 => (1, changed(lengths[at], by)),
            17 => (4 + bits.take(4)?, 0),
            18 => (20 + bits.take(5)?, 0),
            _ => {
                let run = 4 + bits.take(1)?;
                let by = code.read(bits)?;
                if by > 16 {
                    return None;
                }
                (run, changed(lengths[at], by))
            }
        };
        lengths.get_mut(at..at + run as usize)?.fill(value);
        at += run as usize;
    }
    Some(())
}

/// Takes back what the encoder did to everything that looks like a call of x86 (`E8` and four bytes): its target was
/// made one from the start of the chunk.
fn translate_calls(data: &mut [u8]) {
    let end = data.len().saturating_sub(10);
    let mut at = 0;
    while at < end {
        if data[at] != 0xe8 {
            at += 1;
            continue;
        }
        let position = at as i32;
        let target = &mut data[at + 1..at + 5];
        let absolute = i32::from_le_bytes([target[0], target[1], target[2], target[3]]);
        if (0..FILE_SIZE).contains(&absolute) {
            target.copy_from_slice(&(absolute - position).to_le_bytes());
        } else if (-position..0).contains(&absolute) {
            target.copy_from_slice(&(absolute + FILE_SIZE).to_le_bytes());
        }
        at += 5;
    }
}

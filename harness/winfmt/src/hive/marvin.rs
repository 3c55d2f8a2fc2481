//! Marvin32, the hash that guards the entries of transaction logs.

/// The seed that Windows uses for them (regf specification, "Log entries", note 3), low half first.
const SEED: (u32, u32) = (0x7a4e_55c5, 0x82ef_4d88);

/// The 64 bits of the hash, first half low.
pub(super) fn marvin32(bytes: &[u8]) -> u64 {
    let mut state = SEED;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        mix(&mut state, u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    }
    // The end is marked by a byte 0x80 behind the last one.
    let mut last = [0; 4];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    mix(&mut state, u32::from_le_bytes(last));
    mix(&mut state, 0);
    u64::from(state.1) << 32 | u64::from(state.0)
}

fn mix((low, high): &mut (u32, u32), word: u32) {
    *low = low.wrapping_add(word);
    *high ^= *low;
    *low = low.rotate_left(20).wrapping_add(*high);
    *high = high.rotate_left(9) ^ *low;
    *low = low.rotate_left(27).wrapping_add(*high);
    *high = high.rotate_left(19);
}

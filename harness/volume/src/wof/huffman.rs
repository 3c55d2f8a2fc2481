//! Canonical Huffman codes, of which only the lengths are stored.

use super::bits::Bits;

/// Longest code of both codings, in bits.
const LONGEST: usize = 16;
/// Codes up to this length are looked up at once.
const FAST: u32 = 9;

/// A code to read with.
pub(super) struct Code {
    /// By the next [`FAST`] bits: the symbol and the length of its code, which is 0 where the code is longer.
    fast: Vec<(u16, u8)>,
    /// The symbols by length, then by value.
    symbols: Vec<u16>,
    /// How many codes there are of each length.
    counts: [u16; LONGEST + 1],
}

impl Code {
    /// The code of these lengths, none above 16; 0 is a symbol without a code. `None` if they are no code, or one that
    /// leaves bits without a meaning. A code without any symbol is taken: nothing can be read with it.
    pub(super) fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0_u16; LONGEST + 1];
        for &length in lengths.iter().filter(|&&length| length > 0) {
            *counts.get_mut(usize::from(length))? += 1;
        }
        let mut room = 1_i32;
        let mut starts = [0_u16; LONGEST + 2];
        for length in 1..=LONGEST {
            room = 2 * room - i32::from(counts[length]);
            if room < 0 {
                return None;
            }
            starts[length + 1] = starts[length] + counts[length];
        }
        let used = starts[LONGEST + 1];
        if room > 0 && used > 0 {
            return None;
        }
        let mut symbols = vec![0; usize::from(used)];
        let mut fast = vec![(0, 0); 1 << FAST];
        for (symbol, &length) in lengths.iter().enumerate().filter(|&(_, &length)| length > 0) {
            let place = &mut starts[usize::from(length)];
            symbols[usize::from(*place)] = symbol as u16;
            *place += 1;
        }
        // The codes in order fill the table from its start.
        let mut at = 0;
        for &symbol in &symbols {
            let length = lengths[usize::from(symbol)];
            if u32::from(length) > FAST {
                break;
            }
            let span = 1 << (FAST - u32::from(length));
            fast[at..at + span].fill((symbol, length));
            at += span;
        }
        Some(Self { fast, symbols, counts })
    }

    /// The next symbol.
    pub(super) fn read(&self, bits: &mut Bits<'_>) -> Option<u16> {
        let next = bits.peek();
        let (symbol, length) = self.fast[(next >> (LONGEST as u32 - FAST)) as usize];
        if length > 0 {
            bits.skip(u32::from(length))?;
            return Some(symbol);
        }
        // Per length: its first code, and where its symbols begin.
        let (mut first, mut start) = (0_u32, 0_usize);
        for length in 1..=LONGEST {
            let count = u32::from(self.counts[length]);
            let code = next >> (LONGEST - length);
            if code < first + count {
                bits.skip(length as u32)?;
                return self.symbols.get(start + (code - first) as usize).copied();
            }
            first = (first + count) << 1;
            start += count as usize;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_codes_are_read() {
        // 0, 10, 110 and so on, up to 16 bits.
        let mut lengths: Vec<u8> = (1..=16).collect();
        lengths.push(16);
        let code = Code::new(&lengths).unwrap();
        // 0, then 16 ones, then 15 ones and a zero, then 110.
        let words = [0x7fff_u16, 0xffff, 0x6000];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut bits = Bits::new(&bytes);
        let read: Vec<_> = (0..4).map(|_| code.read(&mut bits)).collect();
        assert_eq!(read, [Some(0), Some(16), Some(15), Some(2)]);
        // What is left are ten zeros.
        assert_eq!((0..13).map_while(|_| code.read(&mut bits)).count(), 12);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        assert!(Code::new(&[1, 1, 1]).is_none());
        assert!(Code::new(&[1]).is_none());
        assert!(Code::new(&[17, 1]).is_none());
        let empty = Code::new(&[0; 20]).unwrap();
        assert_eq!(empty.read(&mut Bits::new(&[1, 2, 3, 4])), None);
    }
}

//! Bits as both codings of WOF store them: 16-bit words, little endian, the highest bit first, with bytes between the
//! words.

/// Most bits that are taken at once.
const WORD: u32 = 16;

/// What is left of a chunk. Behind its end it goes on with zeros, so that a code can be looked up there; whoever takes
/// one of them has a malformed chunk.
pub(super) struct Bits<'a> {
    input: &'a [u8],
    /// The next byte that is not in `buffer`.
    next: usize,
    /// The next `count` bits, in the low end.
    buffer: u64,
    count: u32,
    /// How many of them lie behind the end.
    beyond: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { input, next: 0, buffer: 0, count: 0, beyond: 0 }
    }

    /// Has 16 bits at least in the buffer. Where bytes follow, they are behind these.
    pub(super) fn fill(&mut self) {
        while self.count < WORD {
            let word = match self.input.get(self.next..self.next + 2) {
                Some(two) => {
                    self.next += 2;
                    u16::from_le_bytes([two[0], two[1]])
                }
                None => {
                    self.beyond += WORD;
                    0
                }
            };
            self.buffer = self.buffer << WORD | u64::from(word);
            self.count += WORD;
        }
    }

    /// The next 16 bits.
    pub(super) fn peek(&mut self) -> u32 {
        self.fill();
        (self.buffer >> (self.count - WORD)) as u32 & 0xffff
    }

    /// Takes bits that were looked at. `None` if they lie behind the end.
    pub(super) fn skip(&mut self, bits: u32) -> Option<()> {
        self.count = self.count.checked_sub(bits)?;
        (self.count >= self.beyond).then_some(())
    }

    /// Takes at most 16 bits.
    pub(super) fn take(&mut self, bits: u32) -> Option<u32> {
        let value = self.peek() >> (WORD - bits);
        self.skip(bits)?;
        Some(value)
    }

    /// The next byte between the words.
    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = *self.input.get(self.next)?;
        self.next += 1;
        Some(byte)
    }

    /// Drops what is left of the current word, or the next word where none was begun, and gives back what was read
    /// ahead: bytes follow.
    pub(super) fn align(&mut self) -> Option<()> {
        self.fill();
        let rest = self.count % WORD;
        self.skip(if rest == 0 { WORD } else { rest })?;
        if self.beyond > 0 {
            return None;
        }
        self.next -= (self.count / 8) as usize;
        (self.buffer, self.count) = (0, 0);
        Some(())
    }

    /// As many bytes, where no bits were read ahead.
    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.input.get(self.next..self.next.checked_add(len)?)?;
        self.next += len;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_taken_from_the_high_end_of_words() {
        let mut bits = Bits::new(&[0x34, 0x12, 0x78, 0x56]);
        assert_eq!(bits.take(4), Some(1));
        assert_eq!(bits.take(8), Some(0x23));
        assert_eq!(bits.take(16), Some(0x4567));
        assert_eq!(bits.take(4), Some(8));
        assert_eq!(bits.take(0), Some(0));
        assert_eq!(bits.peek(), 0);
        assert_eq!(bits.take(1), None);
    }

    #[test]
    fn bytes_follow_the_words_that_were_begun() {
        let mut bits = Bits::new(&[0, 0x80, 1, 2, 3, 4, 5]);
        assert_eq!(bits.take(1), Some(1));
        bits.align().unwrap();
        assert_eq!(bits.bytes(2), Some(&[1, 2][..]));
        // At the end of a word the next one is skipped whole.
        bits.align().unwrap();
        assert_eq!(bits.byte(), Some(5));
        assert_eq!((bits.byte(), bits.bytes(1), bits.align()), (None, None, None));
    }
}

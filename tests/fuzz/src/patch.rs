//! Changes to a sound file, as a fuzzer can make them: large files stay out of the corpora, and most of each
//! input matters.
//!
//! An input is a row of patches: a position (three bytes, little endian, taken modulo the size), a length
//! (one byte, 1 to 16) and that many bytes. What is cut off at the end is left out.

use std::collections::BTreeMap;
use std::io;

use volume::BlockDevice;

/// One change: these bytes at this position.
type Patch<'a> = (usize, &'a [u8]);

fn patches(mut input: &[u8], size: usize) -> Vec<Patch<'_>> {
    let mut patches = Vec::new();
    while let [a, b, c, length, rest @ ..] = input {
        let length = usize::from(length % 16) + 1;
        if rest.len() < length || size == 0 {
            break;
        }
        let (bytes, rest) = rest.split_at(length);
        let position = usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16;
        patches.push((position % size, bytes));
        input = rest;
    }
    patches
}

/// The sound file with the changes in it. A change that reaches beyond its end is cut.
pub fn applied(base: &[u8], input: &[u8]) -> Vec<u8> {
    let mut file = base.to_vec();
    for (position, bytes) in patches(input, base.len()) {
        let end = (position + bytes.len()).min(file.len());
        file[position..end].copy_from_slice(&bytes[..end - position]);
    }
    file
}

/// An input with these changes.
pub fn encode(patches: &[(u32, &[u8])]) -> Vec<u8> {
    let mut input = Vec::new();
    for (position, bytes) in patches {
        for piece in bytes.chunks(16).zip(0_u32..) {
            let position = position + piece.1 * 16;
            input.extend_from_slice(&position.to_le_bytes()[..3]);
            input.push((piece.0.len() - 1) as u8);
            input.extend_from_slice(piece.0);
        }
    }
    input
}

/// The seeds of a target that takes patches: none, one, several.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("sound", Vec::new()),
        ("one-byte", encode(&[(0x1000, &[0xff])])),
        ("first-bytes", encode(&[(0, &[0; 32])])),
        ("all-over", encode(&[(0x24, &[1]), (0x1004, &[0xff; 4]), (0x4000, &[0x80; 16])])),
    ]
}

const PAGE: usize = 4096;

/// A device that holds a sound volume with changes in it. Only the pages that are written take memory.
pub struct PatchedDevice {
    base: &'static [u8],
    pages: BTreeMap<usize, Box<[u8; PAGE]>>,
}

impl PatchedDevice {
    /// The volume `base` with the changes of `input`.
    pub fn new(base: &'static [u8], input: &[u8]) -> Self {
        let mut device = Self { base, pages: BTreeMap::new() };
        for (position, bytes) in patches(input, base.len()) {
            let end = (position + bytes.len()).min(base.len());
            device.put(position, &bytes[..end - position]);
        }
        device
    }

    fn put(&mut self, position: usize, mut data: &[u8]) {
        let mut position = position;
        while !data.is_empty() {
            let (number, at) = (position / PAGE, position % PAGE);
            let length = data.len().min(PAGE - at);
            let base = self.base;
            let page = self.pages.entry(number).or_insert_with(|| {
                let mut page = Box::new([0; PAGE]);
                let start = number * PAGE;
                let end = (start + PAGE).min(base.len());
                page[..end - start].copy_from_slice(&base[start..end]);
                page
            });
            page[at..at + length].copy_from_slice(&data[..length]);
            data = &data[length..];
            position += length;
        }
    }

    fn range(&self, offset: u64, length: usize) -> Option<usize> {
        let start = usize::try_from(offset).ok()?;
        (start.checked_add(length)? <= self.base.len()).then_some(start)
    }
}

impl BlockDevice for PatchedDevice {
    fn len(&self) -> u64 {
        self.base.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = self
            .range(offset, buffer.len())
            .ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        buffer.copy_from_slice(&self.base[start..start + buffer.len()]);
        let pages = start / PAGE..=(start + buffer.len()) / PAGE;
        for (number, page) in self.pages.range(pages) {
            let page_start = number * PAGE;
            let from = page_start.max(start);
            let to = (page_start + PAGE).min(start + buffer.len());
            if from < to {
                buffer[from - start..to - start]
                    .copy_from_slice(&page[from - page_start..to - page_start]);
            }
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start =
            self.range(offset, data.len()).ok_or(io::Error::from(io::ErrorKind::WriteZero))?;
        self.put(start, data);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

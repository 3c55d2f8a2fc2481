//! Files that CompactOS has compressed, by the filter driver WOF ("Windows Overlay Filter").
//!
//! Such a file has the reparse tag `IO_REPARSE_TAG_WOF`; its unnamed stream is a hole of the file's size, and what it
//! really holds lies in the stream `WofCompressedData`: a table of where the chunks begin, then the chunks, each
//! compressed by itself. Programs on Windows do not see any of that (docs/windows-facts.md, 4.7).
//!
//! This is the format, pure: where the bytes come from is the caller's affair, so that every reader of NTFS here, our
//! own and the other one, gets the same contents. No library does it: `xpress-huffman` takes a chunk that was cut off
//! for a shorter one and bounds neither the length of a match nor the output, `lzxd` reads the LZX of cabinets only,
//! `ms-compress` has another licence.
//!
//! - `bits`, `huffman`: what both codings share. `xpress`, `lzx`: one chunk.

mod bits;
mod huffman;
mod lzx;
#[cfg(test)]
pub(crate) mod tests;
mod xpress;

use crate::Reason;
use std::fmt;

/// The stream that holds the compressed data.
pub const WOF_STREAM: &str = "WofCompressedData";
/// `IO_REPARSE_TAG_WOF` (\[MS-FSCC\] 2.1.2.1).
pub const WOF_TAG: u32 = 0x8000_0017;

/// `WOF_CURRENT_VERSION`, `FILE_PROVIDER_CURRENT_VERSION`.
const VERSION: u32 = 1;
/// `WOF_PROVIDER_WIM`, `WOF_PROVIDER_FILE`.
const PROVIDER_WIM: u32 = 1;
const PROVIDER_FILE: u32 = 2;
/// Bytes that are expanded at a time, as long as there are as many.
const BATCH: u64 = 512 << 10;

/// How the chunks of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WofAlgorithm {
    /// XPRESS with Huffman codes, chunks of 4 KiB: what `compact /exe` takes where none is named.
    Xpress4k,
    /// LZX, chunks of 32 KiB.
    Lzx,
    /// XPRESS with Huffman codes, chunks of 8 KiB.
    Xpress8k,
    /// XPRESS with Huffman codes, chunks of 16 KiB.
    Xpress16k,
}

impl WofAlgorithm {
    /// By its number, `FILE_PROVIDER_COMPRESSION_*`.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Xpress4k, Self::Lzx, Self::Xpress8k, Self::Xpress16k].get(number as usize).copied()
    }

    /// Bytes of a chunk that are compressed together.
    pub fn chunk(self) -> u64 {
        match self {
            Self::Xpress4k => 4 << 10,
            Self::Xpress8k => 8 << 10,
            Self::Xpress16k => 16 << 10,
            Self::Lzx => lzx::WINDOW as u64,
        }
    }
}

impl fmt::Display for WofAlgorithm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Xpress4k => "XPRESS4K",
            Self::Lzx => "LZX",
            Self::Xpress8k => "XPRESS8K",
            Self::Xpress16k => "XPRESS16K",
        })
    }
}

/// A file that WOF has compressed: how, and of which size it and its compressed data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WofFile {
    algorithm: WofAlgorithm,
    /// Bytes of the contents.
    size: u64,
    /// Bytes of the stream of compressed data.
    stored: u64,
}

/// Reads bytes of the compressed data from an offset: all that are asked for, or an error.
pub type WofSource<'a> = dyn FnMut(u64, &mut [u8]) -> Result<(), Reason> + 'a;

impl WofFile {
    /// How a reparse point of the tag [`WOF_TAG`] says that its file is compressed. `point` is the value of the
    /// attribute, with its tag.
    ///
    /// # Errors
    /// [`Reason::Unsupported`] for a file whose data lies in a WIM archive elsewhere, and for numbers that are not
    /// known; [`Reason::Damaged`] if the value is too short.
    pub fn algorithm(point: &[u8]) -> Result<WofAlgorithm, Reason> {
        let number = |at: usize| {
            let field =
                point.get(at..at + 4).ok_or_else(|| damaged("its reparse point is too short"))?;
            Ok(u32::from_le_bytes([field[0], field[1], field[2], field[3]]))
        };
        let unknown = |what: &str, number: u32| {
            Reason::Unsupported(format!(
                "reading a file that is compressed by CompactOS (WOF) with {what} {number}; expand it in the machine: \
                 compact /u /exe"
            ))
        };
        // Behind tag and length: version and provider, then what the provider says.
        match (number(8)?, number(12)?) {
            (VERSION, PROVIDER_FILE) => {}
            (VERSION, PROVIDER_WIM) => {
                return Err(Reason::Unsupported(
                    "reading a file whose contents lie in a WIM archive (WIMBoot); its own volume has none of \
                     them: copy it in the machine, or apply the image without WIMBoot"
                        .to_owned(),
                ));
            }
            (VERSION, provider) => return Err(unknown("the provider", provider)),
            (version, _) => return Err(unknown("the version", version)),
        }
        match number(16)? {
            VERSION => {}
            version => return Err(unknown("the provider's version", version)),
        }
        let algorithm = number(20)?;
        WofAlgorithm::from_number(algorithm).ok_or_else(|| unknown("the algorithm", algorithm))
    }

    /// A file of `size` bytes, compressed to `stored`.
    pub fn new(algorithm: WofAlgorithm, size: u64, stored: u64) -> Self {
        Self { algorithm, size, stored }
    }

    /// Bytes of the contents.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of the contents from `offset`; returns how many there were. What has to be read and expanded for it is
    /// bounded by what is asked for: the chunks that it touches.
    ///
    /// # Errors
    /// [`Reason::Damaged`] with the number of the chunk, and what `source` says.
    pub fn read_at(
        &self,
        offset: u64,
        buffer: &mut [u8],
        source: &mut WofSource<'_>,
    ) -> Result<usize, Reason> {
        let left = self.size.saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let chunk = self.algorithm.chunk();
        let mut plain =
            vec![0; (chunk as usize).min(usize::try_from(self.size).unwrap_or(usize::MAX))];
        let mut done = 0;
        while done < count {
            let first = (offset + done as u64) / chunk;
            let last = (offset + count as u64 - 1) / chunk;
            let places = self.places(first, (last - first + 1).min(BATCH / chunk), source)?;
            let (start, end) = (places[0], places[places.len() - 1]);
            let mut data = vec![0; (end - start) as usize];
            source(start, &mut data)?;
            for (number, place) in (first..).zip(places.windows(2)) {
                let data = &data[(place[0] - start) as usize..(place[1] - start) as usize];
                let plain = &mut plain[..self.length_of(number)];
                self.expand(data, plain).ok_or_else(|| {
                    damaged(&format!("chunk {number} of {} is malformed", self.algorithm))
                })?;
                let within = (offset + done as u64 - number * chunk) as usize;
                let part = (count - done).min(plain.len() - within);
                buffer[done..done + part].copy_from_slice(&plain[within..within + part]);
                done += part;
            }
        }
        Ok(count)
    }

    /// Bytes of a chunk's contents.
    fn length_of(&self, number: u64) -> usize {
        let chunk = self.algorithm.chunk();
        (self.size - number * chunk).min(chunk) as usize
    }

    /// Where chunks lie in the compressed data: the start of each, and the end of the last.
    fn places(
        &self,
        first: u64,
        count: u64,
        source: &mut WofSource<'_>,
    ) -> Result<Vec<u64>, Reason> {
        let chunks = self.size.div_ceil(self.algorithm.chunk());
        // As in a WIM archive: 64-bit numbers in the table of a file that needs them.
        let width: u64 = if self.size > u64::from(u32::MAX) { 8 } else { 4 };
        // The first chunk begins behind the table, so it has no entry.
        let table = (chunks - 1) * width;
        let outside = || damaged("its table of chunks leaves the compressed data");
        if table > self.stored {
            return Err(outside());
        }
        let entries = first.max(1)..(first + count + 1).min(chunks);
        let mut bytes = vec![0; (entries.end.saturating_sub(entries.start) * width) as usize];
        if !bytes.is_empty() {
            source((entries.start - 1) * width, &mut bytes)?;
        }
        let mut places = Vec::new();
        if first == 0 {
            places.push(table);
        }
        for entry in bytes.chunks_exact(width as usize) {
            let mut number = [0; 8];
            number[..entry.len()].copy_from_slice(entry);
            places.push(u64::from_le_bytes(number).checked_add(table).ok_or_else(outside)?);
        }
        if first + count == chunks {
            places.push(self.stored);
        }
        for (number, place) in (first..).zip(places.windows(2)) {
            let stored = place[1].checked_sub(place[0]).filter(|_| place[1] <= self.stored);
            if !stored.is_some_and(|stored| (1..=self.length_of(number) as u64).contains(&stored)) {
                return Err(damaged(&format!(
                    "chunk {number} of {} lies at {} to {} of {} bytes of compressed data",
                    self.algorithm, place[0], place[1], self.stored
                )));
            }
        }
        Ok(places)
    }

    /// One chunk. As long as its contents, it is them.
    fn expand(&self, data: &[u8], plain: &mut [u8]) -> Option<()> {
        if data.len() == plain.len() {
            plain.copy_from_slice(data);
            return Some(());
        }
        match self.algorithm {
            WofAlgorithm::Lzx => lzx::decompress(data, plain),
            _ => xpress::decompress(data, plain),
        }
    }
}

fn damaged(what: &str) -> Reason {
    Reason::Damaged(format!("a file that is compressed by CompactOS (WOF): {what}"))
}

/// Repeats `length` bytes from `distance` before `at`; gives where the output goes on. `None` if they leave it.
fn copy_match(out: &mut [u8], at: usize, distance: usize, length: usize) -> Option<usize> {
    let start = at.checked_sub(distance)?;
    let end = at.checked_add(length).filter(|&end| end <= out.len())?;
    if distance >= length {
        out.copy_within(start..start + length, at);
    } else {
        for position in at..end {
            out[position] = out[position - distance];
        }
    }
    Some(end)
}

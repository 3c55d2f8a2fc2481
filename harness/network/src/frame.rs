//! Frames on the cable: a 4-byte big-endian length, then the frame, both ways.
//!
//! This is what QEMU's `-netdev stream` speaks (windows-facts.md, section 0).

use std::collections::VecDeque;
use std::io;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// No frame is longer than this, in bytes. QEMU itself sends at most 68 KiB with segmentation offload,
/// which this cable does not offer; an Ethernet frame has 1514.
pub(crate) const FRAME_LIMIT: usize = 64 * 1024;

/// Why a cable is cut.
#[derive(Debug, Error)]
pub(crate) enum FrameError {
    /// The stream is not what it should be.
    #[error("a frame of {0} bytes was announced, more than {FRAME_LIMIT}")]
    TooLong(u32),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Collects bytes until frames are complete. Reading can be cancelled at any await.
#[derive(Debug)]
pub(crate) struct FrameReader {
    buffer: Vec<u8>,
    taken: usize,
}

impl FrameReader {
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::with_capacity(2 * FRAME_LIMIT), taken: 0 }
    }

    /// Waits for more bytes; false at the end of the stream.
    pub(crate) async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        Ok(stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// The next complete frame of what was read.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let rest = &self.buffer[self.taken..];
        let Some((head, body)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let announced = u32::from_be_bytes(*head);
        let length = announced as usize;
        if length > FRAME_LIMIT {
            return Err(FrameError::TooLong(announced));
        }
        if body.len() < length {
            return Ok(None);
        }
        let start = self.taken + 4;
        self.taken = start + length;
        Ok(Some(&self.buffer[start..start + length]))
    }
}

/// Frames on their way to the machine, with a bound.
#[derive(Debug, Default)]
pub(crate) struct FrameWriter {
    waiting: VecDeque<u8>,
}

impl FrameWriter {
    /// More than this many bytes waiting, and nothing new is taken from the stack.
    const LIMIT: usize = 4 * FRAME_LIMIT;

    /// True where another frame may be added.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < Self::LIMIT
    }

    /// True where nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a frame. The caller has looked at [`Self::has_room`].
    pub(crate) fn push(&mut self, frame: &[u8]) {
        debug_assert!(frame.len() <= FRAME_LIMIT);
        self.waiting.extend((frame.len() as u32).to_be_bytes());
        self.waiting.extend(frame);
    }

    /// Writes some of what waits. Can be cancelled: what was written is taken off in the same step.
    pub(crate) async fn write_some(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        stream.write_buf(&mut self.waiting).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn an_overlong_frame_is_an_error() {
        let mut reader = FrameReader::new();
        let mut stream: &[u8] = &[0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        assert!(block_on(reader.fill(&mut stream)).unwrap());
        assert!(matches!(reader.next(), Err(FrameError::TooLong(u32::MAX))));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            cut in 1_usize..64,
        ) {
            let mut writer = FrameWriter::default();
            for frame in &frames {
                writer.push(frame);
            }
            let mut bytes = Vec::new();
            while !writer.is_empty() {
                block_on(writer.write_some(&mut bytes)).unwrap();
            }
            let mut reader = FrameReader::new();
            let mut seen: Vec<Vec<u8>> = Vec::new();
            for mut piece in bytes.chunks(cut) {
                block_on(reader.fill(&mut piece)).unwrap();
                while let Some(frame) = reader.next().unwrap() {
                    seen.push(frame.to_vec());
                }
            }
            prop_assert_eq!(seen, frames);
        }
    }
}

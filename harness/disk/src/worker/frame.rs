//! What goes over the socket: frames of a kind, a length and that many bytes.
//!
//! A message (JSON) is one frame. The contents of a file are any number of data frames; on their way to
//! the worker an end frame follows them, or, where they could not be had, an abort frame.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest message: a folder of a hundred thousand names takes some ten megabytes.
const MESSAGE_LIMIT: usize = 64 << 20;
/// The most bytes of a file in one frame.
pub(crate) const DATA_LIMIT: usize = 1 << 20;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// A request or an answer.
    Message,
    /// Bytes of a file.
    Data,
    /// No more bytes follow.
    End,
    /// The rest of the bytes could not be had.
    Abort,
}

impl FrameKind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Message => b'M',
            Self::Data => b'D',
            Self::End => b'E',
            Self::Abort => b'A',
        }
    }

    fn from_byte(byte: u8) -> Option<(Self, usize)> {
        Some(match byte {
            b'M' => (Self::Message, MESSAGE_LIMIT),
            b'D' => (Self::Data, DATA_LIMIT),
            b'E' => (Self::End, 0),
            b'A' => (Self::Abort, 0),
            _ => return None,
        })
    }
}

/// Writes a frame.
pub(crate) fn write_frame(out: &mut impl Write, kind: FrameKind, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut head = [kind.to_byte(), 0, 0, 0, 0];
    head[1..].copy_from_slice(&length.to_le_bytes());
    if payload.len() <= 4096 {
        // One packet: the other side is not woken up twice.
        return out.write_all(&[&head[..], payload].concat());
    }
    out.write_all(&head)?;
    out.write_all(payload)
}

/// Reads a frame into `payload`, which holds just its bytes afterwards.
pub(crate) fn read_frame(input: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<FrameKind> {
    let mut head = [0; 5];
    input.read_exact(&mut head)?;
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let Some((kind, limit)) = FrameKind::from_byte(head[0]) else {
        return Err(invalid(format!("there is no frame of the kind {:#04x}", head[0])));
    };
    if length > limit {
        return Err(invalid(format!("a frame of {length} bytes is longer than {limit}")));
    }
    payload.clear();
    payload.resize(length, 0);
    input.read_exact(payload)?;
    Ok(kind)
}

/// Writes a message.
pub(crate) fn write_message(out: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let payload = serde_json::to_vec(message)?;
    if payload.len() > MESSAGE_LIMIT {
        return Err(invalid(format!("a message of {} bytes is too long", payload.len())));
    }
    write_frame(out, FrameKind::Message, &payload)
}

/// Understands a message.
pub(crate) fn parse<T: DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    serde_json::from_slice(payload).map_err(|error| invalid(error.to_string()))
}

pub(crate) fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_come_back_and_long_ones_are_refused_unread() {
        let mut wire = Vec::new();
        write_frame(&mut wire, FrameKind::Data, &[7; 5000]).unwrap();
        write_frame(&mut wire, FrameKind::End, &[]).unwrap();
        let (mut input, mut payload) = (&wire[..], Vec::new());
        assert_eq!(read_frame(&mut input, &mut payload).unwrap(), FrameKind::Data);
        assert_eq!(payload, [7; 5000]);
        assert_eq!(read_frame(&mut input, &mut payload).unwrap(), FrameKind::End);
        assert!(payload.is_empty());
        for wire in [b"D\x01\x00\x10\x00".as_slice(), b"M\xff\xff\xff\xff", b"E\x01\x00\x00\x00x"] {
            let error = read_frame(&mut &*wire, &mut payload).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            assert!(payload.capacity() < 1 << 20, "room was made for what was announced");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let (mut input, mut payload) = (&bytes[..], Vec::new());
            while read_frame(&mut input, &mut payload).is_ok() {}
        }
    }
}

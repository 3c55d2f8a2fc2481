//! The line between PID 1 and the kernel process: frames of a JSON head and a raw payload.
//!
//! PID 1 trusts nothing that comes from the other side: a driver may have scribbled over it. Frames
//! are bounded and a malformed one ends the kernel process.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::NtStatus;
use super::host::{Change, FileFacts, FileId, OpenRequest, Opened, RegistryValue};
use super::report::DriverOutcome;

const MAX_HEAD: u32 = 8 << 20;
const MAX_PAYLOAD: u32 = 64 << 20;

/// A request of a driver's thread. Raw data travels in the payload.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Call {
    Open(OpenRequest),
    Read { file: FileId, offset: u64, length: u32 },
    Write { file: FileId, offset: u64 },
    SetSize { file: FileId, size: u64 },
    Facts(FileId),
    List(FileId),
    SetDeleteOnClose { file: FileId, delete: bool },
    NotifyChange { directory: FileId, filter: u32, subtree: bool },
    Close(FileId),
    KeyExists(String),
    CreateKey(String),
    DeleteKey(String),
    Subkeys(String),
    Values(String),
    Value { key: String, name: String },
    SetValue { key: String, value: RegistryValue },
    DeleteValue { key: String, name: String },
}

/// The answer to a [`Call`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    /// The payload is the data.
    Data,
    Opened(Opened),
    Facts(FileFacts),
    List(Vec<FileFacts>),
    Changes(Vec<Change>),
    Created(bool),
    Names(Vec<String>),
    /// The payload is the values' data, one after the other, with these lengths.
    Values(Vec<(RegistryValue, u32)>),
}

/// From the kernel process to PID 1.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToHost {
    Call {
        id: u64,
        call: Call,
    },
    Print(String),
    Loaded {
        id: u64,
        outcome: DriverOutcome,
    },
    Unloaded {
        id: u64,
        status: NtStatus,
    },
    /// Code at raised IRQL keeps the processor, or has given it back.
    Processor {
        taken: bool,
    },
}

/// From PID 1 to the kernel process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToKernel {
    Reply {
        id: u64,
        answer: Result<Answer, NtStatus>,
    },
    /// The payload is the image file.
    Load {
        id: u64,
        name: String,
        path: String,
        service_key: String,
        check_checksum: bool,
    },
    Unload {
        id: u64,
        name: String,
    },
    /// A session can begin.
    Session,
}

pub(super) fn send(mut to: impl Write, head: &impl Serialize, payload: &[u8]) -> io::Result<()> {
    let head = serde_json::to_vec(head).map_err(io::Error::other)?;
    let (Ok(head_size), Ok(payload_size)) =
        (u32::try_from(head.len()), u32::try_from(payload.len()))
    else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "frame too large"));
    };
    if head_size > MAX_HEAD || payload_size > MAX_PAYLOAD {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "frame too large"));
    }
    let mut frame = Vec::with_capacity(8 + head.len() + payload.len());
    frame.extend_from_slice(&head_size.to_le_bytes());
    frame.extend_from_slice(&payload_size.to_le_bytes());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(payload);
    to.write_all(&frame)
}

pub(super) fn receive<T: DeserializeOwned>(mut from: impl Read) -> io::Result<(T, Vec<u8>)> {
    let mut sizes = [0; 8];
    from.read_exact(&mut sizes)?;
    let head = u32::from_le_bytes([sizes[0], sizes[1], sizes[2], sizes[3]]);
    let payload = u32::from_le_bytes([sizes[4], sizes[5], sizes[6], sizes[7]]);
    if head > MAX_HEAD || payload > MAX_PAYLOAD {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too large"));
    }
    let mut bytes = vec![0; head as usize];
    from.read_exact(&mut bytes)?;
    let message = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    let mut bytes = vec![0; payload as usize];
    from.read_exact(&mut bytes)?;
    Ok((message, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip_and_oversized_ones_are_refused() {
        let mut line = Vec::new();
        let call = Call::Read { file: FileId(7), offset: 1 << 40, length: 512 };
        send(&mut line, &ToHost::Call { id: 3, call }, b"payload").unwrap();
        let (head, payload) = receive::<ToHost>(line.as_slice()).unwrap();
        assert!(matches!(
            head,
            ToHost::Call { id: 3, call: Call::Read { file: FileId(7), length: 512, .. } }
        ));
        assert_eq!(payload, b"payload");

        line[0..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(receive::<ToHost>(line.as_slice()).is_err());
        assert!(receive::<ToHost>(&line[..5]).is_err());
    }
}

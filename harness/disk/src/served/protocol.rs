//! The server's side of the NBD protocol, as far as QEMU needs it: fixed newstyle handshake, simple replies,
//! read, write and flush. <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>
//!
//! The client is QEMU, which runs a guest that may have broken out of it: lengths are bounded, and whoever
//! says something else than the protocol is not listened to any more.

use std::io::{self, Read, Write};

const MAGIC: &[u8; 8] = b"NBDMAGIC";
const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;
/// Fixed newstyle, no zeroes.
const HANDSHAKE_FLAGS: u16 = 3;
/// Has flags, takes flushes: the guest sees a drive with a write cache.
const TRANSMISSION_FLAGS: u16 = 1 | 1 << 2;
const OPTION_EXPORT_NAME: u32 = 1;
const OPTION_ABORT: u32 = 2;
const OPTION_INFO: u32 = 6;
const OPTION_GO: u32 = 7;
const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const REPLY_UNSUPPORTED: u32 = 0x8000_0001;
const INFO_EXPORT: u16 = 0;
const INFO_BLOCK_SIZE: u16 = 3;
const COMMAND_READ: u16 = 0;
const COMMAND_WRITE: u16 = 1;
const COMMAND_DISCONNECT: u16 = 2;
const COMMAND_FLUSH: u16 = 3;
const EINVAL: u32 = 22;
/// The longest option that is read: an export's name has at most 4096 bytes.
const MAX_OPTION: u32 = 8192;
/// Options of one handshake. QEMU sends three.
const MAX_OPTIONS: usize = 32;
/// The longest read or write, as the client is told.
pub(super) const MAX_REQUEST: u32 = 32 << 20;

/// What the machine asks of its disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// How many bytes it has.
    Size,
    /// Bytes from an offset.
    Read { offset: u64, length: u32 },
    /// Bytes to an offset.
    Write { offset: u64, data: &'a [u8] },
    /// That everything written reach the medium.
    Flush,
}

/// What the disk answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Size(u64),
    Data(Vec<u8>),
    Done,
    /// NBD's number of the error.
    Failed(u32),
}

/// Serves one client until it goes. Where `disk` has no answer, the client gets none: it waits, as a machine
/// whose disk has no power.
///
/// # Errors
/// The socket failed, or the client does not speak the protocol.
pub(super) fn serve<S>(
    mut stream: S,
    mut disk: impl FnMut(Request<'_>) -> Option<Answer>,
) -> io::Result<()>
where
    S: Read + Write,
{
    let Some(Answer::Size(size)) = disk(Request::Size) else {
        return Err(wrong("there is no power"));
    };
    if !handshake(&mut stream, size)? {
        return Ok(());
    }
    let mut data = Vec::new();
    loop {
        let mut head = [0; 28];
        match stream.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        if be32(&head) != REQUEST_MAGIC {
            return Err(wrong("a request does not begin as one"));
        }
        let (command, handle) = (be16(&head[6..]), &head[8..16]);
        let (offset, length) = (be64(&head[16..]), be32(&head[24..]));
        if length > MAX_REQUEST {
            return Err(wrong("a request is longer than 32 MiB"));
        }
        let answer = match command {
            COMMAND_READ => disk(Request::Read { offset, length }),
            COMMAND_WRITE => {
                data.resize(length as usize, 0);
                stream.read_exact(&mut data)?;
                disk(Request::Write { offset, data: &data })
            }
            COMMAND_FLUSH => disk(Request::Flush),
            COMMAND_DISCONNECT => return Ok(()),
            _ => Some(Answer::Failed(EINVAL)),
        };
        let (error, bytes) = match answer {
            None => continue,
            Some(Answer::Failed(error)) => (error, Vec::new()),
            Some(Answer::Data(bytes)) => (0, bytes),
            Some(Answer::Done | Answer::Size(_)) => (0, Vec::new()),
        };
        let mut reply = Vec::with_capacity(16 + bytes.len());
        reply.extend(REPLY_MAGIC.to_be_bytes());
        reply.extend(error.to_be_bytes());
        reply.extend(handle);
        reply.extend(bytes);
        stream.write_all(&reply)?;
    }
}

/// False: the client has gone again.
fn handshake(stream: &mut (impl Read + Write), size: u64) -> io::Result<bool> {
    let mut greeting = MAGIC.to_vec();
    greeting.extend(OPTION_MAGIC.to_be_bytes());
    greeting.extend(HANDSHAKE_FLAGS.to_be_bytes());
    stream.write_all(&greeting)?;
    let mut flags = [0; 4];
    stream.read_exact(&mut flags)?;
    let no_zeroes = be32(&flags) & 2 != 0;
    for _ in 0..MAX_OPTIONS {
        let mut head = [0; 16];
        stream.read_exact(&mut head)?;
        let (magic, option, length) = (be64(&head), be32(&head[8..]), be32(&head[12..]));
        if magic != OPTION_MAGIC || length > MAX_OPTION {
            return Err(wrong("an option of the handshake cannot be understood"));
        }
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload)?;
        match option {
            OPTION_EXPORT_NAME => {
                let mut answer = size.to_be_bytes().to_vec();
                answer.extend(TRANSMISSION_FLAGS.to_be_bytes());
                answer.resize(answer.len() + if no_zeroes { 0 } else { 124 }, 0);
                stream.write_all(&answer)?;
                return Ok(true);
            }
            OPTION_GO | OPTION_INFO => {
                let mut export = INFO_EXPORT.to_be_bytes().to_vec();
                export.extend(size.to_be_bytes());
                export.extend(TRANSMISSION_FLAGS.to_be_bytes());
                reply(stream, option, REPLY_INFO, &export)?;
                let mut blocks = INFO_BLOCK_SIZE.to_be_bytes().to_vec();
                for number in [512, 4096, MAX_REQUEST] {
                    blocks.extend(number.to_be_bytes());
                }
                reply(stream, option, REPLY_INFO, &blocks)?;
                reply(stream, option, REPLY_ACK, &[])?;
                if option == OPTION_GO {
                    return Ok(true);
                }
            }
            OPTION_ABORT => {
                reply(stream, option, REPLY_ACK, &[])?;
                return Ok(false);
            }
            _ => reply(stream, option, REPLY_UNSUPPORTED, &[])?,
        }
    }
    Err(wrong("the handshake does not end"))
}

fn reply(stream: &mut impl Write, option: u32, kind: u32, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut bytes = OPTION_REPLY_MAGIC.to_be_bytes().to_vec();
    bytes.extend(option.to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(payload);
    stream.write_all(&bytes)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn be16(bytes: &[u8]) -> u16 {
    bytes.iter().take(2).fold(0, |value, byte| value << 8 | u16::from(*byte))
}

fn be32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn be64(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

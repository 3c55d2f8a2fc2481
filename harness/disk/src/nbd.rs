//! A client of the NBD protocol, as far as `qemu-storage-daemon` needs it: fixed newstyle handshake,
//! simple replies, read, write and flush. <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use volume::BlockDevice;

const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const OPTION_GO: u32 = 7;
const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const INFO_EXPORT: u16 = 0;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;
/// Bytes of one request. The protocol's limit where the server names none is 32 MiB.
const CHUNK: usize = 1 << 20;

/// A server that is silent for so long is given up. A flush of a large overlay on a slow disk takes
/// seconds.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy)]
enum Request {
    Read = 0,
    Write = 1,
    Disconnect = 2,
    Flush = 3,
}

/// An export of an NBD server, as a block device.
#[derive(Debug)]
pub(crate) struct NbdDevice {
    stream: UnixStream,
    len: u64,
    handle: u64,
}

/// A connection to a server, before anything was said.
#[derive(Debug)]
pub(crate) struct NbdServer(UnixStream);

impl NbdServer {
    /// Chooses the export `name`.
    pub(crate) fn open(self, name: &str) -> io::Result<NbdDevice> {
        let mut stream = self.0;
        let mut greeting = [0; 18];
        stream.read_exact(&mut greeting)?;
        if &greeting[..8] != b"NBDMAGIC" || greeting[8..16] != OPTION_MAGIC.to_be_bytes() {
            return Err(protocol("the server does not speak newstyle NBD"));
        }
        let length = u32::try_from(name.len()).map_err(|_| protocol("export name too long"))?;
        let mut hello = Vec::new();
        // Client flags: fixed newstyle, no zeroes.
        hello.extend(3u32.to_be_bytes());
        hello.extend(OPTION_MAGIC.to_be_bytes());
        hello.extend(OPTION_GO.to_be_bytes());
        hello.extend((length + 6).to_be_bytes());
        hello.extend(length.to_be_bytes());
        hello.extend(name.as_bytes());
        hello.extend(0u16.to_be_bytes());
        stream.write_all(&hello)?;
        let len = NbdDevice::export_size(&mut stream)?;
        Ok(NbdDevice { stream, len, handle: 0 })
    }
}

impl NbdDevice {
    /// A server on a connected socket. No system call but reading and writing is needed afterwards.
    pub(crate) fn over(stream: UnixStream) -> io::Result<NbdServer> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(NbdServer(stream))
    }

    fn export_size(stream: &mut UnixStream) -> io::Result<u64> {
        let mut size = None;
        loop {
            let mut head = [0; 20];
            stream.read_exact(&mut head)?;
            let (magic, kind, length) = (be64(&head[..8]), be32(&head[12..16]), be32(&head[16..]));
            if magic != REPLY_MAGIC || length > 4096 {
                return Err(protocol("the server's answer to the handshake cannot be understood"));
            }
            let mut body = vec![0; length as usize];
            stream.read_exact(&mut body)?;
            match kind {
                REPLY_ACK => return size.ok_or_else(|| protocol("the server named no size")),
                REPLY_INFO if body.len() >= 12 && body[..2] == INFO_EXPORT.to_be_bytes() => {
                    size = Some(be64(&body[2..10]));
                }
                REPLY_INFO => {}
                error => {
                    let reason = String::from_utf8_lossy(&body);
                    return Err(protocol(&format!("the server refused ({error:#x}): {reason}")));
                }
            }
        }
    }

    fn send(&mut self, request: Request, offset: u64, length: u32) -> io::Result<()> {
        self.handle += 1;
        let mut head = [0; 28];
        head[..4].copy_from_slice(&REQUEST_MAGIC.to_be_bytes());
        head[6..8].copy_from_slice(&(request as u16).to_be_bytes());
        head[8..16].copy_from_slice(&self.handle.to_be_bytes());
        head[16..24].copy_from_slice(&offset.to_be_bytes());
        head[24..].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&head)
    }

    fn expect_reply(&mut self) -> io::Result<()> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head)?;
        if be32(&head[..4]) != SIMPLE_REPLY_MAGIC || be64(&head[8..]) != self.handle {
            return Err(protocol("the server's reply cannot be understood"));
        }
        match be32(&head[4..8]) {
            0 => Ok(()),
            // The protocol's error numbers are those of Linux.
            error => Err(io::Error::from_raw_os_error(i32::try_from(error).unwrap_or(5))),
        }
    }

    fn check(&self, offset: u64, wanted: usize) -> io::Result<()> {
        match offset.checked_add(wanted as u64) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{wanted} bytes at {offset} lie outside of the disk ({} bytes)", self.len),
            )),
        }
    }
}

impl BlockDevice for NbdDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.check(offset, buffer.len())?;
        let mut at = offset;
        for part in buffer.chunks_mut(CHUNK) {
            self.send(Request::Read, at, part.len() as u32)?;
            self.expect_reply()?;
            self.stream.read_exact(part)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(offset, data.len())?;
        let mut at = offset;
        for part in data.chunks(CHUNK) {
            self.send(Request::Write, at, part.len() as u32)?;
            self.stream.write_all(part)?;
            self.expect_reply()?;
            at += part.len() as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send(Request::Flush, 0, 0)?;
        self.expect_reply()
    }
}

impl Drop for NbdDevice {
    fn drop(&mut self) {
        // The server also takes a closed socket for a goodbye.
        let _ = self.send(Request::Disconnect, 0, 0);
    }
}

fn protocol(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn be32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn be64(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

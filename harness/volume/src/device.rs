//! What a partition table or a file system is read from and written to.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

/// A disk, or a part of one: bytes at offsets.
///
/// Reads and writes are whole: a short one is an error ([`io::ErrorKind::UnexpectedEof`] and
/// [`io::ErrorKind::WriteZero`]). Offsets are in bytes from the start of the device.
pub trait BlockDevice: Send {
    /// Size in bytes.
    fn len(&self) -> u64;

    /// Fills `buffer` from `offset`.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data` at `offset`.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Returns when everything written before has reached the medium.
    fn flush(&mut self) -> io::Result<()>;

    /// True of a device of no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<D: BlockDevice + ?Sized> BlockDevice for Box<D> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, data)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
}

impl<D: BlockDevice + ?Sized> BlockDevice for &mut D {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, data)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
}

/// Checks that `[offset, offset + wanted)` lies inside a device of `len` bytes.
fn check_range(len: u64, offset: u64, wanted: usize, kind: io::ErrorKind) -> io::Result<()> {
    match offset.checked_add(wanted as u64) {
        Some(end) if end <= len => Ok(()),
        _ => Err(io::Error::new(
            kind,
            format!("{wanted} bytes at {offset} lie outside of the device ({len} bytes)"),
        )),
    }
}

/// A regular file or a block device node.
#[derive(Debug)]
pub struct FileDevice {
    file: File,
    len: u64,
}

impl FileDevice {
    /// Takes an open file. Its size is what seeking to its end says, which also holds for block
    /// device nodes (whose metadata says 0).
    pub fn new(mut file: File) -> io::Result<Self> {
        let len = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, len })
    }
}

impl BlockDevice for FileDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        check_range(self.len, offset, buffer.len(), io::ErrorKind::UnexpectedEof)?;
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        check_range(self.len, offset, data.len(), io::ErrorKind::WriteZero)?;
        self.file.write_all_at(data, offset)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// A device in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryDevice {
    bytes: Vec<u8>,
}

impl MemoryDevice {
    /// A device of `len` zero bytes.
    pub fn zeroed(len: usize) -> Self {
        Self { bytes: vec![0; len] }
    }

    /// A device with these contents.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Its contents.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its contents, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl BlockDevice for MemoryDevice {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        check_range(self.len(), offset, buffer.len(), io::ErrorKind::UnexpectedEof)?;
        let start = offset as usize;
        buffer.copy_from_slice(&self.bytes[start..start + buffer.len()]);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        check_range(self.len(), offset, data.len(), io::ErrorKind::WriteZero)?;
        let start = offset as usize;
        self.bytes[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A part of a device, seen as a device of its own: a partition.
#[derive(Debug, Clone)]
pub struct SubDevice<D> {
    inner: D,
    start: u64,
    len: u64,
}

impl<D: BlockDevice> SubDevice<D> {
    /// The `len` bytes of `inner` from `start`. Fails if they lie outside of it.
    pub fn new(inner: D, start: u64, len: u64) -> io::Result<Self> {
        match start.checked_add(len) {
            Some(end) if end <= inner.len() => Ok(Self { inner, start, len }),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a range of {len} bytes at {start} lies outside of the device ({} bytes)",
                    inner.len()
                ),
            )),
        }
    }

    /// The whole device again.
    pub fn into_inner(self) -> D {
        self.inner
    }
}

impl<D: BlockDevice> BlockDevice for SubDevice<D> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        check_range(self.len, offset, buffer.len(), io::ErrorKind::UnexpectedEof)?;
        self.inner.read_at(self.start + offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        check_range(self.len, offset, data.len(), io::ErrorKind::WriteZero)?;
        self.inner.write_at(self.start + offset, data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// One device with several users, such as a disk whose partitions are open at the same time.
///
/// Cloning gives another handle on the same device.
#[derive(Clone)]
pub struct SharedDevice {
    inner: Arc<Mutex<Box<dyn BlockDevice>>>,
    len: u64,
}

impl SharedDevice {
    /// Makes `device` shareable.
    pub fn new(device: impl BlockDevice + 'static) -> Self {
        let len = device.len();
        Self { inner: Arc::new(Mutex::new(Box::new(device))), len }
    }

    /// Runs `work` with the device to itself. A panic of another holder does not spoil the device:
    /// each operation on it is complete in itself.
    fn with<T>(&self, work: impl FnOnce(&mut dyn BlockDevice) -> T) -> T {
        let mut device = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut **device)
    }
}

impl std::fmt::Debug for SharedDevice {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SharedDevice").field("len", &self.len).finish_non_exhaustive()
    }
}

impl BlockDevice for SharedDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with(|device| device.read_at(offset, buffer))
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|device| device.write_at(offset, data))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(|device| device.flush())
    }
}

/// A device as `Read + Write + Seek`, which is what the crates `gpt`, `fatfs` and `ntfs` want.
pub struct Stream<D> {
    device: D,
    position: u64,
}

impl<D: BlockDevice> Stream<D> {
    /// A stream that stands at the start of `device`.
    pub fn new(device: D) -> Self {
        Self { device, position: 0 }
    }

    /// The device again.
    pub fn into_inner(self) -> D {
        self.device
    }

    /// The device below, to look at.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The device below.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// How many of `wanted` bytes lie between the position and the end.
    fn available(&self, wanted: usize) -> usize {
        let left = self.device.len().saturating_sub(self.position);
        wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
    }
}

impl<D> std::fmt::Debug for Stream<D> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Stream").field("position", &self.position).finish_non_exhaustive()
    }
}

impl<D: BlockDevice> Read for Stream<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.available(buffer.len());
        self.device.read_at(self.position, &mut buffer[..count])?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<D: BlockDevice> Write for Stream<D> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.available(data.len());
        self.device.write_at(self.position, &data[..count])?;
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.device.flush()
    }
}

impl<D: BlockDevice> Seek for Stream<D> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.device.len().checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = position.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "seek to before the start of the device")
        })?;
        Ok(self.position)
    }
}

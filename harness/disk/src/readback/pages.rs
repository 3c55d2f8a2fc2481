//! A device that remembers the pages that were read: both readers ask for a few bytes at a time.

use std::collections::HashMap;
use std::io;

use volume::BlockDevice;

/// Bytes of a page.
const PAGE: usize = 16 << 10;
/// Pages that are kept: 16 MiB.
const MAX_PAGES: usize = 1024;

/// A device that is only read.
pub(super) struct Pages<D> {
    device: D,
    pages: HashMap<u64, Vec<u8>>,
}

impl<D: BlockDevice> Pages<D> {
    pub(super) fn new(device: D) -> Self {
        Self { device, pages: HashMap::new() }
    }

    fn page(&mut self, number: u64) -> io::Result<&[u8]> {
        if !self.pages.contains_key(&number) {
            if self.pages.len() >= MAX_PAGES {
                self.pages.clear();
            }
            let start = number.saturating_mul(PAGE as u64);
            let len = self.device.len().saturating_sub(start).min(PAGE as u64);
            let mut page = vec![0; len as usize];
            self.device.read_at(start, &mut page)?;
            self.pages.insert(number, page);
        }
        Ok(&self.pages[&number])
    }
}

impl<D: BlockDevice> BlockDevice for Pages<D> {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if buffer.len() >= PAGE {
            return self.device.read_at(offset, buffer);
        }
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let page = self.page(at / PAGE as u64)?;
            let from = page.get((at % PAGE as u64) as usize..).unwrap_or_default();
            if from.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = from.len().min(rest.len());
            rest[..count].copy_from_slice(&from[..count]);
            rest = &mut rest[count..];
            at += count as u64;
        }
        Ok(())
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! A write-back cache over a device, for the length of one operation: `fatfs` writes single bytes.

use crate::BlockDevice;
use std::collections::BTreeMap;
use std::io;

/// Bytes of a page of the cache.
const PAGE: u64 = 4096;

/// A write-back cache over a device, for the length of one operation.
pub(super) struct Cache<'a> {
    device: &'a mut dyn BlockDevice,
    pages: Pages<'a>,
}

/// Owned at the outside, lent to the file system.
enum Pages<'a> {
    Own(BTreeMap<u64, Page>),
    Lent(&'a mut BTreeMap<u64, Page>),
}

struct Page {
    bytes: Vec<u8>,
    dirty: bool,
}

impl<'a> Cache<'a> {
    pub(super) fn new(device: &'a mut dyn BlockDevice) -> Self {
        Self { device, pages: Pages::Own(BTreeMap::new()) }
    }

    pub(super) fn lend(&mut self) -> Cache<'_> {
        let pages = match &mut self.pages {
            Pages::Own(pages) => pages,
            Pages::Lent(pages) => pages,
        };
        Cache { device: &mut *self.device, pages: Pages::Lent(pages) }
    }

    fn page(&mut self, number: u64) -> io::Result<&mut Page> {
        let pages = match &mut self.pages {
            Pages::Own(pages) => pages,
            Pages::Lent(pages) => pages,
        };
        match pages.entry(number) {
            std::collections::btree_map::Entry::Occupied(slot) => Ok(slot.into_mut()),
            std::collections::btree_map::Entry::Vacant(slot) => {
                let start = number * PAGE;
                let len = PAGE.min(self.device.len().saturating_sub(start));
                let mut bytes = vec![0; len as usize];
                self.device.read_at(start, &mut bytes)?;
                Ok(slot.insert(Page { bytes, dirty: false }))
            }
        }
    }

    /// Calls `work` with each piece of a page that `[offset, offset + len)` covers, and with where
    /// in the range it lies.
    fn pieces(
        &mut self,
        offset: u64,
        len: usize,
        mut work: impl FnMut(&mut Page, std::ops::Range<usize>, usize),
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            let position = offset + done as u64;
            let within = (position % PAGE) as usize;
            let page = self.page(position / PAGE)?;
            let count = (len - done).min(page.bytes.len().saturating_sub(within));
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            work(page, within..within + count, done);
            done += count;
        }
        Ok(())
    }

    pub(super) fn write_back(&mut self) -> io::Result<()> {
        let pages = match &mut self.pages {
            Pages::Own(pages) => pages,
            Pages::Lent(pages) => pages,
        };
        for (number, page) in pages.iter_mut().filter(|(_, page)| page.dirty) {
            self.device.write_at(number * PAGE, &page.bytes)?;
            page.dirty = false;
        }
        Ok(())
    }
}

impl BlockDevice for Cache<'_> {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.pieces(offset, buffer.len(), |page, range, done| {
            let count = range.len();
            buffer[done..done + count].copy_from_slice(&page.bytes[range]);
        })
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.pieces(offset, data.len(), |page, range, done| {
            let count = range.len();
            page.bytes[range].copy_from_slice(&data[done..done + count]);
            page.dirty = true;
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

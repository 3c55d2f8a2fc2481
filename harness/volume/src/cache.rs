//! Pages of a device that were read before: file records and directories are small, lie together, and
//! are asked for again and again, and each question to a device may be a message to another process.
//!
//! Writes go through at once, so the device is never behind. Two handles on one volume must not be used
//! by turns while one of them writes: the other would not see it.

use crate::BlockDevice;
use crate::staged::Staged;
use std::collections::{HashMap, VecDeque};
use std::io;

/// Bytes of a page.
const PAGE: u64 = 16 << 10;
/// Most pages that are kept: 16 MiB.
const MAX_PAGES: usize = 1024;
/// Longer reads are contents of files and go past the pages.
const LONGEST: usize = 32 << 10;

/// A device with a memory.
pub(crate) struct Cached {
    device: Staged,
    pages: HashMap<u64, Vec<u8>>,
    /// The pages in the order in which they came.
    order: VecDeque<u64>,
}

impl Cached {
    pub(crate) fn new(device: Box<dyn BlockDevice>) -> Self {
        Self { device: Staged::new(device), pages: HashMap::new(), order: VecDeque::new() }
    }

    /// Holds back what is written from now on.
    pub(crate) fn hold(&mut self) {
        self.device.hold();
    }

    /// Writes what was held back. Gives how many bytes.
    pub(crate) fn release(&mut self) -> io::Result<u64> {
        self.device.release()
    }

    /// Forgets what was held back, and what was read of it.
    pub(crate) fn abandon(&mut self) {
        self.device.abandon();
        self.pages.clear();
        self.order.clear();
    }

    fn page(&mut self, number: u64) -> io::Result<&Vec<u8>> {
        if !self.pages.contains_key(&number) {
            let start = number * PAGE;
            let len = PAGE.min(self.device.len().saturating_sub(start));
            let mut bytes = vec![0; len as usize];
            self.device.read_at(start, &mut bytes)?;
            if self.order.len() == MAX_PAGES
                && let Some(oldest) = self.order.pop_front()
            {
                self.pages.remove(&oldest);
            }
            self.order.push_back(number);
            self.pages.insert(number, bytes);
        }
        Ok(&self.pages[&number])
    }
}

impl BlockDevice for Cached {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if buffer.len() > LONGEST {
            return self.device.read_at(offset, buffer);
        }
        let mut done = 0;
        while done < buffer.len() {
            let position = offset + done as u64;
            let within = (position % PAGE) as usize;
            // A page that cannot be read as a whole may still have readable parts: a bad sector must not take
            // its neighbours with it.
            let Ok(page) = self.page(position / PAGE) else {
                let count = (PAGE as usize - within).min(buffer.len() - done);
                self.device.read_at(position, &mut buffer[done..done + count])?;
                done += count;
                continue;
            };
            let count = page.len().saturating_sub(within).min(buffer.len() - done);
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer[done..done + count].copy_from_slice(&page[within..within + count]);
            done += count;
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let written = self.device.write_at(offset, data);
        let end = offset.saturating_add(data.len() as u64);
        for number in offset / PAGE..end.div_ceil(PAGE) {
            let Some(page) = self.pages.get_mut(&number) else { continue };
            // After an error nobody knows what is there: this is asked for again.
            if written.is_err() {
                self.pages.remove(&number);
                self.order.retain(|other| *other != number);
                continue;
            }
            let start = number * PAGE;
            let (from, to) = (offset.max(start), end.min(start + page.len() as u64));
            if from < to {
                page[(from - start) as usize..(to - start) as usize]
                    .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
            }
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.device.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryDevice;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_see_all_writes(
            steps in prop::collection::vec(
                (0u64..90_000, 0usize..40_000, any::<bool>(), any::<u8>()), 1..40))
        {
            let mut plain = MemoryDevice::zeroed(100_000);
            let mut cached = Cached::new(Box::new(plain.clone()));
            for (offset, len, write, byte) in steps {
                let len = len.min((100_000 - offset) as usize);
                if write {
                    let data = vec![byte; len];
                    plain.write_at(offset, &data).unwrap();
                    cached.write_at(offset, &data).unwrap();
                } else {
                    let (mut one, mut other) = (vec![0; len], vec![0; len]);
                    plain.read_at(offset, &mut one).unwrap();
                    cached.read_at(offset, &mut other).unwrap();
                    prop_assert_eq!(one, other);
                }
            }
        }
    }

    #[test]
    fn reads_beyond_the_end_fail() {
        let mut cached = Cached::new(Box::new(MemoryDevice::zeroed(20_000)));
        assert!(cached.read_at(19_999, &mut [0; 2]).is_err());
        assert!(cached.read_at(40_000, &mut [0; 1]).is_err());
    }

    /// A device with one sector that cannot be read.
    struct BadSector(MemoryDevice);

    impl BlockDevice for BadSector {
        fn len(&self) -> u64 {
            self.0.len()
        }

        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            if offset < 1024 && offset + buffer.len() as u64 > 512 {
                return Err(io::Error::other("bad sector"));
            }
            self.0.read_at(offset, buffer)
        }

        fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.0.write_at(offset, data)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bad_sector_does_not_take_its_neighbours_with_it() {
        let mut cached = Cached::new(Box::new(BadSector(MemoryDevice::zeroed(40_000))));
        cached.write_at(1024, &[7; 512]).unwrap();
        let mut sector = [0; 512];
        cached.read_at(1024, &mut sector).unwrap();
        assert_eq!(sector, [7; 512]);
        assert!(cached.read_at(600, &mut sector).is_err());
        assert!(cached.read_at(0, &mut [0; 20_000]).is_err());
        cached.read_at(16_000, &mut [0; 1_000]).unwrap();
    }
}

//! A device whose changes can be held back until it is known that they are sound.

use crate::BlockDevice;
use std::collections::BTreeMap;
use std::io;

/// Bytes that are held at a time.
const PAGE: u64 = 4096;
/// Most pages that are held: 128 MiB.
const MAX_PAGES: usize = 32 << 10;

/// A device that holds its changes back while it is told to.
pub(crate) struct Staged {
    device: Box<dyn BlockDevice>,
    held: Option<BTreeMap<u64, Vec<u8>>>,
}

impl Staged {
    pub(crate) fn new(device: Box<dyn BlockDevice>) -> Self {
        Self { device, held: None }
    }

    /// What is written from now on is seen by whoever reads, and is not on the device.
    pub(crate) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Forgets what is held.
    pub(crate) fn abandon(&mut self) {
        self.held = None;
    }

    /// Writes what is held, and returns when it has reached the medium. Gives how many bytes.
    pub(crate) fn release(&mut self) -> io::Result<u64> {
        let mut bytes = 0;
        for (number, page) in self.held.take().unwrap_or_default() {
            self.device.write_at(number * PAGE, &page)?;
            bytes += page.len() as u64;
        }
        self.device.flush()?;
        Ok(bytes)
    }
}

impl BlockDevice for Staged {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.device.read_at(offset, buffer)?;
        let Some(held) = &self.held else { return Ok(()) };
        let end = offset + buffer.len() as u64;
        for (number, page) in held.range(offset / PAGE..end.div_ceil(PAGE)) {
            let start = number * PAGE;
            let (from, to) = (offset.max(start), end.min(start + page.len() as u64));
            if from < to {
                buffer[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&page[(from - start) as usize..(to - start) as usize]);
            }
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let Some(held) = &mut self.held else { return self.device.write_at(offset, data) };
        let (len, end) = (self.device.len(), offset.saturating_add(data.len() as u64));
        if end > len {
            return Err(io::ErrorKind::WriteZero.into());
        }
        for number in offset / PAGE..end.div_ceil(PAGE) {
            let (start, stop) = (number * PAGE, len.min((number + 1) * PAGE));
            if !held.contains_key(&number) {
                if held.len() == MAX_PAGES {
                    return Err(io::Error::new(
                        io::ErrorKind::StorageFull,
                        "more would be changed than is held in memory",
                    ));
                }
                let mut page = vec![0; (stop - start) as usize];
                self.device.read_at(start, &mut page)?;
                held.insert(number, page);
            }
            let (from, to) = (offset.max(start), end.min(stop));
            if let Some(page) = held.get_mut(&number) {
                page[(from - start) as usize..(to - start) as usize]
                    .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.device.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryDevice, SharedDevice};
    use proptest::prelude::*;

    const LEN: usize = 50_001;

    fn contents(device: &mut impl BlockDevice) -> Vec<u8> {
        let mut bytes = vec![0; LEN];
        device.read_at(0, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn what_is_held_is_seen_and_not_written(
            writes in prop::collection::vec((0u64..50_001, 0usize..9_000, any::<u8>()), 1..12))
        {
            let old: Vec<u8> = (0..LEN).map(|index| (index / 7) as u8).collect();
            let mut shared = SharedDevice::new(MemoryDevice::new(old.clone()));
            let mut staged = Staged::new(Box::new(shared.clone()));
            let mut plain = MemoryDevice::new(old.clone());
            staged.hold();
            for (offset, len, byte) in writes {
                let data = vec![byte; len.min(LEN - offset as usize)];
                staged.write_at(offset, &data).unwrap();
                plain.write_at(offset, &data).unwrap();
            }
            prop_assert!(contents(&mut staged) == contents(&mut plain));
            prop_assert!(contents(&mut shared) == old);
            staged.release().unwrap();
            prop_assert!(contents(&mut shared) == contents(&mut plain));
            staged.hold();
            staged.write_at(0, &[1, 2, 3]).unwrap();
            prop_assert!(staged.write_at(LEN as u64 - 1, &[1, 2]).is_err());
            staged.abandon();
            prop_assert!(contents(&mut staged) == contents(&mut plain));
        }
    }

    #[test]
    fn no_more_is_held_than_fits() {
        let mut staged = Staged::new(Box::new(MemoryDevice::zeroed((MAX_PAGES + 1) << 12)));
        staged.hold();
        for number in 0..MAX_PAGES as u64 {
            staged.write_at(number * PAGE, &[1]).unwrap();
        }
        staged.write_at(7, &[2]).unwrap();
        assert!(staged.write_at(MAX_PAGES as u64 * PAGE, &[1]).is_err());
    }
}

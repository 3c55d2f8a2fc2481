//! What was changed on a volume, and what lay there before: for a check of the changes alone.
//!
//! A volume that is opened with [`open_tracked`](crate::open_tracked) keeps what it is about to overwrite. It
//! does so where its bytes leave for the device, below all that knows of files, so that no change can be
//! forgotten. With what was kept, the device looks again as it did ([`Before`]), and the check compares the
//! two.

use crate::BlockDevice;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that are kept at a time.
pub(crate) const UNIT: u64 = 4096;
/// Most units that are kept: 32 MiB.
const MAX_UNITS: usize = 8192;

/// Bytes of a device as they were, by where they lie in units.
pub(crate) type Units = BTreeMap<u64, Arc<[u8]>>;

/// What was changed on one volume, by all handles that were opened with it.
///
/// Of the contents of the volume at most 32 MiB are kept, and a map of its clusters. Where more is changed,
/// the check of the changes is a check of the whole volume.
#[derive(Debug, Clone, Default)]
pub struct Changes(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What lay there before the first change.
    units: Units,
    /// Which clusters were taken before the first change; until it is known, all are.
    taken: Option<Taken>,
    /// Not everything could be kept.
    lost: bool,
}

/// A map of clusters.
#[derive(Debug)]
struct Taken {
    /// Bytes of a cluster.
    cluster: u64,
    bits: Vec<u8>,
}

impl Taken {
    /// True if any cluster of these bytes of the volume was taken.
    fn any(&self, start: u64, end: u64) -> bool {
        (start / self.cluster..end.div_ceil(self.cluster)).any(|cluster| {
            let byte = usize::try_from(cluster / 8).ok().and_then(|at| self.bits.get(at));
            byte.is_none_or(|byte| byte & 1 << (cluster % 8) != 0)
        })
    }
}

impl Changes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if it is known which clusters were taken before the first change.
    pub(crate) fn has_map(&self) -> bool {
        self.state().taken.is_some()
    }

    /// Says which clusters are taken before the first change: what lies in the others need not be kept.
    pub(crate) fn set_map(&self, cluster: u64, bits: Vec<u8>) {
        let mut state = self.state();
        if state.taken.is_none() {
            state.taken = Some(Taken { cluster, bits });
        }
    }

    /// Gives up: what follows cannot be told apart from what was there.
    pub(crate) fn give_up(&self) {
        let mut state = self.state();
        state.lost = true;
        state.units.clear();
    }

    /// Keeps what lies where `len` bytes are about to be written.
    fn keep(&self, device: &mut impl BlockDevice, offset: u64, len: usize) {
        let size = device.len();
        let end = offset.saturating_add(len as u64).min(size);
        for number in offset / UNIT..end.div_ceil(UNIT) {
            let mut state = self.state();
            if state.lost {
                return;
            }
            let (from, to) = (number * UNIT, size.min((number + 1) * UNIT));
            if state.units.contains_key(&number)
                || state.taken.as_ref().is_some_and(|taken| !taken.any(from, to))
            {
                continue;
            }
            let mut bytes = vec![0; (to - from) as usize];
            if state.units.len() == MAX_UNITS || device.read_at(from, &mut bytes).is_err() {
                drop(state);
                return self.give_up();
            }
            state.units.insert(number, bytes.into());
        }
    }

    /// What was kept; `None` if that is not everything.
    pub(crate) fn units(&self) -> Option<Units> {
        let state = self.state();
        (!state.lost).then(|| state.units.clone())
    }
}

/// A device whose changes are kept, if anyone asks for them.
pub(crate) struct Tracked<D> {
    device: D,
    changes: Option<Changes>,
}

impl<D: BlockDevice> Tracked<D> {
    pub(crate) fn new(device: D, changes: Option<Changes>) -> Self {
        Self { device, changes }
    }

    pub(crate) fn changes(&self) -> Option<&Changes> {
        self.changes.as_ref()
    }

    /// The device below. What is written through it is not kept: it counts as having been there before.
    pub(crate) fn below(&mut self) -> &mut D {
        &mut self.device
    }
}

impl<D: BlockDevice> BlockDevice for Tracked<D> {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.device.read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        if let Some(changes) = &self.changes {
            changes.keep(&mut self.device, offset, data.len());
        }
        self.device.write_at(offset, data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.device.flush()
    }
}

/// A device as it was before its changes. It is only read.
pub(crate) struct Before<D> {
    device: D,
    units: Units,
}

impl<D: BlockDevice> Before<D> {
    pub(crate) fn new(device: D, units: Units) -> Self {
        Self { device, units }
    }
}

impl<D: BlockDevice> BlockDevice for Before<D> {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.device.read_at(offset, buffer)?;
        let end = offset + buffer.len() as u64;
        for (number, old) in self.units.range(offset / UNIT..end.div_ceil(UNIT)) {
            let start = number * UNIT;
            let (from, to) = (offset.max(start), end.min(start + old.len() as u64));
            if from < to {
                buffer[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&old[(from - start) as usize..(to - start) as usize]);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryDevice, SharedDevice};
    use proptest::prelude::*;

    const LEN: usize = 100_000;

    fn contents(device: &mut impl BlockDevice) -> Vec<u8> {
        let mut bytes = vec![0; device.len() as usize];
        device.read_at(0, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn a_device_looks_as_it_did(
            writes in prop::collection::vec((0u64..90_000, 0usize..20_000, any::<u8>()), 1..20),
            reads in prop::collection::vec((0u64..90_000, 0usize..10_000), 1..20))
        {
            let old: Vec<u8> = (0..LEN).map(|index| (index / 7) as u8).collect();
            let shared = SharedDevice::new(MemoryDevice::new(old.clone()));
            let changes = Changes::default();
            let mut tracked = Tracked::new(shared.clone(), Some(changes.clone()));
            for (offset, len, byte) in writes {
                let len = len.min(LEN - offset as usize);
                tracked.write_at(offset, &vec![byte; len]).unwrap();
            }
            let mut before = Before::new(shared, changes.units().unwrap());
            prop_assert!(contents(&mut before) == old);
            for (offset, len) in reads {
                let mut buffer = vec![0; len];
                before.read_at(offset, &mut buffer).unwrap();
                prop_assert!(buffer == old[offset as usize..offset as usize + len]);
            }
        }
    }

    #[test]
    fn what_lies_in_free_clusters_is_not_kept() {
        let changes = Changes::default();
        let device = MemoryDevice::zeroed(10 * UNIT as usize);
        let mut tracked = Tracked::new(device, Some(changes.clone()));
        // Clusters of 1 KiB: of the second unit one is taken, of the third none; what the map does not
        // have counts as taken.
        changes.set_map(1024, vec![0x80, 0, 0xff]);
        changes.set_map(1024, vec![0; 3]);
        assert!(changes.has_map());
        tracked.write_at(0, &[1; 10 * UNIT as usize]).unwrap();
        let kept: Vec<u64> = changes.units().unwrap().into_keys().collect();
        assert_eq!(kept, [1, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn too_many_changes_are_not_kept() {
        let changes = Changes::default();
        let device = MemoryDevice::zeroed((MAX_UNITS + 1) * UNIT as usize);
        let mut tracked = Tracked::new(device, Some(changes.clone()));
        for number in 0..MAX_UNITS as u64 {
            tracked.write_at(number * UNIT + 5, &[1]).unwrap();
        }
        assert_eq!(changes.units().unwrap().len(), MAX_UNITS);
        tracked.write_at(9, &[2]).unwrap();
        assert!(changes.units().is_some());
        tracked.write_at(MAX_UNITS as u64 * UNIT, &[1]).unwrap();
        assert!(changes.units().is_none());
        let mut byte = [0];
        tracked.read_at(MAX_UNITS as u64 * UNIT, &mut byte).unwrap();
        assert_eq!(byte, [1]);
    }
}

//! Bins and cells: where the allocated and the free space of a hive is, allocation and release.
//!
//! The map is built once when the hive is opened. A reference is followed only to the start of an
//! allocated cell, so a wild offset can never reach into the middle of something else.

use std::collections::{BTreeMap, BTreeSet};

use super::error::damaged;
use super::{Hive, HiveError, base};
use crate::bytes::u32_at;

const BIN_HEADER: u32 = 32;
const BIN_UNIT: u32 = 4096;
/// "No cell" in every offset field.
pub(super) const NONE: u32 = u32::MAX;
/// The whole hive stays below this: offsets keep their top bit clear.
const MAX_BINS: u32 = 0x7fff_f000;

/// Allocated cells, free cells and bins. All offsets count from the first bin.
#[derive(Clone)]
pub(super) struct CellMap {
    /// One bit for every 8 bytes: an allocated cell starts here.
    allocated: Vec<u64>,
    /// Offset and size of every free cell. Neighbours in one bin are always merged.
    free: BTreeMap<u32, u32>,
    /// The same by size, for the best fit.
    free_by_size: BTreeSet<(u32, u32)>,
    /// Offset and size of every bin.
    bins: BTreeMap<u32, u32>,
}

impl CellMap {
    /// Reads the chain of bins and the chain of cells in each.
    pub(super) fn scan(data: &[u8]) -> Result<Self, HiveError> {
        let bins = &data[base::SIZE..];
        let end = u32::try_from(bins.len()).map_err(|_| damaged(0, "more than 2 GiB of bins"))?;
        let mut map = Self {
            allocated: vec![0; bins.len().div_ceil(8 * 64)],
            free: BTreeMap::new(),
            free_by_size: BTreeSet::new(),
            bins: BTreeMap::new(),
        };
        let mut bin = 0;
        while bin < end {
            let at = bin as usize;
            if bins.get(at..at + 4) != Some(b"hbin") {
                return Err(damaged(bin, "a bin does not begin with `hbin`"));
            }
            let own_offset = u32_at(bins, at + 4).unwrap_or(NONE);
            if own_offset != bin {
                return Err(damaged(bin, format!("a bin calls itself the one at {own_offset:#x}")));
            }
            let size = u32_at(bins, at + 8).unwrap_or(0);
            if size == 0 || !size.is_multiple_of(BIN_UNIT) || size > end - bin {
                return Err(damaged(bin, format!("a bin has size {size:#x}")));
            }
            map.bins.insert(bin, size);
            map.scan_bin(bins, bin, bin + size)?;
            bin += size;
        }
        Ok(map)
    }

    fn scan_bin(&mut self, bins: &[u8], bin: u32, end: u32) -> Result<(), HiveError> {
        let mut cell = bin + BIN_HEADER;
        while cell < end {
            let raw = u32_at(bins, cell as usize).unwrap_or(0).cast_signed();
            let size = raw.unsigned_abs();
            if size < 8 || !size.is_multiple_of(8) || size > end - cell {
                return Err(damaged(cell, format!("a cell has size {raw:#x}")));
            }
            if raw < 0 {
                self.mark(cell, true);
            } else {
                self.insert_free(cell, size);
            }
            cell += size;
        }
        Ok(())
    }

    fn mark(&mut self, cell: u32, allocated: bool) {
        let index = cell / 8;
        if let Some(word) = self.allocated.get_mut(index as usize / 64) {
            let bit = 1 << (index % 64);
            if allocated { *word |= bit } else { *word &= !bit }
        }
    }

    pub(super) fn is_allocated(&self, cell: u32) -> bool {
        let index = cell / 8;
        cell.is_multiple_of(8)
            && self
                .allocated
                .get(index as usize / 64)
                .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// Adds a free cell, merged with a free cell that ends where it begins (both in one bin).
    fn insert_free(&mut self, mut cell: u32, mut size: u32) {
        let bin = self.bins.range(..=cell).next_back().map_or((0, 0), |(&at, &size)| (at, size));
        if let Some((&before, &before_size)) = self.free.range(..cell).next_back()
            && before + before_size == cell
            && before >= bin.0
        {
            self.remove_free(before);
            cell = before;
            size += before_size;
        }
        if let Some(&after_size) = self.free.get(&(cell + size))
            && cell + size < bin.0 + bin.1
        {
            self.remove_free(cell + size);
            size += after_size;
        }
        self.free.insert(cell, size);
        self.free_by_size.insert((size, cell));
    }

    fn remove_free(&mut self, cell: u32) {
        if let Some(size) = self.free.remove(&cell) {
            self.free_by_size.remove(&(size, cell));
        }
    }

    /// Takes the smallest free cell of at least `size`; the rest stays free.
    fn take(&mut self, size: u32) -> Option<(u32, Option<(u32, u32)>)> {
        let &(found, cell) = self.free_by_size.range((size, 0)..).next()?;
        self.remove_free(cell);
        let rest = (found > size).then(|| (cell + size, found - size));
        if let Some((at, rest_size)) = rest {
            self.free.insert(at, rest_size);
            self.free_by_size.insert((rest_size, at));
        }
        self.mark(cell, true);
        Some((cell, rest))
    }

    #[cfg(test)]
    pub(super) fn allocated_count(&self) -> usize {
        self.allocated.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Bytes in free cells.
    pub(super) fn free_bytes(&self) -> u64 {
        self.free.values().map(|&size| u64::from(size)).sum()
    }
}

impl Hive {
    /// The content of an allocated cell, without its size field.
    pub(super) fn cell(&self, cell: u32) -> Result<&[u8], HiveError> {
        let range = self.cell_range(cell)?;
        Ok(&self.data[range])
    }

    pub(super) fn cell_mut(&mut self, cell: u32) -> Result<&mut [u8], HiveError> {
        let range = self.cell_range(cell)?;
        Ok(&mut self.data[range])
    }

    fn cell_range(&self, cell: u32) -> Result<std::ops::Range<usize>, HiveError> {
        if !self.cells.is_allocated(cell) {
            return Err(damaged(cell, "a reference leads to no allocated cell"));
        }
        let at = base::SIZE + cell as usize;
        let size = u32_at(&self.data, at).unwrap_or(0).cast_signed().unsigned_abs() as usize;
        let end = at.saturating_add(size).min(self.data.len());
        Ok(at + 4..end.max(at + 4))
    }

    /// A zeroed cell with room for at least `content` bytes.
    pub(super) fn allocate(&mut self, content: usize) -> Result<u32, HiveError> {
        let too_large = HiveError::TooLarge { what: "the hive", limit: u64::from(MAX_BINS) };
        let size = u32::try_from(content)
            .ok()
            .and_then(|content| content.checked_add(4 + 7))
            .map(|size| size & !7)
            .filter(|&size| size < MAX_BINS)
            .ok_or(too_large)?
            .max(8);
        let (cell, rest) = match self.cells.take(size) {
            Some(found) => found,
            None => {
                self.grow(size)?;
                self.cells.take(size).ok_or_else(|| damaged(0, "a new bin has no room"))?
            }
        };
        self.put_size(cell, size.cast_signed().wrapping_neg());
        if let Some((at, rest_size)) = rest {
            self.put_size(at, rest_size.cast_signed());
        }
        self.cell_mut(cell)?.fill(0);
        Ok(cell)
    }

    /// Allocates a cell and writes its content.
    pub(super) fn allocate_with(&mut self, content: &[u8]) -> Result<u32, HiveError> {
        let cell = self.allocate(content.len())?;
        self.cell_mut(cell)?[..content.len()].copy_from_slice(content);
        Ok(cell)
    }

    /// Gives a cell back, merged with its free neighbours.
    pub(super) fn release(&mut self, cell: u32) -> Result<(), HiveError> {
        let size = u32::try_from(self.cell(cell)?.len() + 4)
            .map_err(|_| damaged(cell, "a cell is larger than a hive"))?;
        self.cells.mark(cell, false);
        self.cells.insert_free(cell, size);
        let merged = self.cells.free.range(..=cell).next_back().map(|(&at, &size)| (at, size));
        if let Some((at, size)) = merged {
            self.put_size(at, size.cast_signed());
        }
        Ok(())
    }

    /// Appends a bin with room for a cell of `size`.
    fn grow(&mut self, size: u32) -> Result<(), HiveError> {
        let too_large = || HiveError::TooLarge { what: "the hive", limit: u64::from(MAX_BINS) };
        let at = u32::try_from(self.data.len() - base::SIZE).map_err(|_| too_large())?;
        let bin_size = (size + BIN_HEADER).next_multiple_of(BIN_UNIT);
        let end = at.checked_add(bin_size).filter(|&end| end <= MAX_BINS).ok_or_else(too_large)?;
        self.data.resize(base::SIZE + end as usize, 0);
        self.tail.drain(..self.tail.len().min(bin_size as usize));
        let header = base::SIZE + at as usize;
        self.data[header..header + 4].copy_from_slice(b"hbin");
        self.data[header + 4..header + 8].copy_from_slice(&at.to_le_bytes());
        self.data[header + 8..header + 12].copy_from_slice(&bin_size.to_le_bytes());
        self.put_size(at + BIN_HEADER, (bin_size - BIN_HEADER).cast_signed());
        self.cells.bins.insert(at, bin_size);
        self.cells.allocated.resize((end as usize).div_ceil(8 * 64), 0);
        self.cells.insert_free(at + BIN_HEADER, bin_size - BIN_HEADER);
        base::set_bins_size(&mut self.data, end);
        Ok(())
    }

    fn put_size(&mut self, cell: u32, size: i32) {
        let at = base::SIZE + cell as usize;
        self.data[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }

    /// Bytes in free cells: what edits can use before the file grows.
    pub fn free_bytes(&self) -> u64 {
        self.cells.free_bytes()
    }
}

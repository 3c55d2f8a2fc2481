//! Security descriptors: `sk` cells, shared by keys, counted, in a ring.

use super::cells::NONE;
use super::error::damaged;
use super::{Hive, HiveError};
use crate::bytes::u32_at;

pub(super) const NEXT: usize = 4;
pub(super) const PREVIOUS: usize = 8;
const COUNT: usize = 12;
const LENGTH: usize = 16;
const DESCRIPTOR: usize = 20;

impl Hive {
    pub(super) fn descriptor(&self, cell: u32) -> Result<Option<&[u8]>, HiveError> {
        if cell == NONE {
            return Ok(None);
        }
        let content = self.cell(cell)?;
        if content.len() < DESCRIPTOR || content[..2] != *b"sk" {
            return Err(damaged(cell, "no security descriptor (`sk`) where one should be"));
        }
        let length = u32_at(content, LENGTH).unwrap_or(NONE) as usize;
        DESCRIPTOR
            .checked_add(length)
            .and_then(|end| content.get(DESCRIPTOR..end))
            .map(Some)
            .ok_or_else(|| damaged(cell, "a security descriptor is longer than its cell"))
    }

    /// A first descriptor, in a ring of its own, with one user.
    pub(super) fn create_security(&mut self, descriptor: &[u8]) -> Result<u32, HiveError> {
        let limit = u64::from(u16::MAX);
        let length = u32::try_from(descriptor.len())
            .map_err(|_| HiveError::TooLarge { what: "a security descriptor", limit })?;
        let mut content = vec![0; DESCRIPTOR];
        content[..2].copy_from_slice(b"sk");
        content[COUNT..COUNT + 4].copy_from_slice(&1u32.to_le_bytes());
        content[LENGTH..LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        content.extend_from_slice(descriptor);
        let cell = self.allocate_with(&content)?;
        self.put_u32(cell, NEXT, cell)?;
        self.put_u32(cell, PREVIOUS, cell)?;
        Ok(cell)
    }

    /// One more key uses a descriptor.
    pub(super) fn retain_security(&mut self, cell: u32) -> Result<(), HiveError> {
        if self.descriptor(cell)?.is_some() {
            let count = self.word(cell, COUNT)?;
            self.put_u32(cell, COUNT, count.saturating_add(1))?;
        }
        Ok(())
    }

    /// One key less uses a descriptor; with the last one it goes.
    pub(super) fn release_security(&mut self, cell: u32) -> Result<(), HiveError> {
        if self.descriptor(cell)?.is_none() {
            return Ok(());
        }
        let count = self.word(cell, COUNT)?;
        if count > 1 {
            return self.put_u32(cell, COUNT, count - 1);
        }
        let (next, previous) = (self.word(cell, NEXT)?, self.word(cell, PREVIOUS)?);
        if next != cell {
            self.put_u32(previous, NEXT, next)?;
            self.put_u32(next, PREVIOUS, previous)?;
        }
        self.release(cell)
    }

    pub(super) fn security_count(&self, cell: u32) -> Result<u32, HiveError> {
        self.word(cell, COUNT)
    }
}

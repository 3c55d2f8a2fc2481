//! The order of names on a volume: by its own table of upper-case letters.

use super::record::u16_at;
use crate::Reason;
use std::cmp::Ordering;

/// `$UpCase`: the upper-case form of each UTF-16 unit.
#[derive(Default)]
pub(super) struct Upcase {
    table: Vec<u16>,
}

impl Upcase {
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Reason> {
        if bytes.len() != 1 << 17 {
            return Err(Reason::Damaged("$UpCase has not 65536 characters".to_owned()));
        }
        Ok(Self { table: (0..1 << 16).map(|index| u16_at(bytes, 2 * index)).collect() })
    }

    fn fold(&self, unit: u16) -> u16 {
        self.table.get(usize::from(unit)).copied().unwrap_or(unit)
    }

    /// How two names lie in a directory, without regard to case.
    pub(super) fn compare(&self, left: &[u16], right: &[u16]) -> Ordering {
        let fold = |unit: &u16| self.fold(*unit);
        left.iter().map(fold).cmp(right.iter().map(fold))
    }
}

//! `$FILE_NAME`: the name of a file in a directory, with a copy of its sizes and times.

use super::record::{u32_at, u64_at};
use crate::{FileTime, Reason};

/// Name space: only a DOS (8.3) name.
const DOS: u8 = 2;
/// Name space: only a long name.
const WIN32: u8 = 1;
/// Name space of a name that stands alone: what Windows gives to every name on volumes where it
/// makes no 8.3 names (seen on volumes that it made), and what `ntfs-3g` gives.
const ALONE: u8 = 0;

/// Flag of a directory in a name.
pub(super) const DIRECTORY_FLAG: u32 = 0x1000_0000;
/// `FILE_ATTRIBUTE_REPARSE_POINT`.
pub(super) const REPARSE_FLAG: u32 = 0x400;

/// The value of a `$FILE_NAME` attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileName {
    /// Reference of the directory.
    pub(super) parent: u64,
    pub(super) created: FileTime,
    pub(super) modified: FileTime,
    pub(super) changed: FileTime,
    pub(super) accessed: FileTime,
    pub(super) allocated: u64,
    pub(super) real: u64,
    pub(super) flags: u32,
    /// Size of extended attributes, or reparse tag.
    extra: u32,
    space: u8,
    pub(super) name: Vec<u16>,
}

impl FileName {
    /// A name without sizes and times.
    pub(super) fn new(parent: u64, name: &str) -> Self {
        Self {
            parent,
            created: FileTime::default(),
            modified: FileTime::default(),
            changed: FileTime::default(),
            accessed: FileTime::default(),
            allocated: 0,
            real: 0,
            flags: 0,
            extra: 0,
            space: ALONE,
            name: name.encode_utf16().collect(),
        }
    }

    pub(super) fn parse(value: &[u8]) -> Result<Self, Reason> {
        let units = value.get(64).map_or(0, |&len| usize::from(len));
        let name = value
            .get(66..66 + 2 * units)
            .ok_or_else(|| Reason::Damaged("a file name leaves its attribute".to_owned()))?;
        let time = |at| FileTime::from_ticks(u64_at(value, at));
        Ok(Self {
            parent: u64_at(value, 0),
            created: time(8),
            modified: time(16),
            changed: time(24),
            accessed: time(32),
            allocated: u64_at(value, 40),
            real: u64_at(value, 48),
            flags: u32_at(value, 56),
            extra: u32_at(value, 60),
            space: value[65],
            name: name.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect(),
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(66 + 2 * self.name.len());
        for number in [
            self.parent,
            self.created.ticks(),
            self.modified.ticks(),
            self.changed.ticks(),
            self.accessed.ticks(),
            self.allocated,
            self.real,
        ] {
            value.extend(number.to_le_bytes());
        }
        value.extend(self.flags.to_le_bytes());
        value.extend(self.extra.to_le_bytes());
        value.push(self.name.len() as u8);
        value.push(self.space);
        for unit in &self.name {
            value.extend(unit.to_le_bytes());
        }
        value
    }

    /// The same file under another name.
    pub(super) fn renamed(&self, parent: u64, name: &str) -> Self {
        Self { parent, space: ALONE, name: name.encode_utf16().collect(), ..self.clone() }
    }

    /// The tag of a file with a reparse point.
    pub(super) fn reparse_tag(&self) -> Option<u32> {
        (self.flags & REPARSE_FLAG != 0).then_some(self.extra)
    }

    /// Of a file that gets a reparse point of this tag.
    #[cfg(test)]
    pub(super) fn set_reparse_tag(&mut self, tag: u32) {
        self.flags |= REPARSE_FLAG;
        self.extra = tag;
    }

    /// Of a file that has no reparse point any more.
    pub(super) fn forget_reparse_tag(&mut self) {
        if self.flags & REPARSE_FLAG != 0 {
            self.flags &= !REPARSE_FLAG;
            self.extra = 0;
        }
    }

    pub(super) fn is_dos_only(&self) -> bool {
        self.space == DOS
    }

    /// True of the long half of a pair of names.
    pub(super) fn is_win32_only(&self) -> bool {
        self.space == WIN32
    }

    pub(super) fn text(&self) -> String {
        String::from_utf16_lossy(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back() {
        let mut name = FileName::new(5, "csagent.sys");
        name.real = 77;
        name.flags = REPARSE_FLAG;
        assert_eq!(FileName::parse(&name.encode()).unwrap(), name);
        assert!(FileName::parse(&name.encode()[..70]).is_err());
        assert!(FileName::parse(&[]).is_err());
    }
}

//! Registry hives (regf files): open, read, create, edit in place.
//!
//! [`Hive::open`] checks the whole structure first, as Windows does when it loads a hive, and refuses
//! a damaged one with the offset. A hive that Windows left dirty (its two sequence numbers differ) is
//! refused too: Windows would replay the transaction log over an edit. [`Hive::recover`] replays the
//! logs first, as Windows would. [`Hive::open_dirty`] reads such a hive as it lies, and never edits it.
//!
//! Paths are relative to the root key: `ControlSet001\Services\csagent`. Edits allocate, free and
//! re-use cells in memory; [`Hive::to_bytes`] gives the finished file. A hive that nothing was changed
//! in comes back byte for byte.
//!
//! ```
//! use winfmt::hive::{Data, Hive};
//! let mut hive = Hive::create("ROOT")?;
//! hive.set_value(r"ControlSet001\Services\csagent", "Start", &Data::dword(1))?;
//! let again = Hive::open(hive.to_bytes()?)?;
//! assert_eq!(again.get_dword(r"controlset001\services\CSAGENT", "start")?, Some(1));
//! # Ok::<(), winfmt::hive::HiveError>(())
//! ```
//!
//! The format is after the specification of Maxim Suhanov
//! (<https://github.com/msuhanov/regf>), checked against hives that Windows wrote and against libhivex.

mod base;
mod cells;
mod check;
mod control_set;
mod create;
mod data;
mod edit;
mod error;
mod key;
mod lists;
mod log;
mod marvin;
mod name;
mod recover;
mod reg_file;
mod security;
mod text;
mod upcase;
mod values;
mod walk;

#[cfg(test)]
mod long_run_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod recover_tests;

pub use base::Version;
pub use create::CreateOptions;
pub use data::{Data, ValueType};
pub use error::{HiveError, LogProblem};
pub use key::{Key, Value};
pub use log::LogFormat;
pub use name::{KeyPath, Name};
pub use recover::{AppliedLog, EMPTY_LOG, Recovery};
pub use reg_file::RegEncoding;
pub use text::DataTextError;
pub use upcase::upcase;
pub use walk::{Walk, WalkedKey};

use crate::FileTime;

/// Keys may be nested this deep, the limit of Windows.
pub const MAX_DEPTH: usize = 512;

/// A registry hive in memory. See the module's documentation.
#[derive(Clone)]
pub struct Hive {
    /// The base block and all bins.
    data: Vec<u8>,
    /// What lies behind the bins: Windows makes the file larger than it needs. Given back as it was;
    /// new bins take its place.
    tail: Vec<u8>,
    cells: cells::CellMap,
    /// Every list of subkeys is known to be in order, so that names are found by halving.
    sorted: bool,
    access: Access,
    clock: Option<FileTime>,
    modified: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Full,
    /// Opened although dirty: reading only.
    Dirty,
    /// An edit failed half way: reading only, and no bytes are given out.
    Broken,
}

impl Hive {
    /// Opens a clean hive after a check of its whole structure.
    ///
    /// # Errors
    /// [`HiveError::NotAHive`], [`HiveError::Damaged`] with the offset, or [`HiveError::Dirty`].
    pub fn open(bytes: Vec<u8>) -> Result<Self, HiveError> {
        let base = base::Base::parse(&bytes)?;
        if base.primary != base.secondary {
            return Err(HiveError::Dirty { primary: base.primary, secondary: base.secondary });
        }
        let mut hive = Self::load(bytes, &base, Access::Full)?;
        hive.sorted = check::check(&hive)?.sorted;
        Ok(hive)
    }

    /// Opens a hive for reading only, dirty or not, without a check of the tree: what was not yet
    /// written out of the transaction log is missing, and each read may find damage of its own.
    ///
    /// # Errors
    /// [`HiveError::NotAHive`], or [`HiveError::Damaged`] where base block or bins are broken.
    pub fn open_dirty(bytes: Vec<u8>) -> Result<Self, HiveError> {
        let base = base::Base::parse(&bytes)?;
        Self::load(bytes, &base, Access::Dirty)
    }

    fn load(mut bytes: Vec<u8>, base: &base::Base, access: Access) -> Result<Self, HiveError> {
        let tail = bytes.split_off(base::SIZE + base.bins_size as usize);
        let cells = cells::CellMap::scan(&bytes)?;
        Ok(Self { data: bytes, tail, cells, sorted: false, access, clock: None, modified: false })
    }

    /// Sets the time that edits write as "last written", so that the same edits give the same bytes.
    /// Without it, edits take the time of this host.
    pub fn set_clock(&mut self, clock: FileTime) {
        self.clock = Some(clock);
    }

    fn now(&self) -> FileTime {
        self.clock.unwrap_or_else(FileTime::now)
    }

    /// The format version of the file.
    pub fn version(&self) -> Version {
        base::version(&self.data)
    }

    /// The two sequence numbers of the base block. They differ in a dirty hive.
    pub fn sequence_numbers(&self) -> (u32, u32) {
        base::sequence_numbers(&self.data)
    }

    /// When the file was last written, after its base block.
    pub fn last_written(&self) -> FileTime {
        base::last_written(&self.data)
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> usize {
        self.data.len() + self.tail.len()
    }

    /// The finished file. After edits, both sequence numbers are one higher, the time is the clock's,
    /// and the checksum is right.
    ///
    /// # Errors
    /// [`HiveError::ReadOnly`] for a hive opened dirty, [`HiveError::Broken`] after a failed edit.
    pub fn to_bytes(&self) -> Result<Vec<u8>, HiveError> {
        self.require_writable()?;
        let mut bytes = self.data.clone();
        if self.modified {
            base::finish(&mut bytes, self.now());
        }
        bytes.extend_from_slice(&self.tail);
        Ok(bytes)
    }

    fn require_writable(&self) -> Result<(), HiveError> {
        match self.access {
            Access::Full => Ok(()),
            Access::Dirty => Err(HiveError::ReadOnly),
            Access::Broken => Err(HiveError::Broken),
        }
    }
}

impl std::fmt::Debug for Hive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hive")
            .field("size", &self.data.len())
            .field("access", &self.access)
            .field("modified", &self.modified)
            .finish_non_exhaustive()
    }
}

//! What every file system here can do, by path.

use crate::{Check, FileTime, Guard, Replay, Replayed, VolumeError};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::ops::Range;

/// What stands behind a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file, also one that CompactOS has compressed (WOF), as Windows shows it.
    File,
    /// A directory.
    Directory,
    /// A reparse point (symbolic link, junction, deduplicated file): never followed.
    Reparse,
}

/// Size and times of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// File, directory or reparse point.
    pub kind: Kind,
    /// Length of the contents in bytes, expanded where they are compressed; 0 for directories.
    pub size: u64,
    /// When it was created.
    pub created: FileTime,
    /// When its contents last changed.
    pub modified: FileTime,
    /// DOS attributes (`FILE_ATTRIBUTE_*`, \[MS-FSCC\] 2.6).
    pub attributes: u32,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Name as stored (the long one where there is also an 8.3 one).
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Length of the contents in bytes as the directory tells it; 0 for directories.
    pub size: u64,
}

/// A file system, by path.
///
/// Paths are relative to the root of the volume, with `\` or `/` between the parts and an optional
/// one in front; `""` and `\` are the root. Names are compared without regard to case, and kept as
/// given. `.` and `..` are not understood: they are refused.
///
/// What was written is on the device only after [`Volume::flush`].
pub trait Volume: Send {
    /// The entries of a directory, sorted by name without regard to case. System files
    /// (`$MFT` and so on) are left out.
    fn list(&mut self, path: &str) -> Result<Vec<Entry>, VolumeError>;

    /// What is at `path`.
    fn metadata(&mut self, path: &str) -> Result<Metadata, VolumeError>;

    /// True if there is something at `path`.
    fn exists(&mut self, path: &str) -> Result<bool, VolumeError> {
        match self.metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A whole file. Refused above [`MAX_READ`] bytes: use [`Volume::read_at`] there.
    fn read(&mut self, path: &str) -> Result<Vec<u8>, VolumeError>;

    /// Up to `buffer.len()` bytes from `offset`; fewer only at the end of the file.
    fn read_at(&mut self, path: &str, offset: u64, buffer: &mut [u8])
    -> Result<usize, VolumeError>;

    /// Where a file's contents lie, in bytes of the volume's device and in the order of the file. Contents
    /// that the file system keeps with its own record of the file lie where that record does; what was never
    /// written lies nowhere; what is compressed lies where its compressed data does.
    fn extents(&mut self, path: &str) -> Result<Vec<Range<u64>>, VolumeError>;

    /// Creates a file with these contents, or replaces what is there. Its directory must exist.
    fn write(&mut self, path: &str, data: &[u8]) -> Result<(), VolumeError> {
        self.write_from(path, &mut &*data, data.len() as u64)
    }

    /// Like [`Volume::write`], from a stream of exactly `size` bytes. Nothing is buffered.
    fn write_from(
        &mut self,
        path: &str,
        source: &mut dyn Read,
        size: u64,
    ) -> Result<(), VolumeError>;

    /// Overwrites bytes of an existing file from `offset`, growing it where needed. A gap between
    /// the old end and `offset` reads as zeros.
    fn write_at(&mut self, path: &str, offset: u64, data: &[u8]) -> Result<(), VolumeError>;

    /// Adds to the end of a file, creating it where it is missing.
    fn append(&mut self, path: &str, data: &[u8]) -> Result<(), VolumeError> {
        match self.metadata(path) {
            Ok(metadata) => self.write_at(path, metadata.size, data),
            Err(error) if error.is_not_found() => self.write(path, data),
            Err(error) => Err(error),
        }
    }

    /// Cuts a file, or extends it with zeros.
    fn set_size(&mut self, path: &str, size: u64) -> Result<(), VolumeError>;

    /// Creates a directory and those above it. What exists is left alone.
    fn create_dir_all(&mut self, path: &str) -> Result<(), VolumeError>;

    /// Moves a file or directory. A file at `to` is replaced; a directory there is an error.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), VolumeError>;

    /// Deletes a file (or a reparse point, not what it points to).
    fn remove_file(&mut self, path: &str) -> Result<(), VolumeError>;

    /// Deletes a directory with all that is in it.
    fn remove_dir_all(&mut self, path: &str) -> Result<(), VolumeError>;

    /// Sets the times of a file or directory.
    fn set_times(
        &mut self,
        path: &str,
        created: FileTime,
        modified: FileTime,
    ) -> Result<(), VolumeError>;

    /// The time that new and changed files get from now on. Until it is called, it is the
    /// machine's clock.
    fn set_clock(&mut self, now: FileTime);

    /// The volume label; empty where it has none.
    fn label(&mut self) -> Result<String, VolumeError>;

    /// Why the volume must not be written to, and what to do about it; `None` if it may be.
    /// Every operation that writes asks first, and fails with [`Reason::Guarded`](crate::Reason).
    fn guard(&mut self) -> Result<Option<Guard>, VolumeError>;

    /// Carries out what a crash left in the log of a volume, so that it can be written to: before anything is read that
    /// is to be written back. `None` where there is nothing to carry out, or where something stronger stands against
    /// writing: see [`Volume::guard`]. A file system without a log has nothing, nor has a volume whose log was carried
    /// out when it was opened.
    ///
    /// # Errors
    /// The guard, with the reason, where the log cannot be carried out. Then nothing was written.
    fn replay_log(&mut self, how: Replay) -> Result<Option<Replayed>, VolumeError> {
        let _ = how;
        Ok(None)
    }

    /// Makes a volume writable that its system did not let go of: what a crash or a power cut leaves behind it, a
    /// mark of dirtiness, changes in a log that were not carried out (they are), files that do not fit their sizes.
    /// Gives what was done or given up by that, for people; `None` where there was nothing. A volume that was marked
    /// stays marked, so that its own system checks it at the next start.
    ///
    /// # Errors
    /// The guard, where anything else keeps it from being written to: hibernation, damage, encryption, a log that
    /// cannot be carried out.
    fn accept_crash_state(&mut self) -> Result<Option<String>, VolumeError>;

    /// Checks the whole volume against itself. Nothing is changed.
    fn check(&mut self) -> Result<Check, VolumeError>;

    /// Free bytes.
    fn free_space(&mut self) -> Result<u64, VolumeError>;

    /// Puts everything written so far on the device, and has the device put it on the medium.
    fn flush(&mut self) -> Result<(), VolumeError>;
}

/// The largest file that [`Volume::read`] takes into memory, in bytes.
pub const MAX_READ: u64 = 1 << 30;

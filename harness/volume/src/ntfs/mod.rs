//! NTFS: our own reader and writer.
//!
//! No library does what is needed here: `ntfs` only reads; `fstool` writes, but puts back its own
//! idea of `$MFT` and `$Bitmap` when it flushes, takes them to be in one piece, and gives every
//! file the sequence number 1, which breaks volumes that Windows made. So only the empty volume is
//! `fstool`'s; everything after that is done here.
//!
//! - `boot`, `record`, `runs`, `name`, `node`, `lznt1`: the formats, pure.
//! - `engine`: records on the device. `alloc`: clusters and records that are free. `stream`: the
//!   contents of attributes. `contents`: those of files. `index`, `index_blocks`, `index_walk`: directories and other indexes.
//!   `edit`: changes of one file. `files`: by path. `extend`: what the volume keeps about files beside
//!   them. `guard`: whether it may be written to. `log`: what a crash left in the log, carried out. `check`: all of it, or what was changed, against itself.
//!
//! **Why this writer may be used.** The harness was to write with libntfs-3g unless a writer of its own
//! passes the same checks on every volume at hand. `tests/crosscheck.rs` holds it to that, on volumes
//! that Windows, the Linux driver and `mkntfs` made (with attribute lists, hard links, object ids, shadow
//! copies, clusters of 512 bytes to 128 KiB): small files, one of 8 MB, hundreds in one
//! directory, overwritten, moved, deleted. Then `ntfscat` reads back the same bytes, `ntfsfix` and
//! `ntfsresize` (which holds every cluster of every file against `$Bitmap`) find the volume clean, and
//! the crate `ntfs`, which shares no code with this one, hashes every attribute of every other file
//! record (streams, names, security descriptors, indexes) to what it was before. `tests/model.rs` does
//! the same after random operations, `tests/power.rs` after a power cut at every single write.
//!
//! **Power cuts.** Nothing is kept back: when a call returns, everything it did has been written to
//! the device (which may have a cache of its own: [`Volume::flush`]). Inside of a call, what is new
//! is written before what refers to it, and what is old is given back after nothing refers to it.
//! So a cut at any moment leaves a volume on which every file is whole, old or new; at worst
//! clusters or a record are marked as taken that nobody uses, a new name and an old one stand side by
//! side, or a record of the system differs from its copy in `$MFTMirr`. The one exception are files with an attribute list, whose several records are written
//! one after the other: a cut in between is for `chkdsk`. The log of NTFS is not written; a volume
//! whose log is not empty is not written to before [`Volume::replay_log`] or [`Ntfs::discard_log`].

mod alloc;
mod boot;
mod check;
mod contents;
#[cfg(test)]
mod crafted;
mod edit;
mod engine;
mod extend;
mod files;
mod format;
mod guard;
mod index;
mod index_blocks;
mod index_walk;
mod log;
mod lznt1;
mod name;
mod node;
mod record;
mod runs;
mod stream;
mod upcase;

use crate::changes::{Before, Changes};
use crate::{
    BlockDevice, Check, Entry, FileTime, Guard, GuardKind, Metadata, Operation, Reason, Replay,
    Replayed, Volume, VolumeError,
};
pub(crate) use boot::cluster_size;
use engine::{Engine, VOLUME};
use record::kind;
use std::io::Read;
use std::ops::Range;

/// How to make an NTFS volume.
#[derive(Debug, Clone)]
pub struct NtfsFormat {
    /// Volume label: at most 32 UTF-16 units.
    pub label: String,
    /// Volume serial number.
    pub serial: u64,
    /// The times of the root directory, and the clock until [`Volume::set_clock`].
    pub time: FileTime,
}

/// An NTFS volume.
///
/// One handle at a time may write to a volume, and none may read it meanwhile: each remembers what it
/// read (records, directories, bitmaps).
///
/// Not done: no records go into the change journal (it gets another identifier instead, so that whoever
/// follows it starts anew, and quotas that are tracked are marked as out of date, see `extend`); 8.3
/// names are not made; files that are encrypted (EFS), deduplicated or kept in a WIM archive (WIMBoot) are
/// not read; a file that CompactOS has compressed (WOF) is a plain one once it is written to; no file gets an attribute list that has none, so that one with very many names or pieces is
/// refused. A volume of a disk whose *system* is hibernated looks clean by itself: who opens a disk asks
/// the Windows volume for its [`Volume::guard`] before it writes to another one.
pub struct Ntfs {
    engine: Engine,
}

impl std::fmt::Debug for Ntfs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Ntfs").field("geometry", &self.engine.geometry).finish_non_exhaustive()
    }
}

fn failure(operation: Operation, path: &str) -> impl FnOnce(Reason) -> VolumeError {
    let path = if path.is_empty() { "\\".to_owned() } else { path.to_owned() };
    move |reason| VolumeError { file_system: "NTFS".into(), operation, path, reason }
}

impl Ntfs {
    /// Opens the NTFS volume that fills `device`. Nothing is written by that.
    pub fn open(device: impl BlockDevice + 'static) -> Result<Self, VolumeError> {
        Self::open_with(Box::new(device), None)
    }

    /// The same; what is changed through it is noted in `changes`.
    pub(crate) fn open_tracked(
        device: impl BlockDevice + 'static,
        changes: &Changes,
    ) -> Result<Self, VolumeError> {
        Self::open_with(Box::new(device), Some(changes.clone()))
    }

    /// Checks what the changes on `device` differ in from what was there before: see `check`. Where too much
    /// was changed it is the check of the whole volume.
    pub(crate) fn check_changes(
        device: impl BlockDevice + Clone + 'static,
        changes: &Changes,
    ) -> Result<Check, VolumeError> {
        let found = match changes.units() {
            Some(units) => {
                let before = Before::new(device.clone(), units.clone());
                let now = Box::new(device.clone());
                check::check_changes(Box::new(before), now, &units, check::MAX_RECORDS)
                    .map_err(failure(Operation::Check, ""))?
            }
            None => None,
        };
        match found {
            Some(check) => Ok(check),
            None => Self::open(device)?.check(),
        }
    }

    fn open_with(
        device: Box<dyn BlockDevice>,
        changes: Option<Changes>,
    ) -> Result<Self, VolumeError> {
        let engine = Engine::open(device, changes).map_err(failure(Operation::Open, ""))?;
        Ok(Self { engine })
    }

    /// Makes an empty NTFS volume of 4 KiB clusters that fills `device`, and opens it. The same
    /// options give the same bytes on a zeroed device.
    pub fn format(
        mut device: impl BlockDevice + 'static,
        options: &NtfsFormat,
    ) -> Result<Self, VolumeError> {
        let wrong = |reason| failure(Operation::Format, "")(reason);
        format::format(&mut device, options).map_err(wrong)?;
        let mut ntfs = Self::open(device)?;
        ntfs.engine.clock = Some(options.time);
        ntfs.engine.enter_root().map_err(wrong)?;
        ntfs.engine.make_log().map_err(wrong)?;
        ntfs.engine.close_bitmap().map_err(wrong)?;
        ntfs.set_times("", options.time, options.time)?;
        Ok(ntfs)
    }

    /// The volume serial number.
    pub fn serial(&self) -> u64 {
        self.engine.geometry.serial
    }

    /// True if the volume was not let go of cleanly: its dirty flag is set, or its log is not
    /// empty. Such a volume is read, but not written to.
    pub fn is_dirty(&mut self) -> Result<bool, VolumeError> {
        let mut dirty = || {
            let clean = matches!(self.engine.log_state()?, log::LogState::Clean);
            Ok(!clean || self.engine.dirty_flag()?)
        };
        dirty().map_err(failure(Operation::Open, ""))
    }

    /// Empties the log of a volume that was not let go of cleanly without carrying it out, so that it can be written
    /// to, and marks the volume as dirty, so that its own system checks it. What Windows had not written back yet is
    /// lost, and files may contradict each other: for a log that [`Volume::replay_log`] refuses.
    pub fn discard_log(&mut self) -> Result<(), VolumeError> {
        let mut discard = || {
            if let Some(header) = self.engine.hibernation()? {
                return Err(Reason::Guarded(Guard::hibernated(header)));
            }
            // What the log would have changed cannot be told apart from what is changed here.
            if let Some(changes) = self.engine.device.changes() {
                changes.give_up();
            }
            let inode = self.engine.inode(engine::LOG_FILE)?;
            let layout = self.engine.layout(&inode, kind::DATA, &[])?;
            if let Some(layout) = layout {
                let blank = vec![0xff; 1 << 20];
                let mut offset = 0;
                while offset < layout.size() {
                    let part = (layout.size() - offset).min(blank.len() as u64);
                    self.engine.write_layout(&layout, offset, &blank[..part as usize])?;
                    offset += part;
                }
            }
            self.engine.set_dirty_flag()?;
            self.engine.writable = true;
            Ok(())
        };
        discard().map_err(failure(Operation::Write, "\\$LogFile"))
    }
}

impl Volume for Ntfs {
    fn list(&mut self, path: &str) -> Result<Vec<Entry>, VolumeError> {
        self.engine.list(path).map_err(failure(Operation::List, path))
    }

    fn metadata(&mut self, path: &str) -> Result<Metadata, VolumeError> {
        let inode = self.engine.resolve_path(path);
        inode
            .and_then(|inode| self.engine.metadata(&inode))
            .map_err(failure(Operation::Metadata, path))
    }

    fn read(&mut self, path: &str) -> Result<Vec<u8>, VolumeError> {
        let mut read = || {
            let inode = self.engine.resolve_file(path)?;
            let contents = self.engine.contents(&inode)?;
            self.engine.read_contents(&contents)
        };
        read().map_err(failure(Operation::Read, path))
    }

    fn read_at(
        &mut self,
        path: &str,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, VolumeError> {
        let mut read = || {
            let inode = self.engine.resolve_file(path)?;
            let contents = self.engine.contents(&inode)?;
            self.engine.read_contents_at(&contents, offset, buffer)
        };
        read().map_err(failure(Operation::Read, path))
    }

    fn extents(&mut self, path: &str) -> Result<Vec<Range<u64>>, VolumeError> {
        let mut find = || {
            let inode = self.engine.resolve_file(path)?;
            let contents = self.engine.contents(&inode)?;
            self.engine.extents(&inode, contents.layout())
        };
        find().map_err(failure(Operation::Read, path))
    }

    fn write_from(
        &mut self,
        path: &str,
        source: &mut dyn Read,
        size: u64,
    ) -> Result<(), VolumeError> {
        self.engine.write_file(path, source, size).map_err(failure(Operation::Write, path))
    }

    fn write_at(&mut self, path: &str, offset: u64, data: &[u8]) -> Result<(), VolumeError> {
        let mut write = || {
            let mut inode = self.engine.resolve_user_file(path)?;
            self.engine.begin_write()?;
            self.engine.write_data(&mut inode, offset, data)
        };
        write().map_err(failure(Operation::Write, path))
    }

    fn set_size(&mut self, path: &str, size: u64) -> Result<(), VolumeError> {
        let mut resize = || {
            let mut inode = self.engine.resolve_user_file(path)?;
            self.engine.begin_write()?;
            self.engine.resize_data(&mut inode, size)
        };
        resize().map_err(failure(Operation::Resize, path))
    }

    fn create_dir_all(&mut self, path: &str) -> Result<(), VolumeError> {
        self.engine.create_dirs(path).map_err(failure(Operation::CreateDirectory, path))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), VolumeError> {
        self.engine.rename(from, to).map_err(failure(Operation::Rename, from))
    }

    fn remove_file(&mut self, path: &str) -> Result<(), VolumeError> {
        self.engine.remove(path).map_err(failure(Operation::Remove, path))
    }

    fn remove_dir_all(&mut self, path: &str) -> Result<(), VolumeError> {
        self.engine.remove_tree(path).map_err(failure(Operation::Remove, path))
    }

    fn set_times(
        &mut self,
        path: &str,
        created: FileTime,
        modified: FileTime,
    ) -> Result<(), VolumeError> {
        let mut set = || {
            let mut inode = self.engine.resolve_path(path)?;
            self.engine.begin_write()?;
            let now = self.engine.now();
            self.engine.change_standard(&mut inode, |standard| {
                standard.created = created;
                standard.modified = modified;
                standard.accessed = modified;
                standard.changed = now;
            })?;
            self.engine.write_inode(&mut inode)?;
            self.engine.update_entries(&inode)
        };
        set().map_err(failure(Operation::SetTimes, path))
    }

    fn set_clock(&mut self, now: FileTime) {
        self.engine.clock = Some(now);
    }

    fn label(&mut self) -> Result<String, VolumeError> {
        let mut label = || {
            let inode = self.engine.inode(VOLUME)?;
            let name = inode.attributes().find(|one| one.kind() == kind::VOLUME_NAME);
            let bytes = name.map(|name| name.value().to_vec()).unwrap_or_default();
            let units: Vec<u16> =
                bytes.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
            Ok(String::from_utf16_lossy(&units))
        };
        label().map_err(failure(Operation::Label, ""))
    }

    fn accept_crash_state(&mut self) -> Result<Option<String>, VolumeError> {
        let Some(guard) = self.guard()? else { return Ok(None) };
        match guard.kind {
            GuardKind::UncleanLog => {
                let Some(done) = self.replay_log(Replay::CarryOut)? else {
                    return Err(failure(Operation::Open, "")(Reason::Guarded(guard)));
                };
                // The volume may be marked as dirty as well.
                Ok(Some(match self.accept_crash_state()? {
                    Some(more) => format!("{done}; {more}"),
                    None => done.to_string(),
                }))
            }
            GuardKind::Dirty => {
                self.engine.accept_dirty();
                Ok(Some(guard.reason))
            }
            _ => Err(failure(Operation::Open, "")(Reason::Guarded(guard))),
        }
    }

    fn replay_log(&mut self, how: Replay) -> Result<Option<Replayed>, VolumeError> {
        self.engine.replay_log(how).map_err(failure(Operation::Replay, "\\$LogFile"))
    }

    fn guard(&mut self) -> Result<Option<Guard>, VolumeError> {
        self.engine.guard().map_err(failure(Operation::Open, ""))
    }

    /// Clusters that two files use, names without files, sizes that contradict. What a power cut
    /// leaves (clusters and records that are marked as taken for nothing) is counted apart.
    fn check(&mut self) -> Result<Check, VolumeError> {
        self.engine.check().map_err(failure(Operation::Check, ""))
    }

    fn free_space(&mut self) -> Result<u64, VolumeError> {
        let cluster = self.engine.geometry.cluster;
        let count = self.engine.free_clusters_count().map_err(failure(Operation::FreeSpace, ""))?;
        Ok(count * cluster)
    }

    fn flush(&mut self) -> Result<(), VolumeError> {
        let flushed = self.engine.device.flush().map_err(Reason::Device);
        flushed.map_err(failure(Operation::Flush, ""))
    }
}

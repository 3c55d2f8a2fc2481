//! FAT, of EFI system partitions and of old systems: the crate `fatfs` behind [`Volume`].
//!
//! `fatfs` follows chains of clusters wherever they lead. So a volume is checked by our own code before
//! the first change (`check`), and one that contradicts itself is only read, which is bounded.
//!
//! The file system is opened and closed again for every operation: between two of them everything
//! is on the device, and nothing of the crate's state outlives an error. `fatfs` writes single
//! bytes, so a write-back cache stands between it and the device for the length of an operation.

mod cache;
mod check;
mod dots;
mod time;

use crate::path::{check_new_name, split};
use crate::{
    BlockDevice, Check, Entry, FileTime, Guard, Kind, MAX_READ, Metadata, Operation, Reason,
    Stream, Volume, VolumeError,
};
use cache::Cache;
use fatfs::{Dir, DirEntry, FileSystem, FormatVolumeOptions, FsOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::time::SystemTime;
use time::{FatClock, from_dos, set_clock};

/// Which FAT to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FatKind {
    /// 16-bit entries: volumes from about 2 MiB to 2 GiB.
    Fat16,
    /// 32-bit entries: volumes from about 33 MiB.
    Fat32,
}

/// How to make a FAT volume.
#[derive(Debug, Clone)]
pub struct FatFormat {
    /// 16 or 32 bits.
    pub kind: FatKind,
    /// Volume id.
    pub id: u32,
    /// Volume label: at most 11 ASCII characters, upper case.
    pub label: String,
}

/// Most entries of one directory that are looked at: FAT allows 65536 slots of 32 bytes.
const MAX_ENTRIES: usize = 65536;
/// Deepest tree that is deleted.
const MAX_DEPTH: usize = 64;
/// Most entries that are deleted at once.
const MAX_CLEARED: u32 = 1 << 20;
/// Where a hibernated system keeps its memory.
const HIBERNATION_FILE: &str = "hiberfil.sys";
/// `FILE_ATTRIBUTE_DIRECTORY`.
const ATTRIBUTE_DIRECTORY: u32 = 0x10;

type Disk<'a> = Stream<Cache<'a>>;
type Files<'a> = FileSystem<Disk<'a>>;

/// A FAT volume.
pub struct Fat {
    device: Box<dyn BlockDevice>,
    clock: Option<FileTime>,
    /// True once it is known that writing is safe.
    writable: bool,
}

impl std::fmt::Debug for Fat {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Fat").field("len", &self.device.len()).finish_non_exhaustive()
    }
}

impl Fat {
    /// Opens the FAT volume that fills `device`.
    pub fn open(device: impl BlockDevice + 'static) -> Result<Self, VolumeError> {
        let mut fat = Self { device: Box::new(device), clock: None, writable: false };
        fat.run(Operation::Open, "", |files| files.stats().map(|_| ()).map_err(Reason::from_io))?;
        Ok(fat)
    }

    /// Makes an empty FAT volume that fills `device`, and opens it. The same options give the same
    /// bytes on a zeroed device.
    pub fn format(
        mut device: impl BlockDevice + 'static,
        options: &FatFormat,
    ) -> Result<Self, VolumeError> {
        let wrong = |reason| failure(Operation::Format, "", reason);
        if options.label.len() > 11 || !options.label.is_ascii() {
            return Err(wrong(Reason::bad_path("a label has at most 11 ASCII characters")));
        }
        let mut label = [b' '; 11];
        label[..options.label.len()].copy_from_slice(options.label.as_bytes());
        let kind = match options.kind {
            FatKind::Fat16 => fatfs::FatType::Fat16,
            FatKind::Fat32 => fatfs::FatType::Fat32,
        };
        let mut settings = FormatVolumeOptions::new().fat_type(kind).volume_id(options.id);
        if !options.label.is_empty() {
            settings = settings.volume_label(label);
        }
        set_clock(FileTime::from_unix_seconds(315_532_800));
        let mut stream = Stream::new(Cache::new(&mut device));
        fatfs::format_volume(&mut stream, settings)
            .map_err(|error| wrong(Reason::from_io(error)))?;
        stream.into_inner().write_back().map_err(|error| wrong(Reason::Device(error)))?;
        Self::open(device)
    }

    /// The volume id.
    pub fn id(&mut self) -> Result<u32, VolumeError> {
        self.run(Operation::Open, "", |files| Ok(files.volume_id()))
    }

    /// Why the volume must not be written to. It is found once: nobody else writes meanwhile.
    fn find_guard(&mut self) -> Result<Option<Guard>, VolumeError> {
        if self.writable {
            return Ok(None);
        }
        let open = |reason| failure(Operation::Open, "", reason);
        let mut magic = [0; 4];
        match self.read_at(HIBERNATION_FILE, 0, &mut magic) {
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) if error.is_device() => return Err(error),
            // A file that cannot be read is damage, which the check below finds.
            Err(_) => {}
        }
        if let Some(header) = Guard::live_header(magic) {
            return Ok(Some(Guard::hibernated(header)));
        }
        if check::is_dirty(&mut *self.device).map_err(open)? {
            return Ok(Some(Guard::dirty()));
        }
        let check = check::check(&mut *self.device).map_err(open)?;
        if let Some(error) = check.errors.first() {
            return Ok(Some(Guard::damaged(error)));
        }
        if let Some(what) = check.unfinished.first() {
            return Ok(Some(Guard::unfinished(what)));
        }
        self.writable = true;
        Ok(None)
    }

    /// Like [`Fat::run`], for what changes the volume.
    fn change<T>(
        &mut self,
        operation: Operation,
        path: &str,
        work: impl FnOnce(&Files<'_>) -> Result<T, Reason>,
    ) -> Result<T, VolumeError> {
        self.check_writable(operation, path)?;
        self.run_and(operation, path, work, |_, _| Ok(()))
    }

    fn check_writable(&mut self, operation: Operation, path: &str) -> Result<(), VolumeError> {
        match self.find_guard()? {
            Some(guard) => Err(failure(operation, path, Reason::Guarded(guard))),
            None => Ok(()),
        }
    }

    /// Opens the file system and reads. What `fatfs` would bring up to date by the way, such as the number of free
    /// clusters of a volume that is marked as dirty, goes no further than the cache.
    fn run<T>(
        &mut self,
        operation: Operation,
        path: &str,
        work: impl FnOnce(&Files<'_>) -> Result<T, Reason>,
    ) -> Result<T, VolumeError> {
        set_clock(self.clock.unwrap_or_else(|| SystemTime::now().into()));
        let mut cache = Cache::new(&mut *self.device);
        let options = FsOptions::new().time_provider(&FatClock).update_accessed_date(false);
        let result = FileSystem::new(Stream::new(cache.lend()), options)
            .map_err(|error| Reason::Damaged(error.to_string()))
            .and_then(|files| work(&files));
        result.map_err(|reason| failure(operation, path, reason))
    }

    /// Opens the file system, works with it, closes it, and writes the cache back; `finish` works on what is about
    /// to be written.
    fn run_and<T>(
        &mut self,
        operation: Operation,
        path: &str,
        work: impl FnOnce(&Files<'_>) -> Result<T, Reason>,
        finish: impl FnOnce(&mut dyn BlockDevice, &T) -> Result<(), Reason>,
    ) -> Result<T, VolumeError> {
        set_clock(self.clock.unwrap_or_else(|| SystemTime::now().into()));
        let mut cache = Cache::new(&mut *self.device);
        let result = (|| {
            let options = FsOptions::new().time_provider(&FatClock).update_accessed_date(false);
            let files = FileSystem::new(Stream::new(cache.lend()), options)
                .map_err(|error| Reason::Damaged(error.to_string()))?;
            let result = work(&files)?;
            files.unmount().map_err(Reason::from_io)?;
            finish(&mut cache, &result)?;
            Ok(result)
        })();
        // What was written before an error is written back too: that is what a disk would hold.
        let written = cache.write_back().map_err(Reason::Device);
        let result = result.and_then(|result| written.map(|()| result));
        result.map_err(|reason| failure(operation, path, reason))
    }
}

fn failure(operation: Operation, path: &str, reason: Reason) -> VolumeError {
    let path = if path.is_empty() { "\\".to_owned() } else { path.to_owned() };
    VolumeError { file_system: "FAT".into(), operation, path, reason }
}

/// The entries of a directory without the volume label, `.` and `..`.
fn entries<'a, 'd>(dir: &Dir<'a, Disk<'d>>) -> Result<Vec<DirEntry<'a, Disk<'d>>>, Reason> {
    let mut found = Vec::new();
    for entry in dir.iter() {
        let entry = entry.map_err(Reason::from_io)?;
        if found.len() == MAX_ENTRIES {
            return Err(Reason::Damaged("a directory does not end".to_owned()));
        }
        found.push(entry);
    }
    found.retain(|entry| !matches!(entry.short_file_name_as_bytes(), b"." | b".."));
    Ok(found)
}

fn same_name(entry: &DirEntry<'_, Disk<'_>>, name: &str) -> bool {
    let fold = |text: &str| text.to_uppercase();
    let name = fold(name);
    fold(&entry.file_name()) == name || fold(&entry.short_file_name()) == name
}

/// The short names on the way to something.
type ShortPath = Vec<Vec<u8>>;

fn find_name<'a, 'd>(
    dir: &Dir<'a, Disk<'d>>,
    name: &str,
) -> Result<Option<DirEntry<'a, Disk<'d>>>, Reason> {
    Ok(entries(dir)?.into_iter().find(|entry| same_name(entry, name)))
}

fn short_path(files: &Files<'_>, path: &str) -> Result<ShortPath, Reason> {
    let mut dir = files.root_dir();
    let mut names = Vec::new();
    for part in split(path)? {
        let entry = find_name(&dir, part)?.ok_or(Reason::NotFound)?;
        names.push(entry.short_file_name_as_bytes().to_vec());
        if entry.is_dir() {
            dir = entry.to_dir();
        }
    }
    Ok(names)
}

/// What a path leads to: the root has no entry.
enum Found<'a, 'd> {
    Root(Dir<'a, Disk<'d>>),
    Entry(Box<DirEntry<'a, Disk<'d>>>),
}

fn find<'a, 'd>(files: &'a Files<'d>, path: &str) -> Result<Found<'a, 'd>, Reason> {
    let mut found = Found::Root(files.root_dir());
    for part in split(path)? {
        let dir = into_dir(found)?;
        let entry = find_name(&dir, part)?;
        found = Found::Entry(Box::new(entry.ok_or(Reason::NotFound)?));
    }
    Ok(found)
}

fn into_dir<'a, 'd>(found: Found<'a, 'd>) -> Result<Dir<'a, Disk<'d>>, Reason> {
    match found {
        Found::Root(dir) => Ok(dir),
        Found::Entry(entry) if entry.is_dir() => Ok(entry.to_dir()),
        Found::Entry(_) => Err(Reason::NotADirectory),
    }
}

fn find_file<'a, 'd>(
    files: &'a Files<'d>,
    path: &str,
) -> Result<Box<DirEntry<'a, Disk<'d>>>, Reason> {
    match find(files, path)? {
        Found::Entry(entry) if !entry.is_dir() => Ok(entry),
        _ => Err(Reason::IsADirectory),
    }
}

/// The directory of a path, and the last name.
fn parent<'a, 'd, 'p>(
    files: &'a Files<'d>,
    path: &'p str,
) -> Result<(Dir<'a, Disk<'d>>, &'p str), Reason> {
    let parts = split(path)?;
    let (name, above) = parts.split_last().ok_or(Reason::IsADirectory)?;
    Ok((into_dir(find(files, &above.join("/"))?)?, name))
}

/// Copies `size` bytes, or fails.
fn copy(source: &mut dyn Read, target: &mut dyn Write, size: u64) -> Result<(), Reason> {
    let copied = io::copy(&mut source.take(size), target).map_err(Reason::from_io)?;
    if copied == size {
        return Ok(());
    }
    Err(Reason::Device(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("the source ended after {copied} of {size} bytes"),
    )))
}

fn check_size(size: u64) -> Result<(), Reason> {
    let limit = u64::from(u32::MAX);
    if size > limit { Err(Reason::TooLarge { size, limit }) } else { Ok(()) }
}

/// Grows a file with zeros, or cuts it.
fn resize(file: &mut fatfs::File<'_, Disk<'_>>, from: u64, to: u64) -> Result<(), Reason> {
    check_size(to)?;
    file.seek(SeekFrom::Start(from.min(to))).map_err(Reason::from_io)?;
    if to < from {
        return file.truncate().map_err(Reason::from_io);
    }
    copy(&mut io::repeat(0), file, to - from)
}

impl Volume for Fat {
    fn list(&mut self, path: &str) -> Result<Vec<Entry>, VolumeError> {
        self.run(Operation::List, path, |files| {
            let dir = into_dir(find(files, path)?)?;
            let mut list: Vec<Entry> = entries(&dir)?
                .iter()
                .map(|entry| Entry {
                    name: entry.file_name(),
                    kind: if entry.is_dir() { Kind::Directory } else { Kind::File },
                    size: if entry.is_dir() { 0 } else { entry.len() },
                })
                .collect();
            list.sort_by_cached_key(|entry| entry.name.to_uppercase());
            Ok(list)
        })
    }

    fn metadata(&mut self, path: &str) -> Result<Metadata, VolumeError> {
        self.run(Operation::Metadata, path, |files| {
            Ok(match find(files, path)? {
                Found::Root(_) => Metadata {
                    kind: Kind::Directory,
                    size: 0,
                    created: FileTime::default(),
                    modified: FileTime::default(),
                    attributes: ATTRIBUTE_DIRECTORY,
                },
                Found::Entry(entry) => Metadata {
                    kind: if entry.is_dir() { Kind::Directory } else { Kind::File },
                    size: if entry.is_dir() { 0 } else { entry.len() },
                    created: from_dos(entry.created()),
                    modified: from_dos(entry.modified()),
                    attributes: u32::from(entry.attributes().bits()),
                },
            })
        })
    }

    fn read(&mut self, path: &str) -> Result<Vec<u8>, VolumeError> {
        self.run(Operation::Read, path, |files| {
            let entry = find_file(files, path)?;
            let size = entry.len();
            if size > MAX_READ {
                return Err(Reason::TooLarge { size, limit: MAX_READ });
            }
            let mut data = Vec::new();
            entry.to_file().take(size).read_to_end(&mut data).map_err(Reason::from_io)?;
            if data.len() as u64 != size {
                return Err(Reason::Damaged("a file is shorter than its entry says".to_owned()));
            }
            Ok(data)
        })
    }

    fn read_at(
        &mut self,
        path: &str,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, VolumeError> {
        self.run(Operation::Read, path, |files| {
            let entry = find_file(files, path)?;
            let wanted = entry.len().saturating_sub(offset).min(buffer.len() as u64) as usize;
            if wanted > 0 {
                let mut file = entry.to_file();
                file.seek(SeekFrom::Start(offset)).map_err(Reason::from_io)?;
                file.read_exact(&mut buffer[..wanted]).map_err(Reason::from_io)?;
            }
            Ok(wanted)
        })
    }

    fn extents(&mut self, path: &str) -> Result<Vec<Range<u64>>, VolumeError> {
        let reason = Reason::Unsupported("telling where a file of a FAT volume lies".to_owned());
        Err(failure(Operation::Read, path, reason))
    }

    fn write_from(
        &mut self,
        path: &str,
        source: &mut dyn Read,
        size: u64,
    ) -> Result<(), VolumeError> {
        self.change(Operation::Write, path, |files| {
            check_size(size)?;
            let (dir, name) = parent(files, path)?;
            let existing = find_name(&dir, name)?;
            let mut file = match existing {
                Some(entry) if entry.is_dir() => return Err(Reason::IsADirectory),
                Some(entry) => entry.to_file(),
                None => {
                    check_new_name(name)?;
                    dir.create_file(name).map_err(Reason::from_io)?
                }
            };
            file.truncate().map_err(Reason::from_io)?;
            copy(source, &mut file, size)?;
            file.flush().map_err(Reason::from_io)
        })
    }

    fn write_at(&mut self, path: &str, offset: u64, data: &[u8]) -> Result<(), VolumeError> {
        self.change(Operation::Write, path, |files| {
            let entry = find_file(files, path)?;
            check_size(offset.saturating_add(data.len() as u64))?;
            let mut file = entry.to_file();
            if entry.len() < offset {
                resize(&mut file, entry.len(), offset)?;
            }
            file.seek(SeekFrom::Start(offset)).map_err(Reason::from_io)?;
            file.write_all(data).map_err(Reason::from_io)?;
            file.flush().map_err(Reason::from_io)
        })
    }

    fn set_size(&mut self, path: &str, size: u64) -> Result<(), VolumeError> {
        self.change(Operation::Resize, path, |files| {
            let entry = find_file(files, path)?;
            let mut file = entry.to_file();
            resize(&mut file, entry.len(), size)?;
            file.flush().map_err(Reason::from_io)
        })
    }

    fn create_dir_all(&mut self, path: &str) -> Result<(), VolumeError> {
        self.check_writable(Operation::CreateDirectory, path)?;
        let make = |files: &Files<'_>| {
            let mut dir = files.root_dir();
            let (mut above, mut made) = (Vec::new(), Vec::new());
            for part in split(path)? {
                if find_name(&dir, part)?.is_none() {
                    check_new_name(part)?;
                    dir.create_dir(part).map_err(Reason::from_io)?;
                    made.push(above.len() + 1);
                }
                let entry = find_name(&dir, part)?.ok_or(Reason::NotFound)?;
                if !entry.is_dir() {
                    return Err(Reason::NotADirectory);
                }
                above.push(entry.short_file_name_as_bytes().to_vec());
                dir = entry.to_dir();
            }
            Ok((above, made))
        };
        let finish = |device: &mut dyn BlockDevice, (path, made): &(ShortPath, Vec<usize>)| {
            made.iter().try_for_each(|&depth| dots::put_right(device, &path[..depth]))
        };
        self.run_and(Operation::CreateDirectory, path, make, finish).map(drop)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), VolumeError> {
        self.check_writable(Operation::Rename, from)?;
        let work = |files: &Files<'_>| {
            let (source, target) = (split(from)?, split(to)?);
            let upper = |parts: &[&str]| parts.join("/").to_uppercase();
            if target.len() > source.len() && upper(&target[..source.len()]) == upper(&source) {
                return Err(Reason::bad_path("a directory cannot move into itself"));
            }
            let directory = matches!(find(files, from)?, Found::Entry(entry) if entry.is_dir());
            let (source_dir, source_name) = parent(files, from)?;
            let (target_dir, target_name) = parent(files, to)?;
            check_new_name(target_name)?;
            let same_place = upper(&source) == upper(&target);
            if let (false, Ok(found)) = (same_place, find(files, to)) {
                match found {
                    Found::Entry(entry) if !entry.is_dir() => {
                        target_dir.remove(target_name).map_err(Reason::from_io)?;
                    }
                    _ => return Err(Reason::AlreadyExists),
                }
            }
            source_dir.rename(source_name, &target_dir, target_name).map_err(Reason::from_io)?;
            if directory { short_path(files, to).map(Some) } else { Ok(None) }
        };
        let finish = |device: &mut dyn BlockDevice, moved: &Option<ShortPath>| match moved {
            Some(path) => dots::put_right(device, path),
            None => Ok(()),
        };
        self.run_and(Operation::Rename, from, work, finish).map(drop)
    }

    fn remove_file(&mut self, path: &str) -> Result<(), VolumeError> {
        self.change(Operation::Remove, path, |files| {
            find_file(files, path)?;
            let (dir, name) = parent(files, path)?;
            dir.remove(name).map_err(Reason::from_io)
        })
    }

    fn remove_dir_all(&mut self, path: &str) -> Result<(), VolumeError> {
        self.change(Operation::Remove, path, |files| {
            let dir = into_dir(find(files, path)?)?;
            let (above, name) = parent(files, path)?;
            let mut left = MAX_CLEARED;
            clear(&dir, 0, &mut left)?;
            above.remove(name).map_err(Reason::from_io)
        })
    }

    fn set_times(
        &mut self,
        path: &str,
        created: FileTime,
        modified: FileTime,
    ) -> Result<(), VolumeError> {
        self.change(Operation::SetTimes, path, |files| {
            let entry = match find(files, path)? {
                Found::Entry(entry) if !entry.is_dir() => entry,
                _ => {
                    return Err(Reason::Unsupported(
                        "directories of FAT keep the times of their creation".to_owned(),
                    ));
                }
            };
            time::set_file_times(&mut entry.to_file(), created, modified).map_err(Reason::from_io)
        })
    }

    fn set_clock(&mut self, now: FileTime) {
        self.clock = Some(now);
    }

    fn label(&mut self) -> Result<String, VolumeError> {
        self.run(Operation::Label, "", |files| {
            // Windows goes by the root directory; the boot sector has what it was formatted with.
            let root = files.read_volume_label_from_root_dir().map_err(Reason::from_io)?;
            let label = root.unwrap_or_else(|| files.volume_label());
            Ok(if label == "NO NAME" { String::new() } else { label })
        })
    }

    fn accept_crash_state(&mut self) -> Result<Option<String>, VolumeError> {
        let open = |reason| failure(Operation::Open, "", reason);
        let Some(guard) = self.find_guard()? else { return Ok(None) };
        if !guard.is_crash_state() {
            return Err(open(Reason::Guarded(guard)));
        }
        let check = check::check(&mut *self.device).map_err(open)?;
        if let Some(error) = check.errors.first() {
            return Err(open(Reason::Guarded(Guard::damaged(error))));
        }
        self.writable = true;
        Ok(Some(guard.reason))
    }

    fn guard(&mut self) -> Result<Option<Guard>, VolumeError> {
        self.find_guard()
    }

    fn check(&mut self) -> Result<Check, VolumeError> {
        let check = check::check(&mut *self.device);
        check.map_err(|reason| failure(Operation::Check, "", reason))
    }

    fn free_space(&mut self) -> Result<u64, VolumeError> {
        self.run(Operation::FreeSpace, "", |files| {
            let stats = files.stats().map_err(Reason::from_io)?;
            Ok(u64::from(stats.free_clusters()) * u64::from(stats.cluster_size()))
        })
    }

    fn flush(&mut self) -> Result<(), VolumeError> {
        self.device.flush().map_err(|error| failure(Operation::Flush, "", Reason::Device(error)))
    }
}

/// Deletes what is in a directory.
fn clear(dir: &Dir<'_, Disk<'_>>, depth: usize, left: &mut u32) -> Result<(), Reason> {
    if depth > MAX_DEPTH {
        return Err(Reason::Damaged(format!("directories are nested deeper than {MAX_DEPTH}")));
    }
    for entry in entries(dir)? {
        *left = left
            .checked_sub(1)
            .ok_or_else(|| Reason::Damaged("directories stand in a circle".to_owned()))?;
        if entry.is_dir() {
            clear(&entry.to_dir(), depth + 1, left)?;
        }
        dir.remove(&entry.file_name()).map_err(Reason::from_io)?;
    }
    Ok(())
}

impl Reason {
    /// What an error of `fatfs` means.
    fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Reason::NotFound,
            io::ErrorKind::AlreadyExists => Reason::AlreadyExists,
            io::ErrorKind::InvalidInput => Reason::bad_path("FAT cannot hold such a name"),
            _ if error.to_string() == "No space left on device" => Reason::Full,
            _ => Reason::Device(error),
        }
    }
}

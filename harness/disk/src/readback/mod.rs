//! Files read back with other implementations of NTFS and FAT than those that write: the proof that an
//! edit landed.

mod fat;
mod ntfs;
mod pages;

use volume::{BlockDevice, FileSystemKind, Stream};

use crate::worker::Found;
use pages::Pages;

/// A file cannot be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadBackError {
    /// The volume cannot be understood.
    #[error("the other reader of NTFS does not understand it: {0}")]
    Ntfs(#[from] ::ntfs::NtfsError),
    /// What CompactOS has compressed cannot be expanded.
    #[error("{0}")]
    Compressed(#[from] volume::Reason),
    /// The same, of a FAT volume.
    #[error("the other reader of FAT does not understand it: {0}")]
    Fat(#[from] fat::FatError),
    /// It is not for this purpose.
    #[error("it has {size} bytes, more than the {limit} that are read back at once")]
    TooLarge { size: u64, limit: u64 },
    /// A folder, or a path through a file.
    #[error("it is a folder, or lies below a file")]
    NotAFile,
    /// There is no second implementation.
    #[error("there is no other reader for a volume of the kind {0}")]
    NoReader(FileSystemKind),
}

/// Gets the size of a file with each part of it.
type Take<'a> = dyn FnMut(u64, &[u8]) -> Result<(), ReadBackError> + 'a;

/// Where a reader finds something.
enum Place<F> {
    Nothing,
    Folder,
    File(F),
}

/// The contents of the file `path` on the volume that fills `device`; `None` if it is not there.
pub(crate) fn read(
    kind: FileSystemKind,
    device: impl BlockDevice,
    path: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>, ReadBackError> {
    let mut bytes = Vec::new();
    let mut take = |size: u64, part: &[u8]| {
        if size > limit {
            return Err(ReadBackError::TooLarge { size, limit });
        }
        bytes.extend_from_slice(part);
        Ok(())
    };
    let mut found = Found::Nothing;
    walk(kind, device, &[path.to_owned()], &mut take, &mut |one| found = one)?;
    match found {
        Found::File { .. } => Ok(Some(bytes)),
        Found::Nothing => Ok(None),
        Found::Folder | Found::Unreadable(_) => Err(ReadBackError::NotAFile),
    }
}

/// What is at each of `paths`.
pub(crate) fn find(
    kind: FileSystemKind,
    device: impl BlockDevice,
    paths: &[String],
) -> Result<Vec<Found>, ReadBackError> {
    let mut found = Vec::new();
    walk(kind, device, paths, &mut |_, _| Ok(()), &mut |one| found.push(one))?;
    Ok(found)
}

/// Reads one path after the other.
fn walk(
    kind: FileSystemKind,
    device: impl BlockDevice,
    paths: &[String],
    take: &mut Take<'_>,
    report: &mut dyn FnMut(Found),
) -> Result<(), ReadBackError> {
    let device = Pages::new(device);
    match kind {
        FileSystemKind::Ntfs => ntfs::walk(&mut Stream::new(device), paths, take, report),
        kind if kind.is_fat() => fat::walk(device, paths, take, report),
        other => Err(ReadBackError::NoReader(other)),
    }
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split(['\\', '/']).filter(|name| !name.is_empty())
}

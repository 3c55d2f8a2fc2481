//! Reading one file with the crate `ntfs`, which shares no code with our own writer.

use std::io::{Read, Seek};

use ntfs::indexes::NtfsFileNameIndex;
use ntfs::{Ntfs, NtfsError, NtfsFile, NtfsReadSeek};
use volume::{BlockDevice, Stream};

/// The largest file that is read back, in bytes.
const LIMIT: u64 = 256 << 20;

/// A file cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadBackError {
    /// The volume cannot be understood.
    #[error("the other reader does not understand the volume: {0}")]
    Ntfs(#[from] NtfsError),
    /// It is not for this purpose.
    #[error("it has {0} bytes, more than the 256 MiB that are read back")]
    TooLarge(u64),
    /// A folder, or a path through a file.
    #[error("it is a folder, or lies below a file")]
    NotAFile,
}

/// The contents of the file `path` on the NTFS volume that fills `device`; `None` if it is not there.
pub(crate) fn read(device: impl BlockDevice, path: &str) -> Result<Option<Vec<u8>>, ReadBackError> {
    let mut disk = Stream::new(device);
    let mut ntfs = Ntfs::new(&mut disk)?;
    ntfs.read_upcase_table(&mut disk)?;
    let mut file = ntfs.root_directory(&mut disk)?;
    for name in path.split(['\\', '/']).filter(|name| !name.is_empty()) {
        match step(&ntfs, &mut disk, &file, name)? {
            Some(next) => file = next,
            None => return Ok(None),
        }
    }
    if file.is_directory() {
        return Err(ReadBackError::NotAFile);
    }
    contents(&mut disk, &file).map(Some)
}

fn step<'n, T: Read + Seek>(
    ntfs: &'n Ntfs,
    disk: &mut T,
    folder: &NtfsFile<'n>,
    name: &str,
) -> Result<Option<NtfsFile<'n>>, ReadBackError> {
    if !folder.is_directory() {
        return Err(ReadBackError::NotAFile);
    }
    let index = folder.directory_index(disk)?;
    let mut finder = index.finder();
    match NtfsFileNameIndex::find(&mut finder, ntfs, disk, name) {
        Some(entry) => Ok(Some(entry?.to_file(ntfs, disk)?)),
        None => Ok(None),
    }
}

fn contents<T: Read + Seek>(disk: &mut T, file: &NtfsFile<'_>) -> Result<Vec<u8>, ReadBackError> {
    let Some(item) = file.data(disk, "") else { return Ok(Vec::new()) };
    let item = item?;
    let mut value = item.to_attribute()?.value(disk)?;
    let size = value.len();
    if size > LIMIT {
        return Err(ReadBackError::TooLarge(size));
    }
    let mut bytes = vec![0; size as usize];
    value.read_exact(disk, &mut bytes)?;
    Ok(bytes)
}

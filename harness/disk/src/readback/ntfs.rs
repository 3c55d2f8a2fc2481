//! NTFS by the crate `ntfs`, which shares no code with our own writer.

use std::io::{Read, Seek};

use ntfs::indexes::NtfsFileNameIndex;
use ntfs::{Ntfs, NtfsFile, NtfsReadSeek};

use super::{Place, ReadBackError, Take, components};
use crate::worker::Found;

/// Bytes that are read at once.
const PART: usize = 1 << 20;

pub(super) fn walk<T: Read + Seek>(
    disk: &mut T,
    paths: &[String],
    take: &mut Take<'_>,
    report: &mut dyn FnMut(Found),
) -> Result<(), ReadBackError> {
    let mut ntfs = Ntfs::new(disk)?;
    ntfs.read_upcase_table(disk)?;
    for path in paths {
        report(match place(&ntfs, disk, path)? {
            Place::Nothing => Found::Nothing,
            Place::Folder => Found::Folder,
            Place::File(file) => contents(disk, &file, take)?,
        });
    }
    Ok(())
}

fn place<'n, T: Read + Seek>(
    ntfs: &'n Ntfs,
    disk: &mut T,
    path: &str,
) -> Result<Place<NtfsFile<'n>>, ReadBackError> {
    let mut file = ntfs.root_directory(disk)?;
    for name in components(path) {
        if !file.is_directory() {
            return Ok(Place::Nothing);
        }
        let next = {
            let index = file.directory_index(disk)?;
            let mut finder = index.finder();
            match NtfsFileNameIndex::find(&mut finder, ntfs, disk, name) {
                Some(entry) => entry?.to_file(ntfs, disk)?,
                None => return Ok(Place::Nothing),
            }
        };
        file = next;
    }
    Ok(if file.is_directory() { Place::Folder } else { Place::File(file) })
}

fn contents<T: Read + Seek>(
    disk: &mut T,
    file: &NtfsFile<'_>,
    take: &mut Take<'_>,
) -> Result<Found, ReadBackError> {
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    if let Some(item) = file.data(disk, "") {
        let item = item?;
        let mut value = item.to_attribute()?.value(disk)?;
        let announced = value.len();
        let mut buffer = vec![0; PART.min(usize::try_from(announced).unwrap_or(PART))];
        while size < announced {
            let read = value.read(disk, &mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            take(announced, &buffer[..read])?;
            size += read as u64;
        }
    }
    Ok(Found::File { size, blake3: hasher.finalize().to_hex().to_string() })
}

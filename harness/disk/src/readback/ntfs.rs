//! NTFS by the crate `ntfs`, which shares no code with our own writer.

use std::io::{self, Read, Seek, SeekFrom};

use ntfs::indexes::NtfsFileNameIndex;
use ntfs::{Ntfs, NtfsAttributeType, NtfsFile, NtfsReadSeek};
use volume::{Reason, WOF_STREAM, WOF_TAG, WofAlgorithm, WofFile};

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
    if let Some(point) = wof_point(disk, file)? {
        return compressed(disk, file, WofFile::algorithm(&point)?, take);
    }
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

/// Bytes of a reparse point of WOF that are looked at.
const POINT: usize = 24;

/// The reparse point of a file that WOF has compressed. The crate takes its unnamed stream, which is all zeros, for its
/// contents.
fn wof_point<T: Read + Seek>(
    disk: &mut T,
    file: &NtfsFile<'_>,
) -> Result<Option<[u8; POINT]>, ReadBackError> {
    let mut attributes = file.attributes();
    while let Some(item) = attributes.next(disk) {
        let item = item?;
        let attribute = item.to_attribute()?;
        // Types that the crate does not know are not this one.
        if !matches!(attribute.ty(), Ok(NtfsAttributeType::ReparsePoint)) {
            continue;
        }
        let mut value = attribute.value(disk)?;
        let mut point = [0; POINT];
        let mut have = 0;
        while have < POINT {
            match value.read(disk, &mut point[have..])? {
                0 => break,
                read => have += read,
            }
        }
        return Ok(point.starts_with(&WOF_TAG.to_le_bytes()).then_some(point));
    }
    Ok(None)
}

/// What WOF has compressed, from the stream that this reader finds, expanded by the code that our own reader has, too:
/// there is no second one.
fn compressed<T: Read + Seek>(
    disk: &mut T,
    file: &NtfsFile<'_>,
    algorithm: WofAlgorithm,
    take: &mut Take<'_>,
) -> Result<Found, ReadBackError> {
    let announced = match file.data(disk, "") {
        Some(item) => item?.to_attribute()?.value_length(),
        None => 0,
    };
    let item = file.data(disk, WOF_STREAM).ok_or_else(|| {
        Reason::Damaged(format!("a file that CompactOS has compressed has no stream {WOF_STREAM}"))
    })??;
    let mut value = item.to_attribute()?.value(disk)?;
    let packed = WofFile::new(algorithm, announced, value.len());
    let mut source = |offset: u64, part: &mut [u8]| {
        let read =
            value.seek(disk, SeekFrom::Start(offset)).and_then(|_| value.read_exact(disk, part));
        read.map_err(|error| Reason::Device(io::Error::other(error.to_string())))
    };
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; PART.min(usize::try_from(announced).unwrap_or(PART))];
    let mut size = 0;
    while size < announced {
        let read = packed.read_at(size, &mut buffer, &mut source)?;
        hasher.update(&buffer[..read]);
        take(announced, &buffer[..read])?;
        size += read as u64;
    }
    Ok(Found::File { size, blake3: hasher.finalize().to_hex().to_string() })
}

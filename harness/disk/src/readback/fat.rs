//! FAT12, FAT16 and FAT32, read by a path: our own reader, which shares no code with the crate that
//! writes. After Microsoft's "FAT: General Overview of On-Disk Format", version 1.03.

use std::io;

use volume::BlockDevice;

use super::{Place, ReadBackError, Take, components};
use crate::worker::Found;

/// A folder's entries that are looked at: FAT allows 65536 of 32 bytes.
const MAX_ENTRIES: usize = 65536;
const ENTRY: usize = 32;
const ATTRIBUTE_VOLUME: u8 = 0x08;
const ATTRIBUTE_FOLDER: u8 = 0x10;
/// All of read-only, hidden, system, volume: a part of a long name.
const ATTRIBUTE_LONG_NAME: u8 = 0x0f;

/// A FAT volume that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FatError {
    #[error("{0}")]
    Device(#[from] io::Error),
    #[error("its boot sector contradicts itself")]
    BootSector,
    #[error("the chain of cluster {0} leaves the volume, runs in a circle, or is too short")]
    Chain(u32),
}

pub(super) fn walk<D: BlockDevice>(
    device: D,
    paths: &[String],
    take: &mut Take<'_>,
    report: &mut dyn FnMut(Found),
) -> Result<(), ReadBackError> {
    let mut fat = Fat::open(device)?;
    for path in paths {
        report(match fat.place(path)? {
            Place::Nothing => Found::Nothing,
            Place::Folder => Found::Folder,
            Place::File(entry) => fat.contents(&entry, take)?,
        });
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bits {
    Twelve,
    Sixteen,
    ThirtyTwo,
}

struct Fat<D> {
    device: D,
    bits: Bits,
    cluster: u64,
    /// First byte of the first table.
    table: u64,
    /// First byte and length of the root folder of FAT12 and FAT16.
    root: (u64, u64),
    /// First cluster of the root folder of FAT32.
    root_cluster: u32,
    /// First byte of cluster 2.
    data: u64,
    /// The first number that is no cluster.
    end: u32,
}

/// An entry of a folder.
struct DirEntry {
    first: u32,
    size: u32,
    folder: bool,
}

impl<D: BlockDevice> Fat<D> {
    fn open(mut device: D) -> Result<Self, FatError> {
        let mut boot = [0; 512];
        device.read_at(0, &mut boot)?;
        let word = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let long = |at: usize| word(at) | word(at + 2) << 16;
        let nonzero = |one: u64, other: u64| if one != 0 { one } else { other };
        let (sector, per_cluster) = (word(11), u64::from(boot[13]));
        let (reserved, tables, roots) = (word(14), u64::from(boot[16]), word(17));
        let (total, table_len) = (nonzero(word(19), long(32)), nonzero(word(22), long(36)));
        if !matches!(sector, 512 | 1024 | 2048 | 4096) || !per_cluster.is_power_of_two() {
            return Err(FatError::BootSector);
        }
        let root_sectors = (roots * ENTRY as u64).div_ceil(sector);
        let data = reserved + tables * table_len + root_sectors;
        let clusters = total.checked_sub(data).ok_or(FatError::BootSector)? / per_cluster;
        let bits = match clusters {
            _ if word(22) == 0 && roots == 0 => Bits::ThirtyTwo,
            ..4085 => Bits::Twelve,
            4085..65525 => Bits::Sixteen,
            _ => Bits::ThirtyTwo,
        };
        let end = u32::try_from(clusters + 2).map_err(|_| FatError::BootSector)?;
        Ok(Self {
            device,
            bits,
            cluster: sector * per_cluster,
            table: reserved * sector,
            root: ((data - root_sectors) * sector, roots * ENTRY as u64),
            root_cluster: if bits == Bits::ThirtyTwo { long(44) as u32 } else { 0 },
            data: data * sector,
            end,
        })
    }

    /// The cluster after `cluster`; `None` at the end of the chain.
    fn next(&mut self, cluster: u32) -> Result<Option<u32>, FatError> {
        let number = u64::from(cluster);
        let mut bytes = [0; 4];
        let value = match self.bits {
            Bits::Twelve => {
                self.device.read_at(self.table + number + number / 2, &mut bytes[..2])?;
                let pair = u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
                let value = if cluster.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 };
                if value >= 0xff8 { u32::MAX } else { value }
            }
            Bits::Sixteen => {
                self.device.read_at(self.table + number * 2, &mut bytes[..2])?;
                let value = u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
                if value >= 0xfff8 { u32::MAX } else { value }
            }
            Bits::ThirtyTwo => {
                self.device.read_at(self.table + number * 4, &mut bytes)?;
                let value = u32::from_le_bytes(bytes) & 0x0fff_ffff;
                if value >= 0x0fff_fff8 { u32::MAX } else { value }
            }
        };
        match value {
            u32::MAX => Ok(None),
            value if (2..self.end).contains(&value) => Ok(Some(value)),
            _ => Err(FatError::Chain(cluster)),
        }
    }

    /// Where a cluster lies.
    fn place_of(&self, cluster: u32) -> Result<u64, FatError> {
        if !(2..self.end).contains(&cluster) {
            return Err(FatError::Chain(cluster));
        }
        Ok(self.data + u64::from(cluster - 2) * self.cluster)
    }

    /// The bytes of a folder; `None` is the root.
    fn folder(&mut self, first: Option<u32>) -> Result<Vec<u8>, FatError> {
        let limit = MAX_ENTRIES * ENTRY;
        let first = match first {
            None if self.bits != Bits::ThirtyTwo => {
                let mut bytes = vec![0; (self.root.1 as usize).min(limit)];
                self.device.read_at(self.root.0, &mut bytes)?;
                return Ok(bytes);
            }
            None => self.root_cluster,
            Some(first) => first,
        };
        let mut bytes = Vec::new();
        let mut cluster = Some(first);
        while let Some(number) = cluster {
            if bytes.len() >= limit {
                return Err(FatError::Chain(first));
            }
            let at = bytes.len();
            bytes.resize(at + self.cluster as usize, 0);
            self.device.read_at(self.place_of(number)?, &mut bytes[at..])?;
            cluster = self.next(number)?;
        }
        Ok(bytes)
    }

    fn place(&mut self, path: &str) -> Result<Place<DirEntry>, FatError> {
        let mut here: Option<DirEntry> = None;
        for name in components(path) {
            let first = match &here {
                None => None,
                Some(entry) if !entry.folder => return Ok(Place::Nothing),
                // The first cluster of the root is written as 0.
                Some(entry) => Some(entry.first).filter(|&first| first != 0),
            };
            match find_entry(&self.folder(first)?, name, self.bits) {
                Some(entry) => here = Some(entry),
                None => return Ok(Place::Nothing),
            }
        }
        Ok(match here {
            None => Place::Folder,
            Some(entry) if entry.folder => Place::Folder,
            Some(entry) => Place::File(entry),
        })
    }

    fn contents(&mut self, entry: &DirEntry, take: &mut Take<'_>) -> Result<Found, ReadBackError> {
        let mut hasher = blake3::Hasher::new();
        let size = u64::from(entry.size);
        let mut left = size;
        let mut cluster = Some(entry.first);
        let mut buffer = vec![0; self.cluster as usize];
        while left > 0 {
            let number = cluster.ok_or(FatError::Chain(entry.first))?;
            let part = &mut buffer[..usize::try_from(self.cluster.min(left)).unwrap_or(0)];
            let place = self.place_of(number)?;
            self.device.read_at(place, part).map_err(FatError::Device)?;
            hasher.update(part);
            take(size, part)?;
            left -= part.len() as u64;
            cluster = self.next(number)?;
        }
        Ok(Found::File { size, blake3: hasher.finalize().to_hex().to_string() })
    }
}

/// The entry of a name in the bytes of a folder, without regard to case.
fn find_entry(folder: &[u8], wanted: &str, bits: Bits) -> Option<DirEntry> {
    let wanted = wanted.to_uppercase();
    // The parts of a long name stand in front of its entry, the last one first, with the checksum of the
    // short name.
    let mut long: Vec<u16> = Vec::new();
    let mut long_sum = None;
    for entry in folder.chunks_exact(ENTRY) {
        if entry[0] == 0 {
            return None;
        }
        let attributes = entry[11];
        if entry[0] == 0xe5 {
            (long, long_sum) = (Vec::new(), None);
            continue;
        }
        if attributes & 0x3f == ATTRIBUTE_LONG_NAME {
            if entry[0] & 0x40 != 0 {
                (long, long_sum) = (Vec::new(), Some(entry[13]));
            }
            if long_sum != Some(entry[13]) || long.len() > 255 {
                (long, long_sum) = (Vec::new(), None);
                continue;
            }
            let units = entry[1..11].chunks(2).chain(entry[14..26].chunks(2));
            let units = units.chain(entry[28..32].chunks(2));
            let part: Vec<u16> = units.map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
            long.splice(0..0, part);
            continue;
        }
        let (name, sum) = (std::mem::take(&mut long), long_sum.take());
        if attributes & ATTRIBUTE_VOLUME != 0 {
            continue;
        }
        let matches_long = sum == Some(checksum(&entry[..11])) && {
            let end = name.iter().position(|&unit| unit == 0).unwrap_or(name.len());
            String::from_utf16_lossy(&name[..end]).to_uppercase() == wanted
        };
        if matches_long || short_name(&entry[..11]) == wanted {
            let word = |at: usize| u32::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
            let high = if bits == Bits::ThirtyTwo { word(20) } else { 0 };
            return Some(DirEntry {
                first: high << 16 | word(26),
                size: word(28) | word(30) << 16,
                folder: attributes & ATTRIBUTE_FOLDER != 0,
            });
        }
    }
    None
}

/// `NAME.EXT` of eleven padded bytes. Bytes beyond ASCII are of a code page that is not known here; such a
/// name has a long one beside it.
fn short_name(bytes: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches(' ').to_uppercase();
    match (text(&bytes[..8]), text(&bytes[8..])) {
        (name, extension) if extension.is_empty() => name,
        (name, extension) => format!("{name}.{extension}"),
    }
}

fn checksum(name: &[u8]) -> u8 {
    name.iter().fold(0u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::{find, read};
    use super::*;
    use volume::{FatFormat, FatKind, FileDevice, FileSystemKind, MemoryDevice, Volume};

    fn hash(bytes: &[u8]) -> Found {
        let blake3 = blake3::hash(bytes).to_hex().to_string();
        Found::File { size: bytes.len() as u64, blake3 }
    }

    #[test]
    fn what_the_writer_wrote_is_found() {
        for (kind, size) in [(FatKind::Fat16, 16 << 20), (FatKind::Fat32, 48 << 20)] {
            let file = tempfile::tempfile().unwrap();
            file.set_len(size).unwrap();
            let device = || FileDevice::new(file.try_clone().unwrap()).unwrap();
            let options = FatFormat { kind, id: 1, label: "EFI".to_owned() };
            let mut writer = volume::Fat::format(device(), &options).unwrap();
            let big: Vec<u8> = (0..300_000u32).map(|n| (n / 7) as u8).collect();
            writer.create_dir_all(r"EFI\Microsoft\Boot folder with a long name").unwrap();
            writer.write(r"EFI\Microsoft\Boot folder with a long name\BCD", &big).unwrap();
            writer.write("short.txt", b"short").unwrap();
            writer.write("Überlang und mit Umlaut.text", b"long").unwrap();
            writer.write("empty", b"").unwrap();
            for index in 0..300 {
                writer.write(&format!(r"EFI\file number {index}.bin"), &[index as u8]).unwrap();
            }
            writer.remove_file(r"EFI\file number 7.bin").unwrap();
            writer.flush().unwrap();
            let paths = [
                r"efi\MICROSOFT\boot FOLDER with a long name\bcd",
                "SHORT.TXT",
                "überlang UND mit Umlaut.text",
                "empty",
                r"EFI\file number 299.bin",
                r"EFI\file number 7.bin",
                r"EFI\Microsoft",
                r"short.txt\x",
                "",
            ]
            .map(str::to_owned);
            let kind = FileSystemKind::Fat16;
            let found = find(kind, device(), &paths).unwrap();
            let (file, nothing) = (hash, Found::Nothing);
            assert_eq!(
                found[..5],
                [file(&big), file(b"short"), file(b"long"), file(b""), file(&[43])]
            );
            assert_eq!(found[5..], [nothing.clone(), Found::Folder, nothing, Found::Folder]);
            let all = read(kind, device(), &paths[0], 300_000).unwrap().unwrap();
            assert!(all == big);
            assert!(read(kind, device(), &paths[0], 299_999).is_err());
            assert!(read(kind, device(), r"EFI\none", 1).unwrap().is_none());
        }
    }

    #[test]
    fn what_mtools_wrote_is_found() {
        if Command::new("mcopy").arg("--version").output().is_err() {
            println!("skipped: mtools is not installed");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("floppy.img");
        std::fs::write(directory.path().join("payload"), [5; 70_000]).unwrap();
        std::fs::File::create(&image).unwrap().set_len(1_474_560).unwrap();
        for line in [
            vec!["mformat", "-i", "floppy.img", "-f", "1440", "::"],
            vec!["mmd", "-i", "floppy.img", "::/A folder with a name"],
            vec![
                "mcopy",
                "-i",
                "floppy.img",
                "payload",
                "::/A folder with a name/Payload File.bin",
            ],
        ] {
            let done =
                Command::new(line[0]).args(&line[1..]).current_dir(directory.path()).status();
            assert!(done.unwrap().success(), "{line:?}");
        }
        let device = FileDevice::new(std::fs::File::open(&image).unwrap()).unwrap();
        let paths = [r"a folder with a name\payload file.BIN".to_owned(), "AFOLDE~1".to_owned()];
        let found = find(FileSystemKind::Fat12, device, &paths).unwrap();
        assert_eq!(found, [hash(&[5; 70_000]), Found::Folder]);
    }

    #[test]
    fn damage_is_an_error_and_never_a_hang() {
        let options = FatFormat { kind: FatKind::Fat16, id: 1, label: String::new() };
        let file = tempfile::tempfile().unwrap();
        file.set_len(8 << 20).unwrap();
        let device = FileDevice::new(file.try_clone().unwrap()).unwrap();
        let mut writer = volume::Fat::format(device, &options).unwrap();
        writer.create_dir_all("folder").unwrap();
        writer.write(r"folder\file", &[1; 100_000]).unwrap();
        writer.flush().unwrap();
        let mut bytes = vec![0; 8 << 20];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).unwrap();
        let reserved = usize::from(bytes[14]) * 512;
        let paths = [r"folder\file".to_owned()];
        let look = |bytes: Vec<u8>| find(FileSystemKind::Fat16, MemoryDevice::new(bytes), &paths);
        assert_eq!(look(bytes.clone()).unwrap(), [hash(&[1; 100_000])]);
        // Every cluster is followed by itself, by one outside, by a free one.
        for link in [None, Some(0xfff0u16), Some(0)] {
            let mut damaged = bytes.clone();
            for cluster in 2..600u16 {
                let at = reserved + usize::from(cluster) * 2;
                let next = link.unwrap_or(cluster);
                damaged[at..at + 2].copy_from_slice(&next.to_le_bytes());
            }
            assert!(look(damaged).is_err(), "{link:?}");
        }
        bytes[13] = 0;
        assert!(look(bytes).is_err());
    }
}

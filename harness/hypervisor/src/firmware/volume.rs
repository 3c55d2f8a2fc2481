//! OVMF without its module that looks for a TPM.
//!
//! OVMF looks for a TPM at each start, and where none is there it waits for an answer: 1.75 s, measured, in which it
//! reads nothing but the timer. The module that looks is `Tcg2ConfigPei`; without it the firmware is the one of a board that has no TPM. Its file becomes a pad file, as the specification
//! of the volumes has it for a file that was removed, and nothing moves.
//!
//! The flash is a row of firmware volumes; the first holds one file with one section, compressed by LZMA, in which
//! the volumes of the early (PEI) and the main (DXE) phase lie. Layouts: UEFI Platform Initialization
//! Specification 1.8, volume 3, 2.1 to 3.2; the LZMA section: edk2,
//! `MdeModulePkg/Include/Guid/LzmaDecompress.h`; the module: edk2, `OvmfPkg/Tcg/Tcg2Config/Tcg2ConfigPei.inf`.

use std::io::{Read as _, Write as _};
use std::ops::Range;

use lzma_rust2::{LzmaOptions, LzmaReader, LzmaWriter};

/// `8AD3148F-945F-46B4-8ACD-71469EA73945`, as it lies in memory.
const TCG2_CONFIG_PEI: [u8; 16] = [
    0x8F, 0x14, 0xD3, 0x8A, 0x5F, 0x94, 0xB4, 0x46, 0x8A, 0xCD, 0x71, 0x46, 0x9E, 0xA7, 0x39, 0x45,
];
/// `EE4E5898-3914-4259-9D6E-DC7BD79403CF`: a section compressed by LZMA.
const LZMA: [u8; 16] = [
    0x98, 0x58, 0x4E, 0xEE, 0x14, 0x39, 0x59, 0x42, 0x9D, 0x6E, 0xDC, 0x7B, 0xD7, 0x94, 0x03, 0xCF,
];

const FILE_HEADER: usize = 24;
const FILE_IS_VOLUME: u8 = 0x0B;
const FILE_IS_PAD: u8 = 0xF0;
const SECTION_GUID_DEFINED: u8 = 0x02;
const SECTION_VOLUME: u8 = 0x17;
/// A header of sections that are sized in 24 bits.
const SECTION_HEADER: usize = 4;
/// The header of a section that a GUID defines, the GUID and the place of its data included.
const GUIDED_HEADER: usize = 24;
/// Far more than any OVMF unpacks to (13 MiB).
const UNPACKED: u64 = 64 << 20;
/// Memory of the unpacker, in KiB.
const MEMORY: u32 = 64 << 10;
/// Dictionary of the packer: as large as what edk2's own takes.
const DICTIONARY: u32 = 16 << 20;

/// Why a flash image is left as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnknownFirmware {
    /// It is built in another way.
    #[error("the firmware is not built as OVMF is: {0}")]
    Layout(&'static str),
    /// It has no such module.
    #[error("the firmware has no module that looks for a TPM")]
    NoModule,
    /// What was packed again needs more room than there is.
    #[error("the changed firmware needs {needed} bytes, and its volume has room for {room}")]
    NoRoom {
        /// Bytes that are needed.
        needed: usize,
        /// Bytes that there are.
        room: usize,
    },
    /// LZMA.
    #[error("its LZMA section cannot be read: {0}")]
    Lzma(std::io::Error),
}

/// The same flash image without `Tcg2ConfigPei`.
pub(super) fn without_tpm_detection(flash: &[u8]) -> Result<Vec<u8>, UnknownFirmware> {
    let volume = Volume::at(flash, 0)?;
    let file = volume.files(flash).next().ok_or(UnknownFirmware::Layout("an empty volume"))?;
    let (head, body) = flash[file.clone()].split_at(FILE_HEADER);
    if head[18] != FILE_IS_VOLUME || head[19] & FILE_WITH_CHECKSUM != 0 {
        return Err(UnknownFirmware::Layout("its first file is not one of volumes"));
    }
    let section = sections(body)
        .next()
        .filter(|section| section.kind == SECTION_GUID_DEFINED && section.range.start == 0)
        .ok_or(UnknownFirmware::Layout("its first section is not a compressed one"))?;
    let section = &body[section.range];
    let guided = section.get(..GUIDED_HEADER).filter(|header| header[4..20] == LZMA);
    let guided = guided.ok_or(UnknownFirmware::Layout("its section is not one of LZMA"))?;
    let packed = section
        .get(usize::from(u16::from_le_bytes([guided[20], guided[21]]))..)
        .ok_or(UnknownFirmware::Layout("its section has no data"))?;

    let mut volumes = unpack(packed).map_err(UnknownFirmware::Lzma)?;
    let module = module(&volumes).ok_or(UnknownFirmware::NoModule)?;
    make_pad_file(&mut volumes[module]);
    let packed = pack(&volumes).map_err(UnknownFirmware::Lzma)?;

    let section_size = GUIDED_HEADER + packed.len();
    let file_size = FILE_HEADER + section_size;
    let room = volume.range.end - file.start;
    // Behind the file there is only room: nothing else would have to move.
    if flash[file.end..volume.range.end].iter().any(|byte| *byte != 0xFF) {
        return Err(UnknownFirmware::Layout("something lies behind its first file"));
    }
    let too_large = UnknownFirmware::NoRoom { needed: file_size, room };
    if file_size > room {
        return Err(too_large);
    }
    let (Some(section_size), Some(file_size)) = (size24(section_size), size24(file_size)) else {
        return Err(too_large);
    };
    let mut head = head.to_vec();
    head[20..23].copy_from_slice(&file_size);
    set_checksum(&mut head);
    let mut guided = guided.to_vec();
    guided[..3].copy_from_slice(&section_size);
    guided[20..22].copy_from_slice(&(GUIDED_HEADER as u16).to_le_bytes());
    let mut changed = [head, guided, packed].concat();
    changed.resize(room, 0xFF);
    let mut out = flash.to_vec();
    out[file.start..volume.range.end].copy_from_slice(&changed);
    Ok(out)
}

/// A flag of a file: its contents have a checksum, too.
const FILE_WITH_CHECKSUM: u8 = 0x40;

/// A firmware volume in a flash image.
struct Volume {
    range: Range<usize>,
    /// Where its first file may begin.
    files: usize,
}

impl Volume {
    fn at(flash: &[u8], start: usize) -> Result<Self, UnknownFirmware> {
        let none = UnknownFirmware::Layout("there is no volume");
        let Some(header) = flash.get(start..).and_then(|rest| rest.get(..56)) else {
            return Err(none);
        };
        let length = u64::from_le_bytes(header[32..40].try_into().expect("eight bytes"));
        let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
        let Some(end) = end.filter(|end| header[40..44] == *b"_FVH" && *end <= flash.len()) else {
            return Err(none);
        };
        let word = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let (own, extended) = (word(48), word(52));
        let files = match extended {
            0 => start + own,
            _ => {
                let size = flash.get(start + extended + 16..start + extended + 20);
                let size = size.and_then(|size| size.try_into().ok()).map(u32::from_le_bytes);
                let size = size.and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or(UnknownFirmware::Layout("a header is cut off"))?;
                start + extended + size.min(flash.len())
            }
        };
        Ok(Self { range: start..end, files })
    }

    /// Where its files lie, header included.
    fn files(&self, flash: &[u8]) -> impl Iterator<Item = Range<usize>> {
        // Files are aligned to 8 bytes, counted from the volume's first.
        let (start, end, mut at) = (self.range.start, self.range.end, self.files);
        std::iter::from_fn(move || {
            at = start + (at - start).next_multiple_of(8);
            let header = flash.get(at..end)?.get(..FILE_HEADER)?;
            let size = usize_of(&header[20..23]);
            let file = at..at.checked_add(size)?;
            if size < FILE_HEADER || file.end > end {
                return None;
            }
            at = file.end;
            Some(file)
        })
    }
}

/// One section of a file.
struct Section {
    kind: u8,
    /// Where it lies, header included.
    range: Range<usize>,
}

fn sections(body: &[u8]) -> impl Iterator<Item = Section> {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        at = at.next_multiple_of(4);
        let header = body.get(at..)?.get(..8)?;
        // A size of all ones stands for one of 32 bits behind the header.
        let size = match usize_of(&header[..3]) {
            0xFF_FFFF => usize_of(&header[4..8]),
            size => size,
        };
        let range = at..at.checked_add(size)?;
        if size < SECTION_HEADER || range.end > body.len() {
            return None;
        }
        at = range.end;
        Some(Section { kind: header[3], range })
    })
}

/// Where the file of the module lies in what was unpacked.
fn module(unpacked: &[u8]) -> Option<Range<usize>> {
    let volumes = sections(unpacked).filter(|section| section.kind == SECTION_VOLUME);
    for section in volumes {
        let large = unpacked[section.range.start..][..3] == [0xFF; 3];
        let start = section.range.start + if large { 8 } else { SECTION_HEADER };
        let Ok(volume) = Volume::at(unpacked, start) else { continue };
        let found =
            volume.files(unpacked).find(|file| unpacked[file.start..][..16] == TCG2_CONFIG_PEI);
        if found.is_some() {
            return found;
        }
    }
    None
}

/// A file that was removed: its place is kept, and no one reads it.
fn make_pad_file(file: &mut [u8]) {
    file[..16].fill(0xFF);
    file[18] = FILE_IS_PAD;
    set_checksum(&mut file[..FILE_HEADER]);
}

/// The sum of a file's header is zero, with its state and the checksum of the contents taken as zero.
fn set_checksum(header: &mut [u8]) {
    let sum = |sum: u8, (at, byte): (usize, &u8)| match at {
        16 | 17 | 23 => sum,
        _ => sum.wrapping_add(*byte),
    };
    header[16] = header.iter().enumerate().fold(0_u8, sum).wrapping_neg();
}

fn usize_of(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
}

fn size24(size: usize) -> Option<[u8; 3]> {
    let bytes = u32::try_from(size).ok()?.to_le_bytes();
    // All ones would say that the size stands elsewhere.
    (bytes[3] == 0 && bytes[..3] != [0xFF; 3]).then(|| [bytes[0], bytes[1], bytes[2]])
}

fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    let mut reader = LzmaReader::new_mem_limit(packed, MEMORY, None)?;
    reader.by_ref().take(UNPACKED + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() as u64 > UNPACKED {
        return Err(std::io::Error::other("it unpacks to more than 64 MiB"));
    }
    Ok(unpacked)
}

fn pack(unpacked: &[u8]) -> std::io::Result<Vec<u8>> {
    let options = LzmaOptions { dict_size: DICTIONARY, ..LzmaOptions::default() };
    let size = Some(unpacked.len() as u64);
    let mut writer = LzmaWriter::new_use_header(Vec::new(), &options, size)?;
    writer.write_all(unpacked)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::super::files::firmware_files;
    use super::*;
    use crate::profile::Firmware;

    fn shipped() -> Vec<u8> {
        let files = firmware_files(Firmware::default()).expect("OVMF").expect("UEFI");
        std::fs::read(files.code).expect("the code of OVMF")
    }

    /// What the first volume's section unpacks to.
    fn unpacked(flash: &[u8]) -> Vec<u8> {
        let volume = Volume::at(flash, 0).expect("a volume");
        let file = volume.files(flash).next().expect("a file");
        unpack(&flash[file][FILE_HEADER + GUIDED_HEADER..]).expect("LZMA")
    }

    #[test]
    fn only_the_module_is_taken_out() {
        let shipped = shipped();
        let own = without_tpm_detection(&shipped).expect("OVMF as it is known");
        assert_eq!(own.len(), shipped.len());
        let first = Volume::at(&shipped, 0).expect("a volume").range;
        assert_eq!(own[first.end..], shipped[first.end..], "the reset code stays");
        let (before, after) = (unpacked(&shipped), unpacked(&own));
        assert_eq!(before.len(), after.len());
        let module = module(&before).expect("the module");
        let changed: Vec<usize> =
            (0..before.len()).filter(|at| before[*at] != after[*at]).collect();
        let header = module.start..module.start + FILE_HEADER;
        assert!(changed.iter().all(|at| header.contains(at)), "{header:?}: {changed:?}");
        let header = &after[header];
        assert_eq!(header[18], FILE_IS_PAD);
        let sum = header.iter().enumerate().filter(|(at, _)| ![17, 23].contains(at));
        assert_eq!(sum.fold(0_u8, |sum, (_, byte)| sum.wrapping_add(*byte)), 0);
        assert!(matches!(without_tpm_detection(&own), Err(UnknownFirmware::NoModule)));
    }

    /// Cut off or with wrong sizes it is refused, and nothing is read beyond its end.
    #[test]
    fn other_files_are_left_as_they_are() {
        assert!(without_tpm_detection(&[]).is_err());
        assert!(without_tpm_detection(&[0xFF; 4096]).is_err());
        let shipped = shipped();
        for end in [8, 55, 56, 100, 0x90, 0xA8, 0x1000, shipped.len() / 2] {
            assert!(without_tpm_detection(&shipped[..end]).is_err(), "{end} bytes");
        }
        let volume = Volume::at(&shipped, 0).expect("a volume");
        let file = volume.files(&shipped).next().expect("a file").start;
        let section = file + FILE_HEADER;
        for (at, value, what) in [
            (40, 0, "no volume"),
            (36, 0xFF, "a volume that is longer than the flash"),
            (file + 18, 0x02, "a file of another kind"),
            (file + 19, FILE_WITH_CHECKSUM, "a file with a checksum of its contents"),
            (file + 22, 0xFF, "a file that is longer than the volume"),
            (section + 2, 0xFF, "a section that is longer than its file"),
            (section + 3, 0x01, "a section of another kind"),
            (section + 4, 0, "a section of another packer"),
            (section + 21, 0xFF, "data behind the end of the section"),
            (section + GUIDED_HEADER, 0xFF, "no LZMA"),
        ] {
            let mut other = shipped.clone();
            other[at] = value;
            assert!(without_tpm_detection(&other).is_err(), "{what} was taken");
        }
    }
}

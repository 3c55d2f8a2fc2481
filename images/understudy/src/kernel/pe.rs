//! PE images, as far as loading a driver needs them. Pure and bounded: an image is hostile.
//!
//! Source of the layout: Microsoft, "PE Format",
//! <https://learn.microsoft.com/windows/win32/debug/pe-format>.

use super::NtStatus;

const MACHINE_AMD64: u16 = 0x8664;
const PE32_PLUS: u16 = 0x20B;
const MAX_IMAGE: u32 = 64 << 20;
const MAX_SECTIONS: u16 = 96;
const MAX_IMPORTS: usize = 8192;
const PAGE: u32 = 0x1000;

const DIRECTORY_EXPORT: usize = 0;
const DIRECTORY_IMPORT: usize = 1;
const DIRECTORY_RELOCATION: usize = 5;
const DIRECTORY_LOAD_CONFIG: usize = 10;

/// Why an image is refused. The status is what Windows would return.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Not a PE image, or one whose parts lie outside the file.
    #[error("not a valid image: {0}")]
    Invalid(&'static str),
    /// For another processor.
    #[error("the image is for machine 0x{0:04X}, not x86-64 (0x8664)")]
    Machine(u16),
    /// The stored checksum is not that of the file.
    #[error("the image's checksum is 0x{stored:08X} in its header and 0x{actual:08X} by its bytes")]
    Checksum {
        /// In the optional header.
        stored: u32,
        /// Computed.
        actual: u32,
    },
    /// An imported module that is not there.
    #[error("the image imports from {0}, which is not loaded")]
    MissingModule(String),
    /// An imported function that is not there.
    #[error("the image imports {function} from {module}, which does not export it")]
    MissingImport {
        /// The module named by the image.
        module: String,
        /// The function.
        function: String,
    },
    /// An import by number, which kernel modules do not offer here.
    #[error("the image imports ordinal {ordinal} from {module}, which exports by name only")]
    MissingOrdinal {
        /// The module named by the image.
        module: String,
        /// The ordinal.
        ordinal: u16,
    },
}

impl ImageError {
    /// The NTSTATUS that Windows returns for this refusal.
    pub fn status(&self) -> NtStatus {
        match self {
            Self::Invalid(_) | Self::Machine(_) => NtStatus::INVALID_IMAGE_FORMAT,
            Self::Checksum { .. } => NtStatus::IMAGE_CHECKSUM_MISMATCH,
            Self::MissingModule(_) => NtStatus::DLL_NOT_FOUND,
            Self::MissingImport { .. } => NtStatus::DRIVER_ENTRYPOINT_NOT_FOUND,
            Self::MissingOrdinal { .. } => NtStatus::DRIVER_ORDINAL_NOT_FOUND,
        }
    }
}

impl ImageError {
    /// What the image needs and the model has not, in words: Windows may have it.
    pub fn lack(&self) -> Option<String> {
        match self {
            Self::MissingModule(module) => Some(format!("the module {module}")),
            Self::MissingImport { module, function } => Some(format!("{module}!{function}")),
            Self::MissingOrdinal { module, ordinal } => Some(format!("{module}!#{ordinal}")),
            Self::Invalid(_) | Self::Machine(_) | Self::Checksum { .. } => None,
        }
    }
}

/// What a section's pages may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
}

/// A parsed image file.
#[derive(Debug, Clone)]
pub struct Image {
    /// `SizeOfImage`, rounded up to whole pages.
    pub size: u32,
    /// Offset of the entry point. Zero for an image without one.
    pub entry: u32,
    /// The base that the image was linked for.
    pub preferred_base: u64,
    /// `CheckSum` of the optional header.
    pub checksum: u32,
    /// `TimeDateStamp` of the file header.
    pub timestamp: u32,
    /// The image's relocations were removed: it can run at its preferred base only.
    pub relocations_stripped: bool,
    headers: u32,
    directories: Vec<(u32, u32)>,
    sections: Vec<Section>,
    /// Mapped in one piece, as it lies in the file (facts 4.1).
    flat: bool,
}

#[derive(Debug, Clone)]
struct Section {
    address: u32,
    virtual_size: u32,
    file_offset: u32,
    file_size: u32,
    protection: Protection,
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, ImageError> {
    let field = at.checked_add(2).and_then(|end| bytes.get(at..end));
    field.map(|b| u16::from_le_bytes([b[0], b[1]])).ok_or(ImageError::Invalid("a field is cut off"))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, ImageError> {
    Ok(u32::from(u16_at(bytes, at)?) | u32::from(u16_at(bytes, at.saturating_add(2))?) << 16)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, ImageError> {
    Ok(u64::from(u32_at(bytes, at)?) | u64::from(u32_at(bytes, at.saturating_add(4))?) << 32)
}

fn text_at(bytes: &[u8], at: usize) -> Result<&str, ImageError> {
    let rest = bytes.get(at..).ok_or(ImageError::Invalid("a name lies outside"))?;
    let rest = &rest[..rest.len().min(512)];
    let end = rest.iter().position(|b| *b == 0).ok_or(ImageError::Invalid("a name has no end"))?;
    std::str::from_utf8(&rest[..end]).map_err(|_| ImageError::Invalid("a name is not text"))
}

fn pages(size: u32) -> Option<u32> {
    size.checked_next_multiple_of(PAGE)
}

impl Image {
    /// Parses the headers of an image file and checks that all parts lie within it.
    pub fn parse(file: &[u8]) -> Result<Self, ImageError> {
        use ImageError::Invalid;
        if file.get(..2) != Some(b"MZ") {
            return Err(Invalid("it does not start with MZ"));
        }
        let pe = u32_at(file, 0x3C)? as usize;
        if pe > file.len() || file.get(pe..pe + 4) != Some(b"PE\0\0") {
            return Err(Invalid("it has no PE signature"));
        }
        let machine = u16_at(file, pe + 4)?;
        if machine != MACHINE_AMD64 {
            return Err(ImageError::Machine(machine));
        }
        let section_count = u16_at(file, pe + 6)?;
        if section_count == 0 || section_count > MAX_SECTIONS {
            return Err(Invalid("it has no sections or too many"));
        }
        let timestamp = u32_at(file, pe + 8)?;
        let optional_size = usize::from(u16_at(file, pe + 20)?);
        let characteristics = u16_at(file, pe + 22)?;
        let optional = pe + 24;
        if u16_at(file, optional)? != PE32_PLUS || optional_size < 112 {
            return Err(Invalid("its optional header is not PE32+"));
        }
        let alignment = u32_at(file, optional + 32)?;
        let file_alignment = u32_at(file, optional + 36)?;
        let flat = alignment < PAGE;
        if flat && (!alignment.is_power_of_two() || file_alignment != alignment) {
            return Err(Invalid("its alignments are impossible"));
        }
        let size = u32_at(file, optional + 56)?;
        let headers = u32_at(file, optional + 60)?;
        if size == 0 || size > MAX_IMAGE || headers > size || headers as usize > file.len() {
            return Err(Invalid("its size or the size of its headers is impossible"));
        }
        let size = pages(size).ok_or(Invalid("its size is impossible"))?;
        let entry = u32_at(file, optional + 16)?;
        if entry >= size {
            return Err(Invalid("its entry point lies outside"));
        }
        let directory_count = u32_at(file, optional + 108)?.min(16) as usize;
        let directories = (0..directory_count)
            .map(|at| {
                let at = optional + 112 + at * 8;
                Ok((u32_at(file, at)?, u32_at(file, at + 4)?))
            })
            .collect::<Result<Vec<_>, ImageError>>()?;
        let mut end_of_last = if flat { Some(headers) } else { pages(headers) }
            .ok_or(Invalid("its headers are too large"))?;
        let mut sections = Vec::with_capacity(usize::from(section_count));
        for at in 0..usize::from(section_count) {
            let at = optional + optional_size + at * 40;
            let virtual_size = u32_at(file, at + 8)?;
            let address = u32_at(file, at + 12)?;
            let file_size = u32_at(file, at + 16)?;
            let file_offset = u32_at(file, at + 20)?;
            let flags = u32_at(file, at + 36)?;
            let virtual_size = if virtual_size == 0 { file_size } else { virtual_size };
            let end = address.checked_add(virtual_size);
            let end = if flat { end } else { end.and_then(pages) };
            let aligned = flat || address % PAGE == 0;
            if address < end_of_last || !aligned || end.is_none_or(|end| end > size) {
                return Err(Invalid("its sections overlap or lie outside"));
            }
            if flat && file_size != 0 && (file_offset != address || virtual_size > file_size) {
                return Err(Invalid("its sections lie elsewhere in memory than in the file"));
            }
            let file_size = file_size.min(virtual_size);
            let file_end = u64::from(file_offset) + u64::from(file_size);
            if file_size != 0 && file_end > file.len() as u64 {
                return Err(Invalid("a section's data is cut off"));
            }
            end_of_last = end.unwrap_or(size);
            sections.push(Section {
                address,
                virtual_size,
                file_offset,
                file_size,
                protection: Protection {
                    write: flags & 0x8000_0000 != 0,
                    execute: flags & 0x2000_0000 != 0,
                },
            });
        }
        Ok(Self {
            size,
            entry,
            preferred_base: u64_at(file, optional + 24)?,
            checksum: u32_at(file, optional + 64)?,
            timestamp,
            relocations_stripped: characteristics & 1 != 0,
            headers,
            directories,
            sections,
            flat,
        })
    }

    /// Compares the stored checksum with the file's (zero means "none", as in Windows for drivers
    /// that need none; a boot-start driver's must match).
    pub fn check_checksum(&self, file: &[u8]) -> Result<(), ImageError> {
        let actual = checksum(file)?;
        if self.checksum == actual {
            Ok(())
        } else {
            Err(ImageError::Checksum { stored: self.checksum, actual })
        }
    }

    /// The image as it lies in memory before relocation: headers and sections at their addresses.
    pub fn lay_out(&self, file: &[u8]) -> Result<Vec<u8>, ImageError> {
        const CUT: ImageError = ImageError::Invalid("a part of it is cut off");
        let mut memory = vec![0; self.size as usize];
        if self.flat {
            let whole = file.len().min(memory.len());
            memory[..whole].copy_from_slice(&file[..whole]);
            return Ok(memory);
        }
        let headers = self.headers as usize;
        memory[..headers].copy_from_slice(file.get(..headers).ok_or(CUT)?);
        for section in &self.sections {
            let from = section.file_offset as usize;
            let size = section.file_size as usize;
            if size == 0 {
                continue;
            }
            let to = section.address as usize;
            memory[to..to + size].copy_from_slice(file.get(from..from + size).ok_or(CUT)?);
        }
        Ok(memory)
    }

    /// Page ranges (offset, size) with what they may do. Headers are read-only, but a flat image is one range that
    /// may be written and run.
    pub fn protections(&self) -> Vec<(u32, u32, Protection)> {
        if self.flat {
            return vec![(0, self.size, Protection { write: true, execute: true })];
        }
        let headers =
            (0, pages(self.headers).unwrap_or(PAGE), Protection { write: false, execute: false });
        std::iter::once(headers)
            .chain(self.sections.iter().map(|section| {
                let size = pages(section.virtual_size).unwrap_or(PAGE);
                (section.address, size, section.protection)
            }))
            .collect()
    }

    fn directory(&self, at: usize) -> Option<(u32, u32)> {
        self.directories.get(at).copied().filter(|(address, size)| *address != 0 && *size != 0)
    }

    /// Moves a laid-out image from its preferred base to `base`.
    pub fn relocate(&self, memory: &mut [u8], base: u64) -> Result<(), ImageError> {
        use ImageError::Invalid;
        let delta = base.wrapping_sub(self.preferred_base);
        if delta == 0 {
            return Ok(());
        }
        let Some((start, size)) = self.directory(DIRECTORY_RELOCATION) else {
            return if self.relocations_stripped {
                Err(Invalid("its relocations were removed"))
            } else {
                Ok(())
            };
        };
        let end = start.checked_add(size).filter(|end| *end <= self.size);
        let end = end.ok_or(Invalid("its relocations lie outside"))? as usize;
        let mut at = start as usize;
        while at + 8 <= end {
            let page = u32_at(memory, at)? as usize;
            let block = u32_at(memory, at + 4)? as usize;
            if block < 8 || at + block > end {
                return Err(Invalid("a relocation block has an impossible size"));
            }
            for entry in (at + 8..at + block - 1).step_by(2) {
                let entry = u16_at(memory, entry)?;
                let target = page + usize::from(entry & 0xFFF);
                match entry >> 12 {
                    0 => {}
                    // IMAGE_REL_BASED_DIR64
                    10 => {
                        let value = u64_at(memory, target)?.wrapping_add(delta);
                        memory[target..target + 8].copy_from_slice(&value.to_le_bytes());
                    }
                    _ => return Err(Invalid("a relocation is of a kind that x86-64 has not")),
                }
            }
            at += block;
        }
        Ok(())
    }

    /// Fills the import table of a laid-out image. `resolve` is given module and function; its answer
    /// is the address, or None where the function is missing; `has_module` tells of the module.
    pub fn bind(
        &self,
        memory: &mut [u8],
        has_module: impl Fn(&str) -> bool,
        resolve: impl Fn(&str, &str) -> Option<u64>,
    ) -> Result<(), ImageError> {
        use ImageError::Invalid;
        let Some((start, _)) = self.directory(DIRECTORY_IMPORT) else { return Ok(()) };
        let mut left = MAX_IMPORTS;
        for descriptor in (start as usize..).step_by(20) {
            let lookup = u32_at(memory, descriptor)? as usize;
            let name = u32_at(memory, descriptor + 12)? as usize;
            let table = u32_at(memory, descriptor + 16)? as usize;
            if name == 0 || table == 0 {
                return Ok(());
            }
            let module = text_at(memory, name)?.to_owned();
            if !has_module(&module) {
                return Err(ImageError::MissingModule(module));
            }
            let lookup = if lookup == 0 { table } else { lookup };
            for entry in 0.. {
                left = left.checked_sub(1).ok_or(Invalid("it has too many imports"))?;
                let import = u64_at(memory, lookup + entry * 8)?;
                if import == 0 {
                    break;
                }
                if import >> 63 != 0 {
                    let ordinal = import as u16;
                    return Err(ImageError::MissingOrdinal { module, ordinal });
                }
                let function = text_at(memory, (import as u32 as usize).saturating_add(2))?;
                let Some(address) = resolve(&module, function) else {
                    let function = function.to_owned();
                    return Err(ImageError::MissingImport { module, function });
                };
                let slot = table + entry * 8;
                let slot = memory.get_mut(slot..slot + 8);
                slot.ok_or(Invalid("its import table lies outside"))?
                    .copy_from_slice(&address.to_le_bytes());
            }
        }
        Ok(())
    }

    /// Gives the image's stack cookie a value, as the Windows loader does since Windows 8; code
    /// built with `/GS` stops the system where it finds the default.
    pub fn set_cookie(&self, memory: &mut [u8], base: u64, cookie: u64) {
        const SECURITY_COOKIE: usize = 0x58;
        let Some((config, _)) = self.directory(DIRECTORY_LOAD_CONFIG) else { return };
        let config = config as usize;
        let Ok(size) = u32_at(memory, config) else { return };
        if (size as usize) < SECURITY_COOKIE + 8 {
            return;
        }
        let Ok(address) = u64_at(memory, config + SECURITY_COOKIE) else { return };
        let Some(at) = address.checked_sub(base).and_then(|at| usize::try_from(at).ok()) else {
            return;
        };
        if let Some(slot) = at.checked_add(8).and_then(|end| memory.get_mut(at..end)) {
            slot.copy_from_slice(&(cookie & 0x0000_FFFF_FFFF_FFFF).to_le_bytes());
        }
    }

    /// Offset of an exported function in a laid-out image.
    pub fn export(&self, memory: &[u8], name: &str) -> Option<u32> {
        let (table, _) = self.directory(DIRECTORY_EXPORT)?;
        let table = table as usize;
        let count = u32_at(memory, table + 24).ok()?.min(65_536) as usize;
        let functions = u32_at(memory, table + 28).ok()? as usize;
        let names = u32_at(memory, table + 32).ok()? as usize;
        let ordinals = u32_at(memory, table + 36).ok()? as usize;
        for at in 0..count {
            let text = text_at(memory, u32_at(memory, names + at * 4).ok()? as usize).ok()?;
            if text == name {
                let ordinal = usize::from(u16_at(memory, ordinals + at * 2).ok()?);
                return u32_at(memory, functions + ordinal * 4).ok();
            }
        }
        None
    }
}

/// The checksum of an image file: the sum of its 16-bit words with carries folded in, the stored
/// checksum taken as zero, plus the length.
pub fn checksum(file: &[u8]) -> Result<u32, ImageError> {
    let field = u32_at(file, 0x3C)? as usize + 24 + 64;
    u32_at(file, field)?;
    let mut sum = 0_u32;
    for (at, pair) in file.chunks(2).enumerate() {
        let word = |at: usize| {
            let inside = (field..field + 4).contains(&at);
            if inside { 0 } else { file.get(at).copied().unwrap_or(0) }
        };
        let _ = pair;
        sum += u32::from(word(at * 2)) | u32::from(word(at * 2 + 1)) << 8;
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    Ok(sum.wrapping_add(file.len() as u32))
}

#[cfg(test)]
mod tests {
    use faults::driver::{ContentDriverOptions, DriverKind, build};
    use proptest::prelude::*;

    use super::super::flat;
    use super::*;

    fn driver() -> Vec<u8> {
        build(&DriverKind::ContentDriver(ContentDriverOptions::default())).unwrap()
    }

    /// Everything that a load does, up to mapping.
    fn prepare(file: &[u8]) -> Result<Vec<u8>, ImageError> {
        let image = Image::parse(file)?;
        let mut memory = image.lay_out(file)?;
        image.relocate(&mut memory, 0x7800_2000_0000)?;
        image.bind(&mut memory, |module| module == "ntoskrnl.exe", |_, _| Some(0x1234))?;
        image.set_cookie(&mut memory, 0x7800_2000_0000, 7);
        let _ = image.export(&memory, "DriverEntry");
        for (offset, size, _) in image.protections() {
            assert!(u64::from(offset) + u64::from(size) <= u64::from(image.size));
        }
        let _ = image.check_checksum(file);
        Ok(memory)
    }

    #[test]
    fn a_whole_image_is_prepared() {
        let file = driver();
        let image = Image::parse(&file).unwrap();
        image.check_checksum(&file).unwrap();
        let memory = prepare(&file).unwrap();
        assert_eq!(memory.len(), image.size as usize);
        assert!(memory.windows(8).any(|bytes| bytes == 0x1234_u64.to_le_bytes()));
        assert!(image.protections().iter().any(|(_, _, allowed)| allowed.execute));
        assert!(!image.protections().iter().any(|(_, _, may)| may.execute && may.write));
    }

    /// The driver again, as old linkers laid drivers out: nothing is aligned to pages.
    fn flat_driver() -> Vec<u8> {
        flat::flattened(&driver(), 0x200)
    }

    #[test]
    fn a_flat_image_is_taken_as_it_lies_in_the_file() {
        let file = flat_driver();
        let image = Image::parse(&file).unwrap();
        let memory = prepare(&file).unwrap();
        assert_eq!(&memory[..0x40], &file[..0x40]);
        assert_eq!(image.protections().len(), 1);
        assert!(memory.windows(8).any(|bytes| bytes == 0x1234_u64.to_le_bytes()));

        let pe = u32_at(&file, 0x3C).unwrap() as usize;
        let refused = |at: usize, value: u32| {
            let mut file = file.clone();
            file[at..at + 4].copy_from_slice(&value.to_le_bytes());
            Image::parse(&file).unwrap_err().to_string()
        };
        // Section and file alignment have to be the same, and a section has to lie where it lies in the file.
        assert!(refused(pe + 24 + 36, 0x100).contains("alignments"));
        assert!(refused(pe + 24 + 32, 0x300).contains("alignments"));
        let first = pe + 24 + 240;
        let offset = u32_at(&file, first + 20).unwrap();
        assert!(refused(first + 20, offset + 0x10).contains("elsewhere in memory"));
        assert!(refused(first + 8, 0xF000).contains("overlap or lie outside"));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for file in [&b""[..], b"MZ", &[0x4D; 600], &driver()[..0x180]] {
            let error = Image::parse(file).unwrap_err();
            assert_eq!(error.status(), NtStatus::INVALID_IMAGE_FORMAT, "{error}");
        }
    }

    proptest! {
        #[test]
        fn damage_never_panics(
            edits in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 1..30),
            header in prop::collection::vec((0_usize..0x400, any::<u32>()), 0..6),
            cut in 0_usize..0x800,
        ) {
            let mut file = driver();
            let length = file.len() as f64;
            for (place, value) in edits {
                file[(place * length) as usize] = value;
            }
            for (at, value) in header {
                file[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            file.truncate(file.len() - cut);
            let _ = prepare(&file);
        }
    }
}

//! The headers of a PE file, as far as they are needed (Microsoft, "PE Format").

use super::{ExecutableError, u16_at, u32_at};

/// Windows takes no more.
const MAX_SECTIONS: usize = 96;

/// What the headers say.
pub(super) struct Headers {
    pub(super) machine: u16,
    pub(super) characteristics: u16,
    pub(super) subsystem: u16,
    pub(super) timestamp: u32,
    pub(super) checksum: u32,
    /// Where the checksum is stored.
    pub(super) checksum_at: usize,
    /// Where the place of the certificates is stored; none where the file has no such field.
    pub(super) certificates_at: Option<usize>,
    /// Offset in the file and size of the certificates, if there are any.
    pub(super) certificates: Option<(u32, u32)>,
    /// Address and size of the resources, if there are any.
    pub(super) resources: Option<(u32, u32)>,
    sections: Vec<Section>,
}

struct Section {
    address: u32,
    offset: u32,
    size: u32,
}

impl Headers {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ExecutableError> {
        use ExecutableError::{Damaged, NotAnExecutable};
        if !bytes.starts_with(b"MZ") {
            return Err(NotAnExecutable("it does not begin with `MZ`"));
        }
        let cut = || Damaged("they are cut off");
        let pe = u32_at(bytes, 0x3c).ok_or_else(cut)? as usize;
        if bytes.get(pe..pe.saturating_add(4)) != Some(b"PE\0\0") {
            return Err(NotAnExecutable("it has no `PE` header; a program for DOS or 16 bits"));
        }
        let word = |at: usize| u32_at(bytes, at).ok_or_else(cut);
        let half = |at: usize| u16_at(bytes, at).ok_or_else(cut);
        let optional = pe + 24;
        // The fields behind the checksum differ in size: addresses have 32 or 64 bits.
        let directories = optional
            + match half(optional)? {
                0x10b => 96,
                0x20b => 112,
                _ => return Err(Damaged("they are neither of 32 nor of 64 bits")),
            };
        let optional_size = usize::from(half(pe + 20)?);
        let end = optional + optional_size;
        let count = word(directories - 4)?;
        let directory = |index: u32| -> Option<(u32, u32, usize)> {
            let at = directories + 8 * index as usize;
            if index >= count || at + 8 > end {
                return None;
            }
            Some((u32_at(bytes, at)?, u32_at(bytes, at + 4)?, at))
        };
        let filled = |index| directory(index).filter(|own| own.0 != 0 && own.1 != 0);
        let sections = usize::from(half(pe + 6)?);
        if sections > MAX_SECTIONS {
            return Err(Damaged("they have more than 96 sections"));
        }
        let sections = (0..sections).map(|index| {
            let at = end + 40 * index;
            Ok(Section { address: word(at + 12)?, size: word(at + 16)?, offset: word(at + 20)? })
        });
        Ok(Self {
            machine: half(pe + 4)?,
            characteristics: half(pe + 22)?,
            subsystem: half(optional + 68)?,
            timestamp: word(pe + 8)?,
            checksum: word(optional + 64)?,
            checksum_at: optional + 64,
            certificates_at: directory(4).map(|own| own.2),
            certificates: filled(4).map(|own| (own.0, own.1)),
            resources: filled(2).map(|own| (own.0, own.1)),
            sections: sections.collect::<Result<_, _>>()?,
        })
    }

    /// The bytes from an address of the loaded image to the end of its section in the file.
    pub(super) fn at_address<'b>(&self, bytes: &'b [u8], address: u32) -> Option<&'b [u8]> {
        self.sections.iter().find_map(|section| {
            let inside = address.checked_sub(section.address).filter(|own| *own < section.size)?;
            let start = section.offset as usize + inside as usize;
            let end = (section.offset as usize + section.size as usize).min(bytes.len());
            bytes.get(start..end)
        })
    }
}

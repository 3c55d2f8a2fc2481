//! What a driver or program needs from others: the import tables of a PE file.
//!
//! Source of the layout: Microsoft, "PE Format", sections ".idata" and "Delay-Load Import Tables";
//! flat images: windows-facts 4.1. Everything is bounded: the file is somebody else's.

use std::collections::BTreeMap;

use crate::bytes::{u16_at, u32_at, u64_at};

/// `IMAGE_FILE_MACHINE_AMD64`.
pub const MACHINE_AMD64: u16 = 0x8664;
/// `IMAGE_SUBSYSTEM_NATIVE`: drivers, and programs that run before any subsystem.
const SUBSYSTEM_NATIVE: u16 = 1;
/// Windows takes no more.
const MAX_SECTIONS: usize = 96;
const MAX_IMPORTS: usize = 8192;
const MAX_MODULES: usize = 512;
/// Longest name of a module or function, in bytes. C++ names are long.
const MAX_NAME: usize = 512;
/// An image with less alignment than a page is mapped as one piece, as it lies in the file.
const PAGE: u32 = 0x1000;

/// Why a file's imports cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportsError {
    /// It is something else.
    #[error("no PE file: {0}")]
    NotAnImage(&'static str),
    /// Its tables cannot be.
    #[error("the PE file's import tables are damaged: {0}")]
    Damaged(&'static str),
}

/// One thing that an image needs from a module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Import {
    /// A function or variable, by its name.
    Name(String),
    /// By its number in the module's export table.
    Ordinal(u16),
}

impl std::fmt::Display for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ordinal(ordinal) => write!(f, "#{ordinal}"),
        }
    }
}

/// What an image needs, and whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imports {
    /// `IMAGE_FILE_HEADER.Machine`.
    pub machine: u16,
    /// It is for the native subsystem: a driver.
    pub native: bool,
    /// What it needs, by module as the file writes it; those that are loaded late are among them.
    pub modules: BTreeMap<String, Vec<Import>>,
}

impl Imports {
    /// Reads a file's import tables.
    ///
    /// # Errors
    /// [`ImportsError`].
    pub fn read(file: &[u8]) -> Result<Self, ImportsError> {
        let image = Image::parse(file)?;
        let mut reader = Reader { image: &image, left: MAX_IMPORTS, modules: BTreeMap::new() };
        reader.plain()?;
        reader.delayed()?;
        Ok(Self { machine: image.machine, native: image.native, modules: reader.modules })
    }
}

struct Section {
    address: u32,
    size: u32,
    offset: u32,
}

struct Image<'f> {
    file: &'f [u8],
    machine: u16,
    native: bool,
    wide: bool,
    base: u64,
    flat: bool,
    headers: u32,
    imports: Option<u32>,
    delayed: Option<u32>,
    sections: Vec<Section>,
}

impl<'f> Image<'f> {
    fn parse(file: &'f [u8]) -> Result<Self, ImportsError> {
        use ImportsError::{Damaged, NotAnImage};
        const CUT: ImportsError = Damaged("its headers are cut off");
        if !file.starts_with(b"MZ") {
            return Err(NotAnImage("it does not begin with `MZ`"));
        }
        let pe = u32_at(file, 0x3c).ok_or(CUT)? as usize;
        if file.get(pe..pe.saturating_add(4)) != Some(b"PE\0\0") {
            return Err(NotAnImage("it has no `PE` header"));
        }
        let half = |at: usize| u16_at(file, at).ok_or(CUT);
        let word = |at: usize| u32_at(file, at).ok_or(CUT);
        let optional = pe + 24;
        let wide = match half(optional)? {
            0x10b => false,
            0x20b => true,
            _ => return Err(Damaged("its headers are neither of 32 nor of 64 bits")),
        };
        let directories = optional + if wide { 112 } else { 96 };
        let optional_size = usize::from(half(pe + 20)?);
        let count = word(directories - 4)?;
        let directory = |index: u32| -> Option<u32> {
            let at = directories + 8 * index as usize;
            let inside = index < count && at + 8 <= optional + optional_size;
            let address = inside.then(|| u32_at(file, at)).flatten()?;
            (address != 0 && u32_at(file, at + 4)? != 0).then_some(address)
        };
        let sections = usize::from(half(pe + 6)?);
        if sections > MAX_SECTIONS {
            return Err(Damaged("it has more than 96 sections"));
        }
        let sections = (0..sections).map(|index| {
            let at = optional + optional_size + 40 * index;
            Ok(Section { address: word(at + 12)?, size: word(at + 16)?, offset: word(at + 20)? })
        });
        Ok(Self {
            file,
            machine: half(pe + 4)?,
            native: half(optional + 68)? == SUBSYSTEM_NATIVE,
            wide,
            base: match wide {
                true => u64_at(file, optional + 24).ok_or(CUT)?,
                false => word(optional + 28)?.into(),
            },
            flat: word(optional + 32)? < PAGE,
            headers: word(optional + 60)?,
            imports: directory(1),
            delayed: directory(13),
            sections: sections.collect::<Result<_, ImportsError>>()?,
        })
    }

    /// The file's bytes from an address of the loaded image on, to the end of its section.
    fn at(&self, address: u32) -> Option<&'f [u8]> {
        if self.flat || address < self.headers {
            return self.file.get(address as usize..);
        }
        self.sections.iter().find_map(|section| {
            let inside = address.checked_sub(section.address).filter(|own| *own < section.size)?;
            let start = section.offset as usize;
            let end = start.checked_add(section.size as usize)?.min(self.file.len());
            self.file.get(start.checked_add(inside as usize)?..end)
        })
    }

    fn text(&self, address: u32) -> Result<String, ImportsError> {
        let bytes = self.at(address).ok_or(ImportsError::Damaged("a name lies outside"))?;
        let bytes = &bytes[..bytes.len().min(MAX_NAME)];
        let end = bytes.iter().position(|byte| *byte == 0);
        let end = end.ok_or(ImportsError::Damaged("a name has no end"))?;
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}

struct Reader<'i, 'f> {
    image: &'i Image<'f>,
    left: usize,
    modules: BTreeMap<String, Vec<Import>>,
}

impl Reader<'_, '_> {
    fn plain(&mut self) -> Result<(), ImportsError> {
        let Some(start) = self.image.imports else { return Ok(()) };
        self.descriptors(start, 20, |entry| {
            let (lookup, name, table) = (entry(0)?, entry(12)?, entry(16)?);
            Some((name, if lookup == 0 { table } else { lookup }))
        })
    }

    fn delayed(&mut self) -> Result<(), ImportsError> {
        let Some(start) = self.image.delayed else { return Ok(()) };
        let base = self.image.base;
        self.descriptors(start, 32, |entry| {
            // Without the first attribute, as Visual C++ 6 wrote them, these are addresses.
            let relative = entry(0)? & 1 != 0;
            let place = |own: u32| match relative {
                true => own,
                false if own == 0 => 0,
                false => u64::from(own).wrapping_sub(base) as u32,
            };
            Some((place(entry(4)?), place(entry(16)?)))
        })
    }

    /// Goes through a table of descriptors; `read` gives the addresses of the module's name and of the names of what
    /// is needed, or zero at the end.
    fn descriptors(
        &mut self,
        start: u32,
        size: u32,
        read: impl Fn(&dyn Fn(usize) -> Option<u32>) -> Option<(u32, u32)>,
    ) -> Result<(), ImportsError> {
        const OUTSIDE: ImportsError = ImportsError::Damaged("its table lies outside");
        for index in 0..MAX_MODULES as u32 {
            let at = start.checked_add(index * size).ok_or(OUTSIDE)?;
            let bytes = self.image.at(at).ok_or(OUTSIDE)?;
            let (name, lookup) = read(&|at| u32_at(bytes, at)).ok_or(OUTSIDE)?;
            if name == 0 || lookup == 0 {
                return Ok(());
            }
            let module = self.image.text(name)?;
            let functions = self.functions(lookup)?;
            self.modules.entry(module).or_default().extend(functions);
        }
        Err(ImportsError::Damaged("it has too many modules"))
    }

    fn functions(&mut self, lookup: u32) -> Result<Vec<Import>, ImportsError> {
        const OUTSIDE: ImportsError = ImportsError::Damaged("a list of names lies outside");
        let (size, by_number) = if self.image.wide { (8, 1 << 63) } else { (4, 1 << 31) };
        let mut functions = Vec::new();
        for index in 0.. {
            self.left = self.left.checked_sub(1).ok_or(ImportsError::Damaged("it has too many"))?;
            let at = lookup.checked_add(index * size).ok_or(OUTSIDE)?;
            let bytes = self.image.at(at).ok_or(OUTSIDE)?;
            let entry = match self.image.wide {
                true => u64_at(bytes, 0),
                false => u32_at(bytes, 0).map(u64::from),
            };
            let entry = entry.ok_or(OUTSIDE)?;
            if entry == 0 {
                break;
            }
            functions.push(if entry & by_number != 0 {
                Import::Ordinal(entry as u16)
            } else {
                // Two bytes of a hint are in front of the name.
                Import::Name(self.image.text((entry as u32 & 0x7fff_ffff).saturating_add(2))?)
            });
        }
        Ok(functions)
    }
}

//! Reading dumps. Bounded in everything: the file comes from a guest.

use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};

use super::error::DumpError;
use super::layout::{self, get, u16_at, u32_at, u64_at};
use super::memory::{Pages, read_at, read_virtual};
use super::{DumpBugCheck, DumpKind, DumpModule, DumpSummary};
use crate::{FileTime, bugcheck};

const MAX_MODULES: usize = 2048;
const MAX_NAME: usize = 1024;

/// An opened dump.
pub struct Dump<S> {
    source: S,
    header: Vec<u8>,
    /// The header is that of 32-bit Windows.
    is_32_bit: bool,
    kind: DumpKind,
    pages: Pages,
    damage: Option<String>,
}

/// Reads what a dump tells without symbols.
pub fn summarize(source: impl Read + Seek) -> Result<DumpSummary, DumpError> {
    Dump::open(source)?.summary()
}

impl<S: Read + Seek> Dump<S> {
    /// Reads header and page map. Where only the header is whole, it is what there is.
    pub fn open(mut source: S) -> Result<Self, DumpError> {
        let length = source.seek(SeekFrom::End(0)).map_err(DumpError::Read)?;
        let start = read_at(&mut source, 0, length.min(8) as usize)?;
        if start == layout::SIGNATURE32 {
            let header = read_at(&mut source, 0, layout::HEADER32)?;
            let kind = kind(u32_at(&header, layout::DUMP_TYPE32));
            return Ok(Self {
                source,
                header,
                is_32_bit: true,
                kind,
                pages: Pages::None,
                damage: None,
            });
        }
        if start != layout::SIGNATURE {
            return Err(DumpError::NotADump(get(&start, 0)));
        }
        let header = read_at(&mut source, 0, layout::HEADER)?;
        let number = u32_at(&header, layout::DUMP_TYPE);
        let kind = kind(number);
        let pages = match kind {
            DumpKind::Full => Ok(Pages::from_header(&header)),
            DumpKind::Small | DumpKind::Summary => Ok(Pages::None),
            DumpKind::BitmapFull | DumpKind::BitmapKernel => Pages::read_bitmap(&mut source),
            DumpKind::Kernel | DumpKind::KernelAndUser => Pages::read_ranges(&mut source, false),
            DumpKind::Complete => Pages::read_ranges(&mut source, true),
            DumpKind::Unknown => Ok(Pages::None),
        };
        let (pages, damage) = match pages {
            Ok(pages) if kind == DumpKind::Unknown => {
                (pages, Some(format!("dump type {number} is not known")))
            }
            Ok(pages) => (pages, None),
            Err(DumpError::Damaged(what)) => (Pages::None, Some(what.to_owned())),
            Err(error) => return Err(error),
        };
        Ok(Self { source, header, is_32_bit: false, kind, pages, damage })
    }

    /// How much room it takes, in bytes, as its header says (`RequiredDumpSpace`); `None` of 32-bit dumps and where
    /// nothing is said.
    pub fn required_space(&self) -> Option<u64> {
        let size = (!self.is_32_bit).then(|| u64_at(&self.header, layout::REQUIRED_SPACE))?;
        // A header whose fields were never written is filled with its signature.
        (size != 0 && size != u64::from_le_bytes(*b"PAGEPAGE")).then_some(size)
    }

    /// Reads memory by its virtual address. None where the dump does not hold all of it.
    pub fn read(&mut self, address: u64, length: usize) -> Result<Option<Vec<u8>>, DumpError> {
        let root = u64_at(&self.header, layout::DIRECTORY_TABLE_BASE);
        read_virtual(&mut self.source, &self.pages, root, address, length)
    }

    /// The loaded modules, in load order. Empty where the dump does not hold the list.
    pub fn modules(&mut self) -> Result<Vec<DumpModule>, DumpError> {
        // Page tables and structures of other machines are others.
        if !self.is_x64() {
            return Ok(Vec::new());
        }
        if self.kind == DumpKind::Small { self.driver_list() } else { self.module_list() }
    }

    fn machine(&self) -> u32 {
        u32_at(&self.header, if self.is_32_bit { layout::MACHINE32 } else { layout::MACHINE })
    }

    fn is_x64(&self) -> bool {
        !self.is_32_bit && self.machine() == layout::MACHINE_AMD64
    }

    /// Walks `PsLoadedModuleList`. A list that breaks off gives what was found.
    fn module_list(&mut self) -> Result<Vec<DumpModule>, DumpError> {
        let head = u64_at(&self.header, layout::LOADED_MODULE_LIST);
        let mut modules = Vec::new();
        let mut seen = HashSet::from([head]);
        let mut at = match self.read(head, 8)? {
            Some(bytes) => u64_at(&bytes, 0),
            None => return Ok(modules),
        };
        while seen.insert(at) && modules.len() < MAX_MODULES {
            let Some(entry) = self.read(at, layout::ENTRY_BASE_NAME + 16)? else { break };
            let name = match self.string(&entry, layout::ENTRY_BASE_NAME)? {
                Some(name) => Some(name),
                None => self.string(&entry, layout::ENTRY_FULL_NAME)?,
            };
            modules.push(DumpModule {
                name: file_name(name.unwrap_or_default()),
                base: u64_at(&entry, layout::ENTRY_BASE),
                size: u32_at(&entry, layout::ENTRY_SIZE_OF_IMAGE),
            });
            at = u64_at(&entry, 0);
        }
        Ok(modules)
    }

    /// The text of a `UNICODE_STRING` at an offset of a structure.
    fn string(&mut self, bytes: &[u8], at: usize) -> Result<Option<String>, DumpError> {
        let length = usize::from(u16_at(bytes, at)).min(MAX_NAME * 2);
        if length == 0 {
            return Ok(None);
        }
        let text = self.read(u64_at(bytes, at + 8), length)?;
        Ok(text.map(|text| from_utf16(&text)))
    }

    /// The driver list of a small dump.
    fn driver_list(&mut self) -> Result<Vec<DumpModule>, DumpError> {
        let triage = read_at(&mut self.source, layout::HEADER as u64, layout::TRIAGE_SIZE)?;
        let list = u64::from(u32_at(&triage, layout::TRIAGE_DRIVERS));
        let count = (u32_at(&triage, layout::TRIAGE_DRIVER_COUNT) as usize).min(MAX_MODULES);
        let mut modules = Vec::new();
        for at in 0..count {
            let place = list + (at * layout::DRIVER_SIZE) as u64;
            let entry = read_at(&mut self.source, place, layout::DRIVER_SIZE)?;
            let name = u64::from(u32_at(&entry, 0));
            let length = u32_at(&read_at(&mut self.source, name, 4)?, 0) as usize;
            let text = read_at(&mut self.source, name + 4, length.min(MAX_NAME) * 2)?;
            modules.push(DumpModule {
                name: file_name(from_utf16(&text)),
                base: u64_at(&entry, layout::DRIVER_ENTRY + layout::ENTRY_BASE),
                size: u32_at(&entry, layout::DRIVER_ENTRY + layout::ENTRY_SIZE_OF_IMAGE),
            });
        }
        Ok(modules)
    }

    /// The bug check of the header.
    pub fn bug_check(&self) -> DumpBugCheck {
        let parameter = |at: usize| match self.is_32_bit {
            true => u64::from(u32_at(&self.header, layout::PARAMETERS32 + at * 4)),
            false => u64_at(&self.header, layout::PARAMETERS + at * 8),
        };
        let code = u32_at(
            &self.header,
            if self.is_32_bit { layout::BUG_CHECK32 } else { layout::BUG_CHECK },
        );
        DumpBugCheck {
            code,
            name: bugcheck::name(code),
            parameters: [parameter(0), parameter(1), parameter(2), parameter(3)],
        }
    }

    /// The instruction to blame: the parameter that the code has for it, else the exception's
    /// address, else the instruction of the context record.
    pub fn instruction(&self) -> u64 {
        let bug_check = self.bug_check();
        if let Some(at) = bugcheck::instruction_parameter(bug_check.code)
            && bug_check.parameters[at] != 0
        {
            return bug_check.parameters[at];
        }
        if self.is_32_bit {
            let exception = layout::EXCEPTION32;
            let address = u32_at(&self.header, exception + layout::EXCEPTION32_ADDRESS);
            let there = u32_at(&self.header, exception) != 0 && address != 0;
            let address = if there { address } else { u32_at(&self.header, layout::CONTEXT32_EIP) };
            return u64::from(address);
        }
        let exception = u64_at(&self.header, layout::EXCEPTION + layout::EXCEPTION_ADDRESS);
        if u32_at(&self.header, layout::EXCEPTION) != 0 && exception != 0 {
            return exception;
        }
        match self.is_x64() {
            true => u64_at(&self.header, layout::CONTEXT + layout::CONTEXT_RIP),
            false => 0,
        }
    }

    /// Everything at once.
    pub fn summary(&mut self) -> Result<DumpSummary, DumpError> {
        let modules = match self.modules() {
            Ok(modules) => modules,
            Err(DumpError::Damaged(what)) => {
                self.damage.get_or_insert(what.to_owned());
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let instruction = self.instruction();
        let holds = |module: &&DumpModule| {
            instruction.checked_sub(module.base).is_some_and(|at| at < u64::from(module.size))
        };
        let places = if self.is_32_bit { &PLACES32 } else { &PLACES64 };
        Ok(DumpSummary {
            kind: self.kind,
            bug_check: self.bug_check(),
            module: modules.iter().find(holds).map(|module| module.name.clone()),
            instruction,
            machine: machine(self.machine()),
            damage: self.damage.clone(),
            time: FileTime::from_ticks(u64_at(&self.header, places.time)),
            up_time: u64_at(&self.header, places.up_time),
            build: u32_at(&self.header, layout::MINOR_VERSION),
            processors: u32_at(&self.header, places.processors),
            comment: comment(&self.header, places.comment),
            modules,
        })
    }
}

/// Where a header has what both kinds of header have.
struct Places {
    processors: usize,
    comment: usize,
    up_time: usize,
    time: usize,
}

const PLACES64: Places = Places {
    processors: layout::PROCESSORS,
    comment: layout::COMMENT,
    up_time: layout::UP_TIME,
    time: layout::SYSTEM_TIME,
};
const PLACES32: Places = Places {
    processors: layout::PROCESSORS32,
    comment: layout::COMMENT32,
    up_time: layout::UP_TIME32,
    time: layout::SYSTEM_TIME32,
};

fn kind(number: u32) -> DumpKind {
    match number {
        1 => DumpKind::Full,
        2 => DumpKind::Summary,
        4 => DumpKind::Small,
        5 => DumpKind::BitmapFull,
        6 => DumpKind::BitmapKernel,
        8 => DumpKind::Kernel,
        9 => DumpKind::KernelAndUser,
        10 => DumpKind::Complete,
        _ => DumpKind::Unknown,
    }
}

fn machine(number: u32) -> String {
    match number {
        layout::MACHINE_AMD64 => "x86-64".to_owned(),
        layout::MACHINE_I386 => "x86".to_owned(),
        layout::MACHINE_ARM64 => "arm64".to_owned(),
        other => format!("machine type {other:#x}"),
    }
}

/// The comment, where it is text. An empty one is filled with the signature ("PAGE…").
fn comment(header: &[u8], at: usize) -> Option<String> {
    let bytes = &header[at..][..layout::COMMENT_SIZE];
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.is_empty() && !text.starts_with("PAGEPAGE")).then(|| text.to_owned())
}

fn from_utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let units = units.take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// The last part of an NT path.
fn file_name(path: String) -> String {
    match path.rfind('\\') {
        Some(at) => path[at + 1..].to_owned(),
        None => path,
    }
}

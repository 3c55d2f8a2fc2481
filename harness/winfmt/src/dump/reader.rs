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
    kind: DumpKind,
    pages: Pages,
}

/// Reads what a dump tells without symbols.
pub fn summarize(source: impl Read + Seek) -> Result<DumpSummary, DumpError> {
    Dump::open(source)?.summary()
}

impl<S: Read + Seek> Dump<S> {
    /// Reads header and page map.
    pub fn open(mut source: S) -> Result<Self, DumpError> {
        let length = source.seek(SeekFrom::End(0)).map_err(DumpError::Read)?;
        let start = read_at(&mut source, 0, length.min(8) as usize)?;
        if start != layout::SIGNATURE {
            return Err(DumpError::NotADump(get(&start, 0)));
        }
        let header = read_at(&mut source, 0, layout::HEADER)?;
        let kind = u32_at(&header, layout::DUMP_TYPE);
        let (kind, pages) = match kind {
            1 => (DumpKind::Full, Pages::from_header(&header)),
            4 => (DumpKind::Small, Pages::None),
            5 => (DumpKind::BitmapFull, Pages::read_bitmap(&mut source)?),
            6 => (DumpKind::BitmapKernel, Pages::read_bitmap(&mut source)?),
            8 => (DumpKind::Kernel, Pages::read_ranges(&mut source, false)?),
            9 => (DumpKind::KernelAndUser, Pages::read_ranges(&mut source, false)?),
            10 => (DumpKind::Complete, Pages::read_ranges(&mut source, true)?),
            other => return Err(DumpError::UnknownKind(other)),
        };
        Ok(Self { source, header, kind, pages })
    }

    /// Reads memory by its virtual address. None where the dump does not hold all of it.
    pub fn read(&mut self, address: u64, length: usize) -> Result<Option<Vec<u8>>, DumpError> {
        let root = u64_at(&self.header, layout::DIRECTORY_TABLE_BASE);
        read_virtual(&mut self.source, &self.pages, root, address, length)
    }

    /// The loaded modules, in load order. Empty where the dump does not hold the list.
    pub fn modules(&mut self) -> Result<Vec<DumpModule>, DumpError> {
        if self.kind == DumpKind::Small { self.driver_list() } else { self.module_list() }
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
        let code = u32_at(&self.header, layout::BUG_CHECK);
        let parameter = |at: usize| u64_at(&self.header, layout::PARAMETERS + at * 8);
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
        let exception = u64_at(&self.header, layout::EXCEPTION + layout::EXCEPTION_ADDRESS);
        if u32_at(&self.header, layout::EXCEPTION) != 0 && exception != 0 {
            return exception;
        }
        u64_at(&self.header, layout::CONTEXT + layout::CONTEXT_RIP)
    }

    /// Everything at once.
    pub fn summary(&mut self) -> Result<DumpSummary, DumpError> {
        let modules = self.modules()?;
        let instruction = self.instruction();
        let holds = |module: &&DumpModule| {
            instruction.checked_sub(module.base).is_some_and(|at| at < u64::from(module.size))
        };
        Ok(DumpSummary {
            kind: self.kind,
            bug_check: self.bug_check(),
            module: modules.iter().find(holds).map(|module| module.name.clone()),
            instruction,
            time: FileTime::from_ticks(u64_at(&self.header, layout::SYSTEM_TIME)),
            up_time: u64_at(&self.header, layout::UP_TIME),
            build: u32_at(&self.header, layout::MINOR_VERSION),
            processors: u32_at(&self.header, layout::PROCESSORS),
            comment: comment(&self.header),
            modules,
        })
    }
}

/// The comment, where it is text. An empty one is filled with the signature ("PAGE…").
fn comment(header: &[u8]) -> Option<String> {
    let bytes = &header[layout::COMMENT..][..layout::COMMENT_SIZE];
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

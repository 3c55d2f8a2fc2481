//! Building dumps: physical pages, page tables, debugger data and module list are made up around the
//! memory that is given, so that a debugger's reader finds its way.

use std::collections::BTreeMap;

use super::layout::{self, PAGE};
use crate::FileTime;

/// Total memory of a dump, as a bound against mistakes.
const MAX_BYTES: u64 = 1 << 30;
/// Physical page of the first page table. Page 0 stays free, as on a machine.
const FIRST_FRAME: u64 = 0x100;

/// Why a dump cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A segment or the whole is too large, or wraps around the address space.
    #[error("memory at 0x{address:x} does not fit into a dump")]
    TooLarge {
        /// Where it was to lie.
        address: u64,
    },
}

/// The processor state at the stop. Addresses as the dump shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15, in the order of the `CONTEXT` structure.
    pub general: [u64; 16],
    /// Instruction pointer.
    pub rip: u64,
    /// Flags.
    pub eflags: u32,
}

/// The exception behind the stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// NTSTATUS.
    pub code: u32,
    /// Address of the instruction.
    pub address: u64,
    /// `ExceptionInformation`.
    pub information: [u64; 2],
    /// How many of them count (at most 2).
    pub parameters: u32,
}

/// A loaded module. Its bytes, where wanted, go in as a [`Segment`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// File name.
    pub name: String,
    /// NT path.
    pub path: String,
    /// Address.
    pub base: u64,
    /// Bytes.
    pub size: u32,
    /// Address of the entry point.
    pub entry: u64,
    /// `CheckSum`.
    pub checksum: u32,
    /// `TimeDateStamp`.
    pub timestamp: u32,
}

/// Memory for the dump. Where segments overlap, the later one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Virtual address of the first byte.
    pub address: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Mapped writable.
    pub write: bool,
    /// Mapped executable.
    pub execute: bool,
}

/// What goes into a dump.
#[derive(Debug, Clone)]
pub struct Builder {
    /// Stop code.
    pub code: u32,
    /// Its parameters.
    pub parameters: [u64; 4],
    /// Processor state.
    pub context: Context,
    /// The exception, where the stop comes from one.
    pub exception: Option<Exception>,
    /// When, by the machine's clock.
    pub time: FileTime,
    /// How long the machine had been up, 100 ns.
    pub up_time: u64,
    /// Build number.
    pub build: u32,
    /// At most 127 bytes of text for the header's comment.
    pub comment: String,
    /// Loaded modules, the kernel first.
    pub modules: Vec<Module>,
    /// Memory.
    pub segments: Vec<Segment>,
    /// Where the dump's own structures (debugger data, module list) are to lie: free address space
    /// of a few pages, page aligned.
    pub structures: u64,
}

/// Pages by virtual page number, with their rights.
#[derive(Default)]
struct Space {
    pages: BTreeMap<u64, (Vec<u8>, bool, bool)>,
}

impl Space {
    fn put(&mut self, segment: &Segment) -> Result<(), BuildError> {
        let too_large = BuildError::TooLarge { address: segment.address };
        let length = segment.bytes.len() as u64;
        if segment.address.checked_add(length).is_none() {
            return Err(too_large);
        }
        let mut done = 0;
        while done < segment.bytes.len() {
            let address = segment.address + done as u64;
            let at = (address % PAGE) as usize;
            let piece = (PAGE as usize - at).min(segment.bytes.len() - done);
            let page = self.pages.entry(address / PAGE);
            let (bytes, write, execute) =
                page.or_insert_with(|| (vec![0; PAGE as usize], false, false));
            bytes[at..at + piece].copy_from_slice(&segment.bytes[done..done + piece]);
            *write |= segment.write;
            *execute |= segment.execute;
            done += piece;
        }
        if self.pages.len() as u64 * PAGE > MAX_BYTES {
            return Err(too_large);
        }
        Ok(())
    }
}

/// A growing physical memory, and the tables in it.
struct Physical {
    frames: BTreeMap<u64, Vec<u8>>,
    next: u64,
}

impl Physical {
    fn add(&mut self, bytes: Vec<u8>) -> u64 {
        let frame = self.next;
        self.next += 1;
        self.frames.insert(frame, bytes);
        frame
    }

    /// The frame that an entry of a table points to, made where it is missing.
    fn table(&mut self, table: u64, index: usize) -> u64 {
        let at = index * 8;
        let known = self.frames.get(&table).map_or(0, |bytes| layout::u64_at(bytes, at));
        if known & 1 != 0 {
            return known >> 12 & 0xFF_FFFF_FFFF;
        }
        let fresh = self.add(vec![0; PAGE as usize]);
        // Present, writable, accessed.
        self.set(table, at, fresh << 12 | 0x23);
        fresh
    }

    fn set(&mut self, frame: u64, at: usize, entry: u64) {
        if let Some(bytes) = self.frames.get_mut(&frame) {
            bytes[at..at + 8].copy_from_slice(&entry.to_le_bytes());
        }
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

impl Builder {
    /// The `CONTEXT` structure of the processor state.
    pub fn context_record(&self) -> Vec<u8> {
        let mut bytes = vec![0; layout::CONTEXT_SIZE];
        // CONTEXT_AMD64 with control, integer and segments.
        put(&mut bytes, layout::CONTEXT_FLAGS, &0x0010_0007_u32.to_le_bytes());
        put(&mut bytes, layout::CONTEXT_MXCSR, &0x1F80_u32.to_le_bytes());
        // cs, ds, es, fs, gs, ss of kernel mode.
        let segments: [u16; 6] = [0x10, 0x2B, 0x2B, 0x53, 0x2B, 0x18];
        for (at, segment) in segments.into_iter().enumerate() {
            put(&mut bytes, layout::CONTEXT_SEGMENTS + at * 2, &segment.to_le_bytes());
        }
        put(&mut bytes, layout::CONTEXT_EFLAGS, &self.context.eflags.to_le_bytes());
        for (at, value) in self.context.general.into_iter().enumerate() {
            put(&mut bytes, layout::CONTEXT_RAX + at * 8, &value.to_le_bytes());
        }
        put(&mut bytes, layout::CONTEXT_RIP, &self.context.rip.to_le_bytes());
        bytes
    }

    /// The `EXCEPTION_RECORD64`; all zeroes without an exception.
    pub fn exception_record(&self) -> Vec<u8> {
        let mut bytes = vec![0; layout::EXCEPTION_SIZE];
        if let Some(exception) = self.exception {
            put(&mut bytes, 0, &exception.code.to_le_bytes());
            put(&mut bytes, layout::EXCEPTION_ADDRESS, &exception.address.to_le_bytes());
            let count = exception.parameters.min(2);
            put(&mut bytes, layout::EXCEPTION_COUNT, &count.to_le_bytes());
            for (at, value) in exception.information.into_iter().take(count as usize).enumerate() {
                put(&mut bytes, layout::EXCEPTION_INFORMATION + at * 8, &value.to_le_bytes());
            }
        }
        bytes
    }

    fn list_head(&self) -> u64 {
        self.structures + PAGE
    }

    fn process_head(&self) -> u64 {
        self.list_head() + 0x10
    }

    fn debugger_data(&self) -> Vec<u8> {
        let mut bytes = vec![0; layout::DEBUGGER_DATA_SIZE];
        let mut set = |at, value: u64| put(&mut bytes, at, &value.to_le_bytes());
        set(0, self.structures);
        set(8, self.structures);
        set(layout::DEBUGGER_KERNEL_BASE, self.modules.first().map_or(0, |module| module.base));
        set(layout::DEBUGGER_LOADED_MODULES, self.list_head());
        set(layout::DEBUGGER_ACTIVE_PROCESSES, self.process_head());
        put(&mut bytes, layout::DEBUGGER_OWNER, b"KDBG");
        let size = layout::DEBUGGER_DATA_SIZE as u32;
        put(&mut bytes, layout::DEBUGGER_SIZE, &size.to_le_bytes());
        bytes
    }

    /// One module's entry, as far as both kinds of dump have it.
    fn entry(module: &Module, full_name: u64, base_name: u64) -> Vec<u8> {
        let mut bytes = vec![0; layout::ENTRY_SIZE];
        put(&mut bytes, layout::ENTRY_BASE, &module.base.to_le_bytes());
        put(&mut bytes, layout::ENTRY_POINT, &module.entry.to_le_bytes());
        put(&mut bytes, layout::ENTRY_SIZE_OF_IMAGE, &module.size.to_le_bytes());
        for (at, text, address) in [
            (layout::ENTRY_FULL_NAME, &module.path, full_name),
            (layout::ENTRY_BASE_NAME, &module.name, base_name),
        ] {
            let length = u16::try_from(utf16(text).len()).unwrap_or(0);
            put(&mut bytes, at, &length.to_le_bytes());
            put(&mut bytes, at + 2, &length.to_le_bytes());
            put(&mut bytes, at + 8, &address.to_le_bytes());
        }
        put(&mut bytes, layout::ENTRY_CHECKSUM, &module.checksum.to_le_bytes());
        put(&mut bytes, layout::ENTRY_TIMESTAMP, &module.timestamp.to_le_bytes());
        bytes
    }

    /// Debugger data, list heads, module entries and names as one segment.
    fn structure_segment(&self) -> Segment {
        let head = self.list_head();
        let first_entry = head + 0x40;
        let names = first_entry + (self.modules.len() * layout::ENTRY_SIZE) as u64;
        let address_of = |at: usize| {
            if at < self.modules.len() {
                first_entry + (at * layout::ENTRY_SIZE) as u64
            } else {
                head
            }
        };
        let mut entries = Vec::new();
        let mut text = Vec::new();
        for (at, module) in self.modules.iter().enumerate() {
            let full_name = names + text.len() as u64;
            text.extend_from_slice(&utf16(&module.path));
            let base_name = names + text.len() as u64;
            text.extend_from_slice(&utf16(&module.name));
            let mut entry = Self::entry(module, full_name, base_name);
            let before = if at == 0 { head } else { address_of(at - 1) };
            put(&mut entry, 0, &address_of(at + 1).to_le_bytes());
            put(&mut entry, 8, &before.to_le_bytes());
            entries.extend_from_slice(&entry);
        }
        let mut bytes = self.debugger_data();
        bytes.resize(PAGE as usize, 0);
        bytes.extend_from_slice(&address_of(0).to_le_bytes());
        let last = self.modules.len().checked_sub(1).map_or(head, address_of);
        bytes.extend_from_slice(&last.to_le_bytes());
        // No processes: a list that points to itself.
        for _ in 0..2 {
            bytes.extend_from_slice(&self.process_head().to_le_bytes());
        }
        bytes.resize((first_entry - self.structures) as usize, 0);
        bytes.extend_from_slice(&entries);
        bytes.extend_from_slice(&text);
        Segment { address: self.structures, bytes, write: true, execute: false }
    }

    fn header(&self, kind: u32, root: u64) -> Vec<u8> {
        // What is not used is filled with the signature.
        let mut bytes = b"PAGE".repeat(layout::HEADER / 4);
        put(&mut bytes, 0, layout::SIGNATURE);
        let mut number = |at: usize, value: u32| put(&mut bytes, at, &value.to_le_bytes());
        number(layout::MAJOR_VERSION, 15);
        number(layout::MINOR_VERSION, self.build);
        number(layout::MACHINE, layout::MACHINE_AMD64);
        number(layout::PROCESSORS, 1);
        number(layout::BUG_CHECK, self.code);
        number(layout::DUMP_TYPE, kind);
        number(layout::MINIDUMP_FIELDS, if kind == 4 { layout::TRIAGE_FIELDS } else { 0 });
        // VER_NT_WORKSTATION, VER_SUITE_SINGLEUSERTS.
        number(layout::PRODUCT_TYPE, 1);
        number(layout::SUITE_MASK, 0x100);
        let mut long = |at: usize, value: u64| put(&mut bytes, at, &value.to_le_bytes());
        long(layout::DIRECTORY_TABLE_BASE, root);
        long(layout::PFN_DATABASE, 0);
        long(layout::LOADED_MODULE_LIST, self.list_head());
        long(layout::ACTIVE_PROCESS_HEAD, self.process_head());
        long(layout::DEBUGGER_DATA, self.structures);
        long(layout::SYSTEM_TIME, self.time.ticks());
        long(layout::UP_TIME, self.up_time);
        for (at, value) in self.parameters.into_iter().enumerate() {
            long(layout::PARAMETERS + at * 8, value);
        }
        // No page runs unless the caller puts them.
        long(layout::PHYSICAL_MEMORY, 0);
        long(layout::PHYSICAL_MEMORY + 8, 0);
        put(&mut bytes, layout::CONTEXT, &self.context_record());
        put(&mut bytes, layout::EXCEPTION, &self.exception_record());
        let mut comment = self.comment.as_bytes().to_vec();
        comment.resize(layout::COMMENT_SIZE - 1, 0);
        comment.push(0);
        put(&mut bytes, layout::COMMENT, &comment);
        bytes
    }

    /// A kernel memory dump (`MEMORY.DMP`, type 6).
    pub fn build_kernel(&self) -> Result<Vec<u8>, BuildError> {
        let mut space = Space::default();
        for segment in self.segments.iter().chain([&self.structure_segment()]) {
            space.put(segment)?;
        }
        let mut memory = Physical { frames: BTreeMap::new(), next: FIRST_FRAME };
        let root = memory.add(vec![0; PAGE as usize]);
        for (page, (bytes, write, execute)) in space.pages {
            let index = |level: u32| ((page >> (level * 9)) & 0x1FF) as usize;
            let level3 = memory.table(root, index(3));
            let level2 = memory.table(level3, index(2));
            let level1 = memory.table(level2, index(1));
            let frame = memory.add(bytes);
            // Present, accessed, dirty where writable, no-execute.
            let write = if write { 0x42 } else { 0 };
            let no_execute = if execute { 0 } else { 1 << 63 };
            memory.set(level1, index(0) * 8, no_execute | frame << 12 | 0x21 | write);
        }

        let pages = memory.next;
        let present = memory.frames.len() as u64;
        let bitmap_size = pages.div_ceil(8) as usize;
        let first = (layout::HEADER + layout::BITMAP_BITS + bitmap_size) as u64;
        let first = first.next_multiple_of(PAGE);
        let mut bytes = self.header(6, root << 12);
        let size = first + present * PAGE;
        put(&mut bytes, layout::REQUIRED_SPACE, &size.to_le_bytes());
        let runs: [u64; 4] = [1, present, FIRST_FRAME, present];
        for (at, value) in runs.into_iter().enumerate() {
            put(&mut bytes, layout::PHYSICAL_MEMORY + at * 8, &value.to_le_bytes());
        }
        bytes.resize(first as usize, 0);
        put(&mut bytes, layout::HEADER, b"SDMPDUMP");
        for (at, value) in [
            (layout::BITMAP_FIRST_PAGE, first),
            (layout::BITMAP_PRESENT, present),
            (layout::BITMAP_PAGES, pages),
        ] {
            put(&mut bytes, layout::HEADER + at, &value.to_le_bytes());
        }
        for frame in memory.frames.keys() {
            let at = layout::HEADER + layout::BITMAP_BITS + (*frame / 8) as usize;
            bytes[at] |= 1 << (frame % 8);
        }
        for page in memory.frames.values() {
            bytes.extend_from_slice(page);
        }
        Ok(bytes)
    }

    /// A small dump (type 4): header, processor state, driver list, and the stack: what is given of
    /// the memory from the stack pointer on.
    pub fn build_small(&self) -> Result<Vec<u8>, BuildError> {
        const MAX_STACK: usize = 0x6000;
        let rsp = self.context.general[4];
        let stack = self.segments.iter().rev().find_map(|segment| {
            let at = usize::try_from(rsp.checked_sub(segment.address)?).ok()?;
            let rest = segment.bytes.get(at..)?;
            Some(&rest[..rest.len().min(MAX_STACK)])
        });
        let stack = stack.unwrap_or_default();

        let mut bytes = self.header(4, 0);
        bytes.resize(layout::HEADER + layout::TRIAGE_SIZE, 0);
        let number = |bytes: &mut Vec<u8>, at: usize, value: usize| {
            let value = u32::try_from(value).unwrap_or(u32::MAX);
            put(bytes, layout::HEADER + at, &value.to_le_bytes());
        };
        number(&mut bytes, layout::TRIAGE_CONTEXT, layout::CONTEXT);
        number(&mut bytes, layout::TRIAGE_EXCEPTION, layout::EXCEPTION);
        // Options as Windows writes them: all parts.
        number(&mut bytes, layout::TRIAGE_OPTIONS, 0xFFFF_FFFF);

        let at = bytes.len();
        number(&mut bytes, layout::TRIAGE_DEBUGGER_DATA, at);
        number(&mut bytes, layout::TRIAGE_DEBUGGER_DATA_SIZE, layout::DEBUGGER_DATA_SIZE);
        bytes.extend_from_slice(&self.debugger_data());

        let at = bytes.len();
        number(&mut bytes, layout::TRIAGE_STACK, at);
        number(&mut bytes, layout::TRIAGE_STACK_SIZE, stack.len());
        put(&mut bytes, layout::HEADER + layout::TRIAGE_TOP_OF_STACK, &rsp.to_le_bytes());
        bytes.extend_from_slice(stack);
        bytes.resize(bytes.len().next_multiple_of(16), 0);

        let list = bytes.len();
        number(&mut bytes, layout::TRIAGE_DRIVERS, list);
        number(&mut bytes, layout::TRIAGE_DRIVER_COUNT, self.modules.len());
        let strings = list + self.modules.len() * layout::DRIVER_SIZE;
        let mut pool = Vec::new();
        for (at, module) in self.modules.iter().enumerate() {
            let mut driver = vec![0; layout::DRIVER_SIZE];
            let name = u32::try_from(strings + pool.len())
                .map_err(|_| BuildError::TooLarge { address: module.base })?;
            put(&mut driver, 0, &name.to_le_bytes());
            let entry = Self::entry(module, 0, 0);
            let room = layout::DRIVER_TIMESTAMP;
            driver[layout::DRIVER_ENTRY..room]
                .copy_from_slice(&entry[..room - layout::DRIVER_ENTRY]);
            put(&mut driver, layout::DRIVER_TIMESTAMP, &module.timestamp.to_le_bytes());
            let holds = self.context.rip.checked_sub(module.base);
            if holds.is_some_and(|offset| offset < u64::from(module.size)) {
                number(&mut bytes, layout::TRIAGE_BROKEN_DRIVER, strings + pool.len());
            }
            let text = utf16(&module.name);
            pool.extend_from_slice(&((text.len() / 2) as u32).to_le_bytes());
            pool.extend_from_slice(&text);
            pool.extend_from_slice(&[0, 0]);
            pool.resize(pool.len().next_multiple_of(8), 0);
            debug_assert_eq!(bytes.len(), list + at * layout::DRIVER_SIZE);
            bytes.extend_from_slice(&driver);
        }
        number(&mut bytes, layout::TRIAGE_STRINGS, strings);
        number(&mut bytes, layout::TRIAGE_STRINGS_SIZE, pool.len());
        bytes.extend_from_slice(&pool);

        let valid = bytes.len();
        number(&mut bytes, layout::TRIAGE_VALID, valid);
        bytes.extend_from_slice(layout::TRIAGE_END);
        let size = bytes.len();
        number(&mut bytes, layout::TRIAGE_SIZE_OF_DUMP, size);
        put(&mut bytes, layout::REQUIRED_SPACE, &(size as u64).to_le_bytes());
        Ok(bytes)
    }
}

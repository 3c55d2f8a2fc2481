//! Offsets. See the crate's `dump` module for the sources.

pub(super) const PAGE: u64 = 0x1000;
pub(super) const HEADER: usize = 0x2000;

pub(super) const SIGNATURE: &[u8; 8] = b"PAGEDU64";
pub(super) const MAJOR_VERSION: usize = 0x08;
pub(super) const MINOR_VERSION: usize = 0x0C;
pub(super) const DIRECTORY_TABLE_BASE: usize = 0x10;
pub(super) const PFN_DATABASE: usize = 0x18;
pub(super) const LOADED_MODULE_LIST: usize = 0x20;
pub(super) const ACTIVE_PROCESS_HEAD: usize = 0x28;
pub(super) const MACHINE: usize = 0x30;
pub(super) const PROCESSORS: usize = 0x34;
pub(super) const BUG_CHECK: usize = 0x38;
pub(super) const PARAMETERS: usize = 0x40;
pub(super) const DEBUGGER_DATA: usize = 0x80;
pub(super) const PHYSICAL_MEMORY: usize = 0x88;
pub(super) const PHYSICAL_MEMORY_SIZE: usize = 700;
pub(super) const CONTEXT: usize = 0x348;
pub(super) const EXCEPTION: usize = 0xF00;
pub(super) const DUMP_TYPE: usize = 0xF98;
pub(super) const REQUIRED_SPACE: usize = 0xFA0;
pub(super) const SYSTEM_TIME: usize = 0xFA8;
pub(super) const COMMENT: usize = 0xFB0;
pub(super) const COMMENT_SIZE: usize = 128;
pub(super) const UP_TIME: usize = 0x1030;
pub(super) const MINIDUMP_FIELDS: usize = 0x1038;
pub(super) const PRODUCT_TYPE: usize = 0x1040;
pub(super) const SUITE_MASK: usize = 0x1044;

pub(super) const MACHINE_AMD64: u32 = 0x8664;
pub(super) const MACHINE_ARM64: u32 = 0xAA64;
pub(super) const MACHINE_I386: u32 = 0x014C;

/// The header of 32-bit Windows (`DUMP_HEADER32`, windows-facts.md 6.4).
pub(super) const SIGNATURE32: &[u8; 8] = b"PAGEDUMP";
pub(super) const HEADER32: usize = 0x1000;
pub(super) const MACHINE32: usize = 0x20;
pub(super) const PROCESSORS32: usize = 0x24;
pub(super) const BUG_CHECK32: usize = 0x28;
pub(super) const PARAMETERS32: usize = 0x2C;
pub(super) const CONTEXT32_EIP: usize = 0x320 + 0xB8;
pub(super) const EXCEPTION32: usize = 0x7D0;
pub(super) const EXCEPTION32_ADDRESS: usize = 0x0C;
pub(super) const COMMENT32: usize = 0x820;
pub(super) const DUMP_TYPE32: usize = 0xF88;
pub(super) const UP_TIME32: usize = 0xFB8;
pub(super) const SYSTEM_TIME32: usize = 0xFC0;

/// `CONTEXT` of x64: its size and the fields that are used here.
pub(super) const CONTEXT_SIZE: usize = 0x4D0;
pub(super) const CONTEXT_FLAGS: usize = 0x30;
pub(super) const CONTEXT_MXCSR: usize = 0x34;
pub(super) const CONTEXT_SEGMENTS: usize = 0x38;
pub(super) const CONTEXT_EFLAGS: usize = 0x44;
pub(super) const CONTEXT_RAX: usize = 0x78;
pub(super) const CONTEXT_RIP: usize = 0xF8;

/// `EXCEPTION_RECORD64`.
pub(super) const EXCEPTION_SIZE: usize = 0x98;
pub(super) const EXCEPTION_ADDRESS: usize = 0x10;
pub(super) const EXCEPTION_COUNT: usize = 0x18;
pub(super) const EXCEPTION_INFORMATION: usize = 0x20;

/// Bitmap header, at [`HEADER`].
pub(super) const BITMAP_FIRST_PAGE: usize = 0x20;
pub(super) const BITMAP_PRESENT: usize = 0x28;
pub(super) const BITMAP_PAGES: usize = 0x30;
pub(super) const BITMAP_BITS: usize = 0x38;

/// `KLDR_DATA_TABLE_ENTRY`.
pub(super) const ENTRY_BASE: usize = 0x30;
pub(super) const ENTRY_POINT: usize = 0x38;
pub(super) const ENTRY_SIZE_OF_IMAGE: usize = 0x40;
pub(super) const ENTRY_FULL_NAME: usize = 0x48;
pub(super) const ENTRY_BASE_NAME: usize = 0x58;
pub(super) const ENTRY_CHECKSUM: usize = 0x78;
pub(super) const ENTRY_TIMESTAMP: usize = 0x9C;
pub(super) const ENTRY_SIZE: usize = 0xA0;

/// `TRIAGE_DUMP64`, at [`HEADER`].
pub(super) const TRIAGE_SIZE: usize = 0x80;
pub(super) const TRIAGE_SIZE_OF_DUMP: usize = 0x04;
pub(super) const TRIAGE_VALID: usize = 0x08;
pub(super) const TRIAGE_CONTEXT: usize = 0x0C;
pub(super) const TRIAGE_EXCEPTION: usize = 0x10;
pub(super) const TRIAGE_STACK: usize = 0x28;
pub(super) const TRIAGE_STACK_SIZE: usize = 0x2C;
pub(super) const TRIAGE_DRIVERS: usize = 0x30;
pub(super) const TRIAGE_DRIVER_COUNT: usize = 0x34;
pub(super) const TRIAGE_STRINGS: usize = 0x38;
pub(super) const TRIAGE_STRINGS_SIZE: usize = 0x3C;
pub(super) const TRIAGE_BROKEN_DRIVER: usize = 0x40;
pub(super) const TRIAGE_OPTIONS: usize = 0x44;
pub(super) const TRIAGE_TOP_OF_STACK: usize = 0x48;
pub(super) const TRIAGE_DEBUGGER_DATA: usize = 0x70;
pub(super) const TRIAGE_DEBUGGER_DATA_SIZE: usize = 0x74;
/// The last four bytes of a small dump that was written to its end.
pub(super) const TRIAGE_END: &[u8; 4] = b"TRGD";
/// `MiniDumpFields`: context, exception, stack, driver list, debugger data.
pub(super) const TRIAGE_FIELDS: u32 = 0x1 | 0x2 | 0x20 | 0x40 | 0x400;
/// One entry of its driver list: offset of the name, padding, and a shorter `KLDR_DATA_TABLE_ENTRY`.
pub(super) const DRIVER_SIZE: usize = 0x90;
pub(super) const DRIVER_ENTRY: usize = 8;
pub(super) const DRIVER_TIMESTAMP: usize = DRIVER_ENTRY + 0x80;

/// `KDDEBUGGER_DATA64`: as much of it as is written here.
pub(super) const DEBUGGER_DATA_SIZE: usize = 0x380;
pub(super) const DEBUGGER_OWNER: usize = 0x10;
pub(super) const DEBUGGER_SIZE: usize = 0x14;
pub(super) const DEBUGGER_KERNEL_BASE: usize = 0x18;
pub(super) const DEBUGGER_LOADED_MODULES: usize = 0x48;
pub(super) const DEBUGGER_ACTIVE_PROCESSES: usize = 0x50;

pub(super) fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(found) = at.checked_add(N).and_then(|end| bytes.get(at..end)) {
        out.copy_from_slice(found);
    }
    out
}

/// A number at an offset; zero beyond the end.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(get(bytes, at))
}

/// A number at an offset; zero beyond the end.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(get(bytes, at))
}

/// A number at an offset; zero beyond the end.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(get(bytes, at))
}

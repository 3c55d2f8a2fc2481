//! `KUSER_SHARED_DATA`: the page that every driver can read at `0xFFFFF780_00000000` and every program at
//! `0x7FFE0000` (windows-facts 4.2).
//!
//! Driver code runs below 2^47 ([`super::super::layout`]), so the page lies at its address with the upper bits
//! cleared, and an access to the documented address faults. The fault handler then lets the instruction run once
//! with the registers that point there moved ([`redirect`]), and moves them back after it ([`stepped`]). The times in
//! the page are made anew at each such access, and by the clock for who reads the lower one.

#![expect(unsafe_code, reason = "maps a page twice and edits the registers of a signal's context")]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use super::super::exports::clock::{self, BUILD, TICK};
use super::super::layout::{self, SHARED_DATA};
use super::fault::GENERAL;

/// Where programs see it.
const USER_ADDRESS: u64 = 0x7FFE_0000;
const PAGE: usize = 0x1000;
/// How far from the page a register may point and still be what an access to the page was made with: structures are
/// often addressed by their middle.
const NEAR: u64 = 1 << 20;
/// Single step, in the flags.
const TRAP_FLAG: i64 = 0x100;

const INTERRUPT_TIME: usize = 0x008;
const SYSTEM_TIME: usize = 0x014;
const TICK_COUNT: usize = 0x320;

/// The page as the model writes it.
static PAGE_AT: OnceLock<usize> = OnceLock::new();

thread_local! {
    /// The registers that were moved for the instruction that runs now: index, what it was.
    static MOVED: Cell<[Option<u64>; 16]> = const { Cell::new([None; 16]) };
    static STEPPING: Cell<bool> = const { Cell::new(false) };
}

/// Makes the page and shows it at both addresses, for reading.
pub(super) fn map() -> io::Result<()> {
    // SAFETY: a name that ends in zero; the descriptor is this function's own.
    let file = unsafe {
        let file = libc::memfd_create(c"shared-data".as_ptr(), 0);
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(file)
    };
    // SAFETY: plain numbers.
    if unsafe { libc::ftruncate(file.as_raw_fd(), PAGE as libc::off_t) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let map = |at: u64, rights: libc::c_int, how: libc::c_int| {
        // SAFETY: either anywhere, or over the model's own region, or where nothing is.
        let got = unsafe {
            libc::mmap(
                at as *mut libc::c_void,
                PAGE,
                rights,
                libc::MAP_SHARED | how,
                file.as_raw_fd(),
                0,
            )
        };
        if got == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(got as usize) }
    };
    let own = map(0, libc::PROT_READ | libc::PROT_WRITE, 0)?;
    map(SHARED_DATA.base, libc::PROT_READ, libc::MAP_FIXED)?;
    map(USER_ADDRESS, libc::PROT_READ, libc::MAP_FIXED_NOREPLACE)?;
    PAGE_AT.get_or_init(|| own);
    fill();
    refresh();
    Ok(())
}

fn put(at: usize, bytes: &[u8]) {
    let Some(page) = PAGE_AT.get() else { return };
    debug_assert!(at + bytes.len() <= PAGE);
    // SAFETY: within the page, which stays mapped.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), (page + at) as *mut u8, bytes.len()) };
}

/// What does not change. What is not here stays zero.
fn fill() {
    let word = |at: usize, value: u32| put(at, &value.to_le_bytes());
    // TickCountMultiplier: milliseconds a tick, with 24 bits behind the point.
    word(0x004, ((u64::from(TICK) << 24) / 10_000) as u32);
    // ImageNumberLow, ImageNumberHigh: the machines whose images run.
    word(0x02C, 0x8664_8664);
    let root: Vec<u8> = "C:\\Windows".encode_utf16().flat_map(u16::to_le_bytes).collect();
    put(0x030, &root);
    // LargePageMinimum
    word(0x244, 2 << 20);
    word(0x260, BUILD);
    // NtProductType: a workstation; ProductTypeIsValid
    word(0x264, 1);
    put(0x268, &[1]);
    // NativeProcessorArchitecture: PROCESSOR_ARCHITECTURE_AMD64
    put(0x26A, &9_u16.to_le_bytes());
    // NtMajorVersion; the minor one is 0.
    word(0x26C, 10);
    put(0x274, &features());
    // SuiteMask: VER_SUITE_TERMINAL, VER_SUITE_SINGLEUSERTS
    word(0x2D0, 0x110);
    // NumberOfPhysicalPages
    word(0x2E8, physical_pages());
    // QpcFrequency
    put(0x300, &10_000_000_u64.to_le_bytes());
    // ActiveProcessorCount, ActiveGroupCount
    word(0x3C0, 1);
    put(0x3C4, &[1]);
}

/// `ProcessorFeatures`: what each `PF_…` of the headers says, as far as the processor tells.
fn features() -> [u8; 64] {
    let mut features = [0; 64];
    // COMPARE_EXCHANGE_DOUBLE, MMX, XMMI, RDTSC, PAE_ENABLED, XMMI64, NX_ENABLED: every x86-64 has them.
    for always in [2, 3, 6, 8, 9, 10, 12] {
        features[always] = 1;
    }
    features[13] = u8::from(std::arch::is_x86_feature_detected!("sse3"));
    features[14] = u8::from(std::arch::is_x86_feature_detected!("cmpxchg16b"));
    features
}

fn physical_pages() -> u32 {
    // SAFETY: asks for a number.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    u32::try_from(pages).unwrap_or(0)
}

/// Writes the times. Safe in a signal handler.
pub(super) fn refresh() {
    let up = clock::up_time();
    let ticks = up / u64::from(TICK);
    for (at, time) in
        [(INTERRUPT_TIME, up), (SYSTEM_TIME, clock::system_time()), (TICK_COUNT, ticks)]
    {
        // KSYSTEM_TIME: who reads it takes the high part from the second copy, the low one, and compares both high
        // ones; so they are written in the other order.
        let high = ((time >> 32) as u32).to_le_bytes();
        put(at + 8, &high);
        put(at, &(time as u32).to_le_bytes());
        put(at + 4, &high);
    }
}

/// True where this is an access to the page by its documented address.
pub(super) fn holds(address: u64) -> bool {
    SHARED_DATA.contains(layout::to_native(address)) && layout::is_upper_half(address)
}

/// Lets the interrupted instruction read the page: its registers that point there are moved until it has run. False
/// where none does.
pub(super) fn redirect(registers: &mut [i64; 23]) -> bool {
    refresh();
    if absolute(registers) {
        return true;
    }
    let page = layout::to_kernel(SHARED_DATA.base);
    let mut moved = [None; 16];
    for (slot, at) in moved.iter_mut().zip(GENERAL) {
        let register = &mut registers[at as usize];
        let value = register.cast_unsigned();
        let near =
            layout::is_upper_half(value) && value.wrapping_sub(page).wrapping_add(NEAR) < 2 * NEAR;
        if near {
            *slot = Some(value);
            *register = lower(value).cast_signed();
        }
    }
    if moved.iter().all(Option::is_none) {
        return false;
    }
    MOVED.set(moved);
    STEPPING.set(true);
    registers[libc::REG_EFL as usize] |= TRAP_FLAG;
    true
}

/// The address with the upper bits cleared, also a little below the page.
fn lower(address: u64) -> u64 {
    address & 0x0000_7FFF_FFFF_FFFF
}

/// `mov` from an absolute address of 64 bits into the accumulator, which has no register to move.
fn absolute(registers: &mut [i64; 23]) -> bool {
    let instruction = registers[libc::REG_RIP as usize].cast_unsigned();
    if !layout::DRIVERS.contains(instruction) {
        return false;
    }
    // SAFETY: the processor has just fetched this instruction.
    let byte = |at: u64| unsafe { *((instruction + at) as *const u8) };
    let (narrow, at) = if byte(0) == 0x66 { (true, 1) } else { (false, 0) };
    let (wide, at) = if byte(at) & 0xF8 == 0x48 { (true, at + 1) } else { (false, at) };
    let size = match byte(at) {
        0xA0 => 1,
        0xA1 if wide => 8,
        0xA1 if narrow => 2,
        0xA1 => 4,
        _ => return false,
    };
    let mut address = [0; 8];
    for (index, part) in address.iter_mut().enumerate() {
        *part = byte(at + 1 + index as u64);
    }
    let from = layout::to_native(u64::from_le_bytes(address));
    if !(SHARED_DATA.contains(from) && SHARED_DATA.contains(from + size - 1)) {
        return false;
    }
    let mut value = [0; 8];
    for (index, part) in value.iter_mut().enumerate().take(size as usize) {
        // SAFETY: within the page, which is mapped for reading.
        *part = unsafe { *((from + index as u64) as *const u8) };
    }
    let rax = &mut registers[libc::REG_RAX as usize];
    let read = i64::from_le_bytes(value);
    *rax = match size {
        1 => *rax & !0xFF | read,
        2 => *rax & !0xFFFF | read,
        // Four bytes clear the upper half.
        _ => read,
    };
    registers[libc::REG_RIP as usize] += (at + 9) as i64;
    true
}

/// After the one instruction: the registers that it left alone point again where they did. False where no instruction
/// was let run.
pub(super) fn stepped(registers: &mut [i64; 23]) -> bool {
    if !STEPPING.replace(false) {
        return false;
    }
    for (was, at) in MOVED.replace([None; 16]).into_iter().zip(GENERAL) {
        if let Some(was) = was
            && registers[at as usize].cast_unsigned() == lower(was)
        {
            registers[at as usize] = was.cast_signed();
        }
    }
    registers[libc::REG_EFL as usize] &= !TRAP_FLAG;
    true
}

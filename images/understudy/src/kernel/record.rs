//! The page that PID 1 and the kernel process share: the loaded modules and the stop.
//!
//! A thread that has just faulted can neither allocate nor take a lock, so it writes its report here,
//! field by field, and then one byte to a pipe. PID 1 reads it once the process is frozen, and treats
//! every field as hostile.

#![expect(unsafe_code, reason = "memory shared between two processes")]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use super::report::{BugCheck, Exception, Module, Registers, StopCause, StopReport};

const MAX_MODULES: usize = 64;
const MAX_NAME: usize = 64;
const MAX_PATH: usize = 260;

#[repr(C)]
struct ModuleRecord {
    base: u64,
    entry: u64,
    size: u32,
    checksum: u32,
    timestamp: u32,
    name_length: u32,
    path_length: u32,
    live: u32,
    name: [u8; MAX_NAME],
    path: [u8; MAX_PATH],
}

/// What a stopping thread writes. Plain numbers only: every bit pattern is valid.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct StopRecord {
    pub(super) code: u32,
    pub(super) cause: u32,
    pub(super) parameters: [u64; 4],
    /// Address of the instruction to blame, as shown.
    pub(super) blamed: u64,
    pub(super) registers: [u64; 18],
    pub(super) exception_code: u32,
    pub(super) exception_parameters: u32,
    pub(super) exception_address: u64,
    pub(super) exception_information: [u64; 2],
    pub(super) irql: u32,
}

pub(super) const CAUSE_FAULT: u32 = 1;
pub(super) const CAUSE_CALLED: u32 = 2;
pub(super) const CAUSE_SYSTEM: u32 = 3;
/// The model cannot go on: what it lacks is the first parameter ([`super::report::Lack`]).
pub(super) const CAUSE_LACK: u32 = 4;

#[repr(C)]
struct Page {
    /// 0 none, 1 being written, 2 complete.
    stop_state: AtomicU32,
    module_count: AtomicU32,
    stop: StopRecord,
    modules: [ModuleRecord; MAX_MODULES],
}

/// The mapping. Lives as long as the process.
#[derive(Clone, Copy)]
pub(super) struct Shared(*mut Page);

// SAFETY: the page is shared memory that is never unmapped while a `Shared` exists (its owner, the
// `Kernel`, outlives its threads); fields written by two sides are atomic, the others are written by
// one thread before the atomic that publishes them.
unsafe impl Send for Shared {}
// SAFETY: see above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: a fresh anonymous mapping; nothing else refers to it. Zeroes are valid for `Page`.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Page>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(memory.cast()))
    }

    /// Unmaps the page. No copy may be used afterwards.
    pub(super) fn release(self) {
        // SAFETY: maps what `new` mapped; the caller gives up every copy.
        unsafe { libc::munmap(self.0.cast(), size_of::<Page>()) };
    }

    /// Adds a module. Called by the loader of the kernel process, one at a time.
    pub(super) fn add_module(self, module: &Module) -> bool {
        let at = self.count().load(Ordering::Acquire) as usize;
        if at >= MAX_MODULES {
            return false;
        }
        // SAFETY: the slot is not published yet and only the loader, under its lock, writes slots.
        let record = unsafe { &mut (*self.0).modules[at] };
        record.base = module.base;
        record.entry = module.entry;
        record.size = module.size;
        record.checksum = module.checksum;
        record.timestamp = module.timestamp;
        record.name_length = copy_text(&module.name, &mut record.name);
        record.path_length = copy_text(&module.path, &mut record.path);
        record.live = 1;
        self.count().store(at as u32 + 1, Ordering::Release);
        true
    }

    /// Marks the module at `base` as unloaded.
    pub(super) fn remove_module(self, base: u64) {
        let count = (self.count().load(Ordering::Acquire) as usize).min(MAX_MODULES);
        for at in 0..count {
            // SAFETY: published slots are written by the loader only, under its lock.
            let record = unsafe { &mut (*self.0).modules[at] };
            if record.base == base {
                record.live = 0;
            }
        }
    }

    fn count(&self) -> &AtomicU32 {
        // SAFETY: the mapping is alive, and the field is atomic.
        unsafe { &(*self.0).module_count }
    }

    /// Claims the right to report the stop; false where another thread was first.
    pub(super) fn claim_stop(self) -> bool {
        // SAFETY: the mapping is alive, and the field is atomic.
        let state = unsafe { &(*self.0).stop_state };
        state.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Writes the stop. Only by the thread that claimed it; safe in a signal handler.
    pub(super) fn publish_stop(self, stop: &StopRecord) {
        // SAFETY: the claim makes this the only writer; the reader waits for the state below.
        unsafe {
            (&raw mut (*self.0).stop).write(*stop);
            (*self.0).stop_state.store(2, Ordering::Release);
        }
    }

    /// The modules as they are now.
    pub(super) fn modules(self) -> Vec<Module> {
        let count = (self.count().load(Ordering::Acquire) as usize).min(MAX_MODULES);
        (0..count)
            .filter_map(|at| {
                // SAFETY: published slots are not written again but for `live`; a hostile writer can
                // only give wrong numbers and text, which are copied and bounded here.
                let record = unsafe { (&raw const (*self.0).modules[at]).read_volatile() };
                (record.live == 1).then(|| Module {
                    name: text(&record.name, record.name_length),
                    path: text(&record.path, record.path_length),
                    base: record.base,
                    size: record.size,
                    entry: record.entry,
                    checksum: record.checksum,
                    timestamp: record.timestamp,
                })
            })
            .collect()
    }

    /// The stop, once it is complete.
    pub(super) fn stop(self) -> Option<StopReport> {
        // SAFETY: the mapping is alive, and the field is atomic.
        if unsafe { (*self.0).stop_state.load(Ordering::Acquire) } != 2 {
            return None;
        }
        // SAFETY: complete, so no longer written; every bit pattern is valid.
        let stop = unsafe { (&raw const (*self.0).stop).read_volatile() };
        let modules = self.modules();
        let module = modules
            .iter()
            .find(|module| {
                stop.blamed.checked_sub(module.base).is_some_and(|at| at < u64::from(module.size))
            })
            .map(|module| module.name.clone());
        let r = stop.registers;
        Some(StopReport {
            bug_check: BugCheck { code: stop.code, parameters: stop.parameters },
            cause: match stop.cause {
                CAUSE_CALLED => StopCause::Called,
                CAUSE_SYSTEM => StopCause::System,
                CAUSE_LACK => StopCause::Model,
                _ => StopCause::Fault,
            },
            module,
            modules,
            registers: Registers {
                rax: r[0],
                rcx: r[1],
                rdx: r[2],
                rbx: r[3],
                rsp: r[4],
                rbp: r[5],
                rsi: r[6],
                rdi: r[7],
                r8: r[8],
                r9: r[9],
                r10: r[10],
                r11: r[11],
                r12: r[12],
                r13: r[13],
                r14: r[14],
                r15: r[15],
                rip: r[16],
                eflags: r[17] as u32,
            },
            exception: (stop.exception_code != 0).then_some(Exception {
                code: stop.exception_code,
                address: stop.exception_address,
                information: stop.exception_information,
                parameters: stop.exception_parameters.min(2),
            }),
            irql: stop.irql.min(15) as u8,
        })
    }
}

fn copy_text(text: &str, into: &mut [u8]) -> u32 {
    let mut length = text.len().min(into.len());
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    into[..length].copy_from_slice(&text.as_bytes()[..length]);
    length as u32
}

fn text(bytes: &[u8], length: u32) -> String {
    String::from_utf8_lossy(&bytes[..(length as usize).min(bytes.len())]).into_owned()
}

//! System threads: stacks, the per-thread processor state that drivers see, entering and leaving
//! driver code.

#![expect(unsafe_code, reason = "threads on given stacks, calls into driver code")]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

use super::super::exports::sync;
use super::super::layout::{STACK_GUARD, STACK_SLOT, STACKS};
use super::memory::{self, READ, WRITE};
use super::{PoolKind, lock, pool, watchdog};

/// Bytes of the model's `ETHREAD`, `EPROCESS` and `KPCR`. Drivers see only the fields named here.
const OBJECT_SIZE: u64 = 0xC00;
/// What the fields hold that the model does not fill, with their offset: no address of any processor, so who follows
/// one faults, and the fault is known by it.
pub(super) const UNFILLED: u64 = 0x4C4F_4F50_4B00_0000;
const TAG: u32 = u32::from_le_bytes(*b"Thre");

thread_local! {
    static IRQL: Cell<u8> = const { Cell::new(0) };
    static THREAD: Cell<u64> = const { Cell::new(0) };
    static PCR: Cell<u64> = const { Cell::new(0) };
    static RETURN: Cell<u64> = const { Cell::new(0) };
}

std::arch::global_asm!(
    // u64 understudy_enter(code, a, b, return_slot): calls Windows code from System V code and
    // remembers the stack, so that `understudy_leave` can come back here from any depth.
    ".globl understudy_enter",
    "understudy_enter:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rcx], rsp",
    "mov rcx, rsi",
    "sub rsp, 40",
    "call rdi",
    "add rsp, 40",
    "2:",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    // understudy_leave(stack)
    ".globl understudy_leave",
    "understudy_leave:",
    "mov rsp, rdi",
    "jmp 2b",
);

unsafe extern "sysv64" {
    fn understudy_enter(code: u64, a: u64, b: u64, return_slot: *mut u64) -> u64;
    fn understudy_leave(stack: u64) -> !;
}

/// Calls driver code with two arguments on the current stack.
pub(in super::super) fn enter(code: u64, a: u64, b: u64) -> u64 {
    let before = RETURN.get();
    // SAFETY: runs driver code, whose faults become a stop; the trampoline keeps the registers that
    // this side expects to keep. The slot is this thread's own.
    let result = unsafe { understudy_enter(code, a, b, RETURN.with(Cell::as_ptr)) };
    RETURN.set(before);
    result
}

/// Leaves driver code: the innermost [`enter`] returns. The callers' frames in between are dropped
/// without being unwound, so none of them may own anything.
pub(in super::super) fn leave() -> ! {
    // SAFETY: the slot holds the stack of an `enter` that is still running on this thread.
    unsafe { understudy_leave(RETURN.get()) }
}

/// The IRQL of the current thread.
pub(in super::super) fn irql() -> u8 {
    IRQL.get()
}

/// Sets the IRQL of the current thread and returns the old one.
pub(in super::super) fn set_irql(irql: u8) -> u8 {
    let pcr = PCR.get();
    if pcr != 0 {
        // SAFETY: the PCR of this thread is pool memory that is never freed while it runs.
        unsafe { *((pcr + 0x50) as *mut u8) = irql };
    }
    let before = IRQL.replace(irql);
    watchdog::irql_changed(before, irql);
    before
}

/// The `ETHREAD` of the current thread; zero on a thread that runs no driver code.
pub(in super::super) fn current_thread() -> u64 {
    THREAD.get()
}

/// The `EPROCESS` of the System process.
pub(in super::super) fn system_process() -> u64 {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| object(3).unwrap_or(0));
    *PROCESS
}

/// A structure of which nothing is filled in yet.
fn unfilled_object() -> [u8; OBJECT_SIZE as usize] {
    let mut bytes = [0; OBJECT_SIZE as usize];
    for (index, field) in bytes.chunks_exact_mut(8).enumerate() {
        field.copy_from_slice(&(UNFILLED + index as u64 * 8).to_le_bytes());
    }
    bytes
}

/// The offset of the field, where a value is (or is near) what an unfilled one holds.
pub(super) fn unfilled(value: u64) -> Option<u64> {
    const REACH: u64 = 0x1_0000;
    let near = value.wrapping_sub(UNFILLED).wrapping_add(REACH) < OBJECT_SIZE + 2 * REACH;
    near.then(|| value.wrapping_sub(UNFILLED).min(OBJECT_SIZE))
}

static ASKED_IN_VAIN: AtomicBool = AtomicBool::new(false);

/// A driver asked for a function by its name, and there is none here. On Windows there may be.
pub(in super::super) fn ask_in_vain() {
    ASKED_IN_VAIN.store(true, Ordering::Relaxed);
}

/// Whether one did.
pub(in super::super) fn asked_in_vain() -> bool {
    ASKED_IN_VAIN.load(Ordering::Relaxed)
}

/// A dispatcher object of a type (3 process, 6 thread).
fn object(kind: u8) -> Option<u64> {
    let address = pool().allocate(OBJECT_SIZE, TAG, PoolKind::NonPaged)?;
    let mut bytes = unfilled_object();
    bytes[..0x18].fill(0);
    bytes[0] = kind;
    // An empty wait list points to itself.
    for at in [8, 16] {
        bytes[at..at + 8].copy_from_slice(&(address + 8).to_le_bytes());
    }
    memory::write(address, &bytes);
    Some(address)
}

struct Start {
    work: Box<dyn FnOnce() + Send>,
    thread: u64,
    slot: u64,
}

#[derive(Default)]
struct Slots {
    used: u64,
    finished: Vec<(u64, libc::pthread_t)>,
}

static SLOTS: LazyLock<Mutex<Slots>> = LazyLock::new(Mutex::default);

/// Starts a system thread and returns its `ETHREAD`.
pub(in super::super) fn spawn(work: Box<dyn FnOnce() + Send>) -> Option<u64> {
    let thread = object(6)?;
    let slot = {
        let mut slots = lock(&SLOTS);
        if let Some((slot, finished)) = slots.finished.pop() {
            // SAFETY: the thread has announced its end; it is joined once.
            unsafe { libc::pthread_join(finished, std::ptr::null_mut()) };
            slot
        } else {
            if slots.used >= STACKS.size / STACK_SLOT {
                return None;
            }
            slots.used += 1;
            slots.used - 1
        }
    };
    let base = STACKS.base + slot * STACK_SLOT + STACK_GUARD;
    let size = STACK_SLOT - STACK_GUARD;
    memory::protect(base, size, READ | WRITE).ok()?;
    let start = Box::into_raw(Box::new(Start { work, thread, slot }));
    // SAFETY: the attributes are initialised before use; the stack is mapped memory that belongs to
    // this slot alone; ownership of `start` goes to the thread if it starts.
    unsafe {
        let mut attributes = std::mem::zeroed::<libc::pthread_attr_t>();
        let mut id = std::mem::zeroed::<libc::pthread_t>();
        libc::pthread_attr_init(&raw mut attributes);
        libc::pthread_attr_setstack(&raw mut attributes, base as *mut libc::c_void, size as usize);
        let failed = libc::pthread_create(&raw mut id, &raw const attributes, main, start.cast());
        libc::pthread_attr_destroy(&raw mut attributes);
        if failed != 0 {
            drop(Box::from_raw(start));
            return None;
        }
    }
    Some(thread)
}

extern "C" fn main(start: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: `spawn` gave up this box for this thread.
    let start = unsafe { Box::from_raw(start.cast::<Start>()) };
    let Start { work, thread, slot } = *start;
    THREAD.set(thread);
    watchdog::enter_thread(slot as usize);
    if prepare(thread).is_some() {
        work();
    }
    watchdog::leave_thread();
    sync::signal_thread(thread);
    // SAFETY: asks for the current thread's own id.
    let id = unsafe { libc::pthread_self() };
    lock(&SLOTS).finished.push((slot, id));
    std::ptr::null_mut()
}

/// Gives the thread its alternate signal stack and a KPCR behind `gs`.
fn prepare(thread: u64) -> Option<()> {
    super::fault::alternate_stack().ok()?;
    let pcr = pool().allocate(OBJECT_SIZE, TAG, PoolKind::NonPaged)?;
    let mut bytes = unfilled_object();
    // KPCR.Irql
    bytes[0x50] = 0;
    // KPCR.Self, KPCR.CurrentPrcb, KPRCB.CurrentThread (gs:[188h]).
    for (at, value) in [(0x18, pcr), (0x20, pcr + 0x180), (0x188, thread)] {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    memory::write(pcr, &bytes);
    // KTHREAD.Process, KTHREAD.ApcState.Process.
    for at in [0xB8, 0x220] {
        memory::write(thread + at, &system_process().to_le_bytes());
    }
    PCR.set(pcr);
    const ARCH_SET_GS: libc::c_long = 0x1001;
    // SAFETY: nothing in this program uses gs.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, pcr) };
    Some(())
}

/// Ends with the parent, whatever it ends by.
pub(super) fn follow_parent() {
    // SAFETY: plain calls without pointers.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
}

/// Closes every file that came with the fork but standard output and error and these two: they are
/// PID 1's.
pub(super) fn close_all_but(keep: [libc::c_int; 2]) {
    let [first, second] = if keep[0] < keep[1] { keep } else { [keep[1], keep[0]] };
    let ranges = [(3, first - 1), (first + 1, second - 1), (second + 1, libc::c_int::MAX)];
    for (from, to) in ranges {
        if from <= to {
            // SAFETY: the values that own these descriptors exist in this copy of the memory too, but
            // nothing uses or drops them here.
            unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
        }
    }
}

/// Ends the process without running anything registered in PID 1.
pub(super) fn exit_process(code: i32) -> ! {
    // SAFETY: `_exit` ends the process at once.
    unsafe { libc::_exit(code) }
}

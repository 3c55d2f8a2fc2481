//! Faults in the kernel process: the signal handler that turns one into a stop, and `KeBugCheckEx`.
//!
//! The handler allocates nothing and takes no lock. It reads the processor state from the signal's
//! context, runs the few privileged instructions that drivers carry inline, and otherwise writes the
//! stop and stands still until PID 1 kills the process.

#![expect(unsafe_code, reason = "signal handlers")]

use std::io;
use std::sync::OnceLock;

use super::super::layout;
use super::super::record::{CAUSE_CALLED, CAUSE_FAULT, CAUSE_SYSTEM, StopRecord};
use super::super::verdict::{self, Access, Fault, Trap};
use super::{irql, set_irql, state, watchdog};

const SIGNALS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, watchdog::SIGNAL];
const ALTERNATE_STACK: usize = 64 << 10;
const MAX_RANGES: usize = 64;

/// Where the program itself lies, so that its code can be shown inside `ntoskrnl.exe`.
struct Program {
    base: u64,
    end: u64,
    /// Executable ranges of libraries, where the program is not static.
    libraries: [(u64, u64); MAX_RANGES],
}

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// Finds the program's own code and installs the handlers.
pub(super) fn install() -> io::Result<()> {
    let program = find_program()?;
    PROGRAM.get_or_init(|| program);
    alternate_stack()?;
    for signal in SIGNALS {
        // SAFETY: the handler has the signature that SA_SIGINFO asks for.
        let failed = unsafe {
            let mut action = std::mem::zeroed::<libc::sigaction>();
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                on_signal;
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut())
        };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn find_program() -> io::Result<Program> {
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_signal;
    let own = handler as usize as u64;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let mut program = Program { base: 0, end: 0, libraries: [(0, 0); MAX_RANGES] };
    let mut libraries = 0;
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(range), Some(rights)) = (fields.next(), fields.next()) else { continue };
        let Some((start, end)) = range.split_once('-') else { continue };
        let (Ok(start), Ok(end)) = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16))
        else {
            continue;
        };
        if (start..end).contains(&own) {
            (program.base, program.end) = (start, end);
        } else if rights.contains('x') && libraries < MAX_RANGES {
            program.libraries[libraries] = (start, end);
            libraries += 1;
        }
    }
    Ok(program)
}

/// Gives the current thread a stack for signals: the fault may be that its own is used up.
pub(super) fn alternate_stack() -> io::Result<()> {
    // SAFETY: a fresh mapping becomes this thread's signal stack and is never used otherwise.
    unsafe {
        let memory = libc::mmap(
            std::ptr::null_mut(),
            ALTERNATE_STACK,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = libc::stack_t { ss_sp: memory, ss_flags: 0, ss_size: ALTERNATE_STACK };
        if libc::sigaltstack(&raw const stack, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// An instruction's address as shown, and whether it is the model's own code.
fn shown_instruction(address: u64) -> (u64, bool) {
    if layout::region_of(address).is_some() {
        return (layout::to_kernel(address), layout::NT.contains(address));
    }
    let window = layout::to_kernel(layout::NT.base) + layout::NT_TEXT_OFFSET;
    let room = layout::NT_DUMP_OFFSET - layout::NT_TEXT_OFFSET;
    if let Some(program) = PROGRAM.get() {
        if (program.base..program.end).contains(&address) {
            return (window + (address - program.base) % room, true);
        }
        for (start, end) in program.libraries {
            if (start..end).contains(&address) {
                return (window + address % 0x1000, true);
            }
        }
    }
    (layout::to_kernel(address), false)
}

const GENERAL: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

extern "C" fn on_signal(
    signal: libc::c_int,
    _info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: with SA_SIGINFO the third argument is the context of the interrupted thread.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    if signal == watchdog::SIGNAL {
        if let Some(parameters) = watchdog::violation() {
            watchdog_stop(registers, parameters);
        }
        return;
    }
    let get = |at: libc::c_int| registers[at as usize].cast_unsigned();
    let instruction = get(libc::REG_RIP);
    let error = get(libc::REG_ERR);
    let mut blamed = instruction;
    let trap = match get(libc::REG_TRAPNO) {
        0 => Trap::Divide,
        // The processor reports the address after `int3`; Windows shows its own.
        3 => {
            blamed = instruction.wrapping_sub(1);
            Trap::Breakpoint
        }
        6 => Trap::Illegal,
        12 => Trap::NonCanonical,
        13 => match privileged(instruction) {
            Some(Privileged::Skip(length)) => {
                registers[libc::REG_RIP as usize] += length;
                return;
            }
            Some(Privileged::ReadIrql { register, length }) => {
                registers[GENERAL[register] as usize] = i64::from(irql());
                registers[libc::REG_RIP as usize] += length;
                return;
            }
            Some(Privileged::WriteIrql { register, length }) => {
                let value = registers[GENERAL[register] as usize];
                set_irql((value & 0xF) as u8);
                registers[libc::REG_RIP as usize] += length;
                return;
            }
            Some(Privileged::FastFail) => Trap::FastFail { reason: get(libc::REG_RCX) },
            Some(Privileged::Other) => Trap::Privileged,
            None => Trap::NonCanonical,
        },
        14 => {
            let address = get(libc::REG_CR2);
            let access = if error & 0x10 != 0 || address == instruction {
                Access::Execute
            } else if error & 2 != 0 {
                Access::Write
            } else {
                Access::Read
            };
            Trap::Page { address, access, protection: error & 1 != 0 }
        }
        16 | 19 => Trap::Float,
        _ => Trap::Illegal,
    };
    let (shown, in_kernel) = shown_instruction(blamed);
    let fault = Fault { trap, instruction: shown, in_kernel, irql: irql() };
    let verdict = verdict::decide(&fault);
    let mut shown_registers = [0; 18];
    for (slot, at) in shown_registers.iter_mut().zip(GENERAL) {
        *slot = layout::to_kernel(get(at));
    }
    shown_registers[16] = shown;
    shown_registers[17] = get(libc::REG_EFL) & 0xFFFF_FFFF;
    stop(&StopRecord {
        code: verdict.code,
        cause: CAUSE_FAULT,
        parameters: verdict.parameters,
        blamed: shown,
        registers: shown_registers,
        exception_code: verdict.exception,
        exception_parameters: verdict.information_count,
        exception_address: shown,
        exception_information: verdict.information,
        irql: u32::from(fault.irql),
    })
}

/// Stops the system on behalf of the clock: the interrupted thread is to blame.
fn watchdog_stop(registers: &[i64; 23], parameters: [u64; 4]) -> ! {
    let get = |at: libc::c_int| registers[at as usize].cast_unsigned();
    let (shown, _) = shown_instruction(get(libc::REG_RIP));
    let mut shown_registers = [0; 18];
    for (slot, at) in shown_registers.iter_mut().zip(GENERAL) {
        *slot = layout::to_kernel(get(at));
    }
    shown_registers[16] = shown;
    shown_registers[17] = get(libc::REG_EFL) & 0xFFFF_FFFF;
    stop(&StopRecord {
        code: watchdog::STOP_CODE,
        cause: CAUSE_SYSTEM,
        parameters,
        blamed: shown,
        registers: shown_registers,
        exception_code: 0,
        exception_parameters: 0,
        exception_address: 0,
        exception_information: [0; 2],
        irql: u32::from(irql()),
    })
}

enum Privileged {
    /// Without effect here: interrupts are always on in a process.
    Skip(i64),
    ReadIrql {
        register: usize,
        length: i64,
    },
    WriteIrql {
        register: usize,
        length: i64,
    },
    FastFail,
    Other,
}

/// Recognises an instruction that only the kernel may run. None for any other.
fn privileged(instruction: u64) -> Option<Privileged> {
    if !layout::DRIVERS.contains(instruction) {
        return None;
    }
    // SAFETY: the processor has just fetched the whole instruction from here: reading byte by byte up
    // to its end touches nothing that it did not.
    let byte = |at: u64| unsafe { *((instruction + at) as *const u8) };
    let (rex, at) = match byte(0) {
        rex @ 0x40..=0x4F => (rex, 1),
        _ => (0, 0),
    };
    Some(match byte(at) {
        // cli, sti, hlt
        0xFA | 0xFB | 0xF4 => Privileged::Skip(at as i64 + 1),
        0xCD if byte(at + 1) == 0x29 => Privileged::FastFail,
        0xE4..=0xE7 | 0xEC..=0xEF | 0x6C..=0x6F => Privileged::Other,
        0x0F => match byte(at + 1) {
            // wbinvd
            0x09 => Privileged::Skip(at as i64 + 2),
            code @ (0x20 | 0x22) => {
                let operands = byte(at + 2);
                let control = (operands >> 3) & 7 | (rex & 4) << 1;
                let register = usize::from(operands & 7 | (rex & 1) << 3);
                let length = at as i64 + 3;
                match (control, code) {
                    (8, 0x20) => Privileged::ReadIrql { register, length },
                    (8, _) => Privileged::WriteIrql { register, length },
                    _ => Privileged::Other,
                }
            }
            0x00 | 0x01 | 0x06 | 0x08 | 0x21 | 0x23 | 0x30 | 0x32 | 0x33 => Privileged::Other,
            _ => return None,
        },
        _ => return None,
    })
}

/// Writes the stop, tells PID 1, and stands still.
fn stop(record: &StopRecord) -> ! {
    let state = state();
    if state.shared.claim_stop() {
        state.shared.publish_stop(record);
        // SAFETY: one byte from a live buffer to our own pipe; a failure leaves PID 1 with the end of
        // this process as the sign.
        unsafe { libc::write(state.stop, [1_u8].as_ptr().cast(), 1) };
    }
    loop {
        // SAFETY: waits for a signal; PID 1 kills the process.
        unsafe { libc::pause() };
    }
}

/// The registers of code that called an export, as its thunk saved them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Caller {
    /// rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15 as before the call.
    pub(in super::super) general: [u64; 16],
    /// Where the call returns to.
    pub(in super::super) instruction: u64,
    /// Flags.
    pub(in super::super) flags: u64,
}

/// Raises a bug check on behalf of the code that called an export.
pub(in super::super) fn bug_check(code: u32, parameters: [u64; 4], caller: &Caller) -> ! {
    let (shown, _) = shown_instruction(caller.instruction);
    let mut registers = [0; 18];
    for (slot, value) in registers.iter_mut().zip(caller.general) {
        *slot = layout::to_kernel(value);
    }
    registers[16] = shown;
    registers[17] = caller.flags;
    stop(&StopRecord {
        code,
        cause: CAUSE_CALLED,
        parameters: parameters.map(layout::to_kernel),
        blamed: shown,
        registers,
        exception_code: 0,
        exception_parameters: 0,
        exception_address: 0,
        exception_information: [0; 2],
        irql: u32::from(irql()),
    })
}

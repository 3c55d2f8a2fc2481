//! Faults in the kernel process: the signal handler that turns one into a stop, and `KeBugCheckEx`.
//!
//! The handler allocates nothing and takes no lock. It reads the processor state from the signal's
//! context, runs the few privileged instructions that drivers carry inline, and otherwise writes the
//! stop and stands still until PID 1 kills the process.

#![expect(unsafe_code, reason = "signal handlers")]

use std::io;
use std::sync::OnceLock;

use super::super::layout;
use super::super::record::{CAUSE_CALLED, CAUSE_FAULT, CAUSE_LACK, CAUSE_SYSTEM, StopRecord};
use super::super::report::{Lack, MODEL_STOP_CODE};
use super::super::verdict::{self, Access, Fault, Trap};
use super::privileged::{self, Privileged};
use super::{handlers, irql, set_irql, shared_data, state, thread, watchdog};

const SIGNALS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, watchdog::SIGNAL];
const ALTERNATE_STACK: usize = 64 << 10;
const MAX_RANGES: usize = 64;
/// Exceptions of the processor, by number.
const DEBUG: u64 = 1;
const PAGE_FAULT: u64 = 14;
/// In the error code of a page fault: it was a write.
const PAGE_WRITE: u64 = 2;
/// Addresses below are null pointers with an offset.
const NULL_END: u64 = 0x1_0000;

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

/// The registers in the order of instructions' numbers, by their place in a signal's context.
pub(super) const GENERAL: [libc::c_int; 16] = [
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
    let at = |at: libc::c_int| registers[at as usize].cast_unsigned();
    let (trap_number, error) = (at(libc::REG_TRAPNO), at(libc::REG_ERR));
    if trap_number == DEBUG && shared_data::stepped(registers) {
        return;
    }
    if trap_number == PAGE_FAULT {
        // An instruction that was let run and faults all the same began at the documented address.
        let again = shared_data::stepped(registers);
        let address = registers[libc::REG_CR2 as usize].cast_unsigned();
        if error & PAGE_WRITE == 0 && shared_data::holds(address) {
            if !again && shared_data::redirect(registers) {
                return;
            }
            lack(registers, Lack::SharedData, address);
        }
    }
    let get = |at: libc::c_int| registers[at as usize].cast_unsigned();
    let instruction = get(libc::REG_RIP);
    let mut blamed = instruction;
    let trap = match trap_number {
        0 => Trap::Divide,
        // The processor reports the address after `int3`; Windows shows its own.
        3 => {
            blamed = instruction.wrapping_sub(1);
            Trap::Breakpoint
        }
        6 => Trap::Illegal,
        12 | 13 if let Some(offset) = unfilled(registers) => {
            lack(registers, Lack::Structure, offset)
        }
        12 => Trap::NonCanonical,
        13 => match privileged::read(instruction) {
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
            Some(Privileged::ReadPort { size, length }) => {
                let rax = &mut registers[libc::REG_RAX as usize];
                // What a bus gives where nothing answers.
                *rax |= match size {
                    1 => 0xFF,
                    2 => 0xFFFF,
                    _ => 0xFFFF_FFFF,
                };
                if size == 4 {
                    *rax &= 0xFFFF_FFFF;
                }
                registers[libc::REG_RIP as usize] += length;
                return;
            }
            Some(Privileged::FastFail) => Trap::FastFail { reason: get(libc::REG_RCX) },
            Some(Privileged::Other { bytes }) => lack(registers, Lack::Instruction, bytes),
            None => Trap::NonCanonical,
        },
        PAGE_FAULT => {
            // The model has the shared user data only at the lower address.
            let address = match get(libc::REG_CR2) {
                own if shared_data::holds(own) => layout::to_native(own),
                own => own,
            };
            let access = if error & 0x10 != 0 || address == instruction {
                if address < NULL_END && thread::asked_in_vain() {
                    // Who called is to be named; the call has put where it returns to on the stack.
                    let stack = get(libc::REG_RSP);
                    if layout::STACKS.contains(stack) {
                        // SAFETY: the processor has just written it there.
                        let caller = unsafe { *(stack as *const i64) };
                        registers[libc::REG_RIP as usize] = caller;
                    }
                    lack(registers, Lack::Routine, 0);
                }
                Access::Execute
            } else if error & PAGE_WRITE != 0 {
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
    if verdict.code == verdict::EXCEPTION_NOT_HANDLED && handlers::may_catch(blamed) {
        lack(registers, Lack::Exception, 0);
    }
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

/// A register that holds a mark of a field that the model does not fill, and the field's offset.
fn unfilled(registers: &[i64; 23]) -> Option<u64> {
    GENERAL.iter().find_map(|at| thread::unfilled(registers[*at as usize].cast_unsigned()))
}

/// Stops the model: the interrupted code needs what it has not, and nothing follows for that code.
fn lack(registers: &[i64; 23], what: Lack, detail: u64) -> ! {
    let (shown, _) = shown_instruction(registers[libc::REG_RIP as usize].cast_unsigned());
    let parameters = [what as u64, shown, detail, 0];
    stop_interrupted(registers, MODEL_STOP_CODE, CAUSE_LACK, parameters)
}

/// Stops the system on behalf of the clock: the interrupted thread is to blame.
fn watchdog_stop(registers: &[i64; 23], parameters: [u64; 4]) -> ! {
    stop_interrupted(registers, watchdog::STOP_CODE, CAUSE_SYSTEM, parameters)
}

/// Stops at the interrupted instruction, with the registers as they are there, for what is no exception.
fn stop_interrupted(registers: &[i64; 23], code: u32, cause: u32, parameters: [u64; 4]) -> ! {
    let get = |at: libc::c_int| registers[at as usize].cast_unsigned();
    let (shown, _) = shown_instruction(get(libc::REG_RIP));
    let mut shown_registers = [0; 18];
    for (slot, at) in shown_registers.iter_mut().zip(GENERAL) {
        *slot = layout::to_kernel(get(at));
    }
    shown_registers[16] = shown;
    shown_registers[17] = get(libc::REG_EFL) & 0xFFFF_FFFF;
    stop(&StopRecord {
        code,
        cause,
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
    stop_called(caller, code, CAUSE_CALLED, parameters.map(layout::to_kernel))
}

/// Stops the model on behalf of the code that called an export, which needs what it has not.
pub(in super::super) fn stop_lacking(caller: &Caller, what: Lack, detail: u64) -> ! {
    let (shown, _) = shown_instruction(caller.instruction);
    stop_called(caller, MODEL_STOP_CODE, CAUSE_LACK, [what as u64, shown, detail, 0])
}

/// Stops where an export was called, with the registers of the caller.
fn stop_called(caller: &Caller, code: u32, cause: u32, parameters: [u64; 4]) -> ! {
    let (shown, _) = shown_instruction(caller.instruction);
    let mut registers = [0; 18];
    for (slot, value) in registers.iter_mut().zip(caller.general) {
        *slot = layout::to_kernel(value);
    }
    registers[16] = shown;
    registers[17] = caller.flags;
    stop(&StopRecord {
        code,
        cause,
        parameters,
        blamed: shown,
        registers,
        exception_code: 0,
        exception_parameters: 0,
        exception_address: 0,
        exception_information: [0; 2],
        irql: u32::from(irql()),
    })
}

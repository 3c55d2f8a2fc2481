//! From a processor fault to the bug check that Windows would raise. Pure, and free of allocation: it
//! runs in a signal handler.
//!
//! | fault | at IRQL below 2 | at IRQL 2 and above | source |
//! |---|---|---|---|
//! | access to a canonical upper-half address, or to the model's own kernel regions | 0x50 (address, 0 read / 2 write / 0x10 execute, instruction, 2) | 0xD1, in `ntoskrnl.exe` 0xA | [0x50], [0xD1], [0xA] |
//! | write to a read-only page of an image | 0xBE (address, 0, 0, 0) | 0xBE | [0xBE] |
//! | execution of a page that is data | 0xFC (address, 0, 0, 0) | 0xFC | [0xFC] |
//! | access to a lower-half address (null and above) | 0x7E (0xC0000005, instruction, exception record, context record) | 0xD1, in `ntoskrnl.exe` 0xA | [0x7E], [0xD1] |
//! | a non-canonical address (general protection) | 0x7E (0xC0000005, …), exception information 0 and -1 | 0x1E | [0x7E], [0x1E] |
//! | division by zero | 0x7E (0xC0000094, …) | 0x1E | [0x7E], [0x1E] |
//! | illegal instruction | 0x7E (0xC000001D, …) | 0x1E | as above |
//! | breakpoint without a debugger | 0x7E (0x80000003, …) | 0x1E | as above |
//! | `int 29h` (`__fastfail`) | 0x139 (rcx, 0, exception record, 0) | 0x139 | [0x139] |
//! | the guard page of a kernel stack | 0x7F (8, 0, 0, 0) | 0x7F | [0x7F] |
//!
//! Sources: the pages of Microsoft's "Bug Check Code Reference" for each code. That a driver's thread
//! (and `DriverEntry`, which runs in one) ends in 0x7E and a DPC in 0x1E follows from who handles the
//! exception: a system thread's own handler, or nobody. Every page fault above DISPATCH_LEVEL is an
//! IRQL bug check, whether the address is valid or not. All the model's system threads run in the
//! System process, so 0x3B (a system service on behalf of a user thread) does not arise.
//!
//! Page-table entries (second parameter of 0xBE and 0xFC) are not modelled and given as zero.

use super::layout;

/// What the processor did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// Page fault (14).
    Page {
        /// CR2, as code used it.
        address: u64,
        /// What was tried.
        access: Access,
        /// The page was there but did not allow it.
        protection: bool,
    },
    /// General protection (13) or stack fault (12) by a non-canonical address.
    NonCanonical,
    /// Division by zero or overflow of a quotient (0).
    Divide,
    /// Undefined instruction (6).
    Illegal,
    /// `int3` (3).
    Breakpoint,
    /// `int 29h`.
    FastFail {
        /// RCX: the reason.
        reason: u64,
    },
    /// Floating-point exception (16, 19).
    Float,
}

/// The kind of a memory access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Instruction fetch.
    Execute,
}

/// A fault with its circumstances. Addresses are as code uses them.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// What happened.
    pub trap: Trap,
    /// The instruction, already as shown (see [`layout::to_kernel`]).
    pub instruction: u64,
    /// The instruction lies in the model's `ntoskrnl.exe`.
    pub in_kernel: bool,
    /// IRQL at that moment.
    pub irql: u8,
}

/// The bug check for a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Stop code.
    pub code: u32,
    /// Parameters, as shown.
    pub parameters: [u64; 4],
    /// Exception code, for the exception record.
    pub exception: u32,
    /// `ExceptionInformation`, as shown.
    pub information: [u64; 2],
    /// How many of them count.
    pub information_count: u32,
}

/// `SYSTEM_THREAD_EXCEPTION_NOT_HANDLED`: one that a driver could have caught.
pub const EXCEPTION_NOT_HANDLED: u32 = 0x7E;
const DISPATCH_LEVEL: u8 = 2;
const ACCESS_VIOLATION: u32 = 0xC000_0005;

impl Access {
    /// Parameter 2 of 0x50 on x64 since Windows 10 1507.
    fn page_fault(self) -> u64 {
        match self {
            Self::Read => 0,
            Self::Write => 2,
            Self::Execute => 0x10,
        }
    }

    /// Parameter 3 of 0xD1 and 0xA, and `ExceptionInformation[0]`.
    fn plain(self) -> u64 {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::Execute => 8,
        }
    }
}

/// Decides the bug check for a fault.
pub fn decide(fault: &Fault) -> Verdict {
    match fault.trap {
        Trap::Page { address, access, protection } => page(fault, address, access, protection),
        Trap::NonCanonical => unhandled(fault, ACCESS_VIOLATION, [0, u64::MAX], 2),
        Trap::Divide => unhandled(fault, 0xC000_0094, [0; 2], 0),
        Trap::Illegal => unhandled(fault, 0xC000_001D, [0; 2], 0),
        Trap::Breakpoint => unhandled(fault, 0x8000_0003, [0; 2], 1),
        Trap::Float => unhandled(fault, 0xC000_0090, [0; 2], 0),
        Trap::FastFail { reason } => Verdict {
            code: 0x139,
            parameters: [reason, 0, layout::EXCEPTION_RECORD, 0],
            exception: 0xC000_0409,
            information: [reason, 0],
            information_count: 1,
        },
    }
}

fn page(fault: &Fault, address: u64, access: Access, protection: bool) -> Verdict {
    let shown = layout::to_kernel(address);
    let with = |code, parameters| Verdict {
        code,
        parameters,
        exception: ACCESS_VIOLATION,
        information: [access.plain(), shown],
        information_count: 2,
    };
    let region = layout::region_of(address);
    if region == Some(layout::STACKS)
        && (address - layout::STACKS.base) % layout::STACK_SLOT < layout::STACK_GUARD
    {
        return with(0x7F, [8, 0, 0, 0]);
    }
    if protection && region.is_some() {
        match access {
            Access::Execute => return with(0xFC, [shown, 0, 0, 0]),
            Access::Write => return with(0xBE, [shown, 0, 0, 0]),
            Access::Read => {}
        }
    }
    if fault.irql >= DISPATCH_LEVEL {
        let code = if fault.in_kernel { 0x0A } else { 0xD1 };
        return with(code, [shown, u64::from(fault.irql), access.plain(), fault.instruction]);
    }
    if region.is_some() || layout::is_upper_half(address) {
        return with(0x50, [shown, access.page_fault(), fault.instruction, 2]);
    }
    unhandled(fault, ACCESS_VIOLATION, [access.plain(), shown], 2)
}

fn unhandled(fault: &Fault, exception: u32, information: [u64; 2], count: u32) -> Verdict {
    let status = sign_extended(exception);
    let (code, parameters) = if fault.irql >= DISPATCH_LEVEL {
        (0x1E, [status, fault.instruction, information[0], information[1]])
    } else {
        let records = [layout::EXCEPTION_RECORD, layout::CONTEXT_RECORD];
        (EXCEPTION_NOT_HANDLED, [status, fault.instruction, records[0], records[1]])
    };
    Verdict { code, parameters, exception, information, information_count: count }
}

/// NTSTATUS values appear sign-extended in the parameters (`ffffffff`c0000005`).
fn sign_extended(status: u32) -> u64 {
    i64::from(status.cast_signed()).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIP: u64 = 0xFFFF_F800_2000_1010;

    fn at(trap: Trap, irql: u8) -> Verdict {
        decide(&Fault { trap, instruction: RIP, in_kernel: false, irql })
    }

    fn read(address: u64) -> Trap {
        Trap::Page { address, access: Access::Read, protection: false }
    }

    #[test]
    fn the_table_holds() {
        let wild = 0xFFFF_8405_0000_0074;
        let v = at(read(wild), 0);
        assert_eq!((v.code, v.parameters), (0x50, [wild, 0, RIP, 2]));
        let write = Trap::Page { address: wild, access: Access::Write, protection: true };
        assert_eq!(at(write, 0).parameters, [wild, 2, RIP, 2]);
        let execute = Trap::Page { address: wild, access: Access::Execute, protection: true };
        assert_eq!(at(execute, 0).parameters[1], 0x10);

        let v = at(read(0x9C), 0);
        assert_eq!(v.code, 0x7E);
        assert_eq!(v.parameters[0], 0xFFFF_FFFF_C000_0005);
        assert_eq!(v.parameters[1], RIP);
        assert_eq!(v.information, [0, 0x9C]);

        assert_eq!(at(read(0), 2).parameters, [0, 2, 0, RIP]);
        assert_eq!(at(read(wild), 2).code, 0xD1);
        let own = decide(&Fault { trap: read(wild), instruction: RIP, in_kernel: true, irql: 2 });
        assert_eq!(own.code, 0x0A);

        assert_eq!(at(Trap::NonCanonical, 0).information, [0, u64::MAX]);
        assert_eq!(at(Trap::Divide, 0).parameters[0], 0xFFFF_FFFF_C000_0094);
        assert_eq!(at(Trap::Divide, 2).code, 0x1E);
        assert_eq!(at(Trap::FastFail { reason: 3 }, 0).parameters[0], 3);
    }

    #[test]
    fn the_models_own_memory_counts_as_kernel_memory() {
        let hole = layout::NONPAGED_POOL.base + 0x10_0000;
        assert_eq!(at(read(hole), 0).code, 0x50);
        assert_eq!(at(read(hole), 0).parameters[0], layout::to_kernel(hole));
        let guard = layout::STACKS.base + 3 * layout::STACK_SLOT + 8;
        assert_eq!(at(read(guard), 0).code, 0x7F);
        let code = layout::DRIVERS.base + 0x1000;
        let write = Trap::Page { address: code, access: Access::Write, protection: true };
        assert_eq!(at(write, 0).code, 0xBE);
        let run = Trap::Page { address: hole, access: Access::Execute, protection: true };
        assert_eq!(at(run, 0).code, 0xFC);
    }
}

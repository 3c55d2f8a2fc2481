//! A stop, as the kernel process reports it to PID 1.

use serde::{Deserialize, Serialize};

use super::NtStatus;
use super::exports::reserved;

/// A bug-check code with its four parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BugCheck {
    /// For example 0x50.
    pub code: u32,
    /// The four parameters.
    pub parameters: [u64; 4],
}

/// How the load of a driver ended without a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverOutcome {
    /// The status of the load, or what `DriverEntry` returned.
    pub status: NtStatus,
    /// True where `DriverEntry` was entered. Where it then failed, the driver is unloaded again.
    pub entered: bool,
    /// Why the image was refused, for the log, for example the import that is missing.
    pub reason: Option<String>,
    /// What the driver needs and the model has not, in words, where that is or may be why it does not run.
    pub lack: Option<String>,
}

/// A module of the loaded-module list. Addresses are kernel addresses (see [`super::layout`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// File name, for example `csagent.sys`.
    pub name: String,
    /// NT path, for example `\SystemRoot\System32\drivers\csagent.sys`.
    pub path: String,
    /// Kernel address of the first byte.
    pub base: u64,
    /// Bytes.
    pub size: u32,
    /// Kernel address of the entry point.
    pub entry: u64,
    /// `CheckSum` of the image's optional header.
    pub checksum: u32,
    /// `TimeDateStamp` of the image's file header.
    pub timestamp: u32,
}

/// The processor state at a stop. Addresses of the model's own regions are shown as kernel addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the processor's")]
pub struct Registers {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub eflags: u32,
}

/// The exception behind a stop, as an `EXCEPTION_RECORD64` would hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// NTSTATUS, for example 0xC0000005.
    pub code: u32,
    /// Kernel address of the instruction.
    pub address: u64,
    /// `ExceptionInformation`: for an access violation 0 read, 1 write, 8 execute, and the address.
    pub information: [u64; 2],
    /// How many of them count.
    pub parameters: u32,
}

/// Who raised the stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopCause {
    /// A processor fault in code that a driver ran.
    Fault,
    /// A driver called `KeBugCheck` or `KeBugCheckEx`.
    Called,
    /// The system itself (PID 1): `INACCESSIBLE_BOOT_DEVICE`, `CRITICAL_PROCESS_DIED` and so on.
    System,
    /// The model's kernel process died in a way that Windows does not know, or code needs what the model has not
    /// ([`Lack`]). A defect of the understudy or a driver that destroyed it; never a claim about Windows.
    Model,
}

/// What code needed and the model has not, as the first parameter of a stop of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// An instruction of the processor's most privileged level; its first bytes are parameter 3.
    Instruction = 1,
    /// A field of a structure of the kernel; its offset is parameter 3.
    Structure = 2,
    /// A part of the shared user data that the instruction cannot be given.
    SharedData = 3,
    /// A function that was asked for by its name when the driver ran.
    Routine = 4,
    /// A function that it has by name only; its number is parameter 3.
    Function = 5,
    /// An exception that the driver may catch.
    Exception = 6,
}

/// Everything that PID 1 needs to stop the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopReport {
    /// Code and parameters.
    pub bug_check: BugCheck,
    /// Who raised it.
    pub cause: StopCause,
    /// File name of the module that holds the faulting instruction ("What failed"), where one does.
    pub module: Option<String>,
    /// Loaded modules, `ntoskrnl.exe` first, in load order.
    pub modules: Vec<Module>,
    /// The processor state.
    pub registers: Registers,
    /// The exception, where the stop comes from one.
    pub exception: Option<Exception>,
    /// The IRQL at that moment.
    pub irql: u8,
}

/// Stop code of [`StopCause::Model`]; not a Windows code ("LOOP").
pub const MODEL_STOP_CODE: u32 = 0x4C4F_4F50;

impl StopReport {
    /// A stop that the system raises by itself, without a fault: the processor state is empty.
    pub fn raised(code: u32, parameters: [u64; 4], modules: Vec<Module>) -> Self {
        Self {
            bug_check: BugCheck { code, parameters },
            cause: StopCause::System,
            module: None,
            modules,
            registers: Registers::default(),
            exception: None,
            irql: 0,
        }
    }

    /// What the model lacked, in words, where that is why it stopped.
    pub fn lack(&self) -> Option<String> {
        if self.bug_check.code != MODEL_STOP_CODE {
            return None;
        }
        let [kind, _, detail, _] = self.bug_check.parameters;
        Some(match kind {
            kind if kind == Lack::Instruction as u64 => {
                let bytes = detail.to_le_bytes().map(|byte| format!("{byte:02X}"));
                format!(
                    "an instruction that only a real processor's kernel runs ({})",
                    bytes.join(" ")
                )
            }
            kind if kind == Lack::Structure as u64 => {
                format!("the field at 0x{detail:X} of a structure of the kernel")
            }
            kind if kind == Lack::SharedData as u64 => "the shared user data".to_owned(),
            kind if kind == Lack::Routine as u64 => {
                "a function that it asked for by its name".to_owned()
            }
            kind if kind == Lack::Function as u64 => {
                let name = usize::try_from(detail).ok().and_then(|at| reserved::NAMES.get(at));
                format!("the function {}", name.unwrap_or(&"of an unknown number"))
            }
            kind if kind == Lack::Exception as u64 => {
                "structured exceptions: one was raised that it may catch".to_owned()
            }
            _ => "a kernel that survives it: its process died".to_owned(),
        })
    }

    /// The name shown on the stop screen, or the code in hex where no name is known.
    pub fn name(&self) -> String {
        match winfmt::bugcheck::name(self.bug_check.code) {
            Some(name) => name.to_owned(),
            None if self.bug_check.code == MODEL_STOP_CODE => "UNDERSTUDY_CANNOT_GO_ON".to_owned(),
            None => format!("0x{:08X}", self.bug_check.code),
        }
    }
}

//! The exports of the model's `ntoskrnl.exe`, in the x64 Windows calling convention.
//!
//! Each submodule holds one family and lists it in its `table`. The caller is a driver: it vouches for
//! its pointers exactly as it does towards Windows, and a wrong one faults here and becomes the stop
//! that Windows would make of it.

pub(super) mod clock;
mod devices;
mod files;
mod hardware;
mod memory;
mod misc;
mod print;
mod processes;
mod registry;
pub(super) mod reserved;
mod strings;
pub(super) mod sync;
mod threads;

/// A function that drivers can import.
pub(super) type Export = (&'static str, usize);

/// All functions, each name once.
pub(super) fn functions() -> Vec<Export> {
    [
        devices::table(),
        files::table(),
        hardware::table(),
        memory::table(),
        misc::table(),
        print::table(),
        processes::table(),
        registry::table(),
        strings::table(),
        sync::table(),
        threads::table(),
    ]
    .concat()
}

/// Exported variables with their values.
pub(super) fn variables(system_process: u64, unfilled: u64) -> Vec<(&'static str, u64)> {
    vec![
        ("InitSafeBootMode", 0),
        ("KdDebuggerEnabled", 0),
        ("KdDebuggerNotPresent", 1),
        // 26100, free build.
        ("NtBuildNumber", 0xF000_65F4),
        ("PsInitialSystemProcess", system_process),
        ("MmHighestUserAddress", 0x7FFF_FFFE_FFFF),
        ("MmSystemRangeStart", 0xFFFF_8000_0000_0000),
        ("MmUserProbeAddress", 0x7FFF_FFFF_0000),
        ("IoFileObjectType", 0),
        ("ExEventObjectType", 0),
        ("PsThreadType", 0),
        ("PsProcessType", 0),
        ("PsJobType", 0),
        ("IoDriverObjectType", 0),
        ("IoDeviceObjectType", 0),
        ("SeTokenObjectType", 0),
        ("ExSemaphoreObjectType", 0),
        // A structure of well-known identifiers and privileges, none of which is filled in.
        ("SeExports", unfilled),
        ("KeNumberProcessors", 1),
    ]
}

/// `name => function` pairs as a table.
macro_rules! exports {
    ($($name:ident => $function:expr),* $(,)?) => {
        pub(super) fn table() -> Vec<super::Export> {
            vec![$((stringify!($name), $function as *const () as usize)),*]
        }
    };
}
use exports;

/// Defines a symbol that saves the caller's registers as a [`super::child::Caller`] and hands them to
/// a function, for exports that may stop the system in their caller's name.
macro_rules! with_caller {
    ($symbol:literal, $function:ident) => {
        std::arch::global_asm!(
            concat!(".globl ", $symbol),
            concat!($symbol, ":"),
            "sub rsp, 0xB8",
            "mov [rsp+0x20], rax",
            "mov [rsp+0x28], rcx",
            "mov [rsp+0x30], rdx",
            "mov [rsp+0x38], rbx",
            "lea rax, [rsp+0xC0]",
            "mov [rsp+0x40], rax",
            "mov [rsp+0x48], rbp",
            "mov [rsp+0x50], rsi",
            "mov [rsp+0x58], rdi",
            "mov [rsp+0x60], r8",
            "mov [rsp+0x68], r9",
            "mov [rsp+0x70], r10",
            "mov [rsp+0x78], r11",
            "mov [rsp+0x80], r12",
            "mov [rsp+0x88], r13",
            "mov [rsp+0x90], r14",
            "mov [rsp+0x98], r15",
            "mov rax, [rsp+0xB8]",
            "mov [rsp+0xA0], rax",
            "pushfq",
            "pop rax",
            "mov [rsp+0xA8], rax",
            // The fifth argument.
            "mov rdx, [rsp+0xE0]",
            "lea rcx, [rsp+0x20]",
            "call {}",
            "add rsp, 0xB8",
            "ret",
            sym $function,
        );
    };
}
use with_caller;

/// Defines a symbol that spills its arguments to the home space and hands a pointer to all of them to
/// a function: how variadic functions work in this calling convention.
macro_rules! variadic {
    ($symbol:literal, $function:ident) => {
        std::arch::global_asm!(
            concat!(".globl ", $symbol),
            concat!($symbol, ":"),
            "mov [rsp+0x08], rcx",
            "mov [rsp+0x10], rdx",
            "mov [rsp+0x18], r8",
            "mov [rsp+0x20], r9",
            "lea rcx, [rsp+0x08]",
            "sub rsp, 0x28",
            "call {}",
            "add rsp, 0x28",
            "ret",
            sym $function,
        );
    };
}
use variadic;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn no_export_is_listed_twice() {
        let mut seen = HashSet::new();
        let variables = super::variables(0, 0);
        let names = super::functions().into_iter().map(|(name, _)| name);
        let names = names.chain(super::reserved::NAMES);
        for name in names.chain(variables.into_iter().map(|(name, _)| name)) {
            assert!(seen.insert(name), "{name}");
        }
        assert!(seen.len() > 150, "{}", seen.len());
    }
}

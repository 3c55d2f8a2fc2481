//! Processes, threads and processors, of which the model has one: the System process on one processor.

#![expect(unsafe_code, reason = "reads and writes what a driver points to")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "every function here trusts its caller's pointers alike"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::NtStatus;
use super::super::child::system_process;
use super::exports;

/// The id of the System process.
const SYSTEM: u64 = 4;

exports! {
    PsLookupProcessByProcessId => lookup_process,
    PsLookupThreadByThreadId => lookup_thread,
    PsSetCreateProcessNotifyRoutine => notify,
    PsSetCreateProcessNotifyRoutineEx => notify,
    PsSetCreateThreadNotifyRoutine => notify,
    PsRemoveCreateThreadNotifyRoutine => notify,
    PsSetLoadImageNotifyRoutine => notify,
    PsRemoveLoadImageNotifyRoutine => notify,
    IoThreadToProcess => thread_to_process,
    PsGetThreadProcess => thread_to_process,
    IoIs32bitProcess => is_32_bit,
    IoIsWdmVersionAvailable => is_wdm_version,
    KeQueryActiveProcessors => active_processors,
    KeSetSystemAffinityThread => set_affinity,
    KeRevertToUserAffinityThread => nothing,
    KeSetTargetProcessorDpc => nothing,
    KeSetImportanceDpc => nothing,
    ExInitializeRundownProtection => initialize_rundown,
    ExAcquireRundownProtection => acquire_rundown,
    ExReleaseRundownProtection => release_rundown,
    tolower => to_lower,
    toupper => to_upper,
}

unsafe extern "win64" fn lookup_process(id: u64, to: *mut u64) -> u32 {
    if id != SYSTEM {
        return NtStatus::INVALID_CID.0;
    }
    *to = system_process();
    0
}

/// Threads have no ids here.
unsafe extern "win64" fn lookup_thread(_id: u64, _to: *mut u64) -> u32 {
    NtStatus::INVALID_CID.0
}

/// Taken; but there is never anything to tell, for nothing starts or ends.
unsafe extern "win64" fn notify() -> u32 {
    0
}

unsafe extern "win64" fn thread_to_process(_thread: u64) -> u64 {
    system_process()
}

unsafe extern "win64" fn is_32_bit(_irp: u64) -> u8 {
    0
}

/// Windows 11 tells of WDM 6.0 and all before.
unsafe extern "win64" fn is_wdm_version(major: u8, minor: u8) -> u8 {
    u8::from(major < 6 || (major == 6 && minor == 0))
}

unsafe extern "win64" fn active_processors() -> u64 {
    1
}

unsafe extern "win64" fn set_affinity(_processors: u64) {}

unsafe extern "win64" fn nothing() {}

/// `EX_RUNDOWN_REF`: twice the number of holders; the lowest bit says that the end has begun.
unsafe extern "win64" fn initialize_rundown(reference: *const AtomicU64) {
    (*reference).store(0, Ordering::Release);
}

unsafe extern "win64" fn acquire_rundown(reference: *const AtomicU64) -> u8 {
    let add = |count: u64| (count & 1 == 0).then_some(count + 2);
    u8::from((*reference).fetch_update(Ordering::AcqRel, Ordering::Acquire, add).is_ok())
}

unsafe extern "win64" fn release_rundown(reference: *const AtomicU64) {
    (*reference).fetch_sub(2, Ordering::AcqRel);
}

unsafe extern "win64" fn to_lower(c: i32) -> i32 {
    if (0x41..=0x5A).contains(&c) { c + 0x20 } else { c }
}

unsafe extern "win64" fn to_upper(c: i32) -> i32 {
    if (0x61..=0x7A).contains(&c) { c - 0x20 } else { c }
}

//! System threads and the processor's state as drivers see it.

#![expect(unsafe_code, reason = "reads and writes what a driver points to")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "every function here trusts its caller's pointers alike"
)]

use super::super::NtStatus;
use super::super::child::{
    Object, current_thread, enter, irql, leave, objects, set_irql, spawn, system_process,
};
use super::super::types::ObjectAttributes;
use super::{exports, sync};

exports! {
    PsCreateSystemThread => create_thread,
    PsTerminateSystemThread => terminate_thread,
    PsGetCurrentThread => current,
    KeGetCurrentThread => current,
    PsGetCurrentThreadId => current_thread_id,
    PsGetCurrentProcess => process,
    PsGetCurrentProcessId => process_id,
    PsGetProcessId => id_of_process,
    PsIsSystemThread => is_system_thread,
    KeSetPriorityThread => set_priority,
    KeGetCurrentIrql => get_irql,
    KfRaiseIrql => raise_irql,
    KeRaiseIrql => raise_irql_at,
    KeRaiseIrqlToDpcLevel => raise_to_dispatch,
    KeLowerIrql => lower_irql,
    KeGetCurrentProcessorNumber => processor,
    KeGetCurrentProcessorNumberEx => processor,
    KeQueryActiveProcessorCount => processors,
    KeQueryActiveProcessorCountEx => processors,
    ObReferenceObjectByHandle => reference_by_handle,
    ObOpenObjectByPointer => open_by_pointer,
}

type Status = u32;
/// Id of the System process.
const SYSTEM: u64 = 4;
const DISPATCH_LEVEL: u8 = 2;

unsafe extern "win64" fn create_thread(
    handle: *mut u64,
    _access: u32,
    _attributes: *const ObjectAttributes,
    _process: u64,
    client: *mut [u64; 2],
    routine: u64,
    context: u64,
) -> Status {
    let started = spawn(Box::new(move || {
        enter(routine, context, 0);
    }));
    let Some(thread) = started else { return NtStatus::INSUFFICIENT_RESOURCES.0 };
    *handle = objects().add(Object::Dispatcher(thread));
    if !client.is_null() {
        *client = [SYSTEM, thread_id(thread)];
    }
    0
}

/// Thread ids are multiples of four; the address of the thread gives a unique one.
fn thread_id(thread: u64) -> u64 {
    (thread >> 8) & 0xFFFF_FFFC
}

unsafe extern "win64" fn terminate_thread(_status: u32) -> Status {
    if current_thread() == 0 {
        return NtStatus::INVALID_PARAMETER.0;
    }
    leave()
}

unsafe extern "win64" fn current() -> u64 {
    current_thread()
}

unsafe extern "win64" fn current_thread_id() -> u64 {
    thread_id(current_thread())
}

unsafe extern "win64" fn process() -> u64 {
    system_process()
}

unsafe extern "win64" fn process_id() -> u64 {
    SYSTEM
}

unsafe extern "win64" fn id_of_process(process: u64) -> u64 {
    if process == system_process() { SYSTEM } else { 0 }
}

unsafe extern "win64" fn is_system_thread(_thread: u64) -> u8 {
    1
}

/// Priorities are not modelled; the default is what a system thread has.
unsafe extern "win64" fn set_priority(_thread: u64, _priority: i32) -> i32 {
    8
}

unsafe extern "win64" fn get_irql() -> u8 {
    irql()
}

unsafe extern "win64" fn raise_irql(new: u8) -> u8 {
    set_irql(new)
}

unsafe extern "win64" fn raise_irql_at(new: u8, old: *mut u8) {
    *old = set_irql(new);
}

unsafe extern "win64" fn raise_to_dispatch() -> u8 {
    set_irql(DISPATCH_LEVEL)
}

unsafe extern "win64" fn lower_irql(new: u8) {
    set_irql(new);
}

/// One processor.
unsafe extern "win64" fn processor() -> u32 {
    0
}

unsafe extern "win64" fn processors() -> u32 {
    1
}

unsafe extern "win64" fn reference_by_handle(
    handle: u64,
    _access: u32,
    _kind: u64,
    _mode: u8,
    object: *mut u64,
    _information: u64,
) -> Status {
    // NtCurrentThread, NtCurrentProcess
    let found = match handle.cast_signed() {
        -2 => Ok(current_thread()),
        -1 => Ok(system_process()),
        _ => sync::object_of(handle),
    };
    match found {
        Ok(address) => {
            *object = address;
            0
        }
        Err(status) => status.0,
    }
}

unsafe extern "win64" fn open_by_pointer(
    object: u64,
    _attributes: u32,
    _state: u64,
    _access: u32,
    _kind: u64,
    _mode: u8,
    handle: *mut u64,
) -> Status {
    *handle = objects().add(Object::Dispatcher(object));
    0
}

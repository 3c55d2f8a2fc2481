//! Device objects and symbolic links.
//!
//! Nothing in the model opens a device: there are no user processes. Devices exist so that drivers
//! that make one work, and so that names collide as they would.

#![expect(unsafe_code, reason = "reads and writes what a driver points to")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "every function here trusts its caller's pointers alike"
)]

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use super::super::NtStatus;
use super::super::child::{PoolKind, lock, pool};
use super::super::types::{DeviceObject, DriverObject, UnicodeString};
use super::exports;
use super::print::counted_wide;

const TAG: u32 = u32::from_le_bytes(*b"Devi");

exports! {
    IoCreateDevice => create_device,
    IoCreateDeviceSecure => create_device_secure,
    WdmlibIoCreateDeviceSecure => create_device_secure,
    IoDeleteDevice => delete_device,
    IoCreateSymbolicLink => create_link,
    IoCreateUnprotectedSymbolicLink => create_link,
    IoDeleteSymbolicLink => delete_link,
    IofCompleteRequest => complete_request,
    IoCompleteRequest => complete_request,
    IopInvalidDeviceRequest => invalid_request,
    IoRegisterShutdownNotification => register,
    IoUnregisterShutdownNotification => unregister,
    IoGetCurrentProcess => current_process,
    ObReferenceObject => reference,
    ObfReferenceObject => reference,
    ObDereferenceObject => dereference,
    ObfDereferenceObject => dereference,
}

type Status = u32;

/// Names in `\Device`, `\DosDevices` and so on, in lower case, with what they stand for.
static NAMES: LazyLock<Mutex<HashMap<String, u64>>> = LazyLock::new(Mutex::default);

fn key(name: &str) -> String {
    let name = name.to_lowercase();
    // `\DosDevices` is a link to `\??`.
    match name.strip_prefix(r"\dosdevices\") {
        Some(rest) => format!(r"\??\{rest}"),
        None => name,
    }
}

unsafe extern "win64" fn create_device(
    driver: *mut DriverObject,
    extension_size: u32,
    name: *const UnicodeString,
    kind: u32,
    characteristics: u32,
    exclusive: u8,
    device: *mut *mut DeviceObject,
) -> Status {
    let own = size_of::<DeviceObject>() as u64;
    let total = own + u64::from(extension_size);
    let Some(address) = pool().allocate(total, TAG, PoolKind::NonPaged) else {
        return NtStatus::INSUFFICIENT_RESOURCES.0;
    };
    if !name.is_null() {
        let name = counted_wide(name);
        let mut names = lock(&NAMES);
        if names.contains_key(&key(&name)) {
            drop(names);
            return release(address, NtStatus::OBJECT_NAME_COLLISION);
        }
        names.insert(key(&name), address);
    }
    std::ptr::write_bytes(address as *mut u8, 0, total as usize);
    let object = address as *mut DeviceObject;
    (*object).kind = 3;
    (*object).size = total as u16;
    (*object).driver_object = driver;
    (*object).next_device = (*driver).device_object;
    // DO_DEVICE_INITIALIZING, DO_EXCLUSIVE
    (*object).flags = 0x80 | if exclusive != 0 { 8 } else { 0 };
    (*object).characteristics = characteristics;
    (*object).device_extension = if extension_size == 0 { 0 } else { address + own };
    (*object).device_type = kind;
    (*object).stack_size = 1;
    (*driver).device_object = object;
    *device = object;
    0
}

fn release(address: u64, status: NtStatus) -> Status {
    // Just allocated, so it can be freed.
    let _ = pool().free(address, None);
    status.0
}

unsafe extern "win64" fn create_device_secure(
    driver: *mut DriverObject,
    extension_size: u32,
    name: *const UnicodeString,
    kind: u32,
    characteristics: u32,
    exclusive: u8,
    _security: *const UnicodeString,
    _class: u64,
    device: *mut *mut DeviceObject,
) -> Status {
    create_device(driver, extension_size, name, kind, characteristics, exclusive, device)
}

unsafe extern "win64" fn delete_device(device: *mut DeviceObject) {
    let driver = (*device).driver_object;
    let mut link = &raw mut (*driver).device_object;
    while !(*link).is_null() {
        if *link == device {
            *link = (*device).next_device;
            break;
        }
        link = &raw mut (**link).next_device;
    }
    lock(&NAMES).retain(|_, address| *address != device as u64);
    release(device as u64, NtStatus::SUCCESS);
}

unsafe extern "win64" fn create_link(
    link: *const UnicodeString,
    target: *const UnicodeString,
) -> Status {
    let (link, target) = (counted_wide(link), counted_wide(target));
    let mut names = lock(&NAMES);
    if names.contains_key(&key(&link)) {
        return NtStatus::OBJECT_NAME_COLLISION.0;
    }
    let address = names.get(&key(&target)).copied().unwrap_or(0);
    names.insert(key(&link), address);
    0
}

unsafe extern "win64" fn delete_link(link: *const UnicodeString) -> Status {
    match lock(&NAMES).remove(&key(&counted_wide(link))) {
        Some(_) => 0,
        None => NtStatus::OBJECT_NAME_NOT_FOUND.0,
    }
}

/// No request ever reaches a driver here, so there is none to complete.
unsafe extern "win64" fn complete_request(_irp: u64, _boost: i8) {}

/// What an empty dispatch slot holds.
unsafe extern "win64" fn invalid_request(_device: u64, _irp: u64) -> Status {
    NtStatus::INVALID_DEVICE_REQUEST.0
}

/// Shutdown notifications are accepted; the model's shutdown sends no requests.
unsafe extern "win64" fn register(_device: u64) -> Status {
    0
}

unsafe extern "win64" fn unregister(_device: u64) {}

unsafe extern "win64" fn current_process() -> u64 {
    super::super::child::system_process()
}

/// Objects live as long as the process, so their counts need no keeping.
unsafe extern "win64" fn reference(_object: u64) -> i64 {
    2
}

unsafe extern "win64" fn dereference(_object: u64) -> i64 {
    1
}

//! Loading a driver: map, relocate, bind, protect, call `DriverEntry`; and unloading it.

#![expect(unsafe_code, reason = "reads the driver object that driver code has filled in")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex};

use super::super::NtStatus;
use super::super::check::is_kernel_module;
use super::super::layout::{self, DRIVERS};
use super::super::pe::{Image, ImageError};
use super::super::report::{DriverOutcome, Module};
use super::super::types::{DriverExtension, DriverObject, UnicodeString};
use super::memory::{self, EXECUTE, READ, WRITE};
use super::{PoolKind, State, enter, handlers, lock, ntoskrnl, pool, thread};

const TAG: u32 = u32::from_le_bytes(*b"Driv");
/// Unmapped pages between images, so that an overrun faults.
const GAP: u64 = 0x10_000;

/// What PID 1 asked for.
pub(super) struct Load {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) service_key: String,
    pub(super) check_checksum: bool,
}

struct Loaded {
    name: String,
    base: u64,
    size: u64,
    object: u64,
}

#[derive(Default)]
struct Loader {
    top: u64,
    drivers: Vec<Loaded>,
}

/// The functions that drivers asked for by name, and that are not here.
static ASKED_IN_VAIN: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);
/// How many of them are kept.
const MOST_ASKED: usize = 16;

static LOADER: LazyLock<Mutex<Loader>> = LazyLock::new(Mutex::default);

/// Loads a driver and runs its entry.
pub(super) fn load(state: &State, load: &Load, file: &[u8]) -> DriverOutcome {
    let object = match map(state, load, file) {
        Ok(object) => object,
        Err(refusal) => return refusal,
    };
    // SAFETY: `map` has just made this object; pool memory stays mapped.
    let entry = unsafe { (*(object as *const DriverObject)).driver_init };
    let status = if entry == 0 {
        NtStatus::SUCCESS
    } else {
        let Some(path) = unicode(&load.service_key) else {
            return refused(NtStatus::INSUFFICIENT_RESOURCES, "no pool for its registry path");
        };
        NtStatus(enter(entry, object, path) as u32)
    };
    let mut lack = None;
    if !status.is_success() {
        // Windows removes a driver whose entry failed, without calling its unload routine.
        remove(state, object);
        // It may have failed for want of what it asked for, and Windows may have that.
        let in_vain = lock(&ASKED_IN_VAIN);
        lack = (!in_vain.is_empty()).then(|| {
            let names: Vec<&str> = in_vain.iter().map(String::as_str).collect();
            format!("it asked for {} and then failed with {status}", names.join(", "))
        });
    }
    DriverOutcome { status, entered: true, reason: None, lack }
}

/// How the load of an image ends that is not run.
fn refused(status: NtStatus, reason: impl Into<String>) -> DriverOutcome {
    DriverOutcome { status, entered: false, reason: Some(reason.into()), lack: None }
}

fn map(state: &State, load: &Load, file: &[u8]) -> Result<u64, DriverOutcome> {
    let refuse = |error: ImageError| DriverOutcome {
        lack: error.lack(),
        ..refused(error.status(), error.to_string())
    };
    let internal = |what: &str| refused(NtStatus::INSUFFICIENT_RESOURCES, what);
    let image = Image::parse(file).map_err(refuse)?;
    if load.check_checksum {
        image.check_checksum(file).map_err(refuse)?;
    }
    let mut loader = lock(&LOADER);
    if loader.drivers.iter().any(|driver| driver.name.eq_ignore_ascii_case(&load.name)) {
        return Err(refused(NtStatus::IMAGE_ALREADY_LOADED, "it is loaded already"));
    }
    let base = DRIVERS.base + loader.top;
    if base + u64::from(image.size) > DRIVERS.end() {
        return Err(internal("no room for the image"));
    }
    let mut bytes = image.lay_out(file).map_err(refuse)?;
    image.relocate(&mut bytes, base).map_err(refuse)?;
    let guarded = Cell::new(false);
    let resolve = |_: &str, name: &str| {
        guarded.set(guarded.get() || name == handlers::HANDLER);
        ntoskrnl::address_of(name)
    };
    image.bind(&mut bytes, is_kernel_module, resolve).map_err(refuse)?;
    // Any value but the default does; one that differs between images shows mix-ups.
    image.set_cookie(&mut bytes, base, 0x2B99_2DDF_A232 ^ base.rotate_left(17));

    let place = || -> std::io::Result<()> {
        memory::protect(base, u64::from(image.size), READ | WRITE)?;
        memory::write(base, &bytes);
        memory::protect(base, u64::from(image.size), READ)?;
        for (offset, size, allowed) in image.protections() {
            let write = if allowed.write { WRITE } else { 0 };
            let execute = if allowed.execute { EXECUTE } else { 0 };
            if size != 0 {
                memory::protect(base + u64::from(offset), u64::from(size), READ | write | execute)?;
            }
        }
        Ok(())
    };
    place().map_err(|error| internal(&format!("mapping the image: {error}")))?;
    let entry = if image.entry == 0 { 0 } else { base + u64::from(image.entry) };
    let object = driver_object(load, base, image.size, entry)
        .ok_or_else(|| internal("no pool for the driver object"))?;
    let module = Module {
        name: load.name.clone(),
        path: load.path.clone(),
        base: layout::to_kernel(base),
        size: image.size,
        entry: layout::to_kernel(entry),
        checksum: image.checksum,
        timestamp: image.timestamp,
    };
    if !state.shared.add_module(&module) {
        return Err(internal("too many modules"));
    }
    if guarded.get() {
        handlers::add(base, image.size.into());
    }
    loader.top += u64::from(image.size).next_multiple_of(GAP) + GAP;
    let size = u64::from(image.size);
    loader.drivers.push(Loaded { name: load.name.clone(), base, size, object });
    Ok(object)
}

/// A `UNICODE_STRING` with its text in pool memory.
fn unicode(text: &str) -> Option<u64> {
    let units = text.encode_utf16().chain([0]).collect::<Vec<u16>>();
    let bytes = units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>();
    let (string, buffer) = {
        let mut pool = pool();
        let string = pool.allocate(size_of::<UnicodeString>() as u64, TAG, PoolKind::NonPaged)?;
        (string, pool.allocate(bytes.len() as u64, TAG, PoolKind::NonPaged)?)
    };
    memory::write(buffer, &bytes);
    let length = u16::try_from(bytes.len() - 2).ok()?;
    let value = UnicodeString { length, maximum_length: length + 2, buffer: buffer as *mut u16 };
    // SAFETY: freshly allocated and large enough.
    unsafe { (string as *mut UnicodeString).write(value) };
    Some(string)
}

fn driver_object(load: &Load, base: u64, size: u32, entry: u64) -> Option<u64> {
    let object_size = size_of::<DriverObject>() as u64;
    let extension_size = size_of::<DriverExtension>() as u64;
    let address = pool().allocate(object_size + extension_size, TAG, PoolKind::NonPaged)?;
    let service = load.service_key.rsplit('\\').next().unwrap_or(&load.name);
    let name = unicode(&format!(r"\Driver\{service}"))?;
    let key = unicode(service)?;
    let refuse = ntoskrnl::address_of("IopInvalidDeviceRequest").unwrap_or(0);
    let extension = (address + object_size) as *mut DriverExtension;
    let object = address as *mut DriverObject;
    // SAFETY: both lie in the block just allocated; every bit pattern is valid for them, and the two
    // strings were just made.
    unsafe {
        extension.write_bytes(0, 1);
        (*extension).driver_object = object;
        (*extension).service_key_name = *(key as *const UnicodeString);
        object.write_bytes(0, 1);
        (*object).kind = 4;
        (*object).size = object_size as i16;
        (*object).driver_start = base;
        (*object).driver_size = size;
        (*object).driver_extension = extension;
        (*object).driver_name = *(name as *const UnicodeString);
        (*object).driver_init = entry;
        (*object).major_function = [refuse; 28];
    }
    Some(address)
}

/// Calls the driver's unload routine and removes it.
pub(super) fn unload(state: &State, name: &str) -> NtStatus {
    let found = lock(&LOADER)
        .drivers
        .iter()
        .find(|driver| driver.name.eq_ignore_ascii_case(name))
        .map(|driver| driver.object);
    let Some(object) = found else { return NtStatus::NOT_FOUND };
    // SAFETY: driver objects stay in mapped pool memory.
    let unload = unsafe { (*(object as *const DriverObject)).driver_unload };
    if unload == 0 {
        return NtStatus::INVALID_DEVICE_REQUEST;
    }
    enter(unload, object, 0);
    remove(state, object);
    NtStatus::SUCCESS
}

/// Takes the image out of memory and out of the module list.
fn remove(state: &State, object: u64) {
    let mut loader = lock(&LOADER);
    let Some(at) = loader.drivers.iter().position(|driver| driver.object == object) else { return };
    let driver = loader.drivers.remove(at);
    state.shared.remove_module(layout::to_kernel(driver.base));
    // A thread that the driver left behind faults at its next instruction, as on Windows.
    if memory::protect(driver.base, driver.size, libc::PROT_NONE).is_err() {
        // The pages stay; such a thread would run on.
    }
}

/// Address of an export of the kernel, for `MmGetSystemRoutineAddress`.
pub(in super::super) fn find_system_routine(name: &str) -> Option<u64> {
    let found = ntoskrnl::address_of(name);
    if found.is_none() {
        thread::ask_in_vain();
        let mut names = lock(&ASKED_IN_VAIN);
        if names.len() < MOST_ASKED {
            names.insert(name.to_owned());
        }
    }
    found
}

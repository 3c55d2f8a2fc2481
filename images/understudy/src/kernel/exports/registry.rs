//! The registry.

#![expect(unsafe_code, reason = "reads and writes what a driver points to")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "every function here trusts its caller's pointers alike"
)]

use super::super::NtStatus;
use super::super::child::{Object, PoolKind, objects, state};
use super::super::host::RegistryValue;
use super::super::types::{ObjectAttributes, QueryRegistryTable, UnicodeString};
use super::super::wire::{Answer, Call};
use super::exports;
use super::files::path_of;
use super::print::{counted_wide, wide};

exports! {
    ZwOpenKey => open_key,
    NtOpenKey => open_key,
    ZwOpenKeyEx => open_key_ex,
    ZwCreateKey => create_key,
    NtCreateKey => create_key,
    ZwDeleteKey => delete_key,
    NtDeleteKey => delete_key,
    ZwQueryValueKey => query_value,
    NtQueryValueKey => query_value,
    ZwSetValueKey => set_value,
    NtSetValueKey => set_value,
    ZwDeleteValueKey => delete_value,
    NtDeleteValueKey => delete_value,
    ZwEnumerateKey => enumerate_key,
    NtEnumerateKey => enumerate_key,
    ZwEnumerateValueKey => enumerate_value,
    NtEnumerateValueKey => enumerate_value,
    ZwQueryKey => query_key,
    NtQueryKey => query_key,
    ZwFlushKey => flush_key,
    RtlQueryRegistryValues => query_registry_values,
    RtlWriteRegistryValue => write_registry_value,
    RtlDeleteRegistryValue => delete_registry_value,
    RtlCheckRegistryKey => check_registry_key,
    RtlCreateRegistryKey => create_registry_key,
}

type Status = u32;
const MISMATCH: NtStatus = NtStatus::UNSUCCESSFUL;

fn call(call: Call) -> Result<(Answer, Vec<u8>), NtStatus> {
    state().call(call, &[])
}

fn key_of(handle: u64) -> Result<String, NtStatus> {
    match objects().get(handle) {
        Some(Object::Key(path)) => Ok(path),
        Some(_) => Err(NtStatus::OBJECT_TYPE_MISMATCH),
        None => Err(NtStatus::INVALID_HANDLE),
    }
}

fn status(result: Result<(), NtStatus>) -> Status {
    result.err().unwrap_or(NtStatus::SUCCESS).0
}

unsafe extern "win64" fn open_key(
    handle: *mut u64,
    _access: u32,
    attributes: *const ObjectAttributes,
) -> Status {
    let open = || -> Result<u64, NtStatus> {
        // SAFETY: the driver's pointer, see the module.
        let path = unsafe { path_of(attributes) }?;
        call(Call::KeyExists(path.clone()))?;
        Ok(objects().add(Object::Key(path)))
    };
    match open() {
        Ok(key) => {
            *handle = key;
            0
        }
        Err(status) => status.0,
    }
}

unsafe extern "win64" fn open_key_ex(
    handle: *mut u64,
    access: u32,
    attributes: *const ObjectAttributes,
    _options: u32,
) -> Status {
    open_key(handle, access, attributes)
}

unsafe extern "win64" fn create_key(
    handle: *mut u64,
    _access: u32,
    attributes: *const ObjectAttributes,
    _title: u32,
    _class: *const UnicodeString,
    _options: u32,
    disposition: *mut u32,
) -> Status {
    let path = match path_of(attributes) {
        Ok(path) => path,
        Err(status) => return status.0,
    };
    match call(Call::CreateKey(path.clone())) {
        Ok((Answer::Created(new), _)) => {
            *handle = objects().add(Object::Key(path));
            if !disposition.is_null() {
                // REG_CREATED_NEW_KEY, REG_OPENED_EXISTING_KEY
                *disposition = if new { 1 } else { 2 };
            }
            0
        }
        Ok(_) => MISMATCH.0,
        Err(status) => status.0,
    }
}

unsafe extern "win64" fn delete_key(handle: u64) -> Status {
    status(key_of(handle).and_then(|key| call(Call::DeleteKey(key)).map(drop)))
}

unsafe extern "win64" fn flush_key(handle: u64) -> Status {
    status(key_of(handle).map(drop))
}

/// Splits the payload of an answer into values.
fn values_of(answer: (Answer, Vec<u8>)) -> Result<Vec<RegistryValue>, NtStatus> {
    let (Answer::Values(heads), payload) = answer else { return Err(MISMATCH) };
    let mut rest = payload.as_slice();
    heads
        .into_iter()
        .map(|(mut value, length)| {
            let (data, after) = rest.split_at_checked(length as usize).ok_or(MISMATCH)?;
            value.data = data.to_vec();
            rest = after;
            Ok(value)
        })
        .collect()
}

fn value_of(key: String, name: String) -> Result<RegistryValue, NtStatus> {
    values_of(call(Call::Value { key, name })?)?.pop().ok_or(MISMATCH)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A value in the layout of a `KEY_VALUE_INFORMATION_CLASS`, and how much of it is the fixed part.
fn value_information(class: u32, value: &RegistryValue) -> Option<(Vec<u8>, usize)> {
    let name = utf16(&value.name);
    let put = |fields: &[u32]| fields.iter().flat_map(|f| f.to_le_bytes()).collect::<Vec<u8>>();
    let (kind, size) = (value.kind, value.data.len() as u32);
    Some(match class {
        // KeyValueBasicInformation
        0 => {
            let mut bytes = put(&[0, kind, name.len() as u32]);
            bytes.extend_from_slice(&name);
            (bytes, 12)
        }
        // KeyValueFullInformation
        1 => {
            let data = (20 + name.len()).next_multiple_of(4);
            let mut bytes = put(&[0, kind, data as u32, size, name.len() as u32]);
            bytes.extend_from_slice(&name);
            bytes.resize(data, 0);
            bytes.extend_from_slice(&value.data);
            (bytes, 20)
        }
        // KeyValuePartialInformation
        2 => {
            let mut bytes = put(&[0, kind, size]);
            bytes.extend_from_slice(&value.data);
            (bytes, 12)
        }
        _ => return None,
    })
}

/// Hands out information with the registry's rules: too small for the fixed part BUFFER_TOO_SMALL, too
/// small for the rest BUFFER_OVERFLOW with as much as fits; the length always tells what is needed.
unsafe fn hand_out(
    information: Option<(Vec<u8>, usize)>,
    buffer: *mut u8,
    room: u32,
    needed: *mut u32,
) -> Status {
    let Some((bytes, fixed)) = information else { return NtStatus::INVALID_PARAMETER.0 };
    *needed = bytes.len() as u32;
    let room = room as usize;
    if room < fixed {
        return NtStatus::BUFFER_TOO_SMALL.0;
    }
    let fits = bytes.len().min(room);
    std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, fits);
    if fits < bytes.len() { NtStatus::BUFFER_OVERFLOW.0 } else { 0 }
}

unsafe extern "win64" fn query_value(
    handle: u64,
    name: *const UnicodeString,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> Status {
    let name = counted_wide(name);
    match key_of(handle).and_then(|key| value_of(key, name)) {
        Ok(value) => hand_out(value_information(class, &value), buffer, length, needed),
        Err(status) => status.0,
    }
}

unsafe extern "win64" fn enumerate_value(
    handle: u64,
    index: u32,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> Status {
    let values = key_of(handle).and_then(|key| values_of(call(Call::Values(key))?));
    match values {
        Ok(values) => match values.get(index as usize) {
            Some(value) => hand_out(value_information(class, value), buffer, length, needed),
            None => NtStatus::NO_MORE_ENTRIES.0,
        },
        Err(status) => status.0,
    }
}

unsafe extern "win64" fn set_value(
    handle: u64,
    name: *const UnicodeString,
    _title: u32,
    kind: u32,
    data: *const u8,
    length: u32,
) -> Status {
    let name = counted_wide(name);
    let mut bytes = vec![0; length as usize];
    std::ptr::copy_nonoverlapping(data, bytes.as_mut_ptr(), length as usize);
    status(key_of(handle).and_then(|key| write_value(key, name, kind, &bytes)))
}

fn write_value(key: String, name: String, kind: u32, data: &[u8]) -> Result<(), NtStatus> {
    let value = RegistryValue { name, kind, data: Vec::new() };
    state().call(Call::SetValue { key, value }, data).map(drop)
}

unsafe extern "win64" fn delete_value(handle: u64, name: *const UnicodeString) -> Status {
    let name = counted_wide(name);
    status(key_of(handle).and_then(|key| call(Call::DeleteValue { key, name }).map(drop)))
}

fn subkeys_of(key: String) -> Result<Vec<String>, NtStatus> {
    match call(Call::Subkeys(key))? {
        (Answer::Names(names), _) => Ok(names),
        _ => Err(MISMATCH),
    }
}

unsafe extern "win64" fn enumerate_key(
    handle: u64,
    index: u32,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> Status {
    let names = match key_of(handle).and_then(subkeys_of) {
        Ok(names) => names,
        Err(status) => return status.0,
    };
    let Some(name) = names.get(index as usize) else { return NtStatus::NO_MORE_ENTRIES.0 };
    hand_out(key_basic(class, name), buffer, length, needed)
}

/// `KEY_BASIC_INFORMATION`: last write time (not modelled: zero), title, name.
fn key_basic(class: u32, name: &str) -> Option<(Vec<u8>, usize)> {
    if class != 0 {
        return None;
    }
    let name = utf16(name);
    let mut bytes = vec![0; 12];
    bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&name);
    Some((bytes, 16))
}

unsafe extern "win64" fn query_key(
    handle: u64,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> Status {
    let information = || -> Result<Option<(Vec<u8>, usize)>, NtStatus> {
        let key = key_of(handle)?;
        let own = key.rsplit('\\').next().unwrap_or(&key).to_owned();
        if class != 2 {
            return Ok(key_basic(class, &own));
        }
        // KeyFullInformation
        let names = subkeys_of(key.clone())?;
        let values = values_of(call(Call::Values(key))?)?;
        let longest_key = names.iter().map(|n| utf16(n).len()).max().unwrap_or(0);
        let longest_value = values.iter().map(|v| utf16(&v.name).len()).max().unwrap_or(0);
        let longest_data = values.iter().map(|v| v.data.len()).max().unwrap_or(0);
        let mut bytes = vec![0; 12];
        let fields = [
            u32::MAX,
            0,
            names.len() as u32,
            longest_key as u32,
            0,
            values.len() as u32,
            longest_value as u32,
            longest_data as u32,
        ];
        bytes.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        Ok(Some((bytes, 44)))
    };
    match information() {
        Ok(information) => hand_out(information, buffer, length, needed),
        Err(status) => status.0,
    }
}

/// The key that `RelativeTo` and a path name.
unsafe fn relative_key(relative: u32, path: *const u16) -> Result<String, NtStatus> {
    const CONTROL_SET: &str = r"\Registry\Machine\System\CurrentControlSet";
    let given = if path.is_null() { String::new() } else { wide(path) };
    // RTL_REGISTRY_OPTIONAL
    let base = match relative & 0x3FFF_FFFF {
        0 => return Ok(given),
        1 => format!(r"{CONTROL_SET}\Services"),
        2 => format!(r"{CONTROL_SET}\Control"),
        3 => r"\Registry\Machine\Software\Microsoft\Windows NT\CurrentVersion".to_owned(),
        4 => r"\Registry\Machine\Hardware\DeviceMap".to_owned(),
        5 => r"\Registry\User\.Default".to_owned(),
        _ => return Err(NtStatus::INVALID_PARAMETER),
    };
    Ok(if given.is_empty() { base } else { format!(r"{base}\{given}") })
}

const QUERY_SUBKEY: u32 = 0x1;
const QUERY_TOPKEY: u32 = 0x2;
const QUERY_REQUIRED: u32 = 0x4;
const QUERY_NOVALUE: u32 = 0x8;
const QUERY_DIRECT: u32 = 0x20;
const QUERY_DELETE: u32 = 0x40;

unsafe extern "win64" fn query_registry_values(
    relative: u32,
    path: *const u16,
    mut table: *const QueryRegistryTable,
    context: u64,
    _environment: u64,
) -> Status {
    let top = match relative_key(relative, path) {
        Ok(key) => key,
        Err(status) => return status.0,
    };
    if let Err(status) = call(Call::KeyExists(top.clone())) {
        return status.0;
    }
    let mut key = top.clone();
    while (*table).routine != 0 || (*table).flags & (QUERY_SUBKEY | QUERY_DIRECT) != 0 {
        let row = &*table;
        table = table.add(1);
        if row.flags & (QUERY_SUBKEY | QUERY_TOPKEY) != 0 {
            key.clone_from(&top);
        }
        if row.flags & QUERY_SUBKEY != 0 {
            key = format!(r"{top}\{}", wide(row.name));
            if let Err(status) = call(Call::KeyExists(key.clone())) {
                if row.flags & QUERY_REQUIRED != 0 {
                    return status.0;
                }
                key.clone_from(&top);
            }
            continue;
        }
        if row.flags & QUERY_NOVALUE != 0 {
            continue;
        }
        let name = if row.name.is_null() { String::new() } else { wide(row.name) };
        let value = match value_of(key.clone(), name.clone()) {
            Ok(value) => value,
            Err(status) if row.flags & QUERY_REQUIRED != 0 => return status.0,
            Err(_) if row.default_data.is_null() => continue,
            Err(_) => {
                let size = match (row.default_length, row.default_type & 0xFF) {
                    (0, 1 | 2) => wide(row.default_data.cast()).encode_utf16().count() * 2 + 2,
                    (0, 4) => 4,
                    (size, _) => size as usize,
                };
                let data = std::slice::from_raw_parts(row.default_data, size).to_vec();
                RegistryValue { name: name.clone(), kind: row.default_type & 0xFF, data }
            }
        };
        let status = if row.flags & QUERY_DIRECT != 0 {
            store_direct(&value, row.entry_context)
        } else {
            call_routine(row, &value, context)
        };
        if !NtStatus(status).is_success() {
            return status;
        }
        if row.flags & QUERY_DELETE != 0
            && let Err(status) = call(Call::DeleteValue { key: key.clone(), name })
        {
            return status.0;
        }
    }
    0
}

/// `RTL_QUERY_REGISTRY_DIRECT`: numbers are stored, strings become a `UNICODE_STRING`.
unsafe fn store_direct(value: &RegistryValue, to: u64) -> Status {
    match value.kind {
        1 | 2 => {
            let string = &mut *(to as *mut UnicodeString);
            let text = value.data.strip_suffix(&[0, 0]).unwrap_or(&value.data);
            if string.buffer.is_null() {
                let memory = super::super::child::pool().allocate(
                    text.len() as u64 + 2,
                    u32::from_le_bytes(*b"Rtlp"),
                    PoolKind::Paged,
                );
                let Some(memory) = memory else { return NtStatus::NO_MEMORY.0 };
                string.buffer = memory as *mut u16;
                string.maximum_length = text.len() as u16 + 2;
            } else if text.len() + 2 > usize::from(string.maximum_length) {
                return NtStatus::BUFFER_TOO_SMALL.0;
            }
            std::ptr::copy_nonoverlapping(text.as_ptr(), string.buffer.cast(), text.len());
            string.buffer.byte_add(text.len()).write_unaligned(0);
            string.length = text.len() as u16;
            0
        }
        _ if value.data.len() <= 8 => {
            std::ptr::copy_nonoverlapping(value.data.as_ptr(), to as *mut u8, value.data.len());
            0
        }
        // Larger data: the driver's buffer starts with its size, negative to be given raw data.
        _ => {
            let size = *(to as *const i32);
            let room = size.unsigned_abs() as usize;
            if value.data.len() > room {
                return NtStatus::BUFFER_TOO_SMALL.0;
            }
            std::ptr::copy_nonoverlapping(value.data.as_ptr(), to as *mut u8, value.data.len());
            0
        }
    }
}

/// Calls a query routine: name, type, data, length, context, entry context.
unsafe fn call_routine(row: &QueryRegistryTable, value: &RegistryValue, context: u64) -> Status {
    type Routine = unsafe extern "win64" fn(*const u16, u32, *const u8, u32, u64, u64) -> u32;
    let name = value.name.encode_utf16().chain([0]).collect::<Vec<_>>();
    let routine: Routine = std::mem::transmute::<u64, Routine>(row.routine);
    routine(
        name.as_ptr(),
        value.kind,
        value.data.as_ptr(),
        value.data.len() as u32,
        context,
        row.entry_context,
    )
}

unsafe extern "win64" fn write_registry_value(
    relative: u32,
    path: *const u16,
    name: *const u16,
    kind: u32,
    data: *const u8,
    length: u32,
) -> Status {
    let name = wide(name);
    let mut bytes = vec![0; length as usize];
    std::ptr::copy_nonoverlapping(data, bytes.as_mut_ptr(), length as usize);
    status(relative_key(relative, path).and_then(|key| write_value(key, name, kind, &bytes)))
}

unsafe extern "win64" fn delete_registry_value(
    relative: u32,
    path: *const u16,
    name: *const u16,
) -> Status {
    let name = wide(name);
    status(
        relative_key(relative, path)
            .and_then(|key| call(Call::DeleteValue { key, name }).map(drop)),
    )
}

unsafe extern "win64" fn check_registry_key(relative: u32, path: *const u16) -> Status {
    status(relative_key(relative, path).and_then(|key| call(Call::KeyExists(key)).map(drop)))
}

unsafe extern "win64" fn create_registry_key(relative: u32, path: *const u16) -> Status {
    status(relative_key(relative, path).and_then(|key| call(Call::CreateKey(key)).map(drop)))
}

//! The model's `ntoskrnl.exe` in memory: PE headers, an export table, one thunk an export, and the
//! variables that drivers import. Drivers that walk the export table by themselves find it.

use std::collections::HashMap;
use std::io;
use std::sync::OnceLock;

use super::super::exports;
use super::super::layout::{self, NT};
use super::super::record::Shared;
use super::super::report::Module;
use super::memory::{self, EXECUTE, READ, WRITE};
use super::thread;

const HEADERS: u64 = 0x1000;
const THUNK: u64 = 16;
/// The thunk of a function that the model cannot do: it says which one it is.
const RESERVED_THUNK: u64 = 32;
const VARIABLE: u64 = 64;
/// What a real one of that build has, so that drivers that look see a plausible size.
const TIMESTAMP: u32 = 0x6683_9CC4;

struct Exports {
    functions: HashMap<&'static str, u64>,
}

static EXPORTS: OnceLock<Exports> = OnceLock::new();

/// Address of an export as drivers see it. `hal.dll` resolves here too: since Windows 10 2004 it only
/// forwards to the kernel.
pub(in super::super) fn address_of(name: &str) -> Option<u64> {
    EXPORTS.get().and_then(|exports| exports.functions.get(name).copied())
}

/// Builds the image. Called once, before any driver.
pub(super) fn map(shared: Shared) -> io::Result<()> {
    let functions = exports::functions();
    let variables = exports::variables(thread::system_process(), thread::UNFILLED);
    let code = NT.base + HEADERS;
    let reserved = code + functions.len() as u64 * THUNK;
    let reserved_size = exports::reserved::NAMES.len() as u64 * RESERVED_THUNK;
    let code_size = reserved + reserved_size - code;
    let data = (code + code_size).next_multiple_of(HEADERS);
    let data_size = (variables.len() as u64 * VARIABLE).max(1);
    let table = (data + data_size).next_multiple_of(HEADERS);

    let mut thunks = Vec::with_capacity(code_size as usize);
    let mut found = HashMap::new();
    for (at, (name, function)) in functions.iter().enumerate() {
        // jmp [rip+0], the address, two bytes of int3.
        thunks.extend_from_slice(&[0xFF, 0x25, 0, 0, 0, 0]);
        thunks.extend_from_slice(&(*function as u64).to_le_bytes());
        thunks.extend_from_slice(&[0xCC, 0xCC]);
        found.insert(*name, code + at as u64 * THUNK);
    }
    for (at, name) in exports::reserved::NAMES.into_iter().enumerate() {
        // mov eax, the number; jmp [rip+0], the address; int3 up to the next.
        thunks.push(0xB8);
        thunks.extend_from_slice(&(at as u32).to_le_bytes());
        thunks.extend_from_slice(&[0xFF, 0x25, 0, 0, 0, 0]);
        thunks.extend_from_slice(&(exports::reserved::entry() as u64).to_le_bytes());
        let end = (reserved - code + (at as u64 + 1) * RESERVED_THUNK) as usize;
        thunks.resize(end, 0xCC);
        found.insert(name, reserved + at as u64 * RESERVED_THUNK);
    }
    let mut values = Vec::with_capacity(data_size as usize);
    for (at, (name, value)) in variables.iter().enumerate() {
        values.extend_from_slice(&value.to_le_bytes());
        values.resize((at + 1) * VARIABLE as usize, 0);
        found.insert(*name, data + at as u64 * VARIABLE);
    }
    let directory = export_table(&found, (table - NT.base) as u32);

    place(code, &thunks, READ | EXECUTE)?;
    place(data, &values, READ | WRITE)?;
    place(table, &directory, READ)?;
    let export = ((table - NT.base) as u32, directory.len() as u32);
    place(NT.base, &headers(export), READ)?;
    EXPORTS.get_or_init(|| Exports { functions: found });

    shared.add_module(&Module {
        name: "ntoskrnl.exe".to_owned(),
        path: r"\SystemRoot\system32\ntoskrnl.exe".to_owned(),
        base: layout::to_kernel(NT.base),
        size: NT.size as u32,
        entry: layout::to_kernel(code),
        checksum: 0,
        timestamp: TIMESTAMP,
    });
    Ok(())
}

fn place(address: u64, bytes: &[u8], protection: libc::c_int) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    memory::protect(address, bytes.len() as u64, READ | WRITE)?;
    memory::write(address, bytes);
    memory::protect(address, bytes.len() as u64, protection)
}

fn headers((export, export_size): (u32, u32)) -> Vec<u8> {
    let mut bytes = vec![0; HEADERS as usize];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    const PE: usize = 0x80;
    put(0, b"MZ");
    put(0x3C, &(PE as u32).to_le_bytes());
    put(PE, b"PE\0\0");
    put(PE + 4, &0x8664_u16.to_le_bytes());
    put(PE + 8, &TIMESTAMP.to_le_bytes());
    put(PE + 20, &240_u16.to_le_bytes());
    put(PE + 22, &0x22_u16.to_le_bytes());
    let optional = PE + 24;
    put(optional, &0x20B_u16.to_le_bytes());
    put(optional + 24, &NT.base.to_le_bytes());
    put(optional + 32, &0x1000_u32.to_le_bytes());
    put(optional + 36, &0x200_u32.to_le_bytes());
    put(optional + 56, &(NT.size as u32).to_le_bytes());
    put(optional + 60, &(HEADERS as u32).to_le_bytes());
    put(optional + 68, &1_u16.to_le_bytes());
    put(optional + 108, &16_u32.to_le_bytes());
    put(optional + 112, &export.to_le_bytes());
    put(optional + 116, &export_size.to_le_bytes());
    bytes
}

/// `IMAGE_EXPORT_DIRECTORY` and what it points to, for a table at offset `at` of the image.
fn export_table(found: &HashMap<&'static str, u64>, at: u32) -> Vec<u8> {
    let mut names = found.keys().copied().collect::<Vec<_>>();
    names.sort_unstable();
    let count = names.len() as u32;
    let functions = 40;
    let name_table = functions + count * 4;
    let ordinals = name_table + count * 4;
    let mut text = ordinals + count * 2;
    let mut bytes = vec![0; text as usize];
    let mut strings = Vec::new();
    let put = |bytes: &mut Vec<u8>, at: u32, value: u32| {
        bytes[at as usize..at as usize + 4].copy_from_slice(&value.to_le_bytes());
    };
    put(&mut bytes, 12, at + text);
    strings.extend_from_slice(b"ntoskrnl.exe\0");
    text += 13;
    put(&mut bytes, 16, 1);
    put(&mut bytes, 20, count);
    put(&mut bytes, 24, count);
    put(&mut bytes, 28, at + functions);
    put(&mut bytes, 32, at + name_table);
    put(&mut bytes, 36, at + ordinals);
    for (index, name) in names.iter().enumerate() {
        let index = index as u32;
        put(&mut bytes, functions + index * 4, (found[name] - NT.base) as u32);
        put(&mut bytes, name_table + index * 4, at + text);
        let ordinal = (ordinals + index * 2) as usize;
        bytes[ordinal..ordinal + 2].copy_from_slice(&(index as u16).to_le_bytes());
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
        text += name.len() as u32 + 1;
    }
    bytes.extend_from_slice(&strings);
    bytes
}

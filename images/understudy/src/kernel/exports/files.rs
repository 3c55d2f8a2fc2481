//! Files and directories.

#![expect(unsafe_code, reason = "reads and writes what a driver points to")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "every function here trusts its caller's pointers alike"
)]

use std::sync::{Arc, Mutex};

use super::super::NtStatus;
use super::super::child::{FileState, Object, current_thread, lock, objects, spawn, state};
use super::super::host::{Change, ChangeAction, Disposition, FileFacts, FileId, OpenRequest};
use super::super::types::{IoStatusBlock, ObjectAttributes, UnicodeString};
use super::super::wire::{Answer, Call};
use super::print::counted_wide;
use super::{exports, sync};

exports! {
    ZwCreateFile => create_file,
    NtCreateFile => create_file,
    IoCreateFile => io_create_file,
    ZwOpenFile => open_file,
    NtOpenFile => open_file,
    ZwReadFile => read_file,
    NtReadFile => read_file,
    ZwWriteFile => write_file,
    NtWriteFile => write_file,
    ZwClose => close,
    NtClose => close,
    ZwQueryInformationFile => query_information,
    NtQueryInformationFile => query_information,
    ZwSetInformationFile => set_information,
    NtSetInformationFile => set_information,
    ZwQueryDirectoryFile => query_directory,
    NtQueryDirectoryFile => query_directory,
    ZwNotifyChangeDirectoryFile => notify_change,
    NtNotifyChangeDirectoryFile => notify_change,
    ZwDeleteFile => delete_file,
    NtDeleteFile => delete_file,
    ZwFlushBuffersFile => flush,
    NtFlushBuffersFile => flush,
    ZwQueryFullAttributesFile => query_full_attributes,
}

/// GENERIC_WRITE, GENERIC_ALL, DELETE, FILE_WRITE_DATA, FILE_APPEND_DATA, FILE_WRITE_EA,
/// FILE_WRITE_ATTRIBUTES.
const WRITE_ACCESS: u32 = 0x4000_0000 | 0x1000_0000 | 0x0001_0000 | 0x2 | 0x4 | 0x10 | 0x100;
const OPTION_DIRECTORY: u32 = 0x1;
const OPTION_SYNCHRONOUS: u32 = 0x10 | 0x20;
const OPTION_NON_DIRECTORY: u32 = 0x40;
const OPTION_DELETE_ON_CLOSE: u32 = 0x1000;
/// `FILE_USE_FILE_POINTER_POSITION` and `FILE_WRITE_TO_END_OF_FILE` as low halves of an offset.
const USE_POSITION: i64 = -2;
const AT_END: i64 = -1;
/// One transfer; larger ones are cut, as a short read or write.
const MAX_TRANSFER: u32 = 16 << 20;

type Status = u32;
type Shared = Arc<Mutex<FileState>>;

fn call(call: Call) -> Result<Answer, NtStatus> {
    state().call(call, &[]).map(|(answer, _)| answer)
}

/// A reply of the wrong kind: PID 1 and this process disagree, which no driver can cause.
const MISMATCH: NtStatus = NtStatus::UNSUCCESSFUL;

pub(super) fn file_of(handle: u64) -> Result<Shared, NtStatus> {
    match objects().get(handle) {
        Some(Object::File(file)) => Ok(file),
        Some(_) => Err(NtStatus::OBJECT_TYPE_MISMATCH),
        None => Err(NtStatus::INVALID_HANDLE),
    }
}

/// The full NT path that object attributes name.
pub(super) unsafe fn path_of(attributes: *const ObjectAttributes) -> Result<String, NtStatus> {
    let attributes = &*attributes;
    let name = if attributes.object_name.is_null() {
        String::new()
    } else {
        counted_wide(attributes.object_name)
    };
    if attributes.root_directory == 0 {
        return Ok(name);
    }
    let root = match objects().get(attributes.root_directory) {
        Some(Object::File(file)) => lock(&file).path.clone(),
        Some(Object::Key(path)) => path,
        Some(Object::Dispatcher(_)) => return Err(NtStatus::OBJECT_TYPE_MISMATCH),
        None => return Err(NtStatus::INVALID_HANDLE),
    };
    if name.starts_with('\\') {
        return Err(NtStatus::OBJECT_PATH_SYNTAX_BAD);
    }
    Ok(if name.is_empty() { root } else { format!(r"{}\{name}", root.trim_end_matches('\\')) })
}

unsafe fn set_status(block: *mut IoStatusBlock, status: NtStatus, information: u64) -> Status {
    (*block).status = u64::from(status.0);
    (*block).information = information;
    status.0
}

fn plain(result: Result<(), NtStatus>) -> Status {
    result.err().unwrap_or(NtStatus::SUCCESS).0
}

unsafe fn open(
    handle: *mut u64,
    access: u32,
    attributes: *const ObjectAttributes,
    block: *mut IoStatusBlock,
    disposition: Disposition,
    options: u32,
) -> Status {
    let path = match path_of(attributes) {
        Ok(path) => path,
        Err(status) => return status.0,
    };
    let request = OpenRequest {
        path: path.clone(),
        write: access & WRITE_ACCESS != 0,
        disposition,
        directory: options & OPTION_DIRECTORY != 0,
        non_directory: options & OPTION_NON_DIRECTORY != 0,
        delete_on_close: options & OPTION_DELETE_ON_CLOSE != 0,
    };
    match call(Call::Open(request)) {
        Ok(Answer::Opened(opened)) => {
            let file = FileState {
                file: opened.file,
                path,
                synchronous: options & OPTION_SYNCHRONOUS != 0,
                position: 0,
                listing: None,
                done: sync::new_event(false).unwrap_or(0),
            };
            *handle = objects().add(Object::File(Arc::new(Mutex::new(file))));
            set_status(block, NtStatus::SUCCESS, u64::from(opened.information))
        }
        Ok(_) => set_status(block, MISMATCH, 0),
        // An open that fails leaves the block alone.
        Err(status) => status.0,
    }
}

unsafe extern "win64" fn create_file(
    handle: *mut u64,
    access: u32,
    attributes: *const ObjectAttributes,
    block: *mut IoStatusBlock,
    _allocation: u64,
    _file_attributes: u32,
    _share: u32,
    disposition: u32,
    options: u32,
) -> Status {
    let disposition = match disposition {
        0 => Disposition::Supersede,
        1 => Disposition::Open,
        2 => Disposition::Create,
        3 => Disposition::OpenIf,
        4 => Disposition::Overwrite,
        5 => Disposition::OverwriteIf,
        _ => return NtStatus::INVALID_PARAMETER.0,
    };
    open(handle, access, attributes, block, disposition, options)
}

unsafe extern "win64" fn io_create_file(
    handle: *mut u64,
    access: u32,
    attributes: *const ObjectAttributes,
    block: *mut IoStatusBlock,
    allocation: u64,
    file_attributes: u32,
    share: u32,
    disposition: u32,
    options: u32,
) -> Status {
    create_file(
        handle,
        access,
        attributes,
        block,
        allocation,
        file_attributes,
        share,
        disposition,
        options,
    )
}

unsafe extern "win64" fn open_file(
    handle: *mut u64,
    access: u32,
    attributes: *const ObjectAttributes,
    block: *mut IoStatusBlock,
    _share: u32,
    options: u32,
) -> Status {
    open(handle, access, attributes, block, Disposition::Open, options)
}

/// Where an operation takes place: the given offset, or the file's position.
unsafe fn offset_of(file: &FileState, offset: *const i64) -> Result<u64, NtStatus> {
    let given = if offset.is_null() { USE_POSITION } else { *offset };
    // Only the low half is -2 or -1, the high half is -1 too.
    match given {
        USE_POSITION if file.synchronous => Ok(file.position),
        AT_END => match call(Call::Facts(file.file))? {
            Answer::Facts(facts) => Ok(facts.size),
            _ => Err(MISMATCH),
        },
        given => u64::try_from(given).map_err(|_| NtStatus::INVALID_PARAMETER),
    }
}

/// Completes an operation: status block, file event, the caller's event.
unsafe fn complete(
    file: &Shared,
    event: u64,
    block: *mut IoStatusBlock,
    status: NtStatus,
    information: u64,
) -> Status {
    set_status(block, status, information);
    let done = lock(file).done;
    sync::set_event_at(done);
    if let Some(Object::Dispatcher(event)) = objects().get(event) {
        sync::set_event_at(event);
    }
    status.0
}

unsafe extern "win64" fn read_file(
    handle: u64,
    event: u64,
    _apc: u64,
    _apc_context: u64,
    block: *mut IoStatusBlock,
    buffer: *mut u8,
    length: u32,
    offset: *const i64,
    _key: u64,
) -> Status {
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status.0,
    };
    let (id, from) = {
        let open = lock(&file);
        match offset_of(&open, offset) {
            Ok(from) => (open.file, from),
            Err(status) => return status.0,
        }
    };
    let length = length.min(MAX_TRANSFER);
    let (status, read) = match state().call(Call::Read { file: id, offset: from, length }, &[]) {
        Ok((Answer::Data, data)) => {
            let read = data.len().min(length as usize);
            std::ptr::copy_nonoverlapping(data.as_ptr(), buffer, read);
            let status =
                if read == 0 && length != 0 { NtStatus::END_OF_FILE } else { NtStatus::SUCCESS };
            (status, read as u64)
        }
        Ok(_) => (MISMATCH, 0),
        Err(status) => (status, 0),
    };
    lock(&file).position = from + read;
    complete(&file, event, block, status, read)
}

unsafe extern "win64" fn write_file(
    handle: u64,
    event: u64,
    _apc: u64,
    _apc_context: u64,
    block: *mut IoStatusBlock,
    buffer: *const u8,
    length: u32,
    offset: *const i64,
    _key: u64,
) -> Status {
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status.0,
    };
    let (id, to) = {
        let open = lock(&file);
        match offset_of(&open, offset) {
            Ok(to) => (open.file, to),
            Err(status) => return status.0,
        }
    };
    let length = length.min(MAX_TRANSFER);
    // Copied first: a wrong buffer must fault here, not inside the system call.
    let mut data = vec![0; length as usize];
    std::ptr::copy_nonoverlapping(buffer, data.as_mut_ptr(), length as usize);
    let (status, written) = match state().call(Call::Write { file: id, offset: to }, &data) {
        Ok(_) => (NtStatus::SUCCESS, u64::from(length)),
        Err(status) => (status, 0),
    };
    lock(&file).position = to + written;
    complete(&file, event, block, status, written)
}

unsafe extern "win64" fn flush(handle: u64, block: *mut IoStatusBlock) -> Status {
    match file_of(handle) {
        Ok(_) => set_status(block, NtStatus::SUCCESS, 0),
        Err(status) => status.0,
    }
}

unsafe extern "win64" fn close(handle: u64) -> Status {
    match objects().remove(handle) {
        Some(Object::File(file)) => {
            let file = lock(&file).file;
            plain(call(Call::Close(file)).map(drop))
        }
        Some(_) => 0,
        None => NtStatus::INVALID_HANDLE.0,
    }
}

fn facts_of(file: FileId) -> Result<FileFacts, NtStatus> {
    match call(Call::Facts(file))? {
        Answer::Facts(facts) => Ok(facts),
        _ => Err(MISMATCH),
    }
}

/// `FILE_ATTRIBUTE_NORMAL` stands for "no attribute".
fn attributes_of(facts: &FileFacts) -> u32 {
    let directory = if facts.directory { 0x10 } else { 0 };
    match facts.attributes | directory {
        0 => 0x80,
        attributes => attributes,
    }
}

fn times_of(facts: &FileFacts) -> [u64; 4] {
    [facts.created, facts.modified, facts.modified, facts.modified]
}

/// Clusters of 4096 bytes.
fn allocation_of(facts: &FileFacts) -> u64 {
    facts.size.next_multiple_of(4096)
}

fn network_open(facts: &FileFacts) -> Vec<u8> {
    let mut bytes = Vec::new();
    for time in times_of(facts) {
        bytes.extend_from_slice(&time.to_le_bytes());
    }
    bytes.extend_from_slice(&allocation_of(facts).to_le_bytes());
    bytes.extend_from_slice(&facts.size.to_le_bytes());
    bytes.extend_from_slice(&attributes_of(facts).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

unsafe extern "win64" fn query_information(
    handle: u64,
    block: *mut IoStatusBlock,
    buffer: *mut u8,
    length: u32,
    class: u32,
) -> Status {
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status.0,
    };
    let (id, position, path) = {
        let open = lock(&file);
        (open.file, open.position, open.path.clone())
    };
    let facts = match facts_of(id) {
        Ok(facts) => facts,
        Err(status) => return set_status(block, status, 0),
    };
    let mut bytes = Vec::new();
    match class {
        // FileBasicInformation
        4 => {
            for time in times_of(&facts) {
                bytes.extend_from_slice(&time.to_le_bytes());
            }
            bytes.extend_from_slice(&attributes_of(&facts).to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
        }
        // FileStandardInformation
        5 => {
            bytes.extend_from_slice(&allocation_of(&facts).to_le_bytes());
            bytes.extend_from_slice(&facts.size.to_le_bytes());
            bytes.extend_from_slice(&1_u32.to_le_bytes());
            bytes.extend_from_slice(&[0, u8::from(facts.directory), 0, 0]);
        }
        // FileNameInformation: the path below the volume.
        9 => {
            let below = path.find(":\\").map_or(path.as_str(), |at| &path[at + 1..]);
            let name = below.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
            bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&name);
        }
        // FilePositionInformation
        14 => bytes.extend_from_slice(&position.to_le_bytes()),
        // FileNetworkOpenInformation
        34 => bytes = network_open(&facts),
        _ => return set_status(block, NtStatus::INVALID_INFO_CLASS, 0),
    }
    if bytes.len() > length as usize {
        if class != 9 || length < 4 {
            return set_status(block, NtStatus::INFO_LENGTH_MISMATCH, 0);
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, length as usize);
        return set_status(block, NtStatus::BUFFER_OVERFLOW, u64::from(length));
    }
    std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len());
    set_status(block, NtStatus::SUCCESS, bytes.len() as u64)
}

unsafe extern "win64" fn set_information(
    handle: u64,
    block: *mut IoStatusBlock,
    buffer: *const u8,
    length: u32,
    class: u32,
) -> Status {
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status.0,
    };
    let id = lock(&file).file;
    let result = match (class, length) {
        // FileDispositionInformation
        (13, 1..) => call(Call::SetDeleteOnClose { file: id, delete: *buffer != 0 }).map(drop),
        // FilePositionInformation
        (14, 8..) => {
            lock(&file).position = buffer.cast::<u64>().read_unaligned();
            Ok(())
        }
        // FileEndOfFileInformation
        (20, 8..) => {
            let size = buffer.cast::<u64>().read_unaligned();
            call(Call::SetSize { file: id, size }).map(drop)
        }
        (13 | 14 | 20, _) => Err(NtStatus::INFO_LENGTH_MISMATCH),
        _ => Err(NtStatus::INVALID_INFO_CLASS),
    };
    set_status(block, result.err().unwrap_or(NtStatus::SUCCESS), 0)
}

unsafe extern "win64" fn query_full_attributes(
    attributes: *const ObjectAttributes,
    buffer: *mut u8,
) -> Status {
    let facts = with_opened(attributes, false, facts_of);
    match facts {
        Ok(facts) => {
            let bytes = network_open(&facts);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len());
            0
        }
        Err(status) => status.0,
    }
}

unsafe extern "win64" fn delete_file(attributes: *const ObjectAttributes) -> Status {
    plain(with_opened(attributes, true, |file| {
        call(Call::SetDeleteOnClose { file, delete: true }).map(drop)
    }))
}

unsafe fn with_opened<T>(
    attributes: *const ObjectAttributes,
    write: bool,
    work: impl FnOnce(FileId) -> Result<T, NtStatus>,
) -> Result<T, NtStatus> {
    let request = OpenRequest {
        path: path_of(attributes)?,
        write,
        disposition: Disposition::Open,
        directory: false,
        non_directory: false,
        delete_on_close: false,
    };
    let Answer::Opened(opened) = call(Call::Open(request))? else { return Err(MISMATCH) };
    let result = work(opened.file);
    call(Call::Close(opened.file))?;
    result
}

/// Matches a name against a pattern as the file systems do: `*` and `?`, and their DOS forms `<`, `>`
/// and `"`. Without regard to case.
fn matches(pattern: &[u16], name: &[u16]) -> bool {
    fn fold(unit: u16) -> u16 {
        char::from_u32(u32::from(unit))
            .and_then(|c| c.to_uppercase().next())
            .and_then(|c| u16::try_from(u32::from(c)).ok())
            .unwrap_or(unit)
    }
    // The classic walk with one point to come back to; linear in practice, quadratic at worst.
    let (mut p, mut n) = (0, 0);
    let mut back = None;
    while n < name.len() {
        let unit = pattern.get(p).copied();
        match unit.map(|unit| (unit, u8::try_from(unit).unwrap_or(0))) {
            Some((_, b'*' | b'<')) => {
                back = Some((p, n));
                p += 1;
            }
            Some((unit, byte))
                if matches!(byte, b'?' | b'>')
                    || byte == b'"' && name[n] == u16::from(b'.')
                    || fold(unit) == fold(name[n]) =>
            {
                p += 1;
                n += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    p = star + 1;
                    n = from + 1;
                    back = Some((star, n));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|unit| matches!(u8::try_from(*unit), Ok(b'*' | b'<' | b'"')))
}

/// One entry in the layout of an information class, without padding; None for an unknown class.
fn directory_entry(class: u32, facts: &FileFacts) -> Option<Vec<u8>> {
    let name = facts.name.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let length = (name.len() as u32).to_le_bytes();
    let mut bytes = vec![0; 8];
    // FileNamesInformation
    if class == 12 {
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(&name);
        return Some(bytes);
    }
    for time in times_of(facts) {
        bytes.extend_from_slice(&time.to_le_bytes());
    }
    bytes.extend_from_slice(&facts.size.to_le_bytes());
    bytes.extend_from_slice(&allocation_of(facts).to_le_bytes());
    bytes.extend_from_slice(&attributes_of(facts).to_le_bytes());
    bytes.extend_from_slice(&length);
    match class {
        // FileDirectoryInformation
        1 => {}
        // FileFullDirectoryInformation: EaSize
        2 => bytes.extend_from_slice(&[0; 4]),
        // FileBothDirectoryInformation: EaSize, an empty short name
        3 => bytes.extend_from_slice(&[0; 4 + 2 + 24]),
        _ => return None,
    }
    bytes.extend_from_slice(&name);
    Some(bytes)
}

unsafe extern "win64" fn query_directory(
    handle: u64,
    event: u64,
    _apc: u64,
    _apc_context: u64,
    block: *mut IoStatusBlock,
    buffer: *mut u8,
    length: u32,
    class: u32,
    single: u8,
    pattern: *const UnicodeString,
    restart: u8,
) -> Status {
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status.0,
    };
    let pattern = if pattern.is_null() { "*".to_owned() } else { counted_wide(pattern) };
    let (id, known) = {
        let open = lock(&file);
        (open.file, open.listing.is_some())
    };
    let first = !known || restart != 0;
    if first {
        match list(id, if pattern.is_empty() { "*" } else { &pattern }) {
            Ok(listing) => lock(&file).listing = Some(listing),
            Err(status) => return set_status(block, status, 0),
        }
    }
    let (status, written) = {
        let mut open = lock(&file);
        let listing = open.listing.get_or_insert_default();
        if listing.is_empty() {
            let none = if first { NtStatus::NO_SUCH_FILE } else { NtStatus::NO_MORE_FILES };
            (none, 0)
        } else {
            fill_entries(listing, class, single != 0, buffer, length as usize)
        }
    };
    complete(&file, event, block, status, written as u64)
}

fn list(directory: FileId, pattern: &str) -> Result<Vec<FileFacts>, NtStatus> {
    let Answer::List(found) = call(Call::List(directory))? else { return Err(MISMATCH) };
    let own = facts_of(directory)?;
    let dots = [".", ".."].map(|name| FileFacts { name: name.to_owned(), ..own.clone() });
    let pattern = pattern.encode_utf16().collect::<Vec<_>>();
    Ok(dots
        .into_iter()
        .chain(found)
        .filter(|facts| matches(&pattern, &facts.name.encode_utf16().collect::<Vec<_>>()))
        .collect())
}

/// Writes as many entries as fit and takes them off the list.
unsafe fn fill_entries(
    listing: &mut Vec<FileFacts>,
    class: u32,
    single: bool,
    buffer: *mut u8,
    room: usize,
) -> (NtStatus, usize) {
    let mut written: usize = 0;
    let mut last = None;
    let mut taken = 0;
    for facts in listing.iter() {
        let Some(bytes) = directory_entry(class, facts) else {
            return (NtStatus::INVALID_INFO_CLASS, 0);
        };
        let at: usize = if taken == 0 { 0 } else { written.next_multiple_of(8) };
        if at + bytes.len() > room {
            if taken == 0 {
                return (NtStatus::BUFFER_OVERFLOW, 0);
            }
            break;
        }
        if let Some(last) = last {
            let distance = (at - last) as u32;
            buffer.add(last).cast::<u32>().write_unaligned(distance);
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.add(at), bytes.len());
        last = Some(at);
        written = at + bytes.len();
        taken += 1;
        if single {
            break;
        }
    }
    listing.drain(..taken);
    (NtStatus::SUCCESS, written)
}

/// `FILE_NOTIFY_INFORMATION` records; None where they do not fit.
fn notify_records(changes: &[Change], room: usize) -> Option<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut last = None;
    for change in changes {
        let at = bytes.len().next_multiple_of(4);
        bytes.resize(at, 0);
        if let Some(last) = last {
            let distance = ((at - last) as u32).to_le_bytes();
            bytes.get_mut(last..last + 4)?.copy_from_slice(&distance);
        }
        let action: u32 = match change.action {
            ChangeAction::Added => 1,
            ChangeAction::Removed => 2,
            ChangeAction::Modified => 3,
            ChangeAction::RenamedFrom => 4,
            ChangeAction::RenamedTo => 5,
        };
        let name = change.name.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&action.to_le_bytes());
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&name);
        last = Some(at);
    }
    (bytes.len() <= room).then_some(bytes)
}

unsafe extern "win64" fn notify_change(
    handle: u64,
    event: u64,
    _apc: u64,
    _apc_context: u64,
    block: *mut IoStatusBlock,
    buffer: *mut u8,
    length: u32,
    filter: u32,
    subtree: u8,
) -> Status {
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status.0,
    };
    let (directory, synchronous) = {
        let open = lock(&file);
        (open.file, open.synchronous)
    };
    let request = Call::NotifyChange { directory, filter, subtree: subtree != 0 };
    // As addresses, so that the waiting thread may take them along.
    let (block, buffer) = (block as u64, buffer as u64);
    let wait = move || {
        let answer = call(request);
        let (block, buffer) = (block as *mut IoStatusBlock, buffer as *mut u8);
        // SAFETY: block and buffer are the driver's until this completes, as on Windows.
        unsafe {
            let (status, information) = match answer {
                Ok(Answer::Changes(changes)) => match notify_records(&changes, length as usize) {
                    Some(records) if !records.is_empty() => {
                        std::ptr::copy_nonoverlapping(records.as_ptr(), buffer, records.len());
                        (NtStatus::SUCCESS, records.len() as u64)
                    }
                    _ => (NtStatus::NOTIFY_ENUM_DIR, 0),
                },
                Ok(_) => (MISMATCH, 0),
                Err(status) => (status, 0),
            };
            complete(&file, event, block, status, information)
        }
    };
    if synchronous || current_thread() == 0 {
        return wait();
    }
    match spawn(Box::new(move || {
        wait();
    })) {
        Some(_) => NtStatus::PENDING.0,
        None => NtStatus::INSUFFICIENT_RESOURCES.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_file_systems_do() {
        let check = |pattern: &str, name: &str| {
            let units = |text: &str| text.encode_utf16().collect::<Vec<_>>();
            matches(&units(pattern), &units(name))
        };
        assert!(check("C-00000291-*.sys", "C-00000291-00000000-00000032.sys"));
        assert!(check("c-00000291-*.SYS", "C-00000291-00000000-00000032.sys"));
        assert!(!check("C-00000291-*.sys", "C-00000292-00000000-00000032.sys"));
        assert!(!check("C-00000291-*.sys", "C-00000291-00000000-00000032.sys.bak"));
        assert!(check("*", "anything") && check("*", ""));
        assert!(check("a?c*", "abcd") && !check("a?c", "ac"));
        assert!(check("<.txt", "x.y.txt") && check("a\"b", "a.b"));
        assert!(check("*a*a*b", "aaaaaaaaab") && !check("*a*a*c", "aaaaaaaaab"));
    }

    #[test]
    fn entries_have_their_documented_offsets() {
        let facts =
            FileFacts { name: "ab".to_owned(), size: 5, modified: 7, ..FileFacts::default() };
        for (class, at) in [(12, 12), (1, 0x40), (2, 0x44), (3, 0x5E)] {
            let bytes = directory_entry(class, &facts).unwrap();
            assert_eq!(&bytes[at..], b"a\0b\0", "class {class}");
        }
        assert!(directory_entry(99, &facts).is_none());
    }

    #[test]
    fn changes_are_chained() {
        let change = |name: &str| Change { action: ChangeAction::Added, name: name.to_owned() };
        let bytes = notify_records(&[change("a"), change("b")], 64).unwrap();
        assert_eq!(u32::from_le_bytes(bytes[0..4].try_into().unwrap()), 16);
        assert_eq!(u32::from_le_bytes(bytes[16..20].try_into().unwrap()), 0);
        assert!(notify_records(&[change("a"), change("b")], 20).is_none());
    }
}

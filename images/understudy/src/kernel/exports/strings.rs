//! Strings.

#![expect(unsafe_code, reason = "reads and writes what a driver points to")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "every function here trusts its caller's pointers alike"
)]

use super::super::NtStatus;
use super::super::child::{PoolKind, pool};
use super::super::types::{AnsiString, UnicodeString};
use super::exports;

const TAG: u32 = u32::from_le_bytes(*b"Rtlp");
/// A `UNICODE_STRING` counts bytes in 16 bits.
const LONGEST: usize = 0xFFFE;

exports! {
    RtlInitUnicodeString => init_unicode,
    RtlInitUnicodeStringEx => init_unicode_ex,
    RtlInitAnsiString => init_ansi,
    RtlInitString => init_ansi,
    RtlCompareUnicodeString => compare_unicode,
    RtlEqualUnicodeString => equal_unicode,
    RtlPrefixUnicodeString => prefix_unicode,
    RtlCopyUnicodeString => copy_unicode,
    RtlAppendUnicodeToString => append_text,
    RtlAppendUnicodeStringToString => append_string,
    RtlAnsiStringToUnicodeString => ansi_to_unicode,
    RtlUnicodeStringToAnsiString => unicode_to_ansi,
    RtlFreeUnicodeString => free_unicode,
    RtlFreeAnsiString => free_ansi,
    RtlUpcaseUnicodeString => upcase_string,
    RtlUpcaseUnicodeChar => upcase,
    RtlDowncaseUnicodeChar => downcase,
    RtlUnicodeStringToInteger => to_integer,
    RtlIntegerToUnicodeString => from_integer,
    RtlDuplicateUnicodeString => duplicate,
    RtlHashUnicodeString => hash,
    wcslen => wcslen,
    wcsnlen => wcsnlen,
    wcscmp => wcscmp,
    wcsncmp => wcsncmp,
    _wcsicmp => wcsicmp,
    _wcsnicmp => wcsnicmp,
    wcscpy => wcscpy,
    wcsncpy => wcsncpy,
    wcscat => wcscat,
    wcschr => wcschr,
    wcsrchr => wcsrchr,
    wcsstr => wcsstr,
    towupper => upcase,
    towlower => downcase,
    strlen => strlen,
    strcmp => strcmp,
    strncmp => strncmp,
    _stricmp => stricmp,
    _strnicmp => strnicmp,
    strcpy => strcpy,
    strncpy => strncpy,
    strchr => strchr,
    strrchr => strrchr,
    strstr => strstr,
}

unsafe extern "win64" fn init_unicode(to: *mut UnicodeString, text: *mut u16) {
    let length = if text.is_null() { 0 } else { (wcslen(text) as usize * 2).min(LONGEST - 2) };
    let room = if text.is_null() { 0 } else { length + 2 };
    *to = UnicodeString { length: length as u16, maximum_length: room as u16, buffer: text };
}

unsafe extern "win64" fn init_unicode_ex(to: *mut UnicodeString, text: *mut u16) -> u32 {
    if !text.is_null() && wcslen(text) as usize * 2 > LONGEST - 2 {
        return 0xC000_0106; // STATUS_NAME_TOO_LONG
    }
    init_unicode(to, text);
    0
}

unsafe extern "win64" fn init_ansi(to: *mut AnsiString, text: *mut u8) {
    let length = if text.is_null() { 0 } else { (strlen(text) as usize).min(LONGEST) };
    let room = if text.is_null() { 0 } else { length + 1 };
    *to = AnsiString { length: length as u16, maximum_length: room as u16, buffer: text };
}

/// The characters of a counted string.
pub(super) unsafe fn units<'a>(string: *const UnicodeString) -> &'a [u16] {
    let string = &*string;
    if string.buffer.is_null() || string.length < 2 {
        return &[];
    }
    std::slice::from_raw_parts(string.buffer, usize::from(string.length / 2))
}

/// Simple upper case, one unit to one unit, as the kernel's table.
fn up(unit: u16) -> u16 {
    let mut upper = match char::from_u32(u32::from(unit)) {
        Some(c) => c.to_uppercase(),
        None => return unit,
    };
    match (upper.next(), upper.next()) {
        (Some(c), None) => u16::try_from(u32::from(c)).unwrap_or(unit),
        _ => unit,
    }
}

fn down(unit: u16) -> u16 {
    let mut lower = match char::from_u32(u32::from(unit)) {
        Some(c) => c.to_lowercase(),
        None => return unit,
    };
    match (lower.next(), lower.next()) {
        (Some(c), None) => u16::try_from(u32::from(c)).unwrap_or(unit),
        _ => unit,
    }
}

fn compare(a: &[u16], b: &[u16], fold: bool) -> i32 {
    for (x, y) in a.iter().zip(b) {
        let (x, y) = if fold { (up(*x), up(*y)) } else { (*x, *y) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    a.len() as i32 - b.len() as i32
}

unsafe extern "win64" fn compare_unicode(
    a: *const UnicodeString,
    b: *const UnicodeString,
    fold: u8,
) -> i32 {
    compare(units(a), units(b), fold != 0)
}

unsafe extern "win64" fn equal_unicode(
    a: *const UnicodeString,
    b: *const UnicodeString,
    fold: u8,
) -> u8 {
    u8::from(compare(units(a), units(b), fold != 0) == 0)
}

unsafe extern "win64" fn prefix_unicode(
    a: *const UnicodeString,
    b: *const UnicodeString,
    fold: u8,
) -> u8 {
    let (a, b) = (units(a), units(b));
    u8::from(b.get(..a.len()).is_some_and(|start| compare(a, start, fold != 0) == 0))
}

unsafe extern "win64" fn copy_unicode(to: *mut UnicodeString, from: *const UnicodeString) {
    if from.is_null() {
        (*to).length = 0;
        return;
    }
    let from = units(from);
    let fits = from.len().min(usize::from((*to).maximum_length / 2));
    std::ptr::copy(from.as_ptr(), (*to).buffer, fits);
    (*to).length = (fits * 2) as u16;
    if fits * 2 + 2 <= usize::from((*to).maximum_length) {
        *(*to).buffer.add(fits) = 0;
    }
}

unsafe fn append(to: *mut UnicodeString, from: &[u16]) -> u32 {
    let have = usize::from((*to).length);
    if have + from.len() * 2 > usize::from((*to).maximum_length) {
        return NtStatus::BUFFER_TOO_SMALL.0;
    }
    std::ptr::copy(from.as_ptr(), (*to).buffer.byte_add(have), from.len());
    (*to).length = (have + from.len() * 2) as u16;
    if usize::from((*to).length) + 2 <= usize::from((*to).maximum_length) {
        *(*to).buffer.byte_add(usize::from((*to).length)) = 0;
    }
    0
}

unsafe extern "win64" fn append_text(to: *mut UnicodeString, text: *const u16) -> u32 {
    if text.is_null() {
        return 0;
    }
    append(to, std::slice::from_raw_parts(text, wcslen(text) as usize))
}

unsafe extern "win64" fn append_string(to: *mut UnicodeString, from: *const UnicodeString) -> u32 {
    append(to, units(from))
}

/// Pool memory for `bytes` and a terminator; None when the pool is full.
unsafe fn string_memory(bytes: usize) -> Option<u64> {
    pool().allocate(bytes as u64, TAG, PoolKind::Paged)
}

unsafe extern "win64" fn ansi_to_unicode(
    to: *mut UnicodeString,
    from: *const AnsiString,
    allocate: u8,
) -> u32 {
    let length = usize::from((*from).length);
    let wanted = length * 2 + 2;
    if wanted > LONGEST {
        return NtStatus::INVALID_PARAMETER.0;
    }
    if allocate != 0 {
        let Some(memory) = string_memory(wanted) else { return NtStatus::NO_MEMORY.0 };
        (*to).buffer = memory as *mut u16;
        (*to).maximum_length = wanted as u16;
    } else if wanted - 2 > usize::from((*to).maximum_length) {
        return NtStatus::BUFFER_OVERFLOW.0;
    }
    for at in 0..length {
        *(*to).buffer.add(at) = u16::from(*(*from).buffer.add(at));
    }
    (*to).length = (length * 2) as u16;
    if wanted <= usize::from((*to).maximum_length) {
        *(*to).buffer.add(length) = 0;
    }
    0
}

unsafe extern "win64" fn unicode_to_ansi(
    to: *mut AnsiString,
    from: *const UnicodeString,
    allocate: u8,
) -> u32 {
    let from = units(from);
    let wanted = from.len() + 1;
    if allocate != 0 {
        let Some(memory) = string_memory(wanted) else { return NtStatus::NO_MEMORY.0 };
        (*to).buffer = memory as *mut u8;
        (*to).maximum_length = wanted as u16;
    } else if wanted > usize::from((*to).maximum_length) {
        return NtStatus::BUFFER_OVERFLOW.0;
    }
    for (at, unit) in from.iter().enumerate() {
        *(*to).buffer.add(at) = u8::try_from(*unit).unwrap_or(b'?');
    }
    *(*to).buffer.add(from.len()) = 0;
    (*to).length = from.len() as u16;
    0
}

unsafe extern "win64" fn free_unicode(string: *mut UnicodeString) {
    release((*string).buffer as u64);
    *string = UnicodeString { length: 0, maximum_length: 0, buffer: std::ptr::null_mut() };
}

unsafe extern "win64" fn free_ansi(string: *mut AnsiString) {
    release((*string).buffer as u64);
    *string = AnsiString { length: 0, maximum_length: 0, buffer: std::ptr::null_mut() };
}

fn release(buffer: u64) {
    if buffer != 0 && pool().free(buffer, None).is_err() {
        // Not from the pool: Windows would stop; here the string was the driver's own and stays.
    }
}

unsafe extern "win64" fn upcase_string(
    to: *mut UnicodeString,
    from: *const UnicodeString,
    allocate: u8,
) -> u32 {
    let from = units(from);
    if allocate != 0 {
        let Some(memory) = string_memory(from.len() * 2) else { return NtStatus::NO_MEMORY.0 };
        (*to).buffer = memory as *mut u16;
        (*to).maximum_length = (from.len() * 2) as u16;
    } else if from.len() * 2 > usize::from((*to).maximum_length) {
        return NtStatus::BUFFER_OVERFLOW.0;
    }
    for (at, unit) in from.iter().enumerate() {
        *(*to).buffer.add(at) = up(*unit);
    }
    (*to).length = (from.len() * 2) as u16;
    0
}

unsafe extern "win64" fn upcase(unit: u16) -> u16 {
    up(unit)
}

unsafe extern "win64" fn downcase(unit: u16) -> u16 {
    down(unit)
}

unsafe extern "win64" fn to_integer(from: *const UnicodeString, base: u32, to: *mut u32) -> u32 {
    let text = String::from_utf16_lossy(units(from));
    let text = text.trim_start();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, text) = match (base, text) {
        (0, text) if text.starts_with("0x") => (16, &text[2..]),
        (0, text) if text.starts_with("0o") => (8, &text[2..]),
        (0, text) if text.starts_with("0b") => (2, &text[2..]),
        (0, text) => (10, text),
        (base @ (2 | 8 | 10 | 16), text) => (base, text),
        _ => return NtStatus::INVALID_PARAMETER.0,
    };
    let value = text
        .chars()
        .map_while(|c| c.to_digit(base))
        .fold(0_u32, |value, digit| value.wrapping_mul(base).wrapping_add(digit));
    *to = if negative { value.wrapping_neg() } else { value };
    0
}

unsafe extern "win64" fn from_integer(value: u32, base: u32, to: *mut UnicodeString) -> u32 {
    let text = match base {
        0 | 10 => value.to_string(),
        16 => format!("{value:X}"),
        8 => format!("{value:o}"),
        2 => format!("{value:b}"),
        _ => return NtStatus::INVALID_PARAMETER.0,
    };
    let text = text.encode_utf16().collect::<Vec<_>>();
    if text.len() * 2 > usize::from((*to).maximum_length) {
        return NtStatus::BUFFER_OVERFLOW.0;
    }
    (*to).length = 0;
    append(to, &text)
}

unsafe extern "win64" fn duplicate(
    flags: u32,
    from: *const UnicodeString,
    to: *mut UnicodeString,
) -> u32 {
    let from = units(from);
    let terminator = usize::from(flags & 1 != 0) * 2;
    let Some(memory) = string_memory(from.len() * 2 + terminator) else {
        return NtStatus::NO_MEMORY.0;
    };
    let room = (from.len() * 2 + terminator) as u16;
    *to = UnicodeString { length: 0, maximum_length: room, buffer: memory as *mut u16 };
    append(to, from)
}

/// `HASH_STRING_ALGORITHM_X65599`, the only one documented.
unsafe extern "win64" fn hash(
    string: *const UnicodeString,
    fold: u8,
    algorithm: u32,
    to: *mut u32,
) -> u32 {
    if algorithm > 1 {
        return NtStatus::INVALID_PARAMETER.0;
    }
    *to = units(string).iter().fold(0_u32, |hash, unit| {
        let unit = if fold != 0 { up(*unit) } else { *unit };
        hash.wrapping_mul(65599).wrapping_add(u32::from(unit))
    });
    0
}

unsafe extern "win64" fn wcslen(text: *const u16) -> u64 {
    (0..).find(|at| *text.add(*at) == 0).unwrap_or(0) as u64
}

unsafe extern "win64" fn wcsnlen(text: *const u16, limit: u64) -> u64 {
    (0..limit).find(|at| *text.add(*at as usize) == 0).unwrap_or(limit)
}

unsafe extern "win64" fn strlen(text: *const u8) -> u64 {
    (0..).find(|at| *text.add(*at) == 0).unwrap_or(0) as u64
}

/// Compares up to `limit` units after mapping each.
unsafe fn compare_text<T: Copy + Into<i32>>(
    a: *const T,
    b: *const T,
    limit: u64,
    map: impl Fn(i32) -> i32,
) -> i32 {
    for at in 0..limit as usize {
        let (x, y) = (map((*a.add(at)).into()), map((*b.add(at)).into()));
        if x != y {
            return x - y;
        }
        if x == 0 {
            return 0;
        }
    }
    0
}

fn same(unit: i32) -> i32 {
    unit
}

/// Lower case in ASCII, as the C runtime's `C` locale.
fn lower(unit: i32) -> i32 {
    if (0x41..=0x5A).contains(&unit) { unit + 0x20 } else { unit }
}

unsafe extern "win64" fn wcscmp(a: *const u16, b: *const u16) -> i32 {
    compare_text(a, b, u64::MAX >> 1, same)
}

unsafe extern "win64" fn wcsncmp(a: *const u16, b: *const u16, limit: u64) -> i32 {
    compare_text(a, b, limit, same)
}

unsafe extern "win64" fn wcsicmp(a: *const u16, b: *const u16) -> i32 {
    compare_text(a, b, u64::MAX >> 1, lower)
}

unsafe extern "win64" fn wcsnicmp(a: *const u16, b: *const u16, limit: u64) -> i32 {
    compare_text(a, b, limit, lower)
}

unsafe extern "win64" fn strcmp(a: *const u8, b: *const u8) -> i32 {
    compare_text(a, b, u64::MAX >> 1, same)
}

unsafe extern "win64" fn strncmp(a: *const u8, b: *const u8, limit: u64) -> i32 {
    compare_text(a, b, limit, same)
}

unsafe extern "win64" fn stricmp(a: *const u8, b: *const u8) -> i32 {
    compare_text(a, b, u64::MAX >> 1, lower)
}

unsafe extern "win64" fn strnicmp(a: *const u8, b: *const u8, limit: u64) -> i32 {
    compare_text(a, b, limit, lower)
}

/// Copies with the terminator; with a limit, fills the rest with zeroes as `strncpy` does.
unsafe fn copy_text<T: Copy + PartialEq + From<u8>>(
    to: *mut T,
    from: *const T,
    limit: Option<u64>,
) {
    let zero = T::from(0);
    let mut at = 0;
    while limit.is_none_or(|limit| (at as u64) < limit) {
        let unit = *from.add(at);
        *to.add(at) = unit;
        at += 1;
        if unit == zero {
            break;
        }
    }
    while limit.is_some_and(|limit| (at as u64) < limit) {
        *to.add(at) = zero;
        at += 1;
    }
}

unsafe extern "win64" fn wcscpy(to: *mut u16, from: *const u16) -> *mut u16 {
    copy_text(to, from, None);
    to
}

unsafe extern "win64" fn wcsncpy(to: *mut u16, from: *const u16, limit: u64) -> *mut u16 {
    copy_text(to, from, Some(limit));
    to
}

unsafe extern "win64" fn wcscat(to: *mut u16, from: *const u16) -> *mut u16 {
    copy_text(to.add(wcslen(to) as usize), from, None);
    to
}

unsafe extern "win64" fn strcpy(to: *mut u8, from: *const u8) -> *mut u8 {
    copy_text(to, from, None);
    to
}

unsafe extern "win64" fn strncpy(to: *mut u8, from: *const u8, limit: u64) -> *mut u8 {
    copy_text(to, from, Some(limit));
    to
}

unsafe fn find<T: Copy + PartialEq>(text: *const T, length: u64, unit: T, last: bool) -> *const T {
    // The terminator can be searched for too.
    let mut places = (0..=length as usize).filter(|at| *text.add(*at) == unit);
    let found = if last { places.next_back() } else { places.next() };
    found.map_or(std::ptr::null(), |at| text.add(at))
}

unsafe extern "win64" fn wcschr(text: *const u16, unit: u16) -> *const u16 {
    find(text, wcslen(text), unit, false)
}

unsafe extern "win64" fn wcsrchr(text: *const u16, unit: u16) -> *const u16 {
    find(text, wcslen(text), unit, true)
}

unsafe extern "win64" fn strchr(text: *const u8, unit: u32) -> *const u8 {
    find(text, strlen(text), unit as u8, false)
}

unsafe extern "win64" fn strrchr(text: *const u8, unit: u32) -> *const u8 {
    find(text, strlen(text), unit as u8, true)
}

unsafe fn find_text<T: Copy + PartialEq>(
    text: *const T,
    length: u64,
    part: *const T,
    part_length: u64,
) -> *const T {
    let text_slice = std::slice::from_raw_parts(text, length as usize);
    let part = std::slice::from_raw_parts(part, part_length as usize);
    if part.is_empty() {
        return text;
    }
    let found = text_slice.windows(part.len()).position(|window| window == part);
    found.map_or(std::ptr::null(), |at| text.add(at))
}

unsafe extern "win64" fn wcsstr(text: *const u16, part: *const u16) -> *const u16 {
    find_text(text, wcslen(text), part, wcslen(part))
}

unsafe extern "win64" fn strstr(text: *const u8, part: *const u8) -> *const u8 {
    find_text(text, strlen(text), part, strlen(part))
}

//! DbgPrint and the printf family.

#![expect(unsafe_code, reason = "reads what a driver passes")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "every function here trusts its caller's pointers alike"
)]

use super::super::child::state;
use super::super::types::{AnsiString, UnicodeString};
use super::{exports, variadic};

/// DbgPrint cuts its output at 512 bytes.
const DBG_PRINT_LIMIT: usize = 512;
const FORMAT_LIMIT: usize = 4096;

unsafe extern "C" {
    fn understudy_dbg_print();
    fn understudy_dbg_print_ex();
    fn understudy_snprintf();
    fn understudy_sprintf();
    fn understudy_snwprintf();
    fn understudy_swprintf();
}

variadic!("understudy_dbg_print", dbg_print);
variadic!("understudy_dbg_print_ex", dbg_print_ex);
variadic!("understudy_snprintf", snprintf);
variadic!("understudy_sprintf", sprintf);
variadic!("understudy_snwprintf", snwprintf);
variadic!("understudy_swprintf", swprintf);

exports! {
    DbgPrint => understudy_dbg_print,
    DbgPrintEx => understudy_dbg_print_ex,
    vDbgPrintEx => v_dbg_print_ex,
    _snprintf => understudy_snprintf,
    sprintf => understudy_sprintf,
    _vsnprintf => vsnprintf,
    _snwprintf => understudy_snwprintf,
    swprintf => understudy_swprintf,
    _vsnwprintf => vsnwprintf,
}

/// Arguments, eight bytes each.
type Arguments = *const u64;

fn print(text: &str) {
    let mut end = text.len().min(DBG_PRINT_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    state().print(&text[..end]);
}

unsafe extern "win64" fn dbg_print(arguments: Arguments) -> u32 {
    print(&format(&narrow(*arguments as *const u8), arguments.add(1)));
    0
}

unsafe extern "win64" fn dbg_print_ex(arguments: Arguments) -> u32 {
    print(&format(&narrow(*arguments.add(2) as *const u8), arguments.add(3)));
    0
}

unsafe extern "win64" fn v_dbg_print_ex(_: u32, _: u32, text: *const u8, list: Arguments) -> u32 {
    print(&format(&narrow(text), list));
    0
}

unsafe extern "win64" fn snprintf(a: Arguments) -> i32 {
    vsnprintf(*a as *mut u8, *a.add(1), *a.add(2) as *const u8, a.add(3))
}

unsafe extern "win64" fn sprintf(a: Arguments) -> i32 {
    vsnprintf(*a as *mut u8, u64::from(u32::MAX), *a.add(1) as *const u8, a.add(2))
}

unsafe extern "win64" fn snwprintf(a: Arguments) -> i32 {
    vsnwprintf(*a as *mut u16, *a.add(1), *a.add(2) as *const u16, a.add(3))
}

unsafe extern "win64" fn swprintf(a: Arguments) -> i32 {
    vsnwprintf(*a as *mut u16, u64::from(u32::MAX), *a.add(1) as *const u16, a.add(2))
}

/// As the C runtime of Windows: -1 and no terminator where the text does not fit.
unsafe extern "win64" fn vsnprintf(
    to: *mut u8,
    size: u64,
    text: *const u8,
    list: Arguments,
) -> i32 {
    let text = format(&narrow(text), list);
    finish(to, size, &text.bytes().collect::<Vec<_>>())
}

unsafe extern "win64" fn vsnwprintf(
    to: *mut u16,
    size: u64,
    text: *const u16,
    list: Arguments,
) -> i32 {
    let text = format(&wide(text), list);
    finish(to, size, &text.encode_utf16().collect::<Vec<_>>())
}

unsafe fn finish<T: Copy + From<u8>>(to: *mut T, size: u64, text: &[T]) -> i32 {
    let fits = (text.len() as u64).min(size) as usize;
    std::ptr::copy_nonoverlapping(text.as_ptr(), to, fits);
    if (text.len() as u64) < size {
        *to.add(text.len()) = T::from(0);
    }
    if text.len() as u64 > size { -1 } else { text.len() as i32 }
}

/// Bytes up to the terminator, each taken as one character (drivers print in Latin-1 or ASCII).
pub(super) unsafe fn narrow(text: *const u8) -> String {
    let mut out = String::new();
    for at in 0..FORMAT_LIMIT {
        match *text.add(at) {
            0 => break,
            byte => out.push(char::from(byte)),
        }
    }
    out
}

/// UTF-16 up to the terminator.
pub(super) unsafe fn wide(text: *const u16) -> String {
    let mut units = Vec::new();
    for at in 0..FORMAT_LIMIT {
        match *text.add(at) {
            0 => break,
            unit => units.push(unit),
        }
    }
    String::from_utf16_lossy(&units)
}

#[derive(Default)]
struct Field {
    left: bool,
    zero: bool,
    plus: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    size: Size,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Size {
    #[default]
    Int,
    Short,
    Byte,
    Long64,
    Wide,
}

/// Formats as the kernel's printf does. `long` is 32 bits on Windows.
pub(super) unsafe fn format(text: &str, mut next: Arguments) -> String {
    let mut take = || {
        let value = *next;
        next = next.add(1);
        value
    };
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut field = Field::default();
        while let Some(flag) = chars.next_if(|c| "-0+# ".contains(*c)) {
            match flag {
                '-' => field.left = true,
                '0' => field.zero = true,
                '+' => field.plus = true,
                '#' => field.alternate = true,
                _ => {}
            }
        }
        let mut number = || {
            if chars.next_if_eq(&'*').is_some() {
                return Some(take() as u32 as usize);
            }
            let mut value = None;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                chars.next();
                value = Some((value.unwrap_or(0) * 10 + digit as usize).min(DBG_PRINT_LIMIT));
            }
            value
        };
        field.width = number().unwrap_or(0).min(DBG_PRINT_LIMIT);
        if chars.next_if_eq(&'.').is_some() {
            let mut number = || {
                if chars.next_if_eq(&'*').is_some() {
                    return take() as u32 as usize;
                }
                let mut value = 0;
                while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                    chars.next();
                    value = (value * 10 + digit as usize).min(DBG_PRINT_LIMIT);
                }
                value
            };
            field.precision = Some(number().min(DBG_PRINT_LIMIT));
        }
        let kind = loop {
            match chars.next() {
                Some('h') => {
                    field.size = if field.size == Size::Short { Size::Byte } else { Size::Short }
                }
                Some('l') if field.size == Size::Wide => field.size = Size::Long64,
                Some('l' | 'w') => field.size = Size::Wide,
                Some('I') => {
                    let digits = (chars.next_if(|c| "63".contains(*c)), chars.peek().copied());
                    field.size = match digits {
                        (Some('6'), Some('4')) => {
                            chars.next();
                            Size::Long64
                        }
                        (Some('3'), Some('2')) => {
                            chars.next();
                            Size::Int
                        }
                        _ => Size::Long64,
                    };
                }
                Some('z' | 'j' | 't' | 'L' | 'q') => field.size = Size::Long64,
                other => break other,
            }
        };
        let piece = match kind {
            Some('%') => "%".to_owned(),
            Some(kind @ ('d' | 'i' | 'u' | 'x' | 'X' | 'o')) => integer(&field, kind, take()),
            Some('p' | 'P') => {
                let field = Field { zero: true, width: 16, ..field };
                integer(&Field { size: Size::Long64, ..field }, 'X', take())
            }
            Some('c' | 'C') => char::from_u32(take() as u32 & 0xFFFF).unwrap_or('?').to_string(),
            Some(kind @ ('s' | 'S')) => {
                let address = take();
                let is_wide = match field.size {
                    Size::Wide => true,
                    Size::Short => false,
                    _ => kind == 'S',
                };
                match (address, is_wide) {
                    (0, _) => "(null)".to_owned(),
                    (_, true) => wide(address as *const u16),
                    (_, false) => narrow(address as *const u8),
                }
            }
            Some('Z') => match (take(), field.size) {
                (0, _) => "(null)".to_owned(),
                (address, Size::Wide) => counted_wide(address as *const UnicodeString),
                (address, _) => counted_narrow(address as *const AnsiString),
            },
            Some(other) => format!("%{other}"),
            None => "%".to_owned(),
        };
        let piece = match field.precision {
            Some(limit) if matches!(kind, Some('s' | 'S' | 'Z')) => {
                piece.chars().take(limit).collect()
            }
            _ => piece,
        };
        let missing = field.width.saturating_sub(piece.chars().count());
        if field.left {
            out.push_str(&piece);
            out.extend(std::iter::repeat_n(' ', missing));
        } else {
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(&piece);
        }
    }
    out
}

/// The text of a `UNICODE_STRING`.
pub(super) unsafe fn counted_wide(string: *const UnicodeString) -> String {
    let string = &*string;
    if string.buffer.is_null() {
        return String::new();
    }
    let units = std::slice::from_raw_parts(string.buffer, usize::from(string.length / 2));
    String::from_utf16_lossy(units)
}

unsafe fn counted_narrow(string: *const AnsiString) -> String {
    let string = &*string;
    if string.buffer.is_null() {
        return String::new();
    }
    let bytes = std::slice::from_raw_parts(string.buffer, usize::from(string.length));
    bytes.iter().copied().map(char::from).collect()
}

fn integer(field: &Field, kind: char, value: u64) -> String {
    let (signed, unsigned) = match field.size {
        Size::Long64 => (value.cast_signed(), value),
        Size::Short => (i64::from(value as i16), u64::from(value as u16)),
        Size::Byte => (i64::from(value as i8), u64::from(value as u8)),
        Size::Int | Size::Wide => (i64::from(value as i32), u64::from(value as u32)),
    };
    let digits = match kind {
        'd' | 'i' => signed.unsigned_abs().to_string(),
        'u' => unsigned.to_string(),
        'o' => format!("{unsigned:o}"),
        'x' => format!("{unsigned:x}"),
        _ => format!("{unsigned:X}"),
    };
    let sign = match kind {
        'd' | 'i' if signed < 0 => "-",
        'd' | 'i' if field.plus => "+",
        'x' | 'X' if field.alternate && unsigned != 0 => "0x",
        _ => "",
    };
    let wanted = match field.precision {
        Some(precision) => precision,
        None if field.zero && !field.left => field.width.saturating_sub(sign.len()),
        None => 0,
    };
    let zeros = wanted.saturating_sub(digits.len());
    format!("{sign}{}{digits}", "0".repeat(zeros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, arguments: &[u64]) -> String {
        // SAFETY: each test passes as many arguments as its format takes.
        unsafe { format(text, arguments.as_ptr()) }
    }

    #[test]
    fn formats_what_drivers_print() {
        assert_eq!(
            with("%d %u|%5d|%-5d|%05d", &[u64::MAX, 7, 42, 42, 42]),
            "-1 7|   42|42   |00042"
        );
        assert_eq!(with("%x %08X %#x", &[0xAB, 0xCD, 0x1F]), "ab 000000CD 0x1f");
        assert_eq!(
            with("%llx %I64u %lu", &[1 << 40, 1 << 33, 1 << 33]),
            "10000000000 8589934592 0"
        );
        assert_eq!(with("%p", &[0xFFFF_F800_0000_1234]), "FFFFF80000001234");
        let text = b"abc\0";
        assert_eq!(
            with("[%s] [%.2s] %c%%", &[text.as_ptr() as u64, text.as_ptr() as u64, 0x41]),
            "[abc] [ab] A%"
        );
        let wide = [0x68_u16, 0x69, 0];
        let string =
            UnicodeString { length: 4, maximum_length: 6, buffer: wide.as_ptr().cast_mut() };
        let at = &raw const string as u64;
        assert_eq!(
            with("%ws %wZ %S", &[wide.as_ptr() as u64, at, wide.as_ptr() as u64]),
            "hi hi hi"
        );
        assert_eq!(with("%s", &[0]), "(null)");
    }
}

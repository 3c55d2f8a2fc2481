//! The data of values, typed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bytes::{utf16_bytes, utf16_units};
use crate::escaped;

/// The type of a value (`REG_…`, winnt.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
pub enum ValueType {
    /// `REG_NONE`.
    None,
    /// `REG_SZ`.
    String,
    /// `REG_EXPAND_SZ`: contains `%NAME%` references.
    ExpandString,
    /// `REG_BINARY`.
    Binary,
    /// `REG_DWORD`: 32 bits, little-endian.
    Dword,
    /// `REG_DWORD_BIG_ENDIAN`.
    DwordBigEndian,
    /// `REG_LINK`: the target of a symbolic link key.
    Link,
    /// `REG_MULTI_SZ`: strings, each terminated, and one more terminator.
    MultiString,
    /// `REG_QWORD`: 64 bits, little-endian.
    Qword,
    /// Any other number; some device properties and resource lists use their own.
    Other(u32),
}

impl From<u32> for ValueType {
    fn from(number: u32) -> Self {
        match number {
            0 => ValueType::None,
            1 => ValueType::String,
            2 => ValueType::ExpandString,
            3 => ValueType::Binary,
            4 => ValueType::Dword,
            5 => ValueType::DwordBigEndian,
            6 => ValueType::Link,
            7 => ValueType::MultiString,
            11 => ValueType::Qword,
            other => ValueType::Other(other),
        }
    }
}

impl From<ValueType> for u32 {
    fn from(kind: ValueType) -> u32 {
        match kind {
            ValueType::None => 0,
            ValueType::String => 1,
            ValueType::ExpandString => 2,
            ValueType::Binary => 3,
            ValueType::Dword => 4,
            ValueType::DwordBigEndian => 5,
            ValueType::Link => 6,
            ValueType::MultiString => 7,
            ValueType::Qword => 11,
            ValueType::Other(number) => number,
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueType::None => "REG_NONE",
            ValueType::String => "REG_SZ",
            ValueType::ExpandString => "REG_EXPAND_SZ",
            ValueType::Binary => "REG_BINARY",
            ValueType::Dword => "REG_DWORD",
            ValueType::DwordBigEndian => "REG_DWORD_BIG_ENDIAN",
            ValueType::Link => "REG_LINK",
            ValueType::MultiString => "REG_MULTI_SZ",
            ValueType::Qword => "REG_QWORD",
            ValueType::Other(number) => return write!(f, "type {number:#x}"),
        })
    }
}

/// A value's type and bytes. The bytes are kept as they are, so what is no valid text survives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Data {
    /// What the bytes mean.
    pub kind: ValueType,
    /// The bytes as stored.
    pub bytes: Vec<u8>,
}

impl Data {
    /// A `REG_SZ` with its terminator.
    pub fn string(text: &str) -> Self {
        Self { kind: ValueType::String, bytes: terminated(text) }
    }

    /// A `REG_EXPAND_SZ` with its terminator.
    pub fn expand_string(text: &str) -> Self {
        Self { kind: ValueType::ExpandString, bytes: terminated(text) }
    }

    /// A `REG_MULTI_SZ`. An empty string in it would end the list, so empty ones are left out.
    pub fn multi_string<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Self {
        let mut bytes = Vec::new();
        for text in texts {
            if !text.as_ref().is_empty() {
                bytes.extend(terminated(text.as_ref()));
            }
        }
        bytes.extend([0, 0]);
        Self { kind: ValueType::MultiString, bytes }
    }

    /// A `REG_DWORD`.
    pub fn dword(number: u32) -> Self {
        Self { kind: ValueType::Dword, bytes: number.to_le_bytes().to_vec() }
    }

    /// A `REG_QWORD`.
    pub fn qword(number: u64) -> Self {
        Self { kind: ValueType::Qword, bytes: number.to_le_bytes().to_vec() }
    }

    /// A `REG_BINARY`.
    pub fn binary(bytes: impl Into<Vec<u8>>) -> Self {
        Self { kind: ValueType::Binary, bytes: bytes.into() }
    }

    /// The number of a `REG_DWORD` or `REG_DWORD_BIG_ENDIAN` of four bytes.
    pub fn as_dword(&self) -> Option<u32> {
        let bytes = self.bytes.as_slice().try_into().ok()?;
        match self.kind {
            ValueType::Dword => Some(u32::from_le_bytes(bytes)),
            ValueType::DwordBigEndian => Some(u32::from_be_bytes(bytes)),
            _ => None,
        }
    }

    /// The number of a `REG_QWORD` of eight bytes.
    pub fn as_qword(&self) -> Option<u64> {
        let bytes = self.bytes.as_slice().try_into().ok()?;
        (self.kind == ValueType::Qword).then(|| u64::from_le_bytes(bytes))
    }

    /// The text of a `REG_SZ`, `REG_EXPAND_SZ` or `REG_LINK` up to its terminator, which may be
    /// missing. An odd last byte is left out; a unit that is no text becomes U+FFFD.
    pub fn as_string(&self) -> Option<String> {
        match self.kind {
            ValueType::String | ValueType::ExpandString | ValueType::Link => {
                let units = utf16_units(&self.bytes);
                let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
                Some(String::from_utf16_lossy(&units[..end]))
            }
            _ => None,
        }
    }

    /// The texts of a `REG_MULTI_SZ` up to the empty one that ends it, or to the end of the bytes.
    pub fn as_multi_string(&self) -> Option<Vec<String>> {
        if self.kind != ValueType::MultiString {
            return None;
        }
        let units = utf16_units(&self.bytes);
        let texts = units.split(|&unit| unit == 0).take_while(|text| !text.is_empty());
        Some(texts.map(String::from_utf16_lossy).collect())
    }

    /// The bytes of a `REG_BINARY`.
    pub fn as_binary(&self) -> Option<&[u8]> {
        (self.kind == ValueType::Binary).then_some(self.bytes.as_slice())
    }
}

impl fmt::Display for Data {
    /// For people: text in quotes and [`escaped`], numbers in hex and decimal, anything else as hex bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &String| format!("\"{}\"", escaped(text));
        if let Some(text) = self.as_string() {
            return f.write_str(&quoted(&text));
        }
        if let Some(texts) = self.as_multi_string() {
            let texts: Vec<String> = texts.iter().map(quoted).collect();
            return write!(f, "[{}]", texts.join(", "));
        }
        if let Some(number) = self.as_dword() {
            return write!(f, "{number:#x} ({number})");
        }
        if let Some(number) = self.as_qword() {
            return write!(f, "{number:#x} ({number})");
        }
        for (index, byte) in self.bytes.iter().enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

fn terminated(text: &str) -> Vec<u8> {
    utf16_bytes(text.encode_utf16().chain([0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(kind: ValueType, bytes: &[u8]) -> Data {
        Data { kind, bytes: bytes.to_vec() }
    }

    #[test]
    fn strings_of_all_endings() {
        let sz = |bytes: &[u8]| raw(ValueType::String, bytes).as_string().unwrap();
        assert_eq!(sz(b"a\0b\0\0\0"), "ab");
        assert_eq!(sz(b"a\0b\0"), "ab", "no terminator");
        assert_eq!(sz(b"a\0b\0\0"), "ab", "odd length");
        assert_eq!(sz(b"a\0\0\0b\0"), "a", "text behind the terminator");
        assert_eq!(sz(b""), "");
        assert_eq!(sz(b"x"), "");
        assert_eq!(sz(b"\x00\xd8a\0"), "\u{fffd}a", "broken surrogate");
    }

    #[test]
    fn multi_strings_of_all_endings() {
        let multi = |bytes: &[u8]| raw(ValueType::MultiString, bytes).as_multi_string().unwrap();
        assert_eq!(multi(b"a\0\0\0b\0\0\0\0\0"), ["a", "b"]);
        assert_eq!(multi(b"a\0\0\0b\0"), ["a", "b"], "no terminators");
        assert_eq!(multi(b"\0\0"), Vec::<String>::new());
        assert_eq!(multi(b""), Vec::<String>::new());
        assert_eq!(multi(b"a\0\0\0\0\0b\0\0\0"), ["a"], "text behind the end");
        let written = Data::multi_string(["System Reserved", "", "Boot Bus Extender"]);
        assert_eq!(written.as_multi_string().unwrap(), ["System Reserved", "Boot Bus Extender"]);
        assert_eq!(Data::multi_string::<&str>([]).bytes, [0, 0]);
    }

    #[test]
    fn numbers_need_their_exact_size() {
        assert_eq!(Data::dword(7).as_dword(), Some(7));
        assert_eq!(raw(ValueType::DwordBigEndian, &[0, 0, 0, 7]).as_dword(), Some(7));
        assert_eq!(raw(ValueType::Dword, &[7, 0, 0]).as_dword(), None);
        assert_eq!(raw(ValueType::Qword, &[7, 0, 0, 0]).as_qword(), None);
        assert_eq!(Data::qword(1 << 40).as_qword(), Some(1 << 40));
        assert_eq!(Data::dword(7).as_string(), None);
    }
}

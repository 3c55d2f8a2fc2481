//! Values as people type them: names of types, and data of each type.

use std::str::FromStr;

use super::{Data, ValueType};
use crate::bytes::utf16_bytes;

/// What somebody typed is no value of the type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataTextError {
    /// The name of the type.
    #[error(
        "`{0}` is not a type of value; known are REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ, REG_DWORD, REG_QWORD, REG_BINARY, REG_NONE, REG_LINK and REG_DWORD_BIG_ENDIAN, short sz, expand-sz, multi-sz, dword, qword, binary (or hex), none, link and dword-be, and numbers such as 0x10"
    )]
    Type(String),
    /// A number.
    #[error(
        "`{text}` is not the number of a {kind}: write 0 to {largest}, or 0x and hexadecimal digits"
    )]
    Number {
        /// What was typed.
        text: String,
        /// What it should be.
        kind: ValueType,
        /// The largest number that fits.
        largest: u64,
    },
    /// Bytes.
    #[error(
        "`{text}` is not the bytes of a {kind}: write two hexadecimal digits for each, such as `01 ff` or 01ff"
    )]
    Bytes {
        /// What was typed.
        text: String,
        /// What they should be.
        kind: ValueType,
    },
    /// Several arguments where one belongs.
    #[error("a {kind} is one argument, not {count}; put quotes around a text with spaces")]
    Count {
        /// What it should be.
        kind: ValueType,
        /// How many there are.
        count: usize,
    },
    /// An empty text in a list of texts.
    #[error("a REG_MULTI_SZ cannot hold an empty text: it would end the list; leave it out")]
    EmptyText,
}

impl FromStr for ValueType {
    type Err = DataTextError;

    /// `REG_SZ` or `sz`, in any case, with `_` or `-`; a number for what has no name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_lowercase().replace('_', "-");
        Ok(match name.strip_prefix("reg-").unwrap_or(&name) {
            "none" => ValueType::None,
            "sz" => ValueType::String,
            "expand-sz" => ValueType::ExpandString,
            "binary" | "hex" => ValueType::Binary,
            "dword" | "dword-little-endian" => ValueType::Dword,
            "dword-big-endian" | "dword-be" => ValueType::DwordBigEndian,
            "link" => ValueType::Link,
            "multi-sz" => ValueType::MultiString,
            "qword" | "qword-little-endian" => ValueType::Qword,
            number => parse_number(number)
                .and_then(|number| u32::try_from(number).ok())
                .map(ValueType::from)
                .ok_or_else(|| DataTextError::Type(text.to_owned()))?,
        })
    }
}

impl Data {
    /// Data as typed: one argument, or for a `REG_MULTI_SZ` one for each text. Bytes of types that are
    /// neither text nor number are hexadecimal, with or without spaces or commas between them.
    ///
    /// # Errors
    /// [`DataTextError`], with what was expected.
    pub fn from_text<S: AsRef<str>>(kind: ValueType, texts: &[S]) -> Result<Self, DataTextError> {
        let one = || match texts {
            [text] => Ok(text.as_ref()),
            _ => Err(DataTextError::Count { kind, count: texts.len() }),
        };
        let number = |largest: u64| {
            let text = one()?;
            parse_number(text)
                .filter(|&number| number <= largest)
                .ok_or_else(|| DataTextError::Number { text: text.to_owned(), kind, largest })
        };
        let dword = || {
            let number = number(u32::MAX.into())?;
            Ok(u32::try_from(number).unwrap_or(u32::MAX))
        };
        Ok(match kind {
            ValueType::String => Self::string(one()?),
            ValueType::ExpandString => Self::expand_string(one()?),
            // Targets of links have no terminator.
            ValueType::Link => Self { kind, bytes: utf16_bytes(one()?.encode_utf16()) },
            ValueType::MultiString => {
                if texts.iter().any(|text| text.as_ref().is_empty()) {
                    return Err(DataTextError::EmptyText);
                }
                Self::multi_string(texts)
            }
            ValueType::Dword => Self::dword(dword()?),
            ValueType::DwordBigEndian => Self { kind, bytes: dword()?.to_be_bytes().to_vec() },
            ValueType::Qword => Self::qword(number(u64::MAX)?),
            ValueType::None | ValueType::Binary | ValueType::Other(_) => {
                let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
                let text = texts.join(" ");
                let bytes = parse_bytes(&text).ok_or(DataTextError::Bytes { text, kind })?;
                Self { kind, bytes }
            }
        })
    }
}

fn parse_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` takes a sign, which has no place here.
    let first = digits.chars().next()?;
    first.is_ascii_hexdigit().then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

fn parse_bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for group in text.split([' ', ',', ':', '\n', '\t']).filter(|group| !group.is_empty()) {
        if !group.len().is_multiple_of(2) || !group.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for pair in group.as_bytes().chunks_exact(2) {
            let pair = std::str::from_utf8(pair).ok()?;
            bytes.push(u8::from_str_radix(pair, 16).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_every_name() {
        for kind in (0..12).map(ValueType::from).filter(|kind| !matches!(kind, ValueType::Other(_)))
        {
            let name = kind.to_string();
            assert_eq!(name.parse(), Ok(kind));
            let short = name.strip_prefix("REG_").unwrap().to_lowercase().replace('_', "-");
            assert_eq!(short.parse(), Ok(kind));
        }
        assert_eq!("hex".parse(), Ok(ValueType::Binary));
        assert_eq!("0xffff0011".parse(), Ok(ValueType::Other(0xffff_0011)));
        assert_eq!("4".parse(), Ok(ValueType::Dword));
        let error = "REG_WORD".parse::<ValueType>().unwrap_err().to_string();
        assert!(
            error.starts_with("`REG_WORD` is not a type of value; known are REG_SZ,"),
            "{error}"
        );
    }

    #[test]
    fn data_as_typed() {
        let parse = |kind: &str, texts: &[&str]| Data::from_text(kind.parse().unwrap(), texts);
        assert_eq!(parse("sz", &["a b"]).unwrap(), Data::string("a b"));
        assert_eq!(parse("expand-sz", &["%x%"]).unwrap(), Data::expand_string("%x%"));
        assert_eq!(parse("link", &["a"]).unwrap().bytes, b"a\0");
        assert_eq!(parse("multi-sz", &["a", "b"]).unwrap(), Data::multi_string(["a", "b"]));
        assert_eq!(parse("multi-sz", &[]).unwrap().bytes, [0, 0]);
        assert_eq!(parse("dword", &["4294967295"]).unwrap(), Data::dword(u32::MAX));
        assert_eq!(parse("dword", &["0x1F"]).unwrap(), Data::dword(31));
        assert_eq!(parse("dword-be", &["1"]).unwrap().bytes, [0, 0, 0, 1]);
        assert_eq!(parse("qword", &["0xffffffffffffffff"]).unwrap(), Data::qword(u64::MAX));
        for text in ["01 ff 00", "01,ff,00", "01ff00", "01:FF:00"] {
            assert_eq!(parse("binary", &[text]).unwrap(), Data::binary([1, 255, 0]));
        }
        assert_eq!(parse("binary", &["01", "ff"]).unwrap(), Data::binary([1, 255]));
        assert!(parse("none", &[]).unwrap().bytes.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let error = |kind: &str, texts: &[&str]| {
            Data::from_text(kind.parse().unwrap(), texts).unwrap_err().to_string()
        };
        for text in ["4294967296", "-1", "+1", "1.5", "", "0x", "ten"] {
            let message = error("dword", &[text]);
            let wanted =
                format!("`{text}` is not the number of a REG_DWORD: write 0 to 4294967295");
            assert!(message.starts_with(&wanted), "{message}");
        }
        for text in ["1", "0x01", "zz", "é1"] {
            assert!(error("binary", &[text]).contains("two hexadecimal digits for each"));
        }
        assert!(error("sz", &["a", "b"]).starts_with("a REG_SZ is one argument, not 2"));
        assert!(error("multi-sz", &["a", ""]).contains("would end the list"));
    }
}

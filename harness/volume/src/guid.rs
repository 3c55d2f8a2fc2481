//! GUIDs as GPT has them.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::str::FromStr;
use thiserror::Error;

/// A GUID, in the byte order in which GPT (and everything of Microsoft) stores it: the first three
/// fields little-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub [u8; 16]);

/// A text is no GUID.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a GUID; write it as 01234567-89ab-cdef-0123-456789abcdef")]
pub struct NotAGuid(String);

/// Where the byte that is n-th in the text lies in storage.
const TEXT_ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

impl Guid {
    /// From its bytes as stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes as stored.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// From the number that its text is, as in `Guid::from_u128(0xc12a7328_f81f_11d2_…)`.
    pub const fn from_u128(value: u128) -> Self {
        let text = value.to_be_bytes();
        let mut bytes = [0; 16];
        let mut index = 0;
        while index < 16 {
            bytes[TEXT_ORDER[index]] = text[index];
            index += 1;
        }
        Self(bytes)
    }
}

impl std::fmt::Display for Guid {
    /// Lower case, with hyphens, without braces.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, &place) in TEXT_ORDER.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                out.write_str("-")?;
            }
            write!(out, "{:02x}", self.0[place])?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Guid {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{self}")
    }
}

impl FromStr for Guid {
    type Err = NotAGuid;

    /// With hyphens, in any case, with or without braces.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || NotAGuid(text.to_owned());
        let inner = match text.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or_else(refuse)?,
            None => text,
        };
        let fields: Vec<&str> = inner.split('-').collect();
        let lengths: Vec<usize> = fields.iter().map(|field| field.len()).collect();
        let digits = fields.concat();
        if lengths != [8, 4, 4, 4, 12] || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        Ok(Self::from_u128(u128::from_str_radix(&digits, 16).map_err(|_| refuse())?))
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_storage_differ_in_the_first_three_fields() {
        let guid: Guid = "{C12A7328-F81F-11D2-BA4B-00A0C93EC93B}".parse().unwrap();
        assert_eq!(guid.0[..8], [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11]);
        assert_eq!(guid.0[8..], [0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b]);
        assert_eq!(guid.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(guid, Guid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b));
    }

    #[test]
    fn what_is_no_guid_is_refused() {
        for text in [
            "",
            "{",
            "c12a7328f81f11d2ba4b00a0c93ec93b",
            "c12a7328-f81f-11d2-ba4b-00a0c93ec93",
            "+12a7328-f81f-11d2-ba4b-00a0c93ec93b",
            "{c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
        ] {
            assert!(text.parse::<Guid>().is_err(), "{text}");
        }
    }
}

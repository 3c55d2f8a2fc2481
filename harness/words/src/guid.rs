//! GUIDs in the mixed byte order that Windows stores.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A GUID. GPT, hives and everything else of Windows store the first three groups little-endian, the rest as
/// written. As text it is in braces, as the registry has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Guid(Uuid);

/// A text is not a GUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a GUID; write it like {{9dea862c-5cdd-4e70-acc1-f32b344d4795}}")]
pub struct NotAGuid {
    text: String,
}

impl Guid {
    /// All zero: "none".
    pub const ZERO: Guid = Guid(Uuid::nil());

    /// From its on-disk bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes_le(bytes))
    }

    /// Its on-disk bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes_le()
    }

    /// From the groups as they are written: `{a-b-c-dd-dddddd}`.
    pub const fn from_fields(a: u32, b: u16, c: u16, d: [u8; 8]) -> Self {
        Self(Uuid::from_fields(a, b, c, &d))
    }

    /// From the number that its text is, as in `Guid::from_u128(0xc12a7328_f81f_11d2_…)`.
    pub const fn from_u128(value: u128) -> Self {
        Self(Uuid::from_u128(value))
    }

    /// The GUID at an offset of a buffer, if all of it lies inside.
    pub fn read_at(bytes: &[u8], at: usize) -> Option<Self> {
        bytes.get(at..at.checked_add(16)?)?.try_into().ok().map(Self::from_bytes)
    }

    /// Whether it is all zero.
    pub fn is_zero(self) -> bool {
        self.0.is_nil()
    }

    /// As partition tools write it: without braces.
    pub fn without_braces(self) -> impl fmt::Display {
        self.0.hyphenated()
    }
}

/// By the bytes on the disk.
impl Ord for Guid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.to_bytes().cmp(&other.to_bytes())
    }
}

impl PartialOrd for Guid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.braced())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Guid {
    type Err = NotAGuid;

    /// With or without braces, in either case.
    fn from_str(text: &str) -> Result<Self, NotAGuid> {
        let wrong = || NotAGuid { text: text.to_owned() };
        let inner = match text.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or_else(wrong)?,
            None => text,
        };
        // The other forms that `uuid` takes are none of Windows: without hyphens, as a URN.
        if inner.len() != 36 {
            return Err(wrong());
        }
        Uuid::try_parse(inner).map(Self).map_err(|_| wrong())
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_manager_bytes_are_in_mixed_order() {
        // The boot manager's GUID as it stands in a real BOOTSTAT.DAT.
        let bytes = [
            0x2c, 0x86, 0xea, 0x9d, 0xdd, 0x5c, 0x70, 0x4e, 0xac, 0xc1, 0xf3, 0x2b, 0x34, 0x4d,
            0x47, 0x95,
        ];
        let text = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}";
        assert_eq!(Guid::from_bytes(bytes).to_string(), text);
        assert_eq!(text.parse::<Guid>().unwrap().to_bytes(), bytes);
        assert_eq!(
            "9DEA862C-5CDD-4E70-ACC1-F32B344D4795".parse::<Guid>().unwrap().to_bytes(),
            bytes
        );
    }

    #[test]
    fn near_misses_are_refused() {
        for text in [
            "",
            "{",
            "{}",
            "{9dea862c-5cdd-4e70-acc1-f32b344d4795",
            "9dea862c5cdd4e70acc1f32b344d4795",
            "{9dea862c-5cdd-4e70-acc1-f32b344d479g}",
            "{+dea862c-5cdd-4e70-acc1-f32b344d4795}",
            "{9dea862c-5cdd-4e70-acc1-f32b344d4795}}",
            "urn:uuid:9dea862c-5cdd-4e70-acc1-f32b344d4795",
        ] {
            assert!(text.parse::<Guid>().is_err(), "{text}");
        }
    }

    #[test]
    fn text_and_storage_differ_in_the_first_three_fields() {
        let guid: Guid = "{C12A7328-F81F-11D2-BA4B-00A0C93EC93B}".parse().unwrap();
        let bytes = guid.to_bytes();
        assert_eq!(bytes[..8], [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11]);
        assert_eq!(bytes[8..], [0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b]);
        assert_eq!(guid.without_braces().to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(guid, Guid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b));
    }

    #[test]
    fn guids_are_in_the_order_of_their_bytes() {
        let (one, two) = (Guid::from_bytes([1; 16]), Guid::from_fields(0x02000000, 0, 0, [0; 8]));
        assert!(two < one && one.to_bytes() > two.to_bytes());
        assert_eq!(Guid::ZERO, Guid::from_bytes([0; 16]));
    }
}

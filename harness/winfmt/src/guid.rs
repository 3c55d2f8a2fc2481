//! GUIDs in the mixed byte order that Windows stores.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A GUID, kept in its on-disk bytes: the first three groups little-endian, the rest as written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Guid([u8; 16]);

/// A text is not a GUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a GUID; write it like {{9dea862c-5cdd-4e70-acc1-f32b344d4795}}")]
pub struct GuidError {
    text: String,
}

impl Guid {
    /// All zero: "none".
    pub const ZERO: Guid = Guid([0; 16]);

    /// From its on-disk bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its on-disk bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// From the groups as they are written: `{a-b-c-dd-dddddd}`.
    pub const fn from_fields(a: u32, b: u16, c: u16, d: [u8; 8]) -> Self {
        let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
        Self([
            a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5],
            d[6], d[7],
        ])
    }

    /// The GUID at an offset of a buffer, if all of it lies inside.
    pub fn read_at(bytes: &[u8], at: usize) -> Option<Self> {
        bytes.get(at..at.checked_add(16)?)?.try_into().ok().map(Self)
    }

    /// Whether it is all zero.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = &self.0;
        write!(
            f,
            "{{{:08x}-{:04x}-{:04x}-{:02x}{:02x}-",
            u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            u16::from_le_bytes([b[4], b[5]]),
            u16::from_le_bytes([b[6], b[7]]),
            b[8],
            b[9]
        )?;
        for byte in &b[10..] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Guid {
    type Err = GuidError;

    /// With or without braces, in either case.
    fn from_str(text: &str) -> Result<Self, GuidError> {
        let wrong = || GuidError { text: text.to_owned() };
        let inner = match text.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or_else(wrong)?,
            None => text,
        };
        let groups: Vec<&str> = inner.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        if lengths != [8, 4, 4, 4, 12] || !inner.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
        {
            return Err(wrong());
        }
        let number = |group: &str| u64::from_str_radix(group, 16).map_err(|_| wrong());
        let a = u32::try_from(number(groups[0])?).map_err(|_| wrong())?;
        let b = u16::try_from(number(groups[1])?).map_err(|_| wrong())?;
        let c = u16::try_from(number(groups[2])?).map_err(|_| wrong())?;
        let tail = (number(groups[3])? << 48) | number(groups[4])?;
        Ok(Self::from_fields(a, b, c, tail.to_be_bytes()))
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
        ] {
            assert!(text.parse::<Guid>().is_err(), "{text}");
        }
    }
}

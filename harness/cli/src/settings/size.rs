//! Sizes on a disk.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

/// A number of bytes, written as people do: `20GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub(crate) struct Size(u64);

const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

impl Size {
    /// In bytes.
    pub(crate) const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, shift) = UNITS
            .iter()
            .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
            .ok_or_else(|| format!("`{text}` is not a size; write it as 500MiB or 20GiB"))?;
        let number: u64 = number
            .trim()
            .parse()
            .map_err(|_| format!("`{text}` is not a size; write it as 500MiB or 20GiB"))?;
        number
            .checked_mul(1 << shift)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is larger than any disk"))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("20GiB", 20 << 30),
            ("1536 MiB", 1536 << 20),
            ("0MiB", 0),
            ("3TiB", 3 << 40),
            ("1KiB", 1024),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!(size.bytes(), bytes);
        }
        for wrong in ["20", "20GB", "GiB", "-1GiB", "1.5GiB", "99999999TiB", ""] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}

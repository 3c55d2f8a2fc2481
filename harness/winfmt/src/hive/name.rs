//! Names of keys and values: storage, comparison, hashes, paths.

use std::cmp::Ordering;
use std::fmt;

use super::HiveError;
use super::upcase::upcase;
use crate::bytes::{utf16_bytes, utf16_units};
use words::escape::{is_unfit, write_escape};

/// Longest key name, in UTF-16 units (Microsoft, "Registry element size limits").
const MAX_KEY_NAME: usize = 255;
/// Longest value name, in UTF-16 units (the same).
const MAX_VALUE_NAME: usize = 16_383;

/// A name as Windows sees it: UTF-16 units that need not be valid text. Comparison with `==` is exact;
/// Windows compares with [`Name::same`].
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Name(Vec<u16>);

impl Name {
    /// From raw units.
    pub fn from_units(units: Vec<u16>) -> Self {
        Self(units)
    }

    /// The raw units.
    pub fn units(&self) -> &[u16] {
        &self.0
    }

    /// As text, exactly; a unit that is not text becomes U+FFFD. What people are to see is its `Display`.
    pub fn text(&self) -> String {
        String::from_utf16_lossy(&self.0)
    }

    /// Whether it is empty: the default value of a key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether Windows takes the two for one: the same but for case.
    pub fn same(&self, other: &Name) -> bool {
        self.compare(other) == Ordering::Equal
    }

    /// Windows' order of names: by upper-cased units, a prefix first.
    pub fn compare(&self, other: &Name) -> Ordering {
        let units = self.0.iter().map(|&unit| upcase(unit));
        units.cmp(other.0.iter().map(|&unit| upcase(unit)))
    }

    /// The hash of `lh` lists.
    pub(super) fn hash(&self) -> u32 {
        self.0
            .iter()
            .fold(0u32, |hash, &unit| hash.wrapping_mul(37).wrapping_add(u32::from(upcase(unit))))
    }

    /// The hint of `lf` lists: the first four characters, or zero where one needs two bytes.
    pub(super) fn hint(&self) -> u32 {
        let mut hint = [0; 4];
        for (byte, &unit) in hint.iter_mut().zip(&self.0) {
            match u8::try_from(unit) {
                Ok(low) => *byte = low,
                Err(_) => return 0,
            }
        }
        u32::from_le_bytes(hint)
    }

    /// The stored bytes, and whether they are one byte a unit ("compressed").
    pub(super) fn encode(&self) -> (Vec<u8>, bool) {
        match self.0.iter().map(|&unit| u8::try_from(unit)).collect::<Result<Vec<_>, _>>() {
            Ok(bytes) => (bytes, true),
            Err(_) => (utf16_bytes(self.0.iter().copied()), false),
        }
    }

    pub(super) fn decode(bytes: &[u8], compressed: bool) -> Self {
        if compressed {
            Self(bytes.iter().map(|&byte| u16::from(byte)).collect())
        } else {
            Self(utf16_units(bytes))
        }
    }

    /// The length that the hints in a key node count: bytes of UTF-16, however it is stored.
    pub(super) fn utf16_len(&self) -> u32 {
        u32::try_from(self.0.len() * 2).unwrap_or(u32::MAX)
    }

    pub(super) fn check_key(&self) -> Result<(), HiveError> {
        let bad = |why| HiveError::BadName { name: self.to_string(), kind: "key", why };
        if self.0.is_empty() {
            return Err(bad("it is empty"));
        }
        if self.0.len() > MAX_KEY_NAME {
            return Err(bad("it is longer than 255 UTF-16 units"));
        }
        if self.0.contains(&u16::from(b'\\')) {
            return Err(bad("it contains a backslash"));
        }
        if self.0.contains(&0) {
            return Err(bad("it contains a NUL"));
        }
        Ok(())
    }

    pub(super) fn check_value(&self) -> Result<(), HiveError> {
        if self.0.len() > MAX_VALUE_NAME {
            let why = "it is longer than 16383 UTF-16 units";
            return Err(HiveError::BadName { name: self.to_string(), kind: "value", why });
        }
        Ok(())
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.encode_utf16().collect())
    }
}

impl From<&String> for Name {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&Name> for Name {
    fn from(name: &Name) -> Self {
        name.clone()
    }
}

impl fmt::Display for Name {
    /// For people: characters that steer a terminal are escaped, and so are units that are not text. Code that
    /// goes on with a name takes [`Name::text`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        char::decode_utf16(self.0.iter().copied()).try_for_each(|unit| match unit {
            Ok(c) if !is_unfit(c) => fmt::Write::write_char(f, c),
            Ok(c) => write_escape(f, c.into()),
            Err(unit) => write_escape(f, unit.unpaired_surrogate().into()),
        })
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text(), f)
    }
}

/// A key's path from the root key. The empty path is the root key itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPath(Vec<Name>);

impl KeyPath {
    /// The names, from the root down.
    pub fn names(&self) -> &[Name] {
        &self.0
    }

    /// The path one level down.
    pub fn join(&self, name: impl Into<Name>) -> Self {
        let mut names = self.0.clone();
        names.push(name.into());
        Self(names)
    }
}

impl From<&str> for KeyPath {
    /// Splits at backslashes; empty parts are left out.
    fn from(path: &str) -> Self {
        Self(path.split('\\').filter(|part| !part.is_empty()).map(Name::from).collect())
    }
}

impl From<&String> for KeyPath {
    fn from(path: &String) -> Self {
        Self::from(path.as_str())
    }
}

impl From<String> for KeyPath {
    fn from(path: String) -> Self {
        Self::from(path.as_str())
    }
}

impl From<&KeyPath> for KeyPath {
    fn from(path: &KeyPath) -> Self {
        path.clone()
    }
}

impl From<Vec<Name>> for KeyPath {
    fn from(names: Vec<Name>) -> Self {
        Self(names)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\\")?;
            }
            name.fmt(f)?;
        }
        Ok(())
    }
}

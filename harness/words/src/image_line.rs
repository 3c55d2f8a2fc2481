//! Which line of systems an image is of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest line, in bytes: it is part of file names.
const LIMIT: usize = 64;

/// Which line of systems an image is of: `understudy`, `windows-11-24h2`, `reactos-0.4`. Images of one line have
/// their outcomes compared with the same references.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageLine(String);

impl ImageLine {
    /// The nearest thing to a text, `None` of one without a letter or digit: what may not be in a line becomes a
    /// hyphen.
    pub fn near(text: &str) -> Option<Self> {
        let mut line = String::new();
        for c in text.chars() {
            let c = c.to_ascii_lowercase();
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                line.push(c);
            } else if !line.is_empty() && !line.ends_with(['-', '.']) {
                // A dot between digits, as in a version, is kept.
                line.push(if c == '.' { '.' } else { '-' });
            }
            if line.len() == LIMIT {
                break;
            }
        }
        let line = line.trim_end_matches(['-', '.']);
        (!line.is_empty()).then(|| Self(line.to_owned()))
    }

    /// Of an image of which nothing is known.
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Not a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the line of an image; write up to {LIMIT} lower-case letters, digits, hyphens and dots, for \
     example \"windows-11-24h2\""
)]
pub struct NotALine(String);

impl FromStr for ImageLine {
    type Err = NotALine;

    fn from_str(text: &str) -> Result<Self, NotALine> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for ImageLine {
    type Error = NotALine;

    fn try_from(text: String) -> Result<Self, NotALine> {
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
        };
        let edge = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let bytes = text.as_bytes();
        let sound = bytes.len() <= LIMIT
            && bytes.iter().copied().all(plain)
            && edge(bytes.first())
            && edge(bytes.last());
        if sound { Ok(Self(text)) } else { Err(NotALine(text)) }
    }
}

impl From<ImageLine> for String {
    fn from(line: ImageLine) -> Self {
        line.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_part_of_a_file_name() {
        for line in ["understudy", "windows-11-24h2", "reactos-0.4", "7"] {
            assert_eq!(line.parse::<ImageLine>().unwrap().as_str(), line);
        }
        for not in ["", "Windows", "a b", "../a", "a/b", ".a", "a.", "-a", "a_b", &"a".repeat(65)] {
            assert!(
                not.parse::<ImageLine>().unwrap_err().to_string().contains("windows-11"),
                "{not}"
            );
        }
    }

    #[test]
    fn the_nearest_line_keeps_what_tells_systems_apart() {
        for (text, line) in [
            ("Windows Server 2025 Standard", "windows-server-2025-standard"),
            ("ReactOS 0.4.15-dev", "reactos-0.4.15-dev"),
            ("  A (model)!", "a-model"),
            ("..a..", "a"),
        ] {
            assert_eq!(ImageLine::near(text).unwrap().as_str(), line);
        }
        assert_eq!(ImageLine::near(" \u{1b}[ö"), None);
    }

    proptest! {
        #[test]
        fn whatever_a_guest_calls_itself_the_nearest_line_is_one(text in ".{0,200}") {
            if let Some(line) = ImageLine::near(&text) {
                prop_assert!(line.as_str().parse::<ImageLine>().is_ok(), "{}", line);
            }
        }
    }
}

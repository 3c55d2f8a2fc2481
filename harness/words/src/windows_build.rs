//! Which Windows a machine runs, to the update.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A build and its revision, as `26100.4770`: the values `CurrentBuild` and `UBR` of a machine. The later one is the
/// greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowsBuild {
    /// For example 26100.
    pub build: u32,
    /// For example 4770.
    pub revision: u32,
}

/// Not a build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a build with its revision, such as 26100.4770")]
pub struct NotABuild(String);

impl FromStr for WindowsBuild {
    type Err = NotABuild;

    fn from_str(text: &str) -> Result<Self, NotABuild> {
        let digits = |part: &str| {
            let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse().ok()).flatten()
        };
        text.split_once('.')
            .and_then(|(build, revision)| {
                Some(Self { build: digits(build)?, revision: digits(revision)? })
            })
            .ok_or_else(|| NotABuild(text.chars().take(40).collect()))
    }
}

impl fmt::Display for WindowsBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.build, self.revision)
    }
}

impl Serialize for WindowsBuild {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WindowsBuild {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for WindowsBuild {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "WindowsBuild".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[0-9]{1,9}\.[0-9]{1,9}$", "examples": ["26100.4770"] })
    }
}

#[cfg(test)]
mod tests {
    use super::WindowsBuild;

    #[test]
    fn builds_are_ordered_by_their_numbers() {
        let build = |text: &str| text.parse::<WindowsBuild>().expect("a build");
        assert!(build("26100.4770") > build("26100.999"));
        assert!(build("26200.1") > build("26100.4770"));
        assert_eq!(build("26100.4770").to_string(), "26100.4770");
    }

    #[test]
    fn other_texts_are_no_builds() {
        for text in
            ["", "26100", "26100.", ".1", "26100.4770.1", "+1.2", "1.-2", "99999999999.1", "a.b"]
        {
            assert!(text.parse::<WindowsBuild>().is_err(), "{text}");
        }
    }
}

//! Witnesses: how what an image's system says of itself becomes a sign that means the same on every system.
//!
//! The phrases are the image's own. They stand in its machine profile, are copied into the first event of a run,
//! and nothing else of the timeline knows them. A line means what the first witness that recognises it says.

use std::fmt;
use std::str::FromStr;

use regex_lite::{Captures, Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::{Layer, LayerResult, StopCode};

/// Longest pattern, in bytes.
const PATTERN_LIMIT: usize = 512;
/// Largest compiled pattern, in bytes. What a line costs grows with it.
const COMPILED_LIMIT: usize = 1 << 18;
/// Longest name of a driver or service that is taken from a guest.
const NAME_LIMIT: usize = 260;

/// How one kind of line on a serial port is understood. In a profile:
///
/// ```toml
/// [[witnesses]]
/// line = '^boot stopped: 0x(?<status>[0-9A-F]{8})'
/// tells = "boot-error"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tells", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Witness {
    /// Boot manager or loader cannot go on. The pattern has a group `status`: the NTSTATUS in hexadecimal digits.
    BootError {
        /// Recognises the line.
        line: LinePattern,
    },
    /// A driver or service was not loaded, was not started, or its process ended, and the system goes on. The
    /// pattern has a group `name`, and may have a group `status`: the NTSTATUS in hexadecimal digits.
    StartFailure {
        /// Recognises the line.
        line: LinePattern,
    },
    /// A driver or service was started. The pattern has a group `name`.
    Start {
        /// Recognises the line.
        line: LinePattern,
    },
    /// Something on the machine needs what the image, a model, has not: the run says nothing about it. The pattern
    /// has a group `name`, who needs it, and may have a group `reason`.
    Lack {
        /// Recognises the line.
        line: LinePattern,
    },
    /// A layer of the recovery ladder says what came of it.
    Layer {
        /// Recognises the line.
        line: LinePattern,
        /// Which layer.
        layer: Layer,
        /// What came of it.
        result: LayerResult,
        /// Why, with the pattern's groups: `scan failed: ${why}`. Absent: the group `reason`, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// What a witness tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sign {
    BootError(StopCode),
    StartFailure { name: String, status: Option<u32> },
    Start(String),
    Lack { name: String, reason: Option<String> },
    Layer { layer: Layer, result: LayerResult, reason: Option<String> },
}

impl Witness {
    /// What is wrong with it, if anything: a group that it needs is not in its pattern.
    ///
    /// # Errors
    /// What is missing, and what to write.
    pub fn check(&self) -> Result<(), String> {
        let (line, needed) = match self {
            Self::BootError { line } => (line, "status"),
            Self::StartFailure { line } | Self::Start { line } | Self::Lack { line } => {
                (line, "name")
            }
            Self::Layer { .. } => return Ok(()),
        };
        if line.0.capture_names().flatten().any(|name| name == needed) {
            return Ok(());
        }
        Err(format!("`{line}` has no group `{needed}`; write one like `(?<{needed}>…)`"))
    }

    fn pattern(&self) -> &LinePattern {
        match self {
            Self::BootError { line }
            | Self::StartFailure { line }
            | Self::Start { line }
            | Self::Lack { line }
            | Self::Layer { line, .. } => line,
        }
    }

    fn read(&self, line: &str) -> Option<Sign> {
        let found = self.pattern().0.captures(line)?;
        let group = |name: &str| found.name(name).map(|group| group.as_str());
        let name = || {
            let name = group("name").filter(|name| !name.is_empty() && name.len() <= NAME_LIMIT);
            name.map(str::to_owned)
        };
        match self {
            Self::BootError { .. } => {
                let status = u32::from_str_radix(group("status")?, 16).ok()?;
                Some(Sign::BootError(StopCode(status.into())))
            }
            Self::StartFailure { .. } => {
                let status = group("status").and_then(|own| u32::from_str_radix(own, 16).ok());
                Some(Sign::StartFailure { name: name()?, status })
            }
            Self::Start { .. } => Some(Sign::Start(name()?)),
            Self::Lack { .. } => {
                Some(Sign::Lack { name: name()?, reason: group("reason").map(str::to_owned) })
            }
            Self::Layer { layer, result, reason, .. } => {
                let reason = match reason {
                    Some(template) => Some(expand(&found, template)),
                    None => group("reason").map(str::to_owned),
                };
                Some(Sign::Layer { layer: *layer, result: *result, reason })
            }
        }
    }
}

fn expand(found: &Captures<'_>, template: &str) -> String {
    let mut text = String::new();
    found.expand(template, &mut text);
    text
}

/// What a line means, by the first witness that recognises it.
pub(crate) fn read(witnesses: &[Witness], line: &str) -> Option<Sign> {
    let line = line.trim();
    witnesses.iter().find_map(|witness| witness.read(line))
}

/// A regular expression (the syntax of Rust's `regex-lite`) for a line without its surrounding spaces. Its size is
/// bounded, and so is what a line costs: guest text cannot make it slow.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinePattern(Regex);

impl FromStr for LinePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > PATTERN_LIMIT {
            return Err(format!(
                "a pattern for a line has 1 to {PATTERN_LIMIT} bytes, this one {}",
                text.len()
            ));
        }
        let regex = RegexBuilder::new(text).size_limit(COMPILED_LIMIT).build();
        regex.map(Self).map_err(|error| format!("`{text}` is not a pattern for a line: {error}"))
    }
}

impl TryFrom<String> for LinePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<LinePattern> for String {
    fn from(pattern: LinePattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for LinePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for LinePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.as_str())
    }
}

impl PartialEq for LinePattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for LinePattern {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> LinePattern {
        text.parse().unwrap()
    }

    fn witnesses() -> Vec<Witness> {
        vec![
            Witness::BootError { line: pattern("^stopped: 0x(?<status>[0-9a-fA-F]{8})") },
            Witness::StartFailure {
                line: pattern(
                    r"^(?<name>\S+) (?:did not start|ended): (?:0x(?<status>[0-9a-fA-F]{8}))?",
                ),
            },
            Witness::Start { line: pattern(r"^(?<name>.+) started$") },
            Witness::Lack { line: pattern(r"^no (?<reason>\S+) for (?<name>.+)") },
            Witness::Layer {
                line: pattern("^repair: (?<reason>mended .*)"),
                layer: Layer::AutomaticRepair,
                result: LayerResult::Applied,
                reason: None,
            },
            Witness::Layer {
                line: pattern("^repair: (?<what>.*)"),
                layer: Layer::AutomaticRepair,
                result: LayerResult::TriedNoHelp,
                reason: Some("it says: ${what}".to_owned()),
            },
        ]
    }

    #[test]
    fn a_line_means_what_the_first_witness_says() {
        let read = |line: &str| read(&witnesses(), line);
        assert_eq!(
            read("stopped: 0xc0000221 (x.sys)"),
            Some(Sign::BootError(StopCode(0xc000_0221)))
        );
        assert_eq!(read("stopped: 0xc00"), None);
        let name = "x.sys".to_owned();
        let failed = |status| Some(Sign::StartFailure { name: name.clone(), status });
        assert_eq!(read("  x.sys did not start: no"), failed(None));
        assert_eq!(read("x.sys ended: 0xC0000263: no"), failed(Some(0xc000_0263)));
        assert_eq!(read(&format!("{} ended: no", "x".repeat(261))), None, "too long for a name");
        assert_eq!(read("a b.sys started"), Some(Sign::Start("a b.sys".to_owned())));
        let reason = Some("cpu".to_owned());
        assert_eq!(read("no cpu for x.sys"), Some(Sign::Lack { name: name.clone(), reason }));
        let layer = |result, reason: &str| {
            let reason = Some(reason.to_owned());
            Some(Sign::Layer { layer: Layer::AutomaticRepair, result, reason })
        };
        assert_eq!(read("repair: mended it"), layer(LayerResult::Applied, "mended it"));
        assert_eq!(read("repair: nothing"), layer(LayerResult::TriedNoHelp, "it says: nothing"));
        assert_eq!(read("starting"), None);
    }

    #[test]
    fn patterns_are_bounded_and_their_groups_are_checked() {
        for (text, part) in [
            ("", "1 to 512 bytes"),
            (&*"x".repeat(513), "1 to 512 bytes"),
            ("(", "not a pattern for a line"),
            ("(?:x{1000}){1000}", "not a pattern for a line"),
        ] {
            let error = text.parse::<LinePattern>().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        for witness in witnesses() {
            witness.check().unwrap();
        }
        let error = Witness::BootError { line: pattern("stopped") }.check().unwrap_err();
        assert_eq!(error, "`stopped` has no group `status`; write one like `(?<status>…)`");
    }

    #[test]
    fn a_profile_writes_them_as_it_reads_them() {
        for witness in witnesses() {
            let text = serde_json::to_string(&witness).unwrap();
            assert_eq!(serde_json::from_str::<Witness>(&text).unwrap(), witness, "{text}");
        }
        let unknown = r#"{"tells":"boot-error","line":"(?<status>.)","layer":"safe-mode"}"#;
        let error = serde_json::from_str::<Witness>(unknown).unwrap_err().to_string();
        assert!(error.contains("unknown field `layer`"), "{error}");
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd(line in "\\PC{0,200}") {
            let _ = read(&witnesses(), &line);
        }
    }
}

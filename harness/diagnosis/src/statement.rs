//! What is said, and what it is taken from.

use jiff::Timestamp;
use serde::Serialize;

/// A sentence and its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Statement {
    /// When it happened, by the machine's clock, where the source says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The sentence.
    pub text: String,
    /// The file, record or key that it is taken from.
    pub source: String,
}

impl Statement {
    pub(crate) fn new(text: impl Into<String>, source: impl Into<String>) -> Self {
        Self { time: None, text: text.into(), source: source.into() }
    }

    pub(crate) fn at(self, time: Option<Timestamp>) -> Self {
        Self { time, ..self }
    }
}

/// A stop that the disk tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stop {
    /// The stop code.
    pub code: u32,
    /// Its name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    /// Its four parameters, where the source has them.
    pub parameters: Vec<u64>,
    /// The blamed module, in lower case, where the source has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// When, by the machine's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// Windows has started well since. Absent: the disk does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<bool>,
    /// The dump, or the record of the event log.
    pub source: String,
}

impl Stop {
    /// `0x50 PAGE_FAULT_IN_NONPAGED_AREA`.
    pub(crate) fn title(&self) -> String {
        match self.name {
            Some(name) => format!("{:#x} {name}", self.code),
            None => format!("{:#x}", self.code),
        }
    }
}

/// How long before something, in words.
pub(crate) fn span(earlier: Timestamp, later: Timestamp) -> String {
    let seconds = later.duration_since(earlier).as_secs();
    let (count, unit) = match seconds {
        ..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// A path on the system's volume as people write it.
pub(crate) fn on_c(path: &str) -> String {
    format!("C:\\{}", path.trim_start_matches('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_in_words() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(span(at(0), at(1)), "1 second");
        assert_eq!(span(at(0), at(180)), "3 minutes");
        assert_eq!(span(at(0), at(7200)), "2 hours");
        assert_eq!(span(at(0), at(400_000)), "4 days");
    }
}

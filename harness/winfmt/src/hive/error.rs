//! What can go wrong with a hive.

use serde::{Deserialize, Serialize};

use super::ValueType;

/// A hive could not be opened, read or edited. Offsets count from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HiveError {
    /// The bytes are not a primary hive file of a known version.
    #[error("not a registry hive: {what}")]
    NotAHive {
        /// What is missing or different.
        what: String,
    },
    /// The hive was not closed cleanly.
    #[error(
        "the hive is dirty (sequence numbers {primary} and {secondary}): a part of it is only in its transaction logs; put them beside it (the files of the same name ending in .LOG1 and .LOG2, or in .LOG alone), or let Windows load it once"
    )]
    Dirty {
        /// Written when a write begins.
        primary: u32,
        /// Written when a write has ended.
        secondary: u32,
    },
    /// The hive needs its transaction logs, and none of those given brings it up to date.
    #[error(
        "{state}, and none of its logs brings it up to date: {}; find the logs of the same time, or let Windows load the hive once",
        listed(problems)
    )]
    NoUsableLog {
        /// Why the hive needs a log.
        state: String,
        /// What is wrong with each of the logs.
        problems: Vec<LogProblem>,
    },
    /// The structure is broken.
    #[error("the hive is damaged at offset {offset:#x}: {what}")]
    Damaged {
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// An edit of a hive that was opened for reading only.
    #[error("the hive was opened dirty, for reading only; an edit would be lost to its log")]
    ReadOnly,
    /// An earlier edit failed half way.
    #[error("an earlier edit of the hive failed half way; open the file again")]
    Broken,
    /// A key that must exist does not.
    #[error("no key `{path}` in the hive")]
    NoKey {
        /// From the root key.
        path: String,
    },
    /// The hive does not say which control set is the current one.
    #[error(
        "the hive has no REG_DWORD `Current` in its key `Select`, so that `CurrentControlSet` means nothing in it; name a control set, such as `ControlSet001`"
    )]
    NoControlSet,
    /// A value has another type than the caller needs.
    #[error("value `{name}` of key `{path}` is {found}, not {wanted}")]
    WrongType {
        /// The key, from the root key.
        path: String,
        /// The value.
        name: String,
        /// What was asked for.
        wanted: &'static str,
        /// What is there.
        found: ValueType,
    },
    /// A name that Windows does not take.
    #[error("`{name}` cannot be the name of a {kind}: {why}")]
    BadName {
        /// The name.
        name: String,
        /// `key` or `value`.
        kind: &'static str,
        /// The rule.
        why: &'static str,
    },
    /// A limit of the format or of this program.
    #[error("{what} would be over the limit of {limit}")]
    TooLarge {
        /// What would grow.
        what: &'static str,
        /// Its limit.
        limit: u64,
    },
    /// The root key cannot be deleted.
    #[error("the root key cannot be deleted; delete its subkeys")]
    RootKey,
}

/// Why a transaction log, or the rest of one, was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[error("log {}: {what}{}", log + 1, at(*offset))]
pub struct LogProblem {
    /// Which of the logs that were given, from 0.
    pub log: usize,
    /// Where, in bytes from the start of the log; nothing where the log as a whole does not fit.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// Says of damage when it was found, or what else might help.
pub(super) fn damaged_in(note: &str, error: HiveError) -> HiveError {
    match error {
        HiveError::Damaged { offset, what } => {
            HiveError::Damaged { offset, what: format!("{what} ({note})") }
        }
        other => other,
    }
}

fn at(offset: Option<u64>) -> String {
    offset.map(|offset| format!(" (at offset {offset:#x})")).unwrap_or_default()
}

fn listed(problems: &[LogProblem]) -> String {
    problems.iter().map(LogProblem::to_string).collect::<Vec<_>>().join("; ")
}

/// Damage at an offset from the first bin, as cells give it.
pub(super) fn damaged(cell: u32, what: impl Into<String>) -> HiveError {
    HiveError::Damaged { offset: u64::from(cell) + super::base::SIZE as u64, what: what.into() }
}

//! A fact, or why there is none.

use serde::{Deserialize, Serialize};

/// What is known of one thing. In JSON: `{"known": …}`, `"absent"`, or `{"unknown": "the reason"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known<T> {
    /// It was read.
    Known(T),
    /// It was looked for where it would be, and is not there.
    Absent,
    /// It could not be read or understood: why.
    Unknown(String),
}

impl<T> Known<T> {
    /// What is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// Why it is not known, if it could not be read.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Unknown(reason) => Some(reason),
            Self::Known(_) | Self::Absent => None,
        }
    }

    /// A reading: a value, nothing, or an error in words.
    pub(crate) fn read<E: std::fmt::Display>(result: Result<Option<T>, E>) -> Self {
        match result {
            Ok(Some(value)) => Self::Known(value),
            Ok(None) => Self::Absent,
            Err(error) => Self::Unknown(error.to_string()),
        }
    }

    /// The same of what is derived from it.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::Known(value) => Known::Known(change(value)),
            Self::Absent => Known::Absent,
            Self::Unknown(reason) => Known::Unknown(reason),
        }
    }

    /// The same, by reference.
    pub(crate) fn as_ref(&self) -> Known<&T> {
        match self {
            Self::Known(value) => Known::Known(value),
            Self::Absent => Known::Absent,
            Self::Unknown(reason) => Known::Unknown(reason.clone()),
        }
    }

    /// A reading that depends on this one.
    pub(crate) fn and_then<U>(self, change: impl FnOnce(T) -> Known<U>) -> Known<U> {
        match self {
            Self::Known(value) => change(value),
            Self::Absent => Known::Absent,
            Self::Unknown(reason) => Known::Unknown(reason),
        }
    }
}

//! What a command answers.

use serde_json::Value;

/// A refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) class: &'static str,
    pub(super) description: String,
}

impl Refusal {
    pub(super) fn new(description: impl Into<String>) -> Self {
        Self { class: "GenericError", description: description.into() }
    }
}

impl<E: std::error::Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

pub(super) type Reply = Result<Value, Refusal>;

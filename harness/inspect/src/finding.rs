//! The answer to one check, while it is decided.

use crate::Answer;

/// The answer to one check.
pub(crate) struct Finding {
    pub(crate) answer: Answer,
    pub(crate) evidence: String,
    pub(crate) remedy: Option<String>,
    pub(crate) fixable: bool,
}

impl Finding {
    pub(crate) fn new(answer: Answer, evidence: impl Into<String>) -> Self {
        Self { answer, evidence: evidence.into(), remedy: None, fixable: false }
    }

    pub(crate) fn pass(evidence: impl Into<String>) -> Self {
        Self::new(Answer::Pass, evidence)
    }

    pub(crate) fn fail(evidence: impl Into<String>) -> Self {
        Self::new(Answer::Fail, evidence)
    }

    pub(crate) fn unknown(what: &str, reason: &str) -> Self {
        Self::new(Answer::Unknown, format!("{what} cannot be read: {reason}"))
    }

    pub(crate) fn not_applicable(evidence: impl Into<String>) -> Self {
        Self::new(Answer::NotApplicable, evidence)
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn fixable(mut self) -> Self {
        self.fixable = true;
        self
    }
}

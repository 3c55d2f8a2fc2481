//! What a program that the agent runs leaves behind.

/// What a command left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Output {
    pub(super) fn ok(out: impl Into<String>) -> Self {
        Self { out: out.into(), ..Self::default() }
    }

    pub(super) fn failed(code: i32, err: impl Into<String>) -> Self {
        Self { code, err: err.into(), ..Self::default() }
    }
}

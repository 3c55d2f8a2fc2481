//! What surrounds the outcome of a scenario in a report: failures of the host that were tried again, further runs of it,
//! its quarantine, and its place in a list that several machines share.

use serde::Serialize;
use serde_json::Value;

use crate::repeat::Repeated;
use crate::text::{GUEST_TEXT, clean};

/// All of it; usually nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Runs that the host or the harness failed, after each of which it was tried again.
    pub tried_again: Vec<HostFailure>,
    /// What several runs of it came to.
    pub repeated: Option<Repeated>,
    /// Why its failure does not count.
    pub quarantine: Option<Quarantined>,
    /// Its place in the whole list, where only a part of that is run.
    pub listed: Option<ListPlace>,
}

/// A run that says nothing about the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostFailure {
    /// The run; absent where it could not be begun.
    pub run: Option<String>,
    /// What went wrong.
    pub because: String,
}

/// An entry of the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Why it fails.
    pub reason: String,
    /// Where it is worked on.
    pub tracker: String,
    /// Until which day, that day excluded.
    pub expires: String,
}

/// A place in the list of all that is run, of which a shard is a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ListPlace {
    /// From 0.
    pub index: usize,
    /// How long the list is.
    pub count: usize,
}

/// The exit code that counts for the command, where a run has its own.
pub fn counted(exit_code: u8, is_quarantined: bool) -> u8 {
    // Quarantine is for failures of the product; the host's still say that nothing was tested.
    if exit_code == 1 && is_quarantined { 0 } else { exit_code }
}

impl Circumstances {
    /// In words, each a line of plain text.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(Quarantined { reason, tracker, expires }) = &self.quarantine {
            let line = format!("in quarantine until {expires}: {reason} ({tracker})");
            notes.push(clean(&line, 8 * GUEST_TEXT));
        }
        if let Some(repeated) = &self.repeated {
            notes.push(repeated.line());
            notes.extend(repeated.outcome_lines());
        }
        for HostFailure { run, because } in &self.tried_again {
            let run = run.as_deref().unwrap_or("a run that could not be begun");
            let line =
                format!("tried again after a failure of the host or the harness: {run}: {because}");
            notes.push(clean(&line, 8 * GUEST_TEXT));
        }
        notes
    }

    /// Adds it to a document of `run --json`; nothing where there is nothing.
    pub fn add_to(&self, document: &mut Value) {
        let mut put = |key: &str, value: Option<Value>| {
            if let (Some(value), Some(document)) = (value, document.as_object_mut()) {
                document.insert(key.to_owned(), value);
            }
        };
        let own = (!self.tried_again.is_empty()).then(|| json(&self.tried_again));
        put("tried_again", own);
        put("repeated", self.repeated.as_ref().map(json));
        put("quarantine", self.quarantine.as_ref().map(json));
        put("listed", self.listed.as_ref().map(json));
        let own = self.repeated.as_ref().map(|repeated| repeated.exit_code);
        let own = own.or_else(|| {
            document
                .get("exit_code")
                .and_then(Value::as_u64)
                .and_then(|code| u8::try_from(code).ok())
        });
        if let Some(code) = own
            && let Some(document) = document.as_object_mut()
        {
            let code = counted(code, self.quarantine.is_some());
            document.insert("exit_code".to_owned(), code.into());
        }
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("strings, numbers and lists, which JSON can write")
}

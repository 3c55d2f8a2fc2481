//! The reference of a rollout: what it came to on the machines of one line of systems, beside its file.

use std::path::{Path, PathBuf};

use fleet::{PlayRecord, REAL_OUTCOME_FORMAT, RealOutcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Plays;
use super::cast::Played;
use crate::commands::report::write_whole;
use crate::exit::{Exit, usage};
use crate::output::tell;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    format: u32,
    outcomes: Vec<RealOutcome>,
}

/// What came, against the reference.
pub(super) struct Compared {
    word: &'static str,
    changes: Vec<String>,
}

impl Compared {
    /// With what was set over the file.
    pub(super) const fn not_at_all() -> Self {
        Self { word: "not-compared", changes: Vec::new() }
    }

    pub(super) const fn word(&self) -> &'static str {
        self.word
    }

    pub(super) fn changes(&self) -> &[String] {
        &self.changes
    }

    pub(super) fn text(&self) -> String {
        match self.word {
            "same" => "As its reference.".to_owned(),
            "missing" => "There is no reference yet; --accept makes this one.".to_owned(),
            "different" => {
                let changes: String =
                    self.changes.iter().map(|change| format!("  {change}\n")).collect();
                format!("Different from its reference:\n{changes}--accept makes this the reference")
            }
            "accepted" => "This is the reference now.".to_owned(),
            _ => "With what was set, nothing is compared with the reference.".to_owned(),
        }
    }
}

/// Compares plays with the reference, or makes them it.
pub(super) fn compare(
    played: &Played,
    plays: &Plays,
    record: &PlayRecord,
    accept: bool,
) -> anyhow::Result<(Compared, Exit)> {
    let outcomes: Vec<RealOutcome> = plays.iter().map(|(play, _)| play.outcome.clone()).collect();
    let Some(first) = outcomes.first() else {
        return Ok((Compared::not_at_all(), Exit::AsExpected));
    };
    let path = beside(&played.file, &first.on.image.to_string(), "json");
    let records = beside(&played.file, &first.on.image.to_string(), "jsonl");
    let reference = Reference { format: REAL_OUTCOME_FORMAT, outcomes };
    let text = serde_json::to_string_pretty(&reference)? + "\n";
    if accept {
        write_whole(&path, &text)?;
        write_whole(&records, &record.render())?;
        tell(format!("the reference is {}, with its record beside it", path.display()));
        return Ok((Compared { word: "accepted", changes: Vec::new() }, Exit::AsExpected));
    }
    let old = match fs_err::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((Compared { word: "missing", changes: Vec::new() }, Exit::Differs));
        }
        old => old.map_err(usage)?,
    };
    if old == text {
        return Ok((Compared { word: "same", changes: Vec::new() }, Exit::AsExpected));
    }
    let parsed: Value = serde_json::from_str(&old).map_err(|error| {
        let advice = "restore it from version control, or delete it and accept a new one";
        usage(anyhow::anyhow!("{}: {error}; {advice}", path.display()))
    })?;
    let mut changes = Vec::new();
    differences("", &parsed, &serde_json::to_value(&reference)?, &mut changes);
    if changes.is_empty() {
        changes.push("it is written in another way".to_owned());
    }
    Ok((Compared { word: "different", changes }, Exit::Differs))
}

fn beside(file: &Path, line: &str, ending: &str) -> PathBuf {
    file.with_extension(format!("{line}.{ending}"))
}

/// What differs, a line each.
fn differences(at: &str, old: &Value, new: &Value, all: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let place = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                let of = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or(Value::Null)
                };
                differences(&place, &of(old), &of(new), all);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (number, (old, new)) in old.iter().zip(new).enumerate() {
                differences(&format!("{at}[{number}]"), old, new, all);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            all.push(format!("{at}: {} entries, the reference has {}", new.len(), old.len()));
        }
        _ if old != new => {
            let shown = format!("{at}: {new}, the reference has {old}");
            all.push(winfmt::escaped(shown).to_string());
        }
        _ => {}
    }
}

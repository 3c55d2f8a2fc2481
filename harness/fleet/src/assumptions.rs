//! The table of assumptions: every number of a rollout file, with its source.

use serde::Serialize;
use toml::Value;

use crate::model::Rollout;

/// A number of the file, or a word that decides something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assumption {
    /// Where it is: `class.office.share`. With `--set` it is changed.
    pub path: String,
    /// It, in TOML.
    pub value: String,
    /// Where it is from; nothing where it is assumed.
    pub source: Option<String>,
}

/// All of them, in the order of the file.
pub fn assumptions(rollout: &Rollout) -> Vec<Assumption> {
    let mut all = Vec::new();
    // A rollout that was read from TOML can be written as it; plans, search and
    // real machines are what is played, not assumed.
    let Ok(Value::Table(table)) = Value::try_from(rollout) else { return all };
    for (key, value) in &table {
        if !matches!(
            key.as_str(),
            "format" | "name" | "about" | "plan" | "real" | "search" | "sources"
        ) {
            walk(key.clone(), value, rollout, &mut all);
        }
    }
    all
}

fn walk(path: String, value: &Value, rollout: &Rollout, all: &mut Vec<Assumption>) {
    match value {
        // A distribution is one value.
        Value::Table(table) if !is_distribution(table) => {
            for (key, value) in table.iter().filter(|(key, _)| key.as_str() != "name") {
                walk(format!("{path}.{key}"), value, rollout, all);
            }
        }
        Value::Array(list) if is_named(list) => {
            for (at, item) in list.iter().enumerate() {
                walk(format!("{path}.{}", step(at, item)), item, rollout, all);
            }
        }
        _ => {
            let source = rollout
                .sources
                .iter()
                .filter(|(about, _)| {
                    path.strip_prefix(about.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                })
                .max_by_key(|(about, _)| about.len())
                .map(|(_, source)| source.clone());
            all.push(Assumption { path, value: shown(value), source });
        }
    }
}

/// Hours of a day are too many to be shown one by one where they repeat.
fn shown(value: &Value) -> String {
    let Some(list) = value.as_array().filter(|list| list.len() > 8) else {
        return value.to_string();
    };
    let mut parts: Vec<(String, usize)> = Vec::new();
    for item in list.iter().map(Value::to_string) {
        match parts.last_mut() {
            Some((last, times)) if *last == item => *times += 1,
            _ => parts.push((item, 1)),
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(item, times)| if times > 1 { format!("{times}×{item}") } else { item })
        .collect();
    format!("[{}]", parts.join(", "))
}

fn is_distribution(table: &toml::Table) -> bool {
    let kinds = ["fixed", "uniform", "exponential", "lognormal", "observed"];
    table.len() == 1 && table.keys().all(|key| kinds.contains(&key.as_str()))
}

fn is_named(list: &[Value]) -> bool {
    list.iter().all(|item| item.get("name").or(item.get("layer")).is_some()) && !list.is_empty()
}

/// How an item of a list is called in a path: by its name or layer, else by its number.
pub(crate) fn step(at: usize, item: &Value) -> String {
    let name = item.get("name").or(item.get("layer")).and_then(Value::as_str);
    name.map_or_else(|| at.to_string(), str::to_owned)
}

/// Whether a table of this name may be left out of a file, and set nevertheless.
pub(crate) fn named(key: &str) -> bool {
    matches!(key, "at-stop" | "costs" | "found-otherwise" | "help-desk" | "remediation-service")
}

//! Reading rollout files.

use schemars::generate::SchemaSettings;
use toml::{Table, Value};

use crate::assumptions::{named, step};
use crate::model::Rollout;
use crate::place::{RolloutError, Source};
use crate::rules;

/// A rollout that comes with the harness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Its file, to be copied and changed.
    pub text: &'static str,
}

/// All of them.
pub const PRESETS: &[Preset] =
    &[Preset { name: "july-2024", text: include_str!("../presets/july-2024.toml") }];

/// The source of what was set over a file.
const SET: &str = "set by the user";

/// A preset as it is.
///
/// # Errors
/// There is none of that name.
pub fn preset(name: &str) -> Result<Rollout, RolloutError> {
    let found = PRESETS.iter().find(|preset| preset.name == name);
    let preset = found.ok_or_else(|| RolloutError::NoSuch {
        file: "loopbreak".to_owned(),
        kind: "preset",
        name: name.to_owned(),
        names: PRESETS.iter().map(|preset| preset.name.to_owned()).collect(),
    })?;
    load(preset.name, preset.text, &[])
}

/// Reads a rollout file. `file` is its name in messages; `changes` are laid over it, each a path as the table of
/// assumptions has it, and a value in TOML.
///
/// # Errors
/// All that is wrong with it, each with line and column; or a change that fits nothing.
pub fn load(file: &str, text: &str, changes: &[(String, String)]) -> Result<Rollout, RolloutError> {
    if changes.is_empty() {
        return parse(Source { file, text });
    }
    // What is wrong with the file itself is said first, with its own lines.
    parse(Source { file, text })?;
    let changed = changed(text, changes)?;
    parse(Source { file: &format!("{file}, with what was set"), text: &changed })
}

fn parse(source: Source<'_>) -> Result<Rollout, RolloutError> {
    let rollout: Rollout = toml::from_str(source.text).map_err(|error| {
        let place = error.span().unwrap_or(0..0);
        let fix = "correct the line; the keys are in rollout.schema.json".to_owned();
        RolloutError::Invalid {
            problems: vec![source.problem(place, error.message().to_owned(), fix)],
        }
    })?;
    let problems = rules::check(&rollout, source);
    if problems.is_empty() { Ok(rollout) } else { Err(RolloutError::Invalid { problems }) }
}

/// The file with changes laid over it.
fn changed(text: &str, changes: &[(String, String)]) -> Result<String, RolloutError> {
    let failed = |path: &str, what: String| RolloutError::Set { path: path.to_owned(), what };
    let mut table: Table = toml::from_str(text).map_err(|error| failed("", error.to_string()))?;
    for (path, value) in changes {
        // A bare word is a text: nobody wants to quote the quotes for a shell.
        let value = toml::from_str::<Table>(&format!("value = {value}"))
            .ok()
            .and_then(|mut parsed| parsed.remove("value"))
            .unwrap_or_else(|| Value::String(value.clone()));
        let steps: Vec<&str> = path.split('.').collect();
        set(&mut table, &steps, value)
            .map_err(|what| failed(path, format!("{what} in {}", steps.join("."))))?;
        // The source of the file's number is not that of this one.
        let sources = table.entry("sources").or_insert_with(|| Value::Table(Table::new()));
        if let Some(sources) = sources.as_table_mut() {
            sources.insert(path.clone(), Value::String(SET.to_owned()));
        }
    }
    toml::to_string(&table).map_err(|error| failed("", error.to_string()))
}

fn set(table: &mut Table, steps: &[&str], value: Value) -> Result<(), String> {
    let [key, rest @ ..] = steps else { return Err("there is no key".to_owned()) };
    if rest.is_empty() {
        table.insert((*key).to_owned(), value);
        return Ok(());
    }
    match table.get_mut(*key) {
        Some(Value::Table(inner)) => set(inner, rest, value),
        Some(Value::Array(list)) => {
            let [name, rest @ ..] = rest else { return Err(format!("`{key}` is a list")) };
            let at = list.iter().enumerate().position(|(at, item)| step(at, item) == *name);
            let item = at.and_then(|at| list.get_mut(at)).and_then(Value::as_table_mut);
            match item {
                Some(item) if !rest.is_empty() => set(item, rest, value),
                _ => Err(format!("`{key}` has no `{name}` with such a key")),
            }
        }
        Some(_) => Err(format!("`{key}` has no keys below it")),
        None if named(key) => {
            let mut inner = Table::new();
            set(&mut inner, rest, value)?;
            table.insert((*key).to_owned(), Value::Table(inner));
            Ok(())
        }
        None => Err(format!("there is no `{key}`")),
    }
}

/// The JSON Schema of the rollout file, draft 2020-12.
pub fn schema_text() -> String {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Rollout>()
        .to_value();
    let mut text = serde_json::to_string_pretty(&schema)
        .expect("a JSON value with string keys can always be written");
    text.push('\n');
    text
}

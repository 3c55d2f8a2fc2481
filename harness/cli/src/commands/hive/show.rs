//! Keys and values, for people and as JSON.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};
use winfmt::hive::{Data, Key, KeyPath, ValueType};

use super::file::HiveFile;
use super::{existing, in_file, key_path, refused};
use crate::exit::usage;
use crate::output::print;

/// `hive show`.
pub(super) fn key(file: &Path, key: &str, as_json: bool) -> anyhow::Result<()> {
    let opened = HiveFile::open(file)?;
    let path = key_path(&opened.hive, file, key)?;
    let key = existing(&opened.hive, file, &path)?;
    let text = if as_json {
        serde_json::to_string_pretty(&key_json(&key)?).context("a key as JSON")? + "\n"
    } else {
        key_text(&key)?
    };
    print(&text)?;
    Ok(())
}

/// `hive get`.
pub(super) fn value(file: &Path, key: &str, name: &str, as_json: bool) -> anyhow::Result<()> {
    let opened = HiveFile::open(file)?;
    let path = key_path(&opened.hive, file, key)?;
    let key = existing(&opened.hive, file, &path)?;
    let data = existing_value(&key, file, &path, name)?;
    let text = if as_json {
        let value = json!({
            "key": path.to_string(),
            "name": name,
            "type": data.kind.to_string(),
            "data": data_json(&data),
            "bytes": hex(&data.bytes),
        });
        serde_json::to_string_pretty(&value).context("a value as JSON")? + "\n"
    } else {
        raw(&data)
    };
    print(&text)?;
    Ok(())
}

/// The data of a value; where there is none, an error with the values that there are.
pub(super) fn existing_value(
    key: &Key<'_>,
    file: &Path,
    path: &KeyPath,
    name: &str,
) -> anyhow::Result<Data> {
    if let Some(data) = key.value(name).map_err(refused(file))? {
        return Ok(data);
    }
    let values = key.values().map_err(refused(file))?;
    let names: Vec<String> =
        values.iter().map(|value| shown_name(&value.name.to_string())).collect();
    let has = if names.is_empty() { "no values".to_owned() } else { names.join(", ") };
    let place =
        if path.names().is_empty() { "the root key".to_owned() } else { format!("`{path}`") };
    let why = match name {
        "" => format!("{place} has no default value; it has {has}"),
        _ => format!("no value `{name}` in {place}; it has {has}"),
    };
    Err(usage(in_file(file, why)))
}

/// A value in one line.
pub(super) fn line(path: &KeyPath, name: &str, data: &Data) -> String {
    let key = if path.names().is_empty() { String::new() } else { format!("{path}\\") };
    format!("{key}{} = {} {data}", shown_name(name), data.kind)
}

fn shown_name(name: &str) -> String {
    if name.is_empty() { "(default)".to_owned() } else { name.to_owned() }
}

fn key_json(key: &Key<'_>) -> anyhow::Result<Value> {
    let mut values = Vec::new();
    for value in key.values()? {
        values.push(json!({
            "name": value.name.to_string(),
            "type": value.data.kind.to_string(),
            "data": data_json(&value.data),
        }));
    }
    Ok(json!({
        "name": key.name().to_string(),
        "last-written": key.last_written().to_string(),
        "subkeys": key.subkey_names()?,
        "values": values,
    }))
}

fn data_json(data: &Data) -> Value {
    let typed = match data.kind {
        ValueType::String | ValueType::ExpandString | ValueType::Link => {
            data.as_string().map(Value::from)
        }
        ValueType::MultiString => data.as_multi_string().map(Value::from),
        ValueType::Dword | ValueType::DwordBigEndian => data.as_dword().map(Value::from),
        ValueType::Qword => data.as_qword().map(Value::from),
        _ => None,
    };
    // A value whose bytes do not fit its type is shown as the bytes that are there.
    typed.unwrap_or_else(|| Value::from(hex(&data.bytes)))
}

fn key_text(key: &Key<'_>) -> anyhow::Result<String> {
    let mut text = format!("[{}]\n", key.name());
    for value in key.values()? {
        let name = shown_name(&value.name.to_string());
        let data = match data_json(&value.data) {
            Value::Number(number) => {
                let number = number.as_u64().unwrap_or_default();
                format!("{number:#x} ({number})")
            }
            Value::String(data) => data,
            Value::Array(all) => {
                all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | ")
            }
            other => other.to_string(),
        };
        text += &format!("  {name:<28} {:<14} {data}\n", value.data.kind.to_string());
    }
    for name in key.subkey_names()? {
        text += &format!("  {name}\\\n");
    }
    Ok(text)
}

/// Data alone, for a script to take.
fn raw(data: &Data) -> String {
    match data_json(data) {
        Value::String(text) => text + "\n",
        Value::Array(all) => {
            all.iter().filter_map(Value::as_str).map(|text| format!("{text}\n")).collect()
        }
        other => format!("{other}\n"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

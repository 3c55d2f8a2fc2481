//! Keys and values, for people and as JSON.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};
use winfmt::escaped;
use winfmt::hive::{Data, Key, KeyPath, Name, ValueType};

use super::file::HiveFile;
use super::{existing, in_file, key_path, named, refused};
use crate::exit::usage;
use crate::output::{print, print_bytes, print_json};

/// `hive show`.
pub(super) fn key(file: &Path, key: &str, as_json: bool) -> anyhow::Result<()> {
    let opened = HiveFile::open(file)?;
    let path = key_path(&opened.hive, file, key)?;
    let key = existing(&opened.hive, file, &path)?;
    if as_json {
        print_json(
            &(serde_json::to_string_pretty(&key_json(&key)?).context("a key as JSON")? + "\n"),
        )?;
    } else {
        print(&key_text(&key)?)?;
    }
    Ok(())
}

/// `hive get`.
pub(super) fn value(file: &Path, key: &str, name: &str, as_json: bool) -> anyhow::Result<()> {
    let opened = HiveFile::open(file)?;
    let path = key_path(&opened.hive, file, key)?;
    let key = existing(&opened.hive, file, &path)?;
    let name = named::value_name(&key, name).map_err(refused(file))?;
    let data = existing_value(&key, file, &path, &name)?;
    if as_json {
        let names: Vec<String> = path.names().iter().map(Name::text).collect();
        let value = json!({
            "key": names.join("\\"),
            "name": name.text(),
            "type": data.kind.to_string(),
            "data": data_json(&data),
            "bytes": hex(&data.bytes),
        });
        print_json(&(serde_json::to_string_pretty(&value).context("a value as JSON")? + "\n"))?;
    } else if std::io::stdout().is_terminal() {
        let lines: Vec<String> =
            texts(&data).iter().map(|text| format!("{}\n", escaped(text))).collect();
        print(&lines.concat())?;
    } else {
        let lines: Vec<String> = texts(&data).iter().map(|text| format!("{text}\n")).collect();
        print_bytes(lines.concat().as_bytes())?;
    }
    Ok(())
}

/// The data of a value; where there is none, an error with the values that there are.
pub(super) fn existing_value(
    key: &Key<'_>,
    file: &Path,
    path: &KeyPath,
    name: &Name,
) -> anyhow::Result<Data> {
    if let Some(data) = key.value(name).map_err(refused(file))? {
        return Ok(data);
    }
    let values = key.values().map_err(refused(file))?;
    let names: Vec<String> = values.iter().map(|value| shown_name(&value.name)).collect();
    let has = if names.is_empty() { "no values".to_owned() } else { names.join(", ") };
    let place =
        if path.names().is_empty() { "the root key".to_owned() } else { format!("`{path}`") };
    let why = if name.is_empty() {
        format!("{place} has no default value; it has {has}")
    } else {
        format!("no value `{name}` in {place}; it has {has}")
    };
    Err(usage(in_file(file, why)))
}

/// A value in one line.
pub(super) fn line(path: &KeyPath, name: &Name, data: &Data) -> String {
    let key = if path.names().is_empty() { String::new() } else { format!("{path}\\") };
    format!("{key}{} = {} {data}", shown_name(name), data.kind)
}

fn shown_name(name: &Name) -> String {
    if name.is_empty() { "(default)".to_owned() } else { name.to_string() }
}

fn key_json(key: &Key<'_>) -> anyhow::Result<Value> {
    let mut values = Vec::new();
    for value in key.values()? {
        values.push(json!({
            "name": value.name.text(),
            "type": value.data.kind.to_string(),
            "data": data_json(&value.data),
        }));
    }
    Ok(json!({
        "name": key.name().text(),
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
        let name = shown_name(&value.name);
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
        let data = escaped(data);
        text += &format!("  {name:<28} {:<14} {data}\n", value.data.kind.to_string());
    }
    for subkey in key.subkeys()? {
        text += &format!("  {}\\\n", subkey.name());
    }
    Ok(text)
}

/// Data alone, a line each.
fn texts(data: &Data) -> Vec<String> {
    match data_json(data) {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        other => vec![other.to_string()],
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

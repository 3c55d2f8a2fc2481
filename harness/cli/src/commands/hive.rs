//! `loopbreak hive`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};
use winfmt::hive::{Data, Hive, Key, ValueType};

use crate::exit::{Exit, usage};
use crate::output::print;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum HiveCommand {
    /// Shows a key: its values and the names of its subkeys.
    Show {
        /// The hive.
        file: PathBuf,
        /// The key, for example `ControlSet001\Control\CrashControl` [default: the root].
        #[arg(default_value = "")]
        key: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(command: &HiveCommand) -> anyhow::Result<Exit> {
    match command {
        HiveCommand::Show { file, key, json } => show(file, key, *json),
    }
}

fn show(file: &Path, path: &str, as_json: bool) -> anyhow::Result<Exit> {
    let bytes = fs_err::read(file).map_err(usage)?;
    let hive = Hive::open(bytes).map_err(|error| usage(in_file(file, error)))?;
    let key = if path.is_empty() { hive.root() } else { hive.key(path) }
        .map_err(|error| usage(in_file(file, error)))?;
    let text = if as_json {
        serde_json::to_string_pretty(&to_json(&key)?).context("a key as JSON")? + "\n"
    } else {
        to_text(&key)?
    };
    print(&text)?;
    Ok(Exit::AsExpected)
}

pub(crate) fn in_file(file: &Path, error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{}: {error}", file.display())
}

fn to_json(key: &Key<'_>) -> anyhow::Result<Value> {
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

fn to_text(key: &Key<'_>) -> anyhow::Result<String> {
    let mut text = format!("[{}]\n", key.name());
    for value in key.values()? {
        let name = value.name.to_string();
        let name = if name.is_empty() { "(default)".to_owned() } else { name };
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

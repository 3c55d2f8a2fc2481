//! `loopbreak bcd`: boot configuration stores, without Windows.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use winfmt::bcd::{BcdError, BcdStore, ObjectType};
use winfmt::{Guid, escaped};

use crate::commands::hive::{HiveFile, in_file};
use crate::exit::{Exit, usage};
use crate::output::{print, print_json};

/// What to do.
#[derive(Debug, Subcommand)]
#[command(after_long_help = ABOUT_STORES)]
pub(crate) enum BcdCommand {
    /// Show objects and elements, and whether the default entry can recover
    ///
    /// Much as `bcdedit /enum all` does. Control and formatting characters are shown escaped.
    Show {
        /// The store file
        file: PathBuf,
        /// Only this object: a GUID or an alias such as {bootmgr} or {default}
        object: Option<String>,
        /// Print JSON, with every element's type, name and value
        #[arg(long)]
        json: bool,
    },
    /// Print an element, including one that the object inherits
    ///
    /// Prints `not set` if there is none.
    Get {
        /// The store file
        file: PathBuf,
        /// The object: a GUID or an alias such as {bootmgr} or {default}
        object: String,
        /// The element: a name such as recoveryenabled, or a type such as 16000009
        element: String,
        /// Print JSON, with the object that the element comes from
        #[arg(long)]
        json: bool,
    },
    /// Set an element; everything else in the store stays as it is
    Set {
        /// The store file
        file: PathBuf,
        /// The object: a GUID or an alias such as {bootmgr} or {default}
        object: String,
        /// The element: a name such as recoveryenabled, or a type such as 16000009
        element: String,
        /// The value, for example yes, 30, or IgnoreAllFailures
        ///
        /// Yes or no; a number, or the word for it (IgnoreAllFailures); text; objects; a device as `show` prints
        /// it; or `hex:` and bytes.
        #[arg(required = true, allow_hyphen_values = true)]
        value: Vec<String>,
    },
    /// Delete an element, or an object with all of its elements
    ///
    /// References to a deleted object stay.
    Delete {
        /// The store file
        file: PathBuf,
        /// The object: a GUID or an alias such as {bootmgr} or {default}
        object: String,
        /// The element [default: delete the whole object]
        element: Option<String>,
    },
}

const ABOUT_STORES: &str = "\
{default} is the boot manager's default entry, and so is {current}, as nothing was started from a file.

A store that Windows left dirty is read together with the log beside it (BCD.LOG).";

pub(crate) fn run(command: &BcdCommand) -> anyhow::Result<Exit> {
    match command {
        BcdCommand::Show { file, object, json } => show(file, object.as_deref(), *json),
        BcdCommand::Get { file, object, element, json } => get(file, object, element, *json),
        BcdCommand::Set { file, object, element, value } => {
            edit(file, |store| set(store, object, element, value))
        }
        BcdCommand::Delete { file, object, element } => {
            edit(file, |store| delete(store, object, element.as_deref()))
        }
    }
}

fn show(file: &Path, object: Option<&str>, as_json: bool) -> anyhow::Result<Exit> {
    let store = open(file)?;
    let text = in_store(file, || {
        Ok(match (object, as_json) {
            (None, false) => store.render()? + &summary(&store)?,
            (None, true) => pretty(&json!(store.listing()?)),
            (Some(object), false) => store.render_object(store.resolve(object)?)?,
            (Some(object), true) => pretty(&json!(store.object_listing(store.resolve(object)?)?)),
        })
    })?;
    if as_json {
        print_json(&text)?
    } else {
        print(&text)?
    }
    Ok(Exit::AsExpected)
}

/// What decides whether the default entry can recover, said also where the store says nothing.
fn summary(store: &BcdStore) -> Result<String, BcdError> {
    let listing = store.listing()?;
    let described = |id: Guid| -> Result<String, BcdError> {
        Ok(match store.object(id)? {
            Some(object) => format!("{id} {}", escaped(object.description().unwrap_or_default())),
            None => format!("{id} (not in this store)"),
        })
    };
    let sequence: Vec<String> =
        listing.recovery_sequence.iter().map(|id| described(*id)).collect::<Result<_, _>>()?;
    let enabled = match listing.recovery_enabled {
        Some(true) => "Yes".to_owned(),
        Some(false) => "No".to_owned(),
        None => "not set (Windows takes it as Yes)".to_owned(),
    };
    let not_set = || "not set".to_owned();
    let lines = [
        ("default entry", listing.default_loader.map(described).transpose()?),
        ("recoverysequence", (!sequence.is_empty()).then(|| sequence.join(", "))),
        ("recoveryenabled", Some(enabled)),
        ("bootstatuspolicy", listing.boot_status_policy),
    ];
    let lines = lines.map(|(name, value)| format!("{name:<24}{}\n", value.unwrap_or_else(not_set)));
    Ok(format!(
        "\nRecovery of the default entry\n-----------------------------\n{}",
        lines.concat()
    ))
}

fn get(file: &Path, object: &str, element: &str, as_json: bool) -> anyhow::Result<Exit> {
    let store = open(file)?;
    let text = in_store(file, || {
        let (id, kind) = object_named(&store, object)?;
        let element = store.element_named(element, kind)?;
        let found = store.effective_from(id, element)?;
        let default = store.resolve("{default}").ok();
        if as_json {
            let from = found.as_ref().map(|(from, _)| *from);
            let listing = from.map(|from| store.object_listing(from)).transpose()?;
            let own = listing.and_then(|listing| {
                listing.elements.into_iter().find(|own| own.r#type == element.to_string())
            });
            return Ok(pretty(&json!({
                "object": id,
                "type": element.to_string(),
                "name": element.name_on(kind),
                "set": found.is_some(),
                "inherited-from": from.filter(|from| *from != id),
                "value": own.as_ref().map(|own| &own.value),
                "text": own.as_ref().map(|own| &own.text),
            })));
        }
        Ok(match found {
            Some((_, value)) => value.lines(element, default).join("\n") + "\n",
            None => "not set\n".to_owned(),
        })
    })?;
    if as_json {
        print_json(&text)?
    } else {
        print(&text)?
    }
    Ok(Exit::AsExpected)
}

fn set(store: &mut BcdStore, object: &str, element: &str, value: &[String]) -> Result<(), Refusal> {
    let (id, kind) = object_named(store, object)?;
    let element = store.element_named(element, kind)?;
    let value = store.parse_value(element, kind, value)?;
    Ok(store.set(id, element, &value)?)
}

fn delete(store: &mut BcdStore, object: &str, element: Option<&str>) -> Result<(), Refusal> {
    let (id, kind) = object_named(store, object)?;
    let Some(element) = element else {
        store.delete_object(id)?;
        return Ok(());
    };
    let element = store.element_named(element, kind)?;
    if store.delete(id, element)? {
        return Ok(());
    }
    let name = element.name_on(kind).map_or_else(|| element.to_string(), str::to_owned);
    match store.effective_from(id, element)? {
        Some((from, _)) => Err(Refusal::Inherited { name, id, from }),
        None => Err(Refusal::NotSet { name, id }),
    }
}

/// An edit that is not done.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Store(#[from] BcdError),
    #[error("{name} is not set on {id}; nothing was deleted")]
    NotSet { name: String, id: Guid },
    #[error("{name} is not set on {id} itself, which inherits it from {from}; delete it there")]
    Inherited { name: String, id: Guid, from: Guid },
}

fn object_named(store: &BcdStore, text: &str) -> Result<(Guid, ObjectType), BcdError> {
    let id = store.resolve(text)?;
    match store.object(id)? {
        Some(object) => Ok((id, object.kind)),
        None => Err(BcdError::NoObject { id }),
    }
}

/// A store with its hive's file: read with the transaction logs beside it where it is dirty.
fn open_file(file: &Path) -> anyhow::Result<(HiveFile, BcdStore)> {
    let opened = HiveFile::open(file)?;
    let store = BcdStore::from_hive(opened.hive.clone());
    Ok((opened, store.map_err(|error| usage(in_file(file, error)))?))
}

fn open(file: &Path) -> anyhow::Result<BcdStore> {
    open_file(file).map(|(_, store)| store)
}

/// An edit that fails leaves the file as it was.
fn edit(
    file: &Path,
    change: impl FnOnce(&mut BcdStore) -> Result<(), Refusal>,
) -> anyhow::Result<Exit> {
    let (mut opened, mut store) = open_file(file)?;
    change(&mut store).map_err(|error| usage(in_file(file, error)))?;
    opened.hive = store.into_hive();
    opened.save()?;
    Ok(Exit::AsExpected)
}

fn in_store<T>(file: &Path, read: impl FnOnce() -> Result<T, BcdError>) -> anyhow::Result<T> {
    read().map_err(|error| usage(in_file(file, error)))
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

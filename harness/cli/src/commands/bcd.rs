//! `loopbreak bcd`: boot configuration stores, without Windows.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;
use winfmt::Guid;
use winfmt::bcd::{BcdError, BcdStore, ObjectType};

use crate::commands::hive::in_file;
use crate::exit::{Exit, usage};
use crate::output::print;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum BcdCommand {
    /// Shows objects and elements, much as `bcdedit /enum all` would, and whether the default entry
    /// can recover.
    Show {
        /// The store.
        file: PathBuf,
        /// One object only: a GUID or an alias such as {bootmgr} or {default}.
        object: Option<String>,
        /// As JSON, with every element's type, name and value.
        #[arg(long)]
        json: bool,
    },
    /// Prints an element, also one that the object inherits; `not set` where there is none.
    Get {
        /// The store.
        file: PathBuf,
        /// The object: a GUID or an alias such as {bootmgr} or {default}.
        object: String,
        /// The element: a name such as recoveryenabled, or its type such as 16000009.
        element: String,
        /// As JSON, with the object that the element comes from.
        #[arg(long)]
        json: bool,
    },
    /// Sets an element. Everything else in the store stays as it is.
    Set {
        /// The store.
        file: PathBuf,
        /// The object: a GUID or an alias such as {bootmgr} or {default}.
        object: String,
        /// The element: a name such as recoveryenabled, or its type such as 16000009.
        element: String,
        /// The value: yes or no; a number or its word (IgnoreAllFailures); text; objects; a device as
        /// `show` prints it; or `hex:` and bytes.
        #[arg(required = true, allow_hyphen_values = true)]
        value: Vec<String>,
    },
    /// Deletes an element, or an object with all its elements. References to it stay.
    Delete {
        /// The store.
        file: PathBuf,
        /// The object: a GUID or an alias such as {bootmgr} or {default}.
        object: String,
        /// The element; the whole object without it.
        element: Option<String>,
    },
}

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
    print(&text)?;
    Ok(Exit::AsExpected)
}

/// What decides whether the default entry can recover, said also where the store says nothing.
fn summary(store: &BcdStore) -> Result<String, BcdError> {
    let listing = store.listing()?;
    let described = |id: Guid| -> Result<String, BcdError> {
        Ok(match store.object(id)? {
            Some(object) => format!("{id} {}", object.description().unwrap_or_default()),
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
    print(&text)?;
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

fn open(file: &Path) -> anyhow::Result<BcdStore> {
    let bytes = fs_err::read(file).map_err(usage)?;
    BcdStore::open(bytes).map_err(|error| usage(in_file(file, error)))
}

fn edit(
    file: &Path,
    change: impl FnOnce(&mut BcdStore) -> Result<(), Refusal>,
) -> anyhow::Result<Exit> {
    let mut store = open(file)?;
    let refused = |error: Refusal| usage(in_file(file, error));
    change(&mut store).map_err(refused)?;
    let bytes = store.to_bytes().map_err(|error| refused(error.into()))?;
    // What was written must be a store again before it takes the place of the old one.
    BcdStore::open(bytes.clone()).map_err(|error| in_file(file, error))?;
    replace(file, &bytes)?;
    Ok(Exit::AsExpected)
}

/// Puts bytes in the place of a file, whole or not at all, with the file's permissions.
fn replace(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    // A link stays one: its target is what is replaced.
    let file = fs_err::canonicalize(file).map_err(usage)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let permissions = fs_err::metadata(&file).map_err(usage)?.permissions();
    if permissions.readonly() {
        let why = anyhow::anyhow!(
            "{}: the file is read-only; make it writable, or edit a copy",
            file.display()
        );
        return Err(usage(why));
    }
    let write = || -> anyhow::Result<()> {
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        beside.write_all(bytes)?;
        beside.as_file().set_permissions(permissions)?;
        beside.as_file().sync_all()?;
        beside.persist(&file)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display())).map_err(usage)
}

fn in_store<T>(file: &Path, read: impl FnOnce() -> Result<T, BcdError>) -> anyhow::Result<T> {
    read().map_err(|error| usage(in_file(file, error)))
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

//! `loopbreak bcd`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use winfmt::bcd::BcdStore;

use crate::commands::hive::in_file;
use crate::exit::{Exit, usage};
use crate::output::print;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum BcdCommand {
    /// Shows a store as `bcdedit /enum all` would.
    Show {
        /// The store.
        file: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(command: &BcdCommand) -> anyhow::Result<Exit> {
    match command {
        BcdCommand::Show { file, json } => show(file, *json),
    }
}

fn show(file: &Path, as_json: bool) -> anyhow::Result<Exit> {
    let bytes = fs_err::read(file).map_err(usage)?;
    let store = BcdStore::open(bytes).map_err(|error| usage(in_file(file, error)))?;
    let text = if as_json {
        serde_json::to_string_pretty(&to_json(&store)?)? + "\n"
    } else {
        store.render().map_err(|error| usage(in_file(file, error)))?
    };
    print(&text)?;
    Ok(Exit::AsExpected)
}

fn to_json(store: &BcdStore) -> anyhow::Result<serde_json::Value> {
    let default = store.default_loader()?;
    let (sequence, enabled) = match &default {
        Some(loader) => {
            (store.recovery_sequence(loader.id)?, Some(store.recovery_enabled(loader.id)?))
        }
        None => (Vec::new(), None),
    };
    let objects: Vec<_> = store
        .objects()?
        .iter()
        .map(|object| {
            json!({
                "id": object.id.to_string(),
                "type": format!("{:08x}", object.kind.0),
                "description": object.description(),
            })
        })
        .collect();
    Ok(json!({
        "default-loader": default.map(|loader| loader.id.to_string()),
        "recovery-sequence": sequence.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "recovery-enabled": enabled,
        "objects": objects,
    }))
}

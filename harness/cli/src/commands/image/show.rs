//! Looking at images: list, inspect, qualify.

use std::path::Path;

use disk::{Image, Listed, Store, StoreError};
use engine::intake;
use hypervisor::MachineProfile;
use inspect::{Inspection, Qualification};
use serde_json::json;
use winfmt::escaped;

use super::{intake_marked, marked, size};
use crate::exit::{Exit, usage};
use crate::output::{print, print_json, tell};

pub(super) fn list(store: &Store, as_json: bool) -> anyhow::Result<Exit> {
    let listed = store.list().map_err(marked)?;
    if as_json {
        let lines: Vec<String> = listed.iter().map(|one| format!("{}\n", to_json(one))).collect();
        print_json(&lines.concat())?;
        return Ok(Exit::AsExpected);
    }
    if listed.is_empty() {
        tell("no images yet; `loopbreak image import PATH --name NAME` adds one");
        return Ok(Exit::AsExpected);
    }
    let mut rows = vec![["NAME", "DIGEST", "KIND", "CHECKS", "SIZE", "SYSTEM"].map(str::to_owned)];
    for one in &listed {
        let digest: String = one.digest.chars().take(12).collect();
        rows.push(match &one.image {
            Ok(image) => [
                one.name.clone(),
                digest,
                kind(image),
                checks(image),
                size(image.size()),
                product(image),
            ],
            Err(error) => [
                one.name.clone(),
                digest,
                String::new(),
                String::new(),
                String::new(),
                wrong(error),
            ],
        });
    }
    print(&table(&rows))?;
    Ok(Exit::AsExpected)
}

/// Columns as wide as they must be; the last one may be long.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = if column + 1 == N { 0 } else { width(column) };
            line += &format!("{cell:<width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn wrong(error: &StoreError) -> String {
    match error {
        StoreError::Damaged { what, .. } => format!("DAMAGED: {}", escaped(what.join("; "))),
        other => format!("unusable: {}", escaped(other)),
    }
}

fn kind(image: &Image) -> String {
    match MachineProfile::read(&image.profile()) {
        Ok(profile) if profile.is_model => "model",
        Ok(_) => "system",
        Err(_) => "?",
    }
    .to_owned()
}

fn stored(image: &Image) -> Option<Qualification> {
    serde_json::from_slice(&fs_err::read(image.qualification()?).ok()?).ok()
}

fn checks(image: &Image) -> String {
    match stored(image) {
        Some(found) if !found.is_current() => "outdated".to_owned(),
        Some(found) => match found.failing().count() {
            0 => "qualified".to_owned(),
            count => format!("{count} of {} fail", found.checks.len()),
        },
        None => "not qualified".to_owned(),
    }
}

fn product(image: &Image) -> String {
    let product = stored(image).and_then(|found| found.product);
    let product = product.unwrap_or_else(|| "unknown".to_owned());
    escaped(product).to_string().chars().take(80).collect()
}

fn to_json(one: &Listed) -> serde_json::Value {
    match &one.image {
        Ok(image) => {
            let found = stored(image);
            json!({
                "name": one.name,
                "digest": one.digest,
                "size": image.size(),
                "is-model": MachineProfile::read(&image.profile()).ok().map(|own| own.is_model),
                "product": found.as_ref().and_then(|found| found.product.clone()),
                "qualified": found.as_ref().map(Qualification::qualifies),
                "failing": found.as_ref().map(|found| {
                    found.failing().map(|check| check.name.as_str()).collect::<Vec<_>>()
                }),
                "source": image.manifest().source,
            })
        }
        Err(error) => {
            json!({ "name": one.name, "digest": one.digest, "error": error.to_string() })
        }
    }
}

pub(super) fn inspect(
    store: &Store,
    what: &str,
    windows: Option<u32>,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let found = inspection(store, what, windows)?;
    if as_json {
        print_json(&(serde_json::to_string_pretty(&found)? + "\n"))?;
    } else {
        print(&inspect::render(&found))?;
    }
    Ok(Exit::AsExpected)
}

/// By name or digest where the store has it, else by path.
fn inspection(store: &Store, what: &str, windows: Option<u32>) -> anyhow::Result<Inspection> {
    let path = Path::new(what);
    if !what.contains('/') {
        match store.image(what) {
            Ok(image) => return intake::inspect_image(&image, windows).map_err(intake_marked),
            Err(StoreError::NoImage { .. }) if path.exists() => {}
            Err(StoreError::NoImage { .. }) if what.contains('.') => {
                anyhow::bail!(usage(anyhow::anyhow!(
                    "there is neither a file nor an image called {what}"
                )));
            }
            Err(error) => return Err(marked(error)),
        }
    }
    intake::inspect_file(path, windows).map_err(intake_marked)
}

pub(super) fn qualify(store: &Store, image: &str, as_json: bool) -> anyhow::Result<Exit> {
    let image = store.image(image).map_err(marked)?;
    // Always from the disk: what is stored may have been judged by an older version.
    let found = intake::inspect_image(&image, None).map_err(intake_marked)?;
    answer(&inspect::qualify(&found), as_json)
}

/// Prints a qualification; its exit code.
pub(super) fn answer(qualification: &Qualification, as_json: bool) -> anyhow::Result<Exit> {
    if as_json {
        print_json(&(serde_json::to_string_pretty(qualification)? + "\n"))?;
    } else {
        print(&inspect::render_qualification(qualification))?;
    }
    Ok(if qualification.qualifies() { Exit::AsExpected } else { Exit::Differs })
}

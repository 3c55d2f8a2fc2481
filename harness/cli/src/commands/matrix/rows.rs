//! The rows and columns of a matrix: incidents, and each of them with one layer alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use scenario::{LAYERS_ALONE, Layer, Scenario, alone};

use super::MatrixArgs;
use crate::args::Global;
use crate::choice;
use crate::exit::usage;
use crate::scenarios;

/// One cell, before it is filled.
pub(super) struct Planned {
    pub(super) incident: String,
    pub(super) layer: Layer,
    /// What is run for it, or why nothing can be.
    pub(super) run: Result<Run, String>,
}

/// What fills a cell.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) scenario: Scenario,
    /// True where no variant of the incident says it.
    pub(super) made: bool,
}

/// All cells that a command asks for, by incident; within one, what others go on from comes first.
pub(super) fn cells(global: &Global, args: &MatrixArgs) -> anyhow::Result<Vec<Planned>> {
    let layers = layers(&args.layers)?;
    let mut planned = Vec::new();
    for (incident, folder) in incidents(global, args)? {
        let variants = Scenario::load_all(&folder).map_err(usage)?;
        for layer in &layers {
            let run = alone(&variants, *layer).map(|alone| {
                let image = args.image.as_deref();
                let scenario = image.map(|image| alone.scenario.on_image(image));
                Run { scenario: scenario.unwrap_or(alone.scenario), made: alone.made }
            });
            planned.push(Planned { incident: incident.clone(), layer: *layer, run });
        }
    }
    Ok(planned)
}

/// The incidents that are chosen, each with its folder.
fn incidents(global: &Global, args: &MatrixArgs) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut chosen = Vec::new();
    for name in &args.names {
        chosen.extend(scenarios::find(&global.scenarios, name)?);
    }
    if args.names.is_empty() {
        chosen = scenarios::all(&global.scenarios)?;
    }
    if let Some(filter) = args.choice.parse()? {
        chosen = choice::choose(global, chosen, &filter)?;
    }
    let named =
        |(scenario, folder): (Scenario, PathBuf)| (scenario.folder_name().to_owned(), folder);
    Ok(chosen.into_iter().map(named).collect())
}

/// In the order in which they are run: first those that need a start of their own, so that the others find a machine
/// that was given up and do not wait for one.
fn layers(named: &[Layer]) -> anyhow::Result<Vec<Layer>> {
    if let Some(other) = named.iter().find(|layer| !LAYERS_ALONE.contains(layer)) {
        let all: Vec<&str> = LAYERS_ALONE.iter().map(|layer| layer.name()).collect();
        return Err(usage(anyhow::anyhow!(
            "nothing here works {other} yet; there are {}",
            all.join(", ")
        )));
    }
    let mut layers: Vec<Layer> = match named {
        [] => LAYERS_ALONE.to_vec(),
        named => LAYERS_ALONE.into_iter().filter(|layer| named.contains(layer)).collect(),
    };
    layers.sort_by_key(|layer| match layer {
        Layer::AutomaticRepair => 0,
        Layer::QuickMachineRecovery | Layer::LastKnownGood => 1,
        _ => 2,
    });
    Ok(layers)
}

//! `loopbreak image`.

use std::path::PathBuf;

use clap::Subcommand;
use disk::Store;
use engine::StateDir;

use crate::args::Global;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::print;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Lists images.
    List {
        /// As JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Takes a bundle (disk.qcow2, vars.fd, profile.toml) into the store.
    Import {
        /// The bundle's directory.
        bundle: PathBuf,
        /// Its name in the store.
        #[arg(long)]
        name: String,
    },
    /// Reads an image whole and compares it with its digests.
    Verify {
        /// Name or digest.
        image: String,
    },
    /// Removes an image.
    Rm {
        /// Name or digest.
        image: String,
    },
}

pub(crate) fn run(global: &Global, command: &ImageCommand) -> anyhow::Result<Exit> {
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let store = Store::open(state.root()).map_err(marked)?;
    match command {
        ImageCommand::List { json } => {
            let mut text = String::new();
            for image in store.list().map_err(marked)? {
                text += &if *json {
                    let line = serde_json::json!({
                        "name": image.name, "digest": image.digest, "size": image.size(),
                    });
                    format!("{line}\n")
                } else {
                    let size = image.size() >> 20;
                    format!("{:<24} {:.12} {size:>6} MiB\n", image.name, image.digest)
                };
            }
            print(&text)?;
        }
        ImageCommand::Import { bundle, name } => {
            hypervisor::MachineProfile::read(&bundle.join("profile.toml")).map_err(usage)?;
            let image = store.import(bundle, name).map_err(marked)?;
            print(&format!("{} {}\n", image.name, image.digest))?;
        }
        ImageCommand::Verify { image } => {
            let image = store.image(image).map_err(marked)?;
            store.verify(&image).map_err(marked)?;
            print(&format!("{} {}: whole\n", image.name, image.digest))?;
        }
        ImageCommand::Rm { image } => store.remove(image).map_err(marked)?,
    }
    Ok(Exit::AsExpected)
}

fn marked(error: disk::StoreError) -> anyhow::Error {
    if error.is_usage() { usage(error) } else { infrastructure(error) }
}

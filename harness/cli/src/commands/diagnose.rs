//! `loopbreak diagnose`.

use std::path::{Path, PathBuf};

use clap::Args;
use diagnosis::Diagnosis;
use disk::{Store, StoreError};
use engine::intake::{Examined, IntakeError};
use engine::{RunDir, StateDir};
use scenario::Scenario;

use crate::args::Global;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, print_json, tell};

#[derive(Debug, Args)]
pub(crate) struct DiagnoseArgs {
    /// A disk file, a bundle, an image of the store, or a run that kept its disk
    ///
    /// A run goes by its name, part of it, its directory, or `latest`.
    #[arg(value_name = "DISK|IMAGE|RUN")]
    what: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Exit with 1 if Windows stopped since its last good start
    #[arg(long)]
    fail_on_stop: bool,
    /// Write a scenario that reproduces it, and repairs the first suspect
    ///
    /// DIR is a new folder; its name becomes the scenario's. Files of the disk that it needs are taken along.
    #[arg(long, value_name = "DIR")]
    as_scenario: Option<PathBuf>,
    /// The image of the scenario's machine
    #[arg(long, value_name = "NAME", requires = "as_scenario", default_value = "understudy")]
    image: String,
}

pub(crate) fn run(global: &Global, args: &DiagnoseArgs) -> anyhow::Result<Exit> {
    let folder = args.as_scenario.as_deref().map(named).transpose()?;
    let examined = examine(global, &args.what)?;
    let diagnosis = diagnosis::diagnose(&examined.inspection, &examined.traces);
    if args.json {
        print_json(&(serde_json::to_string_pretty(&diagnosis)? + "\n"))?;
    } else {
        print(&diagnosis::render(&diagnosis))?;
    }
    if let Some((folder, name)) = folder {
        write_scenario(&examined, &diagnosis, folder, name, &args.image)?;
    }
    Ok(match args.fail_on_stop && diagnosis.has_stopped() {
        true => Exit::Differs,
        false => Exit::AsExpected,
    })
}

fn examine(global: &Global, what: &str) -> anyhow::Result<Examined> {
    let path = Path::new(what);
    let is_run = path.join("run.json").is_file();
    if path.exists() && !is_run {
        return Examined::file(path).map_err(marked);
    }
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    if !is_run && !what.contains('/') {
        let store = Store::open(state.root()).map_err(|error| marked(error.into()))?;
        match store.image(what) {
            Ok(image) => return Examined::image(&image).map_err(marked),
            Err(StoreError::NoImage { .. }) => {}
            Err(error) => return Err(marked(error.into())),
        }
    }
    let run = RunDir::find(&state.runs(), what).map_err(|error| {
        usage(anyhow::anyhow!("there is no disk, no image and no run called {what}: {error}"))
    })?;
    Examined::run(&run).map_err(marked)?.ok_or_else(|| {
        usage(anyhow::anyhow!(
            "the run {} did not keep its machine's disk; `loopbreak run --keep-disk` keeps it",
            run.name()
        ))
    })
}

fn marked(error: IntakeError) -> anyhow::Error {
    if error.is_usage() { usage(error) } else { infrastructure(error) }
}

/// A new folder, and the scenario's name that follows from it.
fn named(folder: &Path) -> anyhow::Result<(&Path, &str)> {
    let name = folder.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        usage(anyhow::anyhow!("{} has no name that a scenario could have", folder.display()))
    })?;
    if folder.exists() {
        let what = format!("{} is there already; name a new folder", folder.display());
        return Err(usage(anyhow::anyhow!(what)));
    }
    Ok((folder, name))
}

fn write_scenario(
    examined: &Examined,
    diagnosis: &Diagnosis,
    folder: &Path,
    name: &str,
    image: &str,
) -> anyhow::Result<()> {
    let (inspection, traces) = (&examined.inspection, &examined.traces);
    let made =
        diagnosis::reproduction(diagnosis, inspection, traces, name, image).map_err(usage)?;
    let mut files = Vec::new();
    for (name, path) in &made.files {
        files.push((name, examined.read_file(path).map_err(infrastructure)?));
    }
    fs_err::create_dir_all(folder).map_err(usage)?;
    for (name, bytes) in files {
        fs_err::write(folder.join(name), bytes).map_err(infrastructure)?;
    }
    let file = folder.join("scenario.toml");
    fs_err::write(&file, made.text).map_err(infrastructure)?;
    // What is written has to be a scenario; where it is none, its errors say what to mend.
    Scenario::load(folder).map_err(usage)?;
    tell(format!("wrote {}; `loopbreak run {}` runs it", file.display(), folder.display()));
    Ok(())
}

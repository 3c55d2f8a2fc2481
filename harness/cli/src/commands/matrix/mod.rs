//! `loopbreak matrix`: every incident against every layer alone.

mod plan;
mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use disk::Store;
use engine::{Interrupt, RunError, RunOptions, Session, StateDir, StatusSink};
use fs_err as fs;
use report::{Cell, ImageSummary, Matrix, Measured, matrix_markdown, matrix_page};
use scenario::{Layer, Scenario};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use words::ImageLine;

pub(super) use self::plan::plan;
use self::rows::{Planned, Run, cells};
use super::journal::Journal;
use super::report::write_whole;
use super::run::images;
use crate::args::Global;
use crate::choice::Choice;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, print_json, tell};
use crate::progress::status_sink;
use crate::session::{exit_code, in_session, marked};

/// Which cells.
#[derive(Debug, Args)]
pub(crate) struct MatrixArgs {
    /// Incidents, by the name of their scenario; without one, all of the scenarios folder
    #[arg(value_name = "SCENARIO")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) choice: Choice,
    /// Only these layers, separated by commas
    #[arg(long, value_name = "LAYER", value_delimiter = ',')]
    pub(crate) layers: Vec<Layer>,
    /// Run on this image instead of the scenarios' own
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,
    /// How many machines may run at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) jobs: u32,
}

/// What is done with the table.
#[derive(Debug, Args)]
pub(crate) struct MatrixOutput {
    /// Take every run from its own start, even where several begin in the same way
    #[arg(long)]
    pub(crate) apart: bool,
    /// Begin anew, even where the same matrix was interrupted before
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Make the table the reference; what was not run stays as it is
    #[arg(long)]
    pub(crate) accept: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a page of HTML
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write a summary in Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
}

pub(crate) fn run(
    global: &Global,
    args: &MatrixArgs,
    output: &MatrixOutput,
) -> anyhow::Result<Exit> {
    let planned = cells(global, args)?;
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    images(&state, args.image.as_slice())?;
    let image = one_image(&planned)?;
    let digest = Store::open(state.root())
        .and_then(|store| Ok(store.image(&image)?.digest))
        .map_err(|error| marked(error.into()))?;
    let runs = planned.iter().filter_map(|planned| planned.run.as_ref().ok());
    let runs = runs.map(|run| &run.scenario);
    let (journal, before): (Journal, Vec<Done>) =
        Journal::open((&state, "matrix"), &digest, runs, output.fresh).map_err(infrastructure)?;
    if !before.is_empty() {
        let of = planned.iter().filter(|planned| planned.run.is_ok()).count();
        tell(format!(
            "going on with a matrix that was interrupted: {} of {of} runs are done; --fresh begins anew",
            before.len()
        ));
    }
    let before = before.into_iter().map(|done| ((done.incident.clone(), done.layer), done));
    let mut filled = Filled { image, before: before.collect(), ..Filled::default() };
    let exit = in_session(global, state, async |session, interrupt| {
        filled.fill(session, interrupt, planned, (args.jobs, output.apart), &journal).await
    })?;
    let page = filled.matrix()?;
    let mut exit = exit;
    let complete = exit <= Exit::Differs && filled.is_complete();
    let reference = reference(&global.scenarios, &page.line);
    let old = read_reference(&reference)?;
    let changes = old.as_ref().map(|old| page.changes_since(old)).unwrap_or_default();
    write(output, &page, &changes, &filled.times)?;
    if output.json {
        print_json(&document(&page, &changes, old.is_some(), &filled.times)?)?;
    } else {
        print(&shown(&page, &changes, &filled, old.is_some() || output.accept))?;
    }
    match (&old, output.accept) {
        (_, true) if exit > Exit::Differs => {
            tell("error: a table with cells that have no verdict does not become the reference");
        }
        (old, true) => {
            let table = old.clone().map_or_else(|| page.clone(), |old| old.laid_over(&page));
            write_whole(&reference, &table.render())?;
            tell(format!("the reference is {}", reference.display()));
        }
        (Some(_), false) if changes.is_empty() => {}
        _ => exit = exit.max(Exit::Differs),
    }
    // Only now: what is written above may have failed.
    if complete {
        journal.close().map_err(infrastructure)?;
    } else {
        tell("what has a verdict is kept: the same command goes on from here");
    }
    Ok(exit)
}

/// A cell that has a verdict.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    incident: String,
    layer: Layer,
    image: ImageSummary,
    cell: Cell,
    measured: Option<Measured>,
}

/// The image of all runs.
fn one_image(planned: &[Planned]) -> anyhow::Result<String> {
    let mut images: Vec<&str> = planned
        .iter()
        .filter_map(|planned| planned.run.as_ref().ok())
        .map(|run| run.scenario.machine.image.as_str())
        .collect();
    images.sort_unstable();
    images.dedup();
    match images.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(usage(anyhow::anyhow!(
            "none of these incidents can be held against one of these layers"
        ))),
        several => Err(usage(anyhow::anyhow!(
            "the scenarios name several images, {}; say which one with --image",
            several.join(", ")
        ))),
    }
}

/// The table while it is filled.
#[derive(Default)]
struct Filled {
    image: String,
    /// What an interrupted command had done.
    before: BTreeMap<(String, Layer), Done>,
    about: Option<(ImageLine, bool)>,
    cells: Vec<(String, Layer, Cell)>,
    times: BTreeMap<(String, Layer), Measured>,
}

impl Filled {
    async fn fill(
        &mut self,
        session: &Arc<Session>,
        interrupt: &Interrupt,
        planned: Vec<Planned>,
        (jobs, apart): (u32, bool),
        journal: &Journal,
    ) -> anyhow::Result<Exit> {
        let options = RunOptions::default();
        let mut to_run = Vec::new();
        for Planned { incident, layer, run } in planned {
            if let Some(done) = self.before.get(&(incident.clone(), layer)).cloned() {
                self.take(done);
                continue;
            }
            let run = match run {
                Ok(run) => run,
                Err(why) => {
                    self.cells.push((incident, layer, Cell::NotApplicable { why }));
                    continue;
                }
            };
            match session.not_applicable(&run.scenario, &options).await.map_err(marked)? {
                Some(reason) => {
                    self.about = Some((reason.image_line.clone(), reason.image_is_model));
                    let lacks: Vec<String> =
                        reason.lacks.iter().map(|lack| lack.why.clone()).collect();
                    let why = lacks.join("; ");
                    self.cells.push((incident, layer, Cell::NotApplicable { why }));
                }
                None => to_run.push((incident, layer, run)),
            }
        }
        if !apart {
            session.announce(to_run.iter().map(|(_, _, run)| &run.scenario));
        }
        let runs = Runs {
            session: Arc::clone(session),
            interrupt: interrupt.clone(),
            slots: Arc::new(Semaphore::new(jobs as usize)),
            status: status_sink(false),
            options,
        };
        // No reference of a scenario is compared: the table has its own.
        let aside = tempfile::tempdir().map_err(infrastructure)?;
        let mut tasks = tokio::task::JoinSet::new();
        for (incident, layer, Run { scenario, .. }) in to_run {
            let (runs, aside) = (runs.clone(), aside.path().to_path_buf());
            tasks.spawn(async move {
                let came = runs.one(&scenario, &aside).await;
                (incident, layer, came)
            });
        }
        let mut exit = Exit::AsExpected;
        while let Some(over) = tasks.join_next().await {
            let (incident, layer, came) = match over {
                Ok(over) => over,
                // The others go on to their ends: each has to be cleaned up after.
                Err(error) => {
                    tell(format!("error: a run panicked: {error}"));
                    exit = exit.max(Exit::Infrastructure);
                    continue;
                }
            };
            match came {
                Ok((cell, image, measured)) => {
                    if let Cell::Failed { why } = &cell {
                        tell(format!("error: {incident} with {layer}: {why}"));
                        exit = exit.max(Exit::Infrastructure);
                        self.cells.push((incident, layer, cell));
                        continue;
                    }
                    let measured = Some(measured);
                    let done = Done { incident, layer, image, cell, measured };
                    if let Err(error) = journal.add(&done) {
                        tell(format!("error: what is done cannot be noted: {error}"));
                        exit = exit.max(Exit::Infrastructure);
                    }
                    self.take(done);
                }
                Err(error) => {
                    exit = exit.max(exit_code(&error));
                    tell(format!("error: {incident} with {layer}: {error}"));
                    let why = error.to_string();
                    self.cells.push((incident, layer, Cell::Failed { why }));
                }
            }
        }
        Ok(exit)
    }

    fn take(&mut self, done: Done) {
        let Done { incident, layer, image, cell, measured } = done;
        if let Some(line) = image.line {
            self.about = Some((line, image.is_model));
        }
        if let Some(measured) = measured {
            self.times.insert((incident.clone(), layer), measured);
        }
        self.cells.push((incident, layer, cell));
    }

    /// True where every cell has what it can have.
    fn is_complete(&self) -> bool {
        !self.cells.iter().any(|(_, _, cell)| matches!(cell, Cell::Failed { .. }))
    }

    fn matrix(&self) -> anyhow::Result<Matrix> {
        let Some((line, is_model)) = self.about.clone() else {
            return Err(infrastructure(anyhow::anyhow!("no cell of the matrix has a verdict")));
        };
        let mut matrix = Matrix::new(&self.image, line, is_model);
        for (incident, layer, cell) in &self.cells {
            matrix.put(incident, *layer, cell.clone());
        }
        Ok(matrix)
    }
}

/// What all runs of a matrix share.
#[derive(Clone)]
struct Runs {
    session: Arc<Session>,
    interrupt: Interrupt,
    slots: Arc<Semaphore>,
    status: StatusSink,
    options: RunOptions,
}

impl Runs {
    async fn one(
        &self,
        scenario: &Scenario,
        aside: &Path,
    ) -> Result<(Cell, ImageSummary, Measured), RunError> {
        let _slot = Arc::clone(&self.slots).acquire_owned().await;
        if self.interrupt.is_raised() {
            return Err(RunError::Interrupted);
        }
        let status = Arc::clone(&self.status);
        let result = self.session.run(scenario, aside, &self.options, status).await?;
        let measurements = &result.derived.measurements;
        let measured = Measured {
            run: result.directory.name(),
            outage_us: measurements.outage_us,
            total_us: measurements.total_us,
        };
        Ok((Cell::of(&result.derived.outcome), result.summary.image.clone(), measured))
    }
}

/// Where the reference of a line of systems lies.
fn reference(scenarios: &Path, line: &ImageLine) -> PathBuf {
    scenarios.join(format!("matrix.{line}.json"))
}

fn read_reference(path: &Path) -> anyhow::Result<Option<Matrix>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(usage)?,
    };
    let read = Matrix::parse(&text);
    let advice = "restore it from version control, or delete it and accept a new one";
    read.map(Some).map_err(|error| usage(anyhow::anyhow!("{}: {error}; {advice}", path.display())))
}

fn write(
    output: &MatrixOutput,
    matrix: &Matrix,
    changes: &[String],
    times: &BTreeMap<(String, Layer), Measured>,
) -> anyhow::Result<()> {
    if let Some(file) = &output.markdown {
        write_whole(file, &matrix_markdown(matrix, changes))?;
    }
    if let Some(file) = &output.html {
        let title = format!("loopbreak: incidents and layers on {}", matrix.image);
        write_whole(file, &matrix_page(&title, matrix, changes, times))?;
    }
    Ok(())
}

fn shown(matrix: &Matrix, changes: &[String], filled: &Filled, known: bool) -> String {
    let model = if matrix.is_model { ", a model, not Windows" } else { "" };
    let mut text = format!("{}{model}\n\n{}\n{}\n", matrix.image, matrix.table(), matrix.counts());
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for (_, _, cell) in &filled.cells {
        if let Cell::NotApplicable { .. } = cell {
            let why = cell.why();
            match reasons.iter_mut().find(|(known, _)| *known == why) {
                Some((_, count)) => *count += 1,
                None => reasons.push((why, 1)),
            }
        }
    }
    for (why, count) in reasons {
        text += &format!("  not applicable, {count} times: {why}\n");
    }
    if !known {
        text += "\nThere is no reference for this table yet; --accept makes it one.\n";
    } else if !changes.is_empty() {
        text += "\ndifferent from the reference:\n";
        text.extend(changes.iter().map(|change| format!("  {change}\n")));
        text += "--accept makes this table the reference\n";
    }
    text
}

fn document(
    matrix: &Matrix,
    changes: &[String],
    has_reference: bool,
    times: &BTreeMap<(String, Layer), Measured>,
) -> anyhow::Result<String> {
    let measured: Vec<_> = times
        .iter()
        .map(|((incident, layer), measured)| {
            serde_json::json!({ "incident": incident, "layer": layer, "measured": measured })
        })
        .collect();
    let document = serde_json::json!({
        "format": report::MATRIX_FORMAT,
        "matrix": matrix,
        "reference": if has_reference { "compared" } else { "missing" },
        "changes": changes,
        "measured": measured,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

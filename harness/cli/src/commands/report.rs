//! Reports: what `run` and `report` write for pipelines and for people.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use engine::{RunDir, StateDir, recorded_case};
use report::Case;
use scenario::Quarantine;

use crate::args::Global;
use crate::choice::{Choice, choose_runs, scenario_of};
use crate::commands::run::{quarantined, today};
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, tell};

/// Where reports go.
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "Reports")]
pub(crate) struct Reports {
    /// Write JUnit XML, as Jenkins, GitLab and others read it
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write a page of HTML that holds everything, pictures included
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write a summary in Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Print annotations for GitHub Actions, and add the summary to the job's page
    ///
    /// The page is the file that GITHUB_STEP_SUMMARY names.
    #[arg(long)]
    pub(crate) github: bool,
}

impl Reports {
    /// True where none is wanted.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { junit, html, markdown, github } = self;
        junit.is_none() && html.is_none() && markdown.is_none() && !github
    }

    /// Finds out before anything runs whether the files can be written.
    ///
    /// # Errors
    /// One of them cannot.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for file in [&self.junit, &self.html, &self.markdown].into_iter().flatten() {
            let partial = Partial::beside(file).map_err(usage)?;
            drop(partial);
        }
        Ok(())
    }

    /// Writes what is wanted.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn write(&self, title: &str, cases: &[Case]) -> anyhow::Result<()> {
        if let Some(file) = &self.junit {
            let xml = report::junit(cases).map_err(infrastructure)?;
            Partial::beside(file)?.keep(&xml).map_err(infrastructure)?;
        }
        if let Some(file) = &self.html {
            Partial::beside(file)?.keep(&report::page(title, cases)).map_err(infrastructure)?;
        }
        if let Some(file) = &self.markdown {
            Partial::beside(file)?.keep(&report::markdown(cases)).map_err(infrastructure)?;
        }
        if self.github {
            print(&report::annotations(cases))?;
            match std::env::var_os("GITHUB_STEP_SUMMARY") {
                // Other steps of the job write there, too.
                Some(file) => fs_err::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(PathBuf::from(file))
                    .and_then(|mut file| file.write_all(report::markdown(cases).as_bytes()))
                    .map_err(infrastructure)?,
                None => tell("note: GITHUB_STEP_SUMMARY is not set, so the summary goes nowhere"),
            }
        }
        Ok(())
    }
}

/// A file that is there whole or not at all.
pub(super) struct Partial<'a> {
    file: &'a Path,
    partial: tempfile::NamedTempFile,
}

impl<'a> Partial<'a> {
    pub(super) fn beside(file: &'a Path) -> anyhow::Result<Self> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let partial = tempfile::Builder::new()
            .prefix(".report-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)
            .with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(Self { file, partial })
    }

    pub(super) fn keep(mut self, text: &str) -> anyhow::Result<()> {
        self.partial.write_all(text.as_bytes()).map_err(|error| {
            // Its own words name the file that is only there meanwhile.
            let why = match error.kind() {
                std::io::ErrorKind::StorageFull => {
                    "its disk is full; make room, or name another place".to_owned()
                }
                _ => error.to_string(),
            };
            anyhow::anyhow!("{} cannot be written: {why}", self.file.display())
        })?;
        self.partial
            .persist(self.file)
            .with_context(|| format!("{} cannot be written", self.file.display()))?;
        Ok(())
    }
}

/// Writes a file whole or not at all.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_whole(file: &Path, text: &str) -> anyhow::Result<()> {
    Partial::beside(file).and_then(|partial| partial.keep(text)).map_err(infrastructure)
}

/// `loopbreak report`.
pub(crate) fn run(
    global: &Global,
    names: &[String],
    choice: &Choice,
    reports: &Reports,
) -> anyhow::Result<Exit> {
    let filter = choice.parse()?;
    if reports.is_empty() {
        return Err(usage(anyhow::anyhow!(
            "say what to write: --html FILE, --junit FILE, --markdown FILE or --github"
        )));
    }
    reports.check()?;
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let found = |name: &str| RunDir::find(&state.runs(), name).map_err(usage);
    let mut runs = match (names, &filter) {
        ([], None) => vec![found("latest")?],
        ([], Some(_)) => RunDir::list(&state.runs()).map_err(infrastructure)?,
        (names, _) => names.iter().map(|name| found(name)).collect::<Result<_, _>>()?,
    };
    if let Some(filter) = &filter {
        runs = choose_runs(runs, filter)?;
    }
    let mut cases: Vec<Case> =
        runs.iter().map(|run| recorded_case(run).map_err(usage)).collect::<Result<_, _>>()?;
    // As `run` reports them; what has expired since then counts again.
    if let Some(quarantine) = Quarantine::read(&global.scenarios).map_err(usage)? {
        for (run, case) in runs.iter().zip(&mut cases) {
            let entry = scenario_of(run).and_then(|scenario| quarantine.of(&scenario).cloned());
            let entry = entry.filter(|entry| entry.expires > today());
            case.circumstances.quarantine = entry.as_ref().map(quarantined);
        }
    }
    let title = match cases.as_slice() {
        [case] => format!("loopbreak: {}", case.scenario),
        cases => format!("loopbreak: {} runs", cases.len()),
    };
    reports.write(&title, &cases)?;
    Ok(Exit::AsExpected)
}

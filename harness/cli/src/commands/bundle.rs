//! `loopbreak bundle` and `loopbreak show`: recorded runs in one file, and what such a file holds.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use bundle::{Bounds, BundledRun, HostNames, Manifest, Redactor, Replay, Stage, Written};
use clap::Args;
use engine::{Replayed, RunDir, RunRecord, StateDir, replay};
use fs_err as fs;
use winfmt::escaped;

use crate::args::Global;
use crate::commands::run::style;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, print_json, print_styled, tell};
use crate::settings::Size;

/// What `bundle` takes.
#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// Each a run's name, part of it, its directory, or `latest`
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Leave crash dumps out: they are memory of the machine
    #[arg(long)]
    no_dumps: bool,
}

/// What `show` takes.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The file that `loopbreak bundle` wrote
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Unpack its runs into this new folder
    ///
    /// The other commands take them from there: timeline, replay, report, diff.
    #[arg(long, value_name = "DIR")]
    extract: Option<PathBuf>,
    /// The most that its files may take, unpacked
    #[arg(long, value_name = "SIZE", default_value = "4GiB")]
    max_size: Size,
    /// Print JSON: the manifest, and the outcome of each run
    #[arg(long)]
    json: bool,
}

/// `loopbreak bundle`.
pub(crate) fn bundle(global: &Global, args: &BundleArgs) -> anyhow::Result<Exit> {
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let mut runs = Vec::new();
    for name in &args.runs {
        let run = RunDir::find(&state.runs(), name).map_err(usage)?;
        let record = run.record().map_err(usage)?;
        runs.push((run, record));
    }
    if args.output.is_dir() {
        let what = format!("{} is a folder; name the file to write", args.output.display());
        return Err(usage(anyhow::anyhow!(what)));
    }
    let mut stage =
        Stage::new(Redactor::new(&names(global, &state, &runs))).map_err(infrastructure)?;
    for (run, record) in &runs {
        let name = record.run.as_str();
        let staged = stage.add(run.path(), name, !args.no_dumps).map_err(usage)?;
        // As it is in the bundle: what was redacted may have played a part.
        let staged =
            RunDir::find(&state.runs(), &staged.to_string_lossy()).map_err(infrastructure)?;
        let redacted = staged.record().map_err(infrastructure)?;
        if !names_no_place(&redacted.reference) {
            let what = format!(
                "{name}: the path of its reference, {}, cannot be redacted; move the scenarios into a folder of their own",
                escaped(record.reference.display())
            );
            return Err(usage(anyhow::anyhow!(what)));
        }
        let replayed = replay(&staged).map_err(usage)?;
        let replay = replay_of(&replayed);
        if replay == Replay::Differs {
            tell(format!(
                "warning: {name}: as redacted it comes to another outcome than the run wrote; the manifest says so"
            ));
        }
        stage.describe(BundledRun {
            run: name.to_owned(),
            scenario: record.scenario.clone(),
            image: record.image.clone(),
            verdict: replayed.derived.outcome.verdict.to_string(),
            replay,
        });
    }
    let written = stage
        .write(&args.output, env!("CARGO_PKG_VERSION"), &Bounds::default())
        .with_context(|| format!("{} cannot be written", args.output.display()))
        .map_err(infrastructure)?;
    print(&told(&args.output, &written))?;
    Ok(Exit::AsExpected)
}

fn replay_of(replayed: &Replayed) -> Replay {
    match replayed.same {
        Some(true) => Replay::Same,
        Some(false) => Replay::Differs,
        None => Replay::NoOutcome,
    }
}

/// What is known of this host.
fn names(global: &Global, state: &StateDir, runs: &[(RunDir, RunRecord)]) -> HostNames {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let home = std::env::var("HOME").ok();
    let user = user.or_else(|| Some(home.as_deref()?.rsplit('/').next()?.to_owned()));
    let mut paths =
        vec![state.root().display().to_string(), std::env::temp_dir().display().to_string()];
    paths.extend(home);
    paths.extend(fs::canonicalize(&global.scenarios).map(|path| path.display().to_string()));
    paths.extend(std::env::current_dir().map(|path| path.display().to_string()));
    let mut needed = BTreeSet::new();
    for (run, record) in runs {
        paths.push(run.path().display().to_string());
        paths.extend(record.reference.parent().map(|folder| folder.display().to_string()));
        needed.insert(record.image.clone());
        needed.extend(record.image_line.as_ref().map(ToString::to_string));
        needed.extend(record.scenario.split('/').map(str::to_owned));
        for file in fs::read_dir(run.path()).into_iter().flatten().flatten() {
            // What cannot be read is told when it is to be bundled.
            if file.path().extension().is_some_and(|it| it == "json" || it == "jsonl")
                && let Ok(content) = fs::read_to_string(file.path())
            {
                needed.extend(bundle::words_of(&content));
            }
        }
    }
    let filled = |name: String| Some(name).filter(|name| !name.is_empty());
    HostNames { host: filled(host), user: user.and_then(filled), paths, needed }
}

/// What is said of a bundle that was written.
fn told(file: &Path, written: &Written) -> String {
    let Written { manifest, size, sha256 } = written;
    let mut text = format!(
        "{}: {}, {} files, {} KiB\n  sha256    {sha256}\n",
        file.display(),
        counted(manifest.runs.len(), "run"),
        manifest.files.len(),
        size.div_ceil(1024)
    );
    text += &about(manifest);
    let bytes: u64 = manifest.files.iter().map(|file| file.size).sum();
    if bytes > Bounds::default().bytes {
        text += &format!(
            "  note      unpacked it is larger than `show` takes by itself; --max-size {}GiB does\n",
            bytes.div_ceil(1 << 30)
        );
    }
    let dumps = manifest.files.iter().filter(|file| file.path.contains("/dumps/")).count();
    if dumps > 0 {
        text += &format!(
            "  note      {} of the machine's memory inside; --no-dumps leaves them out\n",
            counted(dumps, "crash dump")
        );
    }
    text + &format!("`loopbreak show {}` opens it, on any host\n", file.display())
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What was redacted, and what was not.
fn about(manifest: &Manifest) -> String {
    let found: Vec<String> = manifest
        .redacted
        .iter()
        .filter(|rule| rule.count > 0)
        .map(|rule| format!("{} {}x in {} files", escaped(&rule.rule), rule.count, rule.files))
        .collect();
    let found = if found.is_empty() { "nothing was found".to_owned() } else { found.join(", ") };
    let mut text = format!("  redacted  {found}\n");
    for what in &manifest.not_searched {
        text += &format!("  not       {}\n", escaped(what));
    }
    for left in &manifest.left_out {
        text += &format!("  left out  {}: {}\n", escaped(&left.path), escaped(&left.why));
    }
    text
}

/// `loopbreak show`.
pub(crate) fn show(global: &Global, args: &ShowArgs) -> anyhow::Result<Exit> {
    let bounds = Bounds { bytes: args.max_size.bytes(), ..Bounds::default() };
    let beside = match &args.extract {
        Some(folder) if folder.symlink_metadata().is_ok() => {
            let what =
                format!("{} is there already; --extract makes a new folder", folder.display());
            return Err(usage(anyhow::anyhow!(what)));
        }
        Some(folder) => folder
            .parent()
            .filter(|it| !it.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
            .to_path_buf(),
        None => std::env::temp_dir(),
    };
    let unpacked = tempfile::Builder::new()
        .prefix(".loopbreak-show-")
        .tempdir_in(&beside)
        .with_context(|| format!("nothing can be unpacked in {}", beside.display()))
        .map_err(usage)?;
    let manifest = bundle::open(&args.bundle, &bounds, unpacked.path()).map_err(usage)?;
    let mut shown = Vec::new();
    for run in &manifest.runs {
        shown.push((run, opened(&unpacked.path().join(&run.run), run)?));
    }
    let differs = shown.iter().any(|(run, (_, replayed))| replay_of(replayed) != run.replay);
    if args.json {
        let runs: Vec<_> = shown
            .iter()
            .map(|(run, (_, replayed))| {
                serde_json::json!({
                    "run": run.run, "replay": replay_of(replayed), "outcome": replayed.derived.outcome,
                })
            })
            .collect();
        let document = serde_json::json!({ "format": 1, "manifest": manifest, "runs": runs });
        print_json(&(serde_json::to_string_pretty(&document)? + "\n"))?;
    } else {
        page(global, args, &manifest, &shown)?;
    }
    if let Some(folder) = &args.extract {
        let unpacked = unpacked.keep();
        // A folder for others to look into, as any other that is made.
        fs::set_permissions(&unpacked, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(infrastructure)?;
        fs::rename(&unpacked, folder).map_err(infrastructure)?;
        let place = folder.join(&manifest.runs[0].run);
        let place = if place.is_absolute() { place } else { Path::new(".").join(place) };
        tell(format!(
            "unpacked into {}; for example `loopbreak timeline {}`",
            folder.display(),
            place.display()
        ));
    }
    if differs {
        tell(
            "error: what the events come to is not what the manifest says; the bundle was edited, or another loopbreak made it",
        );
        return Ok(Exit::Differs);
    }
    Ok(Exit::AsExpected)
}

/// The record of a run that came in a bundle, and what its events come to.
fn opened(folder: &Path, run: &BundledRun) -> anyhow::Result<(RunDir, Replayed)> {
    let directory = RunDir::find(folder, &folder.to_string_lossy()).map_err(usage)?;
    // What is read as a whole. A run's own record has some hundred bytes.
    let size = fs::metadata(folder.join("run.json")).map_err(usage)?.len();
    if size > LARGEST_RECORD {
        let what = format!(
            "the record of {} has {size} bytes, and {LARGEST_RECORD} are the most; do not trust where the bundle is from",
            escaped(&run.run)
        );
        return Err(usage(anyhow::anyhow!(what)));
    }
    let record = directory.record().map_err(usage)?;
    if !names_no_place(&record.reference) || record.run.as_str() != run.run {
        let what = format!(
            "the record of {} names a place of a host, or another run; it was not made by `loopbreak bundle`, do not trust it",
            escaped(&run.run)
        );
        return Err(usage(anyhow::anyhow!(what)));
    }
    let replayed = replay(&directory).map_err(usage)?;
    Ok((directory, replayed))
}

/// The most bytes of a `run.json`.
const LARGEST_RECORD: u64 = 1 << 20;

/// Whether a record's reference is as redaction leaves it. It is read, and `accept` writes beside it: the record of another
/// host must lead to no place of this one.
fn names_no_place(reference: &Path) -> bool {
    let mut parts = reference.components();
    parts.next() == Some(Component::Normal("<host>".as_ref()))
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn page(
    global: &Global,
    args: &ShowArgs,
    manifest: &Manifest,
    shown: &[(&BundledRun, (RunDir, Replayed))],
) -> anyhow::Result<()> {
    let version = escaped(&manifest.loopbreak);
    print(&format!(
        "{}: {}, made by loopbreak {version}; every file is as its manifest says\n{}",
        args.bundle.display(),
        counted(manifest.runs.len(), "run"),
        about(manifest)
    ))?;
    let style = style(global);
    for (run, (_, replayed)) in shown {
        let same = match replay_of(replayed) {
            Replay::Same => "derived again, the same byte for byte",
            Replay::Differs => "derived again, not what the run wrote",
            Replay::NoOutcome => "the run wrote no outcome",
        };
        print(&format!("\n{}  {}\n", escaped(&run.run), same))?;
        print_styled(&report::render_timeline(&replayed.derived, None, style), style)?;
    }
    Ok(())
}

//! `loopbreak pending`, `accept` and `reject`.

use std::path::PathBuf;

use engine::{RunDir, StateDir, pending_references};
use report::Waiting;
use scenario::{Filter, Scenario};
use serde_json::json;
use winfmt::escaped;

use crate::args::{DecideArgs, Global};
use crate::choice::{self, Choice};
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, print_json, tell};
use crate::scenarios;

pub(crate) fn accept(global: &Global, args: &DecideArgs) -> anyhow::Result<Exit> {
    let accepted = report::accept(&meant(global, args, Aside::Taken)?).map_err(usage)?;
    for one in accepted {
        print(&format!("accepted {} (from {})\n", one.reference.display(), one.from.display()))?;
        for other in one.others {
            tell(format!("note: another run's outcome is still pending: {}", other.display()));
        }
    }
    Ok(Exit::AsExpected)
}

pub(crate) fn reject(global: &Global, args: &DecideArgs) -> anyhow::Result<Exit> {
    let pending = meant(global, args, Aside::Left)?;
    report::reject(&pending).map_err(usage)?;
    for path in pending {
        print(&format!("rejected {}\n", path.display()))?;
    }
    Ok(Exit::AsExpected)
}

pub(crate) fn list(global: &Global, choice: &Choice, json: bool) -> anyhow::Result<Exit> {
    let filter = choice.parse()?;
    let all = all(global, filter.as_ref())?;
    let mut text = String::new();
    for Pending { scenario, waiting } in &all {
        let words = words(waiting);
        if json {
            let line = json!({
                "scenario": scenario, "pending": waiting.pending, "reference": waiting.reference,
                "run": waiting.run, "verdict": waiting.verdict, "stale": waiting.is_stale,
                "new": waiting.diff.is_none(), "changes": words,
            });
            text += &format!("{line}\n");
        } else {
            text += &format!("{}  {}\n", escaped(scenario), waiting.pending.display());
            text.extend(words.iter().map(|line| format!("    {}\n", escaped(line))));
        }
    }
    if json {
        print_json(&text)?;
    } else {
        print(&text)?;
        match all.len() {
            0 => tell("nothing is pending"),
            count => tell(format!("{count} pending; `loopbreak review` goes through them")),
        }
    }
    Ok(Exit::AsExpected)
}

/// A pending outcome with the scenario that it is of.
pub(super) struct Pending {
    pub(super) scenario: String,
    pub(super) waiting: Waiting,
}

/// What is pending in the scenarios folder. With a filter, for what it chooses.
///
/// # Errors
/// The filter chooses no scenario, or one of the pending files is damaged.
pub(super) fn all(global: &Global, filter: Option<&Filter>) -> anyhow::Result<Vec<Pending>> {
    let mut found = scenarios::all(&global.scenarios)?;
    if let Some(filter) = filter {
        found = choice::choose(global, found, filter)?;
    }
    let mut all = Vec::new();
    for (scenario, folder) in found {
        for path in pending_references(&folder, &scenario).map_err(infrastructure)? {
            let waiting = report::waiting(&path).map_err(usage)?;
            all.push(Pending { scenario: scenario.name.clone(), waiting });
        }
    }
    Ok(all)
}

/// What a pending outcome changes, in words.
pub(super) fn words(waiting: &Waiting) -> Vec<String> {
    let verdict = waiting.verdict.as_deref().unwrap_or("an outcome of another format");
    match &waiting.diff {
        _ if waiting.is_stale => vec!["the reference says the same by now; reject it".to_owned()],
        None => vec![format!("the first outcome: {verdict}")],
        Some(diff) => {
            let words = diff.changes();
            if words.is_empty() {
                vec!["it differs in what has no words; see the diff".to_owned()]
            } else {
                words
            }
        }
    }
}

/// What becomes of an outcome that a run left in its directory, because nothing was to be written beside the references.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aside {
    /// It is put beside its reference.
    Taken,
    /// It stays where it is.
    Left,
}

/// What is meant: what a filter chooses, or what is named.
fn meant(global: &Global, args: &DecideArgs, aside: Aside) -> anyhow::Result<Vec<PathBuf>> {
    match args.choice.parse()? {
        Some(filter) => {
            let pending = all(global, Some(&filter))?;
            if pending.is_empty() {
                let what = format!("nothing is pending for what the filter `{filter}` chooses");
                return Err(usage(anyhow::anyhow!(what)));
            }
            Ok(pending.into_iter().map(|pending| pending.waiting.pending).collect())
        }
        None => named(global, args.what.as_deref().unwrap_or("latest"), aside),
    }
}

/// What is pending for a scenario of that name and all its variants, or for one of them, on images of any line, else what
/// the run of that name left.
fn named(global: &Global, what: &str, aside: Aside) -> anyhow::Result<Vec<PathBuf>> {
    if what.ends_with(".snap.new") {
        return Ok(vec![PathBuf::from(what)]);
    }
    let place = scenarios::place(&global.scenarios, what);
    if Scenario::home(&place).join("scenario.toml").is_file() {
        let mut pending = Vec::new();
        for scenario in Scenario::load_all(&place).map_err(usage)? {
            let own = pending_references(&Scenario::home(&place), &scenario);
            pending.extend(own.map_err(infrastructure)?);
        }
        return Ok(pending);
    }
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let run = RunDir::find(&state.runs(), what).map_err(usage)?;
    let record = run.record().map_err(usage)?;
    let pending = report::pending_of(&record.reference).map_err(infrastructure)?;
    let marker = format!("@{}.", record.run);
    let beside = pending.into_iter().filter(|path| path.to_string_lossy().contains(&marker));
    let mut beside: Vec<PathBuf> = beside.collect();
    if beside.is_empty() && aside == Aside::Taken {
        for path in report::pending_in(run.path()).map_err(infrastructure)? {
            let place = record.reference.with_file_name(path.file_name().unwrap_or_default());
            fs_err::copy(&path, &place).map_err(infrastructure)?;
            beside.push(place);
        }
    }
    Ok(beside)
}

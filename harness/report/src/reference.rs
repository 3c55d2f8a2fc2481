//! References: the accepted outcome, and the way in which a new one becomes it.
//!
//! A pending reference lies beside its reference as `<stem>@<run>.snap.new`: each run has its own name,
//! so runs at the same time cannot overwrite or delete each other's. It is written whole under another
//! name and then renamed, so nobody reads half of one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use similar::{ChangeTag, TextDiff};
use timeline::{Outcome, Verdict};

use crate::changes::changes;
use crate::snapshot::{self, SnapshotError};
use crate::style::{Paint, Style};

/// The ending of a reference.
const ENDING: &str = ".snap";
/// The ending of a pending one.
const PENDING_ENDING: &str = ".snap.new";
/// Lines shown around a difference.
const CONTEXT: usize = 3;
/// Larger than any outcome; what is larger is not read.
const SIZE_LIMIT: u64 = 16 << 20;

/// An outcome against its reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// They are the same.
    Same {
        /// The reference.
        reference: PathBuf,
    },
    /// They differ.
    Different {
        /// The reference.
        reference: PathBuf,
        /// What differs.
        diff: Diff,
        /// The new outcome, waiting to be accepted.
        pending: Pending,
    },
    /// There is no reference yet.
    Missing {
        /// Where it will be.
        reference: PathBuf,
        /// The new outcome, waiting to be accepted.
        pending: Pending,
    },
    /// The harness failed, so the outcome says nothing and must not become a reference.
    NotCompared {
        /// The reference.
        reference: PathBuf,
    },
}

impl Comparison {
    /// True where the outcome is the accepted one.
    pub const fn is_same(&self) -> bool {
        matches!(self, Self::Same { .. })
    }

    /// `same`, `different`, `missing`, `not-compared`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Same { .. } => "same",
            Self::Different { .. } => "different",
            Self::Missing { .. } => "missing",
            Self::NotCompared { .. } => "not-compared",
        }
    }

    /// The reference.
    pub fn reference(&self) -> &Path {
        match self {
            Self::Same { reference }
            | Self::Different { reference, .. }
            | Self::Missing { reference, .. }
            | Self::NotCompared { reference } => reference,
        }
    }

    /// The pending reference.
    pub const fn pending(&self) -> Option<&Pending> {
        match self {
            Self::Different { pending, .. } | Self::Missing { pending, .. } => Some(pending),
            Self::Same { .. } | Self::NotCompared { .. } => None,
        }
    }
}

/// A pending reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// It was written beside its reference.
    Written(PathBuf),
    /// It was written in another folder: nothing may change beside the reference.
    Aside(PathBuf),
    /// It could not be: the scenarios may well be read-only to who runs them.
    NotWritten {
        /// Where it should have been.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

/// Two texts that differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    pub(crate) old: String,
    pub(crate) new: String,
}

impl Diff {
    /// In words; nothing where one of the two is of another format.
    pub fn changes(&self) -> Vec<String> {
        match (Outcome::parse(&self.old), Outcome::parse(&self.new)) {
            (Ok(old), Ok(new)) => changes(&old, &new),
            _ => Vec::new(),
        }
    }

    /// As a unified diff: `-` is the reference, `+` is this run.
    pub fn render(&self, style: Style) -> String {
        let mut text = String::new();
        let mut line = |paint: Option<Paint>, sign: &str, content: &str| {
            let content = format!("{sign}{}", content.trim_end_matches(['\r', '\n']));
            text.push_str(&paint.map_or_else(|| content.clone(), |p| style.paint(p, &content)));
            text.push('\n');
        };
        line(Some(Paint::Bad), "--- ", "reference");
        line(Some(Paint::Good), "+++ ", "this run");
        let diff = TextDiff::from_lines(&self.old, &self.new);
        for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
            line(Some(Paint::Faint), "", &hunk.header().to_string());
            for change in hunk.iter_changes() {
                match change.tag() {
                    ChangeTag::Delete => line(Some(Paint::Bad), "-", change.value()),
                    ChangeTag::Insert => line(Some(Paint::Good), "+", change.value()),
                    ChangeTag::Equal => line(None, " ", change.value()),
                }
            }
        }
        text
    }
}

/// An outcome that could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The reference cannot be read.
    #[error(
        "cannot read the reference: {0}; give yourself the right to read it, or restore it from version control"
    )]
    Read(#[source] io::Error),
    /// The reference is not a snapshot.
    #[error("{}: {what}; restore it from version control, or delete it and accept a new one", path.display())]
    Damaged {
        /// The reference.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A path or name that cannot be used.
    #[error("{0}")]
    Name(String),
}

/// Holds an outcome against the reference at `reference` (`….snap`). Where they differ, or where there
/// is none, the outcome is left beside it as a pending reference under the name of the run.
pub fn compare(
    outcome: &Outcome,
    reference: &Path,
    run: &str,
) -> Result<Comparison, ReferenceError> {
    hold(outcome, reference, pending_path(reference, run)?, Pending::Written)
}

/// The same where nothing may be written beside the reference, as in CI: a new outcome is left in `folder`, under the
/// name that it would have had beside it.
pub fn compare_aside(
    outcome: &Outcome,
    reference: &Path,
    run: &str,
    folder: &Path,
) -> Result<Comparison, ReferenceError> {
    let beside = pending_path(reference, run)?;
    let pending_path = folder.join(beside.file_name().unwrap_or_default());
    hold(outcome, reference, pending_path, Pending::Aside)
}

fn hold(
    outcome: &Outcome,
    reference: &Path,
    pending_path: PathBuf,
    written: fn(PathBuf) -> Pending,
) -> Result<Comparison, ReferenceError> {
    let owned = reference.to_path_buf();
    if outcome.verdict == Verdict::Infrastructure {
        return Ok(Comparison::NotCompared { reference: owned });
    }
    let new = snapshot::normal(&outcome.render());
    let pending = || {
        // Of a variant, the name is `scenario/variant`.
        let folder = outcome.scenario.split('/').next().unwrap_or_default();
        let source = format!("scenarios/{folder}/scenario.toml");
        let text = snapshot::file(&source, "outcome", &new);
        match write(&pending_path, &text) {
            Ok(()) => written(pending_path.clone()),
            Err(error) => {
                Pending::NotWritten { path: pending_path.clone(), why: error.to_string() }
            }
        }
    };
    match read(reference)? {
        None => Ok(Comparison::Missing { reference: owned, pending: pending() }),
        Some(old) if old == new => Ok(Comparison::Same { reference: owned }),
        Some(old) => {
            let pending = pending();
            let diff = Diff { old: ended(old), new: ended(new) };
            Ok(Comparison::Different { reference: owned, diff, pending })
        }
    }
}

/// Whether a reference can be read at all.
///
/// # Errors
/// It cannot, and why.
pub fn check_reference(reference: &Path) -> Result<(), ReferenceError> {
    read(reference).map(drop)
}

/// An outcome against the reference as it is now; nothing is written. `None` where they are the same, or where there
/// is no reference to be read.
pub fn difference(outcome: &Outcome, reference: &Path) -> Option<Diff> {
    let new = snapshot::normal(&outcome.render());
    let old = read(reference).ok().flatten()?;
    (old != new).then(|| Diff { old: ended(old), new: ended(new) })
}

pub(crate) fn ended(mut text: String) -> String {
    text.push('\n');
    text
}

/// The content of a reference. `None`: there is none.
pub(crate) fn read(path: &Path) -> Result<Option<String>, ReferenceError> {
    let damaged = |what: String| ReferenceError::Damaged { path: path.to_path_buf(), what };
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > SIZE_LIMIT => {
            return Err(damaged(format!("larger than {SIZE_LIMIT} bytes")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ReferenceError::Read(error)),
    }
    let bytes = fs::read(path).map_err(ReferenceError::Read)?;
    let text = String::from_utf8(bytes).map_err(|_| damaged("not UTF-8".to_owned()))?;
    let content =
        snapshot::content(&text).map_err(|error: SnapshotError| damaged(error.to_string()))?;
    Ok(Some(content))
}

/// `<stem>@<run>.snap.new` beside the reference.
fn pending_path(reference: &Path, run: &str) -> Result<PathBuf, ReferenceError> {
    let stem = stem(reference, ENDING).ok_or_else(|| {
        ReferenceError::Name(format!(
            "{} is not a reference: it must end in .snap",
            reference.display()
        ))
    })?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if run.is_empty() || run.len() > 128 || !run.chars().all(plain) {
        let what = format!("the run id `{run}` cannot be part of a file name");
        return Err(ReferenceError::Name(what));
    }
    Ok(reference.with_file_name(format!("{stem}@{run}{PENDING_ENDING}")))
}

fn stem<'a>(path: &'a Path, ending: &str) -> Option<&'a str> {
    path.file_name()?.to_str()?.strip_suffix(ending).filter(|stem| !stem.is_empty())
}

/// Writes a whole file or none.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    // Temporary files are private; a reference is for whoever may read its folder.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A pending reference that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The reference as it is now.
    pub reference: PathBuf,
    /// The pending one that it was.
    pub from: PathBuf,
    /// Pending ones of other runs that said the same and are gone.
    pub same: Vec<PathBuf>,
    /// Pending ones of other runs that say something else and are left.
    pub others: Vec<PathBuf>,
}

/// A pending reference that could not be accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// Nothing to accept. An empty selection is more likely a mistake than a wish.
    #[error("nothing is pending")]
    Nothing,
    /// Not the name of a pending reference.
    #[error("{} is not a pending reference: its name must be <name>@<run>.snap.new", .0.display())]
    NotPending(PathBuf),
    /// Two runs want the same reference to be different things.
    #[error("{} and {} are both for {} and differ; accept one of them by its path", one.display(), two.display(), reference.display())]
    Ambiguous {
        /// One of them.
        one: PathBuf,
        /// The other.
        two: PathBuf,
        /// The reference.
        reference: PathBuf,
    },
    /// It is not a snapshot.
    #[error("{}: {what}; delete it and run the scenario again", path.display())]
    Damaged {
        /// The pending reference.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Reading or renaming failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes pending references the accepted ones. All are checked before the first is renamed.
pub fn accept(pending: &[PathBuf]) -> Result<Vec<Accepted>, AcceptError> {
    if pending.is_empty() {
        return Err(AcceptError::Nothing);
    }
    let mut chosen: Vec<(PathBuf, PathBuf, String)> = Vec::new();
    for path in pending {
        let reference = reference_of(path).ok_or_else(|| AcceptError::NotPending(path.clone()))?;
        let content = pending_content(path)?;
        match chosen.iter().find(|(known, _, _)| *known == reference) {
            Some((_, one, known)) if *known != content => {
                let (one, two) = (one.clone(), path.clone());
                return Err(AcceptError::Ambiguous { one, two, reference });
            }
            Some(_) => {}
            None => chosen.push((reference, path.clone(), content)),
        }
    }
    let mut accepted = Vec::new();
    for (reference, from, content) in chosen {
        fs::rename(&from, &reference)?;
        let (mut same, mut others) = (Vec::new(), Vec::new());
        for other in pending_of(&reference)? {
            // One that another run is just taking away, or that is damaged, is not ours to judge.
            if pending_content(&other).is_ok_and(|known| known == content) {
                fs::remove_file(&other)?;
                same.push(other);
            } else {
                others.push(other);
            }
        }
        accepted.push(Accepted { reference, from, same, others });
    }
    Ok(accepted)
}

pub(crate) fn pending_content(path: &Path) -> Result<String, AcceptError> {
    let damaged = |what: String| AcceptError::Damaged { path: path.to_path_buf(), what };
    match read(path) {
        Ok(Some(content)) => Ok(content),
        Ok(None) => Err(AcceptError::Io(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{} is not there", path.display()),
        ))),
        Err(ReferenceError::Read(error)) => Err(AcceptError::Io(error)),
        Err(ReferenceError::Damaged { what, .. }) => Err(damaged(what)),
        Err(error @ ReferenceError::Name(_)) => Err(damaged(error.to_string())),
    }
}

/// The reference that a pending one is for.
pub(crate) fn reference_of(pending: &Path) -> Option<PathBuf> {
    let (stem, run) = stem(pending, PENDING_ENDING)?.rsplit_once('@')?;
    (!stem.is_empty() && !run.is_empty()).then(|| pending.with_file_name(format!("{stem}{ENDING}")))
}

/// The run that left a pending reference.
pub(crate) fn run_of(pending: &Path) -> Option<String> {
    let (_, run) = stem(pending, PENDING_ENDING)?.rsplit_once('@')?;
    Some(run.to_owned())
}

/// The pending references of one reference, sorted.
pub fn pending_of(reference: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = reference.parent().filter(|parent| !parent.as_os_str().is_empty());
    let all = pending_in(folder.unwrap_or(Path::new(".")))?;
    let name = reference.file_name();
    Ok(all
        .into_iter()
        .filter(|path| reference_of(path).is_some_and(|of| of.file_name() == name))
        .collect())
}

/// The pending references in a folder, sorted; those in folders within it are not looked for.
pub fn pending_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if reference_of(&path).is_some() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

//! Comparing with references, and accepting new ones.

use std::path::{Path, PathBuf};

use report::{AcceptError, Accepted, Comparison, Pending, ReferenceError, Style};
use report::{accept, compare, compare_aside, pending_in};
use timeline::{Outcome, Verdict};

use crate::derived;

fn outcome() -> Outcome {
    derived("channel-file-291").outcome
}

fn other() -> Outcome {
    let mut other = outcome();
    other.verdict = Verdict::RecoveredOtherwise;
    other.boots.pop();
    other
}

struct Folder {
    folder: tempfile::TempDir,
    reference: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let reference = folder.path().join("channel-file-291.snap");
        Self { folder, reference }
    }

    /// With a reference that says `outcome`.
    fn with(outcome: &Outcome) -> Self {
        let this = Self::new();
        let pending = this.pending(&compare(outcome, &this.reference, "first").expect("compares"));
        accept(&[pending]).expect("accepts");
        this
    }

    fn pending(&self, comparison: &Comparison) -> PathBuf {
        match comparison.pending() {
            Some(Pending::Written(path)) => path.clone(),
            other => panic!("nothing pending: {other:?}"),
        }
    }

    fn names(&self) -> Vec<String> {
        let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        let mut names: Vec<String> =
            entries.filter_map(|entry| name(entry.expect("an entry").path())).collect();
        names.sort();
        names
    }
}

#[test]
fn where_nothing_may_be_written_beside_the_reference_the_outcome_is_kept_elsewhere() {
    let folder = Folder::with(&outcome());
    let aside = tempfile::tempdir().expect("a temporary folder");
    let compared = compare_aside(&other(), &folder.reference, "20260101-1", aside.path());
    let comparison = compared.expect("compares");
    let Comparison::Different { pending: Pending::Aside(pending), diff, .. } = comparison else {
        panic!("{comparison:?}")
    };
    assert!(!diff.changes().is_empty());
    assert_eq!(folder.names(), ["channel-file-291.snap"]);
    // Whoever takes it from there puts it beside its reference and decides.
    let beside = folder.folder.path().join(pending.file_name().expect("a name"));
    std::fs::copy(&pending, &beside).expect("copies");
    accept(&[beside]).expect("accepts");
    let compared = compare_aside(&other(), &folder.reference, "20260101-2", aside.path());
    assert!(compared.expect("compares").is_same());
}

#[test]
fn the_first_outcome_is_pending_and_accepted_it_is_the_reference() {
    let folder = Folder::new();
    let comparison = compare(&outcome(), &folder.reference, "20260101-1").expect("compares");
    assert_eq!(comparison.word(), "missing");
    assert_eq!(folder.names(), ["channel-file-291@20260101-1.snap.new"]);
    let pending = folder.pending(&comparison);
    let accepted = accept(std::slice::from_ref(&pending)).expect("accepts");
    let reference = folder.reference.clone();
    let (same, others) = (vec![], vec![]);
    assert_eq!(accepted, [Accepted { reference, from: pending, same, others }]);
    assert_eq!(folder.names(), ["channel-file-291.snap"]);
    let text = std::fs::read_to_string(&folder.reference).expect("readable");
    assert!(
        text.starts_with(
            "---\nsource: scenarios/channel-file-291/scenario.toml\nexpression: outcome\n---\n{\n"
        ),
        "{text}"
    );
    let comparison = compare(&outcome(), &folder.reference, "20260101-2").expect("compares");
    assert!(comparison.is_same());
    assert_eq!(folder.names(), ["channel-file-291.snap"], "nothing is left of a run like it");
}

#[test]
fn a_difference_is_shown_and_pending() {
    let folder = Folder::with(&outcome());
    let comparison = compare(&other(), &folder.reference, "b").expect("compares");
    let Comparison::Different { diff, .. } = &comparison else { panic!("{comparison:?}") };
    insta::assert_snapshot!("difference", diff.render(Style::plain()));
    assert!(diff.render(Style::terminal(80)).contains("\u{1b}[31m-  \"verdict\": \"recovered\""));
    assert_eq!(folder.names(), ["channel-file-291.snap", "channel-file-291@b.snap.new"]);
}

#[test]
fn metadata_and_line_ends_make_no_difference() {
    let folder = Folder::with(&outcome());
    let text = std::fs::read_to_string(&folder.reference).expect("readable");
    let edited = text
        .replacen("expression: outcome\n", "expression: outcome\nassertion_line: 12\n", 1)
        .replace('\n', "\r\n");
    std::fs::write(&folder.reference, edited).expect("writable");
    assert!(compare(&outcome(), &folder.reference, "b").expect("compares").is_same());
}

#[test]
fn runs_at_the_same_time_do_not_disturb_each_other() {
    let folder = Folder::with(&outcome());
    std::thread::scope(|scope| {
        for run in 0..8 {
            let reference = &folder.reference;
            scope.spawn(move || {
                let outcome = if run % 2 == 0 { outcome() } else { other() };
                for _ in 0..20 {
                    let comparison =
                        compare(&outcome, reference, &format!("run-{run}")).expect("compares");
                    assert_eq!(comparison.is_same(), run % 2 == 0);
                }
            });
        }
    });
    let pending = pending_in(folder.folder.path()).expect("readable");
    assert_eq!(pending.len(), 4);
    assert_eq!(folder.names().len(), 5, "no temporary file is left: {:?}", folder.names());
    // They all say the same, so accepting all is no contradiction.
    let accepted = accept(&pending).expect("accepts");
    assert_eq!((accepted.len(), accepted[0].same.len()), (1, 3));
    assert_eq!(folder.names(), ["channel-file-291.snap"]);
}

#[test]
fn runs_that_contradict_each_other_must_be_chosen_from() {
    let folder = Folder::new();
    let one = folder.pending(&compare(&outcome(), &folder.reference, "a").expect("compares"));
    let two = folder.pending(&compare(&other(), &folder.reference, "b").expect("compares"));
    let error = accept(&[one.clone(), two.clone()]).expect_err("ambiguous");
    assert!(matches!(error, AcceptError::Ambiguous { .. }), "{error}");
    assert_eq!(folder.names().len(), 2, "nothing was touched");
    let accepted = accept(&[two]).expect("accepts");
    assert_eq!(accepted[0].others, [one]);
}

#[test]
fn what_is_not_pending_is_not_accepted() {
    assert!(matches!(accept(&[]), Err(AcceptError::Nothing)));
    let folder = Folder::with(&outcome());
    let error =
        accept(std::slice::from_ref(&folder.reference)).expect_err("it is the reference itself");
    assert!(matches!(error, AcceptError::NotPending(_)), "{error}");
    let gone = folder.folder.path().join("a@b.snap.new");
    assert!(matches!(accept(std::slice::from_ref(&gone)), Err(AcceptError::Io(_))));
    std::fs::write(&gone, "{}").expect("writable");
    assert!(matches!(accept(&[gone]), Err(AcceptError::Damaged { .. })));
}

#[test]
fn an_infrastructure_run_is_neither_compared_nor_pending() {
    let folder = Folder::with(&outcome());
    let mut failed = outcome();
    failed.verdict = Verdict::Infrastructure;
    let comparison = compare(&failed, &folder.reference, "b").expect("compares");
    assert_eq!(comparison.word(), "not-compared");
    assert_eq!(folder.names(), ["channel-file-291.snap"]);
}

#[test]
fn a_damaged_reference_is_an_error_and_stays() {
    let folder = Folder::new();
    std::fs::write(&folder.reference, "no front matter").expect("writable");
    let error = compare(&outcome(), &folder.reference, "b").expect_err("damaged");
    assert!(error.to_string().contains("restore it from version control"), "{error}");
    assert_eq!(folder.names(), ["channel-file-291.snap"]);
}

#[test]
fn names_that_would_leave_the_folder_are_refused() {
    let folder = Folder::new();
    for run in ["", "../x", "a/b", "a b", "\u{0}"] {
        let error = compare(&outcome(), &folder.reference, run).expect_err(run);
        assert!(matches!(error, ReferenceError::Name(_)), "{error}");
    }
    let error = compare(&outcome(), Path::new("a.txt"), "b").expect_err("not a .snap");
    assert!(error.to_string().contains("must end in .snap"), "{error}");
    assert!(folder.names().is_empty());
}

#[test]
fn where_the_scenarios_cannot_be_written_the_comparison_still_stands() {
    let folder = Folder::new();
    let reference = folder.folder.path().join("not-there").join("a.snap");
    let comparison = compare(&outcome(), &reference, "b").expect("compares");
    assert!(matches!(comparison.pending(), Some(Pending::NotWritten { .. })), "{comparison:?}");
}

#[test]
fn insta_reads_what_is_written_here() {
    let folder = Folder::with(&outcome());
    let before = std::fs::read_to_string(&folder.reference).expect("readable");
    let settings = {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(folder.folder.path());
        settings.set_prepend_module_to_snapshot(false);
        settings
    };
    settings.bind(|| insta::assert_snapshot!("channel-file-291", outcome().render()));
    assert_eq!(std::fs::read_to_string(&folder.reference).expect("readable"), before);
    assert_eq!(folder.names(), ["channel-file-291.snap"]);
}

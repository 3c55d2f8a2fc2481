//! JUnit XML, as Jenkins, GitLab and GitHub's test reporters read it.
//!
//! A case that fails is a `failure`; what says nothing about the product is an `error`, so that the two stay apart
//! in every dashboard; what the image cannot take is `skipped`. Files are attached in the way that Jenkins
//! (JUnit Attachments plugin) and GitLab both read: `[[ATTACHMENT|path]]` in the standard output.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::case::{Case, Picture, Ran, Standing};
use crate::circumstances::ListPlace;

/// All cases as one document.
///
/// # Errors
/// The document cannot be written, which only a full memory causes.
pub fn junit(cases: &[Case]) -> Result<String, SerializeError> {
    let mut own = TestSuite::new(SUITE);
    own.add_test_cases(cases.iter().map(case));
    suite(own).to_string()
}

/// The name of the suite, and of the whole document.
pub(crate) const SUITE: &str = "loopbreak";
/// The properties of a case that is of a list of which only a part was run: its place, and the length of the list.
pub(crate) const INDEX: &str = "list-index";
pub(crate) const LISTED: &str = "list-length";

/// The document of a suite, with the time that its cases took.
pub(crate) fn suite(mut suite: TestSuite) -> Report {
    let total = suite.test_cases.iter().filter_map(|case| case.time).sum();
    suite.set_time(total);
    let mut report = Report::new(SUITE);
    report.set_time(total);
    report.add_test_suite(suite);
    report
}

fn took(case: &Case) -> Option<Duration> {
    // As precise as it is written, so that parts that are put together have the sum of the whole.
    Some(Duration::from_millis(case.summary()?.measurements.total_us.get() / 1000))
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(message);
    status
}

fn case(case: &Case) -> TestCase {
    let mut reasons = case.reasons().into_iter();
    let first = reasons.next().unwrap_or_default();
    let mut description: String =
        std::iter::once(first.clone()).chain(reasons).map(|line| line + "\n").collect();
    description.push_str(&format!("again: {}\n", case.again()));
    let not = |kind: NonSuccessKind, of: &str| {
        let mut status = TestCaseStatus::non_success(kind);
        let message = first.as_str();
        status.set_type(of).set_message(message).set_description(description.trim());
        status
    };
    let status = match case.standing() {
        Standing::Passed => TestCaseStatus::success(),
        Standing::Skipped => skipped(&first),
        Standing::Quarantined => {
            let notes = case.circumstances.notes();
            skipped(notes.first().map_or("in quarantine", String::as_str))
        }
        Standing::Failed => not(NonSuccessKind::Failure, &case.verdict()),
        Standing::Broken => not(NonSuccessKind::Error, "infrastructure"),
    };
    let mut test = TestCase::new(case.scenario.as_str(), status);
    test.set_classname(format!("loopbreak.{}", case.image));
    if let Some(took) = took(case) {
        test.set_time(took);
    }
    test.add_property(("image", case.image.as_str()));
    test.add_property(("verdict", case.verdict().as_str()));
    if let Some(ListPlace { index, count }) = case.circumstances.listed {
        test.add_property((INDEX, index.to_string().as_str()));
        test.add_property((LISTED, count.to_string().as_str()));
    }
    let mut out: String =
        case.circumstances.notes().iter().map(|note| format!("{note}\n")).collect();
    if case.standing() == Standing::Quarantined {
        out.push_str(&description);
    }
    out.push_str(&case.page());
    if let Some(Ran { summary, pictures, .. }) = case.ran() {
        test.add_property(("run", summary.run.as_str()));
        let model = if summary.image.is_model { "true" } else { "false" };
        test.add_property(("image-is-model", model));
        for Picture { path, .. } in pictures {
            out.push_str(&format!("[[ATTACHMENT|{}]]\n", path.display()));
        }
    }
    // Readers leave out the space around it, among them the one that puts parts together.
    if !out.is_empty() {
        test.set_system_out(out.trim());
    }
    test
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::case::examples::one_of_each;

    #[test]
    fn one_of_each_standing() {
        let xml = junit(&one_of_each()).unwrap();
        let read = Report::deserialize_from_str(&xml).unwrap();
        let suite = &read.test_suites[0];
        assert_eq!((suite.tests, suite.failures, suite.errors), (7, 2, 1));
        assert!(!xml.contains('\u{1b}'), "{xml}");
        assert!(xml.contains(
            "[[ATTACHMENT|/state/runs/20261130-121113-hogcfm/machine/frames/00007.png]]"
        ));
        insta::assert_snapshot!(xml);
    }
}

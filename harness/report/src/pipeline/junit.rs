//! JUnit XML, as Jenkins, GitLab and GitHub's test reporters read it.
//!
//! A case that fails is a `failure`; what says nothing about the product is an `error`, so that the two stay apart
//! in every dashboard; what the image cannot take is `skipped`. Files are attached in the way that Jenkins
//! (JUnit Attachments plugin) and GitLab both read: `[[ATTACHMENT|path]]` in the standard output.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::case::{Case, Picture, Ran, Standing};

/// All cases as one document.
///
/// # Errors
/// The document cannot be written, which only a full memory causes.
pub fn junit(cases: &[Case]) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new("loopbreak");
    suite.add_test_cases(cases.iter().map(case));
    let total = cases.iter().filter_map(took).sum();
    suite.set_time(total);
    let mut report = Report::new("loopbreak");
    report.set_time(total);
    report.add_test_suite(suite);
    report.to_string()
}

fn took(case: &Case) -> Option<Duration> {
    Some(Duration::from_micros(case.summary()?.measurements.total_us.get()))
}

fn case(case: &Case) -> TestCase {
    let mut reasons = case.reasons().into_iter();
    let first = reasons.next().unwrap_or_default();
    let mut description: String =
        std::iter::once(first.clone()).chain(reasons).map(|line| line + "\n").collect();
    description.push_str(&format!("again: {}\n", case.again()));
    let not = |kind: NonSuccessKind, of: &str| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_type(of).set_message(first.as_str()).set_description(description.as_str());
        status
    };
    let status = match case.standing() {
        Standing::Passed => TestCaseStatus::success(),
        Standing::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(first.as_str());
            status
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
    let mut out = case.page();
    if let Some(Ran { summary, pictures, .. }) = case.ran() {
        test.add_property(("run", summary.run.as_str()));
        let model = if summary.image.is_model { "true" } else { "false" };
        test.add_property(("image-is-model", model));
        for Picture { path, .. } in pictures {
            out.push_str(&format!("[[ATTACHMENT|{}]]\n", path.display()));
        }
    }
    if !out.is_empty() {
        test.set_system_out(out);
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
        assert_eq!((suite.tests, suite.failures, suite.errors), (4, 1, 1));
        assert!(!xml.contains('\u{1b}'), "{xml}");
        assert!(xml.contains(
            "[[ATTACHMENT|/state/runs/20261130-121113-hogcfm/machine/frames/00007.png]]"
        ));
        insta::assert_snapshot!(xml);
    }
}

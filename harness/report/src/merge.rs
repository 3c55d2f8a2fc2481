//! The results of several machines that shared a list, put together: what `run --shard` left becomes what one run of the
//! whole list would have left.
//!
//! Each result says which place of the list it is of. So nothing is lost and nothing counts twice: parts that were not cut
//! from the same list in the same way are refused.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::Value;

use crate::circumstances::ListPlace;
use crate::pipeline::{INDEX, LISTED, SUITE, suite};

/// Results cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A file is not what it should be.
    #[error("{file}: {what}")]
    File {
        /// The file.
        file: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// They are parts of different lists.
    #[error(
        "{one} is of a list of {count}, {other} of one of {others}; run all parts with the same scenarios"
    )]
    Lists {
        /// A file.
        one: String,
        /// The length of its list.
        count: usize,
        /// Another.
        other: String,
        /// The length of its list.
        others: usize,
    },
    /// Two results are of one place.
    #[error(
        "{one} and {other} both have {what}; give each part once, and give all machines the same recorded durations"
    )]
    Twice {
        /// A file.
        one: String,
        /// Another.
        other: String,
        /// The scenario.
        what: String,
    },
    /// A part is missing.
    #[error(
        "{missing} of {count} results are missing; is a part missing, or did a machine end before it was through?"
    )]
    Missing {
        /// How many.
        missing: usize,
        /// Of how many.
        count: usize,
    },
    /// There is nothing in them.
    #[error("there are no results in these files; give the files that `run --shard` wrote")]
    Nothing,
    /// JUnit cannot be written.
    #[error("the document cannot be written: {0}")]
    Unwritten(String),
}

/// What came of putting results together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The document.
    pub text: String,
    /// With which one run of the whole list would have ended.
    pub exit_code: u8,
}

/// A result, the file that it is from, and what it is called.
struct Part<T> {
    file: String,
    what: String,
    place: ListPlace,
    result: T,
}

/// Puts documents of `run --json --shard` together. Each file has its name and its text.
///
/// # Errors
/// They are not all parts of one list, or not all of them.
pub fn merge_json(files: &[(String, String)]) -> Result<Merged, MergeError> {
    let mut parts = Vec::new();
    for (file, text) in files {
        let wrong = |what: String| MergeError::File { file: file.clone(), what };
        let documents: Vec<Value> = serde_json::from_str(text)
            .map_err(|error| wrong(format!("not what `run --shard --json` prints: {error}")))?;
        for mut document in documents {
            let listed = document.as_object_mut().and_then(|it| it.remove("listed"));
            let number = |key: &str| {
                let number = listed.as_ref()?.get(key)?.as_u64()?;
                usize::try_from(number).ok()
            };
            let (Some(index), Some(count)) = (number("index"), number("count")) else {
                return Err(wrong(NOT_A_PART.to_owned()));
            };
            let what = document["scenario"].as_str().unwrap_or_default().to_owned();
            let place = ListPlace { index, count };
            parts.push(Part { file: file.clone(), what, place, result: document });
        }
    }
    let documents = whole(parts)?;
    let ran = |document: &Value| {
        !matches!(document["verdict"].as_str(), Some("not-applicable" | "left-out"))
    };
    // One that does not say it says nothing about the product.
    let code = |document: &Value| {
        document["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(3)
    };
    let worst = documents.iter().map(code).max().unwrap_or(3);
    let exit_code = if documents.iter().any(ran) { worst } else { worst.max(2) };
    let text = serde_json::to_string_pretty(&Value::Array(documents));
    let text = text.map_err(|error| MergeError::Unwritten(error.to_string()))? + "\n";
    Ok(Merged { text, exit_code })
}

const NOT_A_PART: &str = "this is no part of a list; give the files that `run --shard` wrote";

/// Puts JUnit documents of `run --junit --shard` together. Each file has its name and its text.
///
/// # Errors
/// They are not all parts of one list, or not all of them.
pub fn merge_junit(files: &[(String, String)]) -> Result<Merged, MergeError> {
    let mut parts = Vec::new();
    for (file, text) in files {
        let wrong = |what: String| MergeError::File { file: file.clone(), what };
        let report = Report::deserialize_from_str(text)
            .map_err(|error| wrong(format!("not what `run --junit` writes: {error}")))?;
        let own = report.test_suites.into_iter().filter(|it| it.name.as_str() == SUITE);
        for mut test in own.flat_map(|suite| suite.test_cases) {
            let number = |key: &str| {
                let mut properties = test.properties.iter();
                properties.find(|it| it.name.as_str() == key)?.value.as_str().parse().ok()
            };
            let (Some(index), Some(count)) = (number(INDEX), number(LISTED)) else {
                return Err(wrong(NOT_A_PART.to_owned()));
            };
            test.properties.retain(|it| ![INDEX, LISTED].contains(&it.name.as_str()));
            let (what, place) = (test.name.to_string(), ListPlace { index, count });
            parts.push(Part { file: file.clone(), what, place, result: test });
        }
    }
    let cases = whole(parts)?;
    let exit_code = cases.iter().map(exit_code).max().unwrap_or(0);
    // What failed in quarantine is skipped as well, but has a run.
    let ran = |case: &TestCase| {
        let has_run = case.properties.iter().any(|it| it.name.as_str() == "run");
        has_run || !matches!(case.status, TestCaseStatus::Skipped { .. })
    };
    let exit_code = if cases.iter().any(ran) { exit_code } else { exit_code.max(2) };
    let mut whole = TestSuite::new(SUITE);
    whole.add_test_cases(cases);
    let text =
        suite(whole).to_string().map_err(|error| MergeError::Unwritten(error.to_string()))?;
    Ok(Merged { text, exit_code })
}

/// What a test case means: JUnit knows no more.
fn exit_code(case: &TestCase) -> u8 {
    match &case.status {
        TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. } => 1,
        TestCaseStatus::NonSuccess { kind: NonSuccessKind::Error, .. } => 3,
        TestCaseStatus::Success { .. } | TestCaseStatus::Skipped { .. } => 0,
    }
}

/// All results in the order of the list, where each place has one.
fn whole<T>(mut parts: Vec<Part<T>>) -> Result<Vec<T>, MergeError> {
    parts.sort_by_key(|part| part.place.index);
    let Some(first) = parts.first() else { return Err(MergeError::Nothing) };
    let count = first.place.count;
    if let Some(other) = parts.iter().find(|part| part.place.count != count) {
        return Err(MergeError::Lists {
            one: first.file.clone(),
            count,
            other: other.file.clone(),
            others: other.place.count,
        });
    }
    if let Some([one, other]) =
        parts.array_windows().find(|[one, other]| one.place.index == other.place.index)
    {
        return Err(MergeError::Twice {
            one: one.file.clone(),
            other: other.file.clone(),
            what: one.what.clone(),
        });
    }
    if let Some(outside) = parts.iter().find(|part| part.place.index >= count) {
        let what = format!("place {} of a list of {count}", outside.place.index);
        return Err(MergeError::File { file: outside.file.clone(), what });
    }
    let missing = count - parts.len();
    if missing > 0 {
        return Err(MergeError::Missing { missing, count });
    }
    Ok(parts.into_iter().map(|part| part.result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::junit;
    use crate::pipeline::examples::one_of_each;
    use crate::{Came, Case};

    /// The part of each of seven cases: unevenly, and one machine has nothing to do.
    const PARTS: [usize; 7] = [0, 2, 0, 1, 2, 0, 1];

    fn part(wanted: usize) -> Vec<Case> {
        let mut cases = one_of_each();
        let count = cases.len();
        for (index, case) in cases.iter_mut().enumerate() {
            case.circumstances.listed = Some(ListPlace { index, count });
        }
        let parts = PARTS.iter().copied();
        cases.into_iter().zip(parts).filter(|(_, part)| *part == wanted).map(|(it, _)| it).collect()
    }

    fn files(texts: Vec<String>) -> Vec<(String, String)> {
        texts.into_iter().enumerate().map(|(index, text)| (format!("{index}"), text)).collect()
    }

    fn document(case: &Case) -> Value {
        let mut document = match &case.came {
            Came::Ran(ran) => serde_json::to_value(&ran.summary).expect("JSON"),
            _ => serde_json::json!({ "scenario": case.scenario, "exit_code": 3 }),
        };
        case.circumstances.add_to(&mut document);
        document
    }

    fn json(cases: &[Case]) -> String {
        let documents: Vec<Value> = cases.iter().map(document).collect();
        serde_json::to_string_pretty(&documents).expect("JSON") + "\n"
    }

    #[test]
    fn three_parts_of_junit_are_the_whole_whatever_their_order() {
        let whole = junit(&one_of_each()).expect("JUnit");
        for order in [[0, 1, 2, 3], [3, 2, 0, 1]] {
            let texts = order.map(|number| junit(&part(number)).expect("JUnit"));
            assert_ne!(texts[0], whole);
            let merged = merge_junit(&files(texts.to_vec())).expect("parts");
            assert_eq!(merged.text, whole);
            assert_eq!(merged.exit_code, 3);
        }
    }

    #[test]
    fn three_parts_of_json_are_the_whole_whatever_their_order() {
        let whole = json(&one_of_each());
        for order in [[0, 1, 2, 3], [3, 2, 0, 1]] {
            let texts = order.map(|number| json(&part(number)));
            let merged = merge_json(&files(texts.to_vec())).expect("parts");
            assert_eq!(merged.text, whole);
            assert_eq!(merged.exit_code, 3);
        }
    }

    #[test]
    fn where_no_part_ran_anything_the_whole_says_so() {
        let nothing = |index: usize| {
            let count = 2;
            let mut case = one_of_each().pop().expect("one that was left out");
            assert!(matches!(case.came, Came::LeftOut(_)));
            case.circumstances.listed = Some(ListPlace { index, count });
            case
        };
        let texts = files([0, 1].map(|index| junit(&[nothing(index)]).expect("JUnit")).into());
        assert_eq!(merge_junit(&texts).map(|merged| merged.exit_code), Ok(2));
        let quarantined = || one_of_each().swap_remove(0);
        let mut known = quarantined();
        known.circumstances.listed = Some(ListPlace { index: 1, count: 2 });
        let texts =
            files(vec![junit(&[nothing(0)]).expect("JUnit"), junit(&[known]).expect("JUnit")]);
        assert_eq!(merge_junit(&texts).map(|merged| merged.exit_code), Ok(0));
    }

    #[test]
    fn what_is_not_the_whole_is_refused() {
        let texts = |numbers: &[usize]| files(numbers.iter().map(|it| json(&part(*it))).collect());
        let missing = merge_json(&texts(&[0, 1])).expect_err("one is missing");
        assert_eq!(missing, MergeError::Missing { missing: 2, count: 7 });
        let twice = merge_json(&texts(&[0, 1, 2, 1])).expect_err("one is there twice");
        assert!(
            matches!(&twice, MergeError::Twice { what, .. } if what == "channel-file-291" || what.starts_with("kb1")),
            "{twice}"
        );
        let other = json(&part(1)).replace("\"count\": 7", "\"count\": 8");
        let mut lists = texts(&[0, 2]);
        lists.push(("other".to_owned(), other));
        assert!(matches!(merge_json(&lists), Err(MergeError::Lists { .. })));
        let no_part = merge_json(&files(vec![json(&one_of_each())])).expect_err("no part");
        assert!(no_part.to_string().contains("no part of a list"), "{no_part}");
        let no_part = merge_junit(&files(vec![junit(&one_of_each()).expect("JUnit")]));
        assert!(no_part.expect_err("no part").to_string().contains("no part of a list"));
        assert_eq!(merge_json(&files(vec!["[]".to_owned()])), Err(MergeError::Nothing));
        assert!(merge_json(&files(vec!["{".to_owned()])).is_err());
        assert!(merge_junit(&files(vec!["<a>".to_owned()])).is_err());
    }
}

//! What a run leaves for programs and for people: documents of JSON, and reports.

use report::Case;
use serde_json::Value;

use super::finished::{Finished, Skipped};
use crate::args::RunArgs;
use crate::exit::Exit;
use crate::output::print_json;

/// Prints one document where one was asked for, else an array, in the order in which scenarios were chosen. `exit` is what
/// a scenario that is not applicable counts for.
pub(super) fn print_documents(
    args: &RunArgs,
    results: &[Finished],
    skipped: &[Skipped],
    exit: Exit,
) -> anyhow::Result<()> {
    let mut documents = documents(results, skipped, exit)?;
    let one = documents.len() == 1
        && !args.is_open()
        && args.shard.is_none()
        && args.names.len() == 1
        && args.image.len() <= 1;
    let document = if one { documents.remove(0) } else { Value::Array(documents) };
    Ok(print_json(&(serde_json::to_string_pretty(&document)? + "\n"))?)
}

fn documents(results: &[Finished], skipped: &[Skipped], exit: Exit) -> anyhow::Result<Vec<Value>> {
    let mut documents: Vec<(usize, Value)> = Vec::new();
    for finished in results {
        documents.push((finished.position, finished.document()?));
    }
    for skipped in skipped {
        documents.push((skipped.position, skipped.document(exit)?));
    }
    documents.sort_by_key(|(position, _)| *position);
    Ok(documents.into_iter().map(|(_, document)| document).collect())
}

fn cases(results: &[Finished], skipped: &[Skipped], refused: bool) -> anyhow::Result<Vec<Case>> {
    let mut cases: Vec<(usize, Case)> = Vec::new();
    for finished in results {
        cases.push((finished.position, finished.case()?));
    }
    cases.extend(skipped.iter().map(|skipped| (skipped.position, skipped.case(refused))));
    cases.sort_by_key(|(position, _)| *position);
    Ok(cases.into_iter().map(|(_, case)| case).collect())
}

/// Writes reports. What is not applicable is an error in them where the command refused it.
pub(super) fn write_reports(
    args: &RunArgs,
    results: &[Finished],
    skipped: &[Skipped],
    refused: bool,
) -> anyhow::Result<()> {
    if args.reports.is_empty() {
        return Ok(());
    }
    let cases = cases(results, skipped, refused)?;
    let what = match (&args.choice.filter, args.names.is_empty()) {
        (Some(filter), _) => filter.clone(),
        (None, true) if args.rerun_failed => "what failed".to_owned(),
        (None, true) => "all scenarios".to_owned(),
        (None, false) => args.names.join(", "),
    };
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
    args.reports.write(&format!("loopbreak: {what}, {now}"), &cases)
}

#[cfg(test)]
mod tests {
    use report::{Flaky, ListPlace, Repeat, merge_json, merge_junit};
    use scenario::QuarantineEntry;

    use super::*;
    use crate::commands::run::Turned;
    use crate::commands::run::scripted::{Record, refused};
    use crate::schedule::parts;

    fn finished(position: usize, turns: Vec<Turned>) -> Finished {
        Finished {
            scenario: format!("scenario-{position}"),
            image: "understudy".to_owned(),
            position,
            listed: None,
            quarantine: None,
            repeat: None,
            left_out: usize::from(turns.is_empty()),
            turns,
        }
    }

    fn once(came: Result<engine::RunResult, engine::RunError>) -> Vec<Turned> {
        vec![Turned { tried_again: Vec::new(), came }]
    }

    fn entry() -> QuarantineEntry {
        QuarantineEntry {
            scenario: "all()".to_owned(),
            reason: "known".to_owned(),
            tracker: "https://example.org/7".to_owned(),
            expires: "2026-12-24".parse().expect("a day"),
        }
    }

    /// Nine scenarios, each with a run of its own; some come to nothing.
    fn list(record: &Record) -> Vec<Finished> {
        let exits = [0, 1, 0, 3, 0, 1, 0].map(|code| match code {
            0 => Exit::AsExpected,
            1 => Exit::Differs,
            _ => Exit::Infrastructure,
        });
        let mut list: Vec<Finished> = exits
            .into_iter()
            .enumerate()
            .map(|(at, exit)| finished(at, once(Ok(record.run(exit)))))
            .collect();
        list[1].quarantine = Some(entry());
        list.push(finished(7, once(Err(refused()))));
        list.push(finished(8, Vec::new()));
        list
    }

    fn junit(list: &[Finished]) -> String {
        report::junit(&cases(list, &[], false).expect("records")).expect("JUnit")
    }

    fn json(list: &[Finished]) -> String {
        let documents = documents(list, &[], Exit::AsExpected).expect("documents");
        serde_json::to_string_pretty(&documents).expect("JSON") + "\n"
    }

    #[test]
    fn three_shards_merged_equal_one_whole_run() {
        let record = Record::new();
        let mut list = list(&record);
        let (whole_json, whole_junit) = (json(&list), junit(&list));
        let worst = list.iter().map(Finished::exit).max().expect("some") as u8;
        let names: Vec<_> = list.iter().map(|it| (it.scenario.clone(), None)).collect();
        let parts = parts(&names, 3);
        let count = list.len();
        let mut shards: [Vec<Finished>; 3] = Default::default();
        for (index, mut finished) in list.drain(..).enumerate() {
            finished.listed = Some(ListPlace { index, count });
            shards[parts[index]].push(finished);
        }
        assert!(shards.iter().all(|shard| !shard.is_empty()));
        let each = |of: fn(&[Finished]) -> String| {
            let texts = shards.iter().map(|shard| ("shard".to_owned(), of(shard)));
            texts.rev().collect::<Vec<_>>()
        };
        let merged = merge_json(&each(json)).expect("parts");
        assert_eq!(merged.text, whole_json);
        assert_eq!(merged.exit_code, worst);
        assert_eq!(merge_junit(&each(junit)).expect("parts").text, whole_junit);
    }

    #[test]
    fn a_flaky_scenario_is_told_everywhere_and_fails() {
        let record = Record::new();
        let turns = |record: &Record| {
            let good = || Ok(record.run(Exit::AsExpected));
            let all = [good(), Ok(record.other_run(Exit::Differs)), good()];
            all.map(|came| Turned { tried_again: Vec::new(), came }).into()
        };
        let mut flaky = finished(0, turns(&record));
        flaky.repeat = Some((Repeat::Times, Flaky::Fails));
        assert_eq!(flaky.exit(), Exit::Differs);
        let document = flaky.document().expect("a document");
        assert_eq!((&document["verdict"], &document["exit_code"]), (&"flaky".into(), &1.into()));
        assert_eq!(document["repeated"]["outcomes"][0]["runs"].as_array().map(Vec::len), Some(2));
        assert_eq!(document["runs"].as_array().map(Vec::len), Some(3));
        let xml = junit(&[flaky]);
        assert!(xml.contains("<failure message=\"3 runs: "), "{xml}");
        assert!(xml.contains("2 different outcomes: flaky"), "{xml}");
        // The policy, and the quarantine.
        let mut allowed = finished(0, turns(&record));
        allowed.repeat = Some((Repeat::Times, Flaky::Passes));
        assert_eq!(allowed.exit(), Exit::AsExpected);
        let mut known = finished(0, turns(&record));
        known.repeat = Some((Repeat::Times, Flaky::Fails));
        known.quarantine = Some(entry());
        assert_eq!((known.exit(), known.failed_in_quarantine()), (Exit::AsExpected, true));
    }

    #[test]
    fn quarantine_is_for_failures_of_the_product() {
        let record = Record::new();
        for (exit, counts) in [
            (Exit::AsExpected, Exit::AsExpected),
            (Exit::Differs, Exit::AsExpected),
            (Exit::Infrastructure, Exit::Infrastructure),
            (Exit::Leaked, Exit::Leaked),
        ] {
            let mut one = finished(0, once(Ok(record.run(exit))));
            one.quarantine = Some(entry());
            assert_eq!(one.exit(), counts);
            let document = one.document().expect("a document");
            assert_eq!(document["exit_code"], counts as u8);
            assert_eq!(document["quarantine"]["tracker"], "https://example.org/7");
            let xml = junit(&[one]);
            let skipped = "<skipped message=\"in quarantine until 2026-12-24: known (https://example.org/7)\"";
            assert_eq!(xml.contains(skipped), exit == Exit::Differs, "{xml}");
        }
    }

    #[test]
    fn what_was_left_out_is_named() {
        let left_out = finished(0, Vec::new());
        let document = left_out.document().expect("a document");
        assert_eq!((&document["verdict"], &document["exit_code"]), (&"left-out".into(), &0.into()));
        let xml = junit(&[left_out]);
        assert!(xml.contains("<skipped message=\"the budget of time was used up"), "{xml}");
    }
}

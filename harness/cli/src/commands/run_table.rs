//! What several runs came to, one line each, and the line that counts them.

use engine::NotApplicable;
use report::Circumstances;
use winfmt::escaped;

use super::run::{Finished, LEFT_OUT, Skipped};
use crate::exit::Exit;

/// One line of the table.
struct Row {
    cells: [String; 4],
    /// What stands below it.
    reasons: Vec<String>,
}

/// The table: scenario, image, verdict and how the reference compares; what an image lacks stands below.
pub(super) fn table(results: &[Finished], skipped: &[Skipped]) -> String {
    let mut rows = vec![Row {
        cells: ["SCENARIO", "IMAGE", "VERDICT", "REFERENCE"].map(str::to_owned),
        reasons: Vec::new(),
    }];
    rows.extend(results.iter().map(finished));
    rows.extend(skipped.iter().map(not_applicable));
    let width = |column: usize| {
        rows.iter().map(|row| row.cells[column].chars().count()).max().unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for Row { cells: [scenario, image, verdict, reference], reasons } in &rows {
        let [one, two, three] = widths;
        let line = format!("{scenario:<one$}  {image:<two$}  {verdict:<three$}  {reference}");
        text += line.trim_end();
        text.push('\n');
        for reason in reasons {
            text += &format!("  {reason}\n");
        }
    }
    text + "\n" + &counts(results, skipped.len())
}

fn finished(finished: &Finished) -> Row {
    let Finished { scenario, image, turns, .. } = finished;
    let (verdict, reference) = match (finished.repeated(), turns.first().map(|turn| &turn.came)) {
        (Some(repeated), _) => {
            let one = repeated.outcomes.first().map(|one| one.verdict.clone());
            let verdict = repeated.instead_of_a_verdict().map(str::to_owned).or(one);
            let verdict = verdict.unwrap_or_default();
            (verdict, repeated.line())
        }
        (None, Some(Ok(result))) => {
            let met = result.derived.timeline.expectation.met;
            let reference = match result.comparison.word() {
                "missing" => "none yet; the outcome waits to be accepted",
                word => word,
            };
            let unmet = if met { "" } else { ", not as expected" };
            (result.derived.outcome.verdict.name().to_owned(), format!("{reference}{unmet}"))
        }
        (None, Some(Err(_))) => ("not run".to_owned(), String::new()),
        (None, None) => ("left out".to_owned(), String::new()),
    };
    let cells = [escaped(scenario).to_string(), image.clone(), verdict, reference];
    let mut reasons = Circumstances { repeated: None, ..finished.circumstances() }.notes();
    if turns.is_empty() {
        reasons.push(LEFT_OUT.to_owned());
    }
    Row { cells, reasons }
}

fn not_applicable(skipped: &Skipped) -> Row {
    let NotApplicable { scenario, image, lacks, .. } = &skipped.reason;
    let verdict = NotApplicable::VERDICT.to_owned();
    let reasons =
        lacks.iter().map(|lack| format!("{}: {}", lack.need, escaped(&lack.why))).collect();
    let cells = [escaped(scenario).to_string(), image.clone(), verdict, String::new()];
    Row { cells, reasons }
}

/// `4 runs: 3 as expected, 1 not as expected; 2 not applicable`.
fn counts(results: &[Finished], skipped: usize) -> String {
    let (mut expected, mut differ, mut failed, mut not_run) = (0, 0, 0, 0);
    let (mut quarantined, mut left_out) = (0, 0);
    for finished in results {
        let nothing_ran = finished.turns.iter().all(|turn| turn.came.is_err());
        match finished.exit() {
            _ if finished.turns.is_empty() => left_out += 1,
            _ if nothing_ran => not_run += 1,
            _ if finished.failed_in_quarantine() => quarantined += 1,
            Exit::AsExpected => expected += 1,
            Exit::Differs => differ += 1,
            _ => failed += 1,
        }
    }
    let counted = [
        (expected, "as expected"),
        (differ, "not as expected"),
        (quarantined, "failed in quarantine"),
        (failed, "failed by the harness or the host"),
        (not_run, "not run"),
        (left_out, "left out"),
    ];
    let counted: Vec<String> = counted
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let repeated = results.iter().any(|finished| finished.repeat.is_some());
    let runs = match (repeated, results.len()) {
        (true, 1) => "scenario, run several times",
        (true, _) => "scenarios, each run several times",
        (false, 1) => "run",
        (false, _) => "runs",
    };
    format!("{} {runs}: {}; {skipped} not applicable\n", results.len(), counted.join(", "))
}

/// Where a scenario that is not applicable is an error.
pub(super) fn nothing_was_run(skipped: usize, others: usize) -> String {
    match others {
        0 => format!("error: none of the {skipped} runs is applicable; nothing was run"),
        _ => format!(
            "error: {skipped} of {} runs are not applicable, and --no-skips makes that an error; nothing was run",
            skipped + others
        ),
    }
}

//! What the terminal shows of a scenario that was run several times: a line a run, and the counts.

use report::{Repeat, Repeated};
use winfmt::escaped;

use super::run::{Finished, Turned};

pub(super) fn page(finished: &Finished, repeated: &Repeated) -> String {
    let what = match repeated.by {
        Repeat::Seeds => "seed",
        Repeat::Times => "run",
    };
    let mut page = String::new();
    for (number, turn) in finished.turns.iter().enumerate() {
        page += &format!("{what} {:>4}  {}\n", number + 1, line(turn, repeated));
    }
    page += "\n";
    if repeated.outcomes.len() > 1 {
        page.extend(repeated.outcome_lines().into_iter().map(|line| line + "\n"));
    }
    page + &repeated.line() + "\n"
}

fn line(turn: &Turned, repeated: &Repeated) -> String {
    let result = match &turn.came {
        Ok(result) => result,
        Err(error) => return escaped(error).to_string(),
    };
    let outcome = &result.derived.outcome;
    let number = repeated.outcomes.iter().position(|it| it.runs.contains(&result.summary.run));
    let number = number.map_or("-".to_owned(), |number| (number + 1).to_string());
    format!(
        "{:<20} {:>2} boots  outcome {number:<3} {}",
        outcome.verdict,
        outcome.boots.len(),
        result.directory.path().display()
    )
}

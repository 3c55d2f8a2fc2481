//! One scenario run several times: how often what came out, and whether it is flaky.
//!
//! What the host or the harness failed says nothing about the product. It is counted apart and makes nothing flaky.

use serde::Serialize;

use crate::text::{GUEST_TEXT, clean};

/// How a scenario was run several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repeat {
    /// As it is, each time: every time the same has to come out.
    Times,
    /// With another seed each time: something else may come out.
    Seeds,
}

/// What becomes of a scenario that is flaky.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flaky {
    /// It fails.
    #[default]
    Fails,
    /// It passes where at least one of its runs was as expected.
    Passes,
}

/// One of the runs.
#[derive(Debug, Clone)]
pub struct Turn<'a> {
    /// The run's id; absent where it could not be begun.
    pub run: Option<&'a str>,
    /// Its outcome and its verdict; absent where it says nothing about the product.
    pub outcome: Option<(&'a str, &'a str)>,
    /// The exit code that it would have alone.
    pub exit_code: u8,
}

/// What all of them came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repeated {
    /// How it was repeated.
    pub by: Repeat,
    /// How many runs there were.
    pub runs: usize,
    /// How many of them say nothing about the product, because the host or the harness failed.
    pub without_verdict: usize,
    /// How many were left out, for want of time.
    pub left_out: usize,
    /// The outcomes, in the order in which they first came.
    pub outcomes: Vec<OutcomeCount>,
    /// Unchanged, it had different outcomes.
    pub flaky: bool,
    /// With which the command ends on its account.
    pub exit_code: u8,
}

impl Repeated {
    /// What stands in the place of a verdict where there is more than one outcome.
    pub fn instead_of_a_verdict(&self) -> Option<&'static str> {
        match self.outcomes.as_slice() {
            _ if self.flaky => Some("flaky"),
            [_, _, ..] => Some("several"),
            _ => None,
        }
    }
}

/// An outcome, and how often it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutcomeCount {
    /// Its verdict. Outcomes with the same verdict may differ in something else.
    pub verdict: String,
    /// The runs that had it.
    pub runs: Vec<String>,
    /// It is the one that is expected and accepted.
    pub as_expected: bool,
}

/// Counts the outcomes of several runs of one scenario on one image.
pub fn repeated(by: Repeat, turns: &[Turn<'_>], left_out: usize, policy: Flaky) -> Repeated {
    let mut outcomes: Vec<(&str, OutcomeCount)> = Vec::new();
    for turn in turns {
        let Some((outcome, verdict)) = turn.outcome else { continue };
        let run = turn.run.unwrap_or("?").to_owned();
        match outcomes.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, count)) => {
                count.runs.push(run);
                count.as_expected &= turn.exit_code == 0;
            }
            None => {
                let (verdict, as_expected) = (verdict.to_owned(), turn.exit_code == 0);
                let count = OutcomeCount { verdict, runs: vec![run], as_expected };
                outcomes.push((outcome, count));
            }
        }
    }
    let outcomes: Vec<OutcomeCount> = outcomes.into_iter().map(|(_, count)| count).collect();
    let flaky = by == Repeat::Times && outcomes.len() > 1;
    let passes = policy == Flaky::Passes && outcomes.iter().any(|count| count.as_expected);
    let product = match by {
        // There is no reference for other seeds.
        Repeat::Seeds => 0,
        Repeat::Times if flaky => u8::from(!passes),
        Repeat::Times => u8::from(outcomes.iter().any(|count| !count.as_expected)),
    };
    // What says nothing about the product, was refused, or was left behind.
    let others = turns.iter().map(|turn| turn.exit_code).filter(|code| *code > 1);
    Repeated {
        by,
        runs: turns.len(),
        without_verdict: turns.iter().filter(|turn| turn.outcome.is_none()).count(),
        left_out,
        outcomes,
        flaky,
        exit_code: others.max().unwrap_or(0).max(product),
    }
}

impl Repeated {
    /// `10 runs: 7 recovered, 3 looping; 2 different outcomes: flaky`.
    pub fn line(&self) -> String {
        let mut verdicts: Vec<(&str, usize)> = Vec::new();
        for OutcomeCount { verdict, runs, .. } in &self.outcomes {
            match verdicts.iter_mut().find(|(known, _)| known == verdict) {
                Some((_, count)) => *count += runs.len(),
                None => verdicts.push((verdict, runs.len())),
            }
        }
        verdicts.sort_unstable();
        let mut counts: Vec<String> =
            verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        if self.without_verdict > 0 {
            counts.push(format!("{} without a verdict on the product", self.without_verdict));
        }
        if self.left_out > 0 {
            counts.push(format!("{} more left out", self.left_out));
        }
        let different = match self.outcomes.len() {
            1 => "1 outcome".to_owned(),
            count => format!("{count} different outcomes"),
        };
        let flaky = if self.flaky { ": flaky" } else { "" };
        let runs = if self.runs == 1 { "run" } else { "runs" };
        format!("{} {runs}: {}; {different}{flaky}", self.runs, counts.join(", "))
    }

    /// A line for each outcome, with the runs that had it.
    pub fn outcome_lines(&self) -> Vec<String> {
        let lines = self.outcomes.iter().enumerate().map(|(number, count)| {
            let expected = if count.as_expected { ", as expected" } else { "" };
            let expected = if self.by == Repeat::Times { expected } else { "" };
            format!(
                "outcome {}: {}{expected}, {} of {}: {}",
                number + 1,
                count.verdict,
                count.runs.len(),
                self.runs,
                clean(&count.runs.join(", "), 4 * GUEST_TEXT)
            )
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(number: &'static str, outcome: Option<&'static str>, exit_code: u8) -> Turn<'static> {
        let outcome = outcome.map(|outcome| (outcome, outcome.split(' ').next().unwrap_or("")));
        Turn { run: Some(number), outcome, exit_code }
    }

    #[test]
    fn two_outcomes_of_one_scenario_are_flaky_and_fail() {
        let turns = [
            turn("a", Some("recovered 1"), 0),
            turn("b", Some("recovered 2"), 1),
            turn("c", Some("recovered 1"), 0),
            turn("d", Some("looping"), 1),
        ];
        let of = |by, policy| repeated(by, &turns, 0, policy);
        let found = of(Repeat::Times, Flaky::Fails);
        assert!(found.flaky);
        assert_eq!(found.exit_code, 1);
        assert_eq!(found.line(), "4 runs: 1 looping, 3 recovered; 3 different outcomes: flaky");
        assert_eq!(found.outcome_lines()[0], "outcome 1: recovered, as expected, 2 of 4: a, c");
        assert_eq!(found.outcome_lines()[1], "outcome 2: recovered, 1 of 4: b");
        let allowed = of(Repeat::Times, Flaky::Passes);
        assert_eq!((allowed.flaky, allowed.exit_code), (true, 0));
        // Another seed may have another outcome.
        let seeds = of(Repeat::Seeds, Flaky::Fails);
        assert_eq!((seeds.flaky, seeds.exit_code), (false, 0));
        // Where none was as expected, no policy lets it pass.
        let none = repeated(Repeat::Times, &[turns[1].clone(), turns[3].clone()], 0, Flaky::Passes);
        assert_eq!((none.flaky, none.exit_code), (true, 1));
    }

    #[test]
    fn the_same_outcome_each_time_is_what_one_run_says() {
        for exit_code in [0, 1] {
            let turns = [turn("a", Some("hung"), exit_code), turn("b", Some("hung"), exit_code)];
            let found = repeated(Repeat::Times, &turns, 0, Flaky::Fails);
            assert_eq!((found.flaky, found.exit_code), (false, exit_code));
            assert_eq!(found.line(), "2 runs: 2 hung; 1 outcome");
        }
    }

    #[test]
    fn what_the_host_failed_is_counted_apart_and_makes_nothing_flaky() {
        let turns = [turn("a", Some("hung"), 0), turn("b", None, 3), turn("c", Some("hung"), 0)];
        let found = repeated(Repeat::Times, &turns, 2, Flaky::Passes);
        assert_eq!((found.flaky, found.without_verdict, found.exit_code), (false, 1, 3));
        let line = "3 runs: 2 hung, 1 without a verdict on the product, 2 more left out; 1 outcome";
        assert_eq!(found.line(), line);
    }
}

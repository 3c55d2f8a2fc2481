//! `loopbreak run --seeds N` and `--times N`: one scenario many times, and how often what came out.

use std::collections::BTreeMap;
use std::path::Path;

use engine::{RunError, RunResult};
use scenario::Scenario;

use crate::args::RunArgs;
use crate::exit::Exit;
use crate::scenarios::Found;
use crate::session::exit_code;

/// The same scenario as often as it is to be run. References are looked for in `folder`, where none lies.
pub(crate) fn many(args: &RunArgs, scenario: &Scenario, folder: &Path) -> Vec<Found> {
    let one = |scenario: Scenario| (scenario, folder.to_path_buf());
    match (args.seeds, args.times) {
        (Some(seeds), _) => {
            (1..=seeds).map(|seed| one(scenario.with_seed(u64::from(seed)))).collect()
        }
        (None, times) => (0..times.unwrap_or(1)).map(|_| one(scenario.clone())).collect(),
    }
}

/// What came out: a line a run, and the counts.
pub(crate) struct Tally {
    seeds: bool,
    lines: String,
    verdicts: BTreeMap<&'static str, usize>,
    /// Outcomes in the order in which they first came.
    outcomes: Vec<String>,
    exit: Exit,
    runs: usize,
}

impl Tally {
    pub(crate) fn new(args: &RunArgs) -> Self {
        Self {
            seeds: args.seeds.is_some(),
            lines: String::new(),
            verdicts: BTreeMap::new(),
            outcomes: Vec::new(),
            exit: Exit::AsExpected,
            runs: 0,
        }
    }

    pub(crate) fn add(&mut self, result: &Result<RunResult, RunError>) {
        self.runs += 1;
        let what = if self.seeds { "seed" } else { "run" };
        let head = format!("{what} {:>4}", self.runs);
        match result {
            Ok(result) => {
                let outcome = &result.derived.outcome;
                let text = outcome.render();
                let number = self.outcomes.iter().position(|known| *known == text);
                let number = number.unwrap_or_else(|| {
                    self.outcomes.push(text);
                    self.outcomes.len() - 1
                });
                let verdict = outcome.verdict;
                self.lines += &format!(
                    "{head}  {verdict:<20} {:>2} boots  outcome {:<3} {}\n",
                    outcome.boots.len(),
                    number + 1,
                    result.directory.path().display()
                );
                *self.verdicts.entry(verdict.name()).or_default() += 1;
                if verdict == timeline::Verdict::Infrastructure {
                    self.exit = self.exit.max(Exit::Infrastructure);
                }
            }
            Err(error) => {
                self.lines += &format!("{head}  {error}\n");
                self.exit = self.exit.max(exit_code(error));
                *self.verdicts.entry("not run").or_default() += 1;
            }
        }
    }

    /// The page, and what it means: the same scenario with the same seed has one outcome.
    pub(crate) fn finish(self) -> (String, Exit) {
        let counts: Vec<String> =
            self.verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        let different = self.outcomes.len();
        let outcomes = if different == 1 { "outcome" } else { "different outcomes" };
        let page = format!(
            "{}\n{} runs: {}; {different} {outcomes}\n",
            self.lines,
            self.runs,
            counts.join(", ")
        );
        let differs = !self.seeds && different > 1;
        (page, if differs { self.exit.max(Exit::Differs) } else { self.exit })
    }
}

//! What runs have answered so far, and what is to be run next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use words::Verdict;

use super::search::{Found, Question};

/// One run, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    /// What was on the machine.
    pub(super) question: Question,
    /// The run.
    pub(super) run: String,
    pub(super) verdict: Verdict,
    /// The stop in which it failed first, for people.
    pub(super) stop: Option<String>,
    /// Whether that counts as broken.
    pub(super) broke: bool,
    /// Whether the image is a model.
    pub(super) is_model: bool,
}

impl Done {
    /// How it broke.
    pub(super) fn way(&self) -> String {
        match &self.stop {
            Some(stop) => format!("{}, {stop}", self.verdict),
            None => self.verdict.to_string(),
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Answers {
    runs: BTreeMap<Question, Vec<Done>>,
}

impl Answers {
    pub(super) fn add(&mut self, done: Done) {
        self.runs.entry(done.question.clone()).or_default().push(done);
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = (&Question, &Vec<Done>)> {
        self.runs.iter()
    }

    /// Whether they are of a model.
    pub(super) fn is_model(&self) -> bool {
        self.runs.values().flatten().any(|done| done.is_model)
    }

    /// How many runs there were.
    pub(super) fn count(&self) -> usize {
        self.runs.values().map(Vec::len).sum()
    }

    pub(super) fn of(&self, question: &[usize]) -> &[Done] {
        self.runs.get(question).map_or(&[], Vec::as_slice)
    }

    /// The first run in which it broke.
    pub(super) fn broken(&self, question: &[usize]) -> Option<&Done> {
        self.of(question).iter().find(|done| done.broke)
    }

    /// Whether it breaks, where that is known: one broken run says so, and `clean_runs` clean ones say that it does not.
    pub(super) fn known(&self, question: &[usize], clean_runs: u32) -> Option<bool> {
        let runs = self.of(question);
        if runs.iter().any(|done| done.broke) {
            return Some(true);
        }
        (runs.len() >= clean_runs as usize).then_some(false)
    }

    /// What to run next, at most `jobs` at once: every question first once, then again those that want more runs.
    pub(super) fn next_runs(&self, open: &[Question], clean_runs: u32, jobs: u32) -> Vec<Question> {
        let wanted =
            |question: &Question| (clean_runs as usize).saturating_sub(self.of(question).len());
        let most = open.iter().map(wanted).max().unwrap_or_default();
        let rounds = (0..most)
            .flat_map(|round| open.iter().filter(move |question| wanted(question) > round));
        rounds.take(jobs.max(1) as usize).cloned().collect()
    }

    /// The clean answers that what was found rests on, each with its number of runs. `clean_runs` made an answer in this
    /// search; runs of an earlier search that asked for less may be there as well, and nothing rests on those.
    pub(super) fn rests_on(&self, found: &Found, clean_runs: u32) -> Vec<u32> {
        let clean = |question: &[usize]| {
            let runs = u32::try_from(self.of(question).len()).unwrap_or(u32::MAX);
            (self.known(question, clean_runs) == Some(false)).then_some(runs)
        };
        match found {
            // Any clean build before it may be one that only did not show it: then the first that breaks lies before that.
            Found::First(first) => self
                .runs
                .keys()
                .filter(|question| question[0] < *first)
                .filter_map(|question| clean(question))
                .collect(),
            Found::Smallest(part) => part
                .iter()
                .filter_map(|one| {
                    let rest: Question =
                        part.iter().copied().filter(|other| other != one).collect();
                    clean(&rest)
                })
                .collect(),
            Found::Nothing => self
                .runs
                .iter()
                .max_by_key(|(question, _)| (question.len(), question.first().copied()))
                .and_then(|(question, _)| clean(question))
                .into_iter()
                .collect(),
            Found::WithoutAny => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::certainty::{Certainty, answers_of_a_row};
    use super::super::search::{first_that_breaks, smallest_that_breaks};
    use super::*;

    fn done(question: &[usize], broke: bool) -> Done {
        let verdict = if broke { Verdict::Looping } else { Verdict::Unaffected };
        let (question, run) = (question.to_vec(), String::new());
        Done { question, run, verdict, stop: None, broke, is_model: true }
    }

    #[test]
    fn one_broken_run_is_an_answer_and_clean_ones_are_when_there_are_enough() {
        let mut answers = Answers::default();
        for _ in 0..2 {
            answers.add(done(&[3], false));
        }
        assert_eq!(answers.known(&[3], 3), None);
        assert_eq!(answers.known(&[3], 2), Some(false));
        assert_eq!(answers.next_runs(&[vec![3], vec![4]], 3, 3), [vec![3], vec![4], vec![4]]);
        answers.add(done(&[3], true));
        assert_eq!(answers.known(&[3], 99), Some(true));
    }

    #[test]
    fn what_an_earlier_search_left_counts_only_where_it_is_enough_and_lies_before() {
        let mut answers = Answers::default();
        // An earlier search was content with one run, and took build 5 for clean.
        answers.add(done(&[2], false));
        answers.add(done(&[5], false));
        for _ in 0..3 {
            answers.add(done(&[0], false));
            answers.add(done(&[3], false));
        }
        answers.add(done(&[4], true));
        assert_eq!(answers.rests_on(&Found::First(4), 3), [3, 3]);
        assert_eq!(answers.rests_on(&Found::First(4), 1), [3, 1, 3]);
    }

    /// Runs a search whose oracle shows a break in some runs only, drawn from a seed.
    fn search(
        step: impl Fn(&Answers) -> Result<Found, Vec<Question>>,
        clean_runs: u32,
        mut shows: impl FnMut(&[usize]) -> bool,
    ) -> (Found, Answers) {
        let mut answers = Answers::default();
        loop {
            match step(&answers) {
                Ok(found) => return (found, answers),
                Err(open) => {
                    let runs = answers.next_runs(&open, clean_runs, 2);
                    assert!(!runs.is_empty(), "{open:?} is open and nothing is to be run");
                    for question in runs {
                        let broke = shows(&question);
                        answers.add(done(&question, broke));
                    }
                }
            }
        }
    }

    /// Numbers from 0 to 1 that follow from a seed (SplitMix64).
    fn numbers(mut state: u64) -> impl FnMut() -> f64 {
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    #[test]
    fn what_is_told_of_a_flaky_row_is_right_as_often_as_it_says() {
        let certainty = Certainty { rate: 0.4, confidence: 0.9 };
        let (count, first) = (12, 7);
        let clean_runs = certainty.clean_runs(answers_of_a_row(count));
        let mut random = numbers(1);
        let mut right = 0;
        for _ in 0..2000 {
            let (found, answers) = search(
                |answers| first_that_breaks(count, |set| answers.known(set, clean_runs)),
                clean_runs,
                |set| set[0] >= first && random() < certainty.rate,
            );
            right += u32::from(found == Found::First(first));
            assert!(
                certainty.reached(&answers.rests_on(&found, clean_runs)) >= certainty.confidence
            );
        }
        // 1800 would be as often as it says; the bound is of the seed above, not of luck.
        assert!(right >= 1800, "{right} of 2000");
    }

    #[test]
    fn what_is_told_of_a_flaky_set_is_right_as_often_as_it_says() {
        let certainty = Certainty { rate: 0.5, confidence: 0.9 };
        let clean_runs = certainty.clean_runs(8);
        let mut random = numbers(2);
        let mut right = 0;
        for _ in 0..1000 {
            let (found, answers) = search(
                |answers| smallest_that_breaks(8, 2, |set| answers.known(set, clean_runs)),
                clean_runs,
                |set| set.contains(&2) && set.contains(&5) && random() < certainty.rate,
            );
            right += u32::from(found == Found::Smallest(vec![2, 5]));
            assert!(
                certainty.reached(&answers.rests_on(&found, clean_runs)) >= certainty.confidence
            );
        }
        assert!(right >= 900, "{right} of 1000");
    }

    proptest! {
        /// A search that was interrupted anywhere goes on to the same end, and runs nothing again.
        #[test]
        fn an_interrupted_search_goes_on_where_it_was(count in 1_usize..30, first in 0_usize..30, cut in 0_usize..10) {
            let step = |answers: &Answers| first_that_breaks(count, |set| answers.known(set, 2));
            let (found, whole) = search(step, 2, |set| set[0] >= first);
            let mut again = Answers::default();
            let lines: Vec<Done> = whole.runs().flat_map(|(_, runs)| runs.clone()).take(cut).collect();
            let kept = lines.len();
            lines.into_iter().for_each(|done| again.add(done));
            let mut more = 0;
            let end = loop {
                match step(&again) {
                    Ok(found) => break found,
                    Err(open) => for question in again.next_runs(&open, 2, 1) {
                        more += 1;
                        again.add(done(&question, question[0] >= first));
                    },
                }
            };
            prop_assert_eq!(end, found);
            prop_assert!(kept + more <= whole.count() + 1);
        }
    }
}

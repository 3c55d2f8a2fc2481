//! What a search came to, for people and for programs.

use serde_json::{Value, json};
use winfmt::escaped;

use super::answers::{Answers, Done};
use super::certainty::{Certainty, MOST_RUNS};
use super::search::Found;
use super::subject::Subject;

/// A search that is over.
pub(super) struct Searched<'a> {
    pub(super) subject: &'a Subject,
    pub(super) found: &'a Found,
    pub(super) answers: &'a Answers,
    pub(super) certainty: Certainty,
    pub(super) clean_runs: u32,
}

impl Searched<'_> {
    pub(super) fn page(&self) -> String {
        let (subject, model) =
            (self.subject, if self.answers.is_model() { ", a model, not Windows" } else { "" });
        let what = match subject {
            Subject::Builds { .. } => "builds",
            Subject::Faults { .. } => "faults",
        };
        let mut text = format!(
            "\n{} on {}{model}: {} {what}\n\n",
            escaped(subject.name()),
            subject.image(),
            subject.count()
        );
        let called = |question: &[usize]| escaped(subject.called(question)).to_string();
        let width = self.answers.runs().map(|(question, _)| called(question).chars().count()).max();
        for (question, runs) in self.answers.runs() {
            let broken = runs.iter().filter(|done| done.broke).count();
            let (answer, of) = if broken > 0 { ("breaks", broken) } else { ("clean", runs.len()) };
            let way = self.answers.broken(question).map(Done::way).unwrap_or_default();
            let (of, called) = (format!("in {of} of {}", runs.len()), called(question));
            let line = format!(
                "  {answer:<6}  {of:<10}  {called:<width$}  {way}",
                width = width.unwrap_or_default().min(60)
            );
            text += line.trim_end();
            text.push('\n');
        }
        text.push('\n');
        text += &self.told();
        text += &format!("  runs        {}\n", self.answers.count());
        for (number, line) in self.confidence().into_iter().enumerate() {
            text += &format!("  {:<11} {line}\n", if number == 0 { "confidence" } else { "" });
        }
        text.extend(self.doubts().into_iter().map(|doubt| format!("  note        {doubt}\n")));
        text += &self.next();
        text
    }

    /// What was found.
    fn told(&self) -> String {
        let way =
            |question: &[usize]| self.answers.broken(question).map(Done::way).unwrap_or_default();
        match (self.found, self.subject) {
            (Found::First(0), _) => format!(
                "the first build breaks already: {}\n  how         {}\n",
                escaped(self.subject.label(0)),
                way(&[0])
            ),
            (Found::First(first), _) => format!(
                "the first that breaks: {}\n  how         {}\n  before it   {} does not\n",
                escaped(self.subject.label(*first)),
                way(&[*first]),
                escaped(self.subject.label(first - 1))
            ),
            (Found::Smallest(part), _) => format!(
                "these break together: {}\n  how         {}\n  and         without any one of them the machine does not break\n",
                escaped(self.subject.called(part)),
                way(part)
            ),
            (Found::Nothing, Subject::Builds { .. }) => {
                "the last build does not break, so there is no first one that does\n".to_owned()
            }
            (Found::Nothing, Subject::Faults { .. }) => {
                "all of them together do not break the machine\n".to_owned()
            }
            (Found::WithoutAny, _) => format!(
                "the machine breaks without any of them: {}; what breaks it is something else\n",
                way(&[])
            ),
        }
    }

    /// What repetition proves here, and what it does not.
    fn confidence(&self) -> Vec<String> {
        let clean = self.answers.rests_on(self.found, self.clean_runs);
        if clean.is_empty() {
            return vec!["it was seen to break; that needs no repetition".to_owned()];
        }
        let fewest = clean.iter().min().copied().unwrap_or_default();
        let mut lines = Vec::new();
        if self.certainty.rate >= 1.0 {
            lines.push("certain, if what breaks the machine breaks it in each run".to_owned());
            let half = Certainty { rate: 0.5, ..self.certainty }.reached(&clean);
            let tenth = Certainty { rate: 0.9, ..self.certainty }.reached(&clean);
            lines.push(format!(
                "if it shows in 9 of 10 runs only: {}, in 5 of 10: {}; --rate repeats until it is enough",
                percent(tenth),
                percent(half)
            ));
        } else {
            lines.push(format!(
                "at least {} that no clean answer is wrong, if a break shows in at least {} of its runs",
                percent(self.certainty.reached(&clean)),
                percent(self.certainty.rate)
            ));
            lines.push(format!("{} clean answers, each of at least {fewest} runs", clean.len()));
        }
        if let (Found::First(1..), _) = (self.found, ()) {
            lines.push("and if every build after the first that breaks does so, too".to_owned());
        }
        lines
    }

    /// What speaks against it.
    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let mut ways: Vec<String> = self
            .answers
            .runs()
            .filter_map(|(question, _)| self.answers.broken(question))
            .map(Done::way)
            .collect();
        ways.sort_unstable();
        ways.dedup();
        if ways.len() > 1 {
            doubts.push(format!(
                "broken in {} ways, which may have several causes: {}",
                ways.len(),
                ways.join("; ")
            ));
        }
        for (question, runs) in self.answers.runs() {
            let broken = runs.iter().filter(|done| done.broke).count();
            if let Found::First(first) = self.found
                && broken == 0
                && question[0] > *first
            {
                let what = escaped(self.subject.called(question)).to_string();
                let count = runs.len();
                let runs = if count == 1 { "run" } else { "runs" };
                doubts.push(format!("{what} comes after it and did not break in {count} {runs}"));
            }
            if broken > 0 && broken < runs.len() {
                let what = escaped(self.subject.called(question)).to_string();
                let advice = if self.certainty.rate >= 1.0 {
                    ", so a rate of 1 is wrong; give --rate"
                } else {
                    ""
                };
                doubts.push(format!("{what} broke in {broken} of {} runs{advice}", runs.len()));
            }
        }
        if self.clean_runs == MOST_RUNS {
            doubts.push(format!("the confidence that was asked for needs more than {MOST_RUNS} runs of each; it was not reached"));
        }
        doubts
    }

    fn next(&self) -> String {
        let run = |question: &[usize]| {
            self.answers
                .broken(question)
                .or_else(|| self.answers.of(question).first())
                .map(|done| done.run.clone())
        };
        let pair = match self.found {
            Found::First(0) => (run(&[0]), None),
            Found::First(first) => (run(&[*first]), run(&[first - 1])),
            Found::Smallest(part) => (run(part), run(&part[1..])),
            Found::Nothing => return String::new(),
            Found::WithoutAny => (run(&[]), None),
        };
        match pair {
            (Some(broken), Some(clean)) => {
                format!("  next        loopbreak diff {clean} {broken}\n")
            }
            (Some(broken), None) => format!("  next        loopbreak timeline {broken}\n"),
            _ => String::new(),
        }
    }
}

fn percent(share: f64) -> String {
    // Down: what is promised is not more than there is.
    format!("{:.1} %", (share * 1000.0).floor() / 10.0)
}

/// What a search came to, for programs.
pub(super) fn document(searched: &Searched<'_>) -> Value {
    let Searched { subject, found, answers, certainty, clean_runs } = searched;
    let names = |question: &[usize]| -> Vec<&str> {
        question.iter().map(|index| subject.label(*index)).collect()
    };
    let (result, what) = match found {
        Found::First(first) => ("first-that-breaks", names(&[*first])),
        Found::Smallest(part) => ("break-together", names(part)),
        Found::Nothing => ("nothing-breaks", Vec::new()),
        Found::WithoutAny => ("breaks-without-any", Vec::new()),
    };
    let asked: Vec<Value> = answers
        .runs()
        .map(|(question, runs)| {
            let runs: Vec<Value> = runs
                .iter()
                .map(|done| json!({ "run": done.run, "verdict": done.verdict, "stop": done.stop, "breaks": done.broke }))
                .collect();
            json!({ "with": names(question), "runs": runs })
        })
        .collect();
    json!({
        "format": 1, "scenario": subject.name(), "image": subject.image(), "result": result, "found": what,
        "confidence": {
            "asked": certainty.confidence, "rate": certainty.rate, "reached": certainty.reached(&answers.rests_on(found, *clean_runs)),
        },
        "runs": answers.count(), "asked": asked,
    })
}

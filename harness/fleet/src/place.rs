//! What can be wrong with a rollout file, and where.

use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Why a rollout file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// It says something that cannot be.
    #[error("{}", render(problems))]
    Invalid {
        /// All that is wrong, in the order of the checks.
        problems: Vec<Problem>,
    },
    /// A change that was asked for fits nothing in the file.
    #[error("cannot set `{path}`: {what}; the table of assumptions lists the paths")]
    Set {
        /// What was to be set.
        path: String,
        /// Why not.
        what: String,
    },
    /// No such plan or fault.
    #[error("{file} has no {kind} `{name}`; it has {}", names.join(", "))]
    NoSuch {
        /// The rollout's name.
        file: String,
        /// `plan` or `fault`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        names: Vec<String>,
    },
    /// There is nothing for `recommend` to look through.
    #[error("{file} has no `[search]`; add it, with shares of the first ring, growths and waits")]
    NoSearch {
        /// The rollout's name.
        file: String,
    },
}

impl RolloutError {
    /// Something is wrong with the value of a key of a rollout file that only the caller can know.
    pub fn about(file: &str, text: &str, path: &[&str], what: String, fix: String) -> Self {
        let source = Source { file, text };
        Self::Invalid { problems: vec![source.problem(source.place(path), what, fix)] }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

fn render(problems: &[Problem]) -> String {
    let shown: Vec<String> = problems.iter().map(Problem::to_string).collect();
    shown.join("\n\n")
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{}", self.what)?;
        writeln!(f, "{margin}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.text)?;
        let before = self.text.chars().take(self.column.saturating_sub(1));
        let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{margin} | {indent}^")?;
        write!(f, "{margin} = do: {}", self.fix)
    }
}

/// A text and its name, for the places in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    pub(crate) fn problem(&self, place: Range<usize>, what: String, fix: String) -> Problem {
        let start = (0..=place.start.min(self.text.len()))
            .rev()
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or(0);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Problem {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            text: self.text[line_start..].lines().next().unwrap_or_default().to_owned(),
            what,
            fix,
        }
    }

    /// The place of a key, or of the nearest table around it that there is. Lists are entered by number.
    pub(crate) fn place(&self, path: &[&str]) -> Range<usize> {
        let Ok(document) = DeTable::parse(self.text) else { return 0..0 };
        let mut place = 0..0;
        let mut steps = path.iter();
        let Some(mut value) = steps.next().and_then(|key| document.get_ref().get(*key)) else {
            return place;
        };
        loop {
            place = value.span();
            let next = match (steps.next(), value.get_ref()) {
                (Some(key), DeValue::Table(table)) => table.get(*key),
                (Some(key), DeValue::Array(array)) => {
                    key.parse::<usize>().ok().and_then(|number| array.get(number))
                }
                _ => None,
            };
            match next {
                Some(next) => value = next,
                None => return place,
            }
        }
    }
}

//! What can be wrong with a scenario, and how it is shown.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// Why a scenario could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error(
        "cannot read the scenario {}: {source}; name a folder below `scenarios`, or run `loopbreak scenario list`",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that cannot be.
    #[error("{}", render(path, source_text, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Its text.
        source_text: String,
        /// All that is wrong, in the order of the file.
        problems: Vec<Problem>,
    },
}

impl ScenarioError {
    /// What is wrong, where it is with what the file says.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The bytes of the source that are meant.
    pub span: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What to do.
    pub fix: String,
}

impl Problem {
    /// A problem at these bytes of `source`.
    pub(crate) fn new(
        source: &str,
        span: Range<usize>,
        what: impl Into<String>,
        expected: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let start = floor_char(source, span.start);
        let before = &source[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
            span: start..floor_char(source, span.end).max(start),
            what: what.into(),
            expected: expected.into(),
            fix: fix.into(),
        }
    }
}

fn floor_char(source: &str, mut at: usize) -> usize {
    at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn render(path: &std::path::Path, source: &str, problems: &[Problem]) -> String {
    let shown: Vec<String> =
        problems.iter().map(|problem| Snippet { path, source, problem }.to_string()).collect();
    shown.join("\n\n")
}

struct Snippet<'a> {
    path: &'a std::path::Path,
    source: &'a str,
    problem: &'a Problem,
}

impl fmt::Display for Snippet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = self.problem;
        let line = self.source.lines().nth(problem.line - 1).unwrap_or_default();
        let number = problem.line.to_string();
        let margin = " ".repeat(number.len());
        // Tabs stay tabs, so that the caret stands under its text whatever the tab width.
        let indent: String = line
            .chars()
            .take(problem.column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let rest = line.chars().count().saturating_sub(problem.column - 1).max(1);
        let meant = self.source[problem.span.clone()].lines().next().unwrap_or_default();
        let carets = "^".repeat(meant.chars().count().clamp(1, rest));
        writeln!(f, "{}", problem.what)?;
        writeln!(f, "{margin}--> {}:{}:{}", self.path.display(), problem.line, problem.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {line}")?;
        writeln!(f, "{margin} | {indent}{carets}")?;
        writeln!(f, "{margin} = expected: {}", problem.expected)?;
        write!(f, "{margin} = do: {}", problem.fix)
    }
}

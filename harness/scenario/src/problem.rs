//! What can be wrong with a scenario, and how it is shown.

use std::fmt;
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
    /// A file beside the scenarios cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file, or one that it extends, says something that cannot be.
    #[error("{}", render(problems))]
    Invalid {
        /// All that is wrong, in the order of the files.
        problems: Vec<Problem>,
    },
    /// There is no such variant, or it has to be said which is meant.
    #[error("{what} {}: {}", path.display(), names.join(", "))]
    Variant {
        /// What is wrong with the choice.
        what: String,
        /// The scenario.
        path: PathBuf,
        /// The variants that there are.
        names: Vec<String>,
    },
}

impl ScenarioError {
    /// What is wrong, where it is with what the file says.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems } => problems,
            Self::Read { .. } | Self::File { .. } | Self::Variant { .. } => &[],
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
    /// What of the source is meant.
    pub meant: String,
    /// What is wrong.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What to do.
    pub fix: String,
    /// Where it is among all files of the scenario.
    pub(crate) place: usize,
}

fn render(problems: &[Problem]) -> String {
    let shown: Vec<String> = problems.iter().map(Problem::to_string).collect();
    shown.join("\n\n")
}

/// What is wrong, the line that it is in, and what to do.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, number) = (&self.text, self.line.to_string());
        let margin = " ".repeat(number.len());
        // Tabs stay tabs, so that the caret stands under its text whatever the tab width.
        let indent: String = line
            .chars()
            .take(self.column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let rest = line.chars().count().saturating_sub(self.column - 1).max(1);
        let meant = self.meant.lines().next().unwrap_or_default();
        let carets = "^".repeat(meant.chars().count().clamp(1, rest));
        writeln!(f, "{}", self.what)?;
        writeln!(f, "{margin}--> {}:{}:{}", self.path.display(), self.line, self.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {line}")?;
        writeln!(f, "{margin} | {indent}{carets}")?;
        writeln!(f, "{margin} = expected: {}", self.expected)?;
        write!(f, "{margin} = do: {}", self.fix)
    }
}

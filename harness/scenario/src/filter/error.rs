//! A filter that cannot be understood.

/// What is wrong with a filter, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// The filter as it was given.
    pub text: String,
    /// Where, in bytes from its beginning.
    pub at: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

impl FilterError {
    /// Line and column of the place, both from 1; the column in characters.
    pub fn place(&self) -> (usize, usize) {
        let before = self.text.get(..self.at).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

impl std::fmt::Display for FilterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (line, column) = self.place();
        let shown = self.text.lines().nth(line - 1).unwrap_or_default();
        writeln!(f, "filter, line {line}, column {column}: {}", self.what)?;
        writeln!(f, "  {}", words::escaped(shown))?;
        // The caret stands below what is shown, which is longer than the text where something in it is escaped.
        let before: String = shown.chars().take(column - 1).collect();
        write!(
            f,
            "  {:>width$}",
            '^',
            width = words::escaped(before).to_string().chars().count() + 1
        )
    }
}

impl std::error::Error for FilterError {}

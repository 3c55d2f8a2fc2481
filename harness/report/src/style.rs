//! How text looks: colour or not, and how wide.

/// Narrower than this nothing is laid out.
const NARROWEST: usize = 80;
/// Wider than this, lines are hard to read.
const WIDEST: usize = 120;

/// Decided once, at the edge, and passed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
    width: usize,
}

impl Style {
    /// No colour, 80 columns: for files, pipes and tests.
    pub const fn plain() -> Self {
        Self { colour: false, width: NARROWEST }
    }

    /// For a terminal of so many columns; between 80 and 120 are used.
    pub fn terminal(columns: usize) -> Self {
        Self { colour: true, width: columns.clamp(NARROWEST, WIDEST) }
    }

    /// The usual rules: colour only on a terminal, and not where `NO_COLOR` is set to anything
    /// (<https://no-color.org>).
    pub fn detect(is_terminal: bool, no_color: Option<&str>, columns: Option<usize>) -> Self {
        let colour = is_terminal && no_color.is_none_or(str::is_empty);
        let width = columns.unwrap_or(NARROWEST).clamp(NARROWEST, WIDEST);
        Self { colour, width }
    }

    pub(crate) const fn width(self) -> usize {
        self.width
    }

    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Good => "32",
            Paint::Bad => "31",
            Paint::Odd => "33",
            Paint::Faint => "2",
            Paint::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// What a piece of text is, from which its colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Good,
    Bad,
    Odd,
    Faint,
    Strong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_only_on_a_terminal_that_wants_it() {
        let red = |style: Style| style.paint(Paint::Bad, "x");
        assert_eq!(red(Style::detect(true, None, Some(200))), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(red(Style::detect(true, Some(""), None)), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(red(Style::detect(true, Some("1"), None)), "x");
        assert_eq!(red(Style::detect(false, None, None)), "x");
        assert_eq!(Style::detect(true, None, Some(200)).width(), WIDEST);
        assert_eq!(Style::detect(true, None, Some(20)).width(), NARROWEST);
    }
}

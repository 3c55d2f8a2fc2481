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
        format!("{}{text}{OFF}", paint.on())
    }

    /// The colour sequence of this style that `text` begins with, if it begins with one: what a filter lets through.
    pub fn sequence_at(self, text: &str) -> Option<&str> {
        let paints = [Paint::Good, Paint::Bad, Paint::Odd, Paint::Faint, Paint::Strong];
        let mut sequences = paints.map(Paint::on).into_iter().chain([OFF]);
        let found = sequences.find(|own| self.colour && text.starts_with(own))?;
        text.get(..found.len())
    }
}

const OFF: &str = "\u{1b}[0m";

/// What a piece of text is, from which its colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Good,
    Bad,
    Odd,
    Faint,
    Strong,
}

impl Paint {
    const fn on(self) -> &'static str {
        match self {
            Paint::Good => "\u{1b}[32m",
            Paint::Bad => "\u{1b}[31m",
            Paint::Odd => "\u{1b}[33m",
            Paint::Faint => "\u{1b}[2m",
            Paint::Strong => "\u{1b}[1m",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_sequences_are_told_apart_from_text() {
        let style = Style::terminal(80);
        let painted = style.paint(Paint::Bad, "x");
        assert_eq!(style.sequence_at(&painted), Some("\u{1b}[31m"));
        assert_eq!(style.sequence_at("\u{1b}[0m"), Some("\u{1b}[0m"));
        assert_eq!(style.sequence_at("\u{1b}[2Jx"), None);
        assert_eq!(style.sequence_at("x"), None);
        assert_eq!(Style::plain().sequence_at(&painted), None);
    }

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

//! Standard output and standard error, and the last filter that both pass.
//!
//! Text of a guest is escaped where it is put into a line ([`winfmt::escaped`]). Should that be forgotten somewhere,
//! the terminal is still not steered: of what goes through here only line ends and tabs control anything, and the
//! colours of our own [`Style`] where a page has them.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};

use report::Style;
use words::escape::{is_unfit, write_escape};

use crate::args::When;

/// Prints to standard output. A reader that went away (`| head`) is not an error.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    print_bytes(filtered(text, |_| None).as_bytes())
}

/// The same for a page with the colours of a style.
pub(crate) fn print_styled(text: &str, style: Style) -> std::io::Result<()> {
    print_bytes(filtered(text, |rest| style.sequence_at(rest)).as_bytes())
}

/// The same for JSON text: one document, or lines of them.
pub(crate) fn print_json(text: &str) -> std::io::Result<()> {
    print_bytes(json(text).as_bytes())
}

/// The same for what need not be text, without the filter: for files and pipes.
pub(crate) fn print_bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Says one line on standard error. Nobody may be listening, a terminal that was closed for example: that is no
/// error.
pub(crate) fn tell(line: impl Display) {
    let line = filtered(&line.to_string(), |_| None);
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// What clap has to say, on the stream where it belongs, with its own colours where the stream is a terminal.
pub(crate) fn tell_usage(error: &clap::Error) {
    fn show(error: &clap::Error, stream: &mut (impl Write + IsTerminal)) -> std::io::Result<()> {
        let text = error.render();
        let text = if coloured(When::Auto, stream) {
            filtered(&text.ansi().to_string(), colour_at)
        } else {
            filtered(&text.to_string(), |_| None)
        };
        stream.write_all(text.as_bytes())?;
        stream.flush()
    }
    // Help and version are answers. If they cannot be printed nobody reads them.
    let _ = if error.use_stderr() {
        show(error, &mut std::io::stderr())
    } else {
        show(error, &mut std::io::stdout())
    };
}

/// Standard error for a log: each write is some whole lines.
#[derive(Debug, Default)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = filtered(&String::from_utf8_lossy(bytes), |_| None);
        std::io::stderr().lock().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Whether `stream` is to be coloured. NO_COLOR: <https://no-color.org>.
pub(crate) fn coloured(when: When, stream: &impl IsTerminal) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            stream.is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}

/// The last filter. `passes` gives the sequence at the beginning of a text that is let through.
fn filtered(text: &str, passes: impl Fn(&str) -> Option<&str>) -> String {
    let mut fit = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '\u{1b}'
            && let Some(sequence) = passes(rest)
        {
            fit.push_str(sequence);
            rest = &rest[sequence.len()..];
            continue;
        }
        if is_unfit(c) && !matches!(c, '\n' | '\t') {
            // Writing to a string cannot fail.
            let _ = write_escape(&mut fit, c.into());
        } else {
            fit.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    fit
}

/// JSON as it was, with the escapes of JSON for what a terminal would act upon. Outside of its strings there is
/// nothing of that kind but line ends.
fn json(text: &str) -> String {
    let mut fit = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_unfit(c) {
            fit.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                fit.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    fit
}

/// A sequence that only chooses colours and weights (ECMA-48, SGR).
fn colour_at(text: &str) -> Option<&str> {
    let behind = text.strip_prefix("\u{1b}[")?;
    let end = behind.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    behind[end..].starts_with('m').then(|| &text[..2 + end + 1])
}

/// The most columns of an explanation.
pub(crate) const WIDTH: usize = 92;

/// An explanation: its name and title, and below it what is said under each label.
pub(crate) fn sections(name: &str, title: &str, sections: &[(&str, &str)]) -> String {
    let mut text = format!("{name}: {title}\n");
    for (label, body) in sections {
        let mut line = format!("\n{:<8}", format!("{label}:"));
        for word in body.split_whitespace() {
            if line.trim_start_matches('\n').chars().count() + 1 + word.chars().count() > WIDTH {
                text += &line;
                line = format!("\n{:<8}", "");
            }
            line += " ";
            line += word;
        }
        text += &line;
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_line_ends_and_tabs_pass() {
        let text = "a\tb\nc\u{1b}[31md\r\n\u{9b}2J\u{202e}\0 C:\\new";
        assert_eq!(
            filtered(text, |_| None),
            "a\tb\nc\\x1b[31md\\x0d\n\\u{9b}2J\\u{202e}\\x00 C:\\new"
        );
    }

    #[test]
    fn of_sequences_only_those_of_the_style_pass() {
        let style = Style::terminal(80);
        let passes = |text: &str| filtered(text, |rest| style.sequence_at(rest));
        assert_eq!(passes("\u{1b}[31mred\u{1b}[0m"), "\u{1b}[31mred\u{1b}[0m");
        assert_eq!(passes("\u{1b}[2J\u{1b}]0;t\u{7}"), r"\x1b[2J\x1b]0;t\x07");
        assert_eq!(filtered("\u{1b}[31m", |rest| Style::plain().sequence_at(rest)), r"\x1b[31m");
        let clap = |text: &str| filtered(text, colour_at);
        assert_eq!(clap("\u{1b}[1;31mx\u{1b}[0m"), "\u{1b}[1;31mx\u{1b}[0m");
        assert_eq!(clap("\u{1b}[2J\u{1b}["), r"\x1b[2J\x1b[");
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({ "k\u{9b}": "\u{202e}\u{e0041}\u{7f}\u{1b}\t\\n \u{fc}" });
        for text in [value.to_string(), format!("{value:#}")] {
            let fit = json(&text);
            assert!(fit.chars().all(|c| c == '\n' || !is_unfit(c)), "{fit}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&fit).unwrap(), value);
        }
    }
}

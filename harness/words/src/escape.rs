//! Text of a guest, fit to be shown: nothing in it can steer a terminal, break a line or turn the direction of
//! writing.
//!
//! Registry names, file names, volume labels and whatever else comes from a guest may hold any character. What is
//! put into a line for people goes through [`escaped`]. The forms are chosen for paths of Windows: a backslash is
//! left as it is, and there is no `\n` or `\r`, which would read like the beginning of `\notepad.exe`.

use std::fmt::{self, Display, Write};

/// Shows text with its control and formatting characters escaped: `\x1b`, `\u{202e}`.
pub fn escaped<T: Display>(text: T) -> Escaped<T> {
    Escaped(text)
}

/// What [`escaped`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_none() && f.precision().is_none() {
            return write!(Escaping(f), "{}", self.0);
        }
        let mut shown = String::new();
        write!(Escaping(&mut shown), "{}", self.0)?;
        f.pad(&shown)
    }
}

/// Escapes what is written through it.
struct Escaping<'a, W>(&'a mut W);

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unfit(*c)) {
            self.0.write_str(&rest[..at])?;
            write_escape(self.0, c.into())?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// Writes the escape of a character, or of a UTF-16 unit that is none.
///
/// # Errors
/// Those of `out`.
pub fn write_escape(out: &mut impl Write, code: u32) -> fmt::Result {
    // Two digits only where no name is likely to begin so: `\x86` and `\x64` are folders of Windows.
    if code < 0x20 || code == 0x7f {
        write!(out, "\\x{code:02x}")
    } else {
        write!(out, "\\u{{{code:x}}}")
    }
}

/// Whether a character is escaped: a control character, a line or paragraph separator, or a formatting character
/// (Unicode's general categories Cc, Zl, Zp and Cf).
pub fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_shown() {
        for (text, shown) in [
            (r"C:\Windows\notepad.exe", r"C:\Windows\notepad.exe"),
            ("a\u{1b}[31mb\u{7}", r"a\x1b[31mb\x07"),
            ("two\r\nlines\tand a tab", r"two\x0d\x0alines\x09and a tab"),
            ("nul\0 del\u{7f} csi\u{9b}31m", r"nul\x00 del\x7f csi\u{9b}31m"),
            ("rtl\u{202e}gnp.exe", r"rtl\u{202e}gnp.exe"),
            (
                "zero\u{200b}width\u{feff} \u{2028}\u{2029}",
                r"zero\u{200b}width\u{feff} \u{2028}\u{2029}",
            ),
            ("tag\u{e0041}", r"tag\u{e0041}"),
            ("Grüße, ключ, 日本, 🦀, e\u{301}", "Grüße, ключ, 日本, 🦀, e\u{301}"),
        ] {
            assert_eq!(escaped(text).to_string(), shown);
        }
    }

    #[test]
    fn columns_count_what_is_shown() {
        assert_eq!(format!("{:<8}|", escaped("a\u{7}")), r"a\x07   |");
        assert_eq!(format!("{:.3}|", escaped("a\u{7}")), r"a\x|");
    }

    proptest! {
        #[test]
        fn nothing_that_is_shown_steers_a_terminal(text in any::<String>()) {
            let shown = escaped(&text).to_string();
            prop_assert!(!shown.chars().any(is_unfit), "{shown:?}");
            if !text.contains(is_unfit) {
                prop_assert_eq!(&shown, &text);
            }
        }

        #[test]
        fn what_is_shown_is_not_escaped_again(text in any::<String>()) {
            let shown = escaped(&text).to_string();
            prop_assert_eq!(escaped(&shown).to_string(), shown);
        }
    }
}

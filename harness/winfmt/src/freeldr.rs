//! `freeldr.ini`: the boot configuration of ReactOS, in the place of a BCD store.
//!
//! Sections with `name=value` lines. [`FreeLdr`] keeps the file as it is, comments, order, spaces and
//! line ends, and an edit touches one line. It reads as FreeLoader does (ReactOS,
//! `boot/freeldr/freeldr/lib/inifile/parse.c`): names are the same in any case, the first of two counts,
//! `;` begins a comment, a value is everything behind the first `=`, and a line that is none of these
//! is passed over; [`FreeLdr::problems`] names such lines.

use serde::{Deserialize, Serialize};

/// The file is some hundred bytes; FreeLoader would not have the memory for this much.
const MAX_SIZE: usize = 1 << 20;
const MAX_LINES: usize = 20_000;

/// The file cannot be read or edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FreeLdrError {
    /// Far larger than any such file.
    #[error("freeldr.ini has {size} bytes or too many lines; it is not a boot configuration")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// It holds something else than text.
    #[error(
        "freeldr.ini, line {line}, column {column}: a zero byte; the file is not text, or damaged"
    )]
    NotText {
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
    },
    /// A name or value that the file cannot hold.
    #[error("`{text}` cannot be a {what} in freeldr.ini: it {why}")]
    BadText {
        /// `section's name`, `setting's name` or `value`.
        what: &'static str,
        /// The text.
        text: String,
        /// The rule.
        why: &'static str,
    },
    /// An entry that must exist does not.
    #[error("freeldr.ini has no section [{name}] to start from; it has {known}")]
    NoEntry {
        /// Its name.
        name: String,
        /// The entries that there are.
        known: String,
    },
}

/// A line that FreeLoader passes over, though it is no comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// In bytes, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}

/// Something that can be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Its name, which is that of its section.
    pub name: String,
    /// What the menu calls it.
    pub title: String,
    /// `BootType`, such as `Windows2003`; absent where the section does not say.
    pub boot_type: Option<String>,
    /// `SystemPath`, such as `multi(0)disk(0)rdisk(0)partition(1)\ReactOS`.
    pub system_path: Option<String>,
    /// `Options`, one by one.
    pub options: Vec<String>,
}

/// A boot configuration of ReactOS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeLdr {
    /// Each with its end.
    lines: Vec<Vec<u8>>,
}

/// What a line is. Positions are in bytes.
enum Line<'l> {
    Empty,
    Section(&'l [u8]),
    Setting { name: &'l [u8], value: &'l [u8] },
    Odd { column: usize, what: &'static str },
}

impl FreeLdr {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FreeLdrError::TooLarge`], [`FreeLdrError::NotText`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FreeLdrError> {
        if bytes.len() > MAX_SIZE {
            return Err(FreeLdrError::TooLarge { size: bytes.len() });
        }
        let lines: Vec<Vec<u8>> =
            bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.len() > MAX_LINES {
            return Err(FreeLdrError::TooLarge { size: bytes.len() });
        }
        for (line, text) in lines.iter().enumerate() {
            if let Some(column) = text.iter().position(|&byte| byte == 0) {
                return Err(FreeLdrError::NotText { line: line + 1, column: column + 1 });
            }
        }
        Ok(Self { lines })
    }

    /// The file. Without edits it is the one that was read, byte for byte.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines.concat()
    }

    /// The names of all sections, in order.
    pub fn sections(&self) -> Vec<String> {
        let names = self.lines.iter().filter_map(|line| match classify(line) {
            Line::Section(name) => Some(text(name)),
            _ => None,
        });
        names.collect()
    }

    /// The settings of a section, in order.
    pub fn settings(&self, section: &str) -> Vec<(String, String)> {
        let all = self.body(section).map(|body| &self.lines[body]).unwrap_or_default();
        let settings = all.iter().filter_map(|line| match classify(line) {
            Line::Setting { name, value } => Some((text(name), text(value))),
            _ => None,
        });
        settings.collect()
    }

    /// A setting's value, as it stands behind the `=`.
    pub fn get(&self, section: &str, name: &str) -> Option<String> {
        let mut all = self.settings(section).into_iter();
        all.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Sets a setting, in its line where it is there, else behind the others of its section, which is
    /// made where it is missing.
    ///
    /// # Errors
    /// [`FreeLdrError::BadText`].
    pub fn set(&mut self, section: &str, name: &str, value: &str) -> Result<(), FreeLdrError> {
        check("section's name", section, &['[', ']'])?;
        check("setting's name", name, &['=', '[', ';'])?;
        check("value", value, &[])?;
        let end = self.line_end();
        if let Some(at) = self.find(section, name) {
            let line = &mut self.lines[at];
            let equals = line.iter().position(|&byte| byte == b'=').unwrap_or(line.len());
            // The line's own end stays, also a missing one.
            let tail = line.len() - line_text(line).len();
            let tail = line.split_off(line.len() - tail);
            line.truncate(equals);
            line.push(b'=');
            line.extend(value.as_bytes());
            line.extend(tail);
            return Ok(());
        }
        let setting = [name.as_bytes(), b"=", value.as_bytes(), end].concat();
        let at = match self.body(section) {
            Some(body) => {
                let last = self.lines[body.clone()]
                    .iter()
                    .rposition(|line| matches!(classify(line), Line::Setting { .. }));
                body.start + last.map_or(0, |last| last + 1)
            }
            None => {
                self.end_last_line(end);
                if self.lines.last().is_some_and(|line| !line_text(line).is_empty()) {
                    self.lines.push(end.to_vec());
                }
                self.lines.push([b"[", section.as_bytes(), b"]", end].concat());
                self.lines.len()
            }
        };
        if at == self.lines.len() {
            self.end_last_line(end);
        }
        self.lines.insert(at, setting);
        Ok(())
    }

    /// Deletes a setting, all lines of it. Returns whether it was there.
    pub fn delete(&mut self, section: &str, name: &str) -> bool {
        let mut found = false;
        while let Some(at) = self.find(section, name) {
            self.lines.remove(at);
            found = true;
        }
        found
    }

    /// What the menu offers, in order: the settings of `[Operating Systems]` that have a section.
    pub fn entries(&self) -> Vec<Entry> {
        let listed = self.settings("Operating Systems").into_iter();
        listed.filter_map(|(name, title)| self.entry(&name, &title)).collect()
    }

    /// What is started where nobody chooses: `DefaultOS`, or else the first of the menu.
    pub fn default_entry(&self) -> Option<Entry> {
        let entries = self.entries();
        let named = self.get("FREELOADER", "DefaultOS").map(|name| name.trim().to_owned());
        let default = named
            .and_then(|name| entries.iter().find(|own| own.name.eq_ignore_ascii_case(&name)))
            .or(entries.first());
        default.cloned()
    }

    /// Makes an entry the default.
    ///
    /// # Errors
    /// [`FreeLdrError::NoEntry`].
    pub fn set_default(&mut self, name: &str) -> Result<(), FreeLdrError> {
        let entry = self.required(name)?;
        self.set("FREELOADER", "DefaultOS", &entry.name)
    }

    /// Sets the options of an entry.
    ///
    /// # Errors
    /// [`FreeLdrError::NoEntry`], [`FreeLdrError::BadText`].
    pub fn set_options(&mut self, name: &str, options: &[String]) -> Result<(), FreeLdrError> {
        let entry = self.required(name)?;
        self.set(&entry.name, "Options", &options.join(" "))
    }

    /// Lines that FreeLoader passes over.
    pub fn problems(&self) -> Vec<Problem> {
        let mut inside = false;
        let mut problems = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            let (column, what) = match classify(line) {
                Line::Empty => continue,
                Line::Section(_) => {
                    inside = true;
                    continue;
                }
                Line::Setting { .. } if inside => continue,
                Line::Setting { .. } => (1, "a setting before the first section"),
                Line::Odd { column, what } => {
                    // FreeLoader takes a section's name without its bracket all the same.
                    inside |= what == NO_BRACKET;
                    (column, what)
                }
            };
            problems.push(Problem { line: index + 1, column, what: what.to_owned() });
        }
        problems
    }

    fn entry(&self, name: &str, title: &str) -> Option<Entry> {
        self.body(name)?;
        let options = self.get(name, "Options").unwrap_or_default();
        Some(Entry {
            name: name.to_owned(),
            title: title.trim().trim_matches('"').to_owned(),
            boot_type: self.get(name, "BootType"),
            system_path: self.get(name, "SystemPath"),
            options: options.split_ascii_whitespace().map(str::to_owned).collect(),
        })
    }

    fn required(&self, name: &str) -> Result<Entry, FreeLdrError> {
        let entries = self.entries();
        let found = entries.iter().find(|own| own.name.eq_ignore_ascii_case(name));
        found.cloned().ok_or_else(|| {
            let known: Vec<_> = entries.iter().map(|own| format!("[{}]", own.name)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            FreeLdrError::NoEntry { name: name.to_owned(), known }
        })
    }

    /// The lines under the heading of a section, up to the next one.
    fn body(&self, section: &str) -> Option<std::ops::Range<usize>> {
        let is_section = |line: &Vec<u8>| section_name(line).is_some();
        let wanted = |line: &Vec<u8>| {
            section_name(line).is_some_and(|name| text(name).eq_ignore_ascii_case(section))
        };
        let start = self.lines.iter().position(wanted)? + 1;
        let length = self.lines[start..].iter().position(is_section);
        Some(start..length.map_or(self.lines.len(), |length| start + length))
    }

    fn find(&self, section: &str, name: &str) -> Option<usize> {
        let body = self.body(section)?;
        let found = self.lines[body.clone()].iter().position(|line| match classify(line) {
            Line::Setting { name: own, .. } => text(own).eq_ignore_ascii_case(name),
            _ => false,
        });
        found.map(|at| body.start + at)
    }

    /// How this file ends its lines.
    fn line_end(&self) -> &'static [u8] {
        match self.lines.first() {
            Some(line) if line.ends_with(b"\n") && !line.ends_with(b"\r\n") => b"\n",
            _ => b"\r\n",
        }
    }

    fn end_last_line(&mut self, end: &[u8]) {
        if let Some(last) = self.lines.last_mut().filter(|last| !last.ends_with(b"\n")) {
            last.extend(end);
        }
    }
}

const NO_BRACKET: &str = "a section's name without the `]` behind it";

fn classify(line: &[u8]) -> Line<'_> {
    let all = line_text(line);
    let start = all.iter().position(|byte| !b" \t".contains(byte));
    let Some(start) = start.filter(|&start| all[start] != b';') else { return Line::Empty };
    if all[start] == b'[' {
        return match all[start..].iter().position(|&byte| byte == b']') {
            Some(end) => Line::Section(&all[start + 1..start + end]),
            None => Line::Odd { column: all.len() + 1, what: NO_BRACKET },
        };
    }
    match all[start..].iter().position(|&byte| byte == b'=') {
        Some(equals) => Line::Setting {
            name: all[start..start + equals].trim_ascii_end(),
            value: &all[start + equals + 1..],
        },
        None => {
            Line::Odd { column: start + 1, what: "neither a section, nor a setting, nor a comment" }
        }
    }
}

/// The name of the section that a line begins, in the eyes of FreeLoader, which needs no `]`.
fn section_name(line: &[u8]) -> Option<&[u8]> {
    match classify(line) {
        Line::Section(name) => Some(name),
        Line::Odd { what: NO_BRACKET, .. } => line_text(line).trim_ascii_start().get(1..),
        _ => None,
    }
}

/// A line without its end.
fn line_text(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
    &line[..end]
}

/// The file has the code page of its system; what is not ASCII is only for people.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn check(what: &'static str, given: &str, not: &[char]) -> Result<(), FreeLdrError> {
    let bad =
        |why| Err(FreeLdrError::BadText { what, text: given.escape_debug().to_string(), why });
    if given.contains(['\r', '\n', '\0']) {
        return bad("has a line end or a zero byte in it");
    }
    if what == "value" {
        return Ok(());
    }
    if given.trim().is_empty() || given.trim() != given {
        return bad("is empty, or has spaces around it");
    }
    if given.contains(not) {
        return bad(
            "has one of the characters `[`, `]`, `=`, `;` in it that mean something else there",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the set-up of ReactOS 0.4.15 writes it, shortened, with a comment of a person.
    const INSTALLED: &str = "[FREELOADER]\r\nDefaultOS=ReactOS\r\nTimeOut=10\r\n\r\n[Display]\r\nTitleText=ReactOS Boot Manager\r\nMinimalUI=Yes\r\n\r\n[Operating Systems]\r\nReactOS=\"ReactOS\"\r\nReactOS_Debug=\"ReactOS (Debug)\"\r\nGone=\"No section\"\r\n\r\n; what the lab uses\r\n[ReactOS]\r\nBootType=Windows2003\r\nSystemPath=multi(0)disk(0)rdisk(0)partition(1)\\ReactOS\r\nOptions=/FASTDETECT\r\n\r\n[ReactOS_Debug]\r\nBootType=Windows2003\r\nSystemPath=multi(0)disk(0)rdisk(0)partition(1)\\ReactOS\r\nOptions=/DEBUG /DEBUGPORT=COM1 /BAUDRATE=115200 /SOS\r\n";

    fn installed() -> FreeLdr {
        FreeLdr::parse(INSTALLED.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_started() {
        let file = installed();
        assert_eq!(file.to_bytes(), INSTALLED.as_bytes());
        assert_eq!(file.problems(), []);
        assert_eq!(file.sections().len(), 5);
        let names: Vec<_> = file.entries().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["ReactOS", "ReactOS_Debug"]);
        let default = file.default_entry().unwrap();
        assert_eq!((default.name.as_str(), default.title.as_str()), ("ReactOS", "ReactOS"));
        assert_eq!(default.boot_type.as_deref(), Some("Windows2003"));
        let path = r"multi(0)disk(0)rdisk(0)partition(1)\ReactOS";
        assert_eq!(default.system_path.as_deref(), Some(path));
        assert_eq!(default.options, ["/FASTDETECT"]);
        assert_eq!(file.get("freeloader", "timeout").as_deref(), Some("10"));
        assert_eq!(file.get("freeloader", "nothing"), None);
    }

    #[test]
    fn an_edit_changes_one_line() {
        let mut file = installed();
        file.set_default("reactos_debug").unwrap();
        let expected = INSTALLED.replacen("DefaultOS=ReactOS\r", "DefaultOS=ReactOS_Debug\r", 1);
        assert_eq!(text(&file.to_bytes()), expected);
        let debug = file.default_entry().unwrap();
        assert_eq!(debug.options, ["/DEBUG", "/DEBUGPORT=COM1", "/BAUDRATE=115200", "/SOS"]);
        file.set_default("ReactOS").unwrap();
        assert_eq!(text(&file.to_bytes()), INSTALLED);

        let options = ["/FASTDETECT", "/SAFEBOOT:MINIMAL"].map(str::to_owned);
        file.set_options("ReactOS", &options).unwrap();
        assert_eq!(file.default_entry().unwrap().options, options);
        file.set_options("ReactOS", &options[..1]).unwrap();
        assert_eq!(text(&file.to_bytes()), INSTALLED);
        assert!(file.delete("ReactOS", "OPTIONS"));
        assert!(!file.delete("ReactOS", "OPTIONS"));
        assert_eq!(text(&file.to_bytes()), INSTALLED.replacen("Options=/FASTDETECT\r\n", "", 1));
        // It comes behind the section's other settings, before the empty line.
        file.set("ReactOS", "Options", "/FASTDETECT").unwrap();
        assert_eq!(text(&file.to_bytes()), INSTALLED);

        file.set("New", "a", "b").unwrap();
        assert_eq!(text(&file.to_bytes()), format!("{INSTALLED}\r\n[New]\r\na=b\r\n"));
        let error = file.set_default("Windows").unwrap_err().to_string();
        assert!(error.contains("[ReactOS], [ReactOS_Debug]"), "{error}");
    }

    #[test]
    fn other_line_ends_and_doubles() {
        let mut file =
            FreeLdr::parse(b"[A]\n x = 1 \n  ; c\nx=2\n[a]\ny=3\n[Operating Systems]\nA=t")
                .unwrap();
        // The value is all that is behind the `=`; the first counts, of settings and of sections.
        assert_eq!(file.get("a", "X").as_deref(), Some(" 1 "));
        assert_eq!(file.get("A", "y"), None);
        assert_eq!(file.default_entry().unwrap().name, "A");
        file.set("a", "x", "5").unwrap();
        file.set("Operating Systems", "B", "u").unwrap();
        assert_eq!(
            text(&file.to_bytes()),
            "[A]\n x =5\n  ; c\nx=2\n[a]\ny=3\n[Operating Systems]\nA=t\nB=u\n"
        );
        assert!(file.delete("A", "x"));
        assert_eq!(file.get("A", "x"), None);
        let mut empty = FreeLdr::parse(b"").unwrap();
        assert_eq!(empty.default_entry(), None);
        empty.set("FREELOADER", "TimeOut", "0").unwrap();
        assert_eq!(text(&empty.to_bytes()), "[FREELOADER]\r\nTimeOut=0\r\n");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let file = FreeLdr::parse(b"early=1\r\n[S\r\nx=1\r\n  nonsense\r\n").unwrap();
        let problems: Vec<_> = file.problems().iter().map(|own| (own.line, own.column)).collect();
        assert_eq!(problems, [(1, 1), (2, 3), (4, 3)]);
        assert_eq!(file.get("S", "x").as_deref(), Some("1"), "as FreeLoader takes it");
        let error = FreeLdr::parse(b"[S]\nab\0").unwrap_err();
        assert_eq!(error, FreeLdrError::NotText { line: 2, column: 3 });
        let large = vec![b'x'; MAX_SIZE + 1];
        assert!(matches!(FreeLdr::parse(&large), Err(FreeLdrError::TooLarge { .. })));
        let mut file = installed();
        for (section, name, value) in [
            ("a]", "b", "c"),
            ("a", "b=", "c"),
            ("a", "b", "c\r\nd=e"),
            ("", "b", "c"),
            ("a", " b", "c"),
        ] {
            let error = file.set(section, name, value).unwrap_err();
            assert!(error.to_string().contains("cannot be a"), "{error}");
        }
        assert_eq!(file.to_bytes(), INSTALLED.as_bytes());
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_takes_a_setting(
            lines in prop::collection::vec("[ \\t]{0,2}(\\[[a-c]?\\]?|[a-c] ?=[ a-c]{0,2}|;x|[a-c]|)\\r?\\n?", 0..12),
            section in "[a-c]", name in "[a-c]", value in "[ -~]{0,6}",
        ) {
            let source = lines.concat();
            let mut file = FreeLdr::parse(source.as_bytes()).unwrap();
            prop_assert_eq!(file.to_bytes(), source.as_bytes());
            let before: Vec<_> = file.sections().iter().map(|own| file.settings(own)).collect();
            file.set(&section, &name, &value).unwrap();
            prop_assert_eq!(file.get(&section, &name), Some(value));
            let again = FreeLdr::parse(&file.to_bytes()).unwrap();
            prop_assert_eq!(&again, &file);
            let after: usize = file.sections().iter().map(|own| file.settings(own).len()).sum();
            let before: usize = before.iter().map(Vec::len).sum();
            prop_assert!(after >= before);
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(mut file) = FreeLdr::parse(&bytes) {
                prop_assert_eq!(file.to_bytes(), bytes);
                let _ = (file.default_entry(), file.problems());
                file.set("a", "b", "c").unwrap();
                prop_assert_eq!(file.get("a", "b"), Some("c".to_owned()));
            }
        }
    }
}

//! Setup information files (INF): what a driver package says about how it is installed.
//!
//! The part of the language that matters offline: sections, entries with lists of values, quotes, line
//! continuation, `%strings%` (Microsoft: "General syntax rules for INF files"). `install` makes changes
//! of an install section. Parsing is bounded in bytes, lines and values.

mod install;
mod target;

use std::collections::BTreeMap;

use scenario::Arch;
use winfmt::escaped;

pub use install::{Installation, Target, edits, installation};

const MOST_BYTES: usize = 1 << 20;
const MOST_LINES: usize = 20_000;
const MOST_VALUES: usize = 1 << 16;

/// Why an INF cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{column}: {}; {}", escaped(file), escaped(what), escaped(fix))]
pub struct InfError {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// A place in the text, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
}

/// One value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its text, without quotes, with its `%strings%` replaced.
    pub text: String,
    /// Where it begins.
    pub place: Place,
}

/// One line of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is left of `=`, if there is one.
    pub key: Option<Value>,
    /// The values, separated by commas.
    pub values: Vec<Value>,
    /// Where the line begins.
    pub place: Place,
}

/// A parsed INF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inf {
    file: String,
    /// Made of its text.
    digits: u64,
    /// Entries by the section's name in lower case. A section that is written twice is one.
    sections: BTreeMap<String, Vec<Entry>>,
}

impl Inf {
    /// Reads an INF. `file` is its name, for messages. The text is UTF-8, or UTF-16 with a byte order
    /// mark; other bytes are taken for Latin-1, as old files are.
    ///
    /// # Errors
    /// It is too large, or a line cannot be read.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, InfError> {
        let mut inf = Self { file: file.to_owned(), digits: 0, sections: BTreeMap::new() };
        let start = Place { line: 1, column: 1 };
        if bytes.len() > MOST_BYTES {
            let what = format!("the file has {} bytes, more than 1 MiB", bytes.len());
            return Err(inf.error(start, what, "take out what is not needed"));
        }
        let text = decode(bytes);
        let hash = blake3::hash(text.as_bytes());
        inf.digits = hash.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > MOST_LINES {
            let what = format!("the file has {} lines, more than {MOST_LINES}", lines.len());
            return Err(inf.error(start, what, "take out what is not needed"));
        }
        let mut section: Option<String> = None;
        let mut at = 0;
        while at < lines.len() {
            let first = at;
            let mut characters = characters(lines[at], at + 1);
            // A line that ends in `\` goes on in the next one.
            while ends_in_continuation(&mut characters) && at + 1 < lines.len() {
                at += 1;
                characters.extend(self::characters(lines[at], at + 1));
            }
            at += 1;
            // What stands before the first section is not read: many files begin with a comment of another language.
            let begins = characters.iter().find(|(c, _)| !c.is_whitespace());
            if section.is_none() && begins.is_none_or(|(c, _)| *c != '[') {
                continue;
            }
            let line = Line { inf: &inf, characters, at: 0, begins: first + 1 };
            match line.read()? {
                Read::Nothing => {}
                Read::Section(name) => {
                    let name = name.to_lowercase();
                    inf.sections.entry(name.clone()).or_default();
                    section = Some(name);
                }
                Read::Entry(entry) => {
                    let section = section.clone().unwrap_or_default();
                    inf.sections.entry(section).or_default().push(entry);
                }
            }
        }
        inf.replace_strings()?;
        Ok(inf)
    }

    /// Its own name, without folders.
    pub fn file_name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or_default()
    }

    /// The folder of its package in the driver store. How Windows makes the last sixteen digits is not documented; here
    /// they are made of its text, so that each version of a package has its own.
    pub fn store_folder(&self, arch: Arch) -> String {
        let arch = match arch {
            Arch::X86_64 => "amd64",
            Arch::X86 => "x86",
        };
        format!("{}_{arch}_{:016x}", self.file_name().to_lowercase(), self.digits)
    }

    /// The entries of a section; upper and lower case are the same.
    pub fn section(&self, name: &str) -> Option<&[Entry]> {
        self.sections.get(&name.to_lowercase()).map(Vec::as_slice)
    }

    /// The names of all sections, in lower case.
    pub fn section_names(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    /// The entries of a section with this key.
    fn entries<'i>(&'i self, section: &str, key: &'i str) -> impl Iterator<Item = &'i Entry> {
        self.section(section).unwrap_or_default().iter().filter(move |entry| {
            entry.key.as_ref().is_some_and(|found| found.text.eq_ignore_ascii_case(key))
        })
    }

    /// The first value under this key.
    fn value<'i>(&'i self, section: &str, key: &'i str) -> Option<&'i Value> {
        self.entries(section, key).next().and_then(|entry| entry.values.first())
    }

    fn error(&self, place: Place, what: String, fix: &str) -> InfError {
        InfError {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            what,
            fix: fix.to_owned(),
        }
    }

    /// Replaces `%name%` by the entry of [Strings], except where a directory's number stands; `%%` is a
    /// percent sign.
    fn replace_strings(&mut self) -> Result<(), InfError> {
        let strings: BTreeMap<String, String> = self
            .sections
            .get("strings")
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let key = entry.key.as_ref()?.text.to_lowercase();
                Some((key, entry.values.first().map_or(String::new(), |value| value.text.clone())))
            })
            .collect();
        let file = self.file.clone();
        for (name, entries) in &mut self.sections {
            if name.starts_with("strings") {
                continue;
            }
            let values =
                entries.iter_mut().flat_map(|entry| entry.key.iter_mut().chain(&mut entry.values));
            for value in values {
                value.text = replaced(&value.text, &strings).map_err(|token| InfError {
                    file: file.clone(),
                    line: value.place.line,
                    column: value.place.column,
                    what: format!("there is no string `{token}`"),
                    fix: format!("add `{token} = \"…\"` to [Strings]"),
                })?;
            }
        }
        Ok(())
    }
}

/// The text with its strings replaced, or the string that there is not.
fn replaced(text: &str, strings: &BTreeMap<String, String>) -> Result<String, String> {
    let mut parts = text.split('%');
    let mut result = parts.next().unwrap_or_default().to_owned();
    while let Some(token) = parts.next() {
        let Some(after) = parts.next() else {
            // A single percent sign.
            result.push('%');
            result.push_str(token);
            break;
        };
        if token.is_empty() {
            result.push('%');
        } else if token.parse::<i32>().is_ok() {
            result.push_str(&format!("%{token}%"));
        } else {
            result.push_str(strings.get(&token.to_lowercase()).ok_or_else(|| token.to_owned())?);
        }
        result.push_str(after);
    }
    Ok(result)
}

fn decode(bytes: &[u8]) -> String {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => decode(rest),
        bytes => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        },
    }
}

type Characters = Vec<(char, Place)>;

fn characters(line: &str, number: usize) -> Characters {
    line.chars()
        .enumerate()
        .map(|(index, c)| (c, Place { line: number, column: index + 1 }))
        .collect()
}

/// Takes the `\` off that ends a line outside quotes and comments.
fn ends_in_continuation(characters: &mut Characters) -> bool {
    let mut quoted = false;
    let mut last = None;
    for (index, (c, _)) in characters.iter().enumerate() {
        match c {
            '"' => quoted = !quoted,
            ';' if !quoted => return false,
            _ => {}
        }
        if !c.is_whitespace() {
            last = Some((index, *c));
        }
    }
    match last {
        Some((index, '\\')) if !quoted => {
            characters.truncate(index);
            true
        }
        _ => false,
    }
}

enum Read {
    Nothing,
    Section(String),
    Entry(Entry),
}

struct Line<'i> {
    inf: &'i Inf,
    characters: Characters,
    at: usize,
    begins: usize,
}

impl Line<'_> {
    fn read(mut self) -> Result<Read, InfError> {
        self.skip_blanks();
        let place = self.place();
        match self.peek() {
            None => return Ok(Read::Nothing),
            Some('[') => {
                let rest: String = self.characters[self.at + 1..].iter().map(|(c, _)| c).collect();
                let Some((name, _)) = rest.split_once(']') else {
                    return Err(self.inf.error(
                        place,
                        "a section's name has no end".to_owned(),
                        "close it with `]`",
                    ));
                };
                return Ok(Read::Section(name.trim().trim_matches('"').to_owned()));
            }
            Some(_) => {}
        }
        let first = self.value()?;
        let mut entry = Entry { key: None, values: Vec::new(), place };
        if self.peek() == Some('=') {
            self.at += 1;
            entry.key = Some(first);
            self.skip_blanks();
            if self.peek().is_none() {
                return Ok(Read::Entry(entry));
            }
            entry.values.push(self.value()?);
        } else {
            entry.values.push(first);
        }
        while self.peek() == Some(',') {
            self.at += 1;
            entry.values.push(self.value()?);
            if entry.values.len() > MOST_VALUES {
                return Err(self.inf.error(
                    place,
                    format!("more than {MOST_VALUES} values"),
                    "split the line into several",
                ));
            }
        }
        match self.peek() {
            None => Ok(Read::Entry(entry)),
            Some(found) => Err(self.inf.error(
                self.place(),
                format!("`{found}` where a comma or the end of the line was expected"),
                "separate values by commas, and put a text that holds `=` into quotes",
            )),
        }
    }

    fn place(&self) -> Place {
        let last = self.characters.last().map(|(_, place)| *place);
        match (self.characters.get(self.at), last) {
            (Some((_, place)), _) => *place,
            (None, Some(last)) => Place { line: last.line, column: last.column + 1 },
            (None, None) => Place { line: self.begins, column: 1 },
        }
    }

    /// The next character; a comment ends the line.
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).map(|(c, _)| *c).filter(|c| *c != ';')
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// A value up to a comma, an equals sign or the end.
    fn value(&mut self) -> Result<Value, InfError> {
        self.skip_blanks();
        let place = self.place();
        let mut text = String::new();
        // How much of the text is from quotes, where blanks at the end count.
        let mut fixed = 0;
        while let Some(c) = self.peek() {
            match c {
                ',' | '=' => break,
                '"' => {
                    self.quoted(&mut text);
                    fixed = text.len();
                }
                c => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
        let end = text.trim_end().len().max(fixed);
        text.truncate(end);
        Ok(Value { text, place })
    }

    fn quoted(&mut self, text: &mut String) {
        self.at += 1;
        loop {
            match self.characters.get(self.at).map(|(c, _)| *c) {
                Some('"') if self.characters.get(self.at + 1).is_some_and(|(c, _)| *c == '"') => {
                    text.push('"');
                    self.at += 2;
                }
                Some('"') => {
                    self.at += 1;
                    return;
                }
                Some(c) => {
                    text.push(c);
                    self.at += 1;
                }
                // A lone quote holds to the end of its line.
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;

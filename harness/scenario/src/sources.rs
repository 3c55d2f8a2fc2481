//! The texts that a scenario is made of: its own file, and those that it extends.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use crate::problem::{Problem, ScenarioError};

/// The key that names the file which is extended.
pub(crate) const EXTENDS: &str = "extends";
/// Longer chains are taken for a circle.
const MOST_FILES: usize = 8;

/// All texts of a scenario. Their places follow one another, so that a place by itself tells its file.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    /// The file's text, with as many spaces before it as there are places before its own.
    text: String,
    start: usize,
}

impl Sources {
    /// Reads a file and what it extends, the file itself first.
    ///
    /// # Errors
    /// A file cannot be read or is no TOML, or one of them extends itself.
    pub(crate) fn read(path: &Path) -> Result<Self, ScenarioError> {
        let mut sources = Self::default();
        let mut next = Some(path.to_owned());
        while let Some(path) = next.take() {
            let text = fs_err::read_to_string(&path)
                .map_err(|source| ScenarioError::Read { path: path.clone(), source })?;
            sources.push(path, &text);
            let invalid = |problems| ScenarioError::Invalid { problems };
            next = sources.extended_by_last().map_err(invalid)?;
        }
        Ok(sources)
    }

    /// True where one file extends another.
    pub(crate) fn are_several(&self) -> bool {
        self.files.len() > 1
    }

    pub(crate) fn push(&mut self, path: PathBuf, text: &str) {
        let start = self.files.last().map_or(0, |last| last.text.len() + 1);
        self.files.push(Source { path, text: " ".repeat(start) + text, start });
    }

    /// The file that the last one extends.
    fn extended_by_last(&self) -> Result<Option<PathBuf>, Vec<Problem>> {
        let Some(last) = self.files.last() else { return Ok(None) };
        let document = DeTable::parse(&last.text).map_err(|error| vec![self.syntax(&error)])?;
        let Some(value) = document.get_ref().get(EXTENDS) else { return Ok(None) };
        let Some(name) = value.get_ref().as_str().filter(|name| !name.is_empty()) else {
            return Err(vec![self.problem(
                value.span(),
                "`extends` is not a name of a file or folder",
                "a path from the folder of this file, with `/`",
                "write a path such as \"../base/sensor.toml\"",
            )]);
        };
        let folder = last.path.parent().unwrap_or(Path::new("."));
        let path = file_of(&folder.join(name));
        if !path.is_file() {
            return Err(vec![self.problem(
                value.span(),
                format!("there is no `{name}` to extend"),
                format!("a file, or a folder with a `scenario.toml`, from {}", folder.display()),
                "put it there, or correct the path",
            )]);
        }
        if self.files.len() == MOST_FILES {
            return Err(vec![self.problem(
                value.span(),
                format!("this file is one that extends another, {MOST_FILES} in all"),
                "a chain that ends",
                "look for files that extend each other",
            )]);
        }
        Ok(Some(path))
    }

    /// Each file as a document, in the order of reading. A place in one is a place in all of them.
    pub(crate) fn documents(&self) -> Result<Vec<Spanned<DeTable<'_>>>, Vec<Problem>> {
        self.files
            .iter()
            .map(|file| DeTable::parse(&file.text).map_err(|error| vec![self.syntax(&error)]))
            .collect()
    }

    pub(crate) fn syntax(&self, error: &toml::de::Error) -> Problem {
        let fix = "correct the line; texts need quotes, Windows paths single ones";
        let place = error.span().unwrap_or(0..0);
        self.problem(place, error.message(), "TOML (https://toml.io)", fix)
    }

    /// A problem at this place.
    pub(crate) fn problem(
        &self,
        place: Range<usize>,
        what: impl Into<String>,
        expected: impl Into<String>,
        fix: impl Into<String>,
    ) -> Problem {
        let (path, source, span) = self.locate(&place);
        let before = &source[..span.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Problem {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: source[line_start..span.start].chars().count() + 1,
            text: source[line_start..].lines().next().unwrap_or_default().to_owned(),
            meant: source[span].to_owned(),
            what: what.into(),
            expected: expected.into(),
            fix: fix.into(),
            place: place.start,
        }
    }

    /// The file that holds a place, its text, and the place within it.
    fn locate(&self, place: &Range<usize>) -> (&Path, &str, Range<usize>) {
        let file = self.files.iter().rev().find(|file| file.start <= place.start);
        let Some(file) = file.or(self.files.first()) else { return (Path::new(""), "", 0..0) };
        let text = &file.text[file.start..];
        let inside = |at: usize| floor_char(text, at.saturating_sub(file.start));
        let start = inside(place.start);
        (&file.path, text, start..inside(place.end).max(start))
    }
}

/// The scenario file that is meant by a path to it or to its folder.
pub(crate) fn file_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("scenario.toml") } else { path.to_owned() }
}

fn floor_char(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

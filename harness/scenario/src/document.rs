//! A file of TOML that is no scenario, held against the schema of its type as scenarios are: unknown keys, wrong types and
//! words come with line, column and what to do.

use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use toml::de::DeTable;

use crate::place::{Step, place_of};
use crate::problem::{Problem, ScenarioError};
use crate::shape;
use crate::sources::Sources;

/// The text of such a file.
#[derive(Debug)]
pub(crate) struct Document {
    sources: Sources,
    text: String,
}

impl Document {
    /// Takes the text of the file at `path`.
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        let mut sources = Sources::default();
        sources.push(path.to_owned(), text);
        Self { sources, text: text.to_owned() }
    }

    /// Makes a value of it. `whole` is what the file is called in messages: `the settings`.
    ///
    /// # Errors
    /// Everything that is wrong with its shape.
    pub(crate) fn parse<T: JsonSchema + DeserializeOwned>(
        &self,
        whole: &str,
    ) -> Result<T, ScenarioError> {
        let invalid = |problems| ScenarioError::Invalid { problems };
        let syntax = |error: &toml::de::Error| invalid(vec![self.sources.syntax(error)]);
        let document = DeTable::parse(&self.text).map_err(|error| syntax(&error))?;
        let generator = SchemaSettings::draft2020_12().into_generator();
        let schema = generator.into_root_schema_for::<T>().to_value();
        let problems = shape::check(&self.sources, &document, &schema, whole);
        if !problems.is_empty() {
            return Err(invalid(problems));
        }
        T::deserialize(toml::de::Deserializer::from(document)).map_err(|error| syntax(&error))
    }

    /// A problem with what is written there; of what was parsed, and so is TOML.
    pub(crate) fn problem(
        &self,
        steps: &[Step<'_>],
        what: impl Into<String>,
        expected: &str,
        fix: &str,
    ) -> Problem {
        let place = DeTable::parse(&self.text).map_or(0..0, |it| place_of(&it, steps));
        self.sources.problem(place, what, expected, fix)
    }
}

/// Makes a value of a text of TOML. `path` is the file that it is of, `whole` what that is called in messages:
/// `the settings`.
///
/// # Errors
/// Everything that is wrong with its shape, each with its place and what to do.
pub fn parse_document<T: JsonSchema + DeserializeOwned>(
    path: &Path,
    text: &str,
    whole: &str,
) -> Result<T, ScenarioError> {
    Document::new(path, text).parse(whole)
}

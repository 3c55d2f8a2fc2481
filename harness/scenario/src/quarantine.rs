//! Quarantine: scenarios whose failures are known for a while, written down in `quarantine.toml` in the scenarios folder.
//!
//! A failure of such a scenario is shown and does not fail the command. So that nothing is forgotten there, each entry
//! has a reason, a tracker and a day on which it expires; one that has expired, or that is about no scenario, is an error.

use std::path::Path;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::filter::{Filter, Recorded};
use crate::model::Scenario;
use crate::place::Step;
use crate::problem::{Problem, ScenarioError};

/// Its name in the folder of the scenarios.
pub const QUARANTINE_FILE: &str = "quarantine.toml";
/// The list in it.
const LIST: &str = "quarantine";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Version of this format.
    #[schemars(range(min = 1, max = 1))]
    #[serde(rename = "format")]
    _format: u32,
    /// Scenarios whose failures are known.
    #[serde(default)]
    quarantine: Vec<QuarantineEntry>,
}

/// Why failures of some scenarios do not count, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuarantineEntry {
    /// A filter that chooses the scenarios, such as `name(kb5009624/host-repair)`.
    #[schemars(length(min = 1))]
    pub scenario: String,
    /// Why they fail.
    #[schemars(length(min = 1))]
    pub reason: String,
    /// Where it is worked on: the address of an issue.
    #[schemars(length(min = 1))]
    pub tracker: String,
    /// The first day, in UTC, on which the entry no longer holds.
    pub expires: Date,
}

/// What stands in quarantine.
#[derive(Debug)]
pub struct Quarantine {
    document: Document,
    entries: Vec<(QuarantineEntry, Filter)>,
}

impl Quarantine {
    /// Reads `quarantine.toml` in the folder of the scenarios; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or says something that cannot be.
    pub fn read(folder: &Path) -> Result<Option<Self>, ScenarioError> {
        let path = folder.join(QUARANTINE_FILE);
        match fs_err::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ScenarioError::File { path, source }),
        }
    }

    /// Understands the text of the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ScenarioError> {
        let document = Document::new(path, text);
        let Written { quarantine, .. } = document.parse("the quarantine")?;
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        for (index, entry) in quarantine.into_iter().enumerate() {
            let mut wrong = |key, what: String, expected, fix| {
                let at = [Step::Key(LIST), Step::Index(index), Step::Key(key)];
                problems.push(document.problem(&at, what, expected, fix));
            };
            let address = entry.tracker.split_once("://");
            if !address.is_some_and(|(scheme, rest)| {
                matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.contains(' ')
            }) {
                let what = format!("`{}` is not the address of a tracker", entry.tracker);
                wrong("tracker", what, "an address", "write it as \"https://…\"");
            }
            match entry.scenario.parse::<Filter>() {
                Ok(filter) if filter.asks_for_records() => wrong(
                    "scenario",
                    "what is in quarantine cannot depend on recorded runs".to_owned(),
                    "a filter without `failed()` and `slow()`",
                    "name the scenarios, as \"name(kb5009624/host-repair)\"",
                ),
                Ok(filter) => entries.push((entry, filter)),
                Err(error) => wrong(
                    "scenario",
                    format!("this filter cannot be understood: {}", error.what),
                    "a filter",
                    "write one such as \"name(kb5009624/host-repair)\"",
                ),
            }
        }
        if problems.is_empty() {
            Ok(Self { document, entries })
        } else {
            Err(ScenarioError::Invalid { problems })
        }
    }

    /// Finds entries that have expired on the day `today`, or that none of `all` scenarios is meant by.
    ///
    /// # Errors
    /// There are such; each with its place.
    pub fn check<'a>(
        &self,
        all: impl Iterator<Item = &'a Scenario> + Clone,
        today: Date,
    ) -> Result<(), ScenarioError> {
        let mut problems: Vec<Problem> = Vec::new();
        for (index, (entry, filter)) in self.entries.iter().enumerate() {
            let at = |key| [Step::Key(LIST), Step::Index(index), Step::Key(key)];
            // On which image is for a later run to say.
            if !all.clone().any(|scenario| filter.may_match(scenario)) {
                problems.push(self.document.problem(
                    &at("scenario"),
                    "no scenario is meant by this entry of the quarantine",
                    "a filter that chooses at least one scenario",
                    "correct it, or remove the entry",
                ));
            }
            if entry.expires <= today {
                problems.push(self.document.problem(
                    &at("expires"),
                    format!("this entry of the quarantine has expired: today is {today}"),
                    "a day in the future",
                    "remove the entry if the scenario is mended, or give it a new day",
                ));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ScenarioError::Invalid { problems }) }
    }

    /// The first entry that is about a scenario.
    pub fn of(&self, scenario: &Scenario) -> Option<&QuarantineEntry> {
        let matching =
            self.entries.iter().find(|(_, filter)| filter.matches(scenario, Recorded::default()));
        matching.map(|(entry, _)| entry)
    }
}

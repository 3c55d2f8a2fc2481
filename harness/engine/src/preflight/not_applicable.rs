//! What is said where an image lacks what a scenario needs.

use std::fmt;

use inspect::CheckName;
use report::{ImageSummary, SUMMARY_FORMAT};
use serde::Serialize;
use winfmt::escaped;
use words::ImageLine;

use crate::runs::ExitStatus;

/// One thing that an image lacks for a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lack {
    /// What, in one word: a check of the qualification, or `architecture`, `signatures`, `time-scale` and so on.
    pub need: String,
    /// Why the scenario cannot be run without it, or what was found of it.
    pub why: String,
    /// What a person does about it, where something can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The check that did not pass.
    #[serde(skip)]
    pub(crate) check: Option<CheckName>,
    /// `image qualify --fix` can put it right.
    #[serde(skip)]
    pub(crate) fixable: bool,
}

impl Lack {
    pub(crate) fn new(need: &str, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (why, remedy) = (why.into(), Some(remedy.into()));
        Self { need: need.to_owned(), why, remedy, check: None, fixable: false }
    }
}

/// The document of `run --json` for a scenario that was not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotApplicableSummary<'a> {
    /// [`SUMMARY_FORMAT`], as of the summary of a run.
    pub format: u32,
    /// The scenario's name.
    pub scenario: &'a str,
    /// What it would have run on.
    pub image: ImageSummary,
    /// `not-applicable`.
    pub verdict: &'static str,
    /// Why, in one line.
    pub because: String,
    /// What the image lacks.
    pub lacks: &'a [Lack],
    /// With which the command ends on its account.
    pub exit_code: u8,
}

/// A scenario that cannot be run on an image, and everything that the image lacks for it. Nothing was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplicable {
    /// The scenario's name.
    pub scenario: String,
    /// The image's name.
    pub image: String,
    /// The image's line.
    pub image_line: ImageLine,
    /// True where the image is a model and not Windows.
    pub image_is_model: bool,
    /// What it lacks: at least one thing.
    pub lacks: Vec<Lack>,
}

impl NotApplicable {
    /// The verdict.
    pub const VERDICT: &'static str = "not-applicable";

    /// For programs.
    pub fn summary(&self, exit: ExitStatus) -> NotApplicableSummary<'_> {
        NotApplicableSummary {
            format: SUMMARY_FORMAT,
            scenario: &self.scenario,
            image: ImageSummary {
                name: self.image.clone(),
                line: Some(self.image_line.clone()),
                is_model: self.image_is_model,
            },
            verdict: Self::VERDICT,
            because: self.because(),
            lacks: &self.lacks,
            exit_code: exit as u8,
        }
    }

    /// What the image lacks, in one line.
    pub fn because(&self) -> String {
        let needs: Vec<&str> = self.lacks.iter().map(|lack| lack.need.as_str()).collect();
        format!("image `{}` lacks {}", self.image, needs.join(", "))
    }
}

impl fmt::Display for NotApplicable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { image, lacks, .. } = self;
        write!(f, "image `{image}` lacks what the scenario needs; nothing was started")?;
        for Lack { need, why, remedy, .. } in lacks {
            write!(f, "\n  {need}: {}", escaped(why))?;
            if let Some(remedy) = remedy {
                write!(f, "\n    to do: {}", escaped(remedy))?;
            }
        }
        if lacks.iter().any(|lack| lack.fixable) {
            write!(
                f,
                "\n  `loopbreak image qualify {image} --fix` makes a new image with what can be fixed"
            )?;
        }
        let checks: Vec<String> =
            lacks.iter().filter_map(|lack| lack.check).map(|name| format!("\"{name}\"")).collect();
        if !checks.is_empty() {
            let checks = checks.join(", ");
            write!(
                f,
                "\n  if the scenario is about just this, write `lacks = [{checks}]` in `[machine]`"
            )?;
        }
        Ok(())
    }
}

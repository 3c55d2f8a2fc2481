//! One scenario on one image as a pipeline sees it: did it stand, and if not, why, in words.

use std::path::PathBuf;

use timeline::{Derived, Verdict};

use crate::json::Summary;
use crate::style::Style;
use crate::terminal::render_timeline;
use crate::text::{self, GUEST_TEXT, clean};

/// One line of a report.
#[derive(Debug, Clone)]
pub struct Case {
    /// The scenario, or `scenario/variant`.
    pub scenario: String,
    /// The image.
    pub image: String,
    /// The scenario's file and the line (from 1) of what it expects, where they are known.
    pub place: Option<(PathBuf, u32)>,
    /// What came of it.
    pub came: Came,
}

/// What came of a scenario.
#[derive(Debug, Clone)]
pub enum Came {
    /// It ran to an outcome.
    Ran(Box<Ran>),
    /// The image lacks what the scenario needs: why.
    NotApplicable(String),
    /// It came to no outcome: why, and the exit code that it means.
    Failed {
        /// Why.
        error: String,
        /// 2: nothing was run; 3: the harness or the host failed.
        exit_code: u8,
    },
}

/// A run with its outcome.
#[derive(Debug, Clone)]
pub struct Ran {
    /// For programs.
    pub summary: Summary,
    /// What its events came to.
    pub derived: Derived,
    /// The outcome against the reference as a unified diff, where they differ.
    pub diff: Option<String>,
    /// What the display showed where it matters.
    pub pictures: Vec<Picture>,
}

/// A frame of the display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What it shows, for people: `stop screen`.
    pub title: String,
    /// The boot in which it was taken.
    pub boot: u32,
    /// Where it lies; absolute.
    pub path: PathBuf,
    /// The file, a PNG.
    pub png: Vec<u8>,
}

/// How a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// As expected.
    Passed,
    /// Nothing was run, because the image cannot take it.
    Skipped,
    /// The outcome differs from its reference, or an expectation was not met.
    Failed,
    /// The harness, the host or the input: says nothing about the product.
    Broken,
}

impl Case {
    /// How it stands.
    pub fn standing(&self) -> Standing {
        match &self.came {
            Came::Ran(ran) => match ran.summary.exit_code {
                0 => Standing::Passed,
                1 => Standing::Failed,
                _ => Standing::Broken,
            },
            Came::NotApplicable(_) => Standing::Skipped,
            Came::Failed { .. } => Standing::Broken,
        }
    }

    /// The run, where it ran.
    pub(crate) fn ran(&self) -> Option<&Ran> {
        match &self.came {
            Came::Ran(ran) => Some(ran),
            _ => None,
        }
    }

    /// The run's summary, where it ran.
    pub(crate) fn summary(&self) -> Option<&Summary> {
        Some(&self.ran()?.summary)
    }

    /// The timeline as text, without colours. Empty where nothing ran.
    pub(crate) fn page(&self) -> String {
        let page = |ran: &Ran| render_timeline(&ran.derived, None, Style::plain());
        self.ran().map(page).unwrap_or_default()
    }

    /// The verdict as a word, or what stands in its place.
    pub(crate) fn verdict(&self) -> String {
        match &self.came {
            Came::Ran(ran) => match ran.summary.brought_back_by {
                Some(layer) => format!("{} by {layer}", ran.summary.verdict),
                None => ran.summary.verdict.to_string(),
            },
            Came::NotApplicable(_) => "not-applicable".to_owned(),
            Came::Failed { .. } => "no outcome".to_owned(),
        }
    }

    /// Why it does not stand, the weightiest first; each a line of plain text. Empty where it passed.
    pub fn reasons(&self) -> Vec<String> {
        let summary = match &self.came {
            Came::NotApplicable(reason) => return vec![clean(reason, 4 * GUEST_TEXT)],
            Came::Failed { error, .. } => {
                return error.lines().map(|line| clean(line, 8 * GUEST_TEXT)).collect();
            }
            Came::Ran(ran) => &ran.summary,
        };
        let mut reasons = Vec::new();
        if summary.verdict == Verdict::Infrastructure {
            reasons.push(clean(&summary.because, 4 * GUEST_TEXT));
        } else {
            let unmet = summary.expectation.unmet.iter();
            reasons.extend(unmet.map(|unmet| clean(&unmet.to_string(), 4 * GUEST_TEXT)));
        }
        if let Some(comparison) = &summary.comparison {
            match comparison.result.as_str() {
                "different" if comparison.changes.is_empty() => {
                    reasons.push("the outcome differs from its reference".to_owned());
                }
                "different" => reasons.extend(comparison.changes.iter().cloned()),
                "missing" => reasons.push(format!(
                    "there is no reference yet; look at the outcome, then accept it: loopbreak accept {}",
                    summary.run
                )),
                _ => {}
            }
        }
        if summary.exit_code == 4 {
            reasons.push(
                "the run left something behind; `loopbreak clean` lists and removes it".to_owned(),
            );
        }
        reasons
    }

    /// What to type to see it again.
    pub(crate) fn again(&self) -> String {
        clean(&format!("loopbreak run {} --image {}", self.scenario, self.image), 4 * GUEST_TEXT)
    }

    /// `3 boots, 0x50 PAGE_FAULT_IN_NONPAGED_AREA in csagent.sys`; `None` where nothing ran.
    pub(crate) fn course(&self) -> Option<String> {
        let summary = self.summary()?;
        let boots = match summary.boots.len() {
            1 => "1 boot".to_owned(),
            count => format!("{count} boots"),
        };
        let stop = summary.boots.iter().rev().find_map(|boot| boot.stop.as_ref());
        Some(match stop {
            None => boots,
            Some(stop) => {
                let (code, module) = (stop.code, stop.module.clone());
                let stop = text::stop(&timeline::Signature { code, module, access: None });
                format!("{boots}, {stop}")
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod examples {
    use std::path::Path;

    use super::*;
    use crate::json::{ComparisonSummary, RunIdentity, summary};

    /// A case of a recorded run.
    pub(crate) fn recorded(exit_code: u8, comparison: ComparisonSummary) -> Case {
        let text = include_str!("../../../timeline/tests/fixtures/recorded-channel-file-291.jsonl");
        let events = timeline::read_events(text).expect("a recording").events;
        let derived = timeline::derive(&events);
        let run = "20261130-121113-hogcfm";
        let directory = Path::new("/state/runs/20261130-121113-hogcfm");
        let mut summary = summary(&derived, None, RunIdentity { run, directory, exit_code });
        summary.comparison = Some(comparison);
        let picture = Picture {
            title: "stop screen".to_owned(),
            boot: 2,
            path: directory.join("machine/frames/00007.png"),
            png: vec![0x89, b'P', b'N', b'G'],
        };
        Case {
            scenario: "channel-file-291".to_owned(),
            image: "understudy".to_owned(),
            place: Some(("scenarios/channel-file-291/scenario.toml".into(), 20)),
            came: Came::Ran(Box::new(Ran {
                diff: (exit_code == 1).then(|| "-old\n+new <x>\n".to_owned()),
                summary,
                derived,
                pictures: vec![picture],
            })),
        }
    }

    pub(crate) fn compared(result: &str, changes: &[&str]) -> ComparisonSummary {
        ComparisonSummary {
            result: result.to_owned(),
            reference: "/scenarios/channel-file-291/channel-file-291.snap".to_owned(),
            pending: None,
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
        }
    }

    /// One of each standing, with names and words that a format has to keep apart from its own.
    pub(crate) fn one_of_each() -> Vec<Case> {
        let nothing = |scenario: &str, came| Case {
            scenario: scenario.to_owned(),
            image: "win<11>|\u{1b}[2J".to_owned(),
            place: None,
            came,
        };
        vec![
            recorded(0, compared("same", &[])),
            recorded(
                1,
                compared(
                    "different",
                    &["healthy on the 4th boot instead of the 3rd", "a|b <c> & `d`"],
                ),
            ),
            nothing(
                "kb1/a",
                Came::NotApplicable("the image has no recovery environment".to_owned()),
            ),
            nothing(
                "kb1/b",
                Came::Failed { error: "line one\nline two %".to_owned(), exit_code: 3 },
            ),
        ]
    }
}

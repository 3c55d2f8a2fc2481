//! One scenario on one image as a pipeline sees it: did it stand, and if not, why, in words.

use std::path::PathBuf;

use timeline::{Derived, Verdict};

use crate::circumstances::Circumstances;
use crate::json::Summary;
use crate::repeat::Repeated;
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
    /// What surrounds it.
    pub circumstances: Circumstances,
}

/// What came of a scenario.
#[derive(Debug, Clone)]
pub enum Came {
    /// It ran to an outcome.
    Ran(Box<Ran>),
    /// The image lacks what the scenario needs: why.
    NotApplicable(String),
    /// There was no time left for it: why.
    LeftOut(String),
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
    /// Nothing was run, because the image cannot take it, or there was no time left.
    Skipped,
    /// It failed, which is known and does not count for now.
    Quarantined,
    /// The outcome differs from its reference, or an expectation was not met.
    Failed,
    /// The harness, the host or the input: says nothing about the product.
    Broken,
}

impl Case {
    /// How it stands.
    pub fn standing(&self) -> Standing {
        let by_code = |code| match code {
            0 => Standing::Passed,
            1 if self.circumstances.quarantine.is_some() => Standing::Quarantined,
            1 => Standing::Failed,
            _ => Standing::Broken,
        };
        match (&self.came, &self.circumstances.repeated) {
            (_, Some(repeated)) => by_code(repeated.exit_code),
            (Came::Ran(ran), None) => by_code(ran.summary.exit_code),
            (Came::NotApplicable(_) | Came::LeftOut(_), None) => Standing::Skipped,
            (Came::Failed { .. }, None) => Standing::Broken,
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
        let repeated = self.circumstances.repeated.as_ref();
        if let Some(word) = repeated.and_then(Repeated::instead_of_a_verdict) {
            return word.to_owned();
        }
        match &self.came {
            Came::Ran(ran) => match ran.summary.brought_back_by {
                Some(layer) => format!("{} by {layer}", ran.summary.verdict),
                None => ran.summary.verdict.to_string(),
            },
            Came::NotApplicable(_) => "not-applicable".to_owned(),
            Came::LeftOut(_) => "left-out".to_owned(),
            Came::Failed { .. } => "no outcome".to_owned(),
        }
    }

    /// Why it does not stand, the weightiest first; each a line of plain text. Empty where it passed.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(repeated) = self.circumstances.repeated.as_ref().filter(|it| it.exit_code != 0)
        {
            reasons.push(repeated.line());
        }
        let summary = match &self.came {
            Came::NotApplicable(reason) | Came::LeftOut(reason) => {
                return vec![clean(reason, 4 * GUEST_TEXT)];
            }
            Came::Failed { error, .. } => {
                reasons.extend(error.lines().map(|line| clean(line, 8 * GUEST_TEXT)));
                return reasons;
            }
            Came::Ran(ran) => &ran.summary,
        };
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

    /// The reasons, and behind them what else is to be said of it.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = self.reasons();
        for note in self.circumstances.notes() {
            if !lines.contains(&note) {
                lines.push(note);
            }
        }
        lines
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
    use crate::circumstances::{HostFailure, Quarantined};
    use crate::json::{ComparisonSummary, RunIdentity, summary};
    use crate::repeat::{Flaky, Repeat, Turn, repeated};

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
            circumstances: Circumstances::default(),
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
            circumstances: Circumstances::default(),
        };
        let mut quarantined = recorded(1, compared("different", &["hung instead of unaffected"]));
        quarantined.circumstances.quarantine = Some(Quarantined {
            reason: "known | <since> May".to_owned(),
            tracker: "https://example.org/7".to_owned(),
            expires: "2026-12-24".to_owned(),
        });
        let mut flaky = recorded(0, compared("same", &[]));
        let turn = |run, outcome, exit_code| Turn {
            run: Some(run),
            outcome: Some((outcome, outcome)),
            exit_code,
        };
        let turns = [turn("run-1", "recovered", 0), turn("run-2", "looping", 1)];
        flaky.circumstances.repeated = Some(repeated(Repeat::Times, &turns, 0, Flaky::Fails));
        flaky.circumstances.tried_again = vec![HostFailure {
            run: Some("run-0".to_owned()),
            because: "no \u{1b}[2J disk".to_owned(),
        }];
        vec![
            quarantined,
            flaky,
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
            nothing("kb1/c", Came::LeftOut("the budget of 30m was used up".to_owned())),
        ]
    }
}

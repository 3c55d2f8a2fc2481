//! A scenario that is through: its runs, what they mean together, and how it goes into reports and documents.

use engine::{NotApplicable, RunDirError, RunError, RunResult, recorded_case};
use report::{
    Came, Case, Circumstances, Flaky, HostFailure, ListPlace, Quarantined, Repeat, Repeated,
    SUMMARY_FORMAT, Turn, counted,
};
use scenario::QuarantineEntry;
use serde_json::{Value, json};
use timeline::Verdict;

use crate::exit::{Exit, infrastructure};
use crate::schedule::{TOGETHER, Together};
use crate::session::exit_code;

/// What came of one scenario on one image.
pub(crate) struct Finished {
    pub(crate) scenario: String,
    pub(crate) image: String,
    /// Where it stands among all that were chosen.
    pub(crate) position: usize,
    pub(crate) listed: Option<ListPlace>,
    pub(crate) quarantine: Option<QuarantineEntry>,
    pub(crate) repeat: Option<(Repeat, Flaky)>,
    /// Its runs: none where there was no time for it, more than one only where it is repeated.
    pub(crate) turns: Vec<Turned>,
    /// Runs that there was no time for.
    pub(crate) left_out: usize,
}

/// One run, with those that the host failed before it.
pub(crate) struct Turned {
    pub(crate) tried_again: Vec<HostFailure>,
    pub(crate) came: Result<RunResult, RunError>,
}

/// Why there was nothing of it.
pub(crate) const LEFT_OUT: &str = "the budget of time was used up, or would have been";

/// What an image lacks something for, and its place.
pub(crate) struct Skipped {
    pub(crate) reason: NotApplicable,
    pub(crate) position: usize,
    pub(crate) listed: Option<ListPlace>,
}

impl Turned {
    pub(crate) fn exit(&self) -> Exit {
        match &self.came {
            Ok(result) => result.exit,
            Err(error) => exit_code(error),
        }
    }
}

impl Finished {
    /// With which the command ends on its account.
    pub(crate) fn exit(&self) -> Exit {
        let own = match (self.repeated(), self.turns.first()) {
            (Some(repeated), _) => repeated.exit_code,
            (None, Some(turn)) => turn.exit() as u8,
            (None, None) => 0,
        };
        Exit::of_code(counted(own, self.quarantine.is_some()))
    }

    /// True where it failed and that does not count.
    pub(crate) fn failed_in_quarantine(&self) -> bool {
        let failed = match self.repeated() {
            Some(repeated) => repeated.exit_code == 1,
            None => self.turns.first().is_some_and(|turn| turn.exit() == Exit::Differs),
        };
        failed && self.quarantine.is_some()
    }

    /// True where it stands in quarantine and did not fail.
    pub(crate) fn passes_in_quarantine(&self) -> bool {
        let passed = match self.repeated() {
            Some(repeated) => repeated.exit_code == 0,
            None => self.turns.first().is_some_and(|turn| turn.exit() == Exit::AsExpected),
        };
        passed && self.quarantine.is_some()
    }

    /// Notes with each of its runs what they came to together, for `failed()`.
    ///
    /// # Errors
    /// The note cannot be written.
    pub(crate) fn note_together(&self) -> Result<(), RunDirError> {
        let repeated = self.repeated().filter(|repeated| repeated.by == Repeat::Times);
        let Some(Repeated { runs, exit_code, .. }) = repeated else { return Ok(()) };
        let together = Together { format: 1, runs, exit_code };
        for result in self.turns.iter().filter_map(|turn| turn.came.as_ref().ok()) {
            result.directory.write_json(TOGETHER, &together)?;
        }
        Ok(())
    }

    /// What its runs came to together, where it was repeated.
    pub(crate) fn repeated(&self) -> Option<Repeated> {
        let (by, policy) = self.repeat.filter(|_| !self.turns.is_empty())?;
        let texts: Vec<Option<String>> = self
            .turns
            .iter()
            .map(|turn| match &turn.came {
                Ok(result) if result.derived.outcome.verdict != Verdict::Infrastructure => {
                    Some(result.derived.outcome.render())
                }
                _ => None,
            })
            .collect();
        let turns = self.turns.iter().zip(&texts).map(|(turn, text)| {
            let result = turn.came.as_ref().ok();
            let verdict = result.map_or("", |result| result.derived.outcome.verdict.name());
            Turn {
                run: result.map(|result| result.summary.run.as_str()),
                outcome: text.as_deref().map(|text| (text, verdict)),
                exit_code: turn.exit() as u8,
            }
        });
        let turns: Vec<Turn<'_>> = turns.collect();
        Some(report::repeated(by, &turns, self.left_out, policy))
    }

    pub(crate) fn circumstances(&self) -> Circumstances {
        let tried = self.turns.iter().flat_map(|turn| turn.tried_again.iter().cloned());
        Circumstances {
            tried_again: tried.collect(),
            repeated: self.repeated(),
            quarantine: self.quarantine.as_ref().map(quarantined),
            listed: self.listed,
        }
    }

    /// The run that stands for all: one that differs, else one that is not as expected, else the last.
    fn telling(&self) -> Option<&Turned> {
        let with = |wanted: fn(Exit) -> bool| self.turns.iter().find(|turn| wanted(turn.exit()));
        with(|exit| exit == Exit::Differs)
            .or_else(|| with(|exit| exit != Exit::AsExpected))
            .or(self.turns.last())
    }

    /// For reports.
    ///
    /// # Errors
    /// The record of its run cannot be read.
    pub(crate) fn case(&self) -> anyhow::Result<Case> {
        let case = match self.telling().map(|turn| &turn.came) {
            Some(Ok(result)) => recorded_case(&result.directory).map_err(infrastructure)?,
            Some(Err(error)) => {
                let exit_code = exit_code(error) as u8;
                self.without_run(Came::Failed { error: error.to_string(), exit_code })
            }
            None => self.without_run(Came::LeftOut(LEFT_OUT.to_owned())),
        };
        Ok(Case { circumstances: self.circumstances(), ..case })
    }

    fn without_run(&self, came: Came) -> Case {
        without_outcome(&self.scenario, &self.image, came)
    }

    /// For `run --json`.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub(crate) fn document(&self) -> anyhow::Result<Value> {
        let without_run = |verdict: &str, because: String, exit: Exit| {
            json!({
                "format": SUMMARY_FORMAT, "scenario": self.scenario, "image": { "name": self.image },
                "verdict": verdict, "because": because, "exit_code": exit as u8,
            })
        };
        let of = |turn: &Turned| match &turn.came {
            Ok(result) => Ok::<_, anyhow::Error>(serde_json::to_value(&result.summary)?),
            Err(error) => Ok(without_run("not-run", error.to_string(), exit_code(error))),
        };
        let mut document = match (self.turns.as_slice(), self.repeated()) {
            ([], _) => without_run("left-out", LEFT_OUT.to_owned(), Exit::AsExpected),
            (turns, Some(repeated)) => {
                let telling = self.telling().map(of).transpose()?;
                let verdict = telling.and_then(|it| Some(it["verdict"].as_str()?.to_owned()));
                let verdict = repeated.instead_of_a_verdict().map(str::to_owned).or(verdict);
                let verdict = verdict.unwrap_or_default();
                let mut document = without_run(&verdict, repeated.line(), self.exit());
                document["runs"] = turns.iter().map(of).collect::<anyhow::Result<_>>()?;
                document
            }
            ([turn, ..], None) => of(turn)?,
        };
        self.circumstances().add_to(&mut document);
        Ok(document)
    }
}

/// An entry of the quarantine, for reports.
pub(crate) fn quarantined(entry: &QuarantineEntry) -> Quarantined {
    Quarantined {
        reason: entry.reason.clone(),
        tracker: entry.tracker.clone(),
        expires: entry.expires.to_string(),
    }
}

/// A case of which there is no run.
pub(crate) fn without_outcome(scenario: &str, image: &str, came: Came) -> Case {
    Case {
        scenario: scenario.to_owned(),
        image: image.to_owned(),
        place: None,
        came,
        circumstances: Circumstances::default(),
    }
}

impl Skipped {
    /// For reports. What was refused is an error in them.
    pub(crate) fn case(&self, refused: bool) -> Case {
        let why = self.reason.to_string();
        let came = match refused {
            true => Came::Failed { error: why, exit_code: Exit::Usage as u8 },
            false => Came::NotApplicable(why),
        };
        let case = without_outcome(&self.reason.scenario, &self.reason.image, came);
        let circumstances = Circumstances { listed: self.listed, ..Circumstances::default() };
        Case { circumstances, ..case }
    }

    /// For `run --json`.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub(crate) fn document(&self, exit: Exit) -> anyhow::Result<Value> {
        let mut document = serde_json::to_value(self.reason.summary(exit))?;
        let circumstances = Circumstances { listed: self.listed, ..Circumstances::default() };
        circumstances.add_to(&mut document);
        Ok(document)
    }
}

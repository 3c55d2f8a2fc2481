//! The outcome: the canonical, deterministic digest of a run.
//!
//! What is in it must be the same on a faster host, after a restore from a checkpoint instead of a cold
//! boot, and with other addresses in the guest. So it has no times, no addresses, no file of the run
//! directory, of each boot only the furthest phase (the signs of the phases before it may be missed, and
//! a restored machine has none), and of a count that depends on timing only whether it is one.

use serde::{Deserialize, Serialize};

use crate::{
    Access, BootKind, Cause, Confidence, DriverOutcome, End, Expectation, Layer, LayerOutcome,
    Phase, RunFacts, StopCode, Timeline, Touch, Verdict,
};

/// Version of the outcome document.
pub const OUTCOME_FORMAT: u32 = 1;

/// The document that is compared with the reference. The order of the fields is that of the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// [`OUTCOME_FORMAT`].
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// What ran.
    pub image: ImageOutcome,
    /// Minutes of documented waiting passed this many times faster.
    pub time_scale: u32,
    /// What became of the machine.
    pub verdict: Verdict,
    /// Why.
    pub because: String,
    /// The layer whose change preceded the healthy boot.
    pub brought_back_by: Option<Layer>,
    /// Whose hands that layer needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touch: Option<Touch>,
    /// What the scenario expects, and whether it came so.
    pub expectation: ExpectationOutcome,
    /// The faults that were put in place and read back, sorted.
    pub faults: Vec<String>,
    /// The drivers that somebody brought, and whether they ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drivers: Vec<DriverOutcome>,
    /// All boots up to the verdict.
    pub boots: Vec<BootOutcome>,
    /// The longest row of like failures, where it is long enough for a loop.
    #[serde(rename = "loop")]
    pub in_loop: Option<LoopOutcome>,
    /// The recovery ladder.
    pub layers: Vec<LayerOutcome>,
    /// The dumps on the disk, by boot.
    pub dumps: Vec<DumpOutcome>,
    /// Files that differ from before the faults, sorted by path.
    pub disk_changes: Vec<DiskChangeOutcome>,
    /// The user's files, sorted by path.
    pub canaries: Vec<CanaryOutcome>,
    /// Where witnesses disagree.
    pub notes: Vec<String>,
}

/// The image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageOutcome {
    /// The line of systems that it is of, whatever its own name is: images of one line share their references. In
    /// records of before there were lines, its name.
    pub name: String,
    /// True where it is a model and not Windows.
    pub is_model: bool,
}

/// What was expected, against what came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectationOutcome {
    /// The expected verdict. Absent where the scenario expects nothing.
    pub verdict: Option<String>,
    /// The layers that should bring the machine back.
    pub layers: Vec<Layer>,
    /// True where it came so. An `infrastructure` run never meets an expectation.
    pub met: bool,
    /// What is not as expected, for people.
    pub unmet: Vec<String>,
}

/// A boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootOutcome {
    /// From 1.
    pub number: u32,
    /// Windows or recovery.
    pub kind: BootKind,
    /// Why it began. A restore from a checkpoint counts as a power-on: it stands for one.
    pub cause: Cause,
    /// The furthest phase.
    pub reached: Phase,
    /// How it ended.
    pub end: End,
    /// How sure that is.
    pub confidence: Confidence,
    /// The stop, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopOutcome>,
    /// The NTSTATUS of a boot error, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_error: Option<StopCode>,
    /// Drivers and services that did not start, or whose process ended, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// The faults that were armed while it ran, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// The layer of which it is a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during: Option<Layer>,
}

/// A stop, without its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopOutcome {
    /// Its code, where known.
    pub code: Option<StopCode>,
    /// The blamed module, where known.
    pub module: Option<String>,
    /// What a page fault did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
}

/// A loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopOutcome {
    /// The boots in the row.
    pub boots: Vec<u32>,
    /// How each of them ended.
    pub end: End,
    /// In which phase.
    pub phase: Phase,
    /// With which stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopOutcome>,
}

/// A dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DumpOutcome {
    /// `kernel`, `full`, `small`, …
    pub kind: String,
    /// The code in its header.
    pub code: StopCode,
    /// The module it blames.
    pub module: Option<String>,
    /// The boot that wrote it.
    pub boot: Option<u32>,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskChangeOutcome {
    /// `added`, `removed`, `changed`.
    pub change: String,
    /// Path within Windows.
    pub path: String,
}

/// A file of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryOutcome {
    /// Path within Windows.
    pub path: String,
    /// True where it is what it was.
    pub intact: bool,
}

/// A text that is not an outcome.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// Not the JSON of one.
    #[error("not an outcome: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error("outcome format {0}, but this loopbreak reads format {OUTCOME_FORMAT}")]
    Format(u32),
}

impl Outcome {
    /// The canonical text: JSON, two spaces, the fields in their order, a line end at the end. The same
    /// outcome gives the same bytes.
    pub fn render(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("an outcome has only strings, numbers and lists, which JSON can write");
        text.push('\n');
        text
    }

    /// Reads it again.
    pub fn parse(text: &str) -> Result<Self, OutcomeError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_str(text)?;
        if version.format != OUTCOME_FORMAT {
            return Err(OutcomeError::Format(version.format));
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The digest of a timeline.
    pub(crate) fn of(timeline: &Timeline) -> Self {
        let facts = timeline.facts.as_ref();
        Self {
            format: OUTCOME_FORMAT,
            scenario: facts.map_or_else(String::new, |facts| facts.scenario.clone()),
            image: ImageOutcome {
                name: facts.map_or_else(String::new, |facts| match &facts.image_line {
                    Some(line) => line.to_string(),
                    None => facts.image.clone(),
                }),
                is_model: facts.is_some_and(|facts| facts.image_is_model),
            },
            time_scale: facts.map_or(1, |facts| facts.time_scale),
            verdict: timeline.verdict,
            because: timeline.because.clone(),
            brought_back_by: timeline.brought_back_by,
            touch: timeline.brought_back_by.map(Layer::touch),
            expectation: expectation(timeline),
            faults: timeline.faults.clone(),
            drivers: timeline.drivers.clone(),
            boots: timeline.boots.iter().map(boot).collect(),
            in_loop: timeline.in_loop.as_ref().map(|row| LoopOutcome {
                boots: row.boots.clone(),
                end: row.end,
                phase: row.phase,
                stop: matches!(row.end, End::BugCheck | End::HaltedAtStopScreen)
                    .then(|| stop(&row.signature)),
            }),
            layers: timeline.layers.clone(),
            dumps: dumps(timeline),
            disk_changes: timeline
                .disk_changes
                .iter()
                .map(|(path, change)| DiskChangeOutcome {
                    change: change.clone(),
                    path: path.clone(),
                })
                .collect(),
            canaries: timeline
                .canaries
                .iter()
                .map(|(path, intact)| CanaryOutcome { path: path.clone(), intact: *intact })
                .collect(),
            notes: notes(timeline),
        }
    }
}

fn stop(signature: &crate::Signature) -> StopOutcome {
    let crate::Signature { code, module, access } = signature.clone();
    StopOutcome { code, module, access }
}

pub(crate) fn boot(boot: &crate::Boot) -> BootOutcome {
    let mut faults = boot.armed.clone();
    faults.sort();
    BootOutcome {
        number: boot.number,
        kind: boot.kind(),
        cause: match boot.cause {
            Cause::RestoredFromCheckpoint => Cause::PowerOn,
            cause => cause,
        },
        reached: boot.reached(),
        end: boot.end,
        confidence: boot.confidence(),
        stop: boot.stop.as_ref().map(|seen| stop(&seen.signature())),
        boot_error: (boot.end == End::BootError)
            .then_some(boot.error)
            .flatten()
            .and_then(|error| error.status),
        failures: boot.failures.iter().cloned().collect(),
        faults,
        during: boot.during,
    }
}

fn dumps(timeline: &Timeline) -> Vec<DumpOutcome> {
    let mut dumps: Vec<DumpOutcome> = timeline
        .dumps
        .iter()
        .map(|dump| DumpOutcome {
            kind: dump.kind.clone(),
            code: StopCode(dump.bug_check.code),
            module: dump.module.clone(),
            boot: dump.boot,
        })
        .collect();
    dumps.sort_by(|a, b| {
        (a.boot, &a.kind, a.code, &a.module).cmp(&(b.boot, &b.kind, b.code, &b.module))
    });
    dumps
}

fn notes(timeline: &Timeline) -> Vec<String> {
    let mut notes = Vec::new();
    for boot in &timeline.boots {
        let conflicts = boot.stop.iter().flat_map(crate::Stop::conflicts);
        notes.extend(conflicts.map(|conflict| format!("boot {}: {conflict}", boot.number)));
    }
    let strays = dumps(timeline).into_iter().filter(|dump| dump.boot.is_none());
    notes.extend(strays.map(|dump| {
        format!("a {} dump of stop {} belongs to no stop that was seen", dump.kind, dump.code)
    }));
    notes
}

fn expectation(timeline: &Timeline) -> ExpectationOutcome {
    let facts = timeline.facts.as_ref();
    let Expectation { met, unmet } = &timeline.expectation;
    ExpectationOutcome {
        verdict: facts.and_then(RunFacts::verdict_expected).map(|verdict| verdict.to_string()),
        layers: facts.map_or_else(Vec::new, |facts| facts.expected_layers.clone()),
        met: *met,
        unmet: unmet.iter().map(ToString::to_string).collect(),
    }
}

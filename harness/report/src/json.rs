//! The document that `run --json` prints: what a pipeline needs to know of a run.

use std::path::Path;

use serde::{Deserialize, Serialize};
use timeline::{
    Access, Beginning, BootKind, Cause, Confidence, Derived, DriverOutcome, End, Expectation,
    ForcedStop, Layer, LayerOutcome, Logged, Loop, Measurements, Micros, Phase, StopCode, Touch,
    Verdict,
};

use words::ImageLine;

use crate::reference::{Comparison, Pending};
use crate::text;

/// Version of the summary.
pub const SUMMARY_FORMAT: u32 = 3;

/// What the engine knows of a run that its events do not tell.
#[derive(Debug, Clone, Copy)]
pub struct RunIdentity<'a> {
    /// The run's id.
    pub run: &'a str,
    /// Where its record lies.
    pub directory: &'a Path,
    /// With which the command ends.
    pub exit_code: u8,
}

/// One run, for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// [`SUMMARY_FORMAT`].
    pub format: u32,
    /// The run's id.
    pub run: String,
    /// The scenario's name.
    pub scenario: String,
    /// What ran, and whether it is a model.
    pub image: ImageSummary,
    /// Minutes of documented waiting passed this many times faster.
    pub time_scale: u32,
    /// What became of the machine.
    pub verdict: Verdict,
    /// Why.
    pub because: String,
    /// The layer whose change preceded the healthy boot.
    pub brought_back_by: Option<Layer>,
    /// Whose hands that layer needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub touch: Option<Touch>,
    /// The drivers that the scenario brought, and whether they ran.
    pub drivers: Vec<DriverOutcome>,
    /// All boots up to the verdict.
    pub boots: Vec<BootSummary>,
    /// The longest row of like failures, where it is long enough for a loop.
    #[serde(rename = "loop")]
    pub in_loop: Option<Loop>,
    /// The recovery ladder.
    pub layers: Vec<LayerOutcome>,
    /// The stop that the harness made of a machine that hung, for its dump. It is no boot's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_stop: Option<ForcedStopSummary>,
    /// What the System log of the machine says that was not in it before the run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system_log: Vec<Logged>,
    /// How long things took.
    pub measurements: Measurements,
    /// Against the reference. Absent where none was asked for.
    pub comparison: Option<ComparisonSummary>,
    /// Against what the scenario expects.
    pub expectation: Expectation,
    /// The beginning that was taken over from another run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beginning: Option<Beginning>,
    /// Where witnesses disagree.
    pub notes: Vec<String>,
    /// With which the command ends.
    pub exit_code: u8,
    /// Where the record lies.
    pub run_directory: String,
}

/// The image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSummary {
    /// Its name in the store.
    pub name: String,
    /// Which line of systems it is of. Absent in records of before there were lines.
    pub line: Option<ImageLine>,
    /// True where it is a model and not Windows.
    pub is_model: bool,
}

/// A boot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BootSummary {
    /// From 1.
    pub number: u32,
    /// Windows or recovery.
    pub kind: BootKind,
    /// Why it began.
    pub cause: Cause,
    /// The phases it reached, in order.
    pub phases: Vec<Phase>,
    /// How it ended.
    pub end: End,
    /// True where Windows failed in it.
    pub failed: bool,
    /// The layer of which it is a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during: Option<Layer>,
    /// How sure the end is.
    pub confidence: Confidence,
    /// The stop, where there was one.
    pub stop: Option<StopSummary>,
    /// Since the run began.
    pub began_us: Micros,
    /// To its end, or to the end of the watch.
    pub duration_us: Option<Micros>,
}

/// A stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StopSummary {
    /// Its code.
    pub code: Option<StopCode>,
    /// The code's name.
    pub name: Option<&'static str>,
    /// The four parameters. Addresses: they differ from run to run.
    pub parameters: Option<[String; 4]>,
    /// The blamed module.
    pub module: Option<String>,
    /// What a page fault did.
    pub access: Option<Access>,
    /// True where a dump on the disk tells of it.
    pub dump: bool,
}

/// A stop that the harness made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForcedStopSummary {
    /// The boot that hung.
    pub boot: u32,
    /// The machine was seen to stop.
    pub seen: bool,
    /// With this code, where it is known.
    pub code: Option<StopCode>,
    /// Its dumps, files of the run directory.
    pub dumps: Vec<String>,
}

impl From<&ForcedStop> for ForcedStopSummary {
    fn from(forced: &ForcedStop) -> Self {
        Self {
            boot: forced.boot,
            seen: forced.is_seen(),
            code: forced.stop.signature().code,
            dumps: forced.dumps.iter().map(|dump| dump.file.clone()).collect(),
        }
    }
}

/// An outcome against its reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparisonSummary {
    /// `same`, `different`, `missing`, `not-compared`.
    pub result: String,
    /// The reference.
    pub reference: String,
    /// The pending reference, where one was written.
    pub pending: Option<String>,
    /// What differs, in words; the weightiest first.
    #[serde(default)]
    pub changes: Vec<String>,
}

impl From<&Comparison> for ComparisonSummary {
    fn from(comparison: &Comparison) -> Self {
        let pending = match comparison.pending() {
            Some(Pending::Written(path) | Pending::Aside(path)) => Some(path.display().to_string()),
            Some(Pending::NotWritten { .. }) | None => None,
        };
        let changes = match comparison {
            Comparison::Different { diff, .. } => diff.changes(),
            _ => Vec::new(),
        };
        Self {
            changes,
            result: comparison.word().to_owned(),
            reference: comparison.reference().display().to_string(),
            pending,
        }
    }
}

/// Makes the summary of a run.
pub fn summary(
    derived: &Derived,
    comparison: Option<&Comparison>,
    identity: RunIdentity<'_>,
) -> Summary {
    let Derived { timeline, outcome, measurements } = derived;
    let boots = timeline.boots.iter().zip(&measurements.boots).map(|(boot, times)| BootSummary {
        number: boot.number,
        kind: boot.kind(),
        cause: boot.cause,
        phases: boot.phases.iter().map(|reached| reached.phase).collect(),
        end: boot.end,
        failed: boot.failed(),
        during: boot.during,
        confidence: boot.confidence(),
        stop: boot.stop.as_ref().map(|stop| {
            let signature = stop.signature();
            let hex = |parameter: u64| format!("0x{parameter:016X}");
            StopSummary {
                code: signature.code,
                name: signature.code.and_then(text::code_name),
                parameters: stop.bug_check().map(|bug_check| bug_check.parameters.map(hex)),
                module: signature.module,
                access: signature.access,
                dump: stop.dump.is_some(),
            }
        }),
        began_us: times.began_us,
        duration_us: times.duration_us,
    });
    Summary {
        format: SUMMARY_FORMAT,
        run: identity.run.to_owned(),
        scenario: outcome.scenario.clone(),
        image: ImageSummary {
            name: timeline
                .facts
                .as_ref()
                .map_or_else(|| outcome.image.name.clone(), |facts| facts.image.clone()),
            line: timeline.facts.as_ref().and_then(|facts| facts.image_line.clone()),
            is_model: outcome.image.is_model,
        },
        time_scale: outcome.time_scale,
        verdict: outcome.verdict,
        because: outcome.because.clone(),
        brought_back_by: outcome.brought_back_by,
        touch: outcome.touch,
        drivers: outcome.drivers.clone(),
        boots: boots.collect(),
        in_loop: timeline.in_loop.clone(),
        beginning: timeline.beginning.clone(),
        layers: outcome.layers.clone(),
        system_log: timeline.system_log.clone(),
        forced_stop: timeline.forced_stop.as_ref().map(ForcedStopSummary::from),
        measurements: measurements.clone(),
        comparison: comparison.map(ComparisonSummary::from),
        expectation: timeline.expectation.clone(),
        notes: outcome.notes.clone(),
        exit_code: identity.exit_code,
        run_directory: identity.directory.display().to_string(),
    }
}

impl Summary {
    /// As JSON, with a line end at the end.
    pub fn render(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a summary has only strings, numbers and lists, which JSON can write");
        text.push('\n');
        text
    }
}

//! Which of an image's detectors work: each has a positive and a negative control.
//!
//! The image is booted twice, with the same driver and service. The positive control has content on its
//! disk that makes the driver stop the machine while it starts; the negative one has content that does no
//! harm. A detector works where it speaks in the first and is silent in the second. Where the positive
//! control did not stop at all (a Windows that does not load a driver that nobody signed), nothing is
//! known of the detectors, and the report says so.

use scenario::Scenario;
use serde::{Deserialize, Serialize};
use timeline::{Body, Derived, Event, Phase, ResetBy};

use super::execute::RunOptions;
use super::lifecycle::FinishedRun;
use crate::error::RunError;
use crate::record::{RunId, StatusSink};
use crate::session::Session;

/// Version of the report.
pub const DETECTORS_FORMAT: u32 = 1;

/// One way to see what a machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// The panic device: QEMU's `GUEST_PANICKED`.
    PanicEvent,
    /// A stop screen was recognised on the display.
    StopScreen,
    /// A crash dump lies on the disk.
    Dump,
    /// The machine reset itself.
    Reset,
    /// The machine came up healthy. Its positive control is the harmless boot.
    Healthy,
}

impl Detector {
    /// All of them, as reports list them.
    pub const ALL: [Self; 5] =
        [Self::PanicEvent, Self::StopScreen, Self::Dump, Self::Reset, Self::Healthy];

    fn saw(self, event: &Event) -> bool {
        match (self, &event.body) {
            (Self::PanicEvent, Body::Panicked { .. }) | (Self::Dump, Body::Dump { .. }) => true,
            (Self::StopScreen, Body::Screen { screen, .. }) => screen.is_stop(),
            (Self::Reset, Body::Reset { by, .. }) => *by == ResetBy::Guest,
            _ => false,
        }
    }
}

/// Whether a detector can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reliance {
    /// It spoke where it should, and nowhere else.
    Works,
    /// It did not speak where it should.
    Blind,
    /// It spoke where nothing was wrong.
    FalseAlarm,
    /// The control that should make it speak did not happen.
    Unknown,
}

/// What one detector did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DetectorResult {
    /// Which.
    pub detector: Detector,
    /// It spoke while the machine stopped.
    pub in_positive: bool,
    /// It spoke while nothing was wrong.
    pub in_negative: bool,
    /// What follows.
    pub reliance: Reliance,
}

/// Which of an image's detectors work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DetectorReport {
    /// [`DETECTORS_FORMAT`].
    pub format: u32,
    /// The image's digest.
    pub image_digest: String,
    /// The machine stopped in the positive control, whoever saw it.
    pub stopped: bool,
    /// The run of the positive control.
    pub positive_run: String,
    /// The run of the negative control.
    pub negative_run: String,
    /// Why a control came to its end, for people: positive, negative.
    pub because: [String; 2],
    /// In the order of [`Detector::ALL`].
    pub detectors: Vec<DetectorResult>,
}

impl DetectorReport {
    fn of(image_digest: String, positive: &Control, negative: &Control) -> Self {
        let stopped = positive.derived.timeline.boots.iter().any(|boot| boot.stop.is_some());
        let came_up = negative.healthy();
        let detectors = Detector::ALL.into_iter().map(|detector| {
            let in_positive = positive.saw(detector);
            let in_negative = negative.saw(detector);
            let reliance = match detector {
                Detector::Healthy if in_positive && stopped => Reliance::FalseAlarm,
                Detector::Healthy if in_negative => Reliance::Works,
                Detector::Healthy => Reliance::Blind,
                // Before the machine is up nothing tells a false alarm from a real one.
                _ if in_negative && came_up => Reliance::FalseAlarm,
                _ if in_positive => Reliance::Works,
                _ if stopped => Reliance::Blind,
                _ => Reliance::Unknown,
            };
            DetectorResult { detector, in_positive, in_negative, reliance }
        });
        Self {
            format: DETECTORS_FORMAT,
            image_digest,
            stopped,
            positive_run: positive.run.to_string(),
            negative_run: negative.run.to_string(),
            because: [positive, negative].map(|control| control.derived.outcome.because.clone()),
            detectors: detectors.collect(),
        }
    }
}

/// One of the two boots.
struct Control {
    run: RunId,
    derived: Derived,
    events: Vec<Event>,
}

impl Control {
    fn healthy(&self) -> bool {
        self.derived.timeline.boots.iter().any(|boot| boot.has_reached(Phase::Healthy))
    }

    fn saw(&self, detector: Detector) -> bool {
        match detector {
            Detector::Healthy => self.healthy(),
            _ => self.events.iter().any(|event| detector.saw(event)),
        }
    }
}

impl Session {
    /// Boots `image` twice and says which detectors saw what. The two runs stay on record.
    ///
    /// # Errors
    /// As for a run: the image is missing or damaged, the host cannot run machines, the harness failed.
    pub async fn detectors(
        &self,
        image: &str,
        status: StatusSink,
    ) -> Result<DetectorReport, RunError> {
        let (digest, positive) = self.control(image, true, &status).await?;
        let (_, negative) = self.control(image, false, &status).await?;
        Ok(DetectorReport::of(digest, &positive, &negative))
    }

    async fn control(
        &self,
        image: &str,
        stops: bool,
        status: &StatusSink,
    ) -> Result<(String, Control), RunError> {
        let scenario = scenario_of(image, stops)?;
        let finished = self.carry_out(&scenario, None, &RunOptions::default(), status).await?;
        let FinishedRun { run, image_digest, derived, events, .. } = finished;
        Ok((image_digest, Control { run, derived, events }))
    }
}

/// The controls differ in nothing but the pattern of one field.
fn scenario_of(image: &str, stops: bool) -> Result<Scenario, RunError> {
    let (name, patterns) = match stops {
        true => ("detectors-positive", r", patterns = { 21 = '\\.\pipe\*' }"),
        false => ("detectors-negative", ""),
    };
    let text = TEMPLATE
        .replace("{name}", name)
        .replace("{image}", &toml::Value::from(image).to_string())
        .replace("{patterns}", patterns);
    toml::from_str(&text).map_err(|error| {
        RunError::Refused(format!("the image's name does not fit into a scenario: {error}"))
    })
}

const TEMPLATE: &str = r#"
format = 1
name = "{name}"
title = "Which detectors work on this image"
description = "Made by the harness; the positive and the negative control differ in one field of a content file."

[machine]
image = {image}

[[given]]
name = "driver"
kind = "content-driver"
driver = "lbdetect.sys"
content-folder = 'C:\Windows\System32\drivers\loopbreak'
content-pattern = "content-*.bin"
start = "system"

[[fault]]
name = "content"
kind = "content-file"
path = 'C:\Windows\System32\drivers\loopbreak\content-1.bin'
content = { channel-file = { fields = 21{patterns} } }

[expect]
verdict = "unaffected"

[limits]
time = "10m"
loop-after = 2
recovery-rounds = 1
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn control(text: &str) -> Control {
        let events = timeline::read_events(text).unwrap().events;
        Control { run: RunId::new(), derived: timeline::derive(&events), events }
    }

    fn stopped() -> Control {
        control(include_str!(
            "../../../timeline/tests/fixtures/recorded-channel-file-291-cloud-off.jsonl"
        ))
    }

    fn reliances(positive: &Control, negative: &Control) -> Vec<Reliance> {
        let report = DetectorReport::of("digest".to_owned(), positive, negative);
        report.detectors.iter().map(|result| result.reliance).collect()
    }

    #[test]
    fn the_two_controls_differ_in_their_content_alone() {
        let (bad, good) = (scenario_of("a\"b", true).unwrap(), scenario_of("a\"b", false).unwrap());
        assert_eq!(bad.machine.image, "a\"b");
        assert_eq!(bad.given, good.given);
        assert_ne!(bad.fault, good.fault);
        assert_eq!(bad.fault[0].name(), good.fault[0].name());
    }

    #[test]
    fn a_detector_works_where_it_speaks_in_one_and_is_silent_in_the_other() {
        use Reliance::{Blind, FalseAlarm, Unknown, Works};
        let good = || {
            control(include_str!(
                "../../../timeline/tests/fixtures/channel-file-291-good-file.jsonl"
            ))
        };
        let mut bad = stopped();
        // It came up before the fault arrived while it ran; as a staged one it would not have.
        for boot in &mut bad.derived.timeline.boots {
            boot.phases.truncate(1);
        }
        // That run was recorded before anybody looked at its frames.
        assert_eq!(reliances(&bad, &good()), [Works, Blind, Works, Works, Works]);
        assert_eq!(
            reliances(&good(), &good()),
            [Unknown, Unknown, Unknown, Unknown, Works],
            "nothing stopped"
        );
        assert_eq!(
            reliances(&bad, &stopped()),
            [FalseAlarm, Blind, FalseAlarm, FalseAlarm, Works],
            "the harmless boot stopped as well"
        );
    }
}

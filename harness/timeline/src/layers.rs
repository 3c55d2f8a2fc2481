//! The recovery ladder: which layers were tried, and what came of each.
//!
//! Quick Machine Recovery is judged by what came over the wire, which the guest cannot make up: scans,
//! downloads and reports are [`Body::Service`] events of the service `remediation`. Startup Repair has no
//! witness outside the guest: what the image's [`Witness`](crate::Witness)es read on the serial line, and its log
//! on the disk ([`Body::LayerReport`]), are taken for what they are. A layer that the harness works itself
//! announces it by a `layer <name>` step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use words::Refusal;

use crate::witness::Sign;
use crate::{Body, Confidence, Event, Layer, LayerResult, Source, StepState, steps};

/// The service whose requests are Quick Machine Recovery's.
pub(crate) const REMEDIATION_SERVICE: &str = "remediation";
/// Longest reason that is taken from a guest.
const REASON_LIMIT: usize = 200;

/// How often the update service was asked. How many scans fit into a waiting time depends on the host's
/// speed, so the outcome only tells one from several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scans {
    /// Once.
    One,
    /// More than once.
    More,
}

/// A layer and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerOutcome {
    /// Which.
    pub layer: Layer,
    /// What came of it.
    pub result: LayerResult,
    /// Why, in the words of who refused or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Quick Machine Recovery only: why the machine refused what it was offered, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// Quick Machine Recovery only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scans: Option<Scans>,
    /// How sure that is. Absent where nothing was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
}

/// A layer changed something on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which layer.
    pub layer: Layer,
    /// The event that tells.
    pub seq: u64,
    /// The boot that ran at that time, or the last one before it. 0: before the first.
    pub boot: u32,
}

/// What was seen of one layer.
#[derive(Debug, Clone, Default)]
struct Seen {
    result: Option<(LayerResult, Option<String>)>,
    confidence: Option<Confidence>,
}

impl Seen {
    /// Keeps the weightier result; of equal ones the later.
    fn take(&mut self, result: LayerResult, reason: Option<String>, source: Source) {
        match &mut self.result {
            Some((known, _)) if result < *known => {}
            // A later word without a reason is no cause to forget the one that is known.
            Some((known, why)) if result == *known => *why = reason.or_else(|| why.take()),
            weaker => *weaker = Some((result, reason)),
        }
        self.confidence = self.confidence.max(Some(source.confidence()));
    }
}

/// Gathers what is seen of the ladder, event by event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ladder {
    seen: BTreeMap<Layer, Seen>,
    scans: u32,
    /// The last refusal.
    refusal: Option<Refusal>,
    /// What the layers' logs say, session by session.
    pub(crate) reports: Vec<(Layer, LayerResult)>,
}

impl Ladder {
    /// Takes one event, and what it means by the image's witnesses. Returns the layer that changed something
    /// by it.
    pub(crate) fn take(&mut self, event: &Event, sign: Option<&Sign>) -> Option<Layer> {
        match &event.body {
            Body::Service { service, request, answer, facts } if service == REMEDIATION_SERVICE => {
                self.remediation(event.source, request, answer, facts)
            }
            Body::SerialLine { .. } => {
                let Sign::Layer { layer, result, reason } = sign? else { return None };
                let reason = reason.as_deref().map(limit);
                self.put(*layer, *result, reason, event.source)
            }
            Body::LayerReport { layer, result, reason, .. } => {
                self.reports.push((*layer, *result));
                // What was seen while it ran says more than a log.
                let known = self.seen.get(layer).and_then(|seen| seen.result.as_ref());
                let reason = reason.as_deref().map(limit);
                let reason = reason
                    .filter(|_| known.is_none_or(|(known, why)| known < result || why.is_none()));
                self.put(*layer, *result, reason, event.source)
            }
            Body::Step { name, state, detail } => {
                let layer = name.strip_prefix(steps::LAYER)?.parse().ok()?;
                let result = match state {
                    StepState::Started | StepState::Failed => LayerResult::TriedNoHelp,
                    StepState::Done => LayerResult::Applied,
                };
                let reason = (*state == StepState::Failed).then(|| limit(detail));
                self.put(layer, result, reason, event.source)
            }
            _ => None,
        }
    }

    fn remediation(
        &mut self,
        source: Source,
        request: &str,
        answer: &str,
        facts: &BTreeMap<String, String>,
    ) -> Option<Layer> {
        let (result, reason) = match request {
            "scan" => {
                self.scans = self.scans.saturating_add(1);
                (LayerResult::TriedNoHelp, format!("scan: {answer}"))
            }
            // It came, and went away again before it could ask.
            "handshake" => (LayerResult::TriedNoHelp, format!("handshake: {answer}")),
            // What was wrong with it says more than that nothing came back.
            "manifest" if !["served", "not-found"].contains(&answer) => {
                (LayerResult::TriedNoHelp, format!("manifest: {answer}"))
            }
            "download" | "manifest" => (LayerResult::TriedNoHelp, "no report came back".to_owned()),
            "report" => {
                let result = facts.get("result").map_or(answer, String::as_str);
                let reason = facts.get("reason").cloned().unwrap_or_default();
                match result {
                    "applied" => (LayerResult::Applied, reason),
                    "refused" => {
                        self.refusal = facts.get("refusal").and_then(|word| word.parse().ok());
                        (LayerResult::Refused, reason)
                    }
                    _ => (LayerResult::TriedNoHelp, reason),
                }
            }
            _ => return None,
        };
        let reason = Some(limit(&reason)).filter(|reason| !reason.is_empty());
        self.put(Layer::QuickMachineRecovery, result, reason, source)
    }

    fn put(
        &mut self,
        layer: Layer,
        result: LayerResult,
        reason: Option<String>,
        source: Source,
    ) -> Option<Layer> {
        self.seen.entry(layer).or_default().take(result, reason, source);
        (result == LayerResult::Applied).then_some(layer)
    }

    /// All layers of which something was seen, those that the scenario expects, and the two that Windows
    /// tries by itself: that they were *not* tried is worth a line.
    pub(crate) fn results(&self, expected: &[Layer]) -> Vec<LayerOutcome> {
        let by_itself = [Layer::AutomaticRepair, Layer::QuickMachineRecovery];
        Layer::ALL
            .into_iter()
            .filter(|layer| {
                by_itself.contains(layer)
                    || self.seen.contains_key(layer)
                    || expected.contains(layer)
            })
            .map(|layer| {
                let seen = self.seen.get(&layer);
                let result = seen.and_then(|seen| seen.result.clone());
                let (result, reason) = result.unwrap_or((LayerResult::NotTried, None));
                let scans = match self.scans {
                    _ if layer != Layer::QuickMachineRecovery => None,
                    0 => None,
                    1 => Some(Scans::One),
                    _ => Some(Scans::More),
                };
                let confidence = seen.and_then(|seen| seen.confidence);
                let refusal = self.refusal.filter(|_| {
                    layer == Layer::QuickMachineRecovery && result == LayerResult::Refused
                });
                LayerOutcome { layer, result, reason, refusal, scans, confidence }
            })
            .collect()
    }
}

fn limit(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(REASON_LIMIT).collect()
}

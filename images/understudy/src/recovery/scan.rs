//! Quick Machine Recovery: scan, and scan again, until something helps or the time is over
//! (windows-facts.md 1.1, 1.4). The course of it, apart from network, disk and clock.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::crash::CrashSignature;
use super::remediation::{self, Envelope, FORMAT, Offer, Refusal, ScanAnswer, ScanRequest};

/// How long, and how often. Real minutes, before the time scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// From the first scan to giving up.
    pub total: Duration,
    /// Between two scans; zero: scan once.
    pub interval: Duration,
}

/// How the scanning ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ScanEnd {
    /// A remediation was applied.
    Applied {
        /// Its id.
        id: String,
        /// What was changed.
        changes: Vec<String>,
    },
    /// Nothing helped in the time given.
    TimeOver,
    /// Nothing helped, and only one scan was asked for.
    OneScan,
    /// A person pressed the power button.
    Interrupted,
}

/// How an application ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    /// What was changed.
    pub changes: Vec<String>,
    /// Why it is not complete.
    pub failure: Option<String>,
}

/// What the scanning needs of the world.
pub(super) trait World {
    /// Asks the service.
    fn scan(&mut self, request: &ScanRequest<'_>) -> Result<ScanAnswer, String>;
    /// Fetches the manifest of an offer.
    fn manifest(&mut self, offer: &Offer) -> Result<Envelope, String>;
    /// Does what a manifest says.
    fn apply(&mut self, manifest: &remediation::Manifest) -> Applied;
    /// Tells the service.
    fn report(&mut self, id: &str, result: &str, reason: &str, changes: &[String]);
    /// Tells the observer.
    fn say(&mut self, text: &str);
    /// The clock on the wall.
    fn now(&self) -> Timestamp;
    /// Time since the session began, as documented minutes: divided by the time scale already undone.
    fn elapsed(&self) -> Duration;
    /// Waits for a documented span. False if a person pressed the power button meanwhile.
    fn wait(&mut self, span: Duration) -> bool;
}

/// Scans until something helps or the time is over.
pub(super) fn run(
    world: &mut dyn World,
    machine: &str,
    crash: Option<&CrashSignature>,
    trusted_publishers: &[Vec<u8>],
    patience: Patience,
) -> ScanEnd {
    let begun = world.elapsed();
    let mut refused = BTreeSet::new();
    for attempt in 1.. {
        world.say(&format!("scan {attempt}: asking the update service"));
        let request = ScanRequest { format: FORMAT, machine, signature: crash, attempt };
        match world.scan(&request) {
            Err(error) => world.say(&format!("scan {attempt} failed: {error}")),
            Ok(answer) if answer.remediations.is_empty() => {
                world.say(&format!("scan {attempt}: no remediation"));
            }
            Ok(answer) => {
                for offer in &answer.remediations {
                    if let Some(changes) =
                        try_offer(world, offer, crash, trusted_publishers, &mut refused)
                    {
                        return ScanEnd::Applied { id: offer.id.clone(), changes };
                    }
                }
            }
        }
        if patience.interval.is_zero() {
            return ScanEnd::OneScan;
        }
        let spent = world.elapsed().saturating_sub(begun);
        let Some(left) = patience.total.checked_sub(spent).filter(|left| !left.is_zero()) else {
            return ScanEnd::TimeOver;
        };
        if !world.wait(patience.interval.min(left)) {
            return ScanEnd::Interrupted;
        }
        // The last scan is the one before the time is over.
        if world.elapsed().saturating_sub(begun) >= patience.total {
            return ScanEnd::TimeOver;
        }
    }
    ScanEnd::TimeOver
}

/// Fetches, checks and applies one offer. Gives the changes if it was applied.
fn try_offer(
    world: &mut dyn World,
    offer: &Offer,
    crash: Option<&CrashSignature>,
    trusted_publishers: &[Vec<u8>],
    refused: &mut BTreeSet<(String, String)>,
) -> Option<Vec<String>> {
    let id = &offer.id;
    world.say(&format!("remediation {id}: offered"));
    let envelope = match world.manifest(offer) {
        Ok(envelope) => envelope,
        Err(error) => {
            world.say(&format!("remediation {id}: cannot be fetched: {error}"));
            return None;
        }
    };
    let verdict = remediation::verify(&envelope, id, trusted_publishers, crash, world.now());
    let manifest = match verdict {
        Ok(manifest) => manifest,
        Err(refusal) => {
            refuse(world, id, &envelope, &refusal, refused);
            return None;
        }
    };
    world.say(&format!("remediation {id}: verified, applying"));
    let applied = world.apply(&manifest);
    for change in &applied.changes {
        world.say(&format!("remediation {id}: {change}"));
    }
    let failure = match applied.failure {
        Some(failure) => failure,
        None if applied.changes.is_empty() => "nothing matched its actions".to_owned(),
        None => {
            world.say(&format!("remediation {id}: applied"));
            world.report(id, "applied", "", &applied.changes);
            return Some(applied.changes);
        }
    };
    world.say(&format!("remediation {id}: failed: {failure}"));
    world.report(id, "failed", &failure, &applied.changes);
    None
}

/// Says so once for each bad manifest, however often it is offered.
fn refuse(
    world: &mut dyn World,
    id: &str,
    envelope: &Envelope,
    refusal: &Refusal,
    refused: &mut BTreeSet<(String, String)>,
) {
    world.say(&format!("remediation {id}: refused: {refusal}"));
    if refused.insert((id.to_owned(), format!("{}{}", envelope.payload, envelope.signature))) {
        world.report(id, "refused", &refusal.to_string(), &[]);
    }
}

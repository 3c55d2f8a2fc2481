//! Quick Machine Recovery: scan, and scan again, until something helps or the time is over
//! (windows-facts.md 1.1, 1.4). The course of it, apart from network, disk and clock.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::remediation::{
    self, Envelope, FORMAT, Machine, Manifest, Offer, Refusal, ScanAnswer, ScanRequest,
};
use super::service::NoAnswer;

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

/// What is told of a remediation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told<'a> {
    /// All was done.
    Applied(&'a [String]),
    /// Nothing was done.
    Refused(&'a Refusal),
    /// Not all could be done: why, and what was.
    Failed(&'a str, &'a [String]),
}

/// What the scanning needs of the world.
pub(super) trait World {
    /// Asks the service.
    fn scan(&mut self, request: &ScanRequest<'_>) -> Result<ScanAnswer, NoAnswer>;
    /// Fetches the manifest of an offer.
    fn manifest(&mut self, offer: &Offer) -> Result<Envelope, NoAnswer>;
    /// The greatest counter of a remediation that this machine has met.
    fn seen(&mut self, id: &str) -> u32;
    /// Does what a manifest says, or refuses to where the disk is not as it has to be, and keeps in mind that it was
    /// met.
    fn apply(&mut self, manifest: &Manifest) -> Result<Applied, Refusal>;
    /// Tells the service. False where it did not hear.
    fn report(&mut self, id: &str, told: Told<'_>) -> bool;
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
pub(super) fn run(world: &mut dyn World, machine: &Machine<'_>, patience: Patience) -> ScanEnd {
    let begun = world.elapsed();
    let mut refused = BTreeSet::new();
    for attempt in 1.. {
        // Who is told when to ask again does not ask before.
        let mut again_after = None;
        world.say(&format!("scan {attempt}: asking the update service"));
        let request = ScanRequest {
            format: FORMAT,
            machine: machine.name,
            signature: machine.crash,
            attempt,
            build: machine.build,
            group: machine.group,
        };
        match world.scan(&request) {
            Err(NoAnswer { why, again_after: after }) => {
                world.say(&format!("scan {attempt} failed: {why}"));
                again_after = after;
            }
            Ok(answer) if answer.remediations.is_empty() => {
                world.say(&format!("scan {attempt}: no remediation"));
            }
            Ok(answer) => {
                for offer in &answer.remediations {
                    match try_offer(world, offer, machine, &mut refused) {
                        Tried::Applied(changes) => {
                            return ScanEnd::Applied { id: offer.id.clone(), changes };
                        }
                        Tried::Later(after) => {
                            again_after = Some(after);
                            break;
                        }
                        Tried::NoHelp => {}
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
        let pause = again_after.map_or(patience.interval, |after| patience.interval.max(after));
        if !world.wait(pause.min(left)) {
            return ScanEnd::Interrupted;
        }
        // The last scan is the one before the time is over.
        if world.elapsed().saturating_sub(begun) >= patience.total {
            return ScanEnd::TimeOver;
        }
    }
    ScanEnd::TimeOver
}

/// What came of one offer.
enum Tried {
    /// It was applied, with these changes.
    Applied(Vec<String>),
    /// The service wants to be asked after so long.
    Later(Duration),
    /// Nothing.
    NoHelp,
}

/// Fetches, checks and applies one offer.
fn try_offer(
    world: &mut dyn World,
    offer: &Offer,
    machine: &Machine<'_>,
    refused: &mut BTreeSet<(String, words::Refusal)>,
) -> Tried {
    let id = &offer.id;
    world.say(&format!("remediation {id}: offered"));
    let envelope = match world.manifest(offer) {
        Ok(envelope) => envelope,
        Err(NoAnswer { why, again_after }) => {
            world.say(&format!("remediation {id}: cannot be fetched: {why}"));
            return again_after.map_or(Tried::NoHelp, Tried::Later);
        }
    };
    let seen = world.seen(id);
    let now = world.now();
    let applied = remediation::verify(&envelope, offer, machine, seen, now).and_then(|manifest| {
        world.say(&format!("remediation {id}: verified, applying"));
        world.apply(&manifest)
    });
    let applied = match applied {
        Ok(applied) => applied,
        Err(refusal) => {
            world.say(&format!("remediation {id}: refused: {refusal}"));
            // Said once for each reason, however often it is offered; again where nobody heard it.
            let said = (id.clone(), refusal.word);
            if !refused.contains(&said) && world.report(id, Told::Refused(&refusal)) {
                refused.insert(said);
            }
            return Tried::NoHelp;
        }
    };
    for change in &applied.changes {
        world.say(&format!("remediation {id}: {change}"));
    }
    let failure = match applied.failure {
        Some(failure) => failure,
        None if applied.changes.is_empty() => "nothing matched its actions".to_owned(),
        None => {
            world.say(&format!("remediation {id}: applied"));
            world.report(id, Told::Applied(&applied.changes));
            return Tried::Applied(applied.changes);
        }
    };
    world.say(&format!("remediation {id}: failed: {failure}"));
    world.report(id, Told::Failed(&failure, &applied.changes));
    Tried::NoHelp
}

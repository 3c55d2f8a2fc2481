//! Who is suspect, and why.
//!
//! Each rule adds reasons to a suspect; a reason has a weight, and a suspect's rank is the sum of its reasons'. The
//! weights only order what is shown: a rule that rests on what every start needs outweighs one that rests on a dump, and
//! that outweighs a change that merely came before.

mod blamed;
mod changed;
mod list;
mod structure;

use crate::changes::Change;
use crate::statement::Stop;

pub(crate) use list::Suspects;
pub use list::{Reason, Suspect, Weight};

/// What the rules look at.
pub(crate) struct Scene<'a> {
    pub(crate) inspection: &'a inspect::Inspection,
    pub(crate) traces: &'a inspect::traces::Traces,
    /// Stops that are not known to be over.
    pub(crate) stops: &'a [Stop],
    pub(crate) changes: &'a [Change],
    /// The first failure that is known.
    pub(crate) first: Option<Failure>,
    /// The last start failed. Absent: the disk does not tell.
    pub(crate) fails: bool,
}

/// A failure that changes are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    /// By the machine's clock.
    pub(crate) time: jiff::Timestamp,
    /// What it is: `the first stop`.
    pub(crate) words: &'static str,
}

/// All suspects, the first one first. On a disk whose last start was good, only what stands against the next one.
pub(crate) fn suspects(scene: &Scene<'_>) -> Vec<Suspect> {
    let mut all = Suspects::default();
    structure::add(scene, &mut all);
    if !scene.fails {
        let mut ranked = all.ranked();
        ranked.retain(is_structural);
        return ranked;
    }
    blamed::add(scene, &mut all);
    changed::add(scene, &mut all);
    all.ranked()
}

/// Whether a suspect keeps the next start from working by what is on the disk, whatever history says.
pub(crate) fn is_structural(suspect: &Suspect) -> bool {
    suspect.reasons.iter().any(|reason| reason.weight >= Weight(structure::STANDS_AGAINST))
}

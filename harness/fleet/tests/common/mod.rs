//! What the tests of this crate share.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use fleet::{Choice, Outcome, Rollout, load, simulate};

/// A preset with changes.
pub(crate) fn july(changes: &[(&str, &str)]) -> Rollout {
    let changes: Vec<(String, String)> =
        changes.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    load("july-2024", fleet::PRESETS[0].text, &changes).unwrap()
}

/// Plays a plan with the file's first fault.
pub(crate) fn play(rollout: &Rollout, plan: &str, seed: u64, threads: usize) -> Outcome {
    let fault = Some(rollout.fault[0].name.clone());
    let choice = Choice { plan: plan.to_owned(), fault, seed, threads };
    simulate(rollout, &choice).unwrap().outcome
}

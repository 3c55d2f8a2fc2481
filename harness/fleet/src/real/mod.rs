//! Rollouts on real machines.
//!
//! A rollout's clock is declared: when machines ask, how late signals come, how long rings wait. What becomes of a
//! machine that took the update is measured, on a machine that took it. [`play`] puts both together. It is pure: where
//! it has to know what becomes of a machine it says so ([`Step::Needs`]), the caller runs that machine, and plays again.

mod agenda;
mod event;
mod fitted;
mod life;
mod machines;
mod outcome;
mod play;
mod record;
mod text;

pub use event::{Happened, PlayEvent};
pub use fitted::{Figure, compared_with_simulation, fitted};
pub use life::{Break, Ended, Help, Life, LifeKey, Lives, RanOn};
pub use outcome::{
    Cast, Fate, MachineRun, Measured, REAL_OUTCOME_FORMAT, RealOutcome, RealRing, StoppedBy,
};
pub use play::{Play, PlayError, Step, play};
pub use record::{PlayRecord, RECORD_FORMAT, RecordError};
pub use text::render_plays;

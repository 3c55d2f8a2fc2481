//! Why a Windows does not start, from its disk alone.
//!
//! [`diagnose`] is pure: it takes what the crate `inspect` read ([`inspect::Inspection`], [`inspect::traces`]) and
//! puts it in the order in which a support engineer would look: last starts, stops, what changed shortly before the
//! first of them, what recovery tried, whether recovery can work at all, and who is suspect, with the repair that the
//! layer `host-repair` could do.
//!
//! Nothing is guessed silently: each [`Statement`] names the file, the record or the key that it is taken from, and a
//! suspect is ranked by its reasons, which are all shown.

mod changes;
mod condition;
mod diagnose;
mod recovery;
mod render;
mod repairs;
mod reproduction;
mod statement;
mod stops;
mod suspects;

pub use condition::Condition;
pub use diagnose::{DIAGNOSIS_FORMAT, Diagnosis, diagnose};
pub use render::render;
pub use reproduction::{NoReproduction, Reproduction, reproduction};
pub use statement::{Statement, Stop};
pub use suspects::{Reason, Suspect, Weight};

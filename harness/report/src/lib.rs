//! What a run came to, for people and for programs.
//!
//! The engine hands over what [`timeline::derive`] made of a run's events. Four things are made of it:
//!
//! - [`compare`] holds the outcome against its reference, a file in `insta`'s `.snap` format beside the
//!   scenario. A difference is written as a pending reference, keyed by the run, which [`accept`] takes.
//! - [`render_timeline`] shows the boots, what happened between them and what came of it in a terminal.
//!   What came again as it was is counted, not told again.
//! - [`summary`] is the document that `run --json` prints.
//! - [`proof_table`] is what `fault prove` came to.
//!
//! Nothing here decides anything: verdicts are the timeline's. Text that came from a guest is escaped
//! before it reaches a terminal.

mod happenings;
mod json;
mod proof;
mod reference;
mod snapshot;
mod style;
mod terminal;
mod text;

pub use json::{
    BootSummary, ComparisonSummary, ImageSummary, RunIdentity, SUMMARY_FORMAT, StopSummary,
    Summary, summary,
};
pub use proof::{Proof, Reversed, consequence, proof_table};
pub use reference::{
    AcceptError, Accepted, Comparison, Diff, Pending, ReferenceError, accept, compare, pending_in,
    pending_of,
};
pub use style::Style;
pub use terminal::{expectation_lines, render_timeline};

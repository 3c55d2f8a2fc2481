//! What a run came to, for people and for programs.
//!
//! The engine hands over what [`timeline::derive`] made of a run's events. These are made of it:
//!
//! - [`compare`] holds the outcome against its reference, a file in `insta`'s `.snap` format beside the
//!   scenario. A difference is written as a pending reference, keyed by the run, which [`waiting`] shows, [`accept`]
//!   takes and [`reject`] takes away.
//! - [`render_timeline`] shows the boots, what happened between them and what came of it in a terminal.
//!   What came again as it was is counted, not told again.
//! - [`summary`] is the document that `run --json` prints.
//! - [`changes`] says in words what differs from the reference, [`compare_runs`] between two runs.
//! - [`junit`], [`markdown`] and [`annotations`] are what pipelines take in.
//! - [`page`] shows all of it to somebody who never saw the command: one file of HTML.
//! - [`Matrix`] is what saves a machine from what: incidents against layers.
//! - [`repeated`] counts the outcomes of several runs of one scenario and says whether it is flaky; [`Circumstances`] go
//!   with a scenario into every report.
//! - [`merge_json`] and [`merge_junit`] put together what several machines left that shared a list.
//! - [`Trend`] is kept runs by date.
//! - [`proof_table`] is what `fault prove` came to.
//!
//! Nothing here decides anything: verdicts are the timeline's. Text that came from a guest is escaped
//! before it reaches a terminal.

mod changes;
mod circumstances;
mod comparison;
mod happenings;
mod html;
mod json;
mod matrix;
mod merge;
mod pictures;
mod pipeline;
mod proof;
mod reference;
mod repeat;
mod snapshot;
mod style;
mod system_log;
mod terminal;
mod text;
mod trend;
mod waiting;

pub use changes::changes;
pub use circumstances::{Circumstances, HostFailure, ListPlace, Quarantined, counted};
pub use comparison::{Parting, RunsCompared, Step, Times, compare_runs, render_comparison};
pub use html::page;
pub use json::{
    BootSummary, ComparisonSummary, ForcedStopSummary, ImageSummary, RunIdentity, SUMMARY_FORMAT,
    StopSummary, Summary, summary,
};
pub use matrix::{
    Cell, MATRIX_FORMAT, Matrix, MatrixError, Measured, matrix_markdown, matrix_page,
};
pub use merge::{MergeError, Merged, merge_json, merge_junit};
pub use pictures::{Shown, pictures};
pub use pipeline::{Came, Case, Picture, Ran, Standing, annotations, junit, markdown};
pub use proof::{Proof, Reversed, consequence, proof_table};
pub use reference::{
    AcceptError, Accepted, Comparison, Diff, Pending, ReferenceError, accept, check_reference,
    compare, compare_aside, difference, pending_in, pending_of,
};
pub use repeat::{Flaky, OutcomeCount, Repeat, Repeated, Turn, repeated};
pub use style::Style;
pub use terminal::{expectation_lines, render_timeline};
pub use trend::{DayOfRuns, KeptRun, PointInTime, Series, Trend, render_trend, trend_page};
pub use waiting::{Waiting, reject, waiting};

//! From events to an outcome, and nothing else.
//!
//! This crate is pure: it opens no file, knows no hypervisor, and never looks at a clock. The engine
//! feeds it the events of a run, live or from a recorded `events.jsonl`; it answers with the boots, the
//! loop verdict and the canonical outcome, always the same for the same events.
//!
//! The way through it:
//!
//! 1. Whoever touches the world emits an [`Observation`] into a [`Sink`]; the engine stamps it, appends
//!    it to `events.jsonl` ([`write_event`], read again by [`read_events`]) and feeds the [`Event`] to a
//!    [`Watcher`].
//! 2. The watcher is the state machine of a run: it opens and closes [`Boot`]s, gathers the witnesses of
//!    every [`Stop`], watches the recovery [`Layer`]s, and says as soon as nothing can change the verdict
//!    any more ([`Watcher::conclusion`]). From that event on the machine's doings no longer count, so
//!    that the outcome does not depend on how fast the harness stops it.
//! 3. The engine stops the machine and reads its disk: dumps, changed files, the user's data. These are
//!    events too, and the last ones.
//! 4. [`derive()`] (or [`Watcher::derive`] on the same watcher) gives the [`Timeline`] for people, with
//!    its [`Expectation`] judged, the [`Outcome`] for comparison, and the [`Measurements`] for budgets.
//!
//! Time decides nothing here. Where it must (has the machine stayed healthy long enough, is it silent),
//! the engine says so by one of the [`steps`].

mod boot;
mod conclusion;
mod derive;
mod drivers;
mod event;
mod expectation;
mod findings;
mod fold;
mod layers;
mod log;
mod loops;
mod measure;
mod moment;
mod outcome;
mod screen;
pub mod steps;
mod stop;
mod system_log;
mod verdict;
mod witness;

pub use boot::{Boot, BootErrorSeen, BootKind, Cause, End, Evidence, PhaseReached};
pub use conclusion::Conclusion;
pub use derive::{Beginning, Derived, Timeline, derive};
pub use drivers::{BroughtDriver, DriverOutcome, DriverState};
pub use event::*;
pub use expectation::{Expectation, ExpectedStop, Unmet};
pub use findings::Dump;
pub use fold::{ForcedStop, Happening, NMI_HARDWARE_FAILURE, OwnStart, RESET_BURST, Watcher, What};
pub use layers::{Change, LayerOutcome, Scans};
pub use log::{ReadError, Record, WriteError, read_events, write_event};
pub use loops::{Loop, find_loop, rows};
pub use measure::{BootMeasurements, MEASUREMENTS_FORMAT, Measurements, PhaseMeasurement};
pub use moment::{Micros, Moment};
pub use outcome::{
    BootOutcome, CanaryOutcome, DiskChangeOutcome, DumpOutcome, ExpectationOutcome, ImageOutcome,
    LoopOutcome, OUTCOME_FORMAT, Outcome, OutcomeError, StopOutcome,
};
pub use screen::{Certainty, Screen, ScreenKind, ScreenStop};
pub use steps::{INJECT, LAYER, POWER_CYCLE, SETTLED, SILENT};
pub use stop::{
    Access, DumpSeen, NotAStopCode, PanicSeen, PictureSeen, Signature, Stop, StopCode, StopLineSeen,
};
pub use system_log::{LogEntry, Logged};
pub use witness::{LinePattern, Witness};
pub use words::{Layer, LayerResult, NotALayer, Refusal, ServiceAnswer, Touch, Verdict};

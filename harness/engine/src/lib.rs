//! Plan and run: from a scenario to the record of what came of it.
//!
//! A [`Session`] is what all runs of one command share: the connection to the hypervisor, the image store,
//! the certificate authority. [`Session::run`], [`Session::prove`] and [`Session::detectors`] take scenarios
//! through their whole lives, which are begun and finished in one place (`runs`):
//!
//! 1. [`Plan`]: what will be done, decided before a machine exists. Pure.
//! 2. Staging: what the scenario gives is put on a fresh overlay of the image, offline, and read back. Or
//!    the machine is forked from a RAM checkpoint in which all that is already up and healthy.
//! 3. The machine runs, plugged into its network with the scenario's services. [`Recorder`] turns every
//!    observation into a line of `events.jsonl`; the watch waits on what the timeline makes of them.
//! 4. Faults that come while the machine is up go through the guest agent.
//! 5. Where it would be given up and the scenario says so, its disk is repaired from the host.
//! 6. When the timeline has its conclusion the machine is switched off and its disk is read.
//! 7. Outcome, measurements and summary are derived from the events and written to the [`RunDir`].
//!
//! Everything that must not outlive a run is in its ledger first, and what is left nevertheless is known to
//! the session when it is closed; [`clean`] works through the ledgers of a harness that was killed. An
//! [`Interrupt`] ends all of it before its time.

mod cleanup;
mod error;
mod evidence;
mod host_disk;
pub mod intake;
mod machine;
mod offline;
mod planned;
mod preflight;
mod record;
mod runs;
mod session;
mod state_dir;
mod tasks;

pub use cleanup::{CleanReport, Cleaned, CleanedRun, Entry, Leak, LedgerError, Ledgers, clean};
pub use error::RunError;
pub use machine::Wait;
pub use offline::stage_for_hand;
pub use planned::{
    Done, ImageUsed, OfflineEdits, PLAN_FORMAT, PlanOptions, ReferenceUsed, RunPlan, Rung,
    WhileItRuns, plan_run,
};
pub use preflight::{
    Lack, NotApplicable, NotApplicableSummary, Plan, PlanInputs, what_speaks_against,
};
pub use record::{
    Progress, RUN_FORMAT, RecordError, Recorder, ReplayError, Replayed, RunDir, RunDirError, RunId,
    RunRecord, RunStatus, Status, StatusSink, recorded_case, replay,
};
pub use runs::{
    DETECTORS_FORMAT, Detector, DetectorReport, DetectorResult, ExitStatus, Reliance, RunOptions,
    RunResult, pending_references, reference_path,
};
pub use session::{HostFacts, LeftBehind, Session, SessionOptions};
pub use state_dir::{StateDir, StateError};
pub use tasks::{EndsEarly, Interrupt, InterruptRaiser};

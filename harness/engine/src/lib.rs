//! Plan and run: from a scenario to the record of what came of it.
//!
//! A [`Session`] is what all runs of one command share: the connection to the hypervisor, the image store,
//! the certificate authority. [`Session::run`], [`Session::prove`] and [`Session::detectors`] take scenarios
//! through their whole lives, which are begun and finished in one place (`life`):
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

mod agent;
mod arm;
mod bring_up;
mod caught;
mod clean;
mod collect;
mod detectors;
mod drive;
mod drivers;
mod error;
mod fuses;
mod host_disk;
mod ids;
pub mod intake;
mod interrupt;
mod jobs;
mod ledger;
mod life;
mod offline;
mod plan;
mod prepare;
mod prove;
mod provoke;
mod qualification;
mod ready;
mod recorder;
mod remediation;
mod repair;
mod replay;
mod result;
mod reversal;
mod run;
mod rundir;
mod session;
mod sight;
mod state;
mod status;
mod storage;
mod surroundings;
mod trust;
mod watch;

pub use clean::{CleanReport, CleanedRun, clean};
pub use detectors::{DETECTORS_FORMAT, Detector, DetectorReport, DetectorResult, Reliance};
pub use error::RunError;
pub use ids::RunId;
pub use interrupt::{EndsEarly, Interrupt, InterruptRaiser};
pub use ledger::{Cleaned, Entry, Leak, LedgerError, Ledgers};
pub use plan::{Ground, Plan};
pub use prepare::stage_for_hand;
pub use recorder::{Progress, RecordError, Recorder};
pub use replay::{ReplayError, Replayed, replay};
pub use result::ExitStatus;
pub use run::{RunOptions, RunResult, reference_path};
pub use rundir::{RUN_FORMAT, RunDir, RunDirError, RunRecord, RunStatus};
pub use session::{HostFacts, LeftBehind, Session, SessionOptions};
pub use state::{StateDir, StateError};
pub use status::{Status, StatusSink};

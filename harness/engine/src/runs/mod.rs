//! What a session does with scenarios: runs, proofs of faults, and the detectors of an image.

mod detectors;
mod execute;
mod exit_status;
mod lifecycle;
mod prove;
mod references;
mod run;

pub use detectors::{DETECTORS_FORMAT, Detector, DetectorReport, DetectorResult, Reliance};
pub use execute::RunOptions;
pub use exit_status::ExitStatus;
pub use references::{pending_references, reference_path};
pub use run::RunResult;

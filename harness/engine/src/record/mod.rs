//! The record of a run: its directory, its events, and where it stands while it is under way.

mod case;
mod frame_reader;
mod recorder;
mod replay;
mod run_dir;
mod run_id;
mod status;

pub use case::recorded_case;
pub use recorder::{Progress, RecordError, Recorder};
pub use replay::{ReplayError, Replayed, replay};
pub(crate) use run_dir::{CAPTURE, CAPTURE_OF_THE_BEGINNING};
pub use run_dir::{RUN_FORMAT, RunDir, RunDirError, RunRecord, RunStatus};
pub use run_id::RunId;
pub(crate) use status::Reporter;
pub use status::{Status, StatusSink};

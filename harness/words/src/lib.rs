//! The words that several crates share, so that each is said once.
//!
//! - [`CheckName`]: what an image can do. A scenario needs it, an inspection answers it.
//! - [`Layer`], [`LayerResult`]: a rung of the recovery ladder, and what came of it. A scenario expects it, a timeline
//!   sees it.
//! - [`Verdict`], [`ServiceAnswer`]: what became of a machine, and how far it came with the update service. A scenario
//!   expects them, a timeline finds them.
//! - [`Refusal`]: why a machine does not take a remediation. A machine reports it, a timeline keeps it.
//! - [`WindowsPath`], [`PayloadPath`], [`WindowsBuild`]: where on a machine, which of them a remediation may name, and
//!   which Windows that is.
//! - [`Touch`]: whose hands a layer needs.
//! - [`ImageLine`]: which line of systems an image is of. References are found by it.
//! - [`Span`]: a length of time, as people write it.
//! - [`escaped`]: text of a guest, fit to be shown.
//! - [`Guid`], [`FileTime`]: as Windows stores them, in partition tables, file systems, hives and boot stores.

mod check_name;
pub mod escape;
mod file_time;
mod guid;
mod image_line;
mod layer;
mod refusal;
mod service_answer;
mod span;
mod touch;
mod verdict;
mod windows_build;
mod windows_path;

pub use check_name::{CheckName, NoSuchCheck};
pub use escape::escaped;
pub use file_time::FileTime;
pub use guid::{Guid, NotAGuid};
pub use image_line::{ImageLine, NotALine};
pub use layer::{Layer, LayerResult, NotALayer};
pub use refusal::Refusal;
pub use service_answer::ServiceAnswer;
pub use span::Span;
pub use touch::Touch;
pub use verdict::Verdict;
pub use windows_build::{NotABuild, WindowsBuild};
pub use windows_path::{PayloadPath, WindowsPath};

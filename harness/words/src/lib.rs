//! The words that several crates share, so that each is said once.
//!
//! - [`CheckName`]: what an image can do. A scenario needs it, an inspection answers it.
//! - [`Layer`]: a rung of the recovery ladder. A scenario expects it, a timeline sees it.
//! - [`Touch`]: whose hands it needs.
//! - [`ImageLine`]: which line of systems an image is of. References are found by it.
//! - [`escaped`]: text of a guest, fit to be shown.
//! - [`Guid`], [`FileTime`]: as Windows stores them, in partition tables, file systems, hives and boot stores.

mod check_name;
pub mod escape;
mod file_time;
mod guid;
mod image_line;
mod layer;
mod touch;

pub use check_name::{CheckName, NoSuchCheck};
pub use escape::escaped;
pub use file_time::FileTime;
pub use guid::{Guid, NotAGuid};
pub use image_line::{ImageLine, NotALine};
pub use layer::{Layer, NotALayer};
pub use touch::Touch;

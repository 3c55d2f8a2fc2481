//! The words that several crates share, so that each is said once.
//!
//! - [`CheckName`]: what an image can do. A scenario needs it, an inspection answers it.
//! - [`Guid`], [`FileTime`]: as Windows stores them, in partition tables, file systems, hives and boot stores.

mod check_name;
mod file_time;
mod guid;

pub use check_name::{CheckName, NoSuchCheck};
pub use file_time::FileTime;
pub use guid::{Guid, NotAGuid};

//! Checking a volume against itself: all of it, or what was changed.
//!
//! `file` and `index` say how one file and one index must be, for both. `whole` looks at every record.
//! `changes` looks at what a session of edits changed; `clusters`, `names` and `views` are its parts.

mod changes;
mod clusters;
#[cfg(test)]
mod damages;
mod file;
mod index;
mod names;
#[cfg(test)]
mod tests;
mod views;
mod whole;

pub(super) use changes::{MAX_RECORDS, check_changes};

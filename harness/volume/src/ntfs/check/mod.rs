//! Checking a volume against itself.
//!
//! `file` and `index` say how one file and one index must be. `whole` looks at every record.

mod file;
mod index;
mod whole;

//! The log of NTFS (`$LogFile`), and how a volume is brought to where it says that it is.
//!
//! Bottom up: `restart` (whether there is anything to do), `pages`, `records` (the log as a row of records), `tables`
//! (what a checkpoint says), `operation` and `apply` (what a record does), `analysis` (first pass), `replay` (second
//! and third), `recover` (all of it on a volume: in memory, checked, written).
//!
//! Everything that is not understood refuses the whole of it, and nothing is written: a volume that is not replayed
//! loses nothing, one that is replayed wrongly loses files. Formats and sources: docs/windows-facts.md, "NTFS log".

mod analysis;
mod apply;
mod operation;
mod pages;
mod records;
mod recover;
mod replay;
mod restart;
mod tables;

pub(super) use restart::LogState;

//! Recorded runs through the whole crate: fixtures/*.jsonl are streams of events as a run records them.
//! Those named recorded-*.jsonl are what real runs on the understudy recorded; the others are written by
//! hand after the contract.

mod expectations;
mod forced_stop;
mod ladder;
mod outcomes;
mod pictures;
mod properties;
mod recordings;
mod records;
mod support;
mod system_log;
mod variations;

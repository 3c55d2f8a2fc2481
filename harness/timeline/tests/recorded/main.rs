//! Recorded runs through the whole crate: fixtures/*.jsonl are streams of events as a run records them,
//! written by hand after the contract; real recordings join them.

mod outcomes;
mod properties;
mod records;
mod support;
mod variations;

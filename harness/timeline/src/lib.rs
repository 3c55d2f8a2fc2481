//! From events to an outcome, and nothing else.
//!
//! This crate is pure: it opens no file, knows no hypervisor, and never looks at a clock. The engine
//! feeds it the events of a run, live or from a recorded `events.jsonl`; it answers with the boots, the
//! loop verdict and the canonical outcome, always the same for the same events.

mod event;

pub use event::*;

//! The recovery ladder: what each layer needs on a machine, and where it leaves its traces.
//!
//! [`timeline::Layer`] has the names. Whether a layer was tried in a run, and what came of it, is for
//! the `timeline` crate to derive from events; here is what the engine must know before (settings) and
//! after (files to fetch from the disk). A layer has a module when the harness can work it.

pub mod automatic_repair;
pub mod quick_machine_recovery;

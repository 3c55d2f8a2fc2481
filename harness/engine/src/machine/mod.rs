//! A machine from power-on to its end: started, watched, with faults injected, repaired and switched off.

mod beginning;
mod cable;
mod context;
mod control_error;
mod controller;
mod faults;
mod forced_stop;
mod healthy_start;
mod in_common;
mod layers;
mod limits;
mod machine_clock;
mod services;
mod shutdown;
mod spec;
mod starting_point;
mod watch;

pub(crate) use context::RunContext;
pub(crate) use controller::MachineController;
pub(crate) use faults::{NetworkFaults, agent_commands};
pub(crate) use in_common::Beginnings;
pub use limits::Wait;
pub(crate) use limits::waits;
pub(crate) use spec::Places;
pub(crate) use starting_point::StartingPoint;
pub(crate) use watch::Watch;

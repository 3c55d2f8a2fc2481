//! The faults that a machine meets once it exists: each kind in its own way, all injected in one place.

pub(crate) mod agent_commands;
pub(super) mod guest_agent;
mod inject;
mod network;
mod power;
mod storage;

pub(crate) use network::NetworkFaults;
pub(super) use power::{PowerFaults, PowerLoss};

//! The guest agent: QEMU's guest-agent protocol on a virtio serial port, with Windows paths.
//!
//! It says honestly what it is: `guest-get-osinfo` names the understudy, not Windows.

mod commands;
mod exec;
mod files;
mod frame;
mod output;
mod probe;
mod reply;
mod serve;
#[cfg(test)]
mod tests;

pub use commands::{Agent, Answer, Wish};
pub use exec::EndProcess;
pub use serve::{AgentError, find_port, serve};

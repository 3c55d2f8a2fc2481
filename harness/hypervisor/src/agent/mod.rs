//! The guest agent: what the harness may ask a running Windows to do ([`GuestAgent`]), the protocol on
//! the wire, and the channel that speaks it.

mod channel;
mod contract;
mod protocol;

pub(crate) use channel::{AgentChannel, GuestState};
pub use contract::{
    AgentError, AgentInfo, ExecResult, GuestAgent, OsInfo, ShutdownMode, WriteProof,
};

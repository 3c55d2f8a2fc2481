//! Guests' volumes, parsed in a process of their own.
//!
//! What is on a disk comes from a machine that a fault has hit, or from someone else's image. A parser of
//! it that could be led astray must not hold the harness's rights: so `loopbreak-volumes`, started for
//! each opened disk, does the parsing behind a fence (`fence`), and the harness asks it.
//!
//! - `process`: the program. `fence`: what it cannot do. `attempt`: the tests of that. `server`: its work.
//! - `frame`, `protocol`: what goes over the socket between the two. The worker is not trusted either:
//!   what it sends is bounded and checked.
//! - `connection`: the harness's side. `remote`: a [`volume::Volume`] over it.

mod attempt;
mod connection;
mod fence;
mod frame;
mod process;
mod protocol;
mod remote;
mod server;
#[cfg(test)]
mod tests;

pub(crate) use connection::Worker;
pub use connection::WorkerError;
pub use process::volumes_main;
pub(crate) use protocol::{Answer, EXPORT, Found, Reader, Request, Scope, Survey, Surveyed};
pub(crate) use remote::RemoteVolume;

//! The remediation service on its own: for machines on a real network, for load tests, for whoever writes a client.
//!
//! [`Server`] listens, [`Folder`](folder::Folder) is what it has to offer, [`Watch`](watch::Watch) tells it that the
//! folder has changed, [`Metrics`](metrics::Metrics) counts. What it answers is decided where it is for the machines of
//! a run: in [`RemediationService`](crate::RemediationService).

mod error;
mod folder;
mod metrics;
mod server;
mod watch;

pub use error::ServeError;
pub use server::{ServeConfig, Server};

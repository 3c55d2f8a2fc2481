//! The recovery environment: Startup Repair, and Quick Machine Recovery with its update service.
//!
//! [`run`] is the whole course. What is decided is pure and apart from what touches the world:
//! `scan` (when to ask, what to try), `remediation` (what may be believed), `startup_repair` (what is
//! wrong); `repair`, `service`, `apply`, `seen` and `crash` are the hands, eyes and memory.

mod apply;
mod crash;
mod remediation;
mod repair;
mod run;
mod scan;
mod seen;
#[cfg(test)]
mod served;
mod service;
mod startup_repair;
#[cfg(test)]
mod tests;

pub use crash::CrashSignature;
pub use run::run;
pub(crate) use service::client;

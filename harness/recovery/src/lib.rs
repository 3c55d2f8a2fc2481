//! What the harness lends to the recovery stack of a machine.
//!
//! - [`Authority`] is the harness's own certificate authority. Staging puts its [`Trust`] into the
//!   machine's certificate stores; the same state directory always has the same authority, so sealed
//!   images and RAM checkpoints stay valid.
//! - [`RemediationService`] plays the update service of Quick Machine Recovery: the engine makes one
//!   for each machine from the scenario, hands [`RemediationService::network_service`] to the machine's
//!   [`network::Network`], and from then on every request is an event of the run
//!   ([`timeline::Body::Service`], service `remediation`) and a line in the remediation log.
//!
//! ```no_run
//! # use std::path::Path;
//! # use network::{Network, NetworkConfig, NetworkHandle};
//! # use recovery::{Authority, RemediationConfig, RemediationService};
//! # fn start(state: &Path, run: &Path, sink: timeline::Sink) -> Result<NetworkHandle, Box<dyn std::error::Error>> {
//! let authority = Authority::open_or_create(&state.join("authority"))?;
//! let config = RemediationConfig {
//!     host: "update.loopbreak.test".into(),
//!     remediations: Vec::new(),
//!     clock: jiff::Timestamp::now(),
//!     log: run.join("recovery/remediation.jsonl"),
//!     limits: recovery::Limits::MACHINE,
//! };
//! let service = RemediationService::new(config, &authority, sink.clone())?;
//! let services = vec![service.network_service()];
//! let cable = NetworkConfig::new(run.join("net.sock"), run.join("net.pcapng"), services);
//! Ok(Network::start(cable, sink)?)
//! # }
//! ```
//!
//! - [`Server`] is the same service on its own, with a folder of remediations, for `loopbreak serve remediation`.
//! - [`ContentService`] plays the vendor from whom a sensor's updater fetches content.
//! - [`CaptivePortal`] plays the page that wants a login before anything else on a network.
//! - [`Trouble`] is what can go wrong at a service.
//! - [`LayerInfo`] says what each rung of the ladder is, for people.
//!
//! # The protocol
//!
//! Modelled: the real one is not public. JSON over HTTPS, under `/recovery/v1/`:
//!
//! | request | answer |
//! |---|---|
//! | `POST scan` with crash signature, build and group | the remediations that are published for it, each with its counter |
//! | `GET manifest/<id>` | a [`SignedManifest`]: payload, signature, certificate |
//! | `POST report` with what was done, or why not | 204 |
//!
//! Where the service cannot answer, 503 or 429, perhaps with `Retry-After`. A [`Manifest`] says for which machines it
//! is, until when, and as which number of its remediation: a machine refuses one that is over, and one that is older
//! than what was offered or than what it has seen.
//!
//! `messages` reads what a machine says; `protocol` is the state machine behind it, a pure function of state and request; `service` is the
//! TLS and HTTP around it. A machine's words are hostile: bodies, facts and the number of requests are
//! bounded.

mod authority;
mod content;
mod declared;
mod download;
mod ladder;
mod log;
pub mod manifest;
pub mod messages;
mod portal;
pub mod protocol;
mod remediation;
mod routes;
mod serve;
pub mod service;
mod service_error;
mod signer;
mod signing;
mod throttle;
mod tls;
mod trouble;

pub use authority::{Authority, AuthorityError, ServerIdentity, Trust, Validity};
pub use content::{ContentConfig, ContentService};
pub use ladder::{LayerInfo, explain_layer};
pub use log::{LOG_FORMAT, LogError};
pub use manifest::{Action, Builds, Manifest, SignedManifest, Target};
pub use portal::CaptivePortal;
pub use protocol::Availability;
pub use remediation::{Release, Remediation, SignedBy};
pub use serve::{ServeConfig, ServeError, Server};
pub use service::{Limits, RemediationConfig, RemediationService, SERVICE};
pub use service_error::ServiceError;
pub use signer::Signer;
pub use trouble::Trouble;

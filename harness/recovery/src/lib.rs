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
//! };
//! let service = RemediationService::new(config, &authority, sink.clone())?;
//! let services = vec![service.network_service()];
//! let cable = NetworkConfig::new(run.join("net.sock"), run.join("net.pcapng"), services);
//! Ok(Network::start(cable, sink)?)
//! # }
//! ```
//!
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
//! | `POST scan` with the crash signature | the remediations that are published for it |
//! | `GET manifest/<id>` | a [`SignedManifest`]: payload, signature, certificate |
//! | `POST report` with what was done | 204 |
//!
//! `protocol` is the state machine behind it, a pure function of state and request; `service` is the
//! TLS and HTTP around it. A machine's words are hostile: bodies, facts and the number of requests are
//! bounded.

mod authority;
mod content;
mod download;
mod ladder;
mod log;
pub mod manifest;
mod portal;
pub mod protocol;
pub mod service;
mod service_error;
mod signer;
mod tls;
mod trouble;

pub use authority::{Authority, AuthorityError, ServerIdentity, Trust, Validity};
pub use content::{ContentConfig, ContentService};
pub use ladder::{LayerInfo, explain_layer};
pub use log::{LOG_FORMAT, LogError};
pub use manifest::{Action, Manifest, SignedManifest, Target};
pub use portal::CaptivePortal;
pub use protocol::Availability;
pub use service::{Remediation, RemediationConfig, RemediationService, SignedBy};
pub use service_error::ServiceError;
pub use signer::Signer;
pub use trouble::Trouble;

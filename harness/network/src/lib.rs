//! The harness is the network.
//!
//! A machine's only cable ends here. QEMU connects its `-netdev stream` to the Unix socket of a
//! [`Network`]; every frame of the machine comes to one tokio task, and whatever that task does not
//! answer does not exist for the machine. So isolation is by construction: there is no route to the
//! host, to another machine or to the world, no TCP port is opened on the host, and no privilege is
//! needed.
//!
//! # The way of a frame
//!
//! ```text
//! QEMU <-> socket <-> frame -> capture -> filter -> dhcp, dns             (functions on bytes)
//!                                               -> stack (TCP) <-> Handler of a Service
//!                                               -> refusals -> timeline events
//! ```
//!
//! - `frame` cuts the stream into frames, with a bound.
//! - `capture` writes every frame of both directions to a pcapng file, the refused ones too.
//! - `filter` decides on bytes what may pass. Everything else is dropped without an answer and told as
//!   [`timeline::Body::Refused`], at the first time and at every power of ten.
//! - `dhcp` leases the one address, `dns` knows the hosts of the services. A name that it does not know
//!   is answered with `NXDOMAIN` and told as refused, protocol `dns`.
//! - `stack` is smoltcp with the harness's address and the services' ports. Each connection that a
//!   machine opens is handed to the [`Handler`] of its [`Service`] as a stream in memory.
//!
//! Bounds, because a machine is hostile: a frame has at most 64 KiB, a service at most 64 connections at
//! once (the next is reset), a capture at most 256 MiB ([`Report::uncaptured`] counts what came after), and
//! 512 different refusals are kept apart. A machine that does not take its frames is not heard until it
//! does; a service that does not read holds its machine back by the TCP window.
//!
//! The engine makes one [`Network`] for each machine before it starts or restores it, and calls
//! [`NetworkHandle::stop`] after the machine is gone. QEMU may leave and come again (a restart, a
//! restore); each time the TCP stack starts afresh.
//!
//! # What a scenario can do to it
//!
//! [`Conditions`]: no link, no addresses, no names or wrong ones, a captive portal, latency, loss, services
//! that are down. They hold from the moment on in which they are set ([`NetworkHandle::conditions`] reads
//! them back), and what meets one of them is told as refused, with the trouble as its protocol.

mod cable;
mod capture;
mod conditions;
mod device;
mod dhcp;
mod dns;
mod filter;
mod frame;
mod line;
mod network;
mod plan;
mod refusals;
mod reset;
mod service;
mod stack;
mod stop_error;

pub use cable::Report;
pub use capture::CaptureError;
pub use conditions::{Conditions, Loss, Names};
pub use network::{Network, NetworkConfig, NetworkHandle, StartError};
pub use plan::AddressPlan;
pub use service::{Connection, Handler, Service, Serving};
pub use stop_error::StopError;

//! The session: what runs once the kernel is up. Network, services in order, guest agent, and the
//! word that the start was good.

mod dhcp;
mod network;
mod services;

pub use dhcp::{DhcpError, Lease};
pub use network::{NetworkError, bring_up};
pub use services::start_services;

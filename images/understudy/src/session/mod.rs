//! The session: what runs once the kernel is up. Updates that are half done, system processes, network,
//! services in order, guest agent, and the word that the start was good.

mod dhcp;
mod network;
pub mod processes;
mod services;
pub mod servicing;
mod updater;
mod user_mode;

pub use dhcp::{DhcpError, Lease};
pub use network::{NetworkError, bring_up};
pub use services::{Services, service_ended};
pub use user_mode::freeze as freeze_services;

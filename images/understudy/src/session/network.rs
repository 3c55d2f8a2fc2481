//! The network of the machine: driver modules, interface, lease, name servers.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::dhcp::{self, DhcpError, Lease};
use crate::sys::{self, Interface, NetifError};

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A driver module is missing or refused.
    #[error(transparent)]
    Module(#[from] sys::ModuleError),
    /// The machine has no network card that the kernel knows.
    #[error("no network card was found; give the machine a virtio one")]
    NoCard,
    /// The interface refused.
    #[error(transparent)]
    Interface(#[from] NetifError),
    /// No lease.
    #[error(transparent)]
    Dhcp(#[from] DhcpError),
    /// The name servers could not be written down.
    #[error("cannot write /etc/resolv.conf: {0}")]
    Resolver(std::io::Error),
}

/// Brings the network up. Waits for the link and the lease no longer than `limit`.
pub fn bring_up(host_name: &str, limit: Duration) -> Result<Lease, NetworkError> {
    for module in ["failover", "net_failover", "virtio_net"] {
        sys::load_module(module)?;
    }
    let interface = sys::wait_until(limit.min(Duration::from_secs(3)), Interface::first)
        .ok_or(NetworkError::NoCard)?;
    interface.up()?;
    let lease = dhcp::request(&interface, host_name, limit)?;
    interface.set_address(lease.address, lease.mask)?;
    if let Some(router) = lease.router {
        interface.set_default_route(router)?;
    }
    fs::create_dir_all("/etc").map_err(NetworkError::Resolver)?;
    fs::write("/etc/resolv.conf", resolv_conf(&lease.name_servers))
        .map_err(NetworkError::Resolver)?;
    Ok(lease)
}

/// The C library's resolver settings. Two tries of two seconds: a scan that waits for names would
/// hide what it waits for.
fn resolv_conf(servers: &[Ipv4Addr]) -> String {
    let mut text = String::from("options timeout:2 attempts:2\n");
    for server in servers.iter().take(3) {
        text += &format!("nameserver {server}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::resolv_conf;

    #[test]
    fn name_servers_are_written_as_the_resolver_reads_them() {
        assert_eq!(
            resolv_conf(&["10.0.2.3".parse().expect("an address")]),
            "options timeout:2 attempts:2\nnameserver 10.0.2.3\n"
        );
    }
}

//! Addresses: who is who on a machine's only cable.

use std::net::Ipv4Addr;

/// The addresses of one machine's network. Every machine has a network of its own, so all of them use
/// the same ones, and a machine that is forked from a RAM checkpoint finds the neighbour that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPlan {
    /// Hardware address of the harness's end. Locally administered.
    pub mac: [u8; 6],
    /// Gateway, DHCP server, DNS server and address of every service.
    pub gateway: Ipv4Addr,
    /// The one address that is leased to the machine.
    pub lease: Ipv4Addr,
    /// An address of the network where nobody is.
    pub nobody: Ipv4Addr,
    /// Length of the network prefix in bits, at most 30.
    pub prefix: u8,
}

impl Default for AddressPlan {
    fn default() -> Self {
        Self {
            mac: [0x52, 0x55, 0x0a, 0x00, 0x02, 0x02],
            gateway: Ipv4Addr::new(10, 0, 2, 2),
            lease: Ipv4Addr::new(10, 0, 2, 15),
            nobody: Ipv4Addr::new(10, 0, 2, 99),
            prefix: 24,
        }
    }
}

impl AddressPlan {
    /// The network mask.
    pub fn mask(&self) -> Ipv4Addr {
        let host_bits = 32_u32.saturating_sub(u32::from(self.prefix));
        Ipv4Addr::from(u32::MAX.checked_shl(host_bits).unwrap_or(0))
    }

    /// The broadcast address of the network.
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.gateway) | !u32::from(self.mask()))
    }

    /// True for an address that a machine may send from: one host of the network, not the harness.
    pub fn is_machine(&self, address: Ipv4Addr) -> bool {
        let (address_bits, mask) = (u32::from(address), u32::from(self.mask()));
        address_bits & mask == u32::from(self.gateway) & mask
            && address != self.gateway
            && address != self.broadcast()
            && address_bits & !mask != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_addresses_are_the_hosts_of_the_network_without_the_harness() {
        let plan = AddressPlan::default();
        assert_eq!(plan.mask(), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(plan.broadcast(), Ipv4Addr::new(10, 0, 2, 255));
        assert!(plan.is_machine(plan.lease));
        assert!(plan.is_machine(Ipv4Addr::new(10, 0, 2, 200)));
        for other in [
            plan.gateway,
            plan.broadcast(),
            Ipv4Addr::new(10, 0, 2, 0),
            Ipv4Addr::new(10, 0, 3, 15),
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::LOCALHOST,
        ] {
            assert!(!plan.is_machine(other), "{other}");
        }
    }
}

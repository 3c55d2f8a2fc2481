//! The filter: what a machine may say, decided on bytes before any stack sees them.
//!
//! Only five things pass: ARP for the harness's address, DHCP, DNS to the harness, TCP to a declared
//! port of the harness, and (unanswered) what a machine announces about its own lease. So isolation
//! does not rest on how the TCP/IP stack is set up.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{
    ArpOperation, ArpPacketSlice, EtherType, Ethernet2Slice, IpNumber, Ipv4Slice, TcpHeaderSlice,
    UdpSlice,
};

use crate::plan::AddressPlan;

/// What to do with a frame from the machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// ARP or TCP for the harness: the stack answers.
    Stack,
    /// A DHCP message.
    Dhcp(&'a [u8]),
    /// A DNS message.
    Dns(Query<'a>),
    /// Reaches for nothing: the machine speaks about its own address.
    Announcement,
    /// Dropped and counted.
    Refused(Refusal),
}

/// A DNS message and where its answer goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query<'a> {
    pub(crate) mac: [u8; 6],
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) message: &'a [u8],
}

/// What was refused, in the words of the event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Refusal {
    pub(crate) protocol: &'static str,
    pub(crate) to: String,
}

fn refused<'a>(protocol: &'static str, to: impl std::fmt::Display) -> Verdict<'a> {
    Verdict::Refused(Refusal { protocol, to: to.to_string() })
}

const BROADCAST: [u8; 6] = [0xff; 6];

/// Judges one frame. `serves` tells whether a TCP port of the harness is declared.
pub(crate) fn judge<'a>(
    frame: &'a [u8],
    plan: &AddressPlan,
    serves: impl Fn(u16) -> bool,
) -> Verdict<'a> {
    let Ok(ethernet) = Ethernet2Slice::from_slice_without_fcs(frame) else {
        return refused("malformed", "a frame without an Ethernet header");
    };
    match ethernet.ether_type() {
        EtherType::ARP => judge_arp(&ethernet, plan),
        EtherType::IPV4 => judge_ipv4(&ethernet, plan, serves),
        EtherType::IPV6 => judge_ipv6(&ethernet),
        other => refused("ethernet", format_args!("type {:#06x}", other.0)),
    }
}

fn judge_arp<'a>(ethernet: &Ethernet2Slice<'a>, plan: &AddressPlan) -> Verdict<'a> {
    let Some(arp) = ArpPacketSlice::from_slice(ethernet.payload_slice())
        .ok()
        .and_then(|packet| packet.to_packet().try_eth_ipv4().ok())
    else {
        return refused("malformed", "an ARP packet that is not Ethernet and IPv4");
    };
    let (sender, target) = (Ipv4Addr::from(arp.sender_ipv4), Ipv4Addr::from(arp.target_ipv4));
    let known_operation =
        arp.operation == ArpOperation::REQUEST || arp.operation == ArpOperation::REPLY;
    if target == plan.gateway && plan.is_machine(sender) && known_operation {
        return Verdict::Stack;
    }
    // RFC 5227: a probe asks with sender 0.0.0.0 whether its new address is free, an announcement has
    // sender and target alike. Both are about the machine itself.
    if target == plan.lease && (sender == plan.lease || sender.is_unspecified()) {
        return Verdict::Announcement;
    }
    refused("arp", target)
}

fn judge_ipv4<'a>(
    ethernet: &Ethernet2Slice<'a>,
    plan: &AddressPlan,
    serves: impl Fn(u16) -> bool,
) -> Verdict<'a> {
    let Ok(packet) = Ipv4Slice::from_slice(ethernet.payload_slice()) else {
        return refused("malformed", "an IPv4 packet with a damaged header");
    };
    let header = packet.header();
    let (source, destination) = (header.source_addr(), header.destination_addr());
    let protocol = header.protocol();
    let to_harness = destination == plan.gateway && ethernet.destination() == plan.mac;
    let from_machine = plan.is_machine(source);
    if packet.is_payload_fragmented() {
        return refused("ipv4-fragment", destination);
    }
    let payload = packet.payload().payload;
    match protocol {
        IpNumber::TCP => {
            let Ok(tcp) = TcpHeaderSlice::from_slice(payload) else {
                return refused("malformed", format_args!("a TCP segment to {destination}"));
            };
            let port = tcp.destination_port();
            if to_harness && from_machine && serves(port) {
                Verdict::Stack
            } else {
                refused("tcp", format_args!("{destination}:{port}"))
            }
        }
        IpNumber::UDP => {
            let Ok(udp) = UdpSlice::from_slice(payload) else {
                return refused("malformed", format_args!("a UDP datagram to {destination}"));
            };
            let port = udp.destination_port();
            let broadcast =
                destination == Ipv4Addr::BROADCAST && ethernet.destination() == BROADCAST;
            let new = source.is_unspecified() || from_machine;
            if port == 67 && udp.source_port() == 68 && new && (broadcast || to_harness) {
                return Verdict::Dhcp(udp.payload());
            }
            if port == 53 && to_harness && from_machine {
                return Verdict::Dns(Query {
                    mac: ethernet.source(),
                    address: source,
                    port: udp.source_port(),
                    message: udp.payload(),
                });
            }
            refused("udp", format_args!("{destination}:{port}"))
        }
        IpNumber::ICMP => refused("icmp", destination),
        IpNumber::IGMP => refused("igmp", destination),
        other => refused("ipv4", format_args!("{destination} protocol {}", other.0)),
    }
}

fn judge_ipv6<'a>(ethernet: &Ethernet2Slice<'a>) -> Verdict<'a> {
    // The destination stands at byte 24 of the fixed header (RFC 8200, section 3).
    match ethernet.payload_slice().get(24..40).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()) {
        Some(destination) => refused("ipv6", Ipv6Addr::from(destination)),
        None => refused("malformed", "an IPv6 packet with a damaged header"),
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    const GUEST: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];

    fn plan() -> AddressPlan {
        AddressPlan::default()
    }

    fn judged(frame: &[u8]) -> String {
        match judge(frame, &plan(), |port| port == 443) {
            Verdict::Refused(refusal) => format!("{} {}", refusal.protocol, refusal.to),
            Verdict::Dhcp(_) => "dhcp".into(),
            Verdict::Dns(_) => "dns".into(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    fn tcp(source: [u8; 4], destination: [u8; 4], port: u16) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(GUEST, plan().mac)
            .ipv4(source, destination, 64)
            .tcp(40000, port, 1, 1024)
            .syn()
            .write(&mut frame, &[])
            .unwrap();
        frame
    }

    fn udp(to_mac: [u8; 6], source: [u8; 4], destination: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(GUEST, to_mac)
            .ipv4(source, destination, 64)
            .udp(ports.0, ports.1)
            .write(&mut frame, b"x")
            .unwrap();
        frame
    }

    fn arp(sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        let packet = etherparse::ArpPacket::new(
            etherparse::ArpHardwareId::ETHERNET,
            EtherType::IPV4,
            ArpOperation::REQUEST,
            &GUEST,
            &sender,
            &[0; 6],
            &target,
        )
        .unwrap();
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(GUEST, BROADCAST).arp(packet).write(&mut frame).unwrap();
        frame
    }

    #[test]
    fn only_what_is_declared_passes() {
        let (guest, us) = ([10, 0, 2, 15], [10, 0, 2, 2]);
        let mac = plan().mac;
        for (frame, expected) in [
            (tcp(guest, us, 443), "stack"),
            (tcp(guest, us, 22), "tcp 10.0.2.2:22"),
            (tcp(guest, [127, 0, 0, 1], 443), "tcp 127.0.0.1:443"),
            (tcp(guest, [93, 184, 216, 34], 443), "tcp 93.184.216.34:443"),
            (tcp(us, us, 443), "tcp 10.0.2.2:443"),
            (tcp([8, 8, 8, 8], us, 443), "tcp 10.0.2.2:443"),
            (udp(mac, guest, us, (5000, 53)), "dns"),
            (udp(mac, guest, [8, 8, 8, 8], (5000, 53)), "udp 8.8.8.8:53"),
            (udp(mac, guest, us, (5000, 123)), "udp 10.0.2.2:123"),
            (udp(BROADCAST, [0; 4], [255; 4], (68, 67)), "dhcp"),
            (udp(mac, guest, us, (68, 67)), "dhcp"),
            (udp(BROADCAST, guest, [10, 0, 2, 255], (138, 138)), "udp 10.0.2.255:138"),
            (arp(guest, us), "stack"),
            (arp(guest, [10, 0, 2, 3]), "arp 10.0.2.3"),
            (arp([0; 4], guest), "announcement"),
            (arp(guest, guest), "announcement"),
            (arp([0; 4], [10, 0, 2, 77]), "arp 10.0.2.77"),
        ] {
            assert_eq!(judged(&frame), expected);
        }
    }

    #[test]
    fn echo_requests_ipv6_fragments_and_odd_frames_are_refused() {
        let mut ping = Vec::new();
        PacketBuilder::ethernet2(GUEST, plan().mac)
            .ipv4([10, 0, 2, 15], [10, 0, 2, 2], 64)
            .icmpv4_echo_request(1, 1)
            .write(&mut ping, b"hello")
            .unwrap();
        assert_eq!(judged(&ping), "icmp 10.0.2.2");

        let mut neighbour = Vec::new();
        PacketBuilder::ethernet2(GUEST, [0x33, 0x33, 0, 0, 0, 2])
            .ipv6([0xfe; 16], [0xff; 16], 255)
            .udp(1, 2)
            .write(&mut neighbour, &[])
            .unwrap();
        assert!(judged(&neighbour).starts_with("ipv6 ffff:"), "{}", judged(&neighbour));

        let mut fragment = tcp([10, 0, 2, 15], [10, 0, 2, 2], 443);
        fragment[14 + 6] = 0x20; // more fragments
        assert_eq!(judged(&fragment), "ipv4-fragment 10.0.2.2");

        assert!(judged(&[1, 2, 3]).starts_with("malformed"));
        let mut vlan = tcp([10, 0, 2, 15], [10, 0, 2, 2], 443);
        vlan[12..14].copy_from_slice(&[0x81, 0]);
        assert_eq!(judged(&vlan), "ethernet type 0x8100");
    }

    proptest! {
        #[test]
        fn hostile_frames_never_panic(frame in prop::collection::vec(any::<u8>(), 0..300)) {
            judged(&frame);
        }

        #[test]
        fn damaged_frames_never_panic(
            at in prop::collection::vec((0_usize..60, any::<u8>()), 1..6),
            cut in 0_usize..60,
            kind in 0_usize..3,
        ) {
            let mut frame = match kind {
                0 => tcp([10, 0, 2, 15], [10, 0, 2, 2], 443),
                1 => udp(plan().mac, [10, 0, 2, 15], [10, 0, 2, 2], (5000, 53)),
                _ => arp([10, 0, 2, 15], [10, 0, 2, 2]),
            };
            for (at, value) in at {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
            frame.truncate(frame.len() - cut.min(frame.len()));
            judged(&frame);
        }
    }
}

//! The DHCP server: one machine, one lease, a pure function.

use std::net::Ipv4Addr;

use dhcproto::v4::{DhcpOption, Flags, HType, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Encodable, Encoder};
use etherparse::PacketBuilder;

use crate::plan::AddressPlan;

/// A lease lasts a day: longer than any run, so no renewal disturbs one.
const LEASE_SECONDS: u32 = 24 * 60 * 60;
const ETHERNET_ADDRESS_LENGTH: u8 = 6;

/// Length of the fixed part of a message, with the four bytes that announce options (RFC 2131, section
/// 2; RFC 2132, section 2).
const FIXED: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// What the server reads of a request. Read by hand: dhcproto's decoder panics on options whose length
/// is not what it expects.
struct Request {
    transaction: u32,
    flags: u16,
    client: Ipv4Addr,
    relay: Ipv4Addr,
    mac: [u8; 6],
    kind: MessageType,
    wanted: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
}

impl Request {
    fn read(message: &[u8]) -> Option<Self> {
        let (fixed, mut options) = message.split_first_chunk::<FIXED>()?;
        let is_request = fixed[0] == u8::from(Opcode::BootRequest)
            && fixed[1] == u8::from(HType::Eth)
            && fixed[2] == ETHERNET_ADDRESS_LENGTH
            && fixed[FIXED - 4..] == COOKIE;
        if !is_request {
            return None;
        }
        let word = |at: usize| [fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]];
        let (mut kind, mut wanted, mut server) = (None, None, None);
        while let Some((&code, rest)) = options.split_first() {
            options = match OptionCode::from(code) {
                OptionCode::Pad => rest,
                OptionCode::End => break,
                code => {
                    let (&length, rest) = rest.split_first()?;
                    let (value, rest) = rest.split_at_checked(usize::from(length))?;
                    match code {
                        OptionCode::MessageType => {
                            kind = Some(MessageType::from(*value.first()?));
                        }
                        OptionCode::RequestedIpAddress => wanted = Some(address(value)?),
                        OptionCode::ServerIdentifier => server = Some(address(value)?),
                        _ => {}
                    }
                    rest
                }
            };
        }
        Some(Self {
            transaction: u32::from_be_bytes(word(4)),
            flags: u16::from_be_bytes([fixed[10], fixed[11]]),
            client: Ipv4Addr::from(word(12)),
            relay: Ipv4Addr::from(word(24)),
            mac: [fixed[28], fixed[29], fixed[30], fixed[31], fixed[32], fixed[33]],
            kind: kind?,
            wanted,
            server,
        })
    }
}

fn address(value: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?))
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The frame that carries it.
    pub(crate) frame: Vec<u8>,
    /// True where the machine has the lease from now on.
    pub(crate) granted: bool,
}

/// The answer to a DHCP message, or nothing where it gets no answer: damaged, not a request,
/// for another server, or a message that only tells (release, decline).
pub(crate) fn answer(message: &[u8], plan: &AddressPlan) -> Option<Answer> {
    let request = Request::read(message)?;
    if request.server.is_some_and(|server| server != plan.gateway) {
        return None;
    }
    let wanted = request.wanted.unwrap_or(request.client);
    let kind = match request.kind {
        MessageType::Discover => MessageType::Offer,
        MessageType::Request if wanted == plan.lease => MessageType::Ack,
        MessageType::Request => MessageType::Nak,
        MessageType::Inform => MessageType::Ack,
        _ => return None,
    };
    let flags = Flags::from(request.flags);

    let mut reply = Message::default();
    reply
        .set_opcode(Opcode::BootReply)
        .set_htype(HType::Eth)
        .set_xid(request.transaction)
        .set_flags(flags)
        .set_giaddr(request.relay)
        .set_chaddr(&request.mac);
    let told = request.kind == MessageType::Inform;
    if told {
        reply.set_ciaddr(request.client);
    } else if kind != MessageType::Nak {
        reply.set_yiaddr(plan.lease).set_siaddr(plan.gateway);
    }
    let answers = reply.opts_mut();
    answers.insert(DhcpOption::MessageType(kind));
    answers.insert(DhcpOption::ServerIdentifier(plan.gateway));
    if kind != MessageType::Nak {
        answers.insert(DhcpOption::SubnetMask(plan.mask()));
        answers.insert(DhcpOption::BroadcastAddr(plan.broadcast()));
        answers.insert(DhcpOption::Router(vec![plan.gateway]));
        answers.insert(DhcpOption::DomainNameServer(vec![plan.gateway]));
        if !told {
            // RFC 2131, section 4.3.5: an answer to INFORM carries no lease time.
            answers.insert(DhcpOption::AddressLeaseTime(LEASE_SECONDS));
        }
    }
    let mut payload = Vec::with_capacity(576);
    reply.encode(&mut Encoder::new(&mut payload)).ok()?;

    // RFC 2131, section 4.1: unicast to a machine that has an address, to the offered address where it
    // can hear that, by broadcast where it asks for it or is refused.
    let has_address = plan.is_machine(request.client);
    let (to_mac, to_address) = if kind == MessageType::Nak || flags.broadcast() {
        ([0xff; 6], Ipv4Addr::BROADCAST)
    } else if has_address {
        (request.mac, request.client)
    } else {
        (request.mac, plan.lease)
    };
    let mut frame = Vec::with_capacity(payload.len() + 42);
    PacketBuilder::ethernet2(plan.mac, to_mac)
        .ipv4(plan.gateway.octets(), to_address.octets(), 64)
        .udp(67, 68)
        .write(&mut frame, &payload)
        .ok()?;
    Some(Answer { frame, granted: kind == MessageType::Ack && !told })
}

#[cfg(test)]
mod tests {
    use dhcproto::{Decodable, Decoder};
    use etherparse::SlicedPacket;
    use proptest::prelude::*;

    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];

    fn request(kind: MessageType, wanted: Option<Ipv4Addr>) -> Message {
        let mut message = Message::default();
        message.set_opcode(Opcode::BootRequest).set_htype(HType::Eth).set_xid(7).set_chaddr(&MAC);
        message.opts_mut().insert(DhcpOption::MessageType(kind));
        if let Some(wanted) = wanted {
            message.opts_mut().insert(DhcpOption::RequestedIpAddress(wanted));
        }
        message
    }

    fn bytes(message: &Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.encode(&mut Encoder::new(&mut bytes)).unwrap();
        bytes
    }

    fn answered(message: &Message) -> Option<(Message, [u8; 4])> {
        let Answer { frame, granted } = answer(&bytes(message), &AddressPlan::default())?;
        let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(etherparse::NetSlice::Ipv4(ip)) = sliced.net else { panic!("no IPv4") };
        let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport else { panic!("no UDP") };
        assert_eq!((udp.source_port(), udp.destination_port()), (67, 68));
        let reply = Message::decode(&mut Decoder::new(udp.payload())).unwrap();
        assert_eq!(reply.xid(), 7);
        assert_eq!(reply.chaddr(), MAC);
        assert_eq!(granted, reply.opts().msg_type() == Some(MessageType::Ack));
        Some((reply, ip.header().destination()))
    }

    #[test]
    fn discover_gets_the_lease_and_the_servers() {
        let plan = AddressPlan::default();
        let (offer, to) = answered(&request(MessageType::Discover, None)).unwrap();
        assert_eq!(to, plan.lease.octets());
        assert_eq!(offer.yiaddr(), plan.lease);
        assert_eq!(offer.opts().msg_type(), Some(MessageType::Offer));
        for option in [
            DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
            DhcpOption::Router(vec![plan.gateway]),
            DhcpOption::DomainNameServer(vec![plan.gateway]),
            DhcpOption::ServerIdentifier(plan.gateway),
            DhcpOption::AddressLeaseTime(86400),
        ] {
            assert!(offer.opts().iter().any(|(_, found)| *found == option), "{option:?}");
        }
    }

    #[test]
    fn a_request_is_granted_for_the_lease_and_refused_for_anything_else() {
        let plan = AddressPlan::default();
        let (reply, _) = answered(&request(MessageType::Request, Some(plan.lease))).unwrap();
        assert_eq!(reply.opts().msg_type(), Some(MessageType::Ack));
        let (reply, to) =
            answered(&request(MessageType::Request, Some(Ipv4Addr::new(192, 168, 1, 9)))).unwrap();
        assert_eq!(reply.opts().msg_type(), Some(MessageType::Nak));
        assert_eq!(reply.yiaddr(), Ipv4Addr::UNSPECIFIED);
        assert_eq!(to, [255; 4]);
    }

    #[test]
    fn broadcast_flag_and_another_server_are_honoured() {
        let mut discover = request(MessageType::Discover, None);
        discover.set_flags(Flags::default().set_broadcast());
        assert_eq!(answered(&discover).unwrap().1, [255; 4]);
        let mut other = request(MessageType::Request, Some(AddressPlan::default().lease));
        other.opts_mut().insert(DhcpOption::ServerIdentifier(Ipv4Addr::new(10, 0, 2, 9)));
        assert!(answered(&other).is_none());
        assert!(answered(&request(MessageType::Release, None)).is_none());
    }

    #[test]
    fn an_overlong_hardware_address_is_ignored() {
        let mut message = bytes(&request(MessageType::Discover, None));
        message[2] = 255;
        assert!(answer(&message, &AddressPlan::default()).is_none());
    }

    proptest! {
        #[test]
        fn hostile_messages_never_panic(
            mut message in prop::collection::vec(any::<u8>(), 0..600),
            shaped in any::<bool>(),
        ) {
            if shaped {
                let mut good = bytes(&request(MessageType::Discover, None));
                good.truncate(240);
                good.extend_from_slice(&message);
                message = good;
            }
            let _ = answer(&message, &AddressPlan::default());
        }
    }
}

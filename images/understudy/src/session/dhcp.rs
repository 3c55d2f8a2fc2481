//! A DHCP client (RFC 2131): discover, offer, request, acknowledgement.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable, Encoder};

use crate::sys::{Interface, NetifError, Readable, wait_readable};

/// What the network lent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The machine's address.
    pub address: Ipv4Addr,
    /// Net mask.
    pub mask: Ipv4Addr,
    /// Router, where there is one.
    pub router: Option<Ipv4Addr>,
    /// Name servers.
    pub name_servers: Vec<Ipv4Addr>,
    /// Who lent it.
    pub server: Ipv4Addr,
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum DhcpError {
    /// The socket could not be used.
    #[error(transparent)]
    Interface(#[from] NetifError),
    /// Sending or receiving failed.
    #[error("dhcp: cannot {what}: {source}")]
    Exchange {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A message could not be built.
    #[error("dhcp: cannot encode a message: {0}")]
    Encode(#[from] dhcproto::error::EncodeError),
    /// Nobody answered.
    #[error(
        "dhcp: no server answered within {0:?}; check that the machine has a cable and that the network lends addresses"
    )]
    Silence(Duration),
}

/// First wait for an answer; doubled with every retry (RFC 2131, 4.1).
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Asks for a lease until one comes or `limit` has passed.
pub(super) fn request(
    interface: &Interface,
    host_name: &str,
    limit: Duration,
) -> Result<Lease, DhcpError> {
    let socket = interface.broadcast_socket(68)?;
    let exchange = |what| move |source| DhcpError::Exchange { what, source };
    socket.set_nonblocking(true).map_err(exchange("use the socket"))?;
    let deadline = Instant::now() + limit;
    // The transaction id need only differ between machines on one cable and between tries.
    let mac = interface.mac();
    let mut xid = u32::from_be_bytes([mac[2], mac[3], mac[4], mac[5]]);
    let mut wait = FIRST_WAIT;
    while Instant::now() < deadline {
        xid = xid.wrapping_add(1);
        let mut offer: Option<Lease> = None;
        let send = |offer: Option<&Lease>| -> Result<(), DhcpError> {
            let message = message(mac, xid, host_name, offer);
            let mut bytes = Vec::new();
            message.encode(&mut Encoder::new(&mut bytes))?;
            socket
                .send_to(&bytes, SocketAddr::from((Ipv4Addr::BROADCAST, 67)))
                .map_err(exchange("send"))?;
            Ok(())
        };
        send(None)?;
        let retry = (Instant::now() + wait).min(deadline);
        loop {
            let left = retry.saturating_duration_since(Instant::now());
            if left.is_zero() || wait_readable(&socket, left) == Readable::TimedOut {
                break;
            }
            let mut buffer = [0; 1500];
            let length = match socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(exchange("receive")(error)),
            };
            match read_answer(&buffer[..length], xid) {
                Some((MessageType::Offer, lease)) if offer.is_none() => {
                    send(Some(&lease))?;
                    offer = Some(lease);
                }
                Some((MessageType::Ack, lease)) if offer.is_some() => return Ok(lease),
                Some((MessageType::Nak, _)) => break,
                _ => {}
            }
        }
        wait *= 2;
    }
    Err(DhcpError::Silence(limit))
}

/// A discover, or the request for an offer.
fn message(mac: [u8; 6], xid: u32, host_name: &str, offer: Option<&Lease>) -> Message {
    let mut message = Message::default();
    message
        .set_opcode(Opcode::BootRequest)
        .set_xid(xid)
        .set_flags(Flags::default().set_broadcast())
        .set_chaddr(&mac);
    let options = message.opts_mut();
    let kind = if offer.is_some() { MessageType::Request } else { MessageType::Discover };
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ClientIdentifier([&[1], &mac[..]].concat()));
    options.insert(DhcpOption::Hostname(host_name.to_owned()));
    options.insert(DhcpOption::ClassIdentifier(b"MSFT 5.0".to_vec()));
    options.insert(DhcpOption::ParameterRequestList(vec![
        OptionCode::SubnetMask,
        OptionCode::Router,
        OptionCode::DomainNameServer,
    ]));
    if let Some(offer) = offer {
        options.insert(DhcpOption::RequestedIpAddress(offer.address));
        options.insert(DhcpOption::ServerIdentifier(offer.server));
    }
    message
}

/// The kind and the contents of an answer to transaction `xid`.
fn read_answer(bytes: &[u8], xid: u32) -> Option<(MessageType, Lease)> {
    let message = Message::decode(&mut Decoder::new(bytes)).ok()?;
    if message.opcode() != Opcode::BootReply || message.xid() != xid {
        return None;
    }
    let options = message.opts();
    let mask = match options.get(OptionCode::SubnetMask) {
        Some(DhcpOption::SubnetMask(mask)) => *mask,
        _ => Ipv4Addr::new(255, 255, 255, 0),
    };
    let router = match options.get(OptionCode::Router) {
        Some(DhcpOption::Router(routers)) => routers.first().copied(),
        _ => None,
    };
    let name_servers = match options.get(OptionCode::DomainNameServer) {
        Some(DhcpOption::DomainNameServer(servers)) => servers.clone(),
        _ => Vec::new(),
    };
    let server = match options.get(OptionCode::ServerIdentifier) {
        Some(DhcpOption::ServerIdentifier(server)) => *server,
        _ => message.siaddr(),
    };
    let lease = Lease { address: message.yiaddr(), mask, router, name_servers, server };
    Some((options.msg_type()?, lease))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
    use dhcproto::{Decodable, Decoder, Encodable};

    use super::{message, read_answer};

    const MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];

    fn answer(kind: MessageType, xid: u32) -> Vec<u8> {
        let mut answer = Message::default();
        answer
            .set_opcode(Opcode::BootReply)
            .set_xid(xid)
            .set_yiaddr(Ipv4Addr::new(10, 0, 2, 15))
            .set_chaddr(&MAC);
        let options = answer.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 0, 0)));
        options.insert(DhcpOption::Router(vec![Ipv4Addr::new(10, 0, 2, 2)]));
        options.insert(DhcpOption::DomainNameServer(vec![Ipv4Addr::new(10, 0, 2, 3)]));
        options.insert(DhcpOption::ServerIdentifier(Ipv4Addr::new(10, 0, 2, 2)));
        answer.to_vec().expect("a small message can be encoded")
    }

    #[test]
    fn an_answer_becomes_a_lease_and_the_lease_a_request() {
        let (kind, lease) = read_answer(&answer(MessageType::Offer, 7), 7).expect("an offer");
        assert_eq!(kind, MessageType::Offer);
        assert_eq!(lease.mask, Ipv4Addr::new(255, 255, 0, 0));
        assert_eq!(lease.name_servers, [Ipv4Addr::new(10, 0, 2, 3)]);
        let bytes = message(MAC, 7, "UNDERSTUDY", Some(&lease)).to_vec().expect("encodes");
        let request = Message::decode(&mut Decoder::new(&bytes)).expect("decodes");
        assert!(request.flags().broadcast());
        assert_eq!(request.opts().msg_type(), Some(MessageType::Request));
        assert_eq!(
            request.opts().get(OptionCode::RequestedIpAddress),
            Some(&DhcpOption::RequestedIpAddress(Ipv4Addr::new(10, 0, 2, 15)))
        );
    }

    #[test]
    fn strangers_answers_are_not_taken() {
        assert!(read_answer(&answer(MessageType::Offer, 8), 7).is_none());
        assert!(read_answer(b"\x02\x01", 7).is_none());
        let own = message(MAC, 7, "x", None).to_vec().expect("encodes");
        assert!(read_answer(&own, 7).is_none());
    }
}

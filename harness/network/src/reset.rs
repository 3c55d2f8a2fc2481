//! The answer to a connection that is refused.

use etherparse::{Ethernet2Slice, Ipv4Slice, PacketBuilder, TcpHeaderSlice};

use crate::plan::AddressPlan;

/// A machine that wants to connect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The port.
    pub(crate) port: u16,
    /// The frame that says no: a reset (RFC 9293, section 3.5.2).
    pub(crate) answer: Vec<u8>,
}

/// The answer to a frame that opens a TCP connection to the harness; nothing for any other.
pub(crate) fn refuse(frame: &[u8], plan: &AddressPlan) -> Option<Refused> {
    let ethernet = Ethernet2Slice::from_slice_without_fcs(frame).ok()?;
    let packet = Ipv4Slice::from_slice(ethernet.payload_slice()).ok()?;
    let tcp = TcpHeaderSlice::from_slice(packet.payload().payload).ok()?;
    let header = packet.header();
    let opens = tcp.syn() && !tcp.ack() && !tcp.rst();
    if !opens || header.destination_addr() != plan.gateway || !plan.is_machine(header.source_addr())
    {
        return None;
    }
    let mut answer = Vec::with_capacity(54);
    PacketBuilder::ethernet2(plan.mac, ethernet.source())
        .ipv4(header.destination(), header.source(), 64)
        .tcp(tcp.destination_port(), tcp.source_port(), 0, 0)
        .rst()
        .ack(tcp.sequence_number().wrapping_add(1))
        .write(&mut answer, &[])
        .ok()?;
    Some(Refused { port: tcp.destination_port(), answer })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUEST: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];

    fn segment(to: [u8; 4], ack: bool) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(GUEST, AddressPlan::default().mac)
            .ipv4([10, 0, 2, 15], to, 64)
            .tcp(40_000, 443, u32::MAX, 1024);
        let builder = if ack { builder.ack(1) } else { builder.syn() };
        let mut frame = Vec::new();
        builder.write(&mut frame, &[]).unwrap();
        frame
    }

    #[test]
    fn who_wants_to_connect_is_told_no() {
        let plan = AddressPlan::default();
        let refused = refuse(&segment([10, 0, 2, 2], false), &plan).unwrap();
        assert_eq!(refused.port, 443);
        assert_eq!(refused.answer[..6], GUEST);
        let tcp = TcpHeaderSlice::from_slice(&refused.answer[34..]).unwrap();
        assert!(tcp.rst() && tcp.ack());
        assert_eq!((tcp.destination_port(), tcp.acknowledgment_number()), (40_000, 0));
        assert_eq!(refuse(&segment([10, 0, 2, 2], true), &plan), None);
        assert_eq!(refuse(&segment([93, 184, 216, 34], false), &plan), None);
    }

    proptest! {
        #[test]
        fn hostile_frames_never_panic(
            frame in prop::collection::vec(any::<u8>(), 0..120),
            at in prop::collection::vec((0_usize..54, any::<u8>()), 0..6),
            shaped in any::<bool>(),
        ) {
            let mut frame = if shaped { segment([10, 0, 2, 2], false) } else { frame };
            for (at, value) in at {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
            let _ = refuse(&frame, &AddressPlan::default());
        }
    }
}

//! The stack's network card: a queue in each direction.

use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// Ethernet header and an IP packet of 1500 bytes.
const FRAME: usize = 1514;
/// More frames than one step of the stack sends are never queued.
const SEND_LIMIT: usize = 64;

/// Frames on their way into and out of the stack.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    received: VecDeque<Vec<u8>>,
    to_send: VecDeque<Vec<u8>>,
}

impl Queues {
    pub(crate) fn put(&mut self, frame: &[u8]) {
        self.received.push_back(frame.to_vec());
    }

    pub(crate) fn get(&mut self) -> Option<Vec<u8>> {
        self.to_send.pop_front()
    }

    pub(crate) fn nothing_to_send(&self) -> bool {
        self.to_send.is_empty()
    }
}

impl Device for Queues {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received, Room<'_>)> {
        // An answer to a frame may always be queued: there is at most one for each.
        let frame = self.received.pop_front()?;
        Some((Received(frame), Room(&mut self.to_send)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Room<'_>> {
        (self.to_send.len() < SEND_LIMIT).then_some(Room(&mut self.to_send))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

/// A frame that goes into the stack.
pub(crate) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Room for one frame out of the stack.
pub(crate) struct Room<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

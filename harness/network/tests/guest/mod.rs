//! A fake machine: what is behind QEMU's end of the cable, with a TCP/IP stack of its own.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{dhcpv4, dns, tcp};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Address};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub(crate) const MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
pub(crate) const GATEWAY_MAC: [u8; 6] = [0x52, 0x55, 0x0a, 0x00, 0x02, 0x02];
pub(crate) const ADDRESS: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
pub(crate) const GATEWAY: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);

/// Nothing in these tests takes this long; it turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Card {
    received: VecDeque<Vec<u8>>,
    to_send: VecDeque<Vec<u8>>,
}

pub(crate) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub(crate) struct Room<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Card {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: StackInstant) -> Option<(Received, Room<'_>)> {
        Some((Received(self.received.pop_front()?), Room(&mut self.to_send)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Room<'_>> {
        Some(Room(&mut self.to_send))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

pub(crate) struct Guest {
    stream: UnixStream,
    buffer: Vec<u8>,
    card: Card,
    interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    started: Instant,
    next_port: u16,
}

impl Guest {
    /// Plugs the cable in; without an address.
    pub(crate) async fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.unwrap();
        let mut card = Card::default();
        let config = Config::new(HardwareAddress::Ethernet(EthernetAddress(MAC)));
        let interface = Interface::new(config, &mut card, StackInstant::ZERO);
        Self {
            stream,
            buffer: Vec::new(),
            card,
            interface,
            sockets: SocketSet::new(Vec::new()),
            started: Instant::now(),
            next_port: 49152,
        }
    }

    /// Plugs the cable in, with the address that DHCP would give.
    pub(crate) async fn connect_configured(socket: &Path) -> Self {
        let mut guest = Self::connect(socket).await;
        guest.set_address(IpCidr::new(ADDRESS.into(), 24));
        guest
    }

    fn set_address(&mut self, address: IpCidr) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            addresses.push(address).unwrap();
        });
    }

    /// Puts raw frames on the cable.
    pub(crate) async fn send_raw(&mut self, frames: &[Vec<u8>]) {
        let mut bytes = Vec::new();
        for frame in frames {
            bytes.extend((frame.len() as u32).to_be_bytes());
            bytes.extend(frame);
        }
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next raw frame from the cable, past the stack; nothing at the end.
    pub(crate) async fn receive_raw(&mut self) -> Option<Vec<u8>> {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(frame) = self.cut() {
                    return Some(frame);
                }
                if self.stream.read_buf(&mut self.buffer).await.unwrap() == 0 {
                    return None;
                }
            }
        })
        .await
        .expect("a frame comes")
    }

    fn cut(&mut self) -> Option<Vec<u8>> {
        let (head, body) = self.buffer.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*head) as usize;
        let frame = body.get(..length)?.to_vec();
        self.buffer.drain(..4 + length);
        Some(frame)
    }

    /// Runs the stack until `done` gives something.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut SocketSet<'static>) -> Option<T>,
    ) -> T {
        let run = async {
            loop {
                let now = StackInstant::from_micros(self.started.elapsed().as_micros() as i64);
                self.interface.poll(now, &mut self.card, &mut self.sockets);
                if let Some(result) = done(&mut self.sockets) {
                    self.interface.poll(now, &mut self.card, &mut self.sockets);
                    self.flush().await;
                    return result;
                }
                self.interface.poll(now, &mut self.card, &mut self.sockets);
                self.flush().await;
                let delay = self
                    .interface
                    .poll_delay(now, &self.sockets)
                    .map_or(Duration::from_secs(1), Duration::from);
                tokio::select! {
                    count = self.stream.read_buf(&mut self.buffer) => {
                        assert_ne!(count.unwrap(), 0, "the network hung up");
                    }
                    () = tokio::time::sleep(delay) => {}
                }
                while let Some(frame) = self.cut() {
                    self.card.received.push_back(frame);
                }
            }
        };
        tokio::time::timeout(PATIENCE, run).await.unwrap_or_else(|_| panic!("waited for {what}"))
    }

    async fn flush(&mut self) {
        let frames: Vec<_> = self.card.to_send.drain(..).collect();
        self.send_raw(&frames).await;
    }

    /// Gets an address; the router and the DNS servers that came with it.
    pub(crate) async fn dhcp(&mut self) -> (IpCidr, Option<Ipv4Address>, Vec<Ipv4Address>) {
        let handle = self.sockets.add(dhcpv4::Socket::new());
        let (address, router, servers) = self
            .until("a lease", |sockets| {
                match sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
                    Some(dhcpv4::Event::Configured(config)) => Some((
                        IpCidr::Ipv4(config.address),
                        config.router,
                        config.dns_servers.to_vec(),
                    )),
                    _ => None,
                }
            })
            .await;
        self.sockets.remove(handle);
        self.set_address(address);
        (address, router, servers)
    }

    /// Looks a name up; nothing where it does not exist.
    pub(crate) async fn resolve(&mut self, name: &str) -> Option<Vec<IpAddress>> {
        let mut socket = dns::Socket::new(&[GATEWAY.into()], vec![]);
        let query = socket
            .start_query(self.interface.context(), name, smoltcp::wire::DnsQueryType::A)
            .unwrap();
        let handle = self.sockets.add(socket);
        let found = self
            .until("an answer of the DNS", |sockets| {
                match sockets.get_mut::<dns::Socket<'_>>(handle).get_query_result(query) {
                    Ok(addresses) => Some(Some(addresses.to_vec())),
                    Err(dns::GetQueryResultError::Pending) => None,
                    Err(dns::GetQueryResultError::Failed) => Some(None),
                }
            })
            .await;
        self.sockets.remove(handle);
        found
    }

    /// Begins to connect.
    pub(crate) fn dial(&mut self, port: u16) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 64 * 1024]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        self.next_port += 1;
        socket
            .connect(self.interface.context(), (IpAddress::from(GATEWAY), port), self.next_port)
            .unwrap();
        self.sockets.add(socket)
    }

    /// Connects.
    pub(crate) async fn open(&mut self, port: u16) -> SocketHandle {
        let handle = self.dial(port);
        self.until("a connection", |sockets| {
            let state = sockets.get::<tcp::Socket<'_>>(handle).state();
            assert_ne!(state, tcp::State::Closed, "refused");
            (state == tcp::State::Established).then_some(())
        })
        .await;
        handle
    }

    /// Sends all of it, closes if told so, and reads until the other side closes.
    pub(crate) async fn exchange(
        &mut self,
        handle: SocketHandle,
        send: &[u8],
        close: bool,
    ) -> Vec<u8> {
        let mut sent = 0;
        let mut closed = false;
        let mut received = Vec::new();
        self.until("the exchange", |sockets| {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
            while sent < send.len() && socket.can_send() {
                sent += socket.send_slice(&send[sent..]).unwrap();
            }
            if sent == send.len() && close && !closed {
                socket.close();
                closed = true;
            }
            while socket.can_recv() {
                socket
                    .recv(|bytes| {
                        received.extend_from_slice(bytes);
                        (bytes.len(), ())
                    })
                    .unwrap();
            }
            (sent == send.len() && !socket.may_recv()).then_some(())
        })
        .await;
        received
    }
}

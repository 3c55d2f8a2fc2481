//! The TCP/IP stack of the harness's end, and the bridges between its connections and the services.
//!
//! One `Stack` lives as long as one connection of QEMU to the socket. It never waits: frames go in by
//! [`Stack::take`], come out by [`Stack::give`], and [`Stack::pump`] moves bytes between the TCP
//! buffers and the services' streams as far as both sides allow. Back-pressure follows: a service
//! that does not read lets the buffer fill and the window close; a machine that does not read leaves
//! the service's writes pending.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::task::{AbortHandle, JoinSet};

use crate::device::Queues;
use crate::plan::AddressPlan;
use crate::service::{Handler, Service};

/// The ports of the web, which a captive portal takes.
pub(crate) const WEB: [u16; 2] = [80, 443];
/// Bytes buffered in each direction of a connection, twice: in the stack and in the stream.
const BUFFER: usize = 64 * 1024;
/// Connections of one service at once; the next one is reset.
const CONNECTIONS: usize = 64;
/// A machine that does not answer for so long is gone: it was reset, or its cable was cut.
const TIMEOUT: Duration = Duration::from_secs(60);
/// So often a silent machine is asked.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// So long a machine may take to end a connection that its service has ended.
const LINGER: Duration = Duration::from_secs(10);

/// One service's port.
struct Port {
    number: u16,
    name: String,
    handler: Arc<dyn Handler>,
    /// Waits for the next connection.
    listening: Option<SocketHandle>,
}

/// One connection.
struct Connection {
    socket: SocketHandle,
    port: usize,
    /// Absent until the handshake is done.
    bridge: Option<Bridge>,
}

pub(crate) struct Stack {
    started: Instant,
    interface: Interface,
    queues: Queues,
    sockets: SocketSet<'static>,
    ports: Vec<Port>,
    connections: Vec<Connection>,
    accepted: u64,
    /// Who answers at the ports of the web in place of their services.
    portal: Option<Arc<dyn Handler>>,
}

impl Stack {
    /// A fresh stack. `seed` makes sequence numbers differ from those of an earlier one.
    pub(crate) fn new(plan: &AddressPlan, services: &[Service], seed: u64) -> Self {
        let started = Instant::now();
        let mut queues = Queues::default();
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(plan.mac)));
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut queues, StackInstant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let address = IpCidr::new(IpAddress::Ipv4(plan.gateway), plan.prefix);
            addresses.push(address).expect("the list of addresses of a new interface has room");
        });
        let ports = services
            .iter()
            .map(|service| Port {
                number: service.port,
                name: service.name.clone(),
                handler: Arc::clone(&service.handler),
                listening: None,
            })
            .collect();
        let mut stack = Self {
            started,
            interface,
            queues,
            sockets: SocketSet::new(Vec::new()),
            ports,
            connections: Vec::new(),
            accepted: 0,
            portal: None,
        };
        stack.arm();
        stack
    }

    fn now(&self) -> StackInstant {
        StackInstant::from_micros(
            i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX),
        )
    }

    /// Takes one frame from the machine that the filter has let pass.
    pub(crate) fn take(&mut self, frame: &[u8]) {
        self.queues.put(frame);
        let now = self.now();
        self.interface.poll_ingress_single(now, &mut self.queues, &mut self.sockets);
        // At once, so that a burst of connections finds a listening socket each.
        self.arm();
    }

    /// Gives the next frame for the machine. Call until there is none; not calling it holds the stack.
    pub(crate) fn give(&mut self) -> Option<Vec<u8>> {
        let now = self.now();
        while self.queues.nothing_to_send() {
            if self.interface.poll_egress(now, &mut self.queues, &mut self.sockets)
                == PollResult::None
            {
                break;
            }
        }
        self.queues.get()
    }

    /// How long until the stack wants to send by itself, in the absence of anything else.
    pub(crate) fn delay(&mut self) -> Option<Duration> {
        let now = self.now();
        let stack = self.interface.poll_delay(now, &self.sockets).map(Duration::from);
        let linger = self
            .connections
            .iter()
            .filter_map(|connection| connection.bridge.as_ref()?.ended)
            .map(|ended| (ended + LINGER).saturating_duration_since(Instant::now()))
            .min();
        // The timer counts milliseconds; less would be a busy loop.
        let delay = match (stack, linger) {
            (Some(one), Some(other)) => one.min(other),
            (one, other) => one.or(other)?,
        };
        Some(delay.max(Duration::from_millis(1)))
    }

    /// Connections accepted since this was last asked.
    pub(crate) fn take_accepted(&mut self) -> u64 {
        std::mem::take(&mut self.accepted)
    }

    /// Says who answers at the ports of the web from now on: somebody, or whose they are.
    pub(crate) fn set_portal(&mut self, portal: Option<Arc<dyn Handler>>) {
        self.portal = portal;
    }

    /// Resets all connections of a service.
    pub(crate) fn reset(&mut self, service: &str) {
        for connection in &self.connections {
            if self.ports[connection.port].name == service {
                self.sockets.get_mut::<Socket<'_>>(connection.socket).abort();
            }
        }
    }

    /// Moves what can be moved between connections and services; true where anything did. Otherwise
    /// the context's waker is called when a service has something to move.
    pub(crate) fn pump(&mut self, context: &mut Context<'_>, tasks: &mut JoinSet<()>) -> bool {
        let mut moved = false;
        for connection in &mut self.connections {
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.socket);
            if connection.bridge.is_none() && is_established(socket.state()) {
                let port = &self.ports[connection.port];
                let portal = self.portal.as_ref().filter(|_| WEB.contains(&port.number));
                let handler = portal.unwrap_or(&port.handler);
                connection.bridge = Some(Bridge::start(&**handler, peer_of(socket), tasks));
                self.accepted += 1;
                moved = true;
            }
            if let Some(bridge) = &mut connection.bridge {
                moved |= bridge.pump(context, socket);
            }
        }
        let sockets = &mut self.sockets;
        self.connections.retain(|connection| {
            let socket = sockets.get::<Socket<'_>>(connection.socket);
            // A connection that was aborted still has its peer until the reset is sent. A handshake
            // that the machine reset goes back to listening; the port has a listener of its own.
            let over = match socket.state() {
                State::Closed => socket.remote_endpoint().is_none(),
                state => state == State::Listen,
            };
            if over {
                sockets.remove(connection.socket);
            }
            !over
        });
        self.arm();
        moved
    }

    /// Sees to it that each port has a socket that listens, and that connections are known.
    fn arm(&mut self) {
        for (index, port) in self.ports.iter_mut().enumerate() {
            if let Some(socket) = port.listening {
                match self.sockets.get::<Socket<'_>>(socket).state() {
                    State::Listen => continue,
                    _ => {
                        port.listening = None;
                        self.connections.push(Connection { socket, port: index, bridge: None });
                    }
                }
            }
            let open = self.connections.iter().filter(|found| found.port == index).count();
            if open < CONNECTIONS {
                let mut socket = new_socket();
                socket
                    .listen(port.number)
                    .expect("a new socket listens on a port that is not 0, as was checked");
                port.listening = Some(self.sockets.add(socket));
            }
        }
    }
}

fn new_socket() -> Socket<'static> {
    let mut socket =
        Socket::new(SocketBuffer::new(vec![0; BUFFER]), SocketBuffer::new(vec![0; BUFFER]));
    socket.set_timeout(Some(TIMEOUT.into()));
    socket.set_keep_alive(Some(KEEP_ALIVE.into()));
    // The services write whole messages; waiting for more would only cost time.
    socket.set_nagle_enabled(false);
    socket
}

fn is_established(state: State) -> bool {
    !matches!(state, State::Closed | State::Listen | State::SynReceived | State::SynSent)
}

fn peer_of(socket: &Socket<'_>) -> SocketAddrV4 {
    match socket.remote_endpoint() {
        Some(remote) => match remote.addr {
            IpAddress::Ipv4(address) => SocketAddrV4::new(address, remote.port),
        },
        None => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
    }
}

/// Between one connection and the service that serves it.
struct Bridge {
    stream: DuplexStream,
    serving: AbortHandle,
    /// The machine has closed its direction, and the service was told.
    machine_done: bool,
    /// The service has closed its direction, and the stack was told.
    service_done: bool,
    /// The service reads no more; what the machine sends is thrown away.
    service_deaf: bool,
    /// Since when the service has nothing to do with this connection any more.
    ended: Option<Instant>,
}

impl Bridge {
    fn start(handler: &dyn Handler, peer: SocketAddrV4, tasks: &mut JoinSet<()>) -> Self {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let serving = tasks.spawn(handler.serve(theirs, peer));
        Self {
            stream: ours,
            serving,
            machine_done: false,
            service_done: false,
            service_deaf: false,
            ended: None,
        }
    }

    fn pump(&mut self, context: &mut Context<'_>, socket: &mut Socket<'_>) -> bool {
        let mut moved = self.feed_service(context, socket);
        moved |= self.feed_machine(context, socket);
        if self.service_done && (self.service_deaf || self.serving.is_finished()) {
            let ended = *self.ended.get_or_insert_with(Instant::now);
            if ended.elapsed() >= LINGER && socket.state() != State::Closed {
                socket.abort();
                moved = true;
            }
        }
        moved
    }

    fn feed_service(&mut self, context: &mut Context<'_>, socket: &mut Socket<'_>) -> bool {
        let mut moved = false;
        while socket.can_recv() {
            let stream = &mut self.stream;
            let deaf = self.service_deaf;
            let step = socket.recv(|bytes| {
                if deaf {
                    return (bytes.len(), Some(true));
                }
                match Pin::new(stream).poll_write(context, bytes) {
                    Poll::Ready(Ok(count)) => (count, Some(true)),
                    Poll::Ready(Err(_)) => (bytes.len(), Some(false)),
                    Poll::Pending => (0, None),
                }
            });
            match step {
                Ok(Some(heard)) => {
                    self.service_deaf |= !heard;
                    moved = true;
                }
                Ok(None) => return moved,
                Err(_) => break,
            }
        }
        // All is read. Is more to come?
        if !self.machine_done && !socket.may_recv() {
            self.machine_done = true;
            moved = true;
            // Shutting down a stream in memory is done at once and cannot fail in a way that matters:
            // a service that is gone needs not be told.
            let _ = Pin::new(&mut self.stream).poll_shutdown(context);
        }
        moved
    }

    fn feed_machine(&mut self, context: &mut Context<'_>, socket: &mut Socket<'_>) -> bool {
        let mut moved = false;
        while !self.service_done && socket.can_send() {
            let stream = &mut self.stream;
            let step = socket.send(|space| {
                let mut buffer = ReadBuf::new(space);
                match Pin::new(stream).poll_read(context, &mut buffer) {
                    Poll::Ready(Ok(())) => {
                        let count = buffer.filled().len();
                        (count, Some(count > 0))
                    }
                    Poll::Ready(Err(_)) => (0, Some(false)),
                    Poll::Pending => (0, None),
                }
            });
            match step {
                Ok(Some(true)) => moved = true,
                Ok(Some(false)) => {
                    self.service_done = true;
                    socket.close();
                    moved = true;
                }
                Ok(None) | Err(_) => break,
            }
        }
        moved
    }
}

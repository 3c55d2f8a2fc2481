//! A fake machine on the other end of the cable uses the network, and tries what it must not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod guest;

use std::net::{SocketAddrV4, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etherparse::{ArpHardwareId, ArpOperation, ArpPacket, EtherType, PacketBuilder};
use guest::{ADDRESS, GATEWAY, GATEWAY_MAC, Guest, MAC};
use network::{
    Conditions, Connection, Handler, Loss, Names, Network, NetworkConfig, NetworkHandle, Service,
    StartError,
};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use smoltcp::socket::tcp;
use tempfile::TempDir;
use timeline::{Body, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const MIB: usize = 1024 * 1024;

struct Bench {
    directory: TempDir,
    seen: Arc<Mutex<Vec<Body>>>,
}

impl Bench {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), seen: Arc::default() }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("net.sock")
    }

    fn capture(&self) -> PathBuf {
        self.directory.path().join("net.pcapng")
    }

    fn sink(&self) -> Sink {
        let seen = Arc::clone(&self.seen);
        Sink::new(move |observation| seen.lock().unwrap().push(observation.body))
    }

    fn start(&self, services: Vec<Service>) -> NetworkHandle {
        let config = NetworkConfig::new(self.socket(), self.capture(), services);
        Network::start(config, self.sink()).unwrap()
    }

    fn refused(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|body| match body {
                Body::Refused { protocol, to, count } => format!("{protocol} {to} {count}"),
                other => panic!("{other:?}"),
            })
            .collect()
    }
}

fn service(port: u16, handler: impl Handler) -> Service {
    Service {
        name: format!("test-{port}"),
        host: "update.loopbreak.test".into(),
        port,
        handler: Arc::new(handler),
    }
}

/// Sends back what comes, then closes.
async fn echo(mut connection: Connection, _: SocketAddrV4) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = connection.read(&mut buffer).await {
        if connection.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Turns a hang into a failure.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it happens soon")
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[tokio::test]
async fn a_machine_gets_an_address_a_name_and_its_service() {
    let bench = Bench::new();
    let network = bench.start(vec![service(443, echo)]);
    let mut guest = Guest::connect(network.socket()).await;
    let (address, router, servers) = guest.dhcp().await;
    assert_eq!(address.to_string(), "10.0.2.15/24");
    assert_eq!((router, &servers[..]), (Some(GATEWAY), &[GATEWAY][..]));
    let found = guest.resolve("update.loopbreak.test").await;
    assert_eq!(found, Some(vec![GATEWAY.into()]));
    assert_eq!(guest.resolve("login.windows.net").await, None);

    let data = pattern(MIB);
    let connection = guest.open(443).await;
    let started = Instant::now();
    let back = guest.exchange(connection, &data, true).await;
    println!("1 MiB there and back: {:?}", started.elapsed());
    assert!(back == data, "{} bytes came back, or others", back.len());

    let report = network.stop().await.unwrap();
    assert_eq!((report.links, report.connections, report.refused), (1, 1, 1));
    assert_eq!(bench.refused(), ["dns login.windows.net 1"]);
    assert!(!bench.socket().exists());
    let (mut inbound, mut outbound) = (0, 0);
    let mut reader = PcapNgReader::new(std::fs::File::open(bench.capture()).unwrap()).unwrap();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            match packet.options[..] {
                [EnhancedPacketOption::Flags(1)] => inbound += 1,
                [EnhancedPacketOption::Flags(2)] => outbound += 1,
                _ => panic!("{packet:?}"),
            }
        }
    }
    assert_eq!((inbound, outbound), (report.frames_in, report.frames_out));
}

#[tokio::test]
async fn a_download_is_whole_and_fast() {
    let bench = Bench::new();
    let data = Arc::new(pattern(MIB));
    let served = Arc::clone(&data);
    let network = bench.start(vec![service(443, move |mut connection: Connection, _| {
        let served = Arc::clone(&served);
        async move {
            connection.write_all(&served).await.unwrap();
        }
    })]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    let started = Instant::now();
    let connection = guest.open(443).await;
    let received = guest.exchange(connection, &[], false).await;
    println!("1 MiB download: {:?}", started.elapsed());
    assert!(received == *data, "{} bytes came, or others", received.len());
    network.stop().await.unwrap();
}

#[tokio::test]
async fn a_service_may_answer_after_the_machine_has_closed_its_direction() {
    let bench = Bench::new();
    let network = bench.start(vec![service(443, |mut connection: Connection, _| async move {
        let mut all = Vec::new();
        connection.read_to_end(&mut all).await.unwrap();
        connection.write_all(format!("{} bytes", all.len()).as_bytes()).await.unwrap();
    })]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    let connection = guest.open(443).await;
    assert_eq!(guest.exchange(connection, &pattern(100_000), true).await, b"100000 bytes");
    network.stop().await.unwrap();
}

#[tokio::test]
async fn a_service_may_close_its_direction_first() {
    let bench = Bench::new();
    let (heard, mut hears) = mpsc::unbounded_channel();
    let network = bench.start(vec![service(443, move |mut connection: Connection, _| {
        let heard = heard.clone();
        async move {
            connection.write_all(b"enough").await.unwrap();
            connection.shutdown().await.unwrap();
            let mut all = Vec::new();
            connection.read_to_end(&mut all).await.unwrap();
            heard.send(all).unwrap();
        }
    })]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    let connection = guest.open(443).await;
    assert_eq!(guest.exchange(connection, &[], false).await, b"enough");
    let data = pattern(50_000);
    guest.exchange(connection, &data, true).await;
    // The stack must run for the rest to be sent.
    let all = guest.until("the service to hear it", |_| hears.try_recv().ok()).await;
    assert!(all == data);
    network.stop().await.unwrap();
}

#[tokio::test]
async fn many_connections_at_once_and_two_services() {
    let bench = Bench::new();
    let network = bench.start(vec![service(443, echo), service(8080, echo)]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    let handles: Vec<_> =
        (0..40).map(|number| guest.dial(if number % 2 == 0 { 443 } else { 8080 })).collect();
    guest
        .until("all connections", |sockets| {
            handles
                .iter()
                .all(|&handle| {
                    let state = sockets.get::<tcp::Socket<'_>>(handle).state();
                    assert_ne!(state, tcp::State::Closed, "refused");
                    state == tcp::State::Established
                })
                .then_some(())
        })
        .await;
    for (number, handle) in handles.into_iter().enumerate() {
        let data = pattern(1000 + number);
        assert!(guest.exchange(handle, &data, true).await == data);
    }
    assert_eq!(network.stop().await.unwrap().connections, 40);
}

#[tokio::test]
async fn a_service_that_does_not_read_holds_the_machine_back() {
    let bench = Bench::new();
    let (go, going) = tokio::sync::watch::channel(false);
    let network = bench.start(vec![service(443, move |mut connection: Connection, _| {
        let mut going = going.clone();
        async move {
            going.wait_for(|go| *go).await.unwrap();
            let mut all = Vec::new();
            connection.read_to_end(&mut all).await.unwrap();
            connection.write_all(&(all.len() as u64).to_be_bytes()).await.unwrap();
        }
    })]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    let connection = guest.open(443).await;
    let mut sent = 0;
    guest
        .until("the window to close", |sockets| {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(connection);
            while socket.can_send() {
                sent += socket.send_slice(&[7; 4096]).unwrap();
            }
            assert!(sent < MIB, "nothing holds the machine back");
            // Its own buffer, the stack's and the stream's are full.
            (sent == 3 * 64 * 1024).then_some(())
        })
        .await;
    go.send_replace(true);
    let rest = vec![7; MIB];
    let answer = guest.exchange(connection, &rest, true).await;
    assert_eq!(answer, ((sent + MIB) as u64).to_be_bytes());
    network.stop().await.unwrap();
}

#[tokio::test]
async fn a_reset_by_the_machine_ends_the_service_and_a_service_that_leaves_ends_the_connection() {
    let bench = Bench::new();
    let (ended, mut ends) = mpsc::unbounded_channel();
    let network = bench.start(vec![
        service(443, move |mut connection: Connection, _| {
            let ended = ended.clone();
            async move {
                connection.write_all(b"hello").await.unwrap();
                let heard = connection.read(&mut [0; 100]).await.unwrap();
                let failed = connection.write_all(b"anybody?").await.unwrap_err();
                ended.send((heard, failed.kind())).unwrap();
            }
        }),
        service(444, |connection: Connection, _| async move { drop(connection) }),
    ]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    let connection = guest.open(443).await;
    guest
        .until("the service to begin", |sockets| {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(connection);
            let greeted = socket.can_recv();
            if greeted {
                socket.abort();
            }
            greeted.then_some(())
        })
        .await;
    assert_eq!(soon(ends.recv()).await, Some((0, std::io::ErrorKind::BrokenPipe)));

    let connection = guest.open(444).await;
    assert_eq!(guest.exchange(connection, &pattern(10_000), true).await, b"");
    network.stop().await.unwrap();
}

fn tcp_syn(destination: [u8; 4], port: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(MAC, GATEWAY_MAC)
        .ipv4(ADDRESS.octets(), destination, 64)
        .tcp(41000, port, 1, 1024)
        .syn()
        .write(&mut frame, &[])
        .unwrap();
    frame
}

fn udp(destination: [u8; 4], port: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(MAC, GATEWAY_MAC)
        .ipv4(ADDRESS.octets(), destination, 64)
        .udp(41000, port)
        .write(&mut frame, b"is anybody there?")
        .unwrap();
    frame
}

fn ping(destination: [u8; 4]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(MAC, GATEWAY_MAC)
        .ipv4(ADDRESS.octets(), destination, 64)
        .icmpv4_echo_request(1, 1)
        .write(&mut frame, b"is anybody there?")
        .unwrap();
    frame
}

fn who_has(target: [u8; 4]) -> Vec<u8> {
    let arp = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        ArpOperation::REQUEST,
        &MAC,
        &ADDRESS.octets(),
        &[0; 6],
        &target,
    )
    .unwrap();
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(MAC, [0xff; 6]).arp(arp).write(&mut frame).unwrap();
    frame
}

/// Frames are answered in their order. So when the answer to a last, allowed one comes first, the
/// others before it got none.
async fn assert_silence(guest: &mut Guest, frames: &[Vec<u8>]) {
    guest.send_raw(frames).await;
    guest.send_raw(&[who_has(GATEWAY.octets())]).await;
    let first = guest.receive_raw().await.unwrap();
    assert_eq!(first[12..14], [0x08, 0x06], "something else was answered: {first:02x?}");
    assert_eq!(first[6..12], GATEWAY_MAC);
}

#[tokio::test]
async fn nothing_else_answers() {
    let bench = Bench::new();
    let network = bench.start(vec![service(443, echo)]);
    // A port of the host that really is open.
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    host.set_nonblocking(true).unwrap();
    let open = host.local_addr().unwrap().port();

    let mut guest = Guest::connect_configured(network.socket()).await;
    let gateway = GATEWAY.octets();
    let frames = [
        tcp_syn([127, 0, 0, 1], open),
        tcp_syn(gateway, open),
        tcp_syn(gateway, 22),
        tcp_syn([10, 0, 2, 3], 443),
        tcp_syn([93, 184, 216, 34], 443),
        tcp_syn([169, 254, 169, 254], 80),
        udp(gateway, 123),
        udp([8, 8, 8, 8], 53),
        udp([255; 4], 137),
        ping(gateway),
        ping([8, 8, 8, 8]),
        who_has([10, 0, 2, 3]),
        vec![0; 20],
    ];
    assert_silence(&mut guest, &frames).await;
    let pings: Vec<_> = (0..99).map(|_| ping(gateway)).collect();
    assert_silence(&mut guest, &pings).await;

    let report = network.stop().await.unwrap();
    assert_eq!(report.refused, 13 + 99);
    assert_eq!(
        bench.refused(),
        [
            &format!("tcp 127.0.0.1:{open} 1"),
            &format!("tcp 10.0.2.2:{open} 1"),
            "tcp 10.0.2.2:22 1",
            "tcp 10.0.2.3:443 1",
            "tcp 93.184.216.34:443 1",
            "tcp 169.254.169.254:80 1",
            "udp 10.0.2.2:123 1",
            "udp 8.8.8.8:53 1",
            "udp 255.255.255.255:137 1",
            "icmp 10.0.2.2 1",
            "icmp 8.8.8.8 1",
            "arp 10.0.2.3 1",
            "ethernet type 0x0000 1",
            "icmp 10.0.2.2 10",
            "icmp 10.0.2.2 100",
        ]
    );
    let error = host.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_machine_may_leave_and_come_again() {
    let bench = Bench::new();
    let (ended, mut ends) = mpsc::unbounded_channel();
    let network = bench.start(vec![service(443, move |connection: Connection, peer| {
        let ended = ended.clone();
        async move {
            echo(connection, peer).await;
            ended.send(()).unwrap();
        }
    })]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    guest.open(443).await;
    drop(guest);
    // The service of the lost connection is told.
    soon(ends.recv()).await.unwrap();
    let mut guest = Guest::connect(network.socket()).await;
    guest.dhcp().await;
    let connection = guest.open(443).await;
    assert_eq!(guest.exchange(connection, b"again", true).await, b"again");
    let report = network.stop().await.unwrap();
    assert_eq!((report.links, report.connections), (2, 2));
}

#[tokio::test]
async fn an_overlong_frame_cuts_the_cable_and_no_more() {
    let bench = Bench::new();
    let network = bench.start(vec![service(443, echo)]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    guest.send_raw(&[vec![0; 64 * 1024 + 1]]).await;
    assert_eq!(guest.receive_raw().await, None, "the network hangs up");
    let mut guest = Guest::connect_configured(network.socket()).await;
    let connection = guest.open(443).await;
    assert_eq!(guest.exchange(connection, b"well", true).await, b"well");
    network.stop().await.unwrap();
}

#[tokio::test]
async fn conditions_hold_from_the_moment_they_are_set() {
    let bench = Bench::new();
    let network = bench.start(vec![service(443, echo), service(444, echo)]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    let lost = guest.open(443).await;
    let kept = guest.open(444).await;

    let down = Conditions { down: ["test-443".to_owned()].into(), ..Conditions::default() };
    network.set_conditions(down);
    guest
        .until("the connection to be reset", |sockets| {
            let state = sockets.get::<tcp::Socket<'_>>(lost).state();
            (state == tcp::State::Closed).then_some(())
        })
        .await;
    assert_eq!(guest.exchange(kept, b"up", true).await, b"up");

    // The frames that follow are in the capture, but nobody answers.
    network.set_conditions(Conditions { link: false, ..Conditions::default() });
    guest.send_raw(&[who_has(GATEWAY.octets()), tcp_syn(GATEWAY.octets(), 443)]).await;
    guest.send_raw(&[vec![0; 64 * 1024 + 1]]).await;
    while let Some(frame) = guest.receive_raw().await {
        assert_ne!(frame[12..14], [0x08, 0x06], "an answer came through: {frame:02x?}");
        assert_ne!(frame[36..38], 41000_u16.to_be_bytes(), "an answer came: {frame:02x?}");
    }
    network.set_conditions(Conditions::default());
    let mut guest = Guest::connect_configured(network.socket()).await;
    let connection = guest.open(443).await;
    assert_eq!(guest.exchange(connection, b"back", true).await, b"back");
    network.stop().await.unwrap();
}

#[tokio::test]
async fn a_service_that_is_down_refuses_connections() {
    let bench = Bench::new();
    let network = bench.start(vec![service(443, echo), service(444, echo)]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    let down = Conditions { down: ["test-443".to_owned()].into(), ..Conditions::default() };
    network.set_conditions(down.clone());
    assert_eq!(network.conditions(), down);
    let refused = guest.dial(443);
    guest
        .until("the connection to be refused", |sockets| {
            let state = sockets.get::<tcp::Socket<'_>>(refused).state();
            (state == tcp::State::Closed).then_some(())
        })
        .await;
    let kept = guest.open(444).await;
    assert_eq!(guest.exchange(kept, b"up", true).await, b"up");
    network.set_conditions(Conditions::default());
    let again = guest.open(443).await;
    assert_eq!(guest.exchange(again, b"up again", true).await, b"up again");
    let report = network.stop().await.unwrap();
    assert_eq!(report.turned_away, 1);
    assert_eq!(bench.refused(), ["down test-443 1"]);
}

#[tokio::test]
async fn names_go_astray_or_lead_to_the_portal() {
    let bench = Bench::new();
    let mut config = NetworkConfig::new(bench.socket(), bench.capture(), vec![service(443, echo)]);
    config.portal = Some(Service {
        name: "portal".into(),
        host: "login.portal.test".into(),
        port: 80,
        handler: Arc::new(|mut connection: Connection, _| async move {
            let _ = connection.write_all(b"please log in").await;
        }),
    });
    let nobody = config.plan.nobody;
    let network = Network::start(config, bench.sink()).unwrap();
    let mut guest = Guest::connect_configured(network.socket()).await;

    network.set_conditions(Conditions { names: Names::Astray, ..Conditions::default() });
    let found = guest.resolve("update.loopbreak.test").await;
    assert_eq!(found, Some(vec![nobody.into()]));

    network.set_conditions(Conditions { portal: true, ..Conditions::default() });
    for name in ["update.loopbreak.test", "time.windows.com"] {
        assert_eq!(guest.resolve(name).await, Some(vec![GATEWAY.into()]), "{name}");
    }
    for port in [80, 443] {
        let connection = guest.open(port).await;
        assert_eq!(guest.exchange(connection, b"hello", true).await, b"please log in", "{port}");
    }

    network.set_conditions(Conditions::default());
    let connection = guest.open(443).await;
    assert_eq!(guest.exchange(connection, b"hello", true).await, b"hello");
    assert_silence(&mut guest, &[tcp_syn(GATEWAY.octets(), 80)]).await;
    network.stop().await.unwrap();
    let told = bench.refused();
    assert!(told.contains(&"wrong-dns a question 1".to_owned()), "{told:?}");
    assert!(told.contains(&"captive-portal a question 1".to_owned()), "{told:?}");
}

#[tokio::test]
async fn who_asks_for_an_address_or_a_name_gets_no_answer() {
    let bench = Bench::new();
    let network = bench.start(vec![service(443, echo)]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    network.set_conditions(Conditions {
        dhcp: false,
        names: Names::Unanswered,
        ..Conditions::default()
    });
    let discover = {
        let mut message = vec![0; 240];
        message[..3].copy_from_slice(&[1, 1, 6]);
        message[28..34].copy_from_slice(&MAC);
        message[236..].copy_from_slice(&[99, 130, 83, 99]);
        message.extend([53, 1, 1, 255]);
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(MAC, [0xff; 6])
            .ipv4([0; 4], [255; 4], 64)
            .udp(68, 67)
            .write(&mut frame, &message)
            .unwrap();
        frame
    };
    assert_silence(&mut guest, std::slice::from_ref(&discover)).await;
    network.set_conditions(Conditions::default());
    guest.send_raw(&[discover]).await;
    let offer = guest.receive_raw().await.unwrap();
    assert_eq!(offer[36..38], 68_u16.to_be_bytes(), "{offer:02x?}");
    network.stop().await.unwrap();
    assert_eq!(bench.refused(), ["no-dhcp a request 1"]);
}

#[tokio::test]
async fn a_slow_network_that_loses_frames_still_carries_everything() {
    let bench = Bench::new();
    let network = bench.start(vec![service(443, echo)]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    let latency = Duration::from_millis(30);
    let loss = Some(Loss { percent: 10, seed: 3 });
    network.set_conditions(Conditions { latency, loss, ..Conditions::default() });
    let started = Instant::now();
    let connection = guest.open(443).await;
    // A handshake is a frame there and one back.
    assert!(started.elapsed() >= 2 * latency, "{:?}", started.elapsed());
    let data = pattern(64 * 1024);
    let back = guest.exchange(connection, &data, true).await;
    assert!(back == data, "{} bytes came back, or others", back.len());
    network.stop().await.unwrap();
    let told = bench.refused();
    assert!(told.iter().any(|line| line.starts_with("loss ")), "{told:?}");
}

#[tokio::test]
async fn a_service_that_panics_is_a_failure_of_the_harness() {
    let bench = Bench::new();
    // Without the panic hook: printing a backtrace would hold the task for so long that the guest repeats
    // itself.
    let network = bench.start(vec![service(443, |_connection: Connection, _| async {
        std::panic::resume_unwind(Box::new("the handler is broken"))
    })]);
    let mut guest = Guest::connect_configured(network.socket()).await;
    let connection = guest.open(443).await;
    assert_eq!(guest.exchange(connection, b"", true).await, b"");
    // One more round, so that the task has seen the end of the handler.
    assert_silence(&mut guest, &[]).await;
    network.stop().await.unwrap();
    let seen = bench.seen.lock().unwrap();
    assert!(
        matches!(&seen[..], [Body::HarnessFailed { reason }] if reason.contains("panicked")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn what_is_in_the_way_is_named() {
    let bench = Bench::new();
    let start = |services| {
        let config = NetworkConfig::new(bench.socket(), bench.capture(), services);
        Network::start(config, bench.sink())
    };
    let error = start(vec![service(443, echo), service(443, echo)]).unwrap_err();
    assert!(matches!(error, StartError::PortTwice { port: 443, .. }), "{error}");
    let mut nameless = service(443, echo);
    nameless.host = "not a name".into();
    assert!(matches!(start(vec![nameless]).unwrap_err(), StartError::Service { .. }));
    let config = NetworkConfig::new(
        bench.directory.path().join("x".repeat(120)),
        bench.capture(),
        Vec::new(),
    );
    let error = Network::start(config, bench.sink()).unwrap_err();
    assert!(matches!(error, StartError::PathTooLong { .. }), "{error}");

    std::fs::write(bench.socket(), "a file").unwrap();
    assert!(matches!(start(Vec::new()).unwrap_err(), StartError::NotASocket { .. }));
    std::fs::remove_file(bench.socket()).unwrap();

    // What a killed run leaves behind is replaced, what is in use is not.
    drop(std::os::unix::net::UnixListener::bind(bench.socket()).unwrap());
    let network = start(Vec::new()).unwrap();
    assert!(matches!(start(Vec::new()).unwrap_err(), StartError::InUse { .. }));
    network.stop().await.unwrap();
    assert!(!bench.socket().exists());
}

#[tokio::test]
async fn dropping_the_handle_ends_the_network() {
    let bench = Bench::new();
    let network = bench.start(Vec::new());
    let mut guest = Guest::connect_configured(network.socket()).await;
    assert_silence(&mut guest, &[]).await;
    drop(network);
    assert_eq!(guest.receive_raw().await, None);
}

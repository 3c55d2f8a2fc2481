//! What can this machine reach? The `probe` command tries and reports one JSON line; tests of the
//! machine's isolation read it.
//!
//! `probe tcp HOST PORT`, `probe udp HOST PORT`, `probe dns NAME`, `probe ping ADDRESS`; each takes at
//! most two seconds.

use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use serde_json::{Value, json};

use super::output::Output;

/// How long a probe waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs a probe. Exit code 0: an answer came; 1: none; 2: wrong use.
pub(super) fn run(args: &[String]) -> Output {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let report = match words[..] {
        ["tcp", host, port] => port.parse().ok().map(|port| tcp(host, port)),
        ["udp", host, port] => port.parse().ok().map(|port| udp(host, port)),
        ["dns", name] => Some(dns(name)),
        ["ping", address] => address.parse().ok().map(ping),
        _ => None,
    };
    match report {
        None => Output::failed(
            2,
            "usage: probe tcp HOST PORT | udp HOST PORT | dns NAME | ping ADDRESS\r\n",
        ),
        Some(report) => Output {
            code: if report["reached"] == json!(true) { 0 } else { 1 },
            out: format!("{report}\r\n"),
            err: String::new(),
        },
    }
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("name: {error}"))?
        .find(SocketAddr::is_ipv4)
        .ok_or_else(|| "name: no IPv4 address".to_owned())
}

fn tcp(host: &str, port: u16) -> Value {
    let result = resolve(host, port).and_then(|address| {
        TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| error.to_string())
    });
    verdict("tcp", &format!("{host}:{port}"), result.map(|_| ()))
}

fn udp(host: &str, port: u16) -> Value {
    let result = resolve(host, port).and_then(|address| {
        let exchange = || {
            let socket = UdpSocket::bind(("0.0.0.0", 0))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.connect(address)?;
            socket.send(b"loopbreak probe")?;
            socket.recv(&mut [0; 512])
        };
        exchange().map_err(|error: std::io::Error| error.to_string())
    });
    verdict("udp", &format!("{host}:{port}"), result.map(|_| ()))
}

fn dns(name: &str) -> Value {
    match resolve(name, 0) {
        Ok(address) => json!({
            "probe": "dns", "target": name, "reached": true, "address": address.ip().to_string(),
        }),
        Err(error) => verdict("dns", name, Err(error)),
    }
}

/// An ICMP echo over the kernel's own ping socket.
#[expect(unsafe_code, reason = "ping sockets have no wrapper in the standard library")]
fn ping(address: IpAddr) -> Value {
    use std::os::fd::FromRawFd;
    let exchange = || {
        // SAFETY: plain system call; the descriptor is checked and owned at once.
        let fd = unsafe {
            libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_ICMP)
        };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened and nobody else owns it. A raw IPv4 socket takes the same
        // calls as a UDP one.
        let socket = unsafe { UdpSocket::from_raw_fd(fd) };
        socket.set_read_timeout(Some(PATIENCE))?;
        let request = echo_request(0x4C42, 1);
        socket.send_to(&request, SocketAddr::new(address, 0))?;
        let deadline = std::time::Instant::now() + PATIENCE;
        let mut buffer = [0; 1500];
        loop {
            let (length, from) = socket.recv_from(&mut buffer)?;
            // A raw socket gives the IP header too.
            let header = usize::from(buffer[0] & 0x0F) * 4;
            let echo = buffer.get(header..length).unwrap_or_default();
            if from.ip() == address
                && echo.len() >= 6
                && echo[0] == 0
                && echo[4..6] == request[4..6]
            {
                return Ok(());
            }
            if std::time::Instant::now() >= deadline {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
        }
    };
    verdict("ping", &address.to_string(), exchange().map_err(|error| error.to_string()))
}

/// An ICMP echo request with its checksum (RFC 792).
fn echo_request(id: u16, sequence: u16) -> [u8; 16] {
    let mut packet = [0_u8; 16];
    packet[0] = 8;
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[8..].copy_from_slice(b"loopback");
    let sum: u32 = packet.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let checksum = !(((folded & 0xFFFF) + (folded >> 16)) as u16);
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet
}

fn verdict(probe: &str, target: &str, result: Result<(), String>) -> Value {
    match result {
        Ok(()) => json!({ "probe": probe, "target": target, "reached": true }),
        Err(error) => {
            json!({ "probe": probe, "target": target, "reached": false, "error": error })
        }
    }
}

/// `guest-network-get-interfaces`, with the Ethernet interface only.
pub(super) fn interfaces() -> Value {
    let Some(interface) = crate::sys::Interface::first() else { return json!([]) };
    let mac: Vec<String> = interface.mac().iter().map(|byte| format!("{byte:02x}")).collect();
    let addresses: Vec<Value> = interface
        .address()
        .map(|address| {
            json!({
                "ip-address": address.to_string(), "ip-address-type": "ipv4", "prefix": 24,
            })
        })
        .into_iter()
        .collect();
    json!([{
        "name": interface.name(),
        "hardware-address": mac.join(":"),
        "ip-addresses": addresses,
    }])
}

#[cfg(test)]
mod tests {
    use super::{echo_request, run};

    #[test]
    fn the_checksum_of_an_echo_request_adds_up() {
        let packet = echo_request(0x4C42, 1);
        let sum: u32 = packet.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
        assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF);
    }

    #[test]
    fn wrong_use_is_told_apart_from_no_answer() {
        assert_eq!(run(&["tcp".to_owned()]).code, 2);
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            listener.local_addr().expect("bound").port().to_string()
        };
        let words = ["tcp".to_owned(), "127.0.0.1".to_owned(), port];
        assert_eq!(run(&words).code, 1, "nobody listens there any more");
    }
}

//! One Ethernet interface: up, address, default route.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Why the interface could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("network interface {name}: cannot {what}: {source}")]
pub struct NetifError {
    /// Name of the interface.
    name: String,
    /// What was tried.
    what: &'static str,
    /// What the kernel said.
    source: io::Error,
}

/// An Ethernet interface of the machine.
#[derive(Debug, Clone)]
pub struct Interface {
    name: String,
    mac: [u8; 6],
}

impl Interface {
    /// The first Ethernet interface by name, without the loopback; `None` if there is none.
    pub fn first() -> Option<Self> {
        let mut names: Vec<String> = fs::read_dir("/sys/class/net")
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name != "lo")
            .collect();
        names.sort();
        names.into_iter().find_map(|name| {
            let text = fs::read_to_string(format!("/sys/class/net/{name}/address")).ok()?;
            Some(Self { mac: parse_mac(&text)?, name })
        })
    }

    /// Its name, such as `eth0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its hardware address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Its IPv4 address, if it has one.
    pub fn address(&self) -> Option<Ipv4Addr> {
        let mut address = None;
        self.request("read the address", |socket, request| {
            ioctl(socket, libc::SIOCGIFADDR, request)?;
            address = Some(Ipv4Addr::new(request[20], request[21], request[22], request[23]));
            Ok(())
        })
        .ok()?;
        address
    }

    /// True if there is a carrier.
    pub fn has_link(&self) -> bool {
        fs::read_to_string(format!("/sys/class/net/{}/carrier", self.name))
            .is_ok_and(|text| text.trim() == "1")
    }

    /// Switches it on.
    pub fn up(&self) -> Result<(), NetifError> {
        self.request("switch it on", |socket, request| {
            ioctl(socket, libc::SIOCGIFFLAGS, request)?;
            let flags = flags(request) | libc::IFF_UP as i16 | libc::IFF_RUNNING as i16;
            request[16..18].copy_from_slice(&flags.to_ne_bytes());
            ioctl(socket, libc::SIOCSIFFLAGS, request)
        })
    }

    /// Gives it its address; replaces the one it had.
    pub fn set_address(&self, address: Ipv4Addr, mask: Ipv4Addr) -> Result<(), NetifError> {
        self.request("set the address", |socket, request| {
            request[16..32].copy_from_slice(&sockaddr_in(address));
            ioctl(socket, libc::SIOCSIFADDR, request)
        })?;
        self.request("set the net mask", |socket, request| {
            request[16..32].copy_from_slice(&sockaddr_in(mask));
            ioctl(socket, libc::SIOCSIFNETMASK, request)
        })
    }

    /// Sends everything without a better way to `gateway`.
    #[expect(unsafe_code, reason = "SIOCADDRT has no safe wrapper")]
    pub fn set_default_route(&self, gateway: Ipv4Addr) -> Result<(), NetifError> {
        let error =
            |source| NetifError { name: self.name.clone(), what: "set the default route", source };
        let socket = control_socket().map_err(error)?;
        // SAFETY: all-zero is a valid rtentry.
        let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
        copy_sockaddr(&mut route.rt_dst, Ipv4Addr::UNSPECIFIED);
        copy_sockaddr(&mut route.rt_genmask, Ipv4Addr::UNSPECIFIED);
        copy_sockaddr(&mut route.rt_gateway, gateway);
        route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
        // SAFETY: the route is a complete rtentry that outlives the call; rt_dev is null.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCADDRT, &raw const route) };
        match result {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                e if e.raw_os_error() == Some(libc::EEXIST) => Ok(()),
                e => Err(error(e)),
            },
        }
    }

    /// A UDP socket on `port` that sends and receives broadcasts on this interface, whether or not
    /// it has an address yet.
    #[expect(
        unsafe_code,
        reason = "SO_BINDTODEVICE must be set before bind; the standard library cannot"
    )]
    pub fn broadcast_socket(&self, port: u16) -> Result<UdpSocket, NetifError> {
        let open = || {
            let socket = control_socket()?;
            let one: libc::c_int = 1;
            for option in [libc::SO_REUSEADDR, libc::SO_BROADCAST] {
                // SAFETY: the value is one c_int, alive during the call.
                check(unsafe {
                    libc::setsockopt(
                        socket.as_raw_fd(),
                        libc::SOL_SOCKET,
                        option,
                        (&raw const one).cast(),
                        std::mem::size_of::<libc::c_int>() as libc::socklen_t,
                    )
                })?;
            }
            // SAFETY: the name is valid for its length.
            check(unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_BINDTODEVICE,
                    self.name.as_ptr().cast(),
                    self.name.len() as libc::socklen_t,
                )
            })?;
            let mut address = sockaddr_in(Ipv4Addr::UNSPECIFIED);
            address[2..4].copy_from_slice(&port.to_be_bytes());
            // SAFETY: 16 bytes laid out as a sockaddr_in, alive during the call.
            check(unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), 16) })?;
            Ok(UdpSocket::from(socket))
        };
        open().map_err(|source| NetifError {
            name: self.name.clone(),
            what: "open a broadcast socket",
            source,
        })
    }

    /// Runs `work` on a zeroed `ifreq` (40 bytes: 16 of name, 24 of union) that names this interface.
    fn request(
        &self,
        what: &'static str,
        work: impl FnOnce(&OwnedFd, &mut [u8; 40]) -> io::Result<()>,
    ) -> Result<(), NetifError> {
        let run = || {
            let socket = control_socket()?;
            let mut request = [0_u8; 40];
            let name = self.name.as_bytes();
            let length = name.len().min(15);
            request[..length].copy_from_slice(&name[..length]);
            work(&socket, &mut request)
        };
        run().map_err(|source| NetifError { name: self.name.clone(), what, source })
    }
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0_u8; 6];
    let mut parts = text.trim().split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

fn flags(request: &[u8; 40]) -> i16 {
    i16::from_ne_bytes([request[16], request[17]])
}

/// The 16 bytes of a `sockaddr_in` with port 0.
fn sockaddr_in(address: Ipv4Addr) -> [u8; 16] {
    let mut bytes = [0_u8; 16];
    bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    bytes[4..8].copy_from_slice(&address.octets());
    bytes
}

fn copy_sockaddr(target: &mut libc::sockaddr, address: Ipv4Addr) {
    let bytes = sockaddr_in(address);
    target.sa_family = libc::AF_INET as libc::sa_family_t;
    for (slot, byte) in target.sa_data.iter_mut().zip(&bytes[2..]) {
        *slot = *byte as libc::c_char;
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[expect(unsafe_code, reason = "a socket that is not bound yet")]
fn control_socket() -> io::Result<OwnedFd> {
    // SAFETY: plain system call; the descriptor is checked and owned at once.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    check(fd)?;
    // SAFETY: `fd` was just opened and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[expect(unsafe_code, reason = "interface requests are ioctls")]
fn ioctl(socket: &OwnedFd, number: libc::c_ulong, request: &mut [u8; 40]) -> io::Result<()> {
    // SAFETY: `request` is laid out as an ifreq (40 bytes on x86-64) and outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), number, request.as_mut_ptr()) })
}

#[cfg(test)]
mod tests {
    use super::{parse_mac, sockaddr_in};
    use std::net::Ipv4Addr;

    #[test]
    fn hardware_addresses_are_read() {
        assert_eq!(parse_mac("52:54:00:12:34:56\n"), Some([0x52, 0x54, 0, 0x12, 0x34, 0x56]));
        assert_eq!(parse_mac("52:54:00:12:34"), None);
        assert_eq!(parse_mac("52:54:00:12:34:56:78"), None);
    }

    #[test]
    fn a_socket_address_is_laid_out_as_the_kernel_wants_it() {
        let bytes = sockaddr_in(Ipv4Addr::new(10, 0, 2, 15));
        assert_eq!(&bytes[..8], &[2, 0, 0, 0, 10, 0, 2, 15]);
    }
}

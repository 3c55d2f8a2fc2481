//! The kernel's own file systems, and waiting for a device node to appear in one of them.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::wait::poll_once;

/// Why a kernel file system could not be mounted, or a node did not come.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The directory could not be made or the file system not be mounted.
    #[error(
        "cannot mount {kind} at {target}: {source}; the initramfs must run as PID 1 of a kernel that has it"
    )]
    Mount {
        /// Kind of file system.
        kind: &'static str,
        /// Where.
        target: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The node did not appear in time.
    #[error(
        "{path} did not appear within {limit:?}; check that the machine has the device and that its module is loaded"
    )]
    Absent {
        /// The node waited for.
        path: String,
        /// How long.
        limit: Duration,
    },
}

/// Mounts `/dev`, `/proc`, `/sys` and a small `/tmp`.
pub fn mount_kernel_filesystems() -> Result<(), MountError> {
    for (kind, target) in
        [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/tmp")]
    {
        mount(kind, target).map_err(|source| MountError::Mount { kind, target, source })?;
    }
    Ok(())
}

#[expect(unsafe_code, reason = "mount(2) has no safe wrapper in the standard library")]
fn mount(kind: &str, target: &str) -> io::Result<()> {
    fs::create_dir_all(target)?;
    let kind = CString::new(kind)?;
    let target = CString::new(target)?;
    // SAFETY: the three strings end in NUL and live until the call returns; no data is passed.
    let result =
        unsafe { libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
    // Mounted already (the kernel may have mounted /dev): as good as done.
    match result {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EBUSY) => Ok(()),
            error => Err(error),
        },
    }
}

/// Waits until the node `path` exists.
pub fn wait_for(path: &str, limit: Duration) -> Result<(), MountError> {
    wait_until(limit, || Path::new(path).exists().then_some(()))
        .ok_or_else(|| MountError::Absent { path: path.to_owned(), limit })
}

/// Looks at once, and again after each device event of the kernel, until there is something to see.
pub fn wait_until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    // The socket is opened before the first look, so that no event can be missed in between.
    let events = uevent_socket().ok();
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        let left = deadline.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())?;
        drain_when_ready(events.as_ref()?, left);
    }
}

#[expect(unsafe_code, reason = "netlink sockets have no wrapper in the standard library")]
fn uevent_socket() -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: plain system call; the descriptor is checked and owned at once.
    let fd = unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
            libc::NETLINK_KOBJECT_UEVENT,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just opened and nobody else owns it.
    let socket = unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) };
    // SAFETY: all-zero is a valid sockaddr_nl.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = 1;
    // SAFETY: the address is a sockaddr_nl of the given size and outlives the call.
    let bound = unsafe {
        libc::bind(
            fd,
            (&raw const address).cast(),
            std::mem::size_of::<libc::sockaddr_nl>() as libc::socklen_t,
        )
    };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

#[expect(unsafe_code, reason = "recv(2) on a netlink socket")]
fn drain_when_ready(socket: &std::os::fd::OwnedFd, limit: Duration) {
    use std::os::fd::AsRawFd;
    if !poll_once(socket.as_raw_fd(), limit) {
        return;
    }
    let mut buffer = [0_u8; 4096];
    // SAFETY: the buffer is writable for its whole length; the socket does not block.
    while unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) } > 0
    {
    }
}

//! Waiting for a descriptor, with a deadline.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// There is something to read (or the other end hung up).
    Yes,
    /// The deadline passed.
    TimedOut,
}

/// Waits until `source` can be read or `limit` has passed.
pub fn wait_readable(source: &impl AsRawFd, limit: Duration) -> Readable {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if poll_once(source.as_raw_fd(), left) {
            return Readable::Yes;
        }
        if Instant::now() >= deadline {
            return Readable::TimedOut;
        }
    }
}

/// One poll(2). True if the descriptor is ready.
#[expect(unsafe_code, reason = "poll(2) has no safe wrapper")]
pub(super) fn poll_once(fd: RawFd, limit: Duration) -> bool {
    let mut request = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let milliseconds = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX).max(1);
    // SAFETY: one pollfd, alive during the call.
    unsafe { libc::poll(&raw mut request, 1, milliseconds) > 0 }
}

/// Waits for the next change of a descriptor (data came, the other end came or went), where poll(2)
/// would report the same hang-up for ever: an edge-triggered epoll.
#[derive(Debug)]
pub struct EdgeWaiter(OwnedFd);

impl EdgeWaiter {
    /// Watches `source`, which must outlive the waiter's use.
    #[expect(unsafe_code, reason = "epoll has no wrapper in the standard library")]
    pub fn new(source: &impl AsRawFd) -> io::Result<Self> {
        // SAFETY: plain system call; the descriptor is checked and owned at once.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened and nobody else owns it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut interest =
            libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0 };
        // SAFETY: both descriptors are open; the event is alive during the call.
        let added = unsafe {
            libc::epoll_ctl(fd, libc::EPOLL_CTL_ADD, source.as_raw_fd(), &raw mut interest)
        };
        if added < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(epoll)) }
    }

    /// Returns at the next change. The first call returns at once if there is something already.
    #[expect(unsafe_code, reason = "epoll has no wrapper in the standard library")]
    pub fn wait(&self) {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event, alive during the call. Interrupted: the caller looks again.
        unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, -1) };
    }
}

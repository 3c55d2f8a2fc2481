//! Tells when a folder's files change, by the kernel's word (inotify(7)).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

/// A watched folder.
#[derive(Debug)]
pub(crate) struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    /// Watches from now on. What happens to the files of the folder counts once it is complete: a file that was
    /// written and closed, renamed, or removed.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let complete = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE;
        inotify::add_watch(&inotify, folder, complete | WatchFlags::ONLYDIR)?;
        #[expect(
            deprecated,
            reason = "the descriptor is this one's own, and the other way is unsafe"
        )]
        let watched = AsyncFd::new(inotify)?;
        Ok(Self(watched))
    }

    /// Waits for a change. Many at once are one.
    pub(crate) async fn changed(&self) -> io::Result<()> {
        let mut guard = self.0.readable().await?;
        let mut events = [0_u8; 4096];
        loop {
            match rustix::io::read(self.0.get_ref(), &mut events) {
                Ok(_) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => break guard.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

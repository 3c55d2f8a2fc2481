//! Tells which of a folder's files have changed, by the kernel's word (inotify(7)).

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

/// What has changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Nobody knows: each file may have.
    All,
    /// The files of these names.
    Files(BTreeSet<String>),
}

impl Changed {
    /// True where the file of this name may have changed.
    pub(crate) fn names(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Files(names) => names.contains(name),
        }
    }
}

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
    ///
    /// # Errors
    /// The folder is gone, or cannot be watched any more.
    pub(crate) async fn changed(&self) -> io::Result<Changed> {
        let mut guard = self.0.readable().await?;
        let mut events = [MaybeUninit::<u8>::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.0.get_ref(), &mut events);
        let mut names = BTreeSet::new();
        let mut lost = false;
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::WOULDBLOCK) => break guard.clear_ready(),
                Err(error) => return Err(error.into()),
            };
            if event.events().contains(ReadFlags::IGNORED) {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the folder is gone"));
            }
            lost |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            // A name that is no UTF-8 is none of a remediation.
            if let Some(name) = event.file_name().and_then(|name| name.to_str().ok()) {
                names.insert(name.to_owned());
            }
        }
        Ok(if lost { Changed::All } else { Changed::Files(names) })
    }
}

//! The disk of a machine that runs, served by the harness.
//!
//! QEMU reaches the disk over NBD on a Unix socket. On the other end is a thread of this process, in front of
//! `qemu-storage-daemon`, which has the overlay open. So every request of the machine comes by here, in the
//! order in which the machine makes them: single sectors can fail, each request can take longer, and the power
//! can go exactly at the nth write, with what the drive had in its cache lost. `medium` is what the disk does,
//! `protocol` what is said on the socket.

mod medium;
mod protocol;
#[cfg(test)]
mod tests;

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::chain::overlay_node;
use crate::daemon::Daemon;
use crate::error::DiskError;
use crate::nbd::NbdDevice;
use crate::offline::{Access, OfflineDisk};
use crate::store::DiskFormat;
use crate::worker::EXPORT;

use medium::Medium;
pub use medium::{Cut, DiskTrouble, Unflushed};

/// Hears of a power cut in the moment in which it happens, on the disk's own thread. Must not block.
pub type OnCut = Box<dyn Fn(&Cut) + Send + Sync>;
/// Hears of an error that no trouble asked for: the host's disk failed, or is full. On the disk's own thread.
pub type OnFailure = Box<dyn Fn(&io::Error) + Send + Sync>;

/// Who hears of what happens to a served disk.
pub struct Hears {
    /// Of power cuts.
    pub on_cut: OnCut,
    /// Of errors of the host.
    pub on_failure: OnFailure,
}

/// A machine's disk while the machine runs.
pub struct ServedDisk {
    shared: Arc<Shared>,
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
    daemon: Option<Daemon>,
    // Holds the daemon's socket.
    _directory: tempfile::TempDir,
}

struct Shared {
    medium: Mutex<Medium>,
    /// The connection that is served, to be ended from outside.
    stream: Mutex<Option<UnixStream>>,
    stopping: AtomicBool,
    hears: Hears,
}

impl ServedDisk {
    /// Serves the overlay `path` on the new socket `socket`. `scratch` is a directory for another socket, with
    /// a short path.
    ///
    /// # Errors
    /// The overlay or what lies below it cannot be opened, or a socket cannot be made.
    pub fn start(
        path: &Path,
        socket: &Path,
        scratch: &Path,
        hears: Hears,
    ) -> Result<Self, DiskError> {
        let failed = |source| DiskError::Device { path: path.to_path_buf(), source };
        let directory =
            tempfile::Builder::new().prefix("nbd").tempdir_in(scratch).map_err(failed)?;
        let behind = directory.path().join("s");
        let mut node = overlay_node(path, false)?;
        // The power that fails is the machine's, not the host's: nobody need wait for the host's disk.
        node["cache"]["no-flush"] = true.into();
        node["file"]["cache"]["no-flush"] = true.into();
        let daemon = Daemon::start(path, node, true, &behind)?;
        let connected = UnixStream::connect(&behind).map_err(failed)?;
        let device =
            NbdDevice::over(connected).and_then(|server| server.open(EXPORT)).map_err(failed)?;
        let listener = UnixListener::bind(socket).map_err(failed)?;
        let shared = Arc::new(Shared {
            medium: Mutex::new(Medium::new(Box::new(device))),
            stream: Mutex::new(None),
            stopping: AtomicBool::new(false),
            hears,
        });
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || served.serve(&listener))
            .map_err(failed)?;
        Ok(Self {
            shared,
            socket: socket.to_path_buf(),
            thread: Some(thread),
            path: path.to_path_buf(),
            daemon: Some(daemon),
            _directory: directory,
        })
    }

    /// Where QEMU finds it.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// From now on something is wrong between the machine and the disk, under this name.
    pub fn trouble(&self, name: &str, trouble: DiskTrouble) {
        self.shared.medium().trouble(name, trouble);
    }

    /// The trouble of this name is over.
    pub fn lift(&self, name: &str) {
        self.shared.medium().lift(name);
    }

    /// The power goes with the `count`th write from now on.
    pub fn cut_at_write(&self, count: u64, unflushed: Unflushed, seed: u64) {
        self.shared.medium().cut_at_write(count, unflushed, seed);
    }

    /// The power goes now. `None` where it is gone already, or the disk cannot be written any more.
    pub fn cut(&self, unflushed: Unflushed, seed: u64) -> Option<Cut> {
        let cut = self.shared.medium().cut(unflushed, seed)?;
        self.shared.tell(Some(cut));
        Some(cut)
    }

    /// The power is back: whoever connects next is served.
    pub fn power_on(&self) {
        self.shared.end_connection();
        self.shared.medium().power_on();
    }

    /// What is on it, while no machine uses it. Only to be read.
    ///
    /// # Errors
    /// As [`OfflineDisk::open`].
    pub fn offline(&self) -> Result<OfflineDisk, DiskError> {
        let connected = UnixStream::connect(&self.socket)
            .map_err(|source| DiskError::Device { path: self.path.clone(), source })?;
        let (path, access) = (&self.path, Access::ReadOnly);
        Ok(OfflineDisk::over(connected, path, DiskFormat::Qcow2, access, None)?.0)
    }

    /// Ends the service, with everything on the disk that the machine wrote and no cut took away.
    ///
    /// # Errors
    /// It could not be written.
    pub fn close(mut self) -> Result<(), DiskError> {
        self.stop();
        let written = self.shared.medium().write_back();
        if let Some(daemon) = self.daemon.take() {
            daemon.close();
        }
        written.map_err(|source| DiskError::Device { path: self.path.clone(), source })
    }

    fn stop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.end_connection();
        // Wakes the thread where it waits for a connection.
        drop(UnixStream::connect(&self.socket));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(disk = %self.path.display(), "the thread that serves the disk failed");
        }
        let _ = fs_err::remove_file(&self.socket);
    }
}

impl Drop for ServedDisk {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn medium(&self) -> MutexGuard<'_, Medium> {
        // Each request is complete in itself.
        self.medium.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stream(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_connection(&self) {
        if let Some(stream) = self.stream().take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Tells who hears of it what has happened, once the disk is free again.
    fn tell(&self, cut: Option<Cut>) {
        let failure = self.medium().take_failure();
        if let Some(cut) = cut {
            (self.hears.on_cut)(&cut);
        }
        if let Some(error) = failure {
            (self.hears.on_failure)(&error);
        }
    }

    /// One machine after the other.
    fn serve(&self, listener: &UnixListener) {
        while let Ok((stream, _)) = listener.accept() {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            *self.stream() = stream.try_clone().ok();
            let served = protocol::serve(&stream, |request| self.answer(request));
            if let Err(error) = served {
                tracing::debug!(%error, "a machine's disk is no longer asked");
            }
            self.stream().take();
        }
    }

    fn answer(&self, request: protocol::Request<'_>) -> Option<protocol::Answer> {
        let latency = self.medium().latency();
        if !latency.is_zero() {
            #[expect(
                clippy::disallowed_methods,
                reason = "the fault itself: a disk that takes its time"
            )]
            std::thread::sleep(latency);
        }
        let (answer, cut) = self.medium().request(request);
        self.tell(cut);
        answer
    }
}

//! The channel: a virtio serial port by its name.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::commands::{Agent, Wish};
use super::frame::Frames;
use crate::{machine, sys};

/// The name of the agent's port on every hypervisor that speaks this protocol.
const PORT_NAME: &str = "org.qemu.guest_agent.0";

/// Why the channel broke.
#[derive(Debug, thiserror::Error)]
#[error("guest agent channel {path}: {source}")]
pub struct AgentError {
    /// Node of the port.
    path: PathBuf,
    /// What the kernel said.
    source: io::Error,
}

/// The node of the agent's port; `None` if the machine has none. Its name reaches the kernel by a
/// message of its own, later than the port: whoever expects one waits for it with `patience`.
pub fn find_port(patience: Duration) -> Option<PathBuf> {
    sys::wait_until(patience, || {
        fs::read_dir("/sys/class/virtio-ports")
            .ok()?
            .flatten()
            .find(|entry| {
                fs::read_to_string(entry.path().join("name"))
                    .is_ok_and(|name| name.trim() == PORT_NAME)
            })
            .map(|entry| Path::new("/dev").join(entry.file_name()))
    })
}

/// Serves the channel until the agent wishes for power to change, and returns that wish.
pub fn serve(agent: &mut Agent, path: &Path) -> Result<Wish, AgentError> {
    let failed = |source| AgentError { path: path.to_owned(), source };
    let mut port = File::options().read(true).write(true).open(path).map_err(failed)?;
    let changes = sys::EdgeWaiter::new(&port).map_err(failed)?;
    let mut frames = Frames::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = match port.read(&mut buffer) {
            // Nobody is connected at the other end: reading gives nothing at once.
            Ok(0) => {
                changes.wait();
                continue;
            }
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        for request in frames.feed(&buffer[..length]) {
            let answer = machine::while_running(|| agent.answer(&request));
            port.write_all(&answer.bytes).map_err(failed)?;
            if let Some(wish) = answer.wish {
                return Ok(wish);
            }
        }
    }
}

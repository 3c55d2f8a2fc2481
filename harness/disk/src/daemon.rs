//! QEMU's storage daemon, for one disk.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::error::DiskError;
use crate::worker::EXPORT;

/// The storage daemon under its supervisor, which ends it when its own input ends: with the harness,
/// even if that is killed, or with this value.
#[derive(Debug)]
pub(crate) struct Daemon(Child);

/// `$@` is the daemon's command line. The supervisor gives its own output away, so that the end of the
/// daemon is the end of that. A line on its input lets the daemon close the disk properly (SIGTERM);
/// without one, what was not flushed is not to be kept (SIGKILL).
const SUPERVISOR: &str = "exec 3<&0; \"$@\" </dev/null & daemon=$!; exec >/dev/null 2>&1; \
    read -r line <&3 && kill -TERM $daemon || kill -KILL $daemon; wait $daemon";

impl Daemon {
    /// Starts a daemon that hands out `node` (a block device as QEMU describes one) on `socket`. `path` is
    /// for messages.
    pub(crate) fn start(
        path: &Path,
        mut node: Value,
        writable: bool,
        socket: &Path,
    ) -> Result<Self, DiskError> {
        node["node-name"] = "disk".into();
        let server = json!({"addr": {"type": "unix", "path": socket.to_string_lossy()}});
        let export = json!({
            "type": "nbd", "id": "export", "node-name": "disk", "name": EXPORT, "writable": writable,
        });
        let mut child = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh", "qemu-storage-daemon"])
            .args(["--blockdev", &node.to_string()])
            .args(["--nbd-server", &server.to_string()])
            .args(["--export", &export.to_string()])
            // The greeting of the monitor comes when everything before it is ready.
            .args(["--chardev", "file,id=monitor,path=/dev/stdout", "--monitor", "chardev=monitor"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| DiskError::NoProgram { source })?;
        let output = child.stdout.take();
        let errors = child.stderr.take();
        let daemon = Self(child);
        let mut greeting = String::new();
        if let Some(output) = output {
            // A daemon that refuses closes its output: an empty greeting.
            let _ = BufReader::new(output).read_line(&mut greeting);
        }
        if greeting.contains("QMP") {
            return Ok(daemon);
        }
        let mut message = String::new();
        if let Some(errors) = errors {
            let _ = BufReader::new(errors).read_to_string(&mut message);
        }
        if message.trim_end().ends_with("not found") {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(DiskError::NoProgram { source });
        }
        let message = plain(&message, &node);
        Err(DiskError::Refused { path: path.to_path_buf(), message })
    }

    /// Lets it close the disk and end.
    pub(crate) fn close(mut self) {
        if let Some(input) = &mut self.0.stdin {
            let _ = input.write_all(b"close\n");
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// What the daemon said, without its name and without the description that it repeats.
fn plain(message: &str, node: &Value) -> String {
    let message = message.trim().trim_start_matches("qemu-storage-daemon: ");
    let message = message.replace(&format!("--blockdev {node}: "), "");
    message.trim().to_owned()
}

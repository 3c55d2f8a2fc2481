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
///
/// SIGTERM is sent again each second until the daemon is gone. Its handler only sets a flag (QEMU 7.2), so a
/// signal that comes just before the main loop waits, or to another thread, wakes nobody, and the daemon
/// stays for ever. There is no event of its end to wait for but the end itself.
const SUPERVISOR: &str = "exec 3<&0; \"$@\" </dev/null & daemon=$!; exec >/dev/null 2>&1; \
    if read -r line <&3; then kill -TERM $daemon; \
    { while sleep 1; do kill -TERM $daemon; done; } & again=$!; \
    wait $daemon; kill $again; else kill -KILL $daemon; wait $daemon; fi";

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

#[cfg(test)]
mod tests {
    use super::*;

    /// How the supervisor's end comes for a program that is not QEMU's.
    fn ends(program: &str, said: &[u8]) {
        let mut child = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh", "sh", "-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        let mut input = child.stdin.take().expect("its input");
        input.write_all(said).expect("it reads");
        drop(input);
        child.wait().expect("it ends");
    }

    #[test]
    fn a_daemon_that_misses_its_first_signal_is_told_again() {
        ends(
            "n=0; trap 'n=$((n+1)); [ $n -lt 2 ] || exit 0' TERM; echo ready; while :; do sleep 0.1; done",
            b"close\n",
        );
    }

    #[test]
    fn a_daemon_whose_owner_is_gone_is_ended_whatever_it_ignores() {
        ends("trap '' TERM; echo ready; while :; do sleep 0.1; done", b"");
    }
}

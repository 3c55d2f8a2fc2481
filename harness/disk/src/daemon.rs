//! QEMU's storage daemon, for one disk.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::DiskError;
use crate::offline::Access;

/// The storage daemon under its supervisor, which ends it when its own input ends: with the harness,
/// even if that is killed, or with this value.
#[derive(Debug)]
pub(crate) struct Daemon(Child);

/// `$@` is the daemon's command line. The supervisor gives its own output away, so that the end of the
/// daemon is the end of that. SIGKILL: on SIGTERM the daemon would flush; by then everything was flushed
/// by the volume, and an edit that was not is not to be kept.
const SUPERVISOR: &str = "exec 3<&0; \"$@\" </dev/null & daemon=$!; exec >/dev/null 2>&1; \
    cat <&3; kill -KILL $daemon; wait $daemon";

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

pub(crate) fn start_daemon(path: &Path, access: Access, socket: &Path) -> Result<Daemon, DiskError> {
    let (read_only, writable) = match access {
        Access::ReadOnly => ("on", "off"),
        Access::ReadWrite => ("off", "on"),
    };
    let escaped = |path: &Path| path.to_string_lossy().replace(',', ",,");
    let mut child = Command::new("sh")
        .args(["-c", SUPERVISOR, "sh", "qemu-storage-daemon", "--blockdev"])
        .arg(format!("driver=file,node-name=file,filename={},read-only={read_only}", escaped(path)))
        .arg("--blockdev")
        .arg(format!("driver=qcow2,node-name=disk,file=file,read-only={read_only}"))
        .arg("--nbd-server")
        .arg(format!("addr.type=unix,addr.path={}", escaped(socket)))
        .arg("--export")
        .arg(format!("type=nbd,id=export,node-name=disk,name=disk,writable={writable}"))
        // The greeting of the monitor comes when everything before it is ready.
        .args(["--chardev", "file,id=monitor,path=/dev/stdout", "--monitor", "chardev=monitor"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| DiskError::NoProgram { source })?;
    let output = child.stdout.take();
    let errors = child.stderr.take();
    let daemon = Daemon(child);
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
        let _ = std::io::Read::read_to_string(&mut BufReader::new(errors), &mut message);
    }
    if message.trim_end().ends_with("not found") {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(DiskError::NoProgram { source });
    }
    let message = message.trim().trim_start_matches("qemu-storage-daemon: ").to_owned();
    Err(DiskError::Refused { path: path.to_path_buf(), message })
}

//! A TPM of the machine's own: one `swtpm` process, which ends when QEMU closes its connection.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::error::HypervisorError;

/// How long swtpm may take to write its state and end, once QEMU is gone.
const LEAVE: Duration = Duration::from_secs(10);

/// A running TPM emulator. Killed when dropped.
pub(crate) struct Tpm {
    child: Child,
    log: PathBuf,
}

impl Tpm {
    /// Starts it with its state in `state`, listening at `socket`.
    ///
    /// The socket is bound here and handed over as swtpm's standard input, so QEMU can connect from
    /// the first moment on and nothing has to be waited for.
    pub(crate) fn start(state: &Path, socket: &Path, log: &Path) -> Result<Self, HypervisorError> {
        fs_err::create_dir_all(state)
            .map_err(|error| HypervisorError::io("create", state, error))?;
        match fs_err::remove_file(socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(HypervisorError::io("remove", socket, error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(socket)
            .map_err(|error| HypervisorError::io("listen on", socket, error))?;
        let mut directory = std::ffi::OsString::from("dir=");
        directory.push(state);
        let mut log_option = std::ffi::OsString::from("level=1,file=");
        log_option.push(log);
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--terminate", "--ctrl", "type=unixio,fd=0", "--tpmstate"])
            .arg(directory)
            .arg("--log")
            .arg(log_option)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| HypervisorError::Process {
                program: "swtpm".to_owned(),
                reason: format!("{error}; install the package `swtpm`, or run `loopbreak doctor`"),
            })?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits for its end after QEMU closed the connection, so that its state is complete on disk.
    pub(crate) async fn ended(&mut self) -> Result<(), HypervisorError> {
        match tokio::time::timeout(LEAVE, self.child.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(HypervisorError::io("wait for swtpm with log", &self.log, error)),
            Err(_) => {
                let _ = self.child.kill().await;
                Err(HypervisorError::TimedOut {
                    what: format!("the end of swtpm (log {})", self.log.display()),
                    seconds: LEAVE.as_secs(),
                })
            }
        }
    }
}

//! Starting and stopping a machine's network.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use thiserror::Error;
use timeline::Sink;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cable::{Cable, Ends, Report};
use crate::capture::{Capture, CaptureError};
use crate::conditions::Conditions;
use crate::plan::AddressPlan;
use crate::service::Service;
use crate::stop_error::StopError;

/// What a network is made of.
#[derive(Debug)]
pub struct NetworkConfig {
    /// Path of the Unix socket to listen on. QEMU connects to it
    /// (`-netdev stream,server=off,addr.type=unix,addr.path=…`). Must not exist, but a socket that
    /// nobody listens on any more is replaced.
    pub socket: PathBuf,
    /// The packet capture (pcapng) that is written.
    pub capture: PathBuf,
    /// Everything that answers the machine, beside DHCP and DNS.
    pub services: Vec<Service>,
    /// Who answers at the ports of the web, 80 and 443, while [`Conditions::portal`] holds.
    pub portal: Option<Service>,
    /// Addresses; the default suits every machine.
    pub plan: AddressPlan,
}

impl NetworkConfig {
    /// A network with the usual addresses.
    pub fn new(
        socket: impl Into<PathBuf>,
        capture: impl Into<PathBuf>,
        services: Vec<Service>,
    ) -> Self {
        Self {
            socket: socket.into(),
            capture: capture.into(),
            services,
            portal: None,
            plan: AddressPlan::default(),
        }
    }
}

/// Why a network could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// Two services want the same port.
    #[error(
        "services `{first}` and `{second}` both want TCP port {port} of the machine's network; give one of them another port"
    )]
    PortTwice {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// The port.
        port: u16,
    },
    /// A service's host or port cannot be served.
    #[error("service `{service}` has {what}; correct the service's address")]
    Service {
        /// The service's name.
        service: String,
        /// What is wrong with it.
        what: String,
    },
    /// The path is too long for a Unix socket.
    #[error(
        "the socket path {path} has {length} bytes, a Unix socket's path has at most {limit}; use a shorter state directory"
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Another process listens there.
    #[error(
        "another process listens on the socket {path}; end that run, or use another run directory"
    )]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something that is not a socket is in the way.
    #[error("{path} is in the way of the network's socket and is not a socket; move it away")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The socket could not be made.
    #[error("cannot listen on the socket {path}; is its directory there and writable?")]
    Listen {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The capture could not be made.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// A machine's network. See the crate's documentation.
#[derive(Debug)]
pub struct Network;

impl Network {
    /// Makes the socket and the capture, and begins to serve on the current tokio runtime. When this
    /// returns, QEMU can connect.
    ///
    /// # Errors
    /// See [`StartError`]. On an error nothing is left behind but, perhaps, the capture file.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(config: NetworkConfig, sink: Sink) -> Result<NetworkHandle, StartError> {
        check_services(&config.services)?;
        let capture = Capture::create(&config.capture)?;
        let (listener, socket) = listen(&config.socket)?;
        let (conditions, conditions_seen) = watch::channel(Conditions::default());
        let (told, report) = watch::channel(Report::default());
        let (stop, stop_seen) = watch::channel(false);
        let path = config.socket.clone();
        let ends = Ends { services: config.services, portal: config.portal };
        let cable = Cable::new(config.plan, ends, capture, sink, conditions_seen, told);
        let task = tokio::spawn(async move {
            let _socket = socket;
            cable.serve(listener, stop_seen).await
        });
        Ok(NetworkHandle { socket: path, conditions, report, stop, task: Some(task) })
    }
}

/// A running network. Dropping it stops it too, without waiting for the end.
#[derive(Debug)]
pub struct NetworkHandle {
    socket: PathBuf,
    conditions: watch::Sender<Conditions>,
    report: watch::Receiver<Report>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<Result<Report, StopError>>>,
}

impl NetworkHandle {
    /// The socket that QEMU connects to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sets what is wrong with the network from now on.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.conditions.send_replace(conditions);
    }

    /// What is wrong with the network now.
    pub fn conditions(&self) -> Conditions {
        self.conditions.borrow().clone()
    }

    /// What went over the network until now, and a way to wait for more.
    pub fn report(&self) -> watch::Receiver<Report> {
        self.report.clone()
    }

    /// Stops serving, drops all connections, removes the socket, finishes the capture.
    ///
    /// # Errors
    /// [`StopError`] where the network did not last or its capture could not be written.
    pub async fn stop(mut self) -> Result<Report, StopError> {
        self.stop.send_replace(true);
        let Some(task) = self.task.take() else { return Ok(Report::default()) };
        let report = task
            .await
            .map_err(|source| StopError::Task { socket: self.socket.clone(), source })??;
        Ok(report)
    }
}

impl Drop for NetworkHandle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Removes the socket when the network is gone, however it went.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(socket = %self.0.display(), %error, "cannot remove the network's socket");
        }
    }
}

/// `sun_path` of Linux's `sockaddr_un`, without the end mark.
const SOCKET_PATH_LIMIT: usize = 107;

fn listen(path: &Path) -> Result<(UnixListener, SocketFile), StartError> {
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_LIMIT {
        let path = path.to_path_buf();
        return Err(StartError::PathTooLong { path, length, limit: SOCKET_PATH_LIMIT });
    }
    let failed = |source| StartError::Listen { path: path.to_path_buf(), source };
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(StartError::NotASocket { path: path.to_path_buf() });
        }
        // A run that was killed leaves its socket behind; one that lives accepts.
        if BlockingStream::connect(path).is_ok() {
            return Err(StartError::InUse { path: path.to_path_buf() });
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let file = SocketFile(path.to_path_buf());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok((listener, file))
}

fn check_services(services: &[Service]) -> Result<(), StartError> {
    for (index, service) in services.iter().enumerate() {
        let wrong = |what: &str| StartError::Service {
            service: service.name.clone(),
            what: what.to_owned(),
        };
        if service.port == 0 {
            return Err(wrong("port 0"));
        }
        if !crate::dns::is_host_name(&service.host) {
            return Err(wrong("a host name that the DNS cannot carry"));
        }
        if let Some(other) = services[..index].iter().find(|other| other.port == service.port) {
            return Err(StartError::PortTwice {
                first: other.name.clone(),
                second: service.name.clone(),
                port: service.port,
            });
        }
    }
    Ok(())
}

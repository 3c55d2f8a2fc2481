//! The connection to libvirt: opened once, with one thread for its events.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::mpsc;
use virt::connect::Connect;

use crate::claim::claim;
use crate::daemon::{Labels, check_reach};
use crate::error::HypervisorError;
use crate::ffi::{self, DomainEvent, DomainEventKind, Subscription};

/// Where libvirt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// libvirt's QEMU driver inside this process; nothing to start. `root` is short, because socket
    /// paths lie below it, and belongs to this process alone. One process can have one root only.
    Embedded {
        /// Directory for libvirt's own files; created where missing.
        root: PathBuf,
    },
    /// A daemon on this host.
    Daemon {
        /// `qemu:///system`, `qemu:///session`, `qemu+ssh://localhost/system`.
        uri: String,
        /// Where files and sockets of machines lie. The daemon has to see them.
        directories: Vec<PathBuf>,
    },
}

impl Address {
    fn uri(&self) -> String {
        match self {
            Self::Embedded { root } => {
                format!("qemu:///embed?root={}", percent_encode(&root.to_string_lossy()))
            }
            Self::Daemon { uri, .. } => uri.clone(),
        }
    }
}

/// An open connection and the way of its events to the machines.
pub(crate) struct Connection {
    pub(crate) connect: Connect,
    pub(crate) routes: Arc<Routes>,
    pub(crate) labels: Labels,
    _subscription: Subscription,
    /// Of an embedded driver's root.
    _claim: Option<fs_err::File>,
}

/// A daemon that does not answer so many times, so many seconds apart, is gone.
const KEEP_ALIVE_SECONDS: i32 = 5;
const KEEP_ALIVE_COUNT: u32 = 6;

/// Which machine gets the events of which domain.
#[derive(Default)]
pub(crate) struct Routes(Mutex<HashMap<String, mpsc::UnboundedSender<DomainEvent>>>);

impl Routes {
    /// From now on the events of `domain` go to the returned channel. Call it before the domain starts.
    pub(crate) fn add(&self, domain: &str) -> mpsc::UnboundedReceiver<DomainEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().insert(domain.to_owned(), sender);
        receiver
    }

    pub(crate) fn remove(&self, domain: &str) {
        self.lock().remove(domain);
    }

    fn deliver(&self, event: DomainEvent) {
        if let Some(sender) = self.lock().get(&event.domain) {
            // A machine that is being forgotten no longer listens.
            let _ = sender.send(event);
        }
    }

    /// Nobody will hear of any machine any more.
    fn lost(&self) {
        for (domain, sender) in self.lock().iter() {
            let (domain, kind) = (domain.clone(), DomainEventKind::ConnectionLost);
            let _ = sender.send(DomainEvent { domain, kind });
        }
    }

    fn lock(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<String, mpsc::UnboundedSender<DomainEvent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Opens the connection. Blocking.
    pub(crate) fn open(address: &Address) -> Result<Self, HypervisorError> {
        let uri = address.uri();
        let failed = |error: virt::error::Error| HypervisorError::Libvirt {
            action: "open",
            object: uri.clone(),
            message: explain(error.message()),
        };
        run_event_loop().map_err(|message| HypervisorError::Libvirt {
            action: "run the event loop of",
            object: uri.clone(),
            message,
        })?;
        let claim = match address {
            Address::Embedded { root } => {
                check_root(root)?;
                let claim = claim(root)?;
                write_settings(root)?;
                Some(claim)
            }
            Address::Daemon { .. } => None,
        };
        let connect = Connect::open(Some(&uri)).map_err(failed)?;
        let routes = Arc::new(Routes::default());
        let labels = match address {
            Address::Embedded { .. } => Labels::default(),
            Address::Daemon { directories, .. } => {
                check_reach(&connect, &uri, directories)?;
                // Else a daemon that hangs, or a host that went away, looks like a guest that does nothing.
                connect.set_keep_alive(KEEP_ALIVE_SECONDS, KEEP_ALIVE_COUNT).map_err(failed)?;
                let routes = Arc::clone(&routes);
                ffi::on_close(&connect, Box::new(move || routes.lost())).map_err(failed)?;
                Labels::of(&connect).map_err(failed)?
            }
        };
        let listener = || -> ffi::Listener {
            let routes = Arc::clone(&routes);
            Box::new(move |event| routes.deliver(event))
        };
        let subscription = ffi::subscribe(&connect, listener(), listener()).map_err(failed)?;
        if !subscription.has_monitor_events() {
            return Err(HypervisorError::Unsupported {
                what: format!("connection {uri}"),
                why: "it gives no monitor events of QEMU, without which nobody knows who reset a machine; use qemu:///system with full access"
                    .to_owned(),
            });
        }
        Ok(Self { connect, routes, labels, _subscription: subscription, _claim: claim })
    }
}

/// Registers libvirt's event loop and runs it in a thread of its own, once per process. It must run
/// before the first connection is opened (windows-facts.md section 0).
fn run_event_loop() -> Result<(), String> {
    static LOOP: OnceLock<Result<(), String>> = OnceLock::new();
    LOOP.get_or_init(|| {
        ffi::silence_errors();
        virt::event::event_register_default_impl().map_err(|error| error.to_string())?;
        std::thread::Builder::new()
            .name("libvirt-events".to_owned())
            .spawn(|| {
                loop {
                    if let Err(error) = virt::event::event_run_default_impl() {
                        tracing::error!("libvirt's event loop ended: {error}");
                        break;
                    }
                }
            })
            .map_err(|error| error.to_string())?;
        Ok(())
    })
    .clone()
}

/// Sockets lie below it; libvirt's longest is /lib/qemu/domain-1234-<20 characters>/monitor.sock.
fn check_root(root: &Path) -> Result<(), HypervisorError> {
    if root.as_os_str().len() > 50 || !root.is_absolute() {
        return Err(HypervisorError::Unsupported {
            what: format!("directory {} for libvirt", root.display()),
            why: "it must be absolute and have at most 50 bytes, because sockets lie below it"
                .to_owned(),
        });
    }
    Ok(())
}

/// libvirt's settings for an embedded driver. `stdio_handler`: else it looks for virtlogd. The rest:
/// there is no other user, no cgroup and no namespace to change to, and the files of a machine keep
/// their owner.
fn write_settings(root: &Path) -> Result<(), HypervisorError> {
    let settings = root.join("etc");
    fs_err::create_dir_all(&settings)
        .map_err(|error| HypervisorError::io("create", &settings, error))?;
    let mut text = String::from(
        "# Written by loopbreak for libvirt's embedded driver.\nstdio_handler = \"file\"\nsecurity_driver = \"none\"\ndynamic_ownership = 0\nremember_owner = 0\nsave_image_format = \"raw\"\n",
    );
    if rustix::process::geteuid().is_root() {
        text.push_str("user = \"+0\"\ngroup = \"+0\"\nnamespaces = []\ncgroup_controllers = []\n");
    }
    let path = settings.join("qemu.conf");
    fs_err::write(&path, text).map_err(|error| HypervisorError::io("write", &path, error))
}

/// As root, libvirt looks up the account that it was built for before it reads that another is wanted.
/// Debian creates the account with a package that is not needed otherwise.
fn explain(message: &str) -> String {
    if message.contains("Failed to parse user") || message.contains("Failed to parse group") {
        format!(
            "{message}; as root, libvirt wants this system account to exist: create it (`adduser --system --no-create-home --ingroup kvm libvirt-qemu`, or install libvirt-daemon-system), or run as an ordinary user"
        )
    } else if message.contains("Failed to connect socket") {
        format!(
            "{message}; is its daemon running (`systemctl start libvirtd`), and may you use it? Without --connect none is needed"
        )
    } else {
        message.to_owned()
    }
}

/// RFC 3986: everything but unreserved characters and the slash.
fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_uris() {
        let embedded = Address::Embedded { root: "/run/u 1/&x".into() };
        assert_eq!(embedded.uri(), "qemu:///embed?root=/run/u%201/%26x");
        let daemon = Address::Daemon { uri: "qemu:///system".to_owned(), directories: Vec::new() };
        assert_eq!(daemon.uri(), "qemu:///system");
    }

    #[test]
    fn a_long_root_is_refused_before_libvirt_fails_obscurely() {
        let long = PathBuf::from(format!("/{}", "r".repeat(60)));
        assert!(matches!(check_root(&long), Err(HypervisorError::Unsupported { .. })));
    }
}

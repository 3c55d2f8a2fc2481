//! What can go wrong between the engine and a machine.

use std::path::PathBuf;

/// Why a hypervisor or a machine could not do what it was asked. All of these are failures of the
/// harness or the host, never of the product under test.
#[derive(Debug, thiserror::Error)]
pub enum HypervisorError {
    /// libvirt refused.
    #[error("libvirt could not {action} {object}: {message}")]
    Libvirt {
        /// What was asked, as a verb: `start`, `save`.
        action: &'static str,
        /// Of what: the domain's name or the connection's address.
        object: String,
        /// libvirt's words.
        message: String,
    },
    /// This host or this libvirt cannot provide what the profile asks for.
    #[error("{what} is not possible here: {why}")]
    Unsupported {
        /// What the profile asks for.
        what: String,
        /// Why not, and what to do.
        why: String,
    },
    /// A file or socket of the machine.
    #[error("could not {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb: `create`, `listen on`.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A Unix socket path over the kernel's limit.
    #[error(
        "socket path {path} has {length} bytes, and the kernel takes 107; choose a shorter state directory"
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// The machine is off or was destroyed.
    #[error("machine {name} is gone: {reason}")]
    Gone {
        /// Domain name.
        name: String,
        /// How it ended.
        reason: String,
    },
    /// A RAM checkpoint cannot be read or written.
    #[error("checkpoint {path}: {reason}")]
    Checkpoint {
        /// The save file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A helper process (swtpm, qemu-img) failed.
    #[error("{program} failed: {reason}")]
    Process {
        /// The program.
        program: String,
        /// What it said.
        reason: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {seconds} s")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// The limit.
        seconds: u64,
    },
    /// A picture of the display cannot be understood.
    #[error("the picture of machine {name} cannot be read: {reason}")]
    Picture {
        /// Domain name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl HypervisorError {
    /// An I/O failure, with what was tried and where.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }
}

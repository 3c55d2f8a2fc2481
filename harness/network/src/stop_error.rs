//! Why a network ended badly.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::capture::CaptureError;

/// Why a network ended badly.
#[derive(Debug, Error)]
pub enum StopError {
    /// Its task panicked or was cancelled.
    #[error(
        "the task of the network at {socket} ended early; its packet capture may be incomplete"
    )]
    Task {
        /// The network's socket.
        socket: PathBuf,
        /// How it ended.
        #[source]
        source: tokio::task::JoinError,
    },
    /// The capture is incomplete.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The listener failed.
    #[error(
        "the socket {socket} stopped accepting connections; the machine had no network from then on"
    )]
    Accept {
        /// The network's socket.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

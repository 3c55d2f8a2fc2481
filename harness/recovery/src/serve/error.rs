//! Why the service cannot be started on its own.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::authority::AuthorityError;
use crate::service_error::ServiceError;

/// Why there is no server.
#[derive(Debug, Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; is it one of this host's, and is its port free?"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of remediations cannot be read.
    #[error("cannot read the folder of remediations {path}: {source}; make it, or name another")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The certificates cannot be written.
    #[error("cannot write the certificate {path}: {source}; is its directory writable?")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// No service.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

//! Why a service cannot be started.

use thiserror::Error;

use crate::authority::AuthorityError;
use crate::log::LogError;

/// Why there is no remediation service.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// A remediation's name cannot be part of a URL, or is taken.
    #[error("remediation `{id}` {what}; give it another id")]
    Id {
        /// The name.
        id: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No certificate.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// TLS does not take the certificate.
    #[error("TLS does not take the certificate for {host}")]
    Tls {
        /// The service's host name.
        host: String,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// No log.
    #[error(transparent)]
    Log(#[from] LogError),
}

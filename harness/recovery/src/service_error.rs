//! Why a service cannot be started.

use thiserror::Error;

use crate::authority::AuthorityError;
use crate::log::LogError;

/// Why there is no remediation service.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// A remediation's name cannot be part of a URL or is taken, or its counter is none.
    #[error("remediation `{id}` {what}; change it in its declaration")]
    Id {
        /// The name.
        id: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A remediation was changed and not numbered anew.
    #[error(
        "remediation `{id}` is another than the one that is published with the counter {counter}; give it a greater one"
    )]
    Counter {
        /// The name.
        id: String,
        /// The counter of what is published.
        counter: u32,
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

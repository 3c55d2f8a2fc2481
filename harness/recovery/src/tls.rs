//! TLS as a service of the harness speaks it: with its own certificate, or with a wrong one.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, Validity};
use crate::service_error::ServiceError;
use crate::trouble::Trouble;

/// The name that a wrong certificate is for.
pub(crate) const OTHER_NAME: &str = "login.portal.test";

/// What a service answers handshakes with.
#[derive(Clone)]
pub(crate) struct Tls {
    right: TlsAcceptor,
    other_name: TlsAcceptor,
    expired: TlsAcceptor,
}

impl Tls {
    /// Certificates for `host` of which the right one is valid around `clock`, the right time.
    pub(crate) fn new(
        authority: &Authority,
        host: &str,
        clock: Timestamp,
    ) -> Result<Self, ServiceError> {
        let now = Validity::around(clock);
        let past = now.before();
        Ok(Self {
            right: acceptor(authority, host, now)?,
            other_name: acceptor(authority, OTHER_NAME, now)?,
            expired: acceptor(authority, host, past)?,
        })
    }

    /// The one that a machine gets which meets this trouble.
    pub(crate) fn acceptor(&self, trouble: Option<Trouble>) -> &TlsAcceptor {
        match trouble {
            Some(Trouble::WrongCertificate) => &self.other_name,
            Some(Trouble::ExpiredCertificate) => &self.expired,
            _ => &self.right,
        }
    }
}

/// Speaks TLS 1.3 with a certificate for `host`.
pub(crate) fn acceptor(
    authority: &Authority,
    host: &str,
    validity: Validity,
) -> Result<TlsAcceptor, ServiceError> {
    let identity = authority.issue_server(host, validity)?;
    let failed = |source| ServiceError::Tls { host: host.to_owned(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate], identity.key)
        .map_err(failed)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

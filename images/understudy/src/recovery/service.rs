//! The update service, over HTTPS. Only the roots of the machine's own SOFTWARE hive are trusted.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::remediation::{Envelope, FORMAT, ScanAnswer, ScanRequest};
use super::scan::Told;

/// The most bytes of an answer.
const MOST: u64 = 1 << 20;
/// The longest exchange.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the service gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServiceError {
    /// No exchange: name, connection, TLS, or a broken answer.
    #[error("{url}: {source}")]
    Exchange {
        /// What was asked.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// It is to be asked again later.
    #[error("{url}: the service answered with status {status}: to be asked again after {after:?}")]
    Later {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// After so long.
        after: Duration,
    },
    /// An answer that says no.
    #[error("{url}: the service answered with status {status}")]
    Status {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
    },
    /// An answer that cannot be read.
    #[error("{url}: the answer cannot be read: {reason}")]
    Answer {
        /// What was asked.
        url: String,
        /// Why.
        reason: String,
    },
    /// The address of the service is no HTTPS address.
    #[error("the update service's address {0:?} must start with https://")]
    Address(String),
}

/// Why nothing came of asking the service: for people, and the time that it wants to have before it is asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoAnswer {
    /// Why.
    pub why: String,
    /// So long.
    pub again_after: Option<Duration>,
}

impl From<String> for NoAnswer {
    fn from(why: String) -> Self {
        Self { why, again_after: None }
    }
}

impl From<ServiceError> for NoAnswer {
    fn from(error: ServiceError) -> Self {
        let again_after = match &error {
            ServiceError::Later { after, .. } => Some(*after),
            _ => None,
        };
        Self { why: error.to_string(), again_after }
    }
}

/// The body of `POST report`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Report<'a> {
    /// [`FORMAT`].
    pub format: u32,
    /// Computer name.
    pub machine: &'a str,
    /// The remediation.
    pub id: &'a str,
    /// `applied`, `refused` or `failed`.
    pub result: &'a str,
    /// Why it was refused, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<words::Refusal>,
    /// Why, where it was not applied.
    pub reason: &'a str,
    /// What was changed.
    pub changes: &'a [String],
}

/// A client that trusts `roots` (DER certificates) and nobody else, and speaks HTTPS only.
pub(crate) fn client(roots: &[Vec<u8>]) -> ureq::Agent {
    let roots: Vec<Certificate<'static>> =
        roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(PATIENCE))
        // Each exchange stands alone: a kept connection would die unseen while the machine waits.
        .max_idle_connections(0)
        .user_agent("loopbreak-understudy")
        .build()
        .new_agent()
}

/// A client of the update service.
#[derive(Debug)]
pub(super) struct UpdateService {
    agent: ureq::Agent,
    base: String,
}

impl UpdateService {
    /// A client that trusts `roots` (DER certificates) and nobody else.
    pub(super) fn new(base: &str, roots: &[Vec<u8>]) -> Result<Self, ServiceError> {
        if !base.to_ascii_lowercase().starts_with("https://") {
            return Err(ServiceError::Address(base.to_owned()));
        }
        let agent = client(roots);
        Ok(Self { agent, base: base.trim_end_matches('/').to_owned() })
    }

    /// Asks for remediations.
    pub(super) fn scan(&self, request: &ScanRequest<'_>) -> Result<ScanAnswer, ServiceError> {
        let url = format!("{}/recovery/v1/scan", self.base);
        let answer: ScanAnswer = self.post(&url, request)?;
        if answer.format != FORMAT {
            let reason = format!("it has format {}; this machine knows {FORMAT}", answer.format);
            return Err(ServiceError::Answer { url, reason });
        }
        Ok(answer)
    }

    /// Fetches a manifest by the path that the service gave. Only paths on the service itself.
    pub(super) fn manifest(&self, path: &str) -> Result<Envelope, ServiceError> {
        let url = format!("{}{path}", self.base);
        if !path.starts_with('/') || path.starts_with("//") {
            let reason = "the manifest's address is not a path on the service".to_owned();
            return Err(ServiceError::Answer { url, reason });
        }
        let response = self.agent.get(&url).call().map_err(|source| ServiceError::Exchange {
            url: url.clone(),
            source: Box::new(source),
        })?;
        read(url, response)
    }

    /// Says what became of a remediation. Gives the word for it.
    pub(super) fn report(
        &self,
        machine: &str,
        id: &str,
        told: Told<'_>,
    ) -> Result<&'static str, ServiceError> {
        let (result, refusal, reason, changes) = match told {
            Told::Applied(changes) => ("applied", None, "", changes),
            Told::Refused(refusal) => {
                ("refused", Some(refusal.word), refusal.why.as_str(), &[][..])
            }
            Told::Failed(why, changes) => ("failed", None, why, changes),
        };
        let report = &Report { format: FORMAT, machine, id, result, refusal, reason, changes };
        let url = format!("{}/recovery/v1/report", self.base);
        let response = self.send(&url, report)?;
        match response.status().as_u16() {
            200..=299 => Ok(result),
            status => Err(ServiceError::Status { url, status }),
        }
    }

    fn post<T: DeserializeOwned>(
        &self,
        url: &str,
        body: &impl Serialize,
    ) -> Result<T, ServiceError> {
        let response = self.send(url, body)?;
        read(url.to_owned(), response)
    }

    fn send(
        &self,
        url: &str,
        body: &impl Serialize,
    ) -> Result<ureq::http::Response<ureq::Body>, ServiceError> {
        let text = serde_json::to_vec(body).map_err(|error| ServiceError::Answer {
            url: url.to_owned(),
            reason: error.to_string(),
        })?;
        self.agent.post(url).header("content-type", "application/json").send(&text[..]).map_err(
            |source| ServiceError::Exchange { url: url.to_owned(), source: Box::new(source) },
        )
    }
}

fn read<T: DeserializeOwned>(
    url: String,
    response: ureq::http::Response<ureq::Body>,
) -> Result<T, ServiceError> {
    let status = response.status().as_u16();
    if let (503 | 429, Some(after)) = (status, retry_after(response.headers(), Timestamp::now())) {
        return Err(ServiceError::Later { url, status, after });
    }
    if status != 200 {
        return Err(ServiceError::Status { url, status });
    }
    let bytes =
        response.into_body().into_with_config().limit(MOST).read_to_vec().map_err(|source| {
            ServiceError::Exchange { url: url.clone(), source: Box::new(source) }
        })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ServiceError::Answer { url, reason: error.to_string() })
}

/// `Retry-After`: seconds, or the time of day (RFC 9110, section 10.2.3). What cannot be read is not there.
fn retry_after(headers: &ureq::http::HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let then = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(then.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_ask_again_is_read_in_both_forms() {
        let now: Timestamp = "2024-07-19T04:20:00Z".parse().expect("a time");
        let read = |value: &str| {
            let mut headers = ureq::http::HeaderMap::new();
            headers.insert("retry-after", value.parse().expect("a header"));
            retry_after(&headers, now)
        };
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("Fri, 19 Jul 2024 04:21:30 GMT"), Some(Duration::from_secs(90)));
        for unreadable in ["", "-1", "soon", "1.5", "99999999999", "Fri, 19 Jul 2024 04:19:00 GMT"]
        {
            assert_eq!(read(unreadable), None, "{unreadable}");
        }
        assert_eq!(retry_after(&ureq::http::HeaderMap::new(), now), None);
    }
}

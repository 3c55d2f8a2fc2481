//! The content service: plays the vendor from whom a sensor's updater fetches its content.
//!
//! One question, `GET /content/v1/current`, and two answers: 204 where nothing is published, or the file
//! with its name. The vendor's own protocol is not public.

use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use serde_json::json;
use timeline::{Body, Sink, Source};
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, Validity};
use crate::manifest::FORMAT;
use crate::protocol::Availability;
use crate::service_error::ServiceError;
use crate::tls::acceptor;

/// The name of the service in events.
const SERVICE: &str = "content";
/// HTTPS, beside the update service's.
const PORT: u16 = 8443;
/// A connection on which nothing comes is closed.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many requests of one machine are told.
const REQUEST_LIMIT: u32 = 10_000;

/// What a content service is made of.
#[derive(Debug, Clone)]
pub struct ContentConfig {
    /// Its host name, which the machine is told and the certificate is for.
    pub host: String,
    /// The name of the current file.
    pub file: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// From when on it is published; scans are questions.
    pub available: Availability,
    /// The right time, around which its certificate is valid.
    pub clock: Timestamp,
}

/// A running content service. Cheap to clone; clones share the state.
#[derive(Clone)]
pub struct ContentService {
    inner: Arc<Inner>,
    acceptor: TlsAcceptor,
}

struct Inner {
    config: ContentConfig,
    sink: Sink,
    /// How often it was asked.
    asked: Mutex<u32>,
}

impl std::fmt::Debug for ContentService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ContentService({})", self.inner.config.host)
    }
}

impl ContentService {
    /// Gets ready to serve.
    ///
    /// # Errors
    /// [`ServiceError`] where there is no certificate.
    pub fn new(
        config: ContentConfig,
        authority: &Authority,
        sink: Sink,
    ) -> Result<Self, ServiceError> {
        let acceptor = acceptor(authority, &config.host, Validity::around(config.clock))?;
        let inner = Arc::new(Inner { config, sink, asked: Mutex::new(0) });
        Ok(Self { inner, acceptor })
    }

    /// This service, as the network wants it.
    pub fn network_service(&self) -> network::Service {
        network::Service {
            name: SERVICE.to_owned(),
            host: self.inner.config.host.clone(),
            port: PORT,
            handler: Arc::new(self.clone()),
        }
    }

    async fn serve_connection(&self, stream: network::Connection) {
        let handshake = tokio::time::timeout(PATIENCE, self.acceptor.accept(stream)).await;
        let Ok(Ok(stream)) = handshake else {
            return tracing::debug!("no TLS with the content service");
        };
        let router = Router::new()
            .route("/content/v1/current", get(current))
            .with_state(Arc::clone(&self.inner));
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the content service ended early");
        }
    }
}

impl network::Handler for ContentService {
    fn serve(&self, connection: network::Connection, _peer: SocketAddrV4) -> network::Serving {
        let service = self.clone();
        Box::pin(async move { service.serve_connection(connection).await })
    }
}

impl Inner {
    /// One question. True where the file is published.
    fn ask(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let published = match self.config.available {
            Availability::AtStart => true,
            Availability::AfterScans(questions) => *asked >= questions,
            Availability::Never => false,
        };
        *asked = asked.saturating_add(1);
        if *asked <= REQUEST_LIMIT {
            let file = ("file".to_owned(), self.config.file.clone());
            let body = Body::Service {
                service: SERVICE.to_owned(),
                request: "current".to_owned(),
                answer: if published { "served" } else { "not-published" }.to_owned(),
                facts: published.then_some(file).into_iter().collect(),
            };
            self.sink.emit(Source::Network, body);
        }
        published
    }
}

async fn current(Shared(inner): Shared<Arc<Inner>>) -> Response {
    if !inner.ask() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let content = BASE64.encode(&inner.config.bytes);
    Json(json!({ "format": FORMAT, "file": inner.config.file, "content": content })).into_response()
}

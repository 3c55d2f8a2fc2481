//! The remediation service: plays the update service that Quick Machine Recovery asks.
//!
//! TLS and HTTP around the state machine in `protocol`. Connections come from the machine's network
//! (this is a [`network::Handler`]); nothing listens on the host.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State as Shared};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response as HttpResponse};
use axum::routing::{get, post};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use serde_json::{Value, json};
use timeline::steps::LIFT;
use timeline::{Body, Sink, Source, StepState};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::authority::Authority;
use crate::download;
use crate::log::Log;
use crate::manifest::{Action, FORMAT, Manifest, SignedManifest, Target};
use crate::protocol::{Availability, Kind, Offer, Record, Request, Response, State};
use crate::service_error::ServiceError;
use crate::signer::Signer;
use crate::tls::Tls;
use crate::trouble::{Met, Place, Trouble, Troubles};

/// The name of the service in events.
pub const SERVICE: &str = "remediation";
/// HTTPS.
pub const PORT: u16 = 443;

/// A longer request body is refused, in bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// So many requests of one machine are answered; then it is told that they were too many. Bounds what a
/// machine can make the harness write.
const REQUEST_LIMIT: u32 = 10_000;
/// A connection on which nothing comes is closed. Long: an emulated machine can be slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// By whom a remediation is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// The publisher that machines trust.
    Publisher,
    /// Somebody that no machine trusts.
    Stranger,
}

/// A remediation, as the scenario has it.
#[derive(Debug, Clone)]
pub struct Remediation {
    /// Its name: letters, digits, hyphens, dots and underscores; unique.
    pub id: String,
    /// For people.
    pub title: String,
    /// The crash that it is for.
    pub target: Target,
    /// What it does.
    pub actions: Vec<Action>,
    /// From when on it is published.
    pub available: Availability,
    /// By whom it is signed.
    pub signed_by: SignedBy,
}

/// What a remediation service is made of.
#[derive(Debug, Clone)]
pub struct RemediationConfig {
    /// Its host name, which the machine is told and the certificate is for.
    pub host: String,
    /// What it has.
    pub remediations: Vec<Remediation>,
    /// The right time, around which its certificate is valid.
    pub clock: Timestamp,
    /// The log that is written (JSON lines), among the evidence of the run.
    pub log: PathBuf,
}

/// A running remediation service. Cheap to clone; clones share the state.
#[derive(Clone)]
pub struct RemediationService {
    host: String,
    inner: Arc<Inner>,
    tls: Tls,
}

impl std::fmt::Debug for RemediationService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RemediationService({})", self.host)
    }
}

impl RemediationService {
    /// Signs the remediations and gets ready to serve.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn new(
        config: RemediationConfig,
        authority: &Authority,
        sink: Sink,
    ) -> Result<Self, ServiceError> {
        let offers = sign_all(&config.remediations, authority)?;
        let tls = Tls::new(authority, &config.host, config.clock)?;
        let log = Log::open(&config.log)?;
        let inner = Inner {
            sink,
            troubles: Troubles::default(),
            state: Mutex::new(Running {
                state: Some(State::new(offers)),
                log,
                log_failed: false,
                requests: 0,
            }),
        };
        Ok(Self { host: config.host, inner: Arc::new(inner), tls })
    }

    /// The address that a machine is told.
    pub fn url(&self) -> String {
        format!("https://{}", self.host)
    }

    /// This service, as the network wants it.
    pub fn network_service(&self) -> network::Service {
        network::Service {
            name: SERVICE.to_owned(),
            host: self.host.clone(),
            port: PORT,
            handler: Arc::new(self.clone()),
        }
    }

    /// From now on this is wrong, until `requests` have met it; then the step that lifts `name` is emitted.
    pub fn arm(&self, name: &str, trouble: Trouble, requests: Option<u32>) {
        self.inner.troubles.arm(name, trouble, requests);
    }

    /// What is wrong now, in the words of scenarios, with how many it still takes.
    pub fn troubles(&self) -> Vec<(&'static str, Option<u32>)> {
        self.inner.troubles.now()
    }

    /// Serves one connection, from the TLS handshake to its end.
    pub async fn serve_connection(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send) {
        let trouble = self.inner.meet(Place::Handshake);
        let handshake =
            tokio::time::timeout(PATIENCE, self.tls.acceptor(trouble).accept(stream)).await;
        let stream = match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.inner.no_handshake(&error.to_string()),
            Err(_) => return self.inner.no_handshake("the machine did not go on with it"),
        };
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            // A machine may close its direction right after its request.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router()))
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the remediation service ended early");
        }
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/recovery/v1/scan", post(scan))
            .route("/recovery/v1/manifest/{id}", get(manifest))
            .route("/recovery/v1/report", post(report))
            .fallback(unknown)
            .method_not_allowed_fallback(unknown)
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .with_state(Arc::clone(&self.inner))
    }
}

impl network::Handler for RemediationService {
    fn serve(&self, connection: network::Connection, _peer: SocketAddrV4) -> network::Serving {
        let service = self.clone();
        Box::pin(async move { service.serve_connection(connection).await })
    }
}

fn sign_all(
    remediations: &[Remediation],
    authority: &Authority,
) -> Result<Vec<Offer>, ServiceError> {
    let mut stranger: Option<Signer> = None;
    let mut offers: Vec<Offer> = Vec::with_capacity(remediations.len());
    for remediation in remediations {
        let wrong = |what| ServiceError::Id { id: remediation.id.clone(), what };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if remediation.id.is_empty() || !remediation.id.bytes().all(plain) {
            return Err(wrong("cannot stand in a URL"));
        }
        if offers.iter().any(|offer| offer.id == remediation.id) {
            return Err(wrong("is there twice"));
        }
        let signer = match remediation.signed_by {
            SignedBy::Publisher => authority.publisher(),
            SignedBy::Stranger => match &mut stranger {
                Some(signer) => signer,
                none => none.insert(Authority::untrusted_signer()?),
            },
        };
        let manifest = Manifest {
            format: FORMAT,
            id: remediation.id.clone(),
            title: remediation.title.clone(),
            target: remediation.target.clone(),
            actions: remediation.actions.clone(),
        };
        offers.push(Offer {
            id: remediation.id.clone(),
            target: remediation.target.clone(),
            available: remediation.available,
            signed: SignedManifest::sign(&manifest, signer),
        });
    }
    Ok(offers)
}

struct Inner {
    sink: Sink,
    troubles: Troubles,
    state: Mutex<Running>,
}

struct Running {
    /// Absent only within a request.
    state: Option<State>,
    log: Log,
    /// Told once.
    log_failed: bool,
    requests: u32,
}

impl Inner {
    /// The trouble that a machine meets here. What met one is told.
    fn meet(&self, place: Place) -> Option<Trouble> {
        let Met { trouble, over } = self.troubles.meet(place)?;
        if place == Place::Handshake {
            let mut running = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            running.requests = running.requests.saturating_add(1);
            if running.requests <= REQUEST_LIMIT {
                let record =
                    Record { request: "handshake", answer: trouble.name(), facts: [].into() };
                self.log(&mut running, &record, None, None);
                self.emit(record);
            }
        }
        if let Some(name) = over {
            let name = format!("{LIFT}{name}");
            let detail = "as many requests as the scenario says have met it".to_owned();
            let lifted = Body::Step { name, state: StepState::Done, detail };
            self.sink.emit(Source::Harness, lifted);
        }
        Some(trouble)
    }

    /// One request, with what goes wrong.
    async fn reply(&self, request: &Request, body: Option<&Value>) -> HttpResponse {
        match self.meet(Place::Request) {
            Some(Trouble::Slow(delay)) => tokio::time::sleep(delay).await,
            Some(Trouble::Unavailable) => return self.unavailable(request),
            _ => {}
        }
        let response = self.answer(request, body);
        if !matches!(request, Request::Manifest { .. }) || response.status() != StatusCode::OK {
            return response;
        }
        match self.meet(Place::Download) {
            Some(Trouble::TruncatedDownload) => download::truncated(response).await,
            Some(Trouble::TamperedDownload) => download::tampered(response).await,
            _ => response,
        }
    }

    fn unavailable(&self, request: &Request) -> HttpResponse {
        let mut running = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        running.requests = running.requests.saturating_add(1);
        let status = StatusCode::SERVICE_UNAVAILABLE;
        if running.requests <= REQUEST_LIMIT {
            let record = Record {
                request: request.kind().name(),
                answer: Trouble::Unavailable.name(),
                facts: [].into(),
            };
            self.log(&mut running, &record, Some(status.as_u16()), None);
            self.emit(record);
        }
        error_response(status, "the service is not available now")
    }

    /// One request through the state machine, into log and events.
    fn answer(&self, request: &Request, body: Option<&Value>) -> HttpResponse {
        let mut running = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        running.requests = running.requests.saturating_add(1);
        if running.requests > REQUEST_LIMIT {
            if running.requests == REQUEST_LIMIT + 1 {
                let record =
                    Record { request: "other", answer: "too-many-requests", facts: [].into() };
                self.log(&mut running, &record, Some(429), None);
                self.emit(record);
            }
            return error_response(StatusCode::TOO_MANY_REQUESTS, "too many requests");
        }
        let state = running.state.take().expect("a request puts the state back before it ends");
        let (state, response, record) = state.handle(request);
        running.state = Some(state);
        let response = http_response(response);
        self.log(&mut running, &record, Some(response.status().as_u16()), body);
        // Within the lock, so that events and log have the same order.
        self.emit(record);
        response
    }

    fn emit(&self, record: Record) {
        let body = Body::Service {
            service: SERVICE.to_owned(),
            request: record.request.to_owned(),
            answer: record.answer.to_owned(),
            facts: record.facts,
        };
        self.sink.emit(Source::Network, body);
    }

    /// A handshake that failed is in the log only: a machine that is reset in the middle of one does
    /// that, too, so it is no fact about the machine.
    fn no_handshake(&self, reason: &str) {
        tracing::info!(reason, "no TLS with the remediation service");
        let mut running = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        running.requests = running.requests.saturating_add(1);
        if running.requests <= REQUEST_LIMIT {
            let facts = [("reason".to_owned(), reason.to_owned())].into();
            let record = Record { request: "handshake", answer: "failed", facts };
            self.log(&mut running, &record, None, None);
        }
    }

    /// The log is evidence, so a run without it is not whole.
    fn log(
        &self,
        running: &mut Running,
        record: &Record,
        status: Option<u16>,
        body: Option<&Value>,
    ) {
        if let Err(error) = running.log.write(record, status, body)
            && !std::mem::replace(&mut running.log_failed, true)
        {
            let reason = error.to_string();
            self.sink.emit(Source::Harness, Body::HarnessFailed { reason });
        }
    }
}

fn http_response(response: Response) -> HttpResponse {
    match response {
        Response::Offers(ids) => {
            let offers: Vec<Value> = ids
                .iter()
                .map(|id| json!({ "id": id, "manifestUrl": format!("/recovery/v1/manifest/{id}") }))
                .collect();
            Json(json!({ "format": FORMAT, "remediations": offers })).into_response()
        }
        Response::Manifest(signed) => Json(*signed).into_response(),
        Response::Accepted => StatusCode::NO_CONTENT.into_response(),
        Response::NotFound => error_response(StatusCode::NOT_FOUND, "there is no such thing"),
        Response::BadRequest(reason) => error_response(StatusCode::BAD_REQUEST, &reason),
    }
}

fn error_response(status: StatusCode, reason: &str) -> HttpResponse {
    (status, Json(json!({ "format": FORMAT, "error": reason }))).into_response()
}

type Received = Result<Bytes, BytesRejection>;

fn readable(body: &Received) -> Option<Value> {
    serde_json::from_slice(body.as_ref().ok()?).ok()
}

/// A body that did not come whole: too large, which is wrong, or cut off on its way, which is the fate of a machine
/// that loses its power or its network.
fn not_received(kind: Kind, error: &BytesRejection) -> Request {
    match error {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::UnknownBodyError(_)) => {
            Request::BrokenOff { kind }
        }
        error => Request::bad(kind, error),
    }
}

async fn scan(Shared(inner): Shared<Arc<Inner>>, body: Received) -> HttpResponse {
    let request = match &body {
        Ok(body) => Request::scan(body),
        Err(error) => not_received(Kind::Scan, error),
    };
    inner.reply(&request, readable(&body).as_ref()).await
}

async fn report(Shared(inner): Shared<Arc<Inner>>, body: Received) -> HttpResponse {
    let request = match &body {
        Ok(body) => Request::report(body),
        Err(error) => not_received(Kind::Report, error),
    };
    inner.reply(&request, readable(&body).as_ref()).await
}

async fn manifest(
    Shared(inner): Shared<Arc<Inner>>,
    id: Result<Path<String>, PathRejection>,
) -> HttpResponse {
    let request = match id {
        Ok(Path(id)) => Request::Manifest { id },
        Err(error) => Request::bad(Kind::Manifest, error),
    };
    inner.reply(&request, None).await
}

async fn unknown(Shared(inner): Shared<Arc<Inner>>, method: Method, uri: Uri) -> HttpResponse {
    inner.reply(&Request::Unknown { what: format!("{method} {}", uri.path()) }, None).await
}

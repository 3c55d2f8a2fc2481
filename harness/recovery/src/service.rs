//! The remediation service: plays the update service that Quick Machine Recovery asks.
//!
//! TLS and HTTP around the state machine in `protocol`. Connections come from the machine's network
//! (this is a [`network::Handler`]); nothing listens on the host.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use serde_json::Value;
use timeline::steps::LIFT;
use timeline::{Body, Sink, Source, StepState};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::authority::Authority;
use crate::log::Log;
use crate::manifest::SignedManifest;
use crate::messages::{Request, brief};
use crate::protocol::{Record, Response, State};
use crate::remediation::Remediation;
use crate::routes::{router, status};
use crate::service_error::ServiceError;
use crate::signing::Signing;
use crate::throttle::Throttle;
use crate::tls::Tls;
use crate::trouble::{Met, Place, Trouble, Troubles};

/// The name of the service in events.
pub const SERVICE: &str = "remediation";
/// HTTPS.
pub const PORT: u16 = 443;

/// A connection on which nothing comes is closed. Long: an emulated machine can be slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How much a service answers.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// So many requests are answered; then whoever asks is told that they were too many. Bounds what a machine can make
    /// the harness write.
    pub requests: Option<u32>,
    /// So many are answered in a second; who asks then is told when to ask again.
    pub per_second: Option<u32>,
}

impl Limits {
    /// Those for the service of one machine.
    pub const MACHINE: Self = Self { requests: Some(10_000), per_second: None };
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
    /// How much it answers.
    pub limits: Limits,
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
    /// Gets ready to serve.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn new(
        config: RemediationConfig,
        authority: &Authority,
        sink: Sink,
    ) -> Result<Self, ServiceError> {
        let mut state = State::default();
        for remediation in config.remediations {
            remediation.check()?;
            if state.find(&remediation.id).is_some() {
                return Err(ServiceError::Id { id: remediation.id, what: "is there twice" });
            }
            state.publish(Arc::new(remediation));
        }
        let tls = Tls::new(authority, &config.host, config.clock)?;
        let log = Log::open(&config.log)?;
        let inner = Inner {
            sink,
            troubles: Troubles::default(),
            signing: Signing::new(authority, config.clock)?,
            request_limit: config.limits.requests.unwrap_or(u32::MAX),
            throttle: config
                .limits
                .per_second
                .map(|per_second| Mutex::new(Throttle::new(per_second, Instant::now()))),
            state: Mutex::new(Running { state, log, log_failed: false, requests: 0 }),
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

    /// From now on nothing is wrong any more.
    pub fn disarm(&self) {
        self.inner.troubles.clear();
    }

    /// Publishes a remediation, in the place of the one with its name where there is one. Nothing happens where it is
    /// that very one.
    ///
    /// # Errors
    /// [`ServiceError`] where its name does not do, or where it is another than the one that is or was published
    /// under its name and has no greater counter: machines could not tell which is the newer. Then what was published
    /// stays.
    pub fn publish(&self, remediation: Remediation) -> Result<(), ServiceError> {
        remediation.check()?;
        let mut running = self.inner.running();
        if running.state.has(&remediation) {
            return Ok(());
        }
        if let Some(known) = running.state.find(&remediation.id) {
            // The same one, withdrawn, may come back.
            if known.counter >= remediation.counter && **known != remediation {
                let (id, counter) = (remediation.id, known.counter);
                return Err(ServiceError::Counter { id, counter });
            }
        }
        let facts = [
            ("counter".to_owned(), remediation.counter.to_string()),
            ("id".to_owned(), remediation.id.clone()),
        ];
        running.state.publish(Arc::new(remediation));
        self.inner.told(&mut running, "publish", "published", facts.into());
        Ok(())
    }

    /// Takes a remediation back: it is offered and handed out no more. False where there is none of that name.
    pub fn withdraw(&self, id: &str) -> bool {
        let mut running = self.inner.running();
        let known = running.state.withdraw(id);
        if known {
            let facts = [("id".to_owned(), id.to_owned())].into();
            self.inner.told(&mut running, "publish", "withdrawn", facts);
        }
        known
    }

    /// The names of all remediations, with their counters.
    pub fn remediations(&self) -> Vec<(String, u32)> {
        let running = self.inner.running();
        running.state.remediations().map(|it| (it.id.clone(), it.counter)).collect()
    }

    /// Says in the log that something that was to be published cannot be.
    pub fn not_published(&self, what: &str, reason: &str) {
        tracing::warn!(file = what, reason, "not published");
        let facts = [("path".to_owned(), brief(what)), ("reason".to_owned(), brief(reason))];
        self.inner.told(&mut self.inner.running(), "publish", "not-read", facts.into());
    }

    /// What is wrong now, in the words of scenarios, with how many it still takes.
    pub fn troubles(&self) -> Vec<(&'static str, Option<u32>)> {
        self.inner.troubles.now()
    }

    /// Serves one connection, from the TLS handshake to its end.
    pub async fn serve_connection(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send) {
        let (_ending, ended) = watch::channel(false);
        self.serve_until(stream, ended).await;
    }

    /// The same; once `ended` is true, the request that is being answered is the last.
    pub(crate) async fn serve_until(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        mut ended: watch::Receiver<bool>,
    ) {
        let trouble = self.inner.meet(Place::Handshake);
        let handshake =
            tokio::time::timeout(PATIENCE, self.tls.acceptor(trouble).accept(stream)).await;
        let stream = match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.inner.no_handshake(&error.to_string()),
            Err(_) => return self.inner.no_handshake("the machine did not go on with it"),
        };
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            // A machine may close its direction right after its request.
            .half_close(true)
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(router(Arc::clone(&self.inner))),
            );
        tokio::pin!(connection);
        let ended = async move { drop(ended.wait_for(|ended| *ended).await) };
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = ended => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the remediation service ended early");
        }
    }
}

impl network::Handler for RemediationService {
    fn serve(&self, connection: network::Connection, _peer: SocketAddrV4) -> network::Serving {
        let service = self.clone();
        Box::pin(async move { service.serve_connection(connection).await })
    }
}

pub(crate) struct Inner {
    sink: Sink,
    troubles: Troubles,
    signing: Signing,
    request_limit: u32,
    throttle: Option<Mutex<Throttle>>,
    state: Mutex<Running>,
}

pub(crate) struct Running {
    state: State,
    log: Log,
    /// Told once.
    log_failed: bool,
    requests: u32,
}

/// What is answered to a request.
pub(crate) enum Reply {
    /// In the words of the protocol.
    Response(Response),
    /// A manifest.
    Manifest(SignedManifest),
    /// A manifest that ends in the middle.
    HalfManifest(SignedManifest),
    /// The service is not available now, and perhaps when it is again.
    Unavailable(Option<Duration>),
    /// It was asked too much, and perhaps when it may be asked again.
    TooMany(Option<Duration>),
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The trouble that a machine meets here.
    fn meet(&self, place: Place) -> Option<Trouble> {
        let Met { trouble, over } = self.troubles.meet(place)?;
        if place == Place::Handshake {
            let mut running = self.running();
            if self.counts(&mut running) {
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

    /// True where one more request is one of those that are told.
    fn counts(&self, running: &mut Running) -> bool {
        running.requests = running.requests.saturating_add(1);
        running.requests <= self.request_limit
    }

    /// One request, with what goes wrong.
    pub(crate) async fn reply(&self, request: &Request, body: Option<&Value>) -> Reply {
        let refused = match self.meet(Place::Request) {
            Some(Trouble::Slow(delay)) => {
                tokio::time::sleep(delay).await;
                None
            }
            Some(trouble @ Trouble::Busy(after)) => {
                Some((trouble.name(), Reply::Unavailable(Some(after))))
            }
            Some(trouble @ Trouble::Unavailable) => {
                Some((trouble.name(), Reply::Unavailable(None)))
            }
            _ => None,
        };
        if let Some((answer, reply)) = refused.or_else(|| self.throttled()) {
            let mut running = self.running();
            if self.counts(&mut running) {
                let record = Record { request: request.kind().name(), answer, facts: [].into() };
                self.log(&mut running, &record, Some(status(&reply).as_u16()), None);
                self.emit(record);
            }
            return reply;
        }
        self.answer(request, body)
    }

    fn throttled(&self) -> Option<(&'static str, Reply)> {
        let mut throttle = self.throttle.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = throttle.take(Instant::now()).err()?;
        Some(("later", Reply::TooMany(Some(wait))))
    }

    /// One request through the state machine, into log and events.
    fn answer(&self, request: &Request, body: Option<&Value>) -> Reply {
        let mut running = self.running();
        if !self.counts(&mut running) {
            if running.requests == self.request_limit + 1 {
                let record =
                    Record { request: "other", answer: "too-many-requests", facts: [].into() };
                self.log(&mut running, &record, Some(429), None);
                self.emit(record);
            }
            return Reply::TooMany(None);
        }
        let (state, response, mut record) = std::mem::take(&mut running.state).handle(request);
        running.state = state;
        let reply = match response {
            Response::Manifest(remediation) => {
                let trouble = self.meet(Place::Download);
                if let Some(trouble) = trouble {
                    record.answer = trouble.name();
                }
                let signed = self.signing.sign(&remediation, trouble);
                match trouble {
                    Some(Trouble::TruncatedDownload) => Reply::HalfManifest(signed),
                    _ => Reply::Manifest(signed),
                }
            }
            response => Reply::Response(response),
        };
        self.log(&mut running, &record, Some(status(&reply).as_u16()), body);
        // Within the lock, so that events and log have the same order.
        self.emit(record);
        reply
    }

    /// Something that is no request.
    fn told(
        &self,
        running: &mut Running,
        request: &'static str,
        answer: &'static str,
        facts: BTreeMap<String, String>,
    ) {
        let record = Record { request, answer, facts };
        self.log(running, &record, None, None);
        self.emit(record);
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
        let mut running = self.running();
        if self.counts(&mut running) {
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

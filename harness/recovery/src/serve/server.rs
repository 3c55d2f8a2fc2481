//! Listens, lets machines in, and ends when it is told to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use jiff::Timestamp;
use timeline::Sink;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::error::ServeError;
use super::folder::Folder;
use super::metrics::Metrics;
use super::watch::{Changed, Watch};
use crate::authority::Authority;
use crate::service::{Limits, RemediationConfig, RemediationService};

/// So many machines are let in at once; the others wait until one has gone.
const CONNECTIONS: usize = 8192;
/// So long nobody is let in where that failed.
const NO_DESCRIPTOR: Duration = Duration::from_millis(100);
/// So long the machines that are being answered have at the end.
const FAREWELL: Duration = Duration::from_secs(5);

/// How it is started.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Its host name, or its address: machines ask for it, and its certificate is for it.
    pub host: String,
    /// Where it listens for machines.
    pub listen: SocketAddr,
    /// Where it listens for whoever reads its metrics, over plain HTTP.
    pub metrics: Option<SocketAddr>,
    /// The folder of remediations.
    pub folder: PathBuf,
    /// The directory of its certificate authority, which is made where it is not there. The two certificates that
    /// machines have to trust are written into it: `root.cer` and `publisher.cer`.
    pub authority: PathBuf,
    /// The event feed: JSON lines are added to this file.
    pub events: PathBuf,
    /// So many requests are answered in a second.
    pub per_second: Option<u32>,
}

/// A service that listens.
#[derive(Debug)]
pub struct Server {
    service: RemediationService,
    counts: Arc<Metrics>,
    machines: TcpListener,
    address: SocketAddr,
    metrics: Option<TcpListener>,
    folder: Folder,
    watch: Watch,
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

impl Server {
    /// Makes the authority, reads the folder, and listens. Nobody is answered before [`Server::run`].
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(config: ServeConfig) -> Result<Self, ServeError> {
        let authority = Authority::open_or_create(&config.authority)?;
        let trust = authority.trust();
        for (name, der) in [("root.cer", trust.root_der), ("publisher.cer", trust.publisher_der)] {
            write_certificate(&config.authority.join(name), &der)?;
        }
        let counts = Arc::new(Metrics::default());
        let into = Arc::clone(&counts);
        let service = RemediationConfig {
            host: config.host,
            remediations: Vec::new(),
            clock: Timestamp::now(),
            log: config.events,
            limits: Limits { requests: None, per_second: config.per_second },
        };
        let sink = Sink::new(move |observation| into.count(&observation.body));
        let service = RemediationService::new(service, &authority, sink)?;
        let failed = |source| ServeError::Folder { path: config.folder.clone(), source };
        // Watched before it is read, so that no change falls in between.
        let watch = Watch::new(&config.folder).map_err(failed)?;
        let mut folder = Folder::new(config.folder.clone());
        folder.refresh(&service, &Changed::All).map_err(failed)?;
        let machines = listen(config.listen).await?;
        let address = machines
            .local_addr()
            .map_err(|source| ServeError::Listen { address: config.listen, source })?;
        let metrics = match config.metrics {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        Ok(Self { service, counts, machines, address, metrics, folder, watch })
    }

    /// Where machines find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its metrics are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// What it has to offer, with the counters.
    pub fn remediations(&self) -> Vec<(String, u32)> {
        self.service.remediations()
    }

    /// Answers machines until `end` comes. Then nobody is let in any more, and those that are being answered have some
    /// seconds. Where the folder says that the service is down, the request that a machine is being answered is its
    /// last, too.
    ///
    /// # Errors
    /// [`ServeError`] where it cannot listen again after it was down.
    pub async fn run(mut self, end: impl Future<Output = ()>) -> Result<(), ServeError> {
        let (ending, over) = watch::channel(false);
        // For the machines that were let in since the service was up.
        let mut going = watch::Sender::new(false);
        let mut answering = JoinSet::new();
        if let Some(listener) = self.metrics.take() {
            let counts = Arc::clone(&self.counts);
            answering.spawn(metrics(listener, self.service.clone(), counts, over));
        }
        let mut watched = Some(self.watch);
        let mut machines = Some(self.machines);
        tokio::pin!(end);
        loop {
            if self.folder.is_down() {
                if machines.take().is_some() {
                    going.send_replace(true);
                    going = watch::Sender::new(false);
                }
            } else if machines.is_none() {
                machines = Some(listen(self.address).await?);
            }
            let full = answering.len() >= CONNECTIONS;
            tokio::select! {
                () = &mut end => break,
                changed = changed(watched.as_ref()) => {
                    let changed = changed.unwrap_or_else(|error| {
                        watched = None;
                        self.service.not_published("", &error.to_string());
                        Changed::All
                    });
                    if let Err(error) = self.folder.refresh(&self.service, &changed) {
                        self.service.not_published("", &error.to_string());
                    }
                }
                Some(_) = answering.join_next(), if !answering.is_empty() => {}
                stream = accepted(machines.as_ref()), if !full => {
                    let (service, counts) = (self.service.clone(), Arc::clone(&self.counts));
                    let ended = going.subscribe();
                    answering.spawn(async move {
                        let _open = counts.connection();
                        service.serve_until(stream, ended).await;
                    });
                }
            }
        }
        drop(machines);
        // Nobody listens where all have gone.
        let _ = ending.send(true);
        going.send_replace(true);
        let gone = async { while answering.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, gone).await.is_err() {
            tracing::warn!("machines were still being answered and are cut off");
        }
        Ok(())
    }
}

/// What changes next in the folder; never, where it cannot be watched.
async fn changed(watch: Option<&Watch>) -> std::io::Result<Changed> {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// The next machine that comes.
async fn accepted(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small, and each is waited for.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "a machine was not let in");
                // Where no descriptor is free, no event tells when one is.
                tokio::time::sleep(NO_DESCRIPTOR).await;
            }
        }
    }
}

async fn metrics(
    listener: TcpListener,
    service: RemediationService,
    counts: Arc<Metrics>,
    mut ended: watch::Receiver<bool>,
) {
    let page = move || async move {
        ([(CONTENT_TYPE, "text/plain; version=0.0.4")], counts.page(&service))
    };
    let router = Router::new().route("/metrics", get(page));
    let end = async move {
        // Where the sender is gone it is over, too.
        let _ = ended.wait_for(|ended| *ended).await;
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(end).await {
        tracing::error!(%error, "the metrics cannot be read any more");
    }
}

/// Whole from the first moment on: somebody may be reading it.
fn write_certificate(path: &Path, der: &[u8]) -> Result<(), ServeError> {
    if std::fs::read(path).is_ok_and(|known| known == der) {
        return Ok(());
    }
    let draft = path.with_extension("cer.draft");
    std::fs::write(&draft, der)
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(|source| ServeError::Certificate { path: path.to_path_buf(), source })
}

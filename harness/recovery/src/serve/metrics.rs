//! What the service did, in numbers, as Prometheus reads them (text exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use timeline::Body;

use crate::service::RemediationService;

/// Counts. The words in it are the protocol's, never a machine's: their number is bounded.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By request and answer.
    requests: Mutex<BTreeMap<(String, String), u64>>,
    /// By result and refusal.
    reports: Mutex<BTreeMap<(String, String), u64>>,
    feed_failures: AtomicU64,
    connections: AtomicU64,
    open: AtomicU64,
}

impl Metrics {
    /// Takes one event of the service.
    pub(crate) fn count(&self, body: &Body) {
        let add = |counts: &Mutex<BTreeMap<(String, String), u64>>, key| {
            *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
        };
        match body {
            Body::Service { request, answer, facts, .. } => {
                add(&self.requests, (request.clone(), answer.clone()));
                if let Some(result) = facts.get("result") {
                    let refusal = facts.get("refusal").cloned().unwrap_or_default();
                    add(&self.reports, (result.clone(), refusal));
                }
            }
            Body::HarnessFailed { reason } => {
                tracing::error!(reason, "the event feed is not whole any more");
                self.feed_failures.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// A connection, for as long as what it gives lives.
    pub(crate) fn connection(&self) -> Connection<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Connection(self)
    }

    /// The page.
    pub(crate) fn page(&self, service: &RemediationService) -> String {
        let mut page = String::new();
        let mut family = |name: &str, kind: &str, help: &str, lines: &[(String, u64)]| {
            // Writing to a text cannot fail.
            let _ = writeln!(page, "# HELP loopbreak_remediation_{name} {help}");
            let _ = writeln!(page, "# TYPE loopbreak_remediation_{name} {kind}");
            for (labels, value) in lines {
                let _ = writeln!(page, "loopbreak_remediation_{name}{labels} {value}");
            }
        };
        let lines = |counts: &Mutex<BTreeMap<(String, String), u64>>, labels: [&str; 2]| {
            let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            let [one, other] = labels;
            counts
                .iter()
                .map(|((a, b), count)| (format!("{{{one}=\"{a}\",{other}=\"{b}\"}}"), *count))
                .collect::<Vec<_>>()
        };
        let one = |value: u64| vec![(String::new(), value)];
        let load = |value: &AtomicU64| one(value.load(Ordering::Relaxed));
        let requests = lines(&self.requests, ["request", "answer"]);
        family("requests_total", "counter", "Requests, by what was answered.", &requests);
        let reports = lines(&self.reports, ["result", "refusal"]);
        family("reports_total", "counter", "What machines did, and why not.", &reports);
        family("connections_total", "counter", "Connections.", &load(&self.connections));
        family("connections_open", "gauge", "Connections that are open.", &load(&self.open));
        let failures = load(&self.feed_failures);
        family("feed_failures_total", "counter", "Events that could not be written.", &failures);
        let published = one(service.remediations().len() as u64);
        family("remediations", "gauge", "Remediations that the service has.", &published);
        let troubles = one(service.troubles().len() as u64);
        family("troubles", "gauge", "Failures that are played.", &troubles);
        page
    }
}

/// A connection that is open.
pub(crate) struct Connection<'a>(&'a Metrics);

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

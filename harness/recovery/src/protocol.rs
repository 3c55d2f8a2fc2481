//! The remediation protocol as a state machine: no I/O, no clock.
//!
//! [`State::handle`] takes a request and gives the next state, the response and the record of it. What
//! HTTP has to do with it is in `service`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::messages::{Kind, Request, Scan, brief};
use crate::remediation::Remediation;

/// From when on a remediation is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// From the beginning.
    AtStart,
    /// Once so many scans for its crash signature were answered without it.
    AfterScans(u32),
    /// Never.
    Never,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Remediations for a scan, perhaps none.
    Offers(Vec<Arc<Remediation>>),
    /// A manifest, of this remediation.
    Manifest(Arc<Remediation>),
    /// A report was taken.
    Accepted,
    /// There is no such remediation or place.
    NotFound,
    /// The request cannot be read.
    BadRequest(String),
}

/// What is recorded of a request, in the words of [`timeline::Body::Service`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// `scan`, `manifest`, `report`, or `other` for a place that the protocol does not have; `handshake`
    /// for one that met trouble before it could ask.
    pub request: &'static str,
    /// `no-match`, `offered`, `served`, `accepted`, `not-found`, `bad-request`, `broken-off`,
    /// `too-many-requests`, `later`; the trouble that it met, where there was one.
    pub answer: &'static str,
    /// `module`, `bugCheck`, `attempt`, `build`, `group`, `id`, `result`, `refusal`, `reason`, `path`; each shortened.
    pub facts: BTreeMap<String, String>,
}

/// A remediation, and how often it was asked for.
#[derive(Debug, Clone)]
struct Known {
    remediation: Arc<Remediation>,
    /// Scans so far for its target.
    scans: u32,
    /// A machine has its manifest.
    served: bool,
    /// It is offered and handed out no more. What machines that have it report still counts, and the next of its
    /// name is held to its counter.
    withdrawn: bool,
}

impl Known {
    fn new(remediation: Arc<Remediation>) -> Self {
        Self { remediation, scans: 0, served: false, withdrawn: false }
    }

    fn is_published(&self) -> bool {
        !self.withdrawn && self.is_due()
    }

    fn is_due(&self) -> bool {
        match self.remediation.available {
            Availability::AtStart => true,
            Availability::AfterScans(scans) => self.scans >= scans,
            Availability::Never => false,
        }
    }
}

/// The state of the service: what there is, and how often it was asked for.
#[derive(Debug, Clone, Default)]
pub struct State {
    known: Vec<Known>,
}

impl State {
    /// A service that has these remediations and was never asked.
    pub fn new(remediations: impl IntoIterator<Item = Arc<Remediation>>) -> Self {
        Self { known: remediations.into_iter().map(Known::new).collect() }
    }

    /// The remediation of this name, also where it is withdrawn.
    pub fn find(&self, id: &str) -> Option<&Arc<Remediation>> {
        self.known.iter().map(|known| &known.remediation).find(|remediation| remediation.id == id)
    }

    /// All remediations but those that are withdrawn.
    pub fn remediations(&self) -> impl Iterator<Item = &Arc<Remediation>> {
        self.known.iter().filter(|known| !known.withdrawn).map(|known| &known.remediation)
    }

    /// True where this very remediation is there and not withdrawn.
    pub fn has(&self, remediation: &Remediation) -> bool {
        self.remediations().any(|known| **known == *remediation)
    }

    /// Adds a remediation, or puts it in the place of the one with its name.
    pub fn publish(&mut self, remediation: Arc<Remediation>) {
        match self.known.iter_mut().find(|known| known.remediation.id == remediation.id) {
            Some(known) => {
                known.remediation = remediation;
                known.withdrawn = false;
            }
            None => self.known.push(Known::new(remediation)),
        }
    }

    /// Takes a remediation away. False where there is none of that name.
    pub fn withdraw(&mut self, id: &str) -> bool {
        let known = self.known.iter_mut().find(|known| known.remediation.id == id);
        known.is_some_and(|known| !std::mem::replace(&mut known.withdrawn, true))
    }

    fn known(&mut self, id: &str) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.remediation.id == id)
    }

    /// Handles one request.
    pub fn handle(mut self, request: &Request) -> (Self, Response, Record) {
        let (response, record) = match request {
            Request::Scan(scan) => self.scan(scan),
            Request::Manifest { id } => {
                let mut facts = Facts::default();
                facts.put("id", id);
                match self.known(id).filter(|known| known.is_published()) {
                    Some(known) => {
                        known.served = true;
                        (
                            Response::Manifest(Arc::clone(&known.remediation)),
                            facts.record(Kind::Manifest, "served"),
                        )
                    }
                    None => (Response::NotFound, facts.record(Kind::Manifest, "not-found")),
                }
            }
            Request::Report(report) => {
                let mut facts = Facts::default();
                facts.put("id", &report.id);
                // A machine may have it from before this service was started.
                if self.known(&report.id).is_some_and(|known| known.served || known.is_published())
                {
                    facts.put("result", report.result.name());
                    facts.put("refusal", report.refusal.map_or("", words::Refusal::name));
                    facts.put("reason", &report.reason);
                    (Response::Accepted, facts.record(Kind::Report, "accepted"))
                } else {
                    // What a machine claims of a remediation that it never got is no result.
                    (Response::NotFound, facts.record(Kind::Report, "not-found"))
                }
            }
            Request::Bad { kind, reason } => {
                let mut facts = Facts::default();
                facts.put("reason", reason);
                (Response::BadRequest(brief(reason)), facts.record(*kind, "bad-request"))
            }
            Request::BrokenOff { kind } => (
                Response::BadRequest("the request broke off".to_owned()),
                Facts::default().record(*kind, "broken-off"),
            ),
            Request::Unknown { what } => {
                let mut facts = Facts::default();
                facts.put("path", what);
                (Response::NotFound, facts.record(Kind::Other, "not-found"))
            }
        };
        (self, response, record)
    }

    fn scan(&mut self, scan: &Scan) -> (Response, Record) {
        let signature = scan.signature.as_ref();
        let mut offers = Vec::new();
        for known in &mut self.known {
            if !known.remediation.target.matches(scan) {
                continue;
            }
            if known.is_published() && known.remediation.reaches(scan) {
                offers.push(Arc::clone(&known.remediation));
            }
            known.scans = known.scans.saturating_add(1);
        }
        let mut facts = Facts::default();
        if let Some(signature) = signature {
            facts.put("module", signature.module.as_deref().unwrap_or_default());
            facts.put("bugCheck", &format!("{:#x}", signature.bug_check));
        }
        facts.put("attempt", &scan.attempt.to_string());
        facts.put("build", &scan.build.map(|build| build.to_string()).unwrap_or_default());
        facts.put("group", scan.group.as_deref().unwrap_or_default());
        let ids: Vec<&str> = offers.iter().map(|offer| offer.id.as_str()).collect();
        facts.put("id", &ids.join(" "));
        let answer = if offers.is_empty() { "no-match" } else { "offered" };
        (Response::Offers(offers), facts.record(Kind::Scan, answer))
    }
}

#[derive(Default)]
struct Facts(BTreeMap<String, String>);

impl Facts {
    fn put(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.insert(name.to_owned(), brief(value));
        }
    }

    fn record(self, kind: Kind, answer: &'static str) -> Record {
        Record { request: kind.name(), answer, facts: self.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::messages::{FACT, Signature};

    fn offer(id: &str, available: Availability) -> Arc<Remediation> {
        Arc::new(Remediation { available, ..crate::remediation::tests::remediation(id) })
    }

    fn scan(module: &str, bug_check: u64) -> Request {
        let zero = || "0x0".to_owned();
        Request::Scan(Scan {
            format: 1,
            machine: "PC".into(),
            signature: Some(Signature {
                bug_check,
                module: Some(module.into()),
                parameters: [zero(), zero(), zero(), zero()],
            }),
            attempt: 1,
            build: None,
            group: None,
        })
    }

    fn offered(state: State, request: &Request) -> (State, Vec<String>) {
        match state.handle(request) {
            (state, Response::Offers(offers), _) => {
                (state, offers.iter().map(|offer| offer.id.clone()).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_scan_is_offered_what_is_for_its_crash() {
        let state = State::new([offer("fix", Availability::AtStart)]);
        let (state, ids) = offered(state, &scan("CSAGENT.SYS", 0x50));
        assert_eq!(ids, ["fix"]);
        let (state, ids) = offered(state, &scan("csagent.sys", 0x7e));
        assert!(ids.is_empty());
        let (_, ids) = offered(state, &scan("other.sys", 0x50));
        assert!(ids.is_empty());
    }

    #[test]
    fn after_scans_counts_scans_of_the_same_crash_and_publishes_then() {
        let state = State::new([offer("fix", Availability::AfterScans(2))]);
        let get = Request::Manifest { id: "fix".into() };
        let (state, ids) = offered(state, &scan("other.sys", 0x50));
        assert!(ids.is_empty());
        let (state, ids) = offered(state, &scan("csagent.sys", 0x50));
        assert!(ids.is_empty());
        let (state, response, record) = state.handle(&get);
        assert_eq!((response, record.answer), (Response::NotFound, "not-found"));
        let (state, ids) = offered(state, &scan("csagent.sys", 0x50));
        assert!(ids.is_empty());
        let (state, ids) = offered(state, &scan("csagent.sys", 0x50));
        assert_eq!(ids, ["fix"]);
        let (_, response, record) = state.handle(&get);
        assert!(matches!(response, Response::Manifest(_)));
        assert_eq!(record.answer, "served");
    }

    #[test]
    fn what_was_withdrawn_is_still_reported_by_those_who_have_it() {
        let mut state = State::new([
            offer("fix", Availability::AtStart),
            offer("other", Availability::AtStart),
        ]);
        let get = |id: &str| Request::Manifest { id: id.into() };
        let report = |id: &str| {
            let body = format!(r#"{{"format":1,"machine":"PC","id":"{id}","result":"applied"}}"#);
            Request::report(body.as_bytes())
        };
        (state, _, _) = state.handle(&get("fix"));
        assert!(state.withdraw("fix") && state.withdraw("other"));
        assert!(!state.withdraw("fix"), "it is withdrawn once");
        assert_eq!(state.remediations().count(), 0);
        let (state, ids) = offered(state, &scan("csagent.sys", 0x50));
        assert!(ids.is_empty());
        let (state, response, _) = state.handle(&get("fix"));
        assert_eq!(response, Response::NotFound);
        let (state, response, record) = state.handle(&report("fix"));
        assert_eq!((response, record.facts["result"].as_str()), (Response::Accepted, "applied"));
        let (mut state, response, _) = state.handle(&report("other"));
        assert_eq!(response, Response::NotFound, "no machine has it");
        assert!(state.find("fix").is_some(), "its counter is known");
        state.publish(offer("fix", Availability::AtStart));
        let (_, ids) = offered(state, &scan("csagent.sys", 0x50));
        assert_eq!(ids, ["fix"]);
    }

    #[test]
    fn never_is_never() {
        let mut state = State::new([offer("fix", Availability::Never)]);
        for _ in 0..20 {
            let ids;
            (state, ids) = offered(state, &scan("csagent.sys", 0x50));
            assert!(ids.is_empty());
        }
    }

    #[test]
    fn records_say_what_was_asked_and_answered() {
        let state = State::new([offer("fix", Availability::AtStart)]);
        let (state, _, record) = state.handle(&scan("csagent.sys", 0x50));
        let json = serde_json::to_value(&record).unwrap();
        let expected = serde_json::json!({
            "request": "scan",
            "answer": "offered",
            "facts": { "attempt": "1", "bugCheck": "0x50", "id": "fix", "module": "csagent.sys" },
        });
        assert_eq!(json, expected);

        let report = Request::report(
            br#"{"format":1,"machine":"PC","id":"fix","result":"refused","reason":"not\ntrusted","changes":[]}"#,
        );
        let (state, response, record) = state.handle(&report);
        assert_eq!(response, Response::Accepted);
        assert_eq!(record.facts["result"], "refused");
        assert_eq!(record.facts["reason"], "not trusted");

        let unknown =
            Request::report(br#"{"format":1,"machine":"PC","id":"x","result":"applied"}"#);
        let (_, response, record) = state.handle(&unknown);
        assert_eq!(response, Response::NotFound);
        assert_eq!(record.facts.get("result"), None, "an unknown remediation has no result");
    }

    /// A disk that is not there leaves no dump; a critical process that is gone blames no module.
    #[test]
    fn a_machine_may_know_little_of_its_crash() {
        let state = State::new([offer("fix", Availability::AtStart)]);
        for (signature, facts) in [
            ("null", &["attempt"][..]),
            (
                r#"{"bugCheck":3221226010,"module":null,"parameters":["0x0","0x0","0x0","0x0"]}"#,
                &["attempt", "bugCheck"],
            ),
        ] {
            let body =
                format!(r#"{{"format":1,"machine":"PC","signature":{signature},"attempt":1}}"#);
            let request = Request::scan(body.as_bytes());
            let (_, response, record) = state.clone().handle(&request);
            assert_eq!(response, Response::Offers(Vec::new()), "{signature}");
            assert_eq!((record.request, record.answer), ("scan", "no-match"));
            assert!(record.facts.keys().eq(facts), "{:?}", record.facts);
        }
    }

    #[test]
    fn bad_bodies_are_bad_requests() {
        let good = r#"{"format":1,"machine":"PC","signature":{"bugCheck":80,"module":"a.sys",
            "parameters":["0x1","0xffffffffffffffff","0x0","0x2"]},"attempt":1}"#;
        assert!(matches!(Request::scan(good.as_bytes()), Request::Scan(_)));
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            ("\"0x1\",", ""),
            ("\"0x1\"", "\"1\""),
            ("0xffffffffffffffff", "0xfffffffffffffffff"),
            ("80", "-80"),
            ("\"attempt\":1", "\"attempt\":\"1\""),
            ("{\"format\"", "[\"format\""),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            assert!(
                matches!(Request::scan(bad.as_bytes()), Request::Bad { kind: Kind::Scan, .. }),
                "{bad}"
            );
        }
        let deep = "[".repeat(60_000);
        assert!(matches!(Request::scan(deep.as_bytes()), Request::Bad { .. }));
        assert!(matches!(Request::report(deep.as_bytes()), Request::Bad { .. }));
    }

    #[test]
    fn a_request_that_broke_off_is_told_from_one_that_is_wrong() {
        let (_, _, record) = State::new([]).handle(&Request::BrokenOff { kind: Kind::Scan });
        assert_eq!((record.request, record.answer), ("scan", "broken-off"));
    }

    #[test]
    fn facts_are_bounded() {
        let state = State::new([]);
        let (_, _, record) = state.handle(&scan(&"ä".repeat(60_000), 0x50));
        assert_eq!(record.facts["module"].chars().count(), FACT + 1);
    }

    proptest! {
        #[test]
        fn hostile_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let state = State::new([offer("fix", Availability::AfterScans(1))]);
            let (state, ..) = state.handle(&Request::scan(&body));
            let (_, response, _) = state.handle(&Request::report(&body));
            prop_assert!(matches!(response, Response::BadRequest(_)));
        }
    }
}

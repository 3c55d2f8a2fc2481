//! The remediation protocol as a state machine: no I/O, no clock.
//!
//! [`State::handle`] takes a request and gives the next state, the response and the record of it. What
//! HTTP has to do with it is in `service`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::manifest::{FORMAT, SignedManifest, Target};

/// The longest fact that an event carries, in characters.
const FACT: usize = 200;

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

/// A remediation that is ready to be served.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Its name, part of the manifest's URL.
    pub id: String,
    /// The crash that it is for.
    pub target: Target,
    /// From when on.
    pub available: Availability,
    /// What is served.
    pub signed: SignedManifest,
}

/// A machine's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// [`FORMAT`].
    pub format: u32,
    /// The machine's name, as it says.
    pub machine: String,
    /// Its crash. Absent where it knows of none: a machine that cannot reach its disk leaves no dump.
    #[serde(default)]
    pub signature: Option<Signature>,
    /// The number of the scan, counted by the machine.
    pub attempt: u32,
}

/// The crash signature that a machine asks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// The stop code.
    pub bug_check: u64,
    /// The blamed module. Absent where none is blamed.
    #[serde(default)]
    pub module: Option<String>,
    /// The four parameters, `0x` and hexadecimal digits.
    pub parameters: [String; 4],
}

/// What a machine did with a remediation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// The machine's name, as it says.
    pub machine: String,
    /// The remediation.
    pub id: String,
    /// What came of it.
    pub result: Outcome,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
    /// What was changed, one line each.
    #[serde(default)]
    pub changes: Vec<String>,
}

/// What came of a remediation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All actions were done.
    Applied,
    /// It was not trusted or not meant for this crash; nothing was done.
    Refused,
    /// An action could not be done.
    Failed,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What a request is about, also where it could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `POST scan`.
    Scan,
    /// `GET manifest/<id>`.
    Manifest,
    /// `POST report`.
    Report,
    /// Something that the protocol does not have.
    Other,
}

impl Kind {
    /// As events write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Manifest => "manifest",
            Self::Report => "report",
            Self::Other => "other",
        }
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A machine asks for help.
    Scan(Scan),
    /// It fetches a manifest.
    Manifest {
        /// The remediation.
        id: String,
    },
    /// It tells what it did.
    Report(Report),
    /// It said something that cannot be read.
    Bad {
        /// What it was meant to be.
        kind: Kind,
        /// What is wrong with it.
        reason: String,
    },
    /// It broke off in the middle of its request: it lost its power or its network. Nobody misunderstood anybody.
    BrokenOff {
        /// What it was meant to be.
        kind: Kind,
    },
    /// It asked for a place that is not there.
    Unknown {
        /// Method and path.
        what: String,
    },
}

impl Request {
    /// Reads the body of a scan.
    pub fn scan(body: &[u8]) -> Self {
        let scan: Scan = match serde_json::from_slice(body) {
            Ok(scan) => scan,
            Err(error) => return Self::bad(Kind::Scan, error),
        };
        if scan.format != FORMAT {
            return Self::bad(Kind::Scan, format_args!("format {}, not {FORMAT}", scan.format));
        }
        for parameter in scan.signature.iter().flat_map(|signature| &signature.parameters) {
            let digits = parameter.strip_prefix("0x").unwrap_or("");
            if u64::from_str_radix(digits, 16).is_err() {
                let parameter = brief(parameter);
                return Self::bad(Kind::Scan, format_args!("`{parameter}` is not a parameter"));
            }
        }
        Self::Scan(scan)
    }

    /// Reads the body of a report.
    pub fn report(body: &[u8]) -> Self {
        match serde_json::from_slice::<Report>(body) {
            Ok(report) if report.format == FORMAT => Self::Report(report),
            Ok(report) => {
                Self::bad(Kind::Report, format_args!("format {}, not {FORMAT}", report.format))
            }
            Err(error) => Self::bad(Kind::Report, error),
        }
    }

    /// What it is about.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Scan(_) => Kind::Scan,
            Self::Manifest { .. } => Kind::Manifest,
            Self::Report(_) => Kind::Report,
            Self::Bad { kind, .. } | Self::BrokenOff { kind } => *kind,
            Self::Unknown { .. } => Kind::Other,
        }
    }

    /// A request that cannot be read.
    pub fn bad(kind: Kind, reason: impl std::fmt::Display) -> Self {
        Self::Bad { kind, reason: reason.to_string() }
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Remediations for a scan, perhaps none.
    Offers(Vec<String>),
    /// A manifest.
    Manifest(Box<SignedManifest>),
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
    /// `too-many-requests`; the trouble that it met, where there was one.
    pub answer: &'static str,
    /// `module`, `bugCheck`, `attempt`, `id`, `result`, `reason`, `path`; each shortened.
    pub facts: BTreeMap<String, String>,
}

/// The state of the service: what there is, and how often it was asked for.
#[derive(Debug, Clone)]
pub struct State {
    offers: Arc<[Offer]>,
    /// Scans so far for the signature of each offer.
    scans: Vec<u32>,
}

impl State {
    /// A service that has these remediations and was never asked.
    pub fn new(offers: impl Into<Arc<[Offer]>>) -> Self {
        let offers = offers.into();
        Self { scans: vec![0; offers.len()], offers }
    }

    fn is_published(&self, index: usize) -> bool {
        match self.offers[index].available {
            Availability::AtStart => true,
            Availability::AfterScans(scans) => self.scans[index] >= scans,
            Availability::Never => false,
        }
    }

    /// Handles one request.
    pub fn handle(mut self, request: &Request) -> (Self, Response, Record) {
        let (response, record) = match request {
            Request::Scan(scan) => self.scan(scan),
            Request::Manifest { id } => {
                let mut facts = Facts::default();
                facts.put("id", id);
                let found = (0..self.offers.len())
                    .find(|&index| self.offers[index].id == *id && self.is_published(index));
                match found {
                    Some(index) => (
                        Response::Manifest(Box::new(self.offers[index].signed.clone())),
                        facts.record(Kind::Manifest, "served"),
                    ),
                    None => (Response::NotFound, facts.record(Kind::Manifest, "not-found")),
                }
            }
            Request::Report(report) => {
                let mut facts = Facts::default();
                facts.put("id", &report.id);
                let known = (0..self.offers.len())
                    .any(|index| self.offers[index].id == report.id && self.is_published(index));
                if known {
                    facts.put("result", report.result.name());
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
        let crash = signature.and_then(|own| Some((own.module.as_deref()?, own.bug_check)));
        let mut ids = Vec::new();
        for index in 0..self.offers.len() {
            let offer = &self.offers[index];
            // A remediation is for a crash that a module is blamed for.
            if !crash.is_some_and(|(module, bug_check)| offer.target.matches(module, bug_check)) {
                continue;
            }
            if self.is_published(index) {
                ids.push(offer.id.clone());
            }
            self.scans[index] = self.scans[index].saturating_add(1);
        }
        let mut facts = Facts::default();
        if let Some(signature) = signature {
            facts.put("module", signature.module.as_deref().unwrap_or_default());
            facts.put("bugCheck", &format!("{:#x}", signature.bug_check));
        }
        facts.put("attempt", &scan.attempt.to_string());
        facts.put("id", &ids.join(" "));
        let answer = if ids.is_empty() { "no-match" } else { "offered" };
        (Response::Offers(ids), facts.record(Kind::Scan, answer))
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

/// A machine's words, fit for a line of an event: shortened, without control characters.
fn brief(text: &str) -> String {
    let mut brief: String = text
        .chars()
        .take(FACT)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if text.chars().nth(FACT).is_some() {
        brief.push('…');
    }
    brief
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer(id: &str, available: Availability) -> Offer {
        Offer {
            id: id.into(),
            target: Target { module: "csagent.sys".into(), bug_check: 0x50 },
            available,
            signed: SignedManifest {
                format: 1,
                payload: id.into(),
                signature: String::new(),
                certificate: String::new(),
            },
        }
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
        })
    }

    fn offered(state: State, request: &Request) -> (State, Vec<String>) {
        match state.handle(request) {
            (state, Response::Offers(ids), _) => (state, ids),
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

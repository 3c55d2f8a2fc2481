//! The remediation service as a machine sees it: HTTPS, by a client that knows nothing of its inside.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use recovery::manifest::VerifyError;
use recovery::{
    Action, Authority, Availability, Limits, Release, Remediation, RemediationConfig,
    RemediationService, ServiceError, SignedBy, SignedManifest, Target, Trouble,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use timeline::{Body, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

fn remediation(id: &str, available: Availability, signed_by: SignedBy) -> Remediation {
    Remediation {
        id: id.into(),
        title: "Remove the bad channel file".into(),
        counter: 3,
        target: Target {
            module: "csagent.sys".into(),
            bug_check: 0x50,
            builds: None,
            groups: Vec::new(),
        },
        actions: vec![Action::Delete {
            path: r"C:\Windows\System32\drivers\CrowdStrike\C-00000291*.sys".into(),
            modified_before: Some("2024-07-19T05:27:00Z".parse().unwrap()),
        }],
        available,
        release: Release::default(),
        signed_by,
    }
}

fn scan_body(module: &str, attempt: u32) -> Value {
    json!({
        "format": 1,
        "machine": "PC",
        "signature": {
            "bugCheck": 80,
            "module": module,
            "parameters": ["0xffff800000000000", "0x0", "0xfffff80012345678", "0x2"],
        },
        "attempt": attempt,
    })
}

/// A service on a loopback port, for the sake of a client that needs one.
struct Bench {
    directory: TempDir,
    authority: Authority,
    seen: Arc<Mutex<Vec<Body>>>,
    port: u16,
    service: RemediationService,
}

impl Bench {
    async fn new(remediations: Vec<Remediation>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(directory.path()).unwrap();
        let seen: Arc<Mutex<Vec<Body>>> = Arc::default();
        let into = Arc::clone(&seen);
        let sink = Sink::new(move |observation| into.lock().unwrap().push(observation.body));
        let config = RemediationConfig {
            host: "localhost".into(),
            remediations,
            clock: jiff::Timestamp::now(),
            log: log_of(directory.path()),
            limits: Limits::MACHINE,
        };
        let service = RemediationService::new(config, &authority, sink).unwrap();
        let troubled = service.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move { service.serve_connection(stream).await });
            }
        });
        Self { directory, authority, seen, port, service: troubled }
    }

    fn client(&self, root: &[u8]) -> Client {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![Certificate::from_der(root).to_owned()])))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build()
            .new_agent();
        Client { agent, base: format!("https://localhost:{}", self.port) }
    }

    fn trusting(&self) -> Client {
        self.client(&self.authority.trust().root_der)
    }

    /// `request answer` of each event, in order.
    fn events(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|body| match body {
                Body::Service { service, request, answer, .. } => {
                    assert_eq!(service, "remediation");
                    format!("{request} {answer}")
                }
                Body::Step { name, .. } => name.clone(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn log(&self) -> Vec<Value> {
        std::fs::read_to_string(log_of(self.directory.path()))
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn log_of(directory: &Path) -> PathBuf {
    directory.join("remediation.jsonl")
}

#[derive(Clone)]
struct Client {
    agent: ureq::Agent,
    base: String,
}

type Answer = Result<(u16, Value), ureq::Error>;

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut answer = answer?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string()?;
    Ok((status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }))
}

impl Client {
    /// ureq blocks, so each request is made on a thread of its own.
    async fn get(&self, path: &str) -> Answer {
        let (client, path) = (self.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || {
            read(client.agent.get(format!("{}{path}", client.base)).call())
        })
        .await
        .unwrap()
    }

    async fn post(&self, what: &str, body: impl Into<Vec<u8>>) -> Answer {
        let (client, body) = (self.clone(), body.into());
        let url = format!("{}/recovery/v1/{what}", self.base);
        tokio::task::spawn_blocking(move || {
            read(client.agent.post(url).header("content-type", "application/json").send(&body[..]))
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn a_machine_asks_fetches_verifies_and_reports() {
    let offer = remediation("fix-291", Availability::AtStart, SignedBy::Publisher);
    let bench = Bench::new(vec![offer]).await;
    let client = bench.trusting();

    let (status, found) = client.post("scan", scan_body("other.sys", 1).to_string()).await.unwrap();
    assert_eq!((status, found), (200, json!({ "format": 1, "remediations": [] })));
    let (status, found) =
        client.post("scan", scan_body("CSAGENT.sys", 2).to_string()).await.unwrap();
    let expected = json!({
        "format": 1,
        "remediations": [
            { "id": "fix-291", "counter": 3, "manifestUrl": "/recovery/v1/manifest/fix-291" },
        ],
    });
    assert_eq!((status, &found), (200, &expected));

    let url = found["remediations"][0]["manifestUrl"].as_str().unwrap();
    let (status, envelope) = client.get(url).await.unwrap();
    assert_eq!((status, &envelope["format"]), (200, &json!(1)));
    // As the machine does it, with nothing of this crate: certificate, key, signature, payload.
    let bytes = |name: &str| STANDARD.decode(envelope[name].as_str().unwrap()).unwrap();
    let publisher = bench.authority.trust().publisher_der;
    assert_eq!(bytes("certificate"), publisher);
    let (_, certificate) = x509_parser::parse_x509_certificate(&publisher).unwrap();
    let key =
        VerifyingKey::from_sec1_bytes(&certificate.public_key().subject_public_key.data).unwrap();
    let signature = DerSignature::from_bytes(&bytes("signature")).unwrap();
    key.verify(&bytes("payload"), &signature).unwrap();
    let payload: Value = serde_json::from_slice(&bytes("payload")).unwrap();
    assert_eq!(payload["counter"], 3);
    let expires: jiff::Timestamp = payload["expires"].as_str().unwrap().parse().unwrap();
    assert!(expires > jiff::Timestamp::now());
    assert_eq!(payload["target"], json!({ "module": "csagent.sys", "bugCheck": 80 }));
    assert_eq!(
        payload["actions"],
        json!([{ "delete": {
            "path": r"C:\Windows\System32\drivers\CrowdStrike\C-00000291*.sys",
            "modifiedBefore": "2024-07-19T05:27:00Z",
        } }])
    );

    let report = json!({
        "format": 1, "machine": "PC", "id": "fix-291", "result": "applied", "reason": "",
        "changes": [r"deleted C:\Windows\System32\drivers\CrowdStrike\C-00000291-00000000-00000032.sys"],
    });
    let (status, nothing) = client.post("report", report.to_string()).await.unwrap();
    assert_eq!((status, nothing), (204, Value::Null));

    let expected = ["scan no-match", "scan offered", "manifest served", "report accepted"];
    assert_eq!(bench.events(), expected);
    let facts = match &bench.seen.lock().unwrap()[1] {
        Body::Service { facts, .. } => serde_json::to_value(facts).unwrap(),
        other => panic!("{other:?}"),
    };
    let expected =
        json!({ "attempt": "2", "bugCheck": "0x50", "id": "fix-291", "module": "CSAGENT.sys" });
    assert_eq!(facts, expected);
    let log = bench.log();
    assert_eq!(log.len(), 4);
    assert_eq!((&log[3]["status"], &log[3]["body"]), (&json!(204), &report));
}

#[tokio::test]
async fn a_remediation_may_be_published_late_or_never() {
    let bench = Bench::new(vec![
        remediation("late", Availability::AfterScans(1), SignedBy::Publisher),
        remediation("never", Availability::Never, SignedBy::Publisher),
    ])
    .await;
    let client = bench.trusting();
    assert_eq!(client.get("/recovery/v1/manifest/late").await.unwrap().0, 404);
    let body = scan_body("csagent.sys", 1).to_string();
    let (_, first) = client.post("scan", body.clone()).await.unwrap();
    assert_eq!(first["remediations"], json!([]));
    let (_, second) = client.post("scan", body).await.unwrap();
    assert_eq!(second["remediations"].as_array().unwrap().len(), 1);
    assert_eq!(second["remediations"][0]["id"], "late");
    assert_eq!(client.get("/recovery/v1/manifest/late").await.unwrap().0, 200);
    assert_eq!(client.get("/recovery/v1/manifest/never").await.unwrap().0, 404);
}

#[tokio::test]
async fn a_wrong_signer_shows() {
    let bench =
        Bench::new(vec![remediation("bad", Availability::AtStart, SignedBy::Stranger)]).await;
    let client = bench.trusting();
    let (_, envelope) = client.get("/recovery/v1/manifest/bad").await.unwrap();
    let signed: SignedManifest = serde_json::from_value(envelope).unwrap();
    let trust = bench.authority.trust();
    assert_eq!(signed.open(&trust.publisher_der), Err(VerifyError::Untrusted));
    let claimed = SignedManifest { certificate: STANDARD.encode(&trust.publisher_der), ..signed };
    assert_eq!(claimed.open(&trust.publisher_der), Err(VerifyError::Signature));

    let report = json!({
        "format": 1, "machine": "PC", "id": "bad", "result": "refused",
        "reason": "the signer is not trusted", "changes": [],
    });
    assert_eq!(client.post("report", report.to_string()).await.unwrap().0, 204);
    assert_eq!(bench.events(), ["manifest served", "report accepted"]);
}

#[tokio::test]
async fn a_machine_with_another_root_does_not_talk() {
    let bench =
        Bench::new(vec![remediation("fix", Availability::AtStart, SignedBy::Publisher)]).await;
    let other = tempfile::tempdir().unwrap();
    let stranger = Authority::open_or_create(other.path()).unwrap();
    let client = bench.client(&stranger.trust().root_der);
    let error = client.post("scan", scan_body("csagent.sys", 1).to_string()).await.unwrap_err();
    assert!(format!("{error:?}").contains("InvalidCertificate"), "{error:?}");
    // The right root after it, so that the service has seen the end of the first.
    bench.trusting().get("/recovery/v1/manifest/fix").await.unwrap();
    assert_eq!(bench.events(), ["manifest served"], "no request came over the wrong connection");
}

#[tokio::test]
async fn what_is_not_tls_is_logged_and_is_no_event() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(directory.path()).unwrap();
    let config = RemediationConfig {
        host: "localhost".into(),
        remediations: Vec::new(),
        clock: jiff::Timestamp::now(),
        log: log_of(directory.path()),
        limits: Limits::MACHINE,
    };
    let sink = Sink::new(|observation| panic!("{observation:?}"));
    let service = RemediationService::new(config, &authority, sink).unwrap();
    let (mut ours, theirs) = tokio::io::duplex(4096);
    ours.write_all(b"GET /recovery/v1/manifest/fix HTTP/1.1\r\n\r\n").await.unwrap();
    service.serve_connection(theirs).await;
    let log = std::fs::read_to_string(log_of(directory.path())).unwrap();
    let line: Value = serde_json::from_str(&log).unwrap();
    assert_eq!((&line["request"], &line["answer"]), (&json!("handshake"), &json!("failed")));
}

#[tokio::test]
async fn hostile_requests_are_refused_and_recorded() {
    let bench =
        Bench::new(vec![remediation("fix", Availability::AtStart, SignedBy::Publisher)]).await;
    let client = bench.trusting();
    let unknown =
        json!({ "format": 1, "machine": "PC", "id": "none", "result": "applied", "changes": [] });
    let odd = json!({ "format": 1, "machine": "PC", "id": "fix", "result": "exploded" });
    for (what, body, status) in [
        ("scan", "nonsense".to_owned(), 400),
        ("scan", json!({ "format": 2 }).to_string(), 400),
        ("scan", "[".repeat(60_000), 400),
        ("scan", format!("\"{}\"", "x".repeat(65 * 1024)), 400),
        ("report", odd.to_string(), 400),
        ("report", unknown.to_string(), 404),
        ("manifest/fix", "{}".to_owned(), 404),
        ("elsewhere", "{}".to_owned(), 404),
    ] {
        let (found, answer) = client.post(what, body).await.unwrap();
        assert_eq!(found, status, "{what}: {answer}");
        assert!(answer["error"].is_string());
    }
    assert_eq!(client.get("/recovery/v1/scan").await.unwrap().0, 404);
    assert_eq!(client.get("/recovery/v1/manifest/%2e%2e%2ffix").await.unwrap().0, 404);
    assert_eq!(client.get("/recovery/v1/manifest/%ff").await.unwrap().0, 400);
    assert_eq!(
        bench.events(),
        [
            "scan bad-request",
            "scan bad-request",
            "scan bad-request",
            "scan bad-request",
            "report bad-request",
            "report not-found",
            "other not-found",
            "other not-found",
            "other not-found",
            "manifest not-found",
            "manifest bad-request",
        ]
    );
    assert!(bench.log().iter().all(|line| line.to_string().len() < 70 * 1024));
}

async fn connect(
    authority: &Authority,
    stream: DuplexStream,
    host: &'static str,
) -> tokio_rustls::client::TlsStream<DuplexStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.trust().root_der.into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
    connector.connect(host.try_into().unwrap(), stream).await.unwrap()
}

#[tokio::test]
async fn the_service_speaks_over_the_machine_s_network_too() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(directory.path()).unwrap();
    let config = RemediationConfig {
        host: "update.loopbreak.test".into(),
        remediations: vec![remediation("fix", Availability::AtStart, SignedBy::Publisher)],
        clock: jiff::Timestamp::now(),
        log: log_of(directory.path()),
        limits: Limits::MACHINE,
    };
    let service = RemediationService::new(config, &authority, Sink::new(|_| {})).unwrap();
    assert_eq!(service.url(), "https://update.loopbreak.test");
    let declared = service.network_service();
    assert_eq!((&*declared.host, declared.port), ("update.loopbreak.test", 443));

    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let peer = "10.0.2.15:40000".parse().unwrap();
    let serving = tokio::spawn(declared.handler.serve(theirs, peer));
    let mut stream = connect(&authority, ours, "update.loopbreak.test").await;
    stream
        .write_all(
            b"GET /recovery/v1/manifest/fix HTTP/1.1\r\nhost: update.loopbreak.test\r\nconnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let signed: SignedManifest = serde_json::from_str(body).unwrap();
    assert_eq!(signed.open(&authority.trust().publisher_der).unwrap().id, "fix");
    serving.await.unwrap();
}

#[tokio::test]
async fn a_flood_of_requests_is_cut_off() {
    let bench = Bench::new(Vec::new()).await;
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let config = RemediationConfig {
        host: "localhost".into(),
        remediations: Vec::new(),
        clock: jiff::Timestamp::now(),
        log: log_of(bench.directory.path()),
        limits: Limits::MACHINE,
    };
    let seen: Arc<Mutex<Vec<Body>>> = Arc::default();
    let into = Arc::clone(&seen);
    let sink = Sink::new(move |observation| into.lock().unwrap().push(observation.body));
    let service = RemediationService::new(config, &bench.authority, sink).unwrap();
    let serving = tokio::spawn(async move { service.serve_connection(theirs).await });
    let stream = connect(&bench.authority, ours, "localhost").await;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let writing = tokio::spawn(async move {
        for _ in 0..10_010 {
            writer.write_all(b"GET /flood HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        }
        writer.shutdown().await.unwrap();
    });
    let mut answers = String::new();
    reader.read_to_string(&mut answers).await.unwrap();
    writing.await.unwrap();
    serving.await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 404").count(), 10_000);
    assert_eq!(answers.matches("HTTP/1.1 429").count(), 10);
    assert_eq!(seen.lock().unwrap().len(), 10_001);
    assert_eq!(bench.log().len(), 10_001);
}

#[tokio::test]
async fn ids_that_cannot_be_served_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(directory.path()).unwrap();
    let make = |ids: &[&str]| {
        let config = RemediationConfig {
            host: "localhost".into(),
            remediations: ids
                .iter()
                .map(|id| remediation(id, Availability::AtStart, SignedBy::Publisher))
                .collect(),
            clock: jiff::Timestamp::now(),
            log: log_of(directory.path()),
            limits: Limits::MACHINE,
        };
        RemediationService::new(config, &authority, Sink::new(|_| {}))
    };
    for bad in [&["a/b"][..], &[""], &["a b"], &["twice", "twice"]] {
        assert!(matches!(make(bad).unwrap_err(), ServiceError::Id { .. }), "{bad:?}");
    }
    make(&["a", "b"]).unwrap();
}

#[tokio::test]
async fn a_service_that_is_not_available_is_so_as_often_as_was_asked_for() {
    let offer = remediation("fix-291", Availability::AtStart, SignedBy::Publisher);
    let bench = Bench::new(vec![offer]).await;
    bench.service.arm("busy", Trouble::Unavailable, Some(2));
    assert_eq!(bench.service.troubles(), [("unavailable", Some(2))]);
    let client = bench.trusting();
    let mut statuses = Vec::new();
    for attempt in 1..=3 {
        let body = scan_body("csagent.sys", attempt).to_string();
        statuses.push(client.post("scan", body).await.unwrap().0);
    }
    assert_eq!(statuses, [503, 503, 200]);
    let expected = ["scan unavailable", "lift busy", "scan unavailable", "scan offered"];
    assert_eq!(bench.events(), expected);
}

#[tokio::test]
async fn a_certificate_that_is_not_right_is_not_taken() {
    for trouble in [Trouble::WrongCertificate, Trouble::ExpiredCertificate] {
        let bench = Bench::new(Vec::new()).await;
        bench.service.arm("tls", trouble, Some(1));
        let client = bench.trusting();
        let body = scan_body("csagent.sys", 1).to_string();
        client.post("scan", body.clone()).await.unwrap_err();
        assert_eq!(client.post("scan", body).await.unwrap().0, 200);
        let handshake = format!("handshake {}", trouble.name());
        assert_eq!(bench.events(), [handshake.as_str(), "lift tls", "scan no-match"]);
    }
}

#[tokio::test]
async fn a_download_that_is_cut_or_changed_is_no_remediation() {
    let offer = remediation("fix-291", Availability::AtStart, SignedBy::Publisher);
    let bench = Bench::new(vec![offer]).await;
    let client = bench.trusting();
    let url = "/recovery/v1/manifest/fix-291";
    bench.service.arm("cut", Trouble::TruncatedDownload, Some(1));
    client.get(url).await.unwrap_err();
    bench.service.arm("changed", Trouble::TamperedDownload, Some(1));
    let key = bench.authority.trust().publisher_der;
    let verify = |envelope: Value| {
        let signed: SignedManifest = serde_json::from_value(envelope).unwrap();
        signed.open(&key)
    };
    let (_, changed) = client.get(url).await.unwrap();
    assert!(matches!(verify(changed), Err(VerifyError::Signature)));
    let (_, right) = client.get(url).await.unwrap();
    verify(right).unwrap();
}

/// Gives some bytes, and then the power is gone.
struct CutOff(bool);

impl std::io::Read for CutOff {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if std::mem::replace(&mut self.0, true) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        let begun = br#"{"format":1,"mach"#;
        buffer[..begun.len()].copy_from_slice(begun);
        Ok(begun.len())
    }
}

#[tokio::test]
async fn a_machine_that_goes_away_in_the_middle_of_a_scan_has_asked_nothing_wrong() {
    let bench = Bench::new(Vec::new()).await;
    let client = bench.trusting();
    let url = format!("{}/recovery/v1/scan", client.base);
    let agent = client.agent.clone();
    let sent = tokio::task::spawn_blocking(move || {
        let body = ureq::SendBody::from_owned_reader(CutOff(false));
        agent.post(url).header("content-type", "application/json").send(body)
    });
    assert!(sent.await.unwrap().is_err());
    drop(client);
    let told = async {
        while bench.events().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.unwrap();
    assert_eq!(bench.events(), ["scan broken-off"]);
}

//! The course of a recovery against a scripted world.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use rcgen::{CertificateParams, KeyPair};

use super::crash::CrashSignature;
use super::remediation::{
    self, Envelope, Manifest, Offer, Refusal, ScanAnswer, ScanRequest, verify,
};
use super::scan::{Applied, Patience, ScanEnd, World, run};

const MINUTE: Duration = Duration::from_secs(60);

struct Publisher {
    key: SigningKey,
    certificate: Vec<u8>,
}

impl Publisher {
    fn new(seed: u8) -> Self {
        let key = SigningKey::from_slice(&[seed; 32]).expect("a key");
        let pem = key.to_pkcs8_pem(LineEnding::LF).expect("pem");
        let pair = KeyPair::from_pem(&pem).expect("a key pair");
        let params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        let certificate = params.self_signed(&pair).expect("a certificate").der().to_vec();
        Self { key, certificate }
    }

    fn sign(&self, payload: &str) -> Envelope {
        let signature: Signature = self.key.sign(payload.as_bytes());
        Envelope {
            format: 1,
            payload: BASE64.encode(payload),
            signature: BASE64.encode(signature.to_der().as_bytes()),
            certificate: BASE64.encode(&self.certificate),
        }
    }
}

fn crash() -> CrashSignature {
    CrashSignature { bug_check: 0x50, module: Some("csagent.sys".into()), parameters: [1, 2, 3, 4] }
}

fn payload(module: &str) -> String {
    format!(
        "{{\"format\":1,\"id\":\"r1\",\"title\":\"t\",\"target\":{{\"module\":\"{module}\",\
         \"bugCheck\":80}},\"actions\":[{{\"delete\":{{\"path\":\"C:\\\\Windows\\\\System32\\\\drivers\
         \\\\CrowdStrike\\\\C-00000291*.sys\",\"modifiedBefore\":\"2024-07-19T05:27:00Z\"}}}}]}}"
    )
}

fn now() -> Timestamp {
    "2024-07-19T04:20:00Z".parse().expect("a time")
}

#[test]
fn what_a_trusted_publisher_signed_for_this_crash_is_believed() {
    let publisher = Publisher::new(7);
    let envelope = publisher.sign(&payload("CSAgent.sys"));
    let trusted = [publisher.certificate.clone()];
    let manifest = verify(&envelope, "r1", &trusted, Some(&crash()), now()).expect("verified");
    assert_eq!(manifest.actions.len(), 1);
}

#[test]
fn everything_else_is_refused() {
    let publisher = Publisher::new(7);
    let stranger = Publisher::new(9);
    let trusted = [publisher.certificate.clone()];
    let check = |envelope: &Envelope, id: &str, crash: Option<&CrashSignature>| {
        verify(envelope, id, &trusted, crash, now()).expect_err("refused")
    };
    let good = publisher.sign(&payload("csagent.sys"));
    let crash = crash();

    assert_eq!(
        check(&stranger.sign(&payload("csagent.sys")), "r1", Some(&crash)),
        Refusal::UntrustedPublisher
    );
    let stolen =
        Envelope { signature: stranger.sign(&payload("csagent.sys")).signature, ..good.clone() };
    assert_eq!(check(&stolen, "r1", Some(&crash)), Refusal::BadSignature);
    let changed = Envelope { payload: BASE64.encode(payload("other.sys")), ..good.clone() };
    assert_eq!(check(&changed, "r1", Some(&crash)), Refusal::BadSignature);
    assert!(matches!(check(&good, "r2", Some(&crash)), Refusal::OtherId { .. }));
    assert!(matches!(check(&good, "r1", None), Refusal::OtherCrash { .. }));
    let other = CrashSignature { bug_check: 0xD1, ..crash.clone() };
    assert!(matches!(check(&good, "r1", Some(&other)), Refusal::OtherCrash { .. }));
    let unknown = publisher.sign(&payload("csagent.sys").replace("delete", "format"));
    assert!(matches!(check(&unknown, "r1", Some(&crash)), Refusal::Unreadable(_)));
    let garbage = Envelope { payload: "%".into(), ..good };
    assert!(matches!(check(&garbage, "r1", Some(&crash)), Refusal::Unreadable(_)));
}

/// A service that offers from a certain scan on, and a clock that only waiting moves.
struct Scripted {
    offers_from: u32,
    envelope: Option<Envelope>,
    clock: Duration,
    scans: u32,
    reports: Vec<(String, String)>,
    applied: u32,
    interrupted: bool,
}

impl Scripted {
    fn new(offers_from: u32, envelope: Option<Envelope>) -> Self {
        Self {
            offers_from,
            envelope,
            clock: Duration::from_secs(1),
            scans: 0,
            reports: Vec::new(),
            applied: 0,
            interrupted: false,
        }
    }

    fn run(&mut self, trusted: &[Vec<u8>], patience: Patience) -> ScanEnd {
        run(self, "UNDERSTUDY", Some(&crash()), trusted, patience)
    }
}

impl World for Scripted {
    fn scan(&mut self, request: &ScanRequest<'_>) -> Result<ScanAnswer, String> {
        self.scans += 1;
        assert_eq!(request.attempt, self.scans);
        if self.envelope.is_none() {
            return Err("no route".into());
        }
        let offer = Offer { id: "r1".into(), manifest_url: "/recovery/v1/manifest/r1".into() };
        let remediations = if self.scans >= self.offers_from { vec![offer] } else { Vec::new() };
        Ok(ScanAnswer { format: remediation::FORMAT, remediations })
    }

    fn manifest(&mut self, _: &Offer) -> Result<Envelope, String> {
        self.envelope.clone().ok_or_else(|| "gone".into())
    }

    fn apply(&mut self, _: &Manifest) -> Applied {
        self.applied += 1;
        Applied { changes: vec!["deleted C:\\x".into()], failure: None }
    }

    fn report(&mut self, _: &str, result: &str, reason: &str, _: &[String]) {
        self.reports.push((result.to_owned(), reason.to_owned()));
    }

    fn say(&mut self, _: &str) {}

    fn now(&self) -> Timestamp {
        now()
    }

    fn elapsed(&self) -> Duration {
        self.clock
    }

    fn wait(&mut self, span: Duration) -> bool {
        self.clock += span;
        !self.interrupted
    }
}

const PATIENCE: Patience =
    Patience { total: MINUTE.saturating_mul(2400), interval: MINUTE.saturating_mul(120) };

#[test]
fn a_remediation_that_comes_late_is_applied_on_a_later_scan() {
    let publisher = Publisher::new(7);
    let mut world = Scripted::new(3, Some(publisher.sign(&payload("csagent.sys"))));
    let end = world.run(&[publisher.certificate], PATIENCE);
    assert!(matches!(end, ScanEnd::Applied { id, .. } if id == "r1"));
    assert_eq!((world.scans, world.applied), (3, 1));
    assert_eq!(world.reports, [("applied".to_owned(), String::new())]);
    assert_eq!(world.clock, Duration::from_secs(1) + MINUTE * 240);
}

#[test]
fn a_bad_signature_changes_nothing_and_is_reported_once() {
    let publisher = Publisher::new(7);
    let stranger = Publisher::new(9);
    let mut world = Scripted::new(1, Some(stranger.sign(&payload("csagent.sys"))));
    let end = world.run(&[publisher.certificate], PATIENCE);
    assert_eq!(end, ScanEnd::TimeOver);
    assert_eq!(world.applied, 0);
    assert_eq!(world.scans, 20);
    assert_eq!(world.reports.len(), 1);
    assert_eq!(world.reports[0].0, "refused");
}

#[test]
fn a_service_that_cannot_be_reached_is_asked_until_the_time_is_over() {
    let mut world = Scripted::new(1, None);
    assert_eq!(world.run(&[], PATIENCE), ScanEnd::TimeOver);
    assert_eq!(world.scans, 20);
}

#[test]
fn no_interval_means_one_scan() {
    let mut world = Scripted::new(9, Some(Publisher::new(7).sign(&payload("csagent.sys"))));
    let once = Patience { total: MINUTE * 180, interval: Duration::ZERO };
    assert_eq!(world.run(&[], once), ScanEnd::OneScan);
    assert_eq!(world.scans, 1);
}

#[test]
fn the_power_button_ends_the_wait() {
    let mut world = Scripted::new(1, None);
    world.interrupted = true;
    assert_eq!(world.run(&[], PATIENCE), ScanEnd::Interrupted);
}

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
    self, Envelope, Machine, Manifest, Offer, Refusal, ScanAnswer, ScanRequest, verify,
};
use super::scan::{Applied, Patience, ScanEnd, Told, World, run};
use super::service::NoAnswer;

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
        "{{\"format\":1,\"id\":\"r1\",\"title\":\"t\",\"counter\":3,\
         \"expires\":\"2024-08-01T00:00:00Z\",\"target\":{{\"module\":\"{module}\",\
         \"bugCheck\":80}},\"actions\":[{{\"delete\":{{\"path\":\"C:\\\\Windows\\\\System32\\\\drivers\
         \\\\CrowdStrike\\\\C-00000291*.sys\",\"modifiedBefore\":\"2024-07-19T05:27:00Z\"}}}}]}}"
    )
}

fn now() -> Timestamp {
    "2024-07-19T04:20:00Z".parse().expect("a time")
}

fn offer() -> Offer {
    Offer { id: "r1".into(), counter: 3, manifest_url: "/recovery/v1/manifest/r1".into() }
}

#[test]
fn what_a_trusted_publisher_signed_for_this_machine_is_believed() {
    let publisher = Publisher::new(7);
    let publishers = [publisher.certificate.clone()];
    let crash = crash();
    let machine = Machine {
        name: "UNDERSTUDY",
        crash: Some(&crash),
        build: Some("26100.4770".parse().expect("a build")),
        group: Some("Broad"),
        publishers: &publishers,
    };
    let targeted = payload("CSAgent.sys").replace(
        "\"bugCheck\":80",
        "\"bugCheck\":80,\"builds\":{\"from\":\"26100.4700\",\"to\":\"26100.9999\"},\"groups\":[\"broad\"]",
    );
    for payload in [payload("CSAgent.sys"), targeted] {
        let envelope = publisher.sign(&payload);
        let manifest = verify(&envelope, &offer(), &machine, 3, now()).expect("verified");
        assert_eq!(manifest.actions.len(), 1);
    }
}

#[test]
fn everything_else_is_refused_each_with_its_word() {
    use words::Refusal as Word;
    let publisher = Publisher::new(7);
    let stranger = Publisher::new(9);
    let publishers = [publisher.certificate.clone()];
    let crash = crash();
    let machine = Machine {
        name: "UNDERSTUDY",
        crash: Some(&crash),
        build: Some("26100.4770".parse().expect("a build")),
        group: None,
        publishers: &publishers,
    };
    let text = payload("csagent.sys");
    let good = publisher.sign(&text);
    let with = |from: &str, to: &str| {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        publisher.sign(&changed)
    };
    let target = |more: &str| with("\"bugCheck\":80", &format!("\"bugCheck\":80,{more}"));
    let path = |path: &str| {
        let from = r"C:\\Windows\\System32\\drivers\\CrowdStrike\\C-00000291*.sys";
        with(from, &path.replace('\\', r"\\"))
    };
    let write = |path: &str| {
        let path = path.replace('\\', r"\\");
        let begin = text.find("[{").expect("actions");
        let head = &text[..begin];
        publisher
            .sign(&format!("{head}[{{\"write\":{{\"path\":\"{path}\",\"content\":\"eA==\"}}}}]}}"))
    };
    let verified =
        verify(&write("C:\\Windows\\x"), &offer(), &machine, 0, now()).expect("verified");
    assert!(
        matches!(&verified.actions[..], [remediation::Action::Write(write)] if write.content == b"x")
    );

    let forged = Envelope { signature: stranger.sign(&text).signature, ..good.clone() };
    let changed = Envelope { payload: BASE64.encode(payload("other.sys")), ..good.clone() };
    let cases = [
        ("a stranger's", stranger.sign(&text), Word::UntrustedPublisher),
        ("a stranger's signature", forged, Word::BadSignature),
        ("other bytes", changed, Word::BadSignature),
        ("no base64", Envelope { payload: "%".into(), ..good.clone() }, Word::Unreadable),
        ("another format", Envelope { format: 2, ..good.clone() }, Word::UnknownFormat),
        ("another format inside", with("\"format\":1", "\"format\":2"), Word::UnknownFormat),
        ("an unknown action", with("\"delete\"", "\"format\""), Word::Unreadable),
        ("no end", with("\"expires\":\"2024-08-01T00:00:00Z\",", ""), Word::Unreadable),
        ("no counter", with("\"counter\":3,", ""), Word::Unreadable),
        ("another id", with("\"id\":\"r1\"", "\"id\":\"r2\""), Word::OtherRemediation),
        ("over", with("2024-08-01T00:00:00Z", "2024-07-19T04:20:00Z"), Word::Expired),
        ("older than offered", with("\"counter\":3", "\"counter\":2"), Word::Replayed),
        ("another crash", with("\"bugCheck\":80", "\"bugCheck\":209"), Word::OtherCrash),
        ("another module", with("csagent.sys", "other.sys"), Word::OtherCrash),
        (
            "another build",
            target("\"builds\":{\"from\":\"26200.1\",\"to\":\"26200.9\"}"),
            Word::OtherBuild,
        ),
        ("a group", target("\"groups\":[\"canary\"]"), Word::OtherGroup),
        ("a way up", path(r"C:\Windows\..\x"), Word::UnsafePath),
        ("a share", path(r"\\server\share\x"), Word::UnsafePath),
        ("a stream", path(r"C:\Windows\x:y"), Word::UnsafePath),
        ("a device", path(r"C:\Windows\nul.sys"), Word::UnsafePath),
        ("a short name", path(r"C:\PROGRA~1\x"), Word::UnsafePath),
        ("many files to write", write(r"C:\Windows\*"), Word::UnsafePath),
    ];
    for (what, envelope, word) in &cases {
        let refusal = verify(envelope, &offer(), &machine, 0, now()).expect_err(what);
        assert_eq!(refusal.word, *word, "{what}: {refusal}");
    }
    let replayed = verify(&good, &offer(), &machine, 4, now()).expect_err("a newer one was seen");
    assert_eq!(replayed.word, Word::Replayed);
    let unknown = Machine { crash: None, ..machine };
    assert_eq!(
        verify(&good, &offer(), &unknown, 0, now()).expect_err("no crash").word,
        Word::OtherCrash
    );
    let late: Timestamp = "4097-01-01T00:00:00Z".parse().expect("a time");
    let over = verify(&good, &offer(), &machine, 0, late).expect_err("the certificate is over");
    assert_eq!(over.word, Word::ExpiredCertificate);
}

/// A service that offers from a certain scan on, and a clock that only waiting moves.
struct Scripted {
    offers_from: u32,
    envelope: Option<Envelope>,
    clock: Duration,
    scans: u32,
    reports: Vec<String>,
    applied: u32,
    interrupted: bool,
    /// The answer to the first scan is to be asked again after so long.
    busy: Option<Duration>,
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
            busy: None,
        }
    }

    fn run(&mut self, trusted: &[Vec<u8>], patience: Patience) -> ScanEnd {
        let crash = crash();
        let machine = Machine {
            name: "UNDERSTUDY",
            crash: Some(&crash),
            build: None,
            group: None,
            publishers: trusted,
        };
        run(self, &machine, patience)
    }
}

impl World for Scripted {
    fn scan(&mut self, request: &ScanRequest<'_>) -> Result<ScanAnswer, NoAnswer> {
        self.scans += 1;
        assert_eq!(request.attempt, self.scans);
        if self.envelope.is_none() {
            return Err("no route".to_owned().into());
        }
        if let Some(after) = self.busy.take() {
            return Err(NoAnswer { why: "503".into(), again_after: Some(after) });
        }
        let remediations = if self.scans >= self.offers_from { vec![offer()] } else { Vec::new() };
        Ok(ScanAnswer { format: remediation::FORMAT, remediations })
    }

    fn manifest(&mut self, _: &Offer) -> Result<Envelope, NoAnswer> {
        self.envelope.clone().ok_or_else(|| "gone".to_owned().into())
    }

    fn seen(&mut self, _: &str) -> u32 {
        0
    }

    fn apply(&mut self, _: &Manifest) -> Result<Applied, Refusal> {
        self.applied += 1;
        Ok(Applied { changes: vec!["deleted C:\\x".into()], failure: None })
    }

    fn report(&mut self, _: &str, told: Told<'_>) -> bool {
        self.reports.push(match told {
            Told::Applied(_) => "applied".to_owned(),
            Told::Refused(refusal) => format!("refused: {}", refusal.word),
            Told::Failed(why, _) => format!("failed: {why}"),
        });
        true
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
    assert_eq!(world.reports, ["applied"]);
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
    assert_eq!(world.reports, ["refused: untrusted-publisher"]);
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

/// `Retry-After` moves the next scan away, never nearer, and not beyond the time that there is.
#[test]
fn a_service_that_wants_to_be_asked_later_is_asked_later() {
    let publisher = Publisher::new(7);
    let envelope = publisher.sign(&payload("csagent.sys"));
    for (after, expected) in [(1, 120), (119, 120), (121, 121), (600, 600), (2399, 2399)] {
        let mut world = Scripted::new(1, Some(envelope.clone()));
        world.busy = Some(MINUTE * after);
        let end = world.run(std::slice::from_ref(&publisher.certificate), PATIENCE);
        assert!(matches!(end, ScanEnd::Applied { .. }), "{after}: {end:?}");
        assert_eq!(world.clock, Duration::from_secs(1) + MINUTE * expected, "{after}");
    }
    let mut world = Scripted::new(1, Some(envelope));
    world.busy = Some(MINUTE * 5000);
    assert_eq!(world.run(&[publisher.certificate], PATIENCE), ScanEnd::TimeOver);
    assert_eq!((world.scans, world.clock), (1, Duration::from_secs(1) + MINUTE * 2400));
}

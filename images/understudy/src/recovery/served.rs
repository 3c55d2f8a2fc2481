//! The client against the harness's own update service, over TLS on loopback, with a real volume: what comes of each
//! thing that can go wrong there, and that the volume is as it was where nothing may have come of it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use recovery::{
    Action, Authority, Availability, Limits, Release, Remediation, RemediationConfig,
    RemediationService, SignedBy, Target, Trouble,
};
use timeline::{Body, Sink};
use volume::{FileTime, Kind, MemoryDevice, Ntfs, NtfsFormat};

use super::apply::apply;
use super::crash::CrashSignature;
use super::remediation::{Envelope, Machine, Manifest, Offer, Refusal, ScanAnswer, ScanRequest};
use super::scan::{Applied, Patience, ScanEnd, Told, World, run};
use super::seen;
use super::service::{NoAnswer, UpdateService};
use crate::storage::Drive;

const BAD: &str = "\\Windows\\System32\\drivers\\CrowdStrike\\C-00000291-32.sys";
const NEEDED: &str = "\\Windows\\System32\\drivers\\disk.sys";
const MINUTE: Duration = Duration::from_secs(60);

/// A machine whose clock is moved by waiting only.
struct Client<'a> {
    service: UpdateService,
    drive: &'a Drive,
    clock: Duration,
    said: Vec<String>,
}

impl World for Client<'_> {
    fn scan(&mut self, request: &ScanRequest<'_>) -> Result<ScanAnswer, NoAnswer> {
        Ok(self.service.scan(request)?)
    }

    fn manifest(&mut self, offer: &Offer) -> Result<Envelope, NoAnswer> {
        Ok(self.service.manifest(&offer.manifest_url)?)
    }

    fn seen(&mut self, id: &str) -> u32 {
        seen::seen(self.drive, id)
    }

    fn apply(&mut self, manifest: &Manifest) -> Result<Applied, Refusal> {
        apply(self.drive, manifest)
    }

    fn report(&mut self, id: &str, told: Told<'_>) -> bool {
        let sent = self.service.report("PC", id, told);
        self.said.push(format!("{sent:?}"));
        sent.is_ok()
    }

    fn say(&mut self, text: &str) {
        self.said.push(text.to_owned());
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.clock
    }

    fn wait(&mut self, span: Duration) -> bool {
        self.clock += span;
        true
    }
}

fn drive() -> Drive {
    let format = NtfsFormat { label: "C".into(), serial: 1, time: FileTime::UNIX_EPOCH };
    let volume = Ntfs::format(MemoryDevice::zeroed(32 << 20), &format).expect("a volume");
    let drive = Drive::new(Box::new(volume));
    drive.create_dir_all("\\Windows\\System32\\drivers\\CrowdStrike").expect("folders");
    drive.write(BAD, b"bad").expect("a file");
    drive.write(NEEDED, b"needed").expect("a file");
    drive.flush().expect("flushed");
    drive
}

/// The digest of every file on the volume.
fn files(drive: &Drive) -> BTreeMap<String, String> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![String::new()]);
    while let Some(folder) = folders.pop() {
        for entry in drive.list(&folder).expect("a folder") {
            let path = format!("{folder}\\{}", entry.name);
            match entry.kind {
                Kind::Directory => folders.push(path),
                _ => {
                    let bytes = drive.read(&path).expect("a file");
                    found.insert(path, blake3::hash(&bytes).to_hex().to_string());
                }
            }
        }
    }
    found
}

fn remediation(path: &str) -> Remediation {
    Remediation {
        id: "fix".into(),
        title: "A fix".into(),
        counter: 2,
        target: Target {
            module: "csagent.sys".into(),
            bug_check: 0x50,
            builds: None,
            groups: Vec::new(),
        },
        actions: vec![Action::Delete { path: path.into(), modified_before: None }],
        available: Availability::AtStart,
        release: Release::default(),
        signed_by: SignedBy::Publisher,
    }
}

const RIGHT: &str = r"C:\Windows\System32\drivers\CrowdStrike\C-00000291*.sys";

/// What came of it.
struct Came {
    end: ScanEnd,
    events: Vec<String>,
    clock: Duration,
    said: Vec<String>,
}

/// Runs a recovery of at most three scans against a service that has this remediation and this trouble.
fn recover(drive: &Drive, remediation: Remediation, trouble: Option<(Trouble, u32)>) -> Came {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let state = tempfile::tempdir().expect("a directory");
    let authority = Authority::open_or_create(state.path()).expect("an authority");
    let (sender, events) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let sink = Sink::new(move |observation| {
        let text = match observation.body {
            Body::Service { request, answer, facts, .. } => match facts.get("result") {
                Some(result) => {
                    let refusal = facts.get("refusal").map(|word| format!(" {word}"));
                    format!("{request} {result}{}", refusal.unwrap_or_default())
                }
                None => format!("{request} {answer}"),
            },
            Body::Step { name, .. } => name,
            other => format!("{other:?}"),
        };
        sender.lock().expect("a lock").send(text).expect("somebody listens");
    });
    let config = RemediationConfig {
        host: "localhost".into(),
        remediations: vec![remediation],
        clock: Timestamp::now(),
        log: state.path().join("log.jsonl"),
        limits: Limits::MACHINE,
    };
    let service = RemediationService::new(config, &authority, sink).expect("a service");
    if let Some((trouble, requests)) = trouble {
        service.arm("trouble", trouble, Some(requests));
    }
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move { service.serve_connection(stream).await });
        }
    });
    let trust = authority.trust();
    let url = format!("https://localhost:{port}");
    let service = UpdateService::new(&url, &[trust.root_der]).expect("a client");
    let mut client = Client { service, drive, clock: Duration::ZERO, said: Vec::new() };
    let crash =
        CrashSignature { bug_check: 0x50, module: Some("csagent.sys".into()), parameters: [0; 4] };
    let machine = Machine {
        name: "PC",
        crash: Some(&crash),
        build: Some("26100.4770".parse().expect("a build")),
        group: None,
        publishers: &[trust.publisher_der],
    };
    let patience = Patience { total: MINUTE * 6, interval: MINUTE * 2 };
    let end = run(&mut client, &machine, patience);
    Came { end, events: events.try_iter().collect(), clock: client.clock, said: client.said }
}

/// Every failure of the service, for as long as the machine asks: its reaction, and the files of its disk.
#[test]
fn what_goes_wrong_at_the_service_never_touches_the_disk() {
    let after = Duration::from_secs(180);
    for (trouble, expected) in [
        (Trouble::Unavailable, &["scan unavailable", "scan unavailable", "scan unavailable"][..]),
        // Asked again after three minutes, and not after two: one scan less in the time.
        (Trouble::Busy(after), &["scan busy", "scan busy"]),
        (Trouble::WrongCertificate, &["handshake wrong-certificate"; 3]),
        (Trouble::ExpiredCertificate, &["handshake expired-certificate"; 3]),
        (
            Trouble::TruncatedDownload,
            &[
                "scan offered",
                "manifest truncated-download",
                "scan offered",
                "manifest truncated-download",
                "scan offered",
                "manifest truncated-download",
            ],
        ),
        (
            Trouble::TamperedDownload,
            &[
                "scan offered",
                "manifest tampered-download",
                "report refused bad-signature",
                "scan offered",
                "manifest tampered-download",
                "scan offered",
                "manifest tampered-download",
            ],
        ),
        (
            Trouble::UntrustedSignature,
            &[
                "scan offered",
                "manifest untrusted-signature",
                "report refused untrusted-publisher",
                "scan offered",
                "manifest untrusted-signature",
                "scan offered",
                "manifest untrusted-signature",
            ],
        ),
        (
            Trouble::ExpiredManifest,
            &[
                "scan offered",
                "manifest expired-manifest",
                "report refused expired",
                "scan offered",
                "manifest expired-manifest",
                "scan offered",
                "manifest expired-manifest",
            ],
        ),
        (
            Trouble::ReplayedManifest,
            &[
                "scan offered",
                "manifest replayed-manifest",
                "report refused replayed",
                "scan offered",
                "manifest replayed-manifest",
                "scan offered",
                "manifest replayed-manifest",
            ],
        ),
    ] {
        let drive = drive();
        let before = files(&drive);
        let came = recover(&drive, remediation(RIGHT), Some((trouble, 100)));
        assert_eq!(came.end, ScanEnd::TimeOver, "{trouble:?}");
        assert_eq!(came.clock, MINUTE * 6, "{trouble:?}");
        assert_eq!(came.events, expected, "{trouble:?}: {:#?}", came.said);
        assert_eq!(files(&drive), before, "{trouble:?}");
    }
}

/// The same, over after the first that met it: the machine is helped by the next scan, and only the one file is gone.
#[test]
fn what_goes_wrong_once_only_costs_time() {
    for (trouble, minutes) in [
        (Trouble::Slow(Duration::from_millis(10)), 0),
        (Trouble::Unavailable, 2),
        (Trouble::Busy(Duration::from_secs(300)), 5),
        (Trouble::WrongCertificate, 2),
        (Trouble::ExpiredCertificate, 2),
        (Trouble::TruncatedDownload, 2),
        (Trouble::TamperedDownload, 2),
        (Trouble::UntrustedSignature, 2),
        (Trouble::ExpiredManifest, 2),
        (Trouble::ReplayedManifest, 2),
    ] {
        let drive = drive();
        let mut before = files(&drive);
        let came = recover(&drive, remediation(RIGHT), Some((trouble, 1)));
        let ScanEnd::Applied { changes, .. } = &came.end else {
            panic!("{trouble:?}: {:?}", came.end)
        };
        assert_eq!(changes, &[format!("deleted C:{BAD}")]);
        assert_eq!(came.clock, MINUTE * minutes, "{trouble:?}");
        assert_eq!(came.events.last().map(String::as_str), Some("report applied"), "{trouble:?}");
        before.remove(BAD);
        let mut after = files(&drive);
        assert!(after.remove("\\Windows\\System32\\Recovery\\RemediationsSeen.json").is_some());
        assert_eq!(after, before, "{trouble:?}");
    }
}

/// Nobody is there at all.
#[test]
fn a_service_that_is_down_is_asked_in_vain() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let service = UpdateService::new(&format!("https://localhost:{port}"), &[]).expect("a client");
    let drive = drive();
    let before = files(&drive);
    let mut client = Client { service, drive: &drive, clock: Duration::ZERO, said: Vec::new() };
    let machine = Machine { name: "PC", crash: None, build: None, group: None, publishers: &[] };
    let patience = Patience { total: MINUTE * 6, interval: MINUTE * 2 };
    assert_eq!(run(&mut client, &machine, patience), ScanEnd::TimeOver);
    assert_eq!(files(&drive), before);
}

/// What the machine cannot know: a fix that it can trust, and that takes away what it needs. It is applied, and said
/// so; the next boot is what judges it.
#[test]
fn a_fix_that_makes_things_worse_is_applied_and_told() {
    let drive = drive();
    let came = recover(&drive, remediation(r"C:\Windows\System32\drivers\disk.sys"), None);
    assert!(matches!(came.end, ScanEnd::Applied { .. }));
    assert_eq!(came.events, ["scan offered", "manifest served", "report applied"]);
    let after = files(&drive);
    assert!(!after.contains_key(NEEDED) && after.contains_key(BAD));
}

/// A machine that has met a newer manifest does not go back, also where the service offers the older one.
#[test]
fn what_was_seen_is_not_forgotten() {
    let drive = drive();
    let newer = Remediation { counter: 3, ..remediation(r"C:\Windows\Temp\nothing") };
    let came = recover(&drive, newer, None);
    assert_eq!(came.end, ScanEnd::TimeOver, "it is met, and does nothing");
    let came = recover(&drive, remediation(RIGHT), None);
    assert_eq!(came.end, ScanEnd::TimeOver);
    assert!(came.events.contains(&"report refused replayed".to_owned()), "{:?}", came.events);
    assert!(files(&drive).contains_key(BAD));
}

/// Paths that a service would never publish, signed by the trusted publisher.
#[test]
fn tricks_with_paths_are_refused_whole() {
    for path in [
        r"C:\Windows\..\..\x",
        r"\\server\share\x",
        r"\\.\PhysicalDrive0",
        r"D:\x",
        r"C:\Windows\nul",
        r"C:\Windows\x.sys:stream",
        r"C:\Windows\System32\drivers.\disk.sys",
        r"C:\Windows\SYSTEM~1\drivers\disk.sys",
        r"C:\$MFT",
    ] {
        let drive = drive();
        let before = files(&drive);
        let bad = Action::Delete { path: path.into(), modified_before: None };
        let mut remediation = remediation(RIGHT);
        remediation.actions.push(bad);
        let came = recover(&drive, remediation, None);
        assert_eq!(came.end, ScanEnd::TimeOver, "{path}");
        assert!(
            came.events.contains(&"report refused unsafe-path".to_owned()),
            "{path}: {:?}",
            came.events
        );
        assert_eq!(files(&drive), before, "{path}");
    }
}

//! Bundles, made and opened: whole ones, damaged ones, and what somebody hostile would write.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::path::{Path, PathBuf};

use bundle::{Bounds, BundleError, BundledRun, HostNames, Redactor, Replay, Stage, open};

const KEY: &str = "111111-222222-333333-444444-555555-666666-000011-123456";

fn about(run: &str) -> BundledRun {
    BundledRun {
        run: run.to_owned(),
        scenario: "s".to_owned(),
        image: "understudy".to_owned(),
        verdict: "recovered".to_owned(),
        replay: Replay::Same,
    }
}

/// A folder with a run in it, and its bundle.
fn bundled(folder: &Path) -> PathBuf {
    let run = folder.join("run-1");
    std::fs::create_dir_all(run.join("machine/frames")).unwrap();
    std::fs::create_dir_all(run.join("dumps")).unwrap();
    std::fs::write(run.join("run.json"), r#"{"reference":"/home/jane/s/s.snap"}"#).unwrap();
    std::fs::write(run.join("events.jsonl"), format!("{{\"line\":\"{KEY}\"}}\n").repeat(50))
        .unwrap();
    let noise: Vec<u8> = (0..5000_u32).map(|it| (it * it / 7) as u8).collect();
    std::fs::write(run.join("machine/frames/1.png"), &noise).unwrap();
    std::fs::write(run.join("dumps/MEMORY.DMP"), [noise.as_slice(), KEY.as_bytes()].concat())
        .unwrap();
    std::fs::write(run.join("disk.qcow2"), "disk").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", run.join("link.log")).unwrap();
    let mut stage = Stage::new(Redactor::new(&HostNames::default())).unwrap();
    stage.add(&run, "run-1", true).unwrap();
    stage.describe(about("run-1"));
    let file = folder.join("runs.bundle");
    stage.write(&file, "0.1.0", &Bounds::default()).unwrap();
    file
}

fn opened(file: &Path) -> Result<(tempfile::TempDir, bundle::Manifest), BundleError> {
    let into = tempfile::tempdir().unwrap();
    let manifest = open(file, &Bounds::default(), into.path())?;
    Ok((into, manifest))
}

#[test]
fn a_bundle_opens_to_what_went_in_without_secrets_and_host() {
    let folder = tempfile::tempdir().unwrap();
    let file = bundled(folder.path());
    let (into, manifest) = opened(&file).unwrap();
    let read = |path: &str| std::fs::read(into.path().join(path)).unwrap();
    assert_eq!(read("run-1/run.json"), br#"{"reference":"<host>/s.snap"}"#);
    let events = String::from_utf8(read("run-1/events.jsonl")).unwrap();
    assert_eq!(events, "{\"line\":\"<recovery-key>\"}\n".repeat(50));
    let dump = read("run-1/dumps/MEMORY.DMP");
    assert!(dump.ends_with(b"*******") && dump.len() == 5000 + KEY.len());
    assert_eq!(
        read("run-1/machine/frames/1.png"),
        std::fs::read(folder.path().join("run-1/machine/frames/1.png")).unwrap()
    );
    let found: Vec<_> =
        manifest.redacted.iter().map(|it| (it.rule.as_str(), it.count, it.files)).collect();
    assert_eq!(
        found,
        [
            ("recovery-key", 51, 2),
            ("private-key", 0, 0),
            ("token", 0, 0),
            ("host-path", 1, 1),
            ("host-name", 0, 0),
            ("user-name", 0, 0)
        ]
    );
    let left: Vec<_> = manifest.left_out.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(left, ["run-1/disk.qcow2", "run-1/link.log"]);
    // The same run gives the same bytes, and no half-written file is left beside it.
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_dir_all(folder.path().join("run-1")).unwrap();
    assert_eq!(std::fs::read(bundled(folder.path())).unwrap(), bytes);
    assert!(
        std::fs::read_dir(folder.path()).unwrap().all(|it| !it
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with('.'))
    );
}

#[test]
fn a_bundle_with_any_byte_changed_or_cut_off_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = bundled(folder.path());
    let bytes = std::fs::read(&file).unwrap();
    for (at, bit) in (0..bytes.len()).map(|at| (at, at % 8)) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << bit;
        std::fs::write(&file, &changed).unwrap();
        let error = opened(&file).expect_err(&format!("byte {at} was changed")).to_string();
        assert!(error.contains("runs.bundle"), "{error}");
    }
    for end in (0..bytes.len()).step_by(7) {
        std::fs::write(&file, &bytes[..end]).unwrap();
        assert!(opened(&file).is_err(), "cut off after {end}");
    }
}

/// An archive as somebody would write it by hand: each entry with its header as it is given.
struct Forged(Vec<(tar::Header, Vec<u8>)>);

impl Forged {
    fn new(files: &[(&str, &str)]) -> Self {
        let mut forged = Self(Vec::new());
        let listed: Vec<_> =
            files.iter().map(|(path, content)| entry(path, content.as_bytes())).collect();
        forged.add("manifest.json", manifest(&["run-1"], &listed).as_bytes());
        for (path, content) in files {
            forged.add(path, content.as_bytes());
        }
        forged
    }

    fn add(&mut self, path: &str, content: &[u8]) {
        let mut header = tar::Header::new_ustar();
        // As it is: `set_path` refuses what is tried here.
        let name = &mut header.as_old_mut().name;
        name[..path.len().min(100)].copy_from_slice(&path.as_bytes()[..path.len().min(100)]);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.push((header, content.to_vec()));
    }

    fn write(self, folder: &Path) -> PathBuf {
        let file = folder.join("hostile.bundle");
        let encoder =
            zstd::stream::write::Encoder::new(std::fs::File::create(&file).unwrap(), 1).unwrap();
        let mut archive = tar::Builder::new(encoder);
        for (header, content) in self.0 {
            archive.append(&header, content.as_slice()).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        sealed(&file);
        file
    }
}

/// Puts the digest at the end, as whoever forges a bundle would.
fn sealed(file: &Path) {
    use sha2::Digest as _;
    let mut bytes = std::fs::read(file).unwrap();
    let digest = sha2::Sha256::digest(&bytes);
    bytes.extend([0x50, 0x2a, 0x4d, 0x18, 32, 0, 0, 0]);
    bytes.extend(digest);
    std::fs::write(file, bytes).unwrap();
}

fn entry(path: &str, content: &[u8]) -> serde_json::Value {
    use sha2::Digest as _;
    let digest: String =
        sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    serde_json::json!({ "path": path, "size": content.len(), "sha256": digest })
}

fn manifest(runs: &[&str], files: &[serde_json::Value]) -> String {
    let run = |run: &&str| serde_json::json!({ "run": run, "scenario": "s", "image": "i", "verdict": "v", "replay": "same" });
    let runs: Vec<_> = runs.iter().map(run).collect();
    serde_json::json!({
        "format": 1, "loopbreak": "0.1.0", "runs": runs, "files": files,
        "redacted": [], "not-searched": [], "left-out": [],
    })
    .to_string()
}

fn refused(forged: Forged) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = forged.write(folder.path());
    let into = folder.path().join("in/to");
    std::fs::create_dir_all(&into).unwrap();
    let error = open(&file, &Bounds::default(), &into).expect_err("it was taken").to_string();
    // Nothing lies beside the place where it was to be unpacked.
    let beside: Vec<_> = std::fs::read_dir(folder.path().join("in"))
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(beside, ["to"], "{error}");
    error
}

#[test]
fn the_forged_form_itself_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = Forged::new(&[("run-1/a", "x")]).write(folder.path());
    let (into, _) = opened(&file).unwrap();
    assert_eq!(std::fs::read_to_string(into.path().join("run-1/a")).unwrap(), "x");
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for path in [
        "../evil",
        "run-1/../../evil",
        "/etc/evil",
        "run-1/./a",
        "run-1//a",
        "run-1",
        "other/a",
        "run-1/a\\..\\b",
        "run-1/C:evil",
        "run-1/\u{1b}[2J",
        "run-1/a/b/c/d/e/f/g/h",
    ] {
        let error = refused(Forged::new(&[(path, "x")]));
        assert!(error.contains("refused"), "{path}: {error}");
        assert!(!error.contains('\u{1b}'), "{error}");
    }
    let error = refused(Forged::new(&[("run-1/a", "x"), ("run-1/a", "x")]));
    assert!(error.contains("twice"), "{error}");
    let error = refused(Forged::new(&[("run-1/a/b", "x"), ("run-1/a", "x")]));
    assert!(error.contains("a file and a folder"), "{error}");
}

#[test]
fn links_and_devices_are_refused() {
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Directory,
        tar::EntryType::Fifo,
        tar::EntryType::Block,
        tar::EntryType::XHeader,
        tar::EntryType::GNULongName,
        tar::EntryType::GNUSparse,
    ] {
        let mut forged = Forged::new(&[("run-1/a", "x")]);
        let header = &mut forged.0[1].0;
        header.set_entry_type(kind);
        header.set_link_name("/etc/passwd").unwrap();
        header.set_cksum();
        let error = refused(forged);
        assert!(error.contains("no plain file") && error.contains("run-1/a"), "{kind:?}: {error}");
    }
}

#[test]
fn content_that_is_not_the_manifests_is_refused_with_its_name() {
    let mut forged = Forged::new(&[("run-1/a", "x"), ("run-1/b", "1234")]);
    forged.0[2].1 = b"1235".to_vec();
    let error = refused(forged);
    assert!(error.contains("`run-1/b` is not what its SHA-256"), "{error}");
    let mut forged = Forged::new(&[("run-1/a", "x"), ("run-1/b", "y")]);
    forged.0.pop();
    assert!(refused(forged).contains("`run-1/b` is missing"));
    let mut forged = Forged::new(&[("run-1/a", "x")]);
    forged.add("run-1/more", b"x");
    assert!(refused(forged).contains("`run-1/more`: it is not in the manifest"));
    let mut forged = Forged::new(&[("run-1/a", "x"), ("run-1/b", "y")]);
    forged.0.swap(1, 2);
    assert!(refused(forged).contains("the manifest has `run-1/a` in its place"));
}

#[test]
fn bombs_and_huge_counts_are_refused_before_anything_is_written() {
    // Four terabytes of zeros, in few bytes: what the manifest announces is enough to refuse it.
    let huge = serde_json::json!({ "path": "run-1/zeros", "size": 4_u64 << 40, "sha256": "00" });
    let mut forged = Forged(Vec::new());
    forged.add("manifest.json", manifest(&["run-1"], std::slice::from_ref(&huge)).as_bytes());
    assert!(refused(forged).contains("`run-1/zeros` has 4398046511104 bytes"));
    // Each file as large as one may be.
    let large: Vec<_> = (0..14)
        .map(|it| serde_json::json!({ "path": format!("run-1/{it}"), "size": 320_u64 << 20, "sha256": "00" }))
        .collect();
    let mut forged = Forged(Vec::new());
    forged.add("manifest.json", manifest(&["run-1"], &large).as_bytes());
    let error = refused(forged);
    assert!(
        error.contains("its files have 4697620480 bytes") && error.contains("--max-size"),
        "{error}"
    );
    // Sizes that wrap around.
    let max = serde_json::json!({ "path": "run-1/zeros", "size": u64::MAX, "sha256": "00" });
    let mut forged = Forged(Vec::new());
    forged.add("manifest.json", manifest(&["run-1"], &[huge, max]).as_bytes());
    assert!(refused(forged).contains("is refused"));
    // Small ones, but many.
    let many: Vec<_> = (0..20_001)
        .map(|it| serde_json::json!({ "path": format!("run-1/{it}"), "size": 0, "sha256": "00" }))
        .collect();
    let mut forged = Forged(Vec::new());
    forged.add("manifest.json", manifest(&["run-1"], &many).as_bytes());
    assert!(refused(forged).contains("it has 20001 files"));
    // A manifest that is one.
    let mut forged = Forged(Vec::new());
    forged.add("manifest.json", &vec![b' '; 17 << 20]);
    assert!(refused(forged).contains("its manifest has 17825792 bytes"));
    // More than the manifest says, after the end.
    let folder = tempfile::tempdir().unwrap();
    let file = Forged::new(&[("run-1/a", "x")]).write(folder.path());
    let zeros = zstd::stream::encode_all(std::io::repeat(0).take(100 << 20), 1).unwrap();
    std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(&zeros).unwrap();
    sealed(&file);
    assert!(opened(&file).unwrap_err().to_string().contains("something follows its end"));
}

use std::io::Read as _;

#[test]
fn what_is_no_bundle_is_told_and_so_is_another_format() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    std::fs::write(&file, "hello").unwrap();
    assert!(opened(&file).unwrap_err().to_string().contains("is no bundle of runs"));
    let mut forged = Forged(Vec::new());
    forged.add("manifest.json", br#"{"format":2,"loopbreak":"9.1.0","more":1}"#);
    let error = refused(forged);
    assert!(
        error.contains("has format 2; this loopbreak reads 1") && error.contains("9.1.0"),
        "{error}"
    );
}

#[test]
fn what_could_not_be_opened_again_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("r");
    std::fs::create_dir(&run).unwrap();
    for name in ["run.json", "events.jsonl", "outcome.json"] {
        std::fs::write(run.join(name), "{}").unwrap();
    }
    let file = folder.path().join("much.bundle");
    for (bounds, what) in [
        (Bounds { files: 2, ..Bounds::default() }, "it has 3 files, and 2 are the most"),
        (Bounds { manifest: 100, ..Bounds::default() }, "bytes, and 100 are the most"),
    ] {
        let mut stage = Stage::new(Redactor::new(&HostNames::default())).unwrap();
        stage.add(&run, "r", true).unwrap();
        let error = stage.write(&file, "0.1.0", &bounds).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("fewer runs"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn what_is_there_already_stays_until_the_bundle_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(Redactor::new(&HostNames::default())).unwrap();
    std::fs::create_dir(folder.path().join("r")).unwrap();
    std::fs::write(folder.path().join("r/run.json"), "{}").unwrap();
    let staged = stage.add(&folder.path().join("r"), "r", true).unwrap();
    assert!(matches!(
        stage.add(&folder.path().join("r"), "r", true),
        Err(BundleError::Twice { .. })
    ));
    // A file that goes away in the middle stands for a disk that is full.
    std::fs::remove_file(staged.join("run.json")).unwrap();
    let file = folder.path().join("old.bundle");
    std::fs::write(&file, "what was there").unwrap();
    assert!(stage.write(&file, "0.1.0", &Bounds::default()).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "what was there");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

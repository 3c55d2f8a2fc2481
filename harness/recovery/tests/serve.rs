//! The service on its own, by real TLS clients on loopback: a folder of remediations that changes while it runs, staged
//! release, throttling, failures on demand, metrics, and its end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use recovery::{ServeConfig, ServeError, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const FIX: &str = r#"
id = "fix"
title = "Remove the bad file"
counter = 1
target = { module = "csagent.sys", bug-check = 0x50 }
delete = { path = 'C:\Windows\System32\drivers\CrowdStrike\C-00000291*.sys' }
"#;

struct Bench {
    directory: TempDir,
    address: SocketAddr,
    metrics: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), ServeError>>,
}

fn config(directory: &Path, per_second: Option<u32>) -> ServeConfig {
    ServeConfig {
        host: "localhost".into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        metrics: Some("127.0.0.1:0".parse().unwrap()),
        folder: directory.join("remediations"),
        authority: directory.join("authority"),
        events: directory.join("events.jsonl"),
        per_second,
    }
}

impl Bench {
    async fn new(files: &[(&str, &str)], per_second: Option<u32>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("remediations")).unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join("remediations").join(name), text).unwrap();
        }
        let server = Server::bind(config(directory.path(), per_second)).await.unwrap();
        let (address, metrics) = (server.address(), server.metrics_address().unwrap());
        let (end, ended) = oneshot::channel();
        let running = tokio::spawn(server.run(async { drop(ended.await) }));
        Self { directory, address, metrics, end: Some(end), running }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("remediations").join(name)
    }

    /// As an editor does it: whole from the first moment on.
    fn put(&self, name: &str, text: &str) {
        let draft = self.file(".draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, self.file(name)).unwrap();
    }

    /// The event feed, once it has so many lines that say this.
    async fn told(&self, request: &str, answer: &str, count: usize) -> Vec<Value> {
        let wanted = async {
            loop {
                let text = std::fs::read_to_string(self.directory.path().join("events.jsonl"));
                let lines: Vec<Value> = text
                    .unwrap_or_default()
                    .lines()
                    .filter_map(|line| serde_json::from_str(line).ok())
                    .filter(|line: &Value| line["request"] == request && line["answer"] == answer)
                    .collect();
                if lines.len() >= count {
                    return lines;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wanted).await.unwrap()
    }

    fn tls(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> tokio_rustls::TlsConnector {
        let root = std::fs::read(self.directory.path().join("authority/root.cer")).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root.into()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tokio_rustls::TlsConnector::from(Arc::new(tls))
    }

    async fn connect(&self) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let connector = self.tls(&[&rustls::version::TLS13]);
        connector.connect("localhost".try_into().unwrap(), stream).await
    }

    /// One request on a connection of its own: head and body of the answer.
    async fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<(String, String)> {
        let mut stream = self.connect().await?;
        let request = format!(
            "{method} /recovery/v1/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        Ok((head.to_owned(), body.to_owned()))
    }

    /// What a machine is offered.
    async fn scan(&self, machine: &str, group: Option<&str>) -> Vec<(String, u64)> {
        let zero = "0x0";
        let body = json!({
            "format": 1, "machine": machine, "attempt": 1, "group": group,
            "signature": {
                "bugCheck": 80, "module": "csagent.sys", "parameters": [zero, zero, zero, zero],
            },
        });
        let (head, body) = self.ask("POST", "scan", &body.to_string()).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let body: Value = serde_json::from_str(&body).unwrap();
        let offers = body["remediations"].as_array().unwrap().iter();
        offers
            .map(|it| (it["id"].as_str().unwrap().to_owned(), it["counter"].as_u64().unwrap()))
            .collect()
    }

    async fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.metrics).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        page
    }

    async fn end(mut self) {
        drop(self.end.take());
        tokio::time::timeout(Duration::from_secs(60), self.running)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn what_lies_in_the_folder_is_published_as_it_changes() {
    let bench = Bench::new(&[("fix.toml", FIX), ("notes.txt", "nothing")], None).await;
    assert_eq!(bench.scan("PC", None).await, [("fix".to_owned(), 1)]);

    bench.put("more.toml", &FIX.replace("\"fix\"", "\"more\""));
    bench.told("publish", "published", 2).await;
    assert_eq!(bench.scan("PC", None).await, [("fix".to_owned(), 1), ("more".to_owned(), 1)]);

    // Another content under the same number: machines could not tell which is the newer.
    bench.put("fix.toml", &FIX.replace("Remove", "Delete"));
    let told = bench.told("publish", "not-read", 1).await;
    assert!(told[0]["facts"]["reason"].as_str().unwrap().contains("greater"), "{told:?}");
    bench.put("fix.toml", &FIX.replace("Remove", "Delete").replace("counter = 1", "counter = 2"));
    bench.told("publish", "published", 3).await;
    assert!(bench.scan("PC", None).await.contains(&("fix".to_owned(), 2)));

    // What cannot be read, and what no machine would take, changes nothing.
    for (number, broken) in [
        "id = ".to_owned(),
        FIX.replace("title", "tilte"),
        FIX.replace("C:\\Windows", "D:\\Windows"),
        FIX.replace("C:\\Windows", "C:\\Windows\\.."),
        FIX.replace("CrowdStrike\\C-00000291*.sys", "NUL"),
        FIX.replace("\"fix\"", "\"more\""),
    ]
    .iter()
    .enumerate()
    {
        bench.put("fix.toml", broken);
        bench.told("publish", "not-read", number + 2).await;
        assert!(bench.scan("PC", None).await.contains(&("fix".to_owned(), 2)), "{broken}");
    }

    bench.put("fix.toml", &FIX.replace("Remove", "Delete").replace("counter = 1", "counter = 2"));
    std::fs::remove_file(bench.file("more.toml")).unwrap();
    bench.told("publish", "withdrawn", 1).await;
    assert_eq!(bench.scan("PC", None).await, [("fix".to_owned(), 2)]);
    let (head, _) = bench.ask("GET", "manifest/more", "").await.unwrap();
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    let (head, _) = bench.ask("GET", "manifest/fix", "").await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");

    let page = bench.metrics().await;
    for line in [
        "loopbreak_remediation_requests_total{request=\"manifest\",answer=\"not-found\"} 1",
        "loopbreak_remediation_requests_total{request=\"manifest\",answer=\"served\"} 1",
        "loopbreak_remediation_requests_total{request=\"publish\",answer=\"withdrawn\"} 1",
        "loopbreak_remediation_remediations 1",
        "loopbreak_remediation_feed_failures_total 0",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    bench.end().await;
}

/// A file counts once it is closed or renamed into place, whatever else changes meanwhile.
#[tokio::test]
async fn a_file_that_is_being_written_is_not_published() {
    let bench = Bench::new(&[], None).await;
    let mut half = std::fs::File::create(bench.file("half.toml")).unwrap();
    std::io::Write::write_all(&mut half, FIX.as_bytes()).unwrap();
    bench.put("other.toml", &FIX.replace("\"fix\"", "\"other\""));
    bench.told("publish", "published", 1).await;
    assert_eq!(bench.scan("PC", None).await, [("other".to_owned(), 1)]);
    std::io::Write::write_all(&mut half, b"release = { percent = 0 }\n").unwrap();
    drop(half);
    bench.told("publish", "published", 2).await;
    assert_eq!(bench.scan("PC", None).await, [("other".to_owned(), 1)], "it goes to nobody yet");
    bench.end().await;
}

#[tokio::test]
async fn a_file_that_stood_behind_another_is_published_once_that_is_gone() {
    let bench = Bench::new(&[("fix.toml", FIX)], None).await;
    bench.put("twin.toml", FIX);
    let told = bench.told("publish", "not-read", 1).await;
    assert!(told[0]["facts"]["reason"].as_str().unwrap().contains("another file"), "{told:?}");
    let (head, _) = bench.ask("GET", "manifest/fix", "").await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    std::fs::remove_file(bench.file("fix.toml")).unwrap();
    bench.told("publish", "published", 2).await;
    assert_eq!(bench.scan("PC", None).await, [("fix".to_owned(), 1)]);
    std::fs::remove_file(bench.file("twin.toml")).unwrap();
    bench.told("publish", "withdrawn", 2).await;
    // Who has it may say how it went.
    let report = json!({ "format": 1, "machine": "PC", "id": "fix", "result": "applied" });
    let (head, _) = bench.ask("POST", "report", &report.to_string()).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 204"), "{head}");
    assert_eq!(bench.told("publish", "not-read", 1).await.len(), 1, "it was told once");
    bench.end().await;
}

/// A name goes from one file to another in one change, whichever of them is read first.
#[tokio::test]
async fn a_name_may_change_its_file() {
    let named = |id: &str| FIX.replace("\"fix\"", &format!("\"{id}\""));
    for (takes, gives) in [("a.toml", "z.toml"), ("z.toml", "a.toml")] {
        let bench = Bench::new(&[(takes, &named("w")), (gives, &named("x"))], None).await;
        // The first waits for the second, which comes with the next event at the latest.
        bench.put(takes, &named("x"));
        bench.put(gives, &named("y"));
        bench.told("publish", "withdrawn", 2).await;
        bench.told("publish", "published", 4).await;
        let offered = bench.scan("PC", None).await;
        assert_eq!(offered, [("x".to_owned(), 1), ("y".to_owned(), 1)], "{takes}");
        bench.end().await;
    }
}

/// As Kubernetes mounts a ConfigMap: the files are links, and what they lead to is changed by one renaming.
#[tokio::test]
async fn a_link_is_read_when_anything_changes() {
    let bench = Bench::new(&[], None).await;
    for (number, title) in [("1", "Remove"), ("2", "Delete")] {
        let data = bench.directory.path().join(format!("data-{number}"));
        std::fs::create_dir(&data).unwrap();
        let text =
            FIX.replace("Remove", title).replace("counter = 1", &format!("counter = {number}"));
        std::fs::write(data.join("fix.toml"), text).unwrap();
        std::os::unix::fs::symlink(&data, bench.file("..new")).unwrap();
        std::fs::rename(bench.file("..new"), bench.file("..data")).unwrap();
        if number == "1" {
            std::os::unix::fs::symlink("..data/fix.toml", bench.file(".link")).unwrap();
            std::fs::rename(bench.file(".link"), bench.file("fix.toml")).unwrap();
        }
        bench.told("publish", "published", number.parse().unwrap()).await;
    }
    assert_eq!(bench.scan("PC", None).await, [("fix".to_owned(), 2)]);
    bench.end().await;
}

#[tokio::test]
async fn a_folder_that_goes_away_is_told() {
    let bench = Bench::new(&[("fix.toml", FIX)], None).await;
    std::fs::remove_dir_all(bench.directory.path().join("remediations")).unwrap();
    bench.told("publish", "withdrawn", 1).await;
    let told = bench.told("publish", "not-read", 1).await;
    assert!(told[0]["facts"]["reason"].as_str().unwrap().contains("gone"), "{told:?}");
    assert!(bench.scan("PC", None).await.is_empty());
    bench.end().await;
}

#[tokio::test]
async fn a_release_goes_to_its_ring_first_and_stays_with_whom_it_reached() {
    let release = |percent: u8, counter: u32| {
        let text = FIX.replace("counter = 1", &format!("counter = {counter}"));
        format!("{text}release = {{ percent = {percent}, rings = [\"canary\"] }}\n")
    };
    let bench = Bench::new(&[("fix.toml", &release(0, 1))], None).await;
    let machines: Vec<String> = (0..30).map(|number| format!("PC-{number}")).collect();
    let mut before: Vec<&String> = Vec::new();
    for (stage, percent) in [(1, 0), (2, 40), (3, 100)] {
        bench.put("fix.toml", &release(percent, stage));
        bench.told("publish", "published", stage as usize).await;
        assert_eq!(bench.scan("CANARY-1", Some("Canary")).await.len(), 1);
        let mut reached = Vec::new();
        for machine in &machines {
            if !bench.scan(machine, None).await.is_empty() {
                reached.push(machine);
            }
        }
        assert!(before.iter().all(|machine| reached.contains(machine)), "{percent}");
        match percent {
            0 => assert!(reached.is_empty()),
            100 => assert_eq!(reached.len(), machines.len()),
            _ => assert!((4..=22).contains(&reached.len()), "{}", reached.len()),
        }
        before = reached;
    }
    bench.end().await;
}

#[tokio::test]
async fn whoever_asks_too_much_is_told_when_to_ask_again() {
    let bench = Bench::new(&[("fix.toml", FIX)], Some(1)).await;
    let mut refused = None;
    for _ in 0..200 {
        let (head, _) = bench.ask("GET", "manifest/fix", "").await.unwrap();
        if head.starts_with("HTTP/1.1 429") {
            refused = Some(head);
            break;
        }
    }
    assert!(refused.unwrap().contains("retry-after: 1"));
    bench.told("manifest", "later", 1).await;
    bench.end().await;
}

#[tokio::test]
async fn failures_come_and_go_with_a_file() {
    let bench = Bench::new(&[("fix.toml", FIX)], None).await;
    bench.put(
        "troubles.toml",
        "[[trouble]]\ntrouble = { busy = { retry-after = \"2m\" } }\nrequests = 1\n",
    );
    let armed =
        async { while !bench.metrics().await.contains("loopbreak_remediation_troubles 1\n") {} };
    tokio::time::timeout(Duration::from_secs(60), armed).await.unwrap();
    let (head, _) = bench.ask("GET", "manifest/fix", "").await.unwrap();
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: 120"), "{head}");
    let (head, _) = bench.ask("GET", "manifest/fix", "").await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "it was for one request: {head}");

    bench.put("troubles.toml", "[[trouble]]\ntrouble = \"nonsense\"\n");
    bench.told("publish", "not-read", 1).await;

    bench.put("troubles.toml", "[[trouble]]\ntrouble = \"unavailable\"\nrequests = 0\n");
    let told = bench.told("publish", "not-read", 2).await;
    assert!(told[1]["facts"]["reason"].as_str().unwrap().contains("no request"), "{told:?}");

    // Nobody listens any more, who is there goes, and then somebody listens again.
    let mut held = bench.connect().await.unwrap();
    bench.put("troubles.toml", "[[trouble]]\ntrouble = \"down\"\n");
    let down = async { while TcpStream::connect(bench.address).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(60), down).await.unwrap();
    // Closed, with or without a farewell.
    let closed = async { drop(held.read_to_end(&mut Vec::new()).await) };
    tokio::time::timeout(Duration::from_secs(30), closed).await.unwrap();
    std::fs::remove_file(bench.file("troubles.toml")).unwrap();
    let up = async { while TcpStream::connect(bench.address).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(60), up).await.unwrap();
    assert_eq!(bench.scan("PC", None).await.len(), 1);
    bench.end().await;
}

#[tokio::test]
async fn it_ends_while_somebody_holds_a_connection() {
    let bench = Bench::new(&[("fix.toml", FIX)], None).await;
    let mut idle = bench.connect().await.unwrap();
    let request = b"GET /recovery/v1/manifest/fix HTTP/1.1\r\nhost: localhost\r\n\r\n";
    idle.write_all(request).await.unwrap();
    let mut first = [0; 1];
    idle.read_exact(&mut first).await.unwrap();
    assert!(bench.metrics().await.contains("loopbreak_remediation_connections_open 1\n"));
    let address = bench.address;
    bench.end().await;
    let mut rest = Vec::new();
    // Closed, with or without a farewell; the answer came whole before.
    let closed = async { drop(idle.read_to_end(&mut rest).await) };
    tokio::time::timeout(Duration::from_secs(30), closed).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("\"signature\""));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn only_tls_1_3_is_spoken() {
    let bench = Bench::new(&[], None).await;
    let stream = TcpStream::connect(bench.address).await.unwrap();
    let old = bench.tls(&[&rustls::version::TLS12]);
    let error = old.connect("localhost".try_into().unwrap(), stream).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    bench.connect().await.unwrap();
    bench.end().await;
}

#[tokio::test]
async fn what_it_cannot_start_with_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let error = Server::bind(config(directory.path(), None)).await.unwrap_err();
    assert!(matches!(error, ServeError::Folder { .. }), "{error}");
    std::fs::create_dir(directory.path().join("remediations")).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let error =
        Server::bind(ServeConfig { listen, ..config(directory.path(), None) }).await.unwrap_err();
    assert!(matches!(error, ServeError::Listen { .. }), "{error}");
}

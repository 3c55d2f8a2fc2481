//! The channel against an agent of the real protocol, in memory.

use std::collections::HashMap;
use std::path::PathBuf;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::*;

/// An agent of the real protocol, in memory. `die_at`: the command at which it falls silent.
struct Model {
    files: HashMap<String, Vec<u8>>,
    handles: HashMap<i64, (String, usize)>,
    corrupt: bool,
    die_at: Option<&'static str>,
    polls: u32,
}

impl Model {
    fn answer(&mut self, command: &str, arguments: &Value) -> Option<Value> {
        if self.die_at == Some(command) {
            return None;
        }
        let text = |key: &str| arguments[key].as_str().unwrap().to_owned();
        let handle = arguments["handle"].as_i64();
        Some(match command {
            "guest-file-open" => {
                let next = self.handles.len() as i64 + 1000;
                let path = text("path");
                if path.starts_with("Z:") {
                    return Some(
                        json!({"error": {"class": "GenericError", "desc": "no such path"}}),
                    );
                }
                if text("mode") == "wb" {
                    self.files.insert(path.clone(), Vec::new());
                }
                self.handles.insert(next, (path, 0));
                json!({ "return": next })
            }
            "guest-file-write" => {
                let bytes = BASE64.decode(text("buf-b64")).unwrap();
                let (path, _) = &self.handles[&handle.unwrap()];
                let half = bytes.len().div_ceil(2);
                let file = self.files.get_mut(path).unwrap();
                file.extend_from_slice(&bytes[..half]);
                if self.corrupt {
                    file[0] |= 0x80;
                }
                json!({"return": {"count": half, "eof": false}})
            }
            "guest-file-read" => {
                let (path, at) = self.handles.get_mut(&handle.unwrap()).unwrap();
                let file = &self.files[path];
                let end = file.len().min(*at + arguments["count"].as_u64().unwrap() as usize);
                let chunk = BASE64.encode(&file[*at..end]);
                let count = end - *at;
                *at = end;
                json!({"return": {"count": count, "buf-b64": chunk, "eof": count == 0}})
            }
            "guest-exec" => json!({"return": {"pid": 7}}),
            "guest-exec-status" => {
                self.polls += 1;
                if self.polls < 3 {
                    json!({"return": {"exited": false}})
                } else {
                    json!({"return": {"exited": true, "exitcode": 3, "out-data": BASE64.encode("hi")}})
                }
            }
            "guest-info" => json!({"return": {"version": "1", "supported_commands": [
                {"name": "guest-ping", "enabled": true}, {"name": "x", "enabled": false}]}}),
            _ => json!({ "return": {} }),
        })
    }

    async fn serve(mut self, stream: UnixStream) {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let start = line.iter().rposition(|byte| *byte == 0xFF).map_or(0, |at| at + 1);
            let request: Value = serde_json::from_slice(&line[start..]).unwrap();
            let command = request["execute"].as_str().unwrap();
            let mut out = Vec::new();
            if command == "guest-sync-delimited" {
                out.extend(b"{\"return\": \"late answer of the past\"}\n\xFF");
                out.extend(json!({"return": request["arguments"]["id"]}).to_string().bytes());
            } else {
                let Some(answer) = self.answer(command, &request["arguments"]) else {
                    continue;
                };
                out.extend(answer.to_string().bytes());
            }
            out.push(b'\n');
            writer.write_all(&out).await.unwrap();
        }
    }
}

struct Bench {
    agent: AgentChannel,
    guest: watch::Sender<GuestState>,
    seen: Arc<std::sync::Mutex<Vec<Body>>>,
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent");
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let sink = Sink::new(move |observation| into.lock().unwrap().push(observation.body));
    let start = GuestState { boot: 0, alive: true, port_open: false, off: false };
    let (guest, receiver) = watch::channel(start);
    let agent = AgentChannel::new(receiver, sink);
    tokio::spawn(agent.clone().run(UnixListener::bind(&socket).unwrap()));
    Bench { agent, guest, seen, socket, _directory: directory }
}

async fn started(corrupt: bool, die_at: Option<&'static str>) -> Bench {
    let bench = bench();
    let stream = UnixStream::connect(&bench.socket).await.unwrap();
    let model = Model { files: HashMap::new(), handles: HashMap::new(), corrupt, die_at, polls: 0 };
    tokio::spawn(model.serve(stream));
    bench.guest.send_modify(|guest| guest.port_open = true);
    bench.agent.wait_up(Duration::from_secs(10)).await.unwrap();
    bench
}

#[tokio::test]
async fn a_file_is_written_in_chunks_and_proved() {
    let bench = started(false, None).await;
    let bytes: Vec<u8> = (0..150_000_u32).map(|at| at as u8).collect();
    let proof = bench.agent.write_file("C:\\x.sys", &bytes).await.unwrap();
    assert_eq!((proof.size, proof.closed), (150_000, true));
    assert_eq!(proof.digest, blake3::hash(&bytes).to_hex().to_string());
    assert_eq!(bench.agent.read_file("C:\\x.sys", 150_000).await.unwrap(), bytes);
    assert!(bench.agent.read_file("C:\\x.sys", 1000).await.is_err());
}

#[tokio::test]
async fn a_corrupted_write_is_found() {
    let bench = started(true, None).await;
    let error = bench.agent.write_file("C:\\x.sys", b"abc").await.unwrap_err();
    assert!(matches!(error, AgentError::WriteDiffers { .. }), "{error}");
}

#[tokio::test]
async fn refusals_name_the_object() {
    let bench = started(false, None).await;
    let error = bench.agent.write_file("Z:\\x", b"abc").await.unwrap_err();
    assert!(matches!(error, AgentError::Refused { .. }));
    assert!(error.to_string().contains("Z:\\x"), "{error}");
    bench.agent.ping().await.unwrap();
}

#[tokio::test]
async fn a_program_is_waited_for() {
    let bench = started(false, None).await;
    let result = bench.agent.exec("cmd", &[], Duration::from_secs(10)).await.unwrap();
    assert_eq!((result.exit_code, result.stdout.as_slice()), (Some(3), &b"hi"[..]));
    assert_eq!(bench.agent.info().await.unwrap().commands, ["guest-ping"]);
}

#[tokio::test]
async fn a_guest_that_stops_in_the_middle_is_gone_and_not_late() {
    let bench = started(false, Some("guest-file-flush")).await;
    let write = bench.agent.write_file("C:\\x", b"bad");
    let panic = async {
        tokio::task::yield_now().await;
        bench.guest.send_modify(|guest| guest.alive = false);
    };
    let (written, ()) = tokio::join!(write, panic);
    assert!(matches!(written, Err(AgentError::GuestGone { .. })), "{written:?}");
}

#[tokio::test]
async fn a_guest_that_stops_at_the_close_has_the_file() {
    let bench = started(false, Some("guest-file-close")).await;
    // The reader's close is refused silently too, so the panic must come while it is waited for.
    let write = bench.agent.write_file("C:\\x", b"bad");
    tokio::pin!(write);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut write).await;
    assert!(early.is_err());
    bench.guest.send_modify(|guest| guest.alive = false);
    let proof = write.await.unwrap();
    assert_eq!((proof.size, proof.closed), (3, false));
}

#[tokio::test]
async fn the_agent_is_reported_once_a_boot() {
    let bench = started(false, None).await;
    bench.agent.sync().await.unwrap();
    let ups = || bench.seen.lock().unwrap().iter().filter(|b| **b == Body::AgentUp).count();
    assert_eq!(ups(), 1);
    bench.guest.send_modify(|guest| (guest.boot, guest.port_open) = (1, false));
    assert!(matches!(
        bench.agent.wait_up(Duration::from_millis(50)).await,
        Err(AgentError::NoAnswer { .. })
    ));
    bench.guest.send_modify(|guest| guest.port_open = true);
    bench.agent.wait_up(Duration::from_secs(10)).await.unwrap();
    assert_eq!(ups(), 2);
    bench.guest.send_modify(|guest| guest.off = true);
    assert!(matches!(bench.agent.ping().await, Err(AgentError::GuestGone { .. })));
}

//! The channel to the guest agent: a socket that QEMU connects to, and a task that finds out when the
//! agent is there.
//!
//! The socket outlives every reset of the guest; the agent behind it does not. So each request watches
//! the guest as well as the socket: a reset, a panic or the end of the machine answers it at once with
//! [`AgentError::GuestGone`]. Requests go one at a time. After every reset, and after every request
//! that had no answer, a delimited sync throws away what belongs to the past.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use timeline::{Body, Sink, Source};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::protocol::{self, Incoming};
use super::{AgentError, AgentInfo, ExecResult, GuestAgent, OsInfo, ShutdownMode, WriteProof};

/// An agent that is there answers a sync at once; one that is just starting gets another.
const SYNC_LIMIT: Duration = Duration::from_secs(2);
/// Under software emulation on a busy host the guest's disk may take its time.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// The protocol has no event for the end of a program, so its status is asked for.
const EXEC_PERIOD: Duration = Duration::from_millis(100);
/// Bytes of a file in one request: 64 KiB as base64.
const CHUNK: usize = 48 * 1024;
/// Output of a program that is kept.
const MAX_OUTPUT: usize = 1 << 20;

/// What the channel must know of the guest. The machine's event task keeps it current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GuestState {
    /// Number of resets so far; an agent belongs to one boot.
    pub(crate) boot: u64,
    /// False from a panic to the reset that follows.
    pub(crate) alive: bool,
    /// The guest has opened the agent's port.
    pub(crate) port_open: bool,
    /// The machine is gone.
    pub(crate) off: bool,
}

impl GuestState {
    fn is_gone_since(&self, boot: u64) -> bool {
        self.off || !self.alive || self.boot != boot
    }
}

/// The channel of one machine.
#[derive(Clone)]
pub(crate) struct AgentChannel(Arc<Inner>);

struct Inner {
    sink: Sink,
    link: Mutex<Link>,
    guest: watch::Receiver<GuestState>,
    /// The boot in which the agent answered.
    up: watch::Sender<Option<u64>>,
    next_id: AtomicU32,
}

#[derive(Default)]
struct Link {
    stream: Option<UnixStream>,
    incoming: Incoming,
    /// The boot for which question and answer are known to be in step.
    in_step: Option<u64>,
}

impl AgentChannel {
    pub(crate) fn new(guest: watch::Receiver<GuestState>, sink: Sink) -> Self {
        Self(Arc::new(Inner {
            sink,
            link: Mutex::default(),
            guest,
            up: watch::Sender::new(None),
            next_id: AtomicU32::new(1),
        }))
    }

    /// Takes QEMU's connection, then watches for the agent in every boot, until the machine is gone.
    pub(crate) async fn run(self, listener: UnixListener) {
        let inner = self.0;
        let mut guest = inner.guest.clone();
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.ok().map(|(stream, _)| stream),
            _ = guest.wait_for(|guest| guest.off) => None,
        };
        drop(listener);
        if stream.is_none() {
            return;
        }
        inner.link.lock().await.stream = stream;

        // The first attempt after a quiet time is immediate, the next ones keep their distance: a
        // guest that answers rubbish cannot keep the harness busy.
        let mut pace = tokio::time::interval(SYNC_LIMIT / 2);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let up = *inner.up.borrow();
            let wanted = guest
                .wait_for(|guest| {
                    guest.off || (guest.alive && guest.port_open && up != Some(guest.boot))
                })
                .await
                .map(|guest| *guest);
            let Ok(state) = wanted else { return };
            if state.off {
                return;
            }
            pace.tick().await;
            let mut link = inner.link.lock().await;
            if inner.sync_link(&mut link, state.boot, SYNC_LIMIT).await.is_ok() {
                drop(link);
                inner.mark_up(state.boot);
            }
        }
    }
}

impl Inner {
    fn mark_up(&self, boot: u64) {
        self.up.send_if_modified(|up| {
            let first = *up != Some(boot);
            if first {
                // Before those who wait are told: what they do next comes after it.
                self.sink.emit(Source::Agent, Body::AgentUp);
                *up = Some(boot);
            }
            first
        });
    }

    /// One request and its answer.
    async fn request(
        &self,
        command: &str,
        arguments: Option<Value>,
        during: &str,
    ) -> Result<Value, AgentError> {
        let line = protocol::request(command, arguments);
        let mut link = self.lock_in_step(during).await?;
        let boot = self.guest.borrow().boot;
        let deadline = Instant::now() + REQUEST_LIMIT;
        // Out of step until the answer is here, also where the caller gives up in between.
        link.in_step = None;
        self.send(&mut link, &line, boot, deadline, during).await?;
        let line = self.receive(&mut link, boot, deadline, REQUEST_LIMIT, during).await?;
        let content = protocol::answer(&line, during);
        if let Ok(_) | Err(AgentError::Refused { .. }) = content {
            link.in_step = Some(boot);
        }
        content
    }

    /// The link, after a sync if one is due.
    async fn lock_in_step(&self, during: &str) -> Result<MutexGuard<'_, Link>, AgentError> {
        let mut link = self.link.lock().await;
        let state = *self.guest.borrow();
        if state.off || !state.alive {
            return Err(AgentError::GuestGone { during: during.to_owned() });
        }
        if link.in_step != Some(state.boot) {
            self.sync_link(&mut link, state.boot, REQUEST_LIMIT).await?;
            self.mark_up(state.boot);
        }
        Ok(link)
    }

    async fn sync_link(
        &self,
        link: &mut Link,
        boot: u64,
        limit: Duration,
    ) -> Result<(), AgentError> {
        const DURING: &str = "guest-sync-delimited";
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let deadline = Instant::now() + limit;
        link.in_step = None;
        link.incoming.clear();
        self.send(link, &protocol::sync_request(id), boot, deadline, DURING).await?;
        loop {
            let line = self.receive(link, boot, deadline, limit, DURING).await?;
            if protocol::is_sync_answer(&line, id) {
                link.in_step = Some(boot);
                return Ok(());
            }
        }
    }

    async fn send(
        &self,
        link: &mut Link,
        line: &[u8],
        boot: u64,
        deadline: Instant,
        during: &str,
    ) -> Result<(), AgentError> {
        let gone = || AgentError::GuestGone { during: during.to_owned() };
        let mut guest = self.guest.clone();
        let stream = link.stream.as_mut().ok_or_else(gone)?;
        tokio::select! {
            biased;
            sent = stream.write_all(line) => sent.map_err(|_| gone()),
            _ = guest.wait_for(|guest| guest.is_gone_since(boot)) => Err(gone()),
            () = tokio::time::sleep_until(deadline) => Err(AgentError::NoAnswer {
                during: during.to_owned(),
                seconds: REQUEST_LIMIT.as_secs(),
            }),
        }
    }

    async fn receive(
        &self,
        link: &mut Link,
        boot: u64,
        deadline: Instant,
        limit: Duration,
        during: &str,
    ) -> Result<Vec<u8>, AgentError> {
        let gone = || AgentError::GuestGone { during: during.to_owned() };
        let mut guest = self.guest.clone();
        let mut buffer = vec![0_u8; 64 * 1024];
        loop {
            if let Some(line) = link.incoming.next_line() {
                return Ok(line);
            }
            let stream = link.stream.as_mut().ok_or_else(gone)?;
            let count = tokio::select! {
                // An answer that is already here counts, even if the guest is gone by now.
                biased;
                read = stream.read(&mut buffer) => read.unwrap_or(0),
                _ = guest.wait_for(|guest| guest.is_gone_since(boot)) => return Err(gone()),
                () = tokio::time::sleep_until(deadline) => {
                    return Err(AgentError::NoAnswer {
                        during: during.to_owned(),
                        seconds: limit.as_secs(),
                    });
                }
            };
            if count == 0 {
                link.stream = None;
                return Err(gone());
            }
            if link.incoming.push(&buffer[..count]).is_err() {
                return Err(malformed(during, "the answer is too long"));
            }
        }
    }

    async fn open(&self, path: &str, mode: &str) -> Result<i64, AgentError> {
        let during = format!("guest-file-open {path} ({mode})");
        let arguments = json!({ "path": path, "mode": mode });
        self.request("guest-file-open", Some(arguments), &during)
            .await?
            .as_i64()
            .ok_or_else(|| malformed(&during, "the handle is not a number"))
    }

    async fn close(&self, handle: i64, path: &str) -> Result<(), AgentError> {
        let during = format!("guest-file-close {path}");
        self.request("guest-file-close", Some(json!({ "handle": handle })), &during).await.map(drop)
    }

    async fn write_open(&self, handle: i64, path: &str, bytes: &[u8]) -> Result<(), AgentError> {
        for chunk in bytes.chunks(CHUNK) {
            let during = format!("guest-file-write {path}");
            let mut rest = chunk;
            while !rest.is_empty() {
                let arguments = json!({ "handle": handle, "buf-b64": BASE64.encode(rest) });
                let written = self
                    .request("guest-file-write", Some(arguments), &during)
                    .await?
                    .get("count")
                    .and_then(Value::as_u64)
                    .and_then(|count| usize::try_from(count).ok())
                    .filter(|count| (1..=rest.len()).contains(count))
                    .ok_or_else(|| malformed(&during, "the count is impossible"))?;
                rest = &rest[written..];
            }
        }
        let during = format!("guest-file-flush {path}");
        self.request("guest-file-flush", Some(json!({ "handle": handle })), &during).await.map(drop)
    }

    async fn read_open(
        &self,
        handle: i64,
        path: &str,
        limit: usize,
    ) -> Result<Vec<u8>, AgentError> {
        let during = format!("guest-file-read {path}");
        let mut out = Vec::new();
        loop {
            let arguments = json!({ "handle": handle, "count": CHUNK });
            let answer = self.request("guest-file-read", Some(arguments), &during).await?;
            let chunk = decode(&answer, "buf-b64", &during)?;
            let end = answer.get("eof").and_then(Value::as_bool).unwrap_or(false);
            out.extend_from_slice(&chunk);
            if out.len() > limit {
                return Err(malformed(&during, &format!("the file has more than {limit} bytes")));
            }
            if end || chunk.is_empty() {
                return Ok(out);
            }
        }
    }

    async fn read_whole(&self, path: &str, limit: usize) -> Result<Vec<u8>, AgentError> {
        let handle = self.open(path, "rb").await?;
        let content = self.read_open(handle, path, limit).await;
        if let Err(AgentError::GuestGone { .. }) = &content {
            return content;
        }
        // What was read is read; a refused close changes nothing about it.
        let closed = self.close(handle, path).await;
        match (content, closed) {
            (Ok(_), Err(error @ AgentError::Malformed { .. })) => Err(error),
            (content, _) => content,
        }
    }
}

#[async_trait]
impl GuestAgent for AgentChannel {
    async fn wait_up(&self, limit: Duration) -> Result<(), AgentError> {
        let during = "start-up";
        let mut guest = self.0.guest.clone();
        let mut up = self.0.up.subscribe();
        let ready = async {
            loop {
                let state = *guest.borrow_and_update();
                if state.off {
                    return Err(AgentError::GuestGone { during: during.to_owned() });
                }
                if state.alive && *up.borrow_and_update() == Some(state.boot) {
                    return Ok(());
                }
                tokio::select! {
                    changed = guest.changed() => if changed.is_err() {
                        return Err(AgentError::GuestGone { during: during.to_owned() });
                    },
                    _ = up.changed() => {}
                }
            }
        };
        tokio::time::timeout(limit, ready).await.unwrap_or_else(|_| {
            Err(AgentError::NoAnswer { during: during.to_owned(), seconds: limit.as_secs() })
        })
    }

    async fn sync(&self) -> Result<(), AgentError> {
        let mut link = self.0.link.lock().await;
        let state = *self.0.guest.borrow();
        if state.off || !state.alive {
            return Err(AgentError::GuestGone { during: "guest-sync-delimited".to_owned() });
        }
        self.0.sync_link(&mut link, state.boot, REQUEST_LIMIT).await?;
        drop(link);
        self.0.mark_up(state.boot);
        Ok(())
    }

    async fn ping(&self) -> Result<(), AgentError> {
        self.0.request("guest-ping", None, "guest-ping").await.map(drop)
    }

    async fn info(&self) -> Result<AgentInfo, AgentError> {
        let answer = self.0.request("guest-info", None, "guest-info").await?;
        let commands = answer.get("supported_commands").and_then(Value::as_array);
        Ok(AgentInfo {
            version: word(&answer, "version"),
            commands: commands
                .into_iter()
                .flatten()
                .filter(|command| command.get("enabled") == Some(&Value::Bool(true)))
                .map(|command| word(command, "name"))
                .collect(),
        })
    }

    async fn os_info(&self) -> Result<OsInfo, AgentError> {
        let raw = self.0.request("guest-get-osinfo", None, "guest-get-osinfo").await?;
        Ok(OsInfo {
            id: word(&raw, "id"),
            pretty_name: word(&raw, "pretty-name"),
            kernel_release: word(&raw, "kernel-release"),
            raw,
        })
    }

    async fn exec(
        &self,
        path: &str,
        arguments: &[String],
        limit: Duration,
    ) -> Result<ExecResult, AgentError> {
        let during = format!("guest-exec {path}");
        let request = json!({ "path": path, "arg": arguments, "capture-output": true });
        let pid = self
            .0
            .request("guest-exec", Some(request), &during)
            .await?
            .get("pid")
            .and_then(Value::as_i64)
            .ok_or_else(|| malformed(&during, "no process id"))?;
        let deadline = Instant::now() + limit;
        let mut period = tokio::time::interval(EXEC_PERIOD);
        loop {
            period.tick().await;
            let status =
                self.0.request("guest-exec-status", Some(json!({ "pid": pid })), &during).await?;
            if status.get("exited") == Some(&Value::Bool(true)) {
                let mut stdout = decode(&status, "out-data", &during)?;
                let mut stderr = decode(&status, "err-data", &during)?;
                stdout.truncate(MAX_OUTPUT);
                stderr.truncate(MAX_OUTPUT);
                return Ok(ExecResult {
                    exit_code: status.get("exitcode").and_then(Value::as_i64),
                    signal: status.get("signal").and_then(Value::as_i64),
                    stdout,
                    stderr,
                });
            }
            if Instant::now() >= deadline {
                return Err(AgentError::NoAnswer { during, seconds: limit.as_secs() });
            }
        }
    }

    async fn write_file(&self, path: &str, bytes: &[u8]) -> Result<WriteProof, AgentError> {
        let handle = self.0.open(path, "wb").await?;
        if let Err(error) = self.0.write_open(handle, path, bytes).await {
            if !matches!(error, AgentError::GuestGone { .. }) {
                // The first error says why; that the close fails too adds nothing.
                let _ = self.0.close(handle, path).await;
            }
            return Err(error);
        }
        // Windows may refuse a second handle while the first one writes (a sharing violation); then
        // the only way is to close first.
        let (read, closed) = match self.0.read_whole(path, bytes.len() + CHUNK).await {
            Err(AgentError::Refused { .. }) => {
                self.0.close(handle, path).await?;
                (self.0.read_whole(path, bytes.len() + CHUNK).await?, true)
            }
            read => {
                let read = read?;
                let closed = match self.0.close(handle, path).await {
                    Ok(()) => true,
                    Err(AgentError::GuestGone { .. }) => false,
                    Err(error) => return Err(error),
                };
                (read, closed)
            }
        };
        if read != bytes {
            let describe = |bytes: &[u8]| {
                format!("{} bytes, blake3 {}", bytes.len(), blake3::hash(bytes).to_hex())
            };
            return Err(AgentError::WriteDiffers {
                path: path.to_owned(),
                expected: describe(bytes),
                found: describe(&read),
            });
        }
        Ok(WriteProof {
            path: path.to_owned(),
            size: read.len() as u64,
            digest: blake3::hash(&read).to_hex().to_string(),
            closed,
        })
    }

    async fn write_unfinished(&self, path: &str, bytes: &[u8]) -> Result<(), AgentError> {
        let handle = self.0.open(path, "wb").await?;
        self.0.write_open(handle, path, bytes).await
    }

    async fn read_file(&self, path: &str, limit: usize) -> Result<Vec<u8>, AgentError> {
        self.0.read_whole(path, limit).await
    }

    async fn shutdown(&self, mode: ShutdownMode) -> Result<(), AgentError> {
        let during = format!("guest-shutdown ({})", mode.as_str());
        let line = protocol::request("guest-shutdown", Some(json!({ "mode": mode.as_str() })));
        let mut link = self.0.lock_in_step(&during).await?;
        let boot = self.0.guest.borrow().boot;
        // The protocol gives no answer where it succeeds, so nothing is in step afterwards.
        link.in_step = None;
        self.0.send(&mut link, &line, boot, Instant::now() + REQUEST_LIMIT, &during).await
    }
}

fn malformed(during: &str, reason: &str) -> AgentError {
    AgentError::Malformed { during: during.to_owned(), reason: reason.to_owned() }
}

fn word(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A missing field is empty: the agent leaves out what has no bytes.
fn decode(answer: &Value, key: &str, during: &str) -> Result<Vec<u8>, AgentError> {
    let text = answer.get(key).and_then(Value::as_str).unwrap_or_default();
    BASE64.decode(text).map_err(|error| malformed(during, &format!("{key}: {error}")))
}

#[cfg(test)]
mod tests;

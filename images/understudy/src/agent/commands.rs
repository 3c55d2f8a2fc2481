//! The commands, one answer each.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::exec::{EndProcess, Jobs};
use super::files::OpenFiles;
use super::reply::{Refusal, Reply};
use crate::storage::{Drive, Registry};

/// What the agent asks the machine to do after the answer went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Shut down and switch off.
    PowerDown,
    /// Shut down and start again.
    Reboot,
    /// Shut down and stand still.
    Halt,
}

/// An answer, ready to be sent, and what is to be done after it.
#[derive(Debug)]
pub struct Answer {
    /// Bytes for the channel; none where the protocol wants silence.
    pub bytes: Vec<u8>,
    /// Power.
    pub wish: Option<Wish>,
}

/// The names of all commands, for `guest-info`.
const COMMANDS: &[&str] = &[
    "guest-exec",
    "guest-exec-status",
    "guest-file-close",
    "guest-file-flush",
    "guest-file-open",
    "guest-file-read",
    "guest-file-seek",
    "guest-file-write",
    "guest-get-host-name",
    "guest-get-osinfo",
    "guest-get-time",
    "guest-info",
    "guest-network-get-interfaces",
    "guest-ping",
    "guest-set-time",
    "guest-shutdown",
    "guest-sync",
    "guest-sync-delimited",
];

/// The agent: open files and running commands of one machine.
#[derive(Debug)]
pub struct Agent {
    files: OpenFiles,
    jobs: Jobs,
    computer_name: String,
}

impl Agent {
    /// An agent that works on `drive`. `end_process` ends a process by the name of its program.
    pub fn new(
        drive: Arc<Drive>,
        registry: Arc<Registry>,
        computer_name: String,
        end_process: EndProcess,
    ) -> Self {
        Self {
            files: OpenFiles::new(Arc::clone(&drive)),
            jobs: Jobs::new(drive, registry, computer_name.clone(), end_process),
            computer_name,
        }
    }

    /// Answers one request.
    pub fn answer(&mut self, request: &[u8]) -> Answer {
        let mut wish = None;
        let mut delimited = false;
        let mut silent = false;
        let mut id = None;
        let reply = match serde_json::from_slice::<Map<String, Value>>(request) {
            Err(error) => Err(Refusal::new(format!("the request is not a JSON object: {error}"))),
            Ok(request) => {
                id = request.get("id").cloned();
                let name = request.get("execute").and_then(Value::as_str).unwrap_or_default();
                let empty = Map::new();
                let arguments =
                    request.get("arguments").and_then(Value::as_object).unwrap_or(&empty);
                delimited = name == "guest-sync-delimited";
                silent = name == "guest-shutdown";
                self.run(name, arguments, &mut wish)
            }
        };
        // guest-shutdown answers only if it failed (QEMU guest agent reference).
        if silent && reply.is_ok() {
            return Answer { bytes: Vec::new(), wish };
        }
        let mut body = match reply {
            Ok(value) => json!({ "return": value }),
            Err(refusal) => {
                json!({ "error": { "class": refusal.class, "desc": refusal.description } })
            }
        };
        if let (Some(id), Some(body)) = (id, body.as_object_mut()) {
            body.insert("id".to_owned(), id);
        }
        let mut bytes = Vec::new();
        if delimited {
            bytes.push(0xFF);
        }
        bytes.extend_from_slice(body.to_string().as_bytes());
        bytes.push(b'\n');
        Answer { bytes, wish }
    }

    fn run(
        &mut self,
        name: &str,
        arguments: &Map<String, Value>,
        wish: &mut Option<Wish>,
    ) -> Reply {
        match name {
            "guest-sync" | "guest-sync-delimited" => Ok(json!(integer(arguments, "id")?)),
            "guest-ping" => Ok(json!({})),
            "guest-info" => Ok(info()),
            "guest-get-osinfo" => Ok(os_info()),
            "guest-get-host-name" => Ok(json!({ "host-name": self.computer_name })),
            "guest-get-time" => Ok(json!(nanoseconds())),
            "guest-set-time" => set_time(arguments.get("time").and_then(Value::as_i64)),
            "guest-network-get-interfaces" => Ok(super::probe::interfaces()),
            "guest-shutdown" => {
                *wish = Some(match arguments.get("mode").and_then(Value::as_str) {
                    None | Some("powerdown") => Wish::PowerDown,
                    Some("reboot") => Wish::Reboot,
                    Some("halt") => Wish::Halt,
                    Some(other) => {
                        return Err(Refusal::new(format!(
                            "guest-shutdown: no mode {other:?}; use powerdown, reboot or halt"
                        )));
                    }
                });
                Ok(json!({}))
            }
            "guest-exec" => self.jobs.start(
                text(arguments, "path")?,
                &strings(arguments, "arg")?,
                arguments.get("capture-output"),
            ),
            "guest-exec-status" => self.jobs.status(integer(arguments, "pid")?),
            "guest-file-open" => self.files.open(
                text(arguments, "path")?,
                arguments.get("mode").and_then(Value::as_str).unwrap_or("r"),
            ),
            "guest-file-close" => self.files.close(integer(arguments, "handle")?),
            "guest-file-read" => self.files.read(
                integer(arguments, "handle")?,
                arguments.get("count").and_then(Value::as_u64),
            ),
            "guest-file-write" => {
                let data = BASE64.decode(text(arguments, "buf-b64")?).map_err(|error| {
                    Refusal::new(format!("guest-file-write: buf-b64 is not base64: {error}"))
                })?;
                let count = arguments.get("count").and_then(Value::as_u64);
                self.files.write(integer(arguments, "handle")?, &data, count)
            }
            "guest-file-seek" => self.files.seek(
                integer(arguments, "handle")?,
                integer(arguments, "offset")?,
                arguments.get("whence").unwrap_or(&Value::Null),
            ),
            "guest-file-flush" => self.files.flush(integer(arguments, "handle")?),
            other => Err(Refusal {
                class: "CommandNotFound",
                description: format!("The command {other} has not been found"),
            }),
        }
    }
}

fn info() -> Value {
    let commands: Vec<Value> = COMMANDS
        .iter()
        .map(|name| {
            json!({
                "name": name,
                "enabled": true,
                "success-response": *name != "guest-shutdown",
            })
        })
        .collect();
    json!({ "version": env!("CARGO_PKG_VERSION"), "supported_commands": commands })
}

fn os_info() -> Value {
    json!({
        "id": "understudy",
        "name": "loopbreak understudy",
        "pretty-name": "loopbreak understudy (a model of Windows, not Windows)",
        "version": env!("CARGO_PKG_VERSION"),
        "version-id": env!("CARGO_PKG_VERSION"),
        "variant-id": "model",
        "machine": "x86_64",
    })
}

fn nanoseconds() -> i64 {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[expect(unsafe_code, reason = "clock_settime(2) has no safe wrapper in the standard library")]
fn set_time(time: Option<i64>) -> Reply {
    // Without a time the agent takes the hardware clock's, which the machine's clock came from.
    if let Some(time) = time {
        let moment = libc::timespec {
            tv_sec: time.div_euclid(1_000_000_000),
            tv_nsec: time.rem_euclid(1_000_000_000),
        };
        // SAFETY: the structure is complete and outlives the call.
        if unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const moment) } != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
    }
    Ok(json!({}))
}

fn text<'a>(arguments: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    arguments
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| Refusal::new(format!("argument {name:?} (a string) is missing")))
}

fn integer(arguments: &Map<String, Value>, name: &str) -> Result<i64, Refusal> {
    arguments
        .get(name)
        .and_then(Value::as_i64)
        .ok_or_else(|| Refusal::new(format!("argument {name:?} (an integer) is missing")))
}

fn strings(arguments: &Map<String, Value>, name: &str) -> Result<Vec<String>, Refusal> {
    let Some(value) = arguments.get(name) else { return Ok(Vec::new()) };
    value
        .as_array()
        .and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect())
        .ok_or_else(|| Refusal::new(format!("argument {name:?} must be a list of strings")))
}

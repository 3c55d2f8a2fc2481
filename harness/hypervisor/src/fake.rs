//! A scripted hypervisor behind the same traits, so that the layers above are tested without a machine.
//!
//! A script says what is observed when something is asked of the machine: on its start, on a reset, on
//! a file that the agent writes. There are no delays: what a trigger brings about has been emitted when
//! the call returns. A trigger that is scripted several times answers in that order, and then no more.

use std::collections::{HashMap, VecDeque};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use timeline::{Body, Observation, ResetBy, Sink, Source, StartedFrom};
use tokio::sync::watch;

use crate::agent::{
    AgentError, AgentInfo, ExecResult, GuestAgent, OsInfo, ShutdownMode, WriteProof,
};
use crate::api::{Hypervisor, Machine, MachineSpec};
use crate::error::HypervisorError;

/// What the script answers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A cold start.
    Start,
    /// A start from a checkpoint.
    Restore,
    /// The reset button, whoever presses it.
    Reset,
    /// The power button.
    Shutdown,
    /// A non-maskable interrupt.
    Nmi,
    /// The power is cut.
    PowerCut,
    /// The agent was asked to write this path.
    Write(String),
    /// The agent was asked to run this program.
    Exec(String),
    /// The agent was asked to shut down or restart.
    AgentShutdown,
}

enum Reaction {
    Emit(Vec<Observation>),
    Fail(String),
    Panic,
}

/// A hypervisor that plays a script. Clones share it.
#[derive(Clone, Default)]
pub struct FakeHypervisor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    script: Mutex<HashMap<Trigger, VecDeque<Reaction>>>,
    calls: Mutex<Vec<String>>,
    files: Mutex<HashMap<String, Vec<u8>>>,
    no_cable: AtomicBool,
}

impl FakeHypervisor {
    /// With an empty script: machines start, and nothing else happens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what is observed at the next unscripted occurrence of `trigger`. A write reaches the disk
    /// before its observations are emitted.
    #[must_use]
    pub fn on(self, trigger: Trigger, observed: impl IntoIterator<Item = (Source, Body)>) -> Self {
        let emit =
            observed.into_iter().map(|(source, body)| Observation { source, body }).collect();
        self.add(trigger, Reaction::Emit(emit))
    }

    /// Lets the next unscripted occurrence of `trigger` fail.
    #[must_use]
    pub fn fail(self, trigger: Trigger, reason: &str) -> Self {
        self.add(trigger, Reaction::Fail(reason.to_owned()))
    }

    /// Lets the next unscripted occurrence of `trigger` panic, as a bug of the harness would.
    #[must_use]
    pub fn panic(self, trigger: Trigger) -> Self {
        self.add(trigger, Reaction::Panic)
    }

    /// Lets machines start with their network cable not taken up.
    #[must_use]
    pub fn without_cable(self) -> Self {
        self.0.no_cable.store(true, Ordering::Relaxed);
        self
    }

    fn add(self, trigger: Trigger, reaction: Reaction) -> Self {
        lock(&self.0.script).entry(trigger).or_default().push_back(reaction);
        self
    }

    /// What was asked so far, one line a call: `start loopbreak-1`, `write C:\x`, `destroy loopbreak-1`.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.0.calls).clone()
    }

    /// What the agent wrote.
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        lock(&self.0.files).get(path).cloned()
    }

    fn define_and_start(
        &self,
        spec: &MachineSpec,
        sink: Sink,
        trigger: &Trigger,
        from: StartedFrom,
    ) -> Result<Box<dyn Machine>, HypervisorError> {
        let verb = if from == StartedFrom::Cold { "start" } else { "restore" };
        let agent = FakeAgent {
            shared: Arc::clone(&self.0),
            sink,
            state: Arc::new(watch::Sender::new(State::Down)),
        };
        // As the emulator does: its network card connects before the machine runs.
        let cable = match &spec.cable {
            Some(path) if !self.0.no_cable.load(Ordering::Relaxed) => {
                UnixStream::connect(path).ok()
            }
            _ => None,
        };
        let machine = FakeMachine { name: spec.name.clone(), agent, _cable: cable };
        machine.agent.call(format!("{verb} {}", spec.name));
        machine.agent.emit(Source::Hypervisor, Body::MachineStarted { from });
        if from == StartedFrom::Checkpoint {
            machine.agent.state.send_replace(State::Up);
        }
        machine.agent.play(trigger).map_err(|reason| HypervisorError::Libvirt {
            action: verb,
            object: spec.name.clone(),
            message: reason,
        })?;
        Ok(Box::new(machine))
    }
}

#[async_trait]
impl Hypervisor for FakeHypervisor {
    async fn start(
        &self,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, HypervisorError> {
        self.define_and_start(spec, sink, &Trigger::Start, StartedFrom::Cold)
    }

    async fn restore(
        &self,
        ram: &Path,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, HypervisorError> {
        fs_err::metadata(ram).map_err(|error| HypervisorError::io("open", ram, error))?;
        self.define_and_start(spec, sink, &Trigger::Restore, StartedFrom::Checkpoint)
    }
}

struct FakeMachine {
    name: String,
    agent: FakeAgent,
    /// Plugged in as long as the machine is there.
    _cable: Option<UnixStream>,
}

/// What the agent's callers must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No agent yet in this boot.
    Down,
    Up,
    /// Stopped at a panic: no agent until the next reset.
    Panicked,
    /// The machine is off.
    Off,
}

#[derive(Clone)]
struct FakeAgent {
    shared: Arc<Shared>,
    sink: Sink,
    state: Arc<watch::Sender<State>>,
}

impl FakeAgent {
    fn call(&self, line: String) {
        lock(&self.shared.calls).push(line);
    }

    fn emit(&self, source: Source, body: Body) {
        let next = match &body {
            Body::AgentUp => Some(State::Up),
            Body::Panicked { .. } => Some(State::Panicked),
            Body::Reset { .. } => Some(State::Down),
            Body::MachineStopped { .. } => Some(State::Off),
            _ => None,
        };
        if let Some(next) = next {
            self.state.send_replace(next);
        }
        self.sink.emit(source, body);
    }

    /// Emits what the script has for `trigger`; `Err` where it is to fail.
    fn play(&self, trigger: &Trigger) -> Result<(), String> {
        let reaction = lock(&self.shared.script).get_mut(trigger).and_then(VecDeque::pop_front);
        match reaction {
            Some(Reaction::Emit(observed)) => {
                for observation in observed {
                    self.emit(observation.source, observation.body);
                }
                Ok(())
            }
            Some(Reaction::Fail(reason)) => Err(reason),
            Some(Reaction::Panic) => panic!("the script has it panic at {trigger:?}"),
            None => Ok(()),
        }
    }

    fn state(&self) -> State {
        *self.state.borrow()
    }

    /// As a real agent: gone, or not answering, or there.
    fn check(&self, during: &str) -> Result<(), AgentError> {
        let during = during.to_owned();
        match self.state() {
            State::Up => Ok(()),
            State::Down => Err(AgentError::NoAnswer { during, seconds: 0 }),
            State::Panicked | State::Off => Err(AgentError::GuestGone { during }),
        }
    }

    fn play_for_agent(&self, trigger: &Trigger, during: &str) -> Result<(), AgentError> {
        self.play(trigger).map_err(|message| AgentError::Refused {
            during: during.to_owned(),
            class: "GenericError".to_owned(),
            message,
        })
    }
}

impl FakeMachine {
    fn ask(&self, verb: &'static str, trigger: &Trigger) -> Result<(), HypervisorError> {
        if self.agent.state() == State::Off {
            return Err(HypervisorError::Gone {
                name: self.name.clone(),
                reason: "it is off".to_owned(),
            });
        }
        self.agent.call(format!("{verb} {}", self.name));
        self.agent.play(trigger).map_err(|message| HypervisorError::Libvirt {
            action: verb,
            object: self.name.clone(),
            message,
        })
    }
}

#[async_trait]
impl Machine for FakeMachine {
    fn emulator_pid(&self) -> Option<u32> {
        None
    }

    async fn reset_by(&self, by: ResetBy) -> Result<(), HypervisorError> {
        if self.agent.state() != State::Off {
            let reason = "host-qmp-system-reset".to_owned();
            self.agent.emit(Source::Hypervisor, Body::Reset { by, reason });
        }
        self.ask("reset", &Trigger::Reset)
    }

    async fn shutdown(&self) -> Result<(), HypervisorError> {
        self.ask("shutdown", &Trigger::Shutdown)
    }

    async fn inject_nmi(&self) -> Result<(), HypervisorError> {
        self.ask("nmi", &Trigger::Nmi)
    }

    async fn screenshot(&self, _why: &str) -> Result<Option<PathBuf>, HypervisorError> {
        Ok(None)
    }

    fn agent(&self) -> &dyn GuestAgent {
        &self.agent
    }

    async fn save(self: Box<Self>, ram: &Path) -> Result<(), HypervisorError> {
        self.agent.call(format!("save {}", self.name));
        fs_err::write(ram, "a checkpoint of the scripted hypervisor\n")
            .map_err(|error| HypervisorError::io("write", ram, error))?;
        let reason = "saved".to_owned();
        self.agent.emit(Source::Hypervisor, Body::MachineStopped { reason });
        Ok(())
    }

    async fn cut_power(&self) -> Result<(), HypervisorError> {
        self.ask("cut-power", &Trigger::PowerCut)?;
        let reason = "power-cut".to_owned();
        self.agent.emit(Source::Hypervisor, Body::MachineStopped { reason });
        Ok(())
    }

    async fn destroy(&self) -> Result<(), HypervisorError> {
        self.agent.call(format!("destroy {}", self.name));
        if self.agent.state() != State::Off {
            let reason = "destroyed".to_owned();
            self.agent.emit(Source::Hypervisor, Body::MachineStopped { reason });
        }
        Ok(())
    }
}

#[async_trait]
impl GuestAgent for FakeAgent {
    async fn wait_up(&self, limit: Duration) -> Result<(), AgentError> {
        let mut state = self.state.subscribe();
        let decided = state.wait_for(|state| matches!(state, State::Up | State::Off));
        match tokio::time::timeout(limit, decided).await {
            Ok(Ok(state)) if *state == State::Up => Ok(()),
            Ok(_) => Err(AgentError::GuestGone { during: "start-up".to_owned() }),
            Err(_) => Err(AgentError::NoAnswer {
                during: "start-up".to_owned(),
                seconds: limit.as_secs(),
            }),
        }
    }

    async fn sync(&self) -> Result<(), AgentError> {
        self.check("guest-sync-delimited")
    }

    async fn ping(&self) -> Result<(), AgentError> {
        self.check("guest-ping")
    }

    async fn info(&self) -> Result<AgentInfo, AgentError> {
        self.check("guest-info")?;
        Ok(AgentInfo { version: "fake".to_owned(), commands: Vec::new() })
    }

    async fn os_info(&self) -> Result<OsInfo, AgentError> {
        self.check("guest-get-osinfo")?;
        Ok(OsInfo { id: "fake".to_owned(), ..OsInfo::default() })
    }

    async fn exec(
        &self,
        path: &str,
        arguments: &[String],
        _limit: Duration,
    ) -> Result<ExecResult, AgentError> {
        let during = format!("guest-exec {path}");
        self.check(&during)?;
        self.call(format!("exec {path} {}", arguments.join(" ")));
        self.play_for_agent(&Trigger::Exec(path.to_owned()), &during)?;
        self.check(&during)?;
        Ok(ExecResult { exit_code: Some(0), signal: None, stdout: Vec::new(), stderr: Vec::new() })
    }

    async fn write_file(&self, path: &str, bytes: &[u8]) -> Result<WriteProof, AgentError> {
        let during = format!("guest-file-write {path}");
        self.check(&during)?;
        self.call(format!("write {path}"));
        lock(&self.shared.files).insert(path.to_owned(), bytes.to_vec());
        self.play_for_agent(&Trigger::Write(path.to_owned()), &during)?;
        Ok(WriteProof {
            path: path.to_owned(),
            size: bytes.len() as u64,
            digest: blake3::hash(bytes).to_hex().to_string(),
            closed: self.state() == State::Up,
        })
    }

    async fn write_unfinished(&self, path: &str, bytes: &[u8]) -> Result<(), AgentError> {
        self.write_file(path, bytes).await.map(drop)
    }

    async fn read_file(&self, path: &str, limit: usize) -> Result<Vec<u8>, AgentError> {
        let during = format!("guest-file-read {path}");
        self.check(&during)?;
        match lock(&self.shared.files).get(path) {
            Some(bytes) if bytes.len() <= limit => Ok(bytes.clone()),
            Some(_) => Err(AgentError::Malformed {
                during,
                reason: format!("the file has more than {limit} bytes"),
            }),
            None => Err(AgentError::Refused {
                during,
                class: "GenericError".to_owned(),
                message: "no such file".to_owned(),
            }),
        }
    }

    async fn shutdown(&self, mode: ShutdownMode) -> Result<(), AgentError> {
        let during = format!("guest-shutdown ({})", mode.as_str());
        self.check(&during)?;
        self.call(during.clone());
        self.play_for_agent(&Trigger::AgentShutdown, &during)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::MachineProfile;

    fn spec() -> MachineSpec {
        let text = "format = 1\nis-model = true\nmemory = \"64MiB\"\n";
        MachineSpec {
            name: "m".to_owned(),
            profile: MachineProfile::parse(text, Path::new("profile.toml")).unwrap(),
            disk: PathBuf::new(),
            disk_socket: None,
            firmware_code: None,
            firmware_vars: None,
            tpm_state: None,
            cable: None,
            sockets: PathBuf::new(),
            evidence: PathBuf::new(),
            fw_cfg: Vec::new(),
            clock: None,
        }
    }

    #[tokio::test]
    async fn a_bad_file_stops_the_scripted_guest() {
        let panicked = Body::Panicked { action: "run".to_owned(), bug_check: None };
        let reset = Body::Reset { by: ResetBy::Guest, reason: "guest-reset".to_owned() };
        let path = "C:\\bad.sys";
        let fake = FakeHypervisor::new()
            .on(Trigger::Start, [(Source::Agent, Body::AgentUp)])
            .on(
                Trigger::Write(path.to_owned()),
                [(Source::Hypervisor, panicked.clone()), (Source::Hypervisor, reset)],
            )
            .fail(Trigger::Nmi, "no");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let sink = Sink::new(move |observation| lock(&into).push(observation.body));

        let machine = fake.start(&spec(), sink).await.unwrap();
        machine.agent().wait_up(Duration::ZERO).await.unwrap();
        let proof = machine.agent().write_file(path, b"bad").await.unwrap();
        assert_eq!((proof.size, proof.closed), (3, false));
        assert_eq!(fake.file(path).unwrap(), b"bad");
        assert!(machine.agent().ping().await.is_err());
        assert!(machine.inject_nmi().await.is_err());
        machine.destroy().await.unwrap();
        machine.destroy().await.unwrap();
        assert!(machine.reset().await.is_err());

        let seen = lock(&seen);
        assert_eq!(seen[0], Body::MachineStarted { from: StartedFrom::Cold });
        assert_eq!(seen[2], panicked);
        let stops = seen.iter().filter(|body| matches!(body, Body::MachineStopped { .. }));
        assert_eq!(stops.count(), 1);
        assert_eq!(fake.calls()[..2], ["start m", "write C:\\bad.sys"]);
    }

    #[tokio::test]
    async fn a_checkpoint_is_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let ram = directory.path().join("ram");
        let fake = FakeHypervisor::new();
        let sink = Sink::new(|_| {});
        assert!(fake.restore(&ram, &spec(), sink.clone()).await.is_err());
        fake.start(&spec(), sink.clone()).await.unwrap().save(&ram).await.unwrap();
        let machine = fake.restore(&ram, &spec(), sink).await.unwrap();
        machine.agent().ping().await.unwrap();
    }
}

//! Machines under libvirt: started, restored, watched, saved, destroyed.
//!
//! Each machine has four tasks. *Observe* takes its events from libvirt's thread, runs the translator
//! and tells the other tasks about resets and panics. *Serial* reads lines. *Agent* finds out when the
//! guest agent is there. *Screen* looks at the display. They end by themselves when the machine does.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use timeline::{Body, ResetBy, Sink, Source, StartedFrom};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use virt::domain::Domain;

use crate::accelerator::{Accelerator, prove_accelerator};
use crate::agent::{AgentChannel, GuestAgent, GuestState};
use crate::api::{Hypervisor, Machine, MachineSpec};
use crate::checkpoint::{Feed, SaveHeader};
use crate::connection::{Address, Connection};
use crate::definition::define;
use crate::domain::{AGENT_PORT, Sockets};
use crate::error::HypervisorError;
use crate::events::{Raw, Watch, translate};
use crate::ffi::{self, DomainEvent};
use crate::options::Options;
use crate::screen::Screen;
use crate::tpm::Tpm;
use crate::{orphans, process, serial};

/// The end of a machine that was asked to end. The emulator's disks may still have to reach a busy disk of the host,
/// and a daemon of libvirt whose process 1 collects no orphans (a container without an init) waits half a minute
/// before it gives up.
const END_LIMIT: Duration = Duration::from_secs(120);
/// What libvirt says of a name that it is about to let go of (`virDomainObjListAddLocked`).
const NAME_KEPT: &str = "is already being removed";
const NAME_PERIOD: Duration = Duration::from_millis(20);
const NAME_TRIES: u32 = 250;

/// A connection to libvirt that runs machines.
pub struct Libvirt {
    connection: Arc<Connection>,
    options: Options,
    accelerator: Accelerator,
}

impl Libvirt {
    /// Opens the connection, and proves the accelerator where none is given.
    pub async fn open(options: Options) -> Result<Self, HypervisorError> {
        let accelerator = match options.accelerator {
            Some(accelerator) => accelerator,
            None => {
                let proof = prove_accelerator().await;
                proof.accelerator.ok_or_else(|| HypervisorError::Unsupported {
                    what: "a virtual machine".to_owned(),
                    why: proof.seen.clone(),
                })?
            }
        };
        orphans::adopt_emulators();
        let address = options.address.clone();
        let connection = blocking("open libvirt", move || Connection::open(&address)).await??;
        Ok(Self { connection: Arc::new(connection), options, accelerator })
    }

    /// What runs the guests.
    pub fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    fn definition(
        &self,
        spec: &MachineSpec,
        machine_type: Option<&str>,
    ) -> Result<String, HypervisorError> {
        let Self { connection, options, accelerator } = self;
        define(spec, *accelerator, options.unsafe_cache, &connection.labels, machine_type)
    }

    /// Brings a machine up in one of two ways, with everything that watches it in place beforehand.
    async fn define_and_start(
        &self,
        spec: &MachineSpec,
        sink: Sink,
        origin: Origin,
    ) -> Result<Box<dyn Machine>, HypervisorError> {
        let sockets = Sockets::of(&spec.sockets)?;
        for directory in [&spec.sockets, &spec.evidence] {
            fs_err::create_dir_all(directory)
                .map_err(|error| HypervisorError::io("create", directory, error))?;
        }
        let cleanup = Cleanup {
            connection: Arc::clone(&self.connection),
            name: spec.name.clone(),
            sockets: sockets.clone(),
        };

        let tpm = match (&spec.profile.tpm, &spec.tpm_state) {
            (Some(_), Some(state)) => {
                Some(Tpm::start(state, &sockets.tpm, &spec.evidence.join("swtpm.log"))?)
            }
            (Some(_), None) => {
                return Err(HypervisorError::Unsupported {
                    what: format!("the TPM of machine {}", spec.name),
                    why: "the machine has no directory for its state".to_owned(),
                });
            }
            (None, _) => None,
        };

        let restored = matches!(origin, Origin::Checkpoint { .. });
        let (guest, guest_receiver) =
            watch::channel(GuestState { boot: 0, alive: true, port_open: restored, off: false });
        let (control, control_receiver) = mpsc::unbounded_channel();
        let (status, status_receiver) = watch::channel(Watch::new(restored));
        let agent = AgentChannel::new(guest_receiver, sink.clone());
        let serial = serial::listen(&sockets.serial)?;
        let log = serial::open_log(&spec.evidence.join("serial-0.log"))?;
        let agent_socket = serial::listen(&sockets.agent)?;
        let readers = vec![
            tokio::spawn(serial::read_lines(serial, 0, log, sink.clone())),
            tokio::spawn(agent.clone().run(agent_socket)),
        ];
        let events = self.connection.routes.add(&spec.name);
        let observer = tokio::spawn(observe(events, control_receiver, status, guest, sink.clone()));
        let mut tasks = Tasks { observer: Some(observer), readers, screen: None };

        let from = if restored { StartedFrom::Checkpoint } else { StartedFrom::Cold };
        sink.emit(Source::Hypervisor, Body::MachineStarted { from });
        let fresh = match self.create(spec, origin, &sockets).await {
            Ok(fresh) => fresh,
            Err(error) => {
                tasks.abort();
                drop(cleanup);
                return Err(error);
            }
        };
        let screen = Screen::new(
            &spec.name,
            fresh.domain.clone(),
            sink,
            &spec.evidence,
            sockets.screen.clone(),
        )?;
        let domain = fresh.keep();
        let look = screen.clone().look(self.options.screen_period, status_receiver.clone());
        tasks.screen = Some(tokio::spawn(look));
        let pid = match &self.options.address {
            Address::Embedded { root } => emulator_pid(root, &spec.name),
            // Its own records are in a directory of the daemon's.
            Address::Daemon { .. } => process::emulator_of(&spec.name),
        };
        Ok(Box::new(LibvirtMachine {
            name: spec.name.clone(),
            domain,
            agent,
            screen,
            control,
            status: status_receiver,
            pid,
            tasks: tokio::sync::Mutex::new(tasks),
            tpm: tokio::sync::Mutex::new(tpm),
            cleanup,
        }))
    }

    async fn create(
        &self,
        spec: &MachineSpec,
        origin: Origin,
        sockets: &Sockets,
    ) -> Result<Fresh, HypervisorError> {
        let connection = Arc::clone(&self.connection);
        let name = spec.name.clone();
        match origin {
            Origin::Cold => {
                let xml = self.definition(spec, None)?;
                blocking("start a machine", move || {
                    create_xml(&connection, &xml)
                        .map(Fresh::new)
                        .map_err(|error| refused("start", &name, &error))
                })
                .await?
            }
            Origin::Checkpoint { ram } => {
                let damaged = |reason| HypervisorError::Checkpoint { path: ram.clone(), reason };
                let header = SaveHeader::read(&ram)?;
                let machine_type = header.machine_type().map_err(damaged)?;
                let xml = self.definition(spec, Some(&machine_type))?;
                let pipe = sockets.restore.clone();
                blocking("restore a machine", move || {
                    let feed = Feed::start(&ram, &header, &xml, &pipe)?;
                    let text = pipe.to_string_lossy().into_owned();
                    let restored = Domain::domain_restore(&connection.connect, &text);
                    let fed = feed.finish();
                    restored.map_err(|error| refused("restore", &name, &error))?;
                    fed.map_err(|error| HypervisorError::io("feed", &ram, error))?;
                    Domain::lookup_by_name(&connection.connect, &name)
                        .map(Fresh::new)
                        .map_err(|error| refused("find the restored", &name, &error))
                })
                .await?
            }
        }
    }
}

/// A domain that nobody is responsible for yet. A caller that gives up while libvirt is still starting
/// it, or that fails afterwards, must not leave it running.
struct Fresh {
    domain: Domain,
    kept: bool,
}

impl Fresh {
    fn new(domain: Domain) -> Self {
        Self { domain, kept: false }
    }

    fn keep(mut self) -> Domain {
        self.kept = true;
        self.domain.clone()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.domain.destroy()
        {
            tracing::error!("could not destroy a machine that nobody waits for: {error}");
        }
    }
}

enum Origin {
    Cold,
    Checkpoint { ram: PathBuf },
}

#[async_trait]
impl Hypervisor for Libvirt {
    fn keeps_checkpoints(&self) -> bool {
        // A daemon of the system writes them as root, for nobody else to read.
        self.connection.labels.account.is_none() || rustix::process::geteuid().is_root()
    }

    async fn start(
        &self,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, HypervisorError> {
        self.define_and_start(spec, sink, Origin::Cold).await
    }

    async fn restore(
        &self,
        ram: &Path,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, HypervisorError> {
        self.define_and_start(spec, sink, Origin::Checkpoint { ram: ram.to_owned() }).await
    }
}

/// One machine.
struct LibvirtMachine {
    name: String,
    domain: Domain,
    agent: AgentChannel,
    screen: Screen,
    control: mpsc::UnboundedSender<Raw>,
    status: watch::Receiver<Watch>,
    pid: Option<u32>,
    tasks: tokio::sync::Mutex<Tasks>,
    tpm: tokio::sync::Mutex<Option<Tpm>>,
    cleanup: Cleanup,
}

struct Tasks {
    observer: Option<JoinHandle<()>>,
    /// Of sockets that QEMU closes when it ends: serial, agent.
    readers: Vec<JoinHandle<()>>,
    screen: Option<JoinHandle<()>>,
}

impl Tasks {
    fn abort(&mut self) {
        for task in self.readers.iter().chain(&self.screen).chain(&self.observer) {
            task.abort();
        }
    }
}

/// What a machine leaves in the file system and in the connection. Removed when dropped.
struct Cleanup {
    connection: Arc<Connection>,
    name: String,
    sockets: Sockets,
}

impl Cleanup {
    /// Idempotent.
    fn remove(&self) {
        self.connection.routes.remove(&self.name);
        for path in self.sockets.all() {
            let _ = fs_err::remove_file(path);
        }
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        self.remove();
    }
}

impl LibvirtMachine {
    fn ended(&self) -> Option<String> {
        self.status.borrow().ended.clone()
    }

    fn gone(&self, reason: String) -> HypervisorError {
        HypervisorError::Gone { name: self.name.clone(), reason }
    }

    /// Runs a call to libvirt that needs a running machine.
    async fn call(
        &self,
        action: &'static str,
        call: impl FnOnce(&Domain) -> Result<(), virt::error::Error> + Send + 'static,
    ) -> Result<(), HypervisorError> {
        if let Some(reason) = self.ended() {
            return Err(self.gone(reason));
        }
        let domain = self.domain.clone();
        let name = self.name.clone();
        let result =
            blocking(action, move || call(&domain).map_err(|error| refused(action, &name, &error)))
                .await?;
        match (result, self.ended()) {
            // It ended while libvirt was busy; that says more than libvirt's words.
            (Err(_), Some(reason)) => Err(self.gone(reason)),
            (result, _) => result,
        }
    }

    /// Kills the emulator, without libvirt.
    async fn kill(&self, pid: u32) -> Result<(), HypervisorError> {
        let name = self.name.clone();
        let failed = |reason: String| HypervisorError::Process {
            program: format!("the emulator of {}", self.name),
            reason,
        };
        let killed = blocking("cut the power", move || {
            let ours = move |arguments: &[String]| process::is_emulator_of(arguments, &name);
            process::end_process(pid, ours, END_LIMIT)
        })
        .await?
        .map_err(|error| failed(error.to_string()))?;
        if killed == process::Ended::Stays {
            return Err(failed("it does not end".to_owned()));
        }
        Ok(())
    }

    /// Waits for the end that was asked for, and for everything that QEMU still had to say.
    async fn wait_end(&self) -> Result<(), HypervisorError> {
        let mut status = self.status.clone();
        let all = async {
            // An error means that the observer is gone, which it is only after the end.
            let _ = status.wait_for(|watch| watch.ended.is_some()).await;
            let mut tasks = self.tasks.lock().await;
            for task in std::mem::take(&mut tasks.readers) {
                let _ = task.await;
            }
            if let Some(screen) = tasks.screen.take() {
                let _ = screen.await;
            }
            if let Some(observer) = tasks.observer.take() {
                let _ = observer.await;
            }
        };
        tokio::time::timeout(END_LIMIT, all).await.map_err(|_| HypervisorError::TimedOut {
            what: format!("the end of machine {}", self.name),
            seconds: END_LIMIT.as_secs(),
        })?;
        if let Some(mut tpm) = self.tpm.lock().await.take() {
            tpm.ended().await?;
        }
        self.cleanup.remove();
        Ok(())
    }
}

#[async_trait]
impl Machine for LibvirtMachine {
    fn emulator_pid(&self) -> Option<u32> {
        self.pid
    }

    async fn reset_by(&self, by: ResetBy) -> Result<(), HypervisorError> {
        let _ = self.control.send(Raw::Announced(by));
        let result = self.call("reset", |domain| domain.reset().map(drop)).await;
        if result.is_err() {
            let _ = self.control.send(Raw::Withdrawn);
        }
        result
    }

    async fn shutdown(&self) -> Result<(), HypervisorError> {
        // Without this flag libvirt might choose an agent of its own.
        let flags = virt::sys::VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN;
        self.call("press the power button of", move |domain| domain.shutdown_flags(flags).map(drop))
            .await
    }

    async fn inject_nmi(&self) -> Result<(), HypervisorError> {
        self.call("send a non-maskable interrupt to", ffi::inject_nmi).await
    }

    async fn screenshot(&self, why: &str) -> Result<Option<PathBuf>, HypervisorError> {
        if let Some(reason) = self.ended() {
            return Err(self.gone(reason));
        }
        self.screen.take(why).await
    }

    fn agent(&self) -> &dyn GuestAgent {
        &self.agent
    }

    async fn save(self: Box<Self>, ram: &Path) -> Result<(), HypervisorError> {
        let unusable = |reason: &str| HypervisorError::Checkpoint {
            path: ram.to_owned(),
            reason: reason.to_owned(),
        };
        if self.status.borrow().panicked_ever {
            // libvirt takes the machine for crashed from its first panic on, and would save a guest
            // that it did not pause (windows-facts.md section 0).
            return Err(unusable(
                "the machine panicked since it was started; take a checkpoint before",
            ));
        }
        let path = ram
            .to_str()
            .and_then(|path| CString::new(path).ok())
            .ok_or_else(|| unusable("the path is not UTF-8"))?;
        self.call("save", move |domain| ffi::save(domain, &path)).await?;
        self.wait_end().await
    }

    async fn cut_power(&self) -> Result<(), HypervisorError> {
        if let Some(reason) = self.ended() {
            return Err(self.gone(reason));
        }
        let _ = self.control.send(Raw::Announced(ResetBy::Power));
        let Some(pid) = self.pid else {
            // Somewhere else only libvirt can do it, and it asks QEMU to end before it kills it.
            let _ = self.control.send(Raw::EndAsked);
            self.call("cut the power of", |domain| domain.destroy()).await?;
            return self.wait_end().await;
        };
        self.kill(pid).await?;
        self.wait_end().await
    }

    async fn destroy(&self) -> Result<(), HypervisorError> {
        if self.ended().is_none() {
            let _ = self.control.send(Raw::EndAsked);
            let result = self.call("destroy", |domain| domain.destroy()).await;
            if let Err(error) = result
                && self.ended().is_none()
                // A machine that ended by itself in this moment, before its event came.
                && self.domain.is_active().unwrap_or(false)
            {
                return Err(error);
            }
        }
        if self.status.borrow().is_lost()
            && let Some(pid) = self.pid
        {
            // It goes on without anybody who listens, and nobody else can end it.
            self.kill(pid).await?;
        }
        self.wait_end().await
    }
}

impl Drop for LibvirtMachine {
    fn drop(&mut self) {
        if self.ended().is_none() {
            tracing::warn!(machine = %self.name, "dropped while running; cutting its power");
            match self.pid {
                // At once and without libvirt, which may be what hangs; libvirt sees the end itself.
                Some(pid) => {
                    let name = self.name.clone();
                    let ours =
                        move |arguments: &[String]| process::is_emulator_of(arguments, &name);
                    if let Err(error) = process::end_process(pid, ours, Duration::from_secs(5)) {
                        tracing::error!(machine = %self.name, pid, "could not kill: {error}");
                    }
                }
                None => {
                    if let Err(error) = self.domain.destroy() {
                        tracing::error!(machine = %self.name, "could not destroy: {error}");
                    }
                }
            }
        }
        if let Ok(mut tasks) = self.tasks.try_lock() {
            tasks.abort();
        }
    }
}

/// Turns events into observations until the machine's end.
async fn observe(
    mut events: mpsc::UnboundedReceiver<DomainEvent>,
    mut control: mpsc::UnboundedReceiver<Raw>,
    status: watch::Sender<Watch>,
    guest: watch::Sender<GuestState>,
    sink: Sink,
) {
    let mut watch = status.borrow().clone();
    while watch.ended.is_none() {
        let raw = tokio::select! {
            // An announcement was made before the event that it announces.
            biased;
            Some(raw) = control.recv() => raw,
            event = events.recv() => match event {
                Some(event) => Raw::from(event),
                None => break,
            },
        };
        tracing::trace!(?raw, "event");
        let (next, bodies) = translate(watch, raw, AGENT_PORT);
        watch = next;
        for body in bodies {
            sink.emit(Source::Hypervisor, body);
        }
        guest.send_if_modified(|guest| {
            let now = GuestState {
                boot: watch.resets,
                alive: !watch.stopped_at_panic,
                port_open: watch.agent_port_open,
                off: watch.ended.is_some(),
            };
            std::mem::replace(guest, now) != now
        });
        status.send_replace(watch.clone());
    }
    // The senders fall here, which ends every wait for a machine that will not speak again.
    guest.send_modify(|guest| guest.off = true);
}

/// Runs a blocking call of libvirt away from the runtime.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HypervisorError> {
    tokio::task::spawn_blocking(call).await.map_err(|error| HypervisorError::Process {
        program: format!("the thread that was to {what}"),
        reason: error.to_string(),
    })
}

fn refused(action: &'static str, name: &str, error: &virt::error::Error) -> HypervisorError {
    HypervisorError::Libvirt {
        action,
        object: format!("machine {name}"),
        message: error.message().to_owned(),
    }
}

/// Starts a machine. One of the same name may just have lost its power: libvirt says that it has stopped before
/// it has let go of its name, and has no event for the latter.
#[expect(clippy::disallowed_methods, reason = "libvirt has no event for a name that is free again")]
fn create_xml(connection: &Connection, xml: &str) -> Result<Domain, virt::error::Error> {
    for _ in 0..NAME_TRIES {
        match Domain::create_xml(&connection.connect, xml, 0) {
            Err(error) if error.message().contains(NAME_KEPT) => std::thread::sleep(NAME_PERIOD),
            started => return started,
        }
    }
    Domain::create_xml(&connection.connect, xml, 0)
}

/// libvirt's own record of the emulator's process id.
fn emulator_pid(root: &Path, name: &str) -> Option<u32> {
    let text = fs_err::read_to_string(root.join("run/qemu").join(format!("{name}.pid"))).ok()?;
    text.trim().parse().ok()
}

//! PID 1's end of the kernel process: start it, load drivers into it, serve it, learn of its stop.

#![expect(unsafe_code, reason = "fork, poll and signals have no safe wrapper here")]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::host::{KernelHost, NotifyDone};
use super::record::Shared;
use super::report::{
    BugCheck, DriverOutcome, MODEL_STOP_CODE, Module, Registers, StopCause, StopReport,
};
use super::wire::{self, Answer, Call, ToHost, ToKernel};
use super::{NtStatus, child, layout};

/// How long one frame may take.
const LINE_PATIENCE: Duration = Duration::from_secs(20);

/// A driver to load.
#[derive(Debug, Clone)]
pub struct Driver {
    /// File name, for example `csagent.sys`.
    pub name: String,
    /// NT path of the image, for example `\SystemRoot\System32\drivers\csagent.sys`.
    pub path: String,
    /// NT path of the service key, handed to `DriverEntry` as the registry path.
    pub service_key: String,
    /// The image file.
    pub image: Vec<u8>,
    /// Refuse an image whose checksum does not match its header (boot-start drivers).
    pub check_checksum: bool,
}

/// Why the kernel process could not be started.
#[derive(Debug, thiserror::Error)]
#[error("starting the kernel process: {step} failed: {source}")]
pub struct StartError {
    step: &'static str,
    source: io::Error,
}

/// Why there is no [`DriverOutcome`].
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system stopped, by this driver or another. The same report goes to the stop handler.
    #[error("the system stopped with 0x{:X} while {driver} was being loaded", .report.bug_check.code)]
    Stopped {
        /// The driver that was being loaded.
        driver: String,
        /// The stop.
        report: Box<StopReport>,
    },
    /// The image is larger than a frame.
    #[error("{driver} cannot be handed to the kernel process: {source}")]
    Handing {
        /// The driver that was being loaded.
        driver: String,
        /// What the line said.
        source: io::Error,
    },
}

enum Finished {
    Load(DriverOutcome),
    Unload(NtStatus),
}

#[derive(Default)]
struct Waiting {
    stopped: Option<StopReport>,
    requests: HashMap<u64, Sender<Finished>>,
}

struct Inner {
    pid: libc::pid_t,
    line: UnixStream,
    sending: Mutex<()>,
    waiting: Mutex<Waiting>,
    stop_known: Condvar,
    next: AtomicU64,
    shared: Shared,
}

/// The running kernel process. Dropping it kills the process.
pub struct Kernel {
    inner: Arc<Inner>,
    server: Option<std::thread::JoinHandle<()>>,
}

/// Takes the stop, once, on the kernel's own thread in PID 1. The process is frozen by then and its
/// memory can be read.
pub type StopHandler = Box<dyn FnOnce(StopReport) + Send>;

impl Kernel {
    /// Forks the kernel process and serves it with `host` from now on. `on_stop` is called at most
    /// once, whatever ended the process other than dropping this value.
    ///
    /// The child must not be reaped by anyone else: a PID 1 that collects orphans leaves
    /// [`Kernel::pid`] alone.
    pub fn start(host: Arc<dyn KernelHost>, on_stop: StopHandler) -> Result<Self, StartError> {
        Self::start_scaled(host, on_stop, crate::sys::time_scale())
    }

    /// As [`Kernel::start`], with documented times divided by `time_scale` (1 is real time).
    pub fn start_scaled(
        host: Arc<dyn KernelHost>,
        on_stop: StopHandler,
        time_scale: f64,
    ) -> Result<Self, StartError> {
        let step = |step| move |source| StartError { step, source };
        let shared = Shared::new().map_err(step("mapping the shared page"))?;
        let (ours, theirs) = UnixStream::pair().map_err(step("making the line"))?;
        let (stop_read, stop_write) = pipe().map_err(step("making the stop pipe"))?;
        // SAFETY: the child runs only `child::run`, which never returns. Memory that other threads
        // held locked stays locked in the child; glibc resets its own allocator's locks at a fork,
        // and the child takes no other lock of the parent.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(step("fork")(io::Error::last_os_error()));
        }
        if pid == 0 {
            drop(ours);
            drop(stop_read);
            child::run(theirs, stop_write, shared, time_scale);
        }
        drop(theirs);
        drop(stop_write);
        // A kernel process that was scribbled over may stop in the middle of a frame or stop reading.
        let patience = Some(LINE_PATIENCE);
        ours.set_read_timeout(patience).map_err(step("setting up the line"))?;
        ours.set_write_timeout(patience).map_err(step("setting up the line"))?;
        let inner = Arc::new(Inner {
            pid,
            line: ours,
            sending: Mutex::new(()),
            waiting: Mutex::default(),
            stop_known: Condvar::new(),
            next: AtomicU64::new(1),
            shared,
        });
        let server = std::thread::Builder::new()
            .name("kernel".to_owned())
            .spawn({
                let inner = Arc::clone(&inner);
                move || inner.serve(&*host, stop_read, on_stop)
            })
            .map_err(|source| {
                inner.signal(libc::SIGKILL);
                step("starting its server thread")(source)
            })?;
        Ok(Self { inner, server: Some(server) })
    }

    /// Loads a driver and runs its `DriverEntry` to its end.
    pub fn load_driver(&self, driver: &Driver) -> Result<DriverOutcome, LoadError> {
        let message = |id| ToKernel::Load {
            id,
            name: driver.name.clone(),
            path: driver.path.clone(),
            service_key: driver.service_key.clone(),
            check_checksum: driver.check_checksum,
        };
        let finished = self.request(message, &driver.image, &driver.name)?;
        match finished.recv() {
            Ok(Finished::Load(outcome)) => Ok(outcome),
            _ => Err(self.stopped(&driver.name)),
        }
    }

    /// Tells drivers that a session can begin (the local security authority is up).
    pub fn begin_session(&self) {
        // A broken line is a stop, which the server thread is about to see.
        let _ = self.inner.send(&ToKernel::Session, &[]);
    }

    /// Calls the driver's unload routine and removes it. `NOT_FOUND` where it is not loaded,
    /// `INVALID_DEVICE_REQUEST` where it has no unload routine.
    pub fn unload_driver(&self, name: &str) -> Result<NtStatus, LoadError> {
        let finished =
            self.request(|id| ToKernel::Unload { id, name: name.to_owned() }, &[], name)?;
        match finished.recv() {
            Ok(Finished::Unload(status)) => Ok(status),
            _ => Err(self.stopped(name)),
        }
    }

    fn request(
        &self,
        message: impl FnOnce(u64) -> ToKernel,
        payload: &[u8],
        driver: &str,
    ) -> Result<Receiver<Finished>, LoadError> {
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = channel();
        {
            let mut waiting = self.inner.waiting();
            if waiting.stopped.is_some() {
                drop(waiting);
                return Err(self.stopped(driver));
            }
            waiting.requests.insert(id, sender);
        }
        match self.inner.send(&message(id), payload) {
            Err(source) if source.kind() == io::ErrorKind::InvalidInput => {
                Err(LoadError::Handing { driver: driver.to_owned(), source })
            }
            // A broken line is a stop, which the server thread is about to see.
            Err(_) | Ok(()) => Ok(receiver),
        }
    }

    fn stopped(&self, driver: &str) -> LoadError {
        let report = self.wait_stop(None).expect("waiting without a limit ends with a stop");
        LoadError::Stopped { driver: driver.to_owned(), report: Box::new(report) }
    }

    /// The stop, where there was one; waits up to `limit` for it (without one, for ever).
    pub fn wait_stop(&self, limit: Option<Duration>) -> Option<StopReport> {
        let waiting = self.inner.waiting();
        let running = |waiting: &mut Waiting| waiting.stopped.is_none();
        match limit {
            Some(limit) => self
                .inner
                .stop_known
                .wait_timeout_while(waiting, limit, running)
                .unwrap_or_else(PoisonError::into_inner)
                .0
                .stopped
                .clone(),
            None => self
                .inner
                .stop_known
                .wait_while(waiting, running)
                .unwrap_or_else(PoisonError::into_inner)
                .stopped
                .clone(),
        }
    }

    /// The loaded modules, `ntoskrnl.exe` first.
    pub fn modules(&self) -> Vec<Module> {
        self.inner.shared.modules()
    }

    /// The process that runs the drivers.
    pub fn pid(&self) -> i32 {
        self.inner.pid
    }

    /// Freezes the process: no driver code runs any more.
    pub fn freeze(&self) {
        self.inner.signal(libc::SIGSTOP);
    }

    /// Reads kernel memory by the address that Windows would show. Pages that are not mapped are
    /// left as zeroes; None where nothing of the range could be read.
    pub fn read_memory(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        read_memory(self.inner.pid, address, length)
    }
}

/// See [`Kernel::read_memory`]; for a stop handler, which knows only the process.
pub fn read_memory(pid: i32, address: u64, length: usize) -> Option<Vec<u8>> {
    const PAGE: usize = 4096;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let start = layout::to_native(address);
    let mut bytes = vec![0; length];
    let mut any = false;
    let mut at = 0;
    while at < length {
        let here = start.checked_add(at as u64)?;
        let piece = (PAGE - (here as usize % PAGE)).min(length - at);
        if memory.read_exact_at(&mut bytes[at..at + piece], here).is_ok() {
            any = true;
        }
        at += piece;
    }
    any.then_some(bytes)
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.inner.signal(libc::SIGKILL);
        if let Some(server) = self.server.take()
            && server.thread().id() != std::thread::current().id()
            && server.join().is_ok()
        {
            self.inner.reap();
            self.inner.shared.release();
        }
    }
}

impl Inner {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, message: &ToKernel, payload: &[u8]) -> io::Result<()> {
        let _turn = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        wire::send(&self.line, message, payload)
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: signals our own child, which is not reaped before `Kernel` is dropped.
        unsafe { libc::kill(self.pid, signal) };
    }

    fn reap(&self) {
        // SAFETY: waits for our own child; a status is not wanted.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
    }

    fn serve(self: &Arc<Self>, host: &dyn KernelHost, stop: OwnedFd, on_stop: StopHandler) {
        let report = loop {
            let [line, stopped] = poll([self.line.as_raw_fd(), stop.as_raw_fd()], -1);
            if stopped & libc::POLLIN != 0 {
                self.drain(host);
                self.signal(libc::SIGSTOP);
                break self.shared.stop().unwrap_or_else(|| self.died());
            }
            if line != 0 {
                match wire::receive::<ToHost>(&self.line) {
                    Ok((message, payload)) => self.take(host, message, &payload),
                    Err(_) => {
                        self.signal(libc::SIGSTOP);
                        break self.shared.stop().unwrap_or_else(|| self.died());
                    }
                }
            }
        };
        {
            let mut waiting = self.waiting();
            waiting.stopped = Some(report.clone());
            waiting.requests.clear();
        }
        self.stop_known.notify_all();
        on_stop(report);
    }

    /// Takes what the process had printed before it stopped; requests are not answered any more.
    fn drain(&self, host: &dyn KernelHost) {
        let limit = Some(Duration::from_millis(200));
        if self.line.set_read_timeout(limit).is_err() {
            return;
        }
        while poll([self.line.as_raw_fd()], 0)[0] & libc::POLLIN != 0 {
            match wire::receive::<ToHost>(&self.line) {
                Ok((ToHost::Print(text), _)) => host.debug_print(&text),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    fn died(&self) -> StopReport {
        StopReport {
            bug_check: BugCheck { code: MODEL_STOP_CODE, parameters: [0; 4] },
            cause: StopCause::Model,
            module: None,
            modules: self.shared.modules(),
            registers: Registers::default(),
            exception: None,
            irql: 0,
        }
    }

    fn finish(&self, id: u64, finished: Finished) {
        if let Some(sender) = self.waiting().requests.remove(&id) {
            // The requester may have given up; then nobody wants the answer.
            let _ = sender.send(finished);
        }
    }

    fn take(self: &Arc<Self>, host: &dyn KernelHost, message: ToHost, payload: &[u8]) {
        match message {
            ToHost::Print(text) => host.debug_print(&text),
            ToHost::Processor { taken } => host.processor_taken(taken),
            ToHost::Loaded { id, outcome } => self.finish(id, Finished::Load(outcome)),
            ToHost::Unloaded { id, status } => self.finish(id, Finished::Unload(status)),
            ToHost::Call { id, call: Call::NotifyChange { directory, filter, subtree } } => {
                let inner = Arc::clone(self);
                let done = NotifyDone::new(move |answer| {
                    inner.reply(id, answer.map(|changes| (Answer::Changes(changes), Vec::new())));
                });
                host.notify_change(directory, filter, subtree, done);
            }
            ToHost::Call { id, call } => self.reply(id, answer(host, call, payload)),
        }
    }

    fn reply(&self, id: u64, answer: Result<(Answer, Vec<u8>), NtStatus>) {
        let (answer, payload) = match answer {
            Ok((answer, payload)) => (Ok(answer), payload),
            Err(status) => (Err(status), Vec::new()),
        };
        // A broken line shows in `serve`.
        let _ = self.send(&ToKernel::Reply { id, answer }, &payload);
    }
}

fn answer(
    host: &dyn KernelHost,
    call: Call,
    payload: &[u8],
) -> Result<(Answer, Vec<u8>), NtStatus> {
    let done = |()| (Answer::Done, Vec::new());
    let plain = |answer| (answer, Vec::new());
    match call {
        Call::Open(request) => host.open(&request).map(|opened| plain(Answer::Opened(opened))),
        Call::Read { file, offset, length } => {
            host.read(file, offset, length).map(|data| (Answer::Data, data))
        }
        Call::Write { file, offset } => host.write(file, offset, payload).map(done),
        Call::SetSize { file, size } => host.set_size(file, size).map(done),
        Call::Facts(file) => host.facts(file).map(|facts| plain(Answer::Facts(facts))),
        Call::List(file) => host.list(file).map(|list| plain(Answer::List(list))),
        Call::SetDeleteOnClose { file, delete } => host.set_delete_on_close(file, delete).map(done),
        Call::Close(file) => {
            host.close(file);
            Ok(plain(Answer::Done))
        }
        Call::KeyExists(key) => host.key_exists(&key).map(done),
        Call::CreateKey(key) => host.create_key(&key).map(|new| plain(Answer::Created(new))),
        Call::DeleteKey(key) => host.delete_key(&key).map(done),
        Call::Subkeys(key) => host.subkeys(&key).map(|names| plain(Answer::Names(names))),
        Call::Values(key) => host.values(&key).map(values),
        Call::Value { key, name } => host.value(&key, &name).map(|value| values(vec![value])),
        Call::SetValue { key, mut value } => {
            value.data = payload.to_vec();
            host.set_value(&key, &value).map(done)
        }
        Call::DeleteValue { key, name } => host.delete_value(&key, &name).map(done),
        Call::NotifyChange { .. } => Err(NtStatus::INVALID_PARAMETER),
    }
}

fn values(values: Vec<super::RegistryValue>) -> (Answer, Vec<u8>) {
    let mut payload = Vec::new();
    let heads = values
        .into_iter()
        .map(|value| {
            payload.extend_from_slice(&value.data);
            let length = value.data.len() as u32;
            (value, length)
        })
        .collect();
    (Answer::Values(heads), payload)
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors are new and owned by nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

fn poll<const N: usize>(files: [libc::c_int; N], limit_ms: libc::c_int) -> [libc::c_short; N] {
    let mut polled = files.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // SAFETY: `polled` is an array of N entries.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, limit_ms) };
    if ready <= 0 { [0; N] } else { polled.map(|file| file.revents) }
}

//! The kernel process: everything here runs in the forked child only.
//!
//! The thread that came out of the fork reads the line from PID 1: replies go to the driver thread
//! that asked, loads and unloads each get a system thread. Driver code never runs on it.

mod fault;
mod handlers;
mod loader;
mod memory;
mod ntoskrnl;
mod objects;
mod privileged;
mod shared_data;
mod thread;
mod watchdog;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::NtStatus;
use super::exports::sync;
use super::record::Shared;
use super::wire::{self, Answer, Call, ToHost, ToKernel};

pub(super) use fault::{Caller, bug_check, stop_lacking};
pub(super) use loader::find_system_routine;
pub(super) use memory::{PoolError, PoolKind, pool};
pub(super) use objects::{FileState, Object, objects};
pub(super) use thread::{current_thread, enter, irql, leave, set_irql, spawn, system_process};
pub(super) use watchdog::begin_dpc;

type Reply = Result<(Answer, Vec<u8>), NtStatus>;

/// What the process keeps. One per process: it is set once, after the fork.
pub(super) struct State {
    line: UnixStream,
    sending: Mutex<()>,
    calls: Mutex<HashMap<u64, Sender<Reply>>>,
    next: AtomicU64,
    shared: Shared,
    stop: RawFd,
}

static STATE: OnceLock<State> = OnceLock::new();

pub(super) fn state() -> &'static State {
    STATE.get().expect("set before the first driver runs")
}

/// Locks and goes on after a panic elsewhere: such a panic ends the process anyway.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The child's life.
pub(super) fn run(line: UnixStream, stop: OwnedFd, shared: Shared, time_scale: f64) -> ! {
    let code = match prepare(line, stop, shared, time_scale).and_then(|state| state.receive()) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("understudy kernel process: {error}");
            1
        }
    };
    thread::exit_process(code)
}

fn prepare(
    line: UnixStream,
    stop: OwnedFd,
    shared: Shared,
    time_scale: f64,
) -> io::Result<&'static State> {
    thread::follow_parent();
    thread::close_all_but([line.as_raw_fd(), stop.as_raw_fd()]);
    let fresh = State {
        line,
        sending: Mutex::new(()),
        calls: Mutex::default(),
        next: AtomicU64::new(1),
        shared,
        stop: stop.into_raw_fd(),
    };
    let state = STATE.get_or_init(|| fresh);
    memory::map_regions()?;
    shared_data::map()?;
    ntoskrnl::map(shared)?;
    fault::install()?;
    watchdog::start(time_scale)?;
    Ok(state)
}

impl State {
    fn receive(&self) -> io::Result<()> {
        loop {
            let (message, payload) = match wire::receive::<ToKernel>(&self.line) {
                Ok(frame) => frame,
                // PID 1 is gone or dropped the kernel.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            };
            match message {
                ToKernel::Reply { id, answer } => {
                    if let Some(waiting) = lock(&self.calls).remove(&id) {
                        // A thread that no longer waits wants no answer.
                        let _ = waiting.send(answer.map(|answer| (answer, payload)));
                    }
                }
                ToKernel::Load { id, name, path, service_key, check_checksum } => {
                    let load = loader::Load { name, path, service_key, check_checksum };
                    self.on_thread(move |state| {
                        let outcome = loader::load(state, &load, &payload);
                        state.tell(&ToHost::Loaded { id, outcome });
                    })?;
                }
                ToKernel::Session => sync::begin_session(),
                ToKernel::Unload { id, name } => self.on_thread(move |state| {
                    let status = loader::unload(state, &name);
                    state.tell(&ToHost::Unloaded { id, status });
                })?,
            }
        }
    }

    fn on_thread(&self, work: impl FnOnce(&'static State) + Send + 'static) -> io::Result<()> {
        match spawn(Box::new(move || work(state()))) {
            Some(_) => Ok(()),
            None => Err(io::Error::other("no system thread could be started")),
        }
    }

    fn tell(&self, message: &ToHost) {
        let _turn = lock(&self.sending);
        if wire::send(&self.line, message, &[]).is_err() {
            // PID 1 is gone; nothing that this process does matters any more.
            thread::exit_process(0);
        }
    }

    /// Prints to PID 1.
    pub(super) fn print(&self, text: &str) {
        self.tell(&ToHost::Print(text.to_owned()));
    }

    /// Sends a request and waits for its answer.
    pub(super) fn call(&self, call: Call, payload: &[u8]) -> Reply {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = channel();
        lock(&self.calls).insert(id, sender);
        let sent = {
            let _turn = lock(&self.sending);
            wire::send(&self.line, &ToHost::Call { id, call }, payload)
        };
        if sent.is_err() {
            lock(&self.calls).remove(&id);
            return Err(NtStatus::INVALID_PARAMETER);
        }
        receiver.recv().unwrap_or(Err(NtStatus::CANCELLED))
    }
}

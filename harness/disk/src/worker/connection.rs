//! The harness's side: one worker process, and its answers.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::frame::{DATA_LIMIT, FrameKind, parse, read_frame, write_frame, write_message};
use super::protocol::{Answer, Request, Task};

/// What an answer may take. Most come within a millisecond; a slow disk under load takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// What an answer may take for which a whole volume is read.
const LONG_PATIENCE: Duration = Duration::from_secs(3600);
/// What is kept of the last words of a worker, in bytes.
const LAST_WORDS: u64 = 4096;
/// The longest text of the worker that goes into an error, in bytes.
const TEXT_LIMIT: usize = 4096;

/// The name of the program.
const PROGRAM: &str = "loopbreak-volumes";
/// Names another place of it.
const VARIABLE: &str = "LOOPBREAK_VOLUMES";

/// The worker could not do its work. What a volume refuses is a [`volume::VolumeError`] instead.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkerError {
    /// Its program is missing.
    #[error(
        "the program {PROGRAM}, which reads volumes, is not beside {beside}; build it with `cargo build \
         -p disk --bin {PROGRAM}`, or name it in ${VARIABLE}"
    )]
    Missing {
        /// Where it was looked for.
        beside: PathBuf,
    },
    /// It cannot be started.
    #[error("{program} cannot be started: {reason}")]
    NoStart {
        /// The program.
        program: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is gone, or was ended because it did not do what it should.
    #[error("the worker process that reads the volumes {0}")]
    Gone(String),
    /// It says that it cannot do it.
    #[error("{0}")]
    Refused(String),
}

impl WorkerError {
    /// It gave an answer to another question.
    pub(crate) fn confused() -> Self {
        Self::Gone("answers another question than it was asked".to_owned())
    }
}

/// A worker.
#[derive(Debug)]
pub(crate) struct Worker {
    connection: Mutex<Connection>,
}

#[derive(Debug)]
struct Connection {
    child: Child,
    errors: Option<ChildStderr>,
    stream: UnixStream,
    buffer: Vec<u8>,
    patience: Duration,
    gone: Option<WorkerError>,
}

impl Worker {
    /// Starts a worker on the connected socket `disk`.
    pub(crate) fn start(disk: UnixStream) -> Result<Self, WorkerError> {
        Self::start_program(program()?, disk, PATIENCE)
    }

    /// Starts this program.
    pub(super) fn start_program(
        program: PathBuf,
        disk: UnixStream,
        patience: Duration,
    ) -> Result<Self, WorkerError> {
        let no_start = |error: io::Error| WorkerError::NoStart {
            program: program.clone(),
            reason: error.to_string(),
        };
        let (stream, theirs) = UnixStream::pair().map_err(no_start)?;
        let mut child = Command::new(&program)
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(OwnedFd::from(disk))
            .stderr(Stdio::piped())
            .spawn()
            .map_err(no_start)?;
        let errors = child.stderr.take();
        let buffer = Vec::new();
        let mut connection = Connection { child, errors, stream, buffer, patience, gone: None };
        connection.limit(patience);
        let landlock = match connection.frame()? {
            FrameKind::Data => connection.buffer.first() == Some(&1),
            _ => return Err(connection.give_up("does not begin as it should".to_owned())),
        };
        if !landlock {
            tracing::warn!("this kernel has no Landlock: the worker is held by seccomp alone");
        }
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Asks for something that is answered at once.
    pub(crate) fn ask(&self, request: &Request) -> Result<Answer, WorkerError> {
        let mut connection = self.lock();
        connection.send(request)?;
        connection.answer(&mut |_| Err("sends bytes where none were asked for".to_owned()))
    }

    /// Asks for bytes; `take` gets them, and may say that there are too many.
    pub(crate) fn fetch(
        &self,
        request: &Request,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Answer, WorkerError> {
        let mut connection = self.lock();
        connection.send(request)?;
        connection.answer(take)
    }

    /// Asks to take the `size` bytes of `source`. `seen` sees them on their way. The outer error is the
    /// worker's, the inner one that of `source`.
    pub(crate) fn store(
        &self,
        request: &Request,
        source: &mut dyn Read,
        size: u64,
        seen: &mut dyn FnMut(&[u8]),
    ) -> Result<Result<Answer, io::Error>, WorkerError> {
        let mut connection = self.lock();
        connection.send(request)?;
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(DATA_LIMIT).min(DATA_LIMIT)];
        let mut left = size;
        let mut failed = None;
        while left > 0 && failed.is_none() {
            let wanted = usize::try_from(left).unwrap_or(DATA_LIMIT).min(DATA_LIMIT);
            match source.read_exact(&mut buffer[..wanted]) {
                Ok(()) => {
                    seen(&buffer[..wanted]);
                    connection.put(FrameKind::Data, &buffer[..wanted])?;
                    left -= wanted as u64;
                }
                Err(error) => failed = Some(error),
            }
        }
        let end = if failed.is_some() { FrameKind::Abort } else { FrameKind::End };
        connection.put(end, &[])?;
        let answer =
            connection.answer(&mut |_| Err("sends bytes where none were asked for".to_owned()));
        match failed {
            Some(error) => Ok(Err(error)),
            None => answer.map(Ok),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a whole volume, or any number of files, may have to be read for it.
fn is_long(request: &Request) -> bool {
    matches!(
        request,
        Request::Check { .. }
            | Request::Find { .. }
            | Request::On { task: Task::Check | Task::RemoveDirAll { .. }, .. }
    )
}

impl Connection {
    fn limit(&mut self, limit: Duration) {
        // A limit of zero is the only one that is refused.
        let _ = self.stream.set_read_timeout(Some(limit));
        let _ = self.stream.set_write_timeout(Some(limit));
    }

    fn send(&mut self, request: &Request) -> Result<(), WorkerError> {
        if let Some(gone) = &self.gone {
            return Err(gone.clone());
        }
        self.limit(if is_long(request) { LONG_PATIENCE } else { self.patience });
        let written = write_message(&mut self.stream, request);
        written.map_err(|error| self.lost(&error))
    }

    fn put(&mut self, kind: FrameKind, payload: &[u8]) -> Result<(), WorkerError> {
        let written = write_frame(&mut self.stream, kind, payload);
        written.map_err(|error| self.lost(&error))
    }

    fn frame(&mut self) -> Result<FrameKind, WorkerError> {
        let read = read_frame(&mut self.stream, &mut self.buffer);
        read.map_err(|error| self.lost(&error))
    }

    fn answer(
        &mut self,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Answer, WorkerError> {
        loop {
            match self.frame()? {
                FrameKind::Message => break,
                FrameKind::Data => {
                    let buffer = std::mem::take(&mut self.buffer);
                    let taken = take(&buffer);
                    self.buffer = buffer;
                    taken.map_err(|what| self.give_up(what))?;
                }
                other => return Err(self.give_up(format!("sends a frame {other:?}"))),
            }
        }
        match parse(&self.buffer) {
            Ok(Answer::Refused(reason)) => Err(WorkerError::Refused(shortened(reason))),
            Ok(Answer::Failed(mut error)) => {
                error.path = shortened(error.path);
                Ok(Answer::Failed(error))
            }
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.give_up(format!("answers what cannot be understood: {error}"))),
        }
    }

    /// The socket failed: why?
    fn lost(&mut self, error: &io::Error) -> WorkerError {
        use io::ErrorKind::{InvalidData, TimedOut, WouldBlock};
        match error.kind() {
            TimedOut | WouldBlock => {
                let limit = self.stream.read_timeout().ok().flatten().unwrap_or(PATIENCE);
                self.give_up(format!(
                    "did not answer within {} s and was ended",
                    limit.as_secs_f32()
                ))
            }
            InvalidData => self.give_up(format!("answers what cannot be understood: {error}")),
            _ => {
                let status = self.end();
                let words = self.last_words();
                self.remember(format!("{}{words}", ending(status)))
            }
        }
    }

    fn give_up(&mut self, what: String) -> WorkerError {
        let _ = self.end();
        self.remember(what)
    }

    fn remember(&mut self, what: String) -> WorkerError {
        let error = WorkerError::Gone(what);
        self.gone = Some(error.clone());
        error
    }

    /// Ends the process, if it has not ended by itself: then its own status stays.
    fn end(&mut self) -> io::Result<ExitStatus> {
        let _ = self.child.kill();
        self.child.wait()
    }

    fn last_words(&mut self) -> String {
        let mut words = Vec::new();
        if let Some(errors) = self.errors.take() {
            let _ = errors.take(LAST_WORDS).read_to_end(&mut words);
        }
        let words = String::from_utf8_lossy(&words);
        match words.trim() {
            "" => String::new(),
            words => format!(": {words}"),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // It ends by itself when the socket does; what was not flushed is not to be kept.
        let _ = self.end();
    }
}

fn ending(status: io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt;
    let Ok(status) = status else { return "is gone".to_owned() };
    match (status.signal(), status.code()) {
        (Some(signal), _) => {
            let meaning = match signal {
                libc::SIGSYS => " (SIGSYS: it tried what its fence does not allow)",
                libc::SIGABRT => " (SIGABRT: it ran out of memory, or gave up)",
                libc::SIGSEGV => " (SIGSEGV)",
                libc::SIGKILL => " (SIGKILL)",
                _ => "",
            };
            format!("was ended by signal {signal}{meaning}")
        }
        (None, Some(101)) => "failed (a defect of loopbreak; please report it)".to_owned(),
        (None, code) => format!("ended with exit code {}", code.unwrap_or_default()),
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > TEXT_LIMIT {
        let end = (0..=TEXT_LIMIT).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The worker's program: named by the variable, or beside the running program, or, for the tests of cargo,
/// which lie in a directory of their own, above that.
fn program() -> Result<PathBuf, WorkerError> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Ok(PathBuf::from(named));
    }
    let running = std::env::current_exe().unwrap_or_default();
    let directories = [running.parent(), running.parent().and_then(Path::parent)];
    directories
        .into_iter()
        .flatten()
        .map(|directory| directory.join(PROGRAM))
        .find(|program| program.is_file())
        .ok_or_else(|| WorkerError::Missing { beside: running.clone() })
}

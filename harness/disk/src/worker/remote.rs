//! A volume that the worker reads and writes.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use volume::{
    Check, Entry, FileTime, Guard, MAX_READ, Metadata, Operation, Reason, Volume, VolumeError,
};

use super::connection::{Worker, WorkerError};
use super::protocol::{Answer, Request, Task};
use crate::session::Session;

/// The longest name in UTF-8: 255 UTF-16 units.
const NAME_LIMIT: usize = 255 * 3;

/// A volume of the worker's.
pub(crate) struct RemoteVolume {
    worker: Arc<Worker>,
    handle: u32,
    partition: u32,
    file_system: String,
    session: Arc<Session>,
}

impl RemoteVolume {
    /// Opens the volume of `partition`.
    pub(crate) fn open(
        worker: &Arc<Worker>,
        partition: u32,
        file_system: String,
        session: &Arc<Session>,
        to_write: bool,
    ) -> Result<Self, VolumeError> {
        let mut volume = Self {
            worker: Arc::clone(worker),
            handle: 0,
            partition,
            file_system,
            session: Arc::clone(session),
        };
        let answer = worker.ask(&Request::Open { partition, to_write });
        match answer.map_err(|error| volume.device(Operation::Open, "\\", error))? {
            Answer::Volume { handle, replayed } => {
                if let Some(replayed) = replayed {
                    tracing::info!(partition, %replayed, "the volume was not let go of cleanly");
                    session.replayed(partition, replayed);
                }
                volume.handle = handle;
                Ok(volume)
            }
            other => Err(volume.unexpected(Operation::Open, "\\", other)),
        }
    }

    fn request(&self, task: Task) -> Request {
        Request::On { volume: self.handle, task }
    }

    fn ask(&self, operation: Operation, path: &str, task: Task) -> Result<Answer, VolumeError> {
        let answer = self.worker.ask(&self.request(task));
        self.checked(operation, path, answer)
    }

    fn checked(
        &self,
        operation: Operation,
        path: &str,
        answer: Result<Answer, WorkerError>,
    ) -> Result<Answer, VolumeError> {
        match answer {
            Ok(Answer::Failed(error)) => Err(error),
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.device(operation, path, error)),
        }
    }

    fn device(&self, operation: Operation, path: &str, error: WorkerError) -> VolumeError {
        self.failure(operation, path, Reason::Device(io::Error::other(error)))
    }

    fn unexpected(&self, operation: Operation, path: &str, answer: Answer) -> VolumeError {
        match answer {
            Answer::Failed(error) => error,
            _ => self.device(operation, path, WorkerError::confused()),
        }
    }

    fn failure(&self, operation: Operation, path: &str, reason: Reason) -> VolumeError {
        VolumeError {
            file_system: self.file_system.clone().into(),
            operation,
            path: path.to_owned(),
            reason,
        }
    }

    fn done(&self, operation: Operation, path: &str, task: Task) -> Result<(), VolumeError> {
        match self.ask(operation, path, task)? {
            Answer::Done => Ok(()),
            other => Err(self.unexpected(operation, path, other)),
        }
    }

    /// Up to `len` bytes from `offset`, one part after the other.
    fn fetch(
        &self,
        path: &str,
        offset: u64,
        len: u64,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), VolumeError> {
        let mut left = len;
        let request = self.request(Task::Read { path: path.to_owned(), offset, len });
        let answer = self.worker.fetch(&request, &mut |part| {
            left = left
                .checked_sub(part.len() as u64)
                .ok_or_else(|| "sends more bytes than were asked for".to_owned())?;
            take(part);
            Ok(())
        });
        match self.checked(Operation::Read, path, answer)? {
            Answer::Done => Ok(()),
            other => Err(self.unexpected(Operation::Read, path, other)),
        }
    }
}

impl Drop for RemoteVolume {
    fn drop(&mut self) {
        if self.handle != 0 {
            let _ = self.worker.ask(&Request::Close { volume: self.handle });
        }
    }
}

impl Volume for RemoteVolume {
    fn list(&mut self, path: &str) -> Result<Vec<Entry>, VolumeError> {
        match self.ask(Operation::List, path, Task::List { path: path.to_owned() })? {
            Answer::Entries(entries) => {
                if entries.iter().any(|entry| entry.name.len() > NAME_LIMIT) {
                    let reason = Reason::Damaged("a name is longer than 255 characters".to_owned());
                    return Err(self.failure(Operation::List, path, reason));
                }
                Ok(entries)
            }
            other => Err(self.unexpected(Operation::List, path, other)),
        }
    }

    fn metadata(&mut self, path: &str) -> Result<Metadata, VolumeError> {
        match self.ask(Operation::Metadata, path, Task::Metadata { path: path.to_owned() })? {
            Answer::Metadata(metadata) => Ok(metadata),
            other => Err(self.unexpected(Operation::Metadata, path, other)),
        }
    }

    fn read(&mut self, path: &str) -> Result<Vec<u8>, VolumeError> {
        let size = self.metadata(path)?.size;
        if size > MAX_READ {
            let reason = Reason::TooLarge { size, limit: MAX_READ };
            return Err(self.failure(Operation::Read, path, reason));
        }
        let mut bytes = Vec::new();
        // One byte more than it should have: what has grown is seen, and a folder is refused.
        self.fetch(path, 0, size.max(1), &mut |part| bytes.extend_from_slice(part))?;
        Ok(bytes)
    }

    fn read_at(
        &mut self,
        path: &str,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, VolumeError> {
        let mut read = 0;
        let len = buffer.len() as u64;
        self.fetch(path, offset, len, &mut |part| {
            // Not more than was asked for: that is checked before.
            buffer[read..read + part.len()].copy_from_slice(part);
            read += part.len();
        })?;
        Ok(read)
    }

    fn extents(&mut self, path: &str) -> Result<Vec<Range<u64>>, VolumeError> {
        match self.ask(Operation::Read, path, Task::Extents { path: path.to_owned() })? {
            Answer::Extents(extents) => Ok(extents),
            other => Err(self.unexpected(Operation::Read, path, other)),
        }
    }

    fn write_from(
        &mut self,
        path: &str,
        source: &mut dyn Read,
        size: u64,
    ) -> Result<(), VolumeError> {
        let mut hasher = blake3::Hasher::new();
        let request = self.request(Task::Write { path: path.to_owned(), size });
        let mut seen = |part: &[u8]| {
            hasher.update(part);
        };
        let stored = self.worker.store(&request, source, size, &mut seen);
        let result = match stored {
            Ok(Ok(answer)) => self.checked(Operation::Write, path, Ok(answer)),
            Ok(Err(error)) => Err(self.failure(Operation::Write, path, Reason::Device(error))),
            Err(error) => Err(self.device(Operation::Write, path, error)),
        };
        match result {
            Ok(Answer::Done) => {
                self.session.written(self.partition, path, size, hasher.finalize());
                Ok(())
            }
            Ok(other) => Err(self.unexpected(Operation::Write, path, other)),
            Err(error) => {
                // What stands there now is not known; one that was refused before is as it was.
                if !matches!(error.reason, Reason::Guarded(_)) {
                    self.session.touched(self.partition, path);
                }
                Err(error)
            }
        }
    }

    fn write_at(&mut self, path: &str, offset: u64, data: &[u8]) -> Result<(), VolumeError> {
        let size = data.len() as u64;
        let request = self.request(Task::WriteAt { path: path.to_owned(), offset, size });
        let answer = match self.worker.store(&request, &mut &*data, size, &mut |_| {}) {
            Ok(Ok(answer)) => self.checked(Operation::Write, path, Ok(answer))?,
            Ok(Err(error)) => {
                return Err(self.failure(Operation::Write, path, Reason::Device(error)));
            }
            Err(error) => return Err(self.device(Operation::Write, path, error)),
        };
        match answer {
            Answer::Done => {
                self.session.touched(self.partition, path);
                Ok(())
            }
            other => Err(self.unexpected(Operation::Write, path, other)),
        }
    }

    fn set_size(&mut self, path: &str, size: u64) -> Result<(), VolumeError> {
        self.done(Operation::Resize, path, Task::SetSize { path: path.to_owned(), size })?;
        self.session.touched(self.partition, path);
        Ok(())
    }

    fn create_dir_all(&mut self, path: &str) -> Result<(), VolumeError> {
        let task = Task::CreateDirAll { path: path.to_owned() };
        self.done(Operation::CreateDirectory, path, task)?;
        self.session.touched(self.partition, path);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), VolumeError> {
        let task = Task::Rename { from: from.to_owned(), to: to.to_owned() };
        self.done(Operation::Rename, from, task)?;
        self.session.renamed(self.partition, from, to);
        Ok(())
    }

    fn remove_file(&mut self, path: &str) -> Result<(), VolumeError> {
        self.done(Operation::Remove, path, Task::RemoveFile { path: path.to_owned() })?;
        self.session.removed(self.partition, path);
        Ok(())
    }

    fn remove_dir_all(&mut self, path: &str) -> Result<(), VolumeError> {
        self.done(Operation::Remove, path, Task::RemoveDirAll { path: path.to_owned() })?;
        self.session.removed(self.partition, path);
        Ok(())
    }

    fn set_times(
        &mut self,
        path: &str,
        created: FileTime,
        modified: FileTime,
    ) -> Result<(), VolumeError> {
        let task = Task::SetTimes { path: path.to_owned(), created, modified };
        self.done(Operation::SetTimes, path, task)?;
        self.session.touched_if_new(self.partition, path);
        Ok(())
    }

    fn set_clock(&mut self, now: FileTime) {
        // A worker that is gone says so with the next request.
        let _ = self.done(Operation::SetTimes, "\\", Task::SetClock { now });
    }

    fn label(&mut self) -> Result<String, VolumeError> {
        match self.ask(Operation::Label, "\\", Task::Label)? {
            Answer::Text(label) => Ok(label),
            other => Err(self.unexpected(Operation::Label, "\\", other)),
        }
    }

    fn guard(&mut self) -> Result<Option<Guard>, VolumeError> {
        match self.ask(Operation::Open, "\\", Task::Guard)? {
            Answer::Guard(guard) => Ok(guard),
            other => Err(self.unexpected(Operation::Open, "\\", other)),
        }
    }

    fn accept_crash_state(&mut self) -> Result<Option<String>, VolumeError> {
        match self.ask(Operation::Open, "\\", Task::AcceptCrashState)? {
            Answer::GivenUp(given_up) => Ok(given_up),
            other => Err(self.unexpected(Operation::Open, "\\", other)),
        }
    }

    fn check(&mut self) -> Result<Check, VolumeError> {
        match self.ask(Operation::Check, "\\", Task::Check)? {
            Answer::Check(check) => Ok(check),
            other => Err(self.unexpected(Operation::Check, "\\", other)),
        }
    }

    fn free_space(&mut self) -> Result<u64, VolumeError> {
        match self.ask(Operation::FreeSpace, "\\", Task::FreeSpace)? {
            Answer::Number(bytes) => Ok(bytes),
            other => Err(self.unexpected(Operation::FreeSpace, "\\", other)),
        }
    }

    fn flush(&mut self) -> Result<(), VolumeError> {
        self.done(Operation::Flush, "\\", Task::Flush)
    }
}

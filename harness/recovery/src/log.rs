//! The remediation log: one JSON line for each request, among the evidence of a run.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use crate::protocol::Record;

/// Version of the log's lines.
pub const LOG_FORMAT: u32 = 1;

/// When the log has so many bytes, it goes on without the bodies.
const BODIES: u64 = 16 * 1024 * 1024;

/// Why the log could not be written.
#[derive(Debug, Error)]
#[error("cannot write the remediation log {path}; is there space, and is its directory writable?")]
pub struct LogError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    format: u32,
    /// The host's clock, unlike everything else in a run.
    time: Timestamp,
    #[serde(flatten)]
    record: &'a Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// What the machine sent, where that was readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a serde_json::Value>,
}

/// A log that is being written.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    written: u64,
}

impl Log {
    /// Makes the log, or goes on with one that is there.
    pub(crate) fn open(path: &Path) -> Result<Self, LogError> {
        let file = File::options()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|source| LogError { path: path.to_path_buf(), source })?;
        Ok(Self { path: path.to_path_buf(), file, written: 0 })
    }

    /// Adds one line, in one write.
    pub(crate) fn write(
        &mut self,
        record: &Record,
        status: Option<u16>,
        body: Option<&serde_json::Value>,
    ) -> Result<(), LogError> {
        let body = body.filter(|_| self.written < BODIES);
        let line = Line { format: LOG_FORMAT, time: Timestamp::now(), record, status, body };
        serde_json::to_vec(&line)
            .map_err(io::Error::from)
            .and_then(|mut bytes| {
                bytes.push(b'\n');
                self.written += bytes.len() as u64;
                self.file.write_all(&bytes)
            })
            .map_err(|source| LogError { path: self.path.clone(), source })
    }
}

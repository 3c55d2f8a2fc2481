//! What can go wrong on a volume.

use crate::Guard;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use thiserror::Error;
use words::escaped;

/// What was being done on a volume when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Opening or formatting the volume.
    Open,
    /// Creating an empty file system.
    Format,
    /// Reading a directory.
    List,
    /// Reading size and times.
    Metadata,
    /// Reading a file.
    Read,
    /// Writing or creating a file.
    Write,
    /// Changing the size of a file.
    Resize,
    /// Creating a directory.
    CreateDirectory,
    /// Moving.
    Rename,
    /// Deleting.
    Remove,
    /// Setting times.
    SetTimes,
    /// Counting free space.
    FreeSpace,
    /// Reading the label.
    Label,
    /// Checking the volume against itself.
    Check,
    /// Carrying out the log.
    Replay,
    /// Writing back what is buffered.
    Flush,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Operation::Open => "open",
            Operation::Format => "format",
            Operation::List => "list",
            Operation::Metadata => "look at",
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Resize => "resize",
            Operation::CreateDirectory => "create directory",
            Operation::Rename => "move",
            Operation::Remove => "delete",
            Operation::SetTimes => "set the times of",
            Operation::FreeSpace => "count the free space of",
            Operation::Label => "read the label of",
            Operation::Check => "check",
            Operation::Replay => "replay",
            Operation::Flush => "flush",
        })
    }
}

/// Why an operation on a volume failed.
#[derive(Debug, Error, Serialize, Deserialize)]
pub enum Reason {
    /// Nothing is there, or a directory on the way is missing.
    #[error("there is no such file or directory")]
    NotFound,
    /// Something is there already.
    #[error("it exists already; delete it first or choose another name")]
    AlreadyExists,
    /// A directory was wanted.
    #[error("it is not a directory")]
    NotADirectory,
    /// A file was wanted.
    #[error("it is a directory")]
    IsADirectory,
    /// The path cannot be a path of this file system.
    #[error("the path is not usable: {0}")]
    BadPath(Cow<'static, str>),
    /// Not enough room.
    #[error("the volume is full; make it larger or delete something")]
    Full,
    /// The file is larger than this operation takes.
    #[error("it has {size} bytes, more than the {limit} that are read at once; read it in parts")]
    TooLarge {
        /// Bytes of the file.
        size: u64,
        /// Most bytes allowed.
        limit: u64,
    },
    /// What is on the device is no valid file system of this kind.
    #[error("the file system is damaged or of another kind: {0}")]
    Damaged(String),
    /// Valid, but not supported here.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The volume is in a state in which it must not be written to, or cannot be read.
    #[error(transparent)]
    Guarded(Guard),
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(
        #[source]
        #[serde(with = "device_error")]
        std::io::Error,
    ),
}

impl Reason {
    pub(crate) fn bad_path(what: &'static str) -> Self {
        Self::BadPath(Cow::Borrowed(what))
    }
}

/// An error of the system goes over as its number, any other as its text.
mod device_error {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::io;

    #[derive(Serialize, Deserialize)]
    enum Wire {
        System(i32),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(error: &io::Error, out: S) -> Result<S::Ok, S::Error> {
        match error.raw_os_error() {
            Some(code) => Wire::System(code),
            None => Wire::Text(error.to_string()),
        }
        .serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<io::Error, D::Error> {
        Ok(match Wire::deserialize(input)? {
            Wire::System(code) => io::Error::from_raw_os_error(code),
            Wire::Text(text) => io::Error::other(text),
        })
    }
}

/// An operation on a volume failed.
#[derive(Debug, Error, Serialize, Deserialize)]
#[error("cannot {operation} '{}' on the {file_system} volume: {}", escaped(path), escaped(reason))]
pub struct VolumeError {
    /// `NTFS` or `FAT`.
    pub file_system: Cow<'static, str>,
    /// What was being done.
    pub operation: Operation,
    /// With what; `\` for the volume itself.
    pub path: String,
    /// Why it failed.
    #[source]
    pub reason: Reason,
}

impl VolumeError {
    /// True if the file or directory (or one above it) does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self.reason, Reason::NotFound)
    }

    /// True if the device below failed, so that the next operation would fail too.
    pub fn is_device(&self) -> bool {
        matches!(self.reason, Reason::Device(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_go_over_to_another_process() {
        for reason in [
            Reason::NotFound,
            Reason::bad_path("a name ends in a space"),
            Reason::TooLarge { size: 5, limit: 4 },
            Reason::Guarded(Guard::hibernated("HIBR")),
            Reason::Device(std::io::Error::from_raw_os_error(5)),
            Reason::Device(std::io::Error::other("the connection is gone")),
        ] {
            let (path, operation) = ("a".to_owned(), Operation::Read);
            let error = VolumeError { file_system: "NTFS".into(), operation, path, reason };
            let wire = serde_json::to_string(&error).unwrap();
            let back: VolumeError = serde_json::from_str(&wire).unwrap();
            assert_eq!(back.to_string(), error.to_string());
            assert_eq!(back.is_device(), error.is_device());
        }
    }
}

//! What the harness asks of the worker, and what it answers.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use volume::{
    Check, Entry, FileSystem, FileTime, Guard, Metadata, Partition, PartitionTable, Replayed,
    VolumeError,
};

/// The name of the export that the worker reads.
pub(crate) const EXPORT: &str = "disk";

/// A request. One is under way at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Request {
    /// What is on the disk. The first request: the others need the table.
    Survey,
    /// Opens the volume of a partition; answered by its handle. To write to it, what a crash left in its log is carried
    /// out first.
    Open { partition: u32, to_write: bool },
    /// Forgets a handle.
    Close { volume: u32 },
    /// Something by path on an open volume.
    On { volume: u32, task: Task },
    /// Checks the volume of a partition against itself, opened anew.
    Check { partition: u32, scope: Scope },
    /// What is at these paths.
    Find { partition: u32, reader: Reader, paths: Vec<String> },
    /// A file by the independent reader; its bytes follow as those of [`Task::Read`].
    ReadBack { partition: u32, path: String, limit: u64 },
    /// How the disk is divided now. What the other requests go by stays the survey.
    Table,
    /// Puts a partition into a slot of the table, or clears the slot.
    SetPartition { number: u32, partition: Option<Partition> },
    /// Has everything reach the medium.
    Flush,
}

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scope {
    /// What was changed since the survey.
    Changes,
    /// The whole volume.
    Whole,
}

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reader {
    /// The implementation that also writes.
    Own,
    /// Another one.
    Independent,
}

/// What the methods of [`volume::Volume`] do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    List {
        path: String,
    },
    Metadata {
        path: String,
    },
    /// Data frames with the bytes from `offset`, at most `len` of them, then the answer.
    Read {
        path: String,
        offset: u64,
        len: u64,
    },
    Extents {
        path: String,
    },
    /// Data frames with `size` bytes follow, then an end or abort frame.
    Write {
        path: String,
        size: u64,
    },
    /// As [`Task::Write`].
    WriteAt {
        path: String,
        offset: u64,
        size: u64,
    },
    SetSize {
        path: String,
        size: u64,
    },
    CreateDirAll {
        path: String,
    },
    Rename {
        from: String,
        to: String,
    },
    RemoveFile {
        path: String,
    },
    RemoveDirAll {
        path: String,
    },
    SetTimes {
        path: String,
        created: FileTime,
        modified: FileTime,
    },
    SetClock {
        now: FileTime,
    },
    Label,
    Guard,
    AcceptCrashState,
    Check,
    FreeSpace,
    Flush,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Survey(Survey),
    Table(PartitionTable),
    Volume {
        handle: u32,
        replayed: Option<Replayed>,
    },
    Entries(Vec<Entry>),
    Metadata(Metadata),
    Number(u64),
    Extents(Vec<Range<u64>>),
    Text(String),
    Guard(Option<Guard>),
    GivenUp(Option<String>),
    Check(Check),
    Found(Vec<Found>),
    /// The volume could not do it.
    Failed(VolumeError),
    /// The worker could not do it.
    Refused(String),
}

/// What is on a disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Survey {
    /// Bytes.
    pub(crate) len: u64,
    /// Bytes that it has by its partition table; 0 where that says nothing of it.
    pub(crate) described: u64,
    /// How it is divided.
    pub(crate) table: PartitionTable,
    /// One for each partition.
    pub(crate) volumes: Vec<Surveyed>,
}

/// What is on a partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Surveyed {
    pub(crate) file_system: FileSystem,
    pub(crate) label: Option<String>,
    /// The Windows folder, as it is spelt there.
    pub(crate) system_root: Option<String>,
    pub(crate) guard: Option<Guard>,
    /// Why it cannot be read.
    pub(crate) unreadable: Option<String>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Found {
    Nothing,
    Folder,
    File {
        size: u64,
        blake3: String,
    },
    /// It cannot be told.
    Unreadable(String),
}

impl std::fmt::Display for Found {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => out.write_str("nothing"),
            Self::Folder => out.write_str("a folder"),
            Self::File { size, blake3 } => write!(out, "{size} bytes with BLAKE3 {blake3}"),
            Self::Unreadable(reason) => write!(out, "something that cannot be read: {reason}"),
        }
    }
}

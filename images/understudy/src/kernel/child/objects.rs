//! Handles of the System process.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use super::super::host::{FileFacts, FileId};
use super::lock;

/// Kernel handles have their upper bits set.
const FIRST: u64 = 0xFFFF_FFFF_8000_0004;

/// An open file or directory.
#[derive(Debug)]
pub(in super::super) struct FileState {
    /// The host's id.
    pub(in super::super) file: FileId,
    /// NT path, for opens relative to it.
    pub(in super::super) path: String,
    /// Opened with `FILE_SYNCHRONOUS_IO_*`: operations wait, and there is a position.
    pub(in super::super) synchronous: bool,
    /// Current byte offset.
    pub(in super::super) position: u64,
    /// What `ZwQueryDirectoryFile` has still to return; None before its first call.
    pub(in super::super) listing: Option<Vec<FileFacts>>,
    /// A `KEVENT` that is signalled when an operation completes.
    pub(in super::super) done: u64,
}

/// What a handle refers to.
#[derive(Debug, Clone)]
pub(in super::super) enum Object {
    /// File or directory.
    File(Arc<Mutex<FileState>>),
    /// Registry key, by path.
    Key(String),
    /// A dispatcher object (event, thread, timer, …) at this address.
    Dispatcher(u64),
}

#[derive(Debug, Default)]
pub(in super::super) struct Objects {
    handles: HashMap<u64, Object>,
    next: u64,
}

static OBJECTS: LazyLock<Mutex<Objects>> = LazyLock::new(Mutex::default);

/// The handle table.
pub(in super::super) fn objects() -> &'static Handles {
    static HANDLES: Handles = Handles;
    &HANDLES
}

/// Access to the handle table; each call locks it for itself.
pub(in super::super) struct Handles;

impl Handles {
    /// Adds an object and returns its handle.
    pub(in super::super) fn add(&self, object: Object) -> u64 {
        let mut objects = lock(&OBJECTS);
        let handle = FIRST + objects.next * 4;
        objects.next += 1;
        objects.handles.insert(handle, object);
        handle
    }

    /// The object of a handle.
    pub(in super::super) fn get(&self, handle: u64) -> Option<Object> {
        lock(&OBJECTS).handles.get(&handle).cloned()
    }

    /// Removes a handle.
    pub(in super::super) fn remove(&self, handle: u64) -> Option<Object> {
        lock(&OBJECTS).handles.remove(&handle)
    }
}

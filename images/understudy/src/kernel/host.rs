//! What the kernel process asks of PID 1: files, registry, change notifications, debug output.
//!
//! The system implements [`KernelHost`]; [`super::Kernel`] calls it from its own thread for each
//! request that a driver makes. One call at a time per kernel, so an implementation may keep its
//! state behind a plain mutex; only [`KernelHost::notify_change`] completes later.

use serde::{Deserialize, Serialize};

use super::NtStatus;

/// Chosen by the host when a file or directory is opened; opaque to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileId(pub u64);

/// `CreateDisposition` of `ZwCreateFile`, with its values in the Windows headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disposition {
    /// `FILE_SUPERSEDE` (0): replace or create.
    Supersede,
    /// `FILE_OPEN` (1): open, fail where absent.
    Open,
    /// `FILE_CREATE` (2): create, fail where present.
    Create,
    /// `FILE_OPEN_IF` (3): open or create.
    OpenIf,
    /// `FILE_OVERWRITE` (4): open and empty, fail where absent.
    Overwrite,
    /// `FILE_OVERWRITE_IF` (5): open and empty, or create.
    OverwriteIf,
}

/// A request to open a file or directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest {
    /// NT path as the driver gave it: `\??\C:\…`, `\DosDevices\C:\…`, `\SystemRoot\…`,
    /// `\Device\HarddiskVolume3\…`. Relative opens (`RootDirectory`) are already joined.
    pub path: String,
    /// `DesiredAccess` has a write right (`FILE_WRITE_DATA`, `FILE_APPEND_DATA`, `GENERIC_WRITE`,
    /// `DELETE`, …).
    pub write: bool,
    /// What to do where it exists or does not.
    pub disposition: Disposition,
    /// `FILE_DIRECTORY_FILE`: must be (or become) a directory, else `NOT_A_DIRECTORY`.
    pub directory: bool,
    /// `FILE_NON_DIRECTORY_FILE`: must not be a directory, else `FILE_IS_A_DIRECTORY`.
    pub non_directory: bool,
    /// `FILE_DELETE_ON_CLOSE`.
    pub delete_on_close: bool,
}

/// An opened file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// For later calls.
    pub file: FileId,
    /// `IoStatus.Information`: 0 superseded, 1 opened, 2 created, 3 overwritten.
    pub information: u32,
}

/// What is known of a file. Times are Windows FILETIMEs (100 ns since 1601-01-01 UTC).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Name without directories.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// True for a directory.
    pub directory: bool,
    /// `FILE_ATTRIBUTE_*` bits as stored.
    pub attributes: u32,
    /// FILETIME of creation.
    pub created: u64,
    /// FILETIME of the last write.
    pub modified: u64,
}

/// One registry value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryValue {
    /// Name; empty for the default value.
    pub name: String,
    /// `REG_*` type: 1 `REG_SZ`, 2 `REG_EXPAND_SZ`, 3 `REG_BINARY`, 4 `REG_DWORD`,
    /// 7 `REG_MULTI_SZ`, 11 `REG_QWORD`.
    pub kind: u32,
    /// Raw data as in the hive (UTF-16LE with its terminator for strings).
    #[serde(skip)]
    pub data: Vec<u8>,
}

/// `FILE_ACTION_*` of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeAction {
    /// `FILE_ACTION_ADDED` (1).
    Added,
    /// `FILE_ACTION_REMOVED` (2).
    Removed,
    /// `FILE_ACTION_MODIFIED` (3).
    Modified,
    /// `FILE_ACTION_RENAMED_OLD_NAME` (4).
    RenamedFrom,
    /// `FILE_ACTION_RENAMED_NEW_NAME` (5).
    RenamedTo,
}

/// One change below a watched directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happened.
    pub action: ChangeAction,
    /// Path relative to the watched directory, with backslashes.
    pub name: String,
}

type Answer = Result<Vec<Change>, NtStatus>;

/// Completes a [`KernelHost::notify_change`]. Dropping it completes with `CANCELLED`.
pub struct NotifyDone(Option<Box<dyn FnOnce(Answer) + Send>>);

impl NotifyDone {
    /// Wraps the function that takes the answer.
    pub fn new(answer: impl FnOnce(Result<Vec<Change>, NtStatus>) + Send + 'static) -> Self {
        Self(Some(Box::new(answer)))
    }

    /// Answers the driver's `ZwNotifyChangeDirectoryFile`. May be called from any thread.
    pub fn complete(mut self, answer: Result<Vec<Change>, NtStatus>) {
        if let Some(take) = self.0.take() {
            take(answer);
        }
    }
}

impl Drop for NotifyDone {
    fn drop(&mut self) {
        if let Some(take) = self.0.take() {
            take(Err(NtStatus::CANCELLED));
        }
    }
}

impl std::fmt::Debug for NotifyDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NotifyDone")
    }
}

/// The services of PID 1 for the kernel process. Every refusal is an NTSTATUS, which the driver sees.
///
/// Registry paths are NT paths, `\Registry\Machine\System\CurrentControlSet\Services\…`, matched
/// without regard to case. `CurrentControlSet` is the host's to resolve.
pub trait KernelHost: Send + Sync + 'static {
    /// Opens or creates a file or directory.
    fn open(&self, request: &OpenRequest) -> Result<Opened, NtStatus>;
    /// Reads up to `length` bytes at `offset`. At or after the end: `END_OF_FILE`.
    fn read(&self, file: FileId, offset: u64, length: u32) -> Result<Vec<u8>, NtStatus>;
    /// Writes at `offset`, extending the file as needed.
    fn write(&self, file: FileId, offset: u64, data: &[u8]) -> Result<(), NtStatus>;
    /// Sets the size (`FileEndOfFileInformation`).
    fn set_size(&self, file: FileId, size: u64) -> Result<(), NtStatus>;
    /// What is known of an open file.
    fn facts(&self, file: FileId) -> Result<FileFacts, NtStatus>;
    /// Everything in an open directory, without `.` and `..`, in name order.
    fn list(&self, directory: FileId) -> Result<Vec<FileFacts>, NtStatus>;
    /// Marks or unmarks an open file for deletion at its close (`FileDispositionInformation`).
    fn set_delete_on_close(&self, file: FileId, delete: bool) -> Result<(), NtStatus>;
    /// Asks to be told of the next change in an open directory. Must return at once; `done` is
    /// completed when something changes, or with `NOTIFY_CLEANUP` when the directory is closed.
    /// Changes between two calls on the same open directory are kept for the second one.
    fn notify_change(&self, directory: FileId, filter: u32, subtree: bool, done: NotifyDone);
    /// Closes what [`KernelHost::open`] opened.
    fn close(&self, file: FileId);

    /// True where the key exists. `OBJECT_NAME_NOT_FOUND` otherwise.
    fn key_exists(&self, key: &str) -> Result<(), NtStatus>;
    /// Creates a key (its parent must exist). True where it is new.
    fn create_key(&self, key: &str) -> Result<bool, NtStatus>;
    /// Deletes a key without subkeys.
    fn delete_key(&self, key: &str) -> Result<(), NtStatus>;
    /// Names of the subkeys, in order.
    fn subkeys(&self, key: &str) -> Result<Vec<String>, NtStatus>;
    /// Values of a key, in order.
    fn values(&self, key: &str) -> Result<Vec<RegistryValue>, NtStatus>;
    /// One value.
    fn value(&self, key: &str, name: &str) -> Result<RegistryValue, NtStatus>;
    /// Writes one value.
    fn set_value(&self, key: &str, value: &RegistryValue) -> Result<(), NtStatus>;
    /// Deletes one value.
    fn delete_value(&self, key: &str, name: &str) -> Result<(), NtStatus>;

    /// Code at raised IRQL keeps the processor from everything else (true), or has given it back.
    fn processor_taken(&self, taken: bool);

    /// What a driver printed with DbgPrint, one call per print, text as printed.
    fn debug_print(&self, text: &str);
}

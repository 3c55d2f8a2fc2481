//! Two processes in one store.
//!
//! What is put together lies in a hidden directory beside its place, and whoever does it holds a lock on
//! that directory: the system drops it when the process ends, however it ends. `store.lock` orders the
//! short moments that must not meet a collection of garbage: making such a directory, and putting a
//! complete thing in its place and naming it (shared), against the collection itself (exclusive).

use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

use crate::store::error::StoreError;

/// The store's own lock, held until dropped.
#[derive(Debug)]
pub(crate) struct StoreLock(#[expect(dead_code, reason = "held for its lock")] File);

impl StoreLock {
    /// For making or placing something.
    pub(crate) fn shared(root: &Path) -> Result<Self, StoreError> {
        Self::take(root, FlockOperation::LockShared)
    }

    /// For removing what nobody needs. Waits for those who place something, which takes milliseconds.
    pub(crate) fn exclusive(root: &Path) -> Result<Self, StoreError> {
        Self::take(root, FlockOperation::LockExclusive)
    }

    fn take(root: &Path, operation: FlockOperation) -> Result<Self, StoreError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("store.lock"))
            .map_err(|error| not_writable(root, error))?;
        flock(&file, operation).map_err(std::io::Error::from)?;
        Ok(Self(file))
    }
}

/// Says whose store it is, where that is why it cannot be written.
pub(crate) fn not_writable(root: &Path, error: std::io::Error) -> StoreError {
    let refused = [std::io::ErrorKind::PermissionDenied, std::io::ErrorKind::ReadOnlyFilesystem];
    match fs::metadata(root) {
        Ok(metadata) if refused.contains(&error.kind()) => StoreError::NotWritable {
            path: root.to_path_buf(),
            owner: metadata.uid(),
            user: rustix::process::geteuid().as_raw(),
        },
        _ => StoreError::Io(error),
    }
}

/// Something that is put together, and gone again unless it is settled.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    settled: bool,
    _lock: File,
}

impl Partial {
    /// Makes a hidden directory in `parent`, which lies in the store `root`.
    pub(crate) fn new(root: &Path, parent: &Path, prefix: &str) -> Result<Self, StoreError> {
        let _guard = StoreLock::shared(root)?;
        let path = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent)
            .map_err(|error| not_writable(root, error))?
            .keep();
        let lock = lock_directory(&path)?.ok_or_else(|| {
            std::io::Error::other(format!("{} is locked by another process", path.display()))
        })?;
        Ok(Self { path, settled: false, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it in its place, where nothing may be yet; false if something is. The store's lock is held
    /// by the caller.
    pub(crate) fn settle(&mut self, place: &Path, _guard: &StoreLock) -> Result<bool, StoreError> {
        match std::fs::rename(&self.path, place) {
            Ok(()) => {
                self.settled = true;
                fs::set_permissions(place, std::fs::Permissions::from_mode(0o755))?;
                Ok(true)
            }
            Err(_) if place.is_dir() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts it in its place and takes what was there, to be removed.
    pub(crate) fn replace(&self, place: &Path, _guard: &StoreLock) -> Result<(), StoreError> {
        let cwd = rustix::fs::CWD;
        rustix::fs::renameat_with(cwd, &self.path, cwd, place, rustix::fs::RenameFlags::EXCHANGE)
            .map_err(std::io::Error::from)?;
        fs::set_permissions(place, std::fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.settled {
            // What cannot be removed now is found by the next collection of garbage.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Locks a directory; `None` if somebody holds it.
pub(crate) fn lock_directory(path: &Path) -> Result<Option<File>, StoreError> {
    let directory = File::open(path)?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(directory)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(std::io::Error::from(error).into()),
    }
}

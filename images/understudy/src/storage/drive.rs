//! Drive `C:`: the one place through which everybody reads and changes the Windows volume, so that
//! whoever watches a folder is told of every change, whoever makes it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use volume::{Entry, Metadata, Volume, VolumeError};

use super::watch::{Changed, Due, Watchers};
use crate::kernel::{ChangeAction, NotifyDone};

/// The Windows volume with its watchers. Paths are as in [`Volume`]: from the root, backslashes.
pub struct Drive {
    volume: Mutex<Box<dyn Volume>>,
    watchers: Mutex<Watchers>,
}

impl std::fmt::Debug for Drive {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Drive")
    }
}

impl Drive {
    /// Takes the volume.
    pub fn new(volume: Box<dyn Volume>) -> Self {
        Self { volume: Mutex::new(volume), watchers: Mutex::new(Watchers::default()) }
    }

    /// The volume itself, for reading and for changes that nobody can watch (a crash dump, say).
    pub fn volume(&self) -> MutexGuard<'_, Box<dyn Volume>> {
        // Every operation of a volume is complete in itself, so one that panicked spoils nothing
        // for the others.
        self.volume.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, changes: &[(ChangeAction, &str)]) {
        let changes: Vec<Changed> = changes
            .iter()
            .map(|(action, path)| Changed { action: *action, path: (*path).to_owned() })
            .collect();
        let due = self.watchers().changed(&changes);
        due.complete();
    }

    /// A whole file.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, VolumeError> {
        self.volume().read(path)
    }

    /// What is at `path`.
    pub fn metadata(&self, path: &str) -> Result<Metadata, VolumeError> {
        self.volume().metadata(path)
    }

    /// True if there is something at `path`.
    pub fn exists(&self, path: &str) -> Result<bool, VolumeError> {
        self.volume().exists(path)
    }

    /// The entries of a folder.
    pub fn list(&self, path: &str) -> Result<Vec<Entry>, VolumeError> {
        self.volume().list(path)
    }

    /// Part of a file.
    pub fn read_at(
        &self,
        path: &str,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, VolumeError> {
        self.volume().read_at(path, offset, buffer)
    }

    /// Creates an empty file or empties the one that is there. Watchers hear of it at once, while it
    /// is still empty, as they do on Windows.
    pub fn create(&self, path: &str) -> Result<(), VolumeError> {
        let existed = {
            let mut volume = self.volume();
            let existed = volume.exists(path)?;
            volume.write(path, &[])?;
            existed
        };
        let action = if existed { ChangeAction::Modified } else { ChangeAction::Added };
        self.tell(&[(action, path)]);
        Ok(())
    }

    /// Changes bytes of a file. Watchers hear of it when it is closed: [`Drive::written`].
    pub fn write_at(&self, path: &str, offset: u64, data: &[u8]) -> Result<(), VolumeError> {
        self.volume().write_at(path, offset, data)
    }

    /// Cuts or extends a file. Watchers hear of it when it is closed.
    pub fn set_size(&self, path: &str, size: u64) -> Result<(), VolumeError> {
        self.volume().set_size(path, size)
    }

    /// A file that was changed has been closed.
    pub fn written(&self, path: &str) -> Result<(), VolumeError> {
        self.volume().flush()?;
        self.tell(&[(ChangeAction::Modified, path)]);
        Ok(())
    }

    /// Creates or replaces a whole file: creation, contents, close.
    pub fn write(&self, path: &str, data: &[u8]) -> Result<(), VolumeError> {
        self.create(path)?;
        self.write_at(path, 0, data)?;
        self.written(path)
    }

    /// Creates a folder and those above it.
    pub fn create_dir_all(&self, path: &str) -> Result<(), VolumeError> {
        let existed = {
            let mut volume = self.volume();
            let existed = volume.exists(path)?;
            volume.create_dir_all(path)?;
            existed
        };
        if !existed {
            self.tell(&[(ChangeAction::Added, path)]);
        }
        Ok(())
    }

    /// Deletes a file.
    pub fn remove_file(&self, path: &str) -> Result<(), VolumeError> {
        {
            let mut volume = self.volume();
            volume.remove_file(path)?;
            volume.flush()?;
        }
        self.tell(&[(ChangeAction::Removed, path)]);
        Ok(())
    }

    /// Deletes a folder with all in it.
    pub fn remove_dir_all(&self, path: &str) -> Result<(), VolumeError> {
        self.volume().remove_dir_all(path)?;
        self.tell(&[(ChangeAction::Removed, path)]);
        Ok(())
    }

    /// Moves a file or folder.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), VolumeError> {
        {
            let mut volume = self.volume();
            volume.rename(from, to)?;
            volume.flush()?;
        }
        self.tell(&[(ChangeAction::RenamedFrom, from), (ChangeAction::RenamedTo, to)]);
        Ok(())
    }

    /// Adds to the end of a file, creating it and the folders above it.
    pub fn append(&self, path: &str, data: &[u8]) -> Result<(), VolumeError> {
        let mut volume = self.volume();
        if let Some((folder, _)) = path.rsplit_once('\\') {
            volume.create_dir_all(folder)?;
        }
        volume.append(path, data)
    }

    /// Puts everything on the medium.
    pub fn flush(&self) -> Result<(), VolumeError> {
        self.volume().flush()
    }

    /// Watches the folder that is open under number `file`.
    pub fn watch(&self, file: u64, folder: &str, filter: u32, subtree: bool, done: NotifyDone) {
        let due: Due = self.watchers().ask(file, folder, filter, subtree, done);
        due.complete();
    }

    /// The open folder was closed.
    pub fn unwatch(&self, file: u64) {
        let due = self.watchers().close(file);
        due.complete();
    }
}

/// A path as people write it (`C:\Windows\x`, `C:/Windows/x`, `%SystemRoot%\x`) as a path on the
/// drive. `None` if it names another drive or has no absolute form.
pub fn drive_path(path: &str) -> Option<String> {
    let path = path.replace('/', "\\");
    let lower = path.to_ascii_lowercase();
    let rest = if let Some(rest) = cut(&path, &lower, &["%systemroot%", "%windir%"]) {
        format!("\\Windows{rest}")
    } else if let Some(rest) = cut(&path, &lower, &["c:"]) {
        rest.to_owned()
    } else if path.starts_with('\\') && !path.starts_with("\\\\") {
        path
    } else {
        return None;
    };
    let parts: Vec<&str> = rest.split('\\').filter(|part| !part.is_empty()).collect();
    // `.` and `..` have no meaning in a path that a kernel would see.
    if !rest.is_empty() && !rest.starts_with('\\')
        || parts.iter().any(|part| *part == "." || *part == ".." || part.contains(':'))
    {
        return None;
    }
    Some(format!("\\{}", parts.join("\\")))
}

fn cut<'p>(path: &'p str, lower: &str, heads: &[&str]) -> Option<&'p str> {
    heads.iter().find(|head| lower.starts_with(**head)).map(|head| &path[head.len()..])
}

#[cfg(test)]
mod tests {
    use super::drive_path;

    #[test]
    fn windows_paths_are_paths_on_the_drive() {
        assert_eq!(drive_path("C:\\Windows\\x").as_deref(), Some("\\Windows\\x"));
        assert_eq!(drive_path("c:/Windows//x/").as_deref(), Some("\\Windows\\x"));
        assert_eq!(
            drive_path("%SystemRoot%\\MEMORY.DMP").as_deref(),
            Some("\\Windows\\MEMORY.DMP")
        );
        assert_eq!(drive_path("C:\\").as_deref(), Some("\\"));
        assert_eq!(drive_path("C:").as_deref(), Some("\\"));
        assert_eq!(drive_path("\\Windows").as_deref(), Some("\\Windows"));
    }

    #[test]
    fn other_paths_are_refused() {
        for path in ["D:\\x", "x", "C:x", "\\\\server\\share", "C:\\a\\..\\b", "C:\\f:stream", ""] {
            assert_eq!(drive_path(path), None, "{path}");
        }
    }
}

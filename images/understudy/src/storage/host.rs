//! The kernel process's files and registry: [`KernelHost`] over drive `C:` and the mounted hives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use volume::{Kind, Metadata, Reason, VolumeError};

use super::{Drive, Registry};
use crate::kernel::{
    Disposition, FileFacts, FileId, KernelHost, NotifyDone, NtStatus, OpenRequest, Opened,
    RegistryValue,
};

/// Files that drivers may have open at once.
const HANDLES: usize = 4096;
/// The most bytes of one read.
const MOST: u32 = 16 << 20;

#[derive(Debug, Clone)]
struct OpenFile {
    path: String,
    directory: bool,
    writable: bool,
    changed: bool,
    delete_on_close: bool,
}

#[derive(Debug, Default)]
struct OpenFiles {
    by_id: BTreeMap<u64, OpenFile>,
    next: u64,
}

/// What PID 1 gives to drivers.
#[derive(Debug)]
pub struct Host {
    drive: Arc<Drive>,
    registry: Arc<Registry>,
    open: Mutex<OpenFiles>,
}

impl Host {
    /// Services over this drive and these hives.
    pub fn new(drive: Arc<Drive>, registry: Arc<Registry>) -> Self {
        Self { drive, registry, open: Mutex::new(OpenFiles::default()) }
    }

    fn files(&self) -> MutexGuard<'_, OpenFiles> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, file: FileId) -> Result<OpenFile, NtStatus> {
        self.files().by_id.get(&file.0).cloned().ok_or(NtStatus::INVALID_HANDLE)
    }

    fn changed(&self, file: FileId) {
        if let Some(open) = self.files().by_id.get_mut(&file.0) {
            open.changed = true;
        }
    }

    fn metadata(&self, path: &str) -> Result<Option<Metadata>, NtStatus> {
        match self.drive.metadata(path) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(status(&error)),
        }
    }
}

/// An NT path as a path on the drive. `None` for devices that the model does not have.
fn nt_path(path: &str) -> Option<String> {
    let lower = path.to_ascii_lowercase();
    for head in ["\\??\\", "\\dosdevices\\", "\\global??\\"] {
        if lower.starts_with(head) {
            return super::drive_path(&path[head.len()..]);
        }
    }
    if lower == "\\systemroot" || lower.starts_with("\\systemroot\\") {
        return super::drive_path(&format!("C:\\Windows{}", &path["\\systemroot".len()..]));
    }
    // The third partition is drive C: (recipe), which Windows counts from 1.
    let device = "\\device\\harddiskvolume3";
    let rest = lower.strip_prefix(device)?;
    (rest.is_empty() || rest.starts_with('\\'))
        .then(|| super::drive_path(&format!("C:{}", &path[device.len()..])))
        .flatten()
}

fn status(error: &VolumeError) -> NtStatus {
    match &error.reason {
        Reason::NotFound => NtStatus::OBJECT_NAME_NOT_FOUND,
        Reason::NotADirectory => NtStatus::NOT_A_DIRECTORY,
        Reason::IsADirectory => NtStatus::FILE_IS_A_DIRECTORY,
        Reason::AlreadyExists => NtStatus::OBJECT_NAME_COLLISION,
        Reason::Full => NtStatus::DISK_FULL,
        Reason::BadPath(_) => NtStatus::OBJECT_NAME_INVALID,
        Reason::Device(_) => NtStatus::IO_DEVICE_ERROR,
        _ => NtStatus::FILE_CORRUPT_ERROR,
    }
}

impl KernelHost for Host {
    fn open(&self, request: &OpenRequest) -> Result<Opened, NtStatus> {
        let path = nt_path(&request.path).ok_or(NtStatus::OBJECT_PATH_NOT_FOUND)?;
        let there = self.metadata(&path)?;
        let creates = !matches!(request.disposition, Disposition::Open | Disposition::Overwrite);
        let empties = matches!(
            request.disposition,
            Disposition::Supersede | Disposition::Overwrite | Disposition::OverwriteIf
        );
        let (directory, information) = match there {
            Some(metadata) => {
                let directory = metadata.kind == Kind::Directory;
                if request.disposition == Disposition::Create {
                    return Err(NtStatus::OBJECT_NAME_COLLISION);
                }
                if directory && request.non_directory {
                    return Err(NtStatus::FILE_IS_A_DIRECTORY);
                }
                if !directory && request.directory {
                    return Err(NtStatus::NOT_A_DIRECTORY);
                }
                if empties && !directory {
                    self.drive.create(&path).map_err(|error| status(&error))?;
                }
                let information = match request.disposition {
                    Disposition::Supersede => 0,
                    Disposition::Overwrite | Disposition::OverwriteIf => 3,
                    _ => 1,
                };
                (directory, information)
            }
            None if creates => {
                let parent = path.rsplit_once('\\').map_or("", |(parent, _)| parent);
                match self.metadata(parent)? {
                    Some(metadata) if metadata.kind == Kind::Directory => {}
                    _ => return Err(NtStatus::OBJECT_PATH_NOT_FOUND),
                }
                let made = if request.directory {
                    self.drive.create_dir_all(&path)
                } else {
                    self.drive.create(&path)
                };
                made.map_err(|error| status(&error))?;
                (request.directory, 2)
            }
            None => {
                let parent = path.rsplit_once('\\').map_or("", |(parent, _)| parent);
                return Err(match self.metadata(parent)? {
                    Some(_) => NtStatus::OBJECT_NAME_NOT_FOUND,
                    None => NtStatus::OBJECT_PATH_NOT_FOUND,
                });
            }
        };
        let mut files = self.files();
        if files.by_id.len() >= HANDLES {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        files.next += 1;
        let id = files.next;
        files.by_id.insert(
            id,
            OpenFile {
                path,
                directory,
                writable: request.write,
                changed: information != 1 && !directory,
                delete_on_close: request.delete_on_close,
            },
        );
        Ok(Opened { file: FileId(id), information })
    }

    fn read(&self, file: FileId, offset: u64, length: u32) -> Result<Vec<u8>, NtStatus> {
        let open = self.file(file)?;
        if open.directory {
            return Err(NtStatus::INVALID_DEVICE_REQUEST);
        }
        let mut buffer = vec![0; length.min(MOST) as usize];
        let got =
            self.drive.read_at(&open.path, offset, &mut buffer).map_err(|error| status(&error))?;
        if got == 0 && length > 0 {
            return Err(NtStatus::END_OF_FILE);
        }
        buffer.truncate(got);
        Ok(buffer)
    }

    fn write(&self, file: FileId, offset: u64, data: &[u8]) -> Result<(), NtStatus> {
        let open = self.file(file)?;
        if open.directory {
            return Err(NtStatus::INVALID_DEVICE_REQUEST);
        }
        if !open.writable {
            return Err(NtStatus::ACCESS_DENIED);
        }
        self.drive.write_at(&open.path, offset, data).map_err(|error| status(&error))?;
        self.changed(file);
        Ok(())
    }

    fn set_size(&self, file: FileId, size: u64) -> Result<(), NtStatus> {
        let open = self.file(file)?;
        if !open.writable || open.directory {
            return Err(NtStatus::ACCESS_DENIED);
        }
        self.drive.set_size(&open.path, size).map_err(|error| status(&error))?;
        self.changed(file);
        Ok(())
    }

    fn facts(&self, file: FileId) -> Result<FileFacts, NtStatus> {
        let open = self.file(file)?;
        let metadata = self.drive.metadata(&open.path).map_err(|error| status(&error))?;
        Ok(facts(open.path.rsplit('\\').next().unwrap_or_default(), &metadata))
    }

    fn list(&self, directory: FileId) -> Result<Vec<FileFacts>, NtStatus> {
        let open = self.file(directory)?;
        if !open.directory {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let entries = self.drive.list(&open.path).map_err(|error| status(&error))?;
        let mut list = Vec::with_capacity(entries.len());
        for entry in entries {
            let path = format!("{}\\{}", open.path.trim_end_matches('\\'), entry.name);
            // One that was deleted between the two looks is simply not listed.
            if let Ok(metadata) = self.drive.metadata(&path) {
                list.push(facts(&entry.name, &metadata));
            }
        }
        Ok(list)
    }

    fn set_delete_on_close(&self, file: FileId, delete: bool) -> Result<(), NtStatus> {
        match self.files().by_id.get_mut(&file.0) {
            Some(open) => {
                open.delete_on_close = delete;
                Ok(())
            }
            None => Err(NtStatus::INVALID_HANDLE),
        }
    }

    fn notify_change(&self, directory: FileId, filter: u32, subtree: bool, done: NotifyDone) {
        match self.file(directory) {
            Ok(open) if open.directory => {
                self.drive.watch(directory.0, &open.path, filter, subtree, done);
            }
            Ok(_) => done.complete(Err(NtStatus::INVALID_PARAMETER)),
            Err(status) => done.complete(Err(status)),
        }
    }

    fn close(&self, file: FileId) {
        let Some(open) = self.files().by_id.remove(&file.0) else { return };
        if open.directory {
            self.drive.unwatch(file.0);
        }
        // A close cannot fail for the driver; what could not be written shows at the next read.
        let _ = if open.delete_on_close && !open.directory {
            self.drive.remove_file(&open.path)
        } else if open.changed {
            self.drive.written(&open.path)
        } else {
            Ok(())
        };
    }

    fn key_exists(&self, key: &str) -> Result<(), NtStatus> {
        self.registry.key_exists(key)
    }

    fn create_key(&self, key: &str) -> Result<bool, NtStatus> {
        self.registry.create_key(key)
    }

    fn delete_key(&self, key: &str) -> Result<(), NtStatus> {
        self.registry.delete_key(key)
    }

    fn subkeys(&self, key: &str) -> Result<Vec<String>, NtStatus> {
        self.registry.subkeys(key)
    }

    fn values(&self, key: &str) -> Result<Vec<RegistryValue>, NtStatus> {
        self.registry.values(key)
    }

    fn value(&self, key: &str, name: &str) -> Result<RegistryValue, NtStatus> {
        self.registry.value(key, name)
    }

    fn set_value(&self, key: &str, value: &RegistryValue) -> Result<(), NtStatus> {
        self.registry.set_value(key, value)
    }

    fn delete_value(&self, key: &str, name: &str) -> Result<(), NtStatus> {
        self.registry.delete_value(key, name)
    }

    fn processor_taken(&self, taken: bool) {
        crate::machine::hold(taken);
    }

    fn debug_print(&self, text: &str) {
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            crate::say!("[kernel] debug: {line}");
        }
    }
}

fn facts(name: &str, metadata: &Metadata) -> FileFacts {
    FileFacts {
        name: name.to_owned(),
        size: metadata.size,
        directory: metadata.kind == Kind::Directory,
        attributes: metadata.attributes,
        created: metadata.created.ticks(),
        modified: metadata.modified.ticks(),
    }
}

#[cfg(test)]
mod tests {
    use super::nt_path;

    #[test]
    fn nt_paths_are_paths_on_the_drive() {
        let drivers = Some("\\Windows\\System32\\drivers".to_owned());
        for path in [
            "\\??\\C:\\Windows\\System32\\drivers",
            "\\DosDevices\\c:\\Windows\\System32\\drivers",
            "\\SystemRoot\\System32\\drivers",
            "\\Device\\HarddiskVolume3\\Windows\\System32\\drivers\\",
        ] {
            assert_eq!(nt_path(path), drivers, "{path}");
        }
        for path in
            ["\\Device\\Null", "\\??\\D:\\x", "C:\\Windows", "\\Device\\HarddiskVolume33\\x"]
        {
            assert_eq!(nt_path(path), None, "{path}");
        }
    }
}

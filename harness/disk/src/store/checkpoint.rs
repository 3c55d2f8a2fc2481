//! Frozen machines: what later runs are forked from.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::store::catalogue::Store;
use crate::store::error::StoreError;
use crate::store::import::make_read_only;
use crate::store::lock::{Partial, StoreLock};

/// A frozen machine in the store: what later runs are forked from.
#[derive(Debug, Clone)]
pub struct StoredCheckpoint {
    directory: PathBuf,
}

impl StoredCheckpoint {
    /// RAM and devices, libvirt's save format.
    pub fn ram(&self) -> PathBuf {
        self.directory.join("ram")
    }

    /// The disk; only ever a backing file.
    pub fn disk(&self) -> PathBuf {
        self.directory.join("disk.qcow2")
    }

    /// Firmware variables, to be copied.
    pub fn firmware_vars(&self) -> PathBuf {
        self.directory.join("vars.fd")
    }

    /// TPM state, to be copied.
    pub fn tpm_state(&self) -> PathBuf {
        self.directory.join("tpm")
    }

    /// What whoever made it wants to know again.
    pub fn facts(&self) -> PathBuf {
        self.directory.join("facts.json")
    }
}

impl Store {
    /// The checkpoint with this key, if there is one.
    pub fn checkpoint(&self, key: &str) -> Option<StoredCheckpoint> {
        let directory = self.checkpoints().join(key);
        directory.join("facts.json").is_file().then_some(StoredCheckpoint { directory })
    }

    /// A directory in which to put a checkpoint together: `ram`, `disk.qcow2`, `vars.fd`, `tpm/`,
    /// `facts.json`. Gone again unless [`Store::keep_checkpoint`] takes it.
    pub fn new_checkpoint(&self) -> Result<Partial, StoreError> {
        Partial::new(&self.root, &self.checkpoints(), ".new-")
    }

    /// Seals a checkpoint that was put together. If another process was first, its one is kept.
    pub fn keep_checkpoint(
        &self,
        key: &str,
        mut partial: Partial,
    ) -> Result<StoredCheckpoint, StoreError> {
        let directory = self.checkpoints().join(key);
        for part in ["ram", "disk.qcow2", "vars.fd", "facts.json"] {
            let path = partial.path().join(part);
            if path.is_file() {
                make_read_only(&path)?;
            }
        }
        let guard = StoreLock::shared(&self.root)?;
        partial.settle(&directory, &guard)?;
        Ok(StoredCheckpoint { directory })
    }

    /// Removes a checkpoint, for example one that a newer emulator does not take.
    pub fn remove_checkpoint(&self, checkpoint: StoredCheckpoint) -> Result<(), StoreError> {
        Ok(fs::remove_dir_all(checkpoint.directory)?)
    }
}

/// The digest of the image that a checkpoint's disk lies on: its backing file is
/// `…/images/<digest>/disk.qcow2`. `None` where it cannot be told.
pub(crate) fn image_of(checkpoint: &Path) -> Option<String> {
    let backing = backing_file(&checkpoint.join("disk.qcow2")).ok()??;
    let digest = Path::new(&backing).parent()?.file_name()?.to_str()?;
    crate::store::catalogue::is_digest(digest).then(|| digest.to_owned())
}

/// The name in a qcow2 header: offset at 8, length at 16, at most 1023 bytes.
fn backing_file(path: &Path) -> std::io::Result<Option<String>> {
    let mut file = fs::File::open(path)?;
    let mut header = [0; 20];
    file.read_exact(&mut header)?;
    let offset = u64::from_be_bytes(header[8..16].try_into().expect("eight bytes"));
    let length = u32::from_be_bytes(header[16..20].try_into().expect("four bytes"));
    if &header[..4] != b"QFI\xfb" || offset == 0 || length > 1023 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut name = vec![0; length as usize];
    file.read_exact(&mut name)?;
    Ok(String::from_utf8(name).ok())
}

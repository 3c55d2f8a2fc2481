//! The directory of an embedded libvirt belongs to one process at a time.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::error::HypervisorError;

/// Marks `root` as in use by this process, for as long as the returned file is held. The kernel lets go
/// of it even after `kill -9`. Creates the directory where it is missing.
pub(crate) fn claim(root: &Path) -> Result<fs_err::File, HypervisorError> {
    let path = root.join("owner.lock");
    let failed = |action, error| HypervisorError::io(action, &path, error);
    loop {
        fs_err::create_dir_all(root).map_err(|error| failed("create the directory of", error))?;
        let opened =
            fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = match opened {
            // Somebody cleaned up and removed the directory in between.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            opened => opened.map_err(|error| failed("open", error))?,
        };
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| failed("claim (another loopbreak may be using it)", error.into()))?;
        // Likewise: then the lock is on a file that nobody else can see any more.
        let ours = file.metadata().map_err(|error| failed("examine", error))?;
        match fs_err::metadata(&path) {
            Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => return Ok(file),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("r");
        let owner = claim(&root).unwrap();
        assert!(claim(&root).is_err());
        drop(owner);
        claim(&root).unwrap();
    }
}

//! Opening whatever file system lies on a device.

use crate::{
    BlockDevice, Fat, FileSystemKind, Guard, Ntfs, Operation, Reason, Volume, VolumeError, probe,
};

/// Opens the volume that fills `device`, of whatever kind it is. Nothing is written by that.
///
/// # Errors
/// [`Reason::Guarded`] for volumes that are encrypted or of a kind that is not read here; what
/// [`Ntfs::open`] and [`Fat::open`] say.
pub fn open(mut device: impl BlockDevice + 'static) -> Result<Box<dyn Volume>, VolumeError> {
    let found = probe(&mut device);
    let guard = match found.kind {
        FileSystemKind::Ntfs => return Ok(Box::new(Ntfs::open(device)?)),
        FileSystemKind::Fat12 | FileSystemKind::Fat16 | FileSystemKind::Fat32 => {
            return Ok(Box::new(Fat::open(device)?));
        }
        FileSystemKind::BitLocker | FileSystemKind::BitLockerToGo => {
            Guard::encrypted(&found.kind.to_string())
        }
        FileSystemKind::Unknown => Guard::not_readable(&found.evidence),
        other => Guard::not_readable(&format!("{other} ({})", found.evidence)),
    };
    Err(VolumeError {
        file_system: found.kind.to_string().into(),
        operation: Operation::Open,
        path: "\\".to_owned(),
        reason: Reason::Guarded(guard),
    })
}

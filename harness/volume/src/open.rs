//! Opening whatever file system lies on a device.

use crate::{
    BlockDevice, Changes, Check, Fat, FileSystemKind, Guard, Ntfs, Operation, Reason, Volume,
    VolumeError, probe,
};

/// Opens the volume that fills `device`, of whatever kind it is. Nothing is written by that.
///
/// # Errors
/// [`Reason::Guarded`] for volumes that are encrypted or of a kind that is not read here; what
/// [`Ntfs::open`] and [`Fat::open`] say.
pub fn open(mut device: impl BlockDevice + 'static) -> Result<Box<dyn Volume>, VolumeError> {
    match known(&mut device)? {
        Known::Ntfs => Ok(Box::new(Ntfs::open(device)?)),
        Known::Fat => Ok(Box::new(Fat::open(device)?)),
    }
}

/// The same; what is changed through it is noted for [`check_changes`]. All handles through which a volume is
/// changed share the same `changes`.
///
/// # Errors
/// As [`open`].
pub fn open_tracked(
    mut device: impl BlockDevice + 'static,
    changes: &Changes,
) -> Result<Box<dyn Volume>, VolumeError> {
    match known(&mut device)? {
        Known::Ntfs => Ok(Box::new(Ntfs::open_tracked(device, changes)?)),
        Known::Fat => Ok(Box::new(Fat::open(device)?)),
    }
}

/// Checks what was changed on the volume of `device` since `changes` is empty: against itself, against what
/// it touches, and against what was there before. Everything is read from the device, and nothing is changed.
///
/// If the volume was sound before, then it is sound where this finds no errors; damage that was there before,
/// and that the changes did not touch, only [`Volume::check`] finds. What is counted beside the errors is
/// counted where something was changed.
///
/// A volume of FAT is checked as a whole: its tables are short, they were read as a whole before the first
/// change already, and it has nothing beside them that would tell what belongs to what.
///
/// # Errors
/// As [`open`]; a volume that cannot be understood any more.
pub fn check_changes(
    mut device: impl BlockDevice + Clone + 'static,
    changes: &Changes,
) -> Result<Check, VolumeError> {
    match known(&mut device)? {
        Known::Ntfs => Ntfs::check_changes(device, changes),
        Known::Fat => Fat::open(device)?.check(),
    }
}

/// What is read here.
enum Known {
    Ntfs,
    Fat,
}

fn known(device: &mut dyn BlockDevice) -> Result<Known, VolumeError> {
    let found = probe(device);
    let guard = match found.kind {
        FileSystemKind::Ntfs => return Ok(Known::Ntfs),
        FileSystemKind::Fat12 | FileSystemKind::Fat16 | FileSystemKind::Fat32 => {
            return Ok(Known::Fat);
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

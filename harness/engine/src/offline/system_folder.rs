//! The folder of the system that starts, where it is not `\Windows`: ReactOS lies in `\ReactOS`, an upgraded
//! Windows 2000 in `\WINNT`. Scenarios, profiles and the fault catalogue say `C:\Windows` and mean that folder.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

use volume::{Check, Entry, FileTime, Guard, Metadata, Volume, VolumeError};

/// What paths call it.
const WINDOWS: &str = "Windows";

/// A volume on which paths below `Windows` lead into the system's own folder.
pub(super) struct SystemFolder {
    volume: Box<dyn Volume>,
    /// Relative to the volume's root.
    folder: String,
}

impl SystemFolder {
    /// The volume as it is, where its system lies in `\Windows`.
    pub(super) fn on(volume: Box<dyn Volume>, folder: &str) -> Box<dyn Volume> {
        let folder = folder.trim_matches(['\\', '/']);
        if folder.is_empty() || folder.eq_ignore_ascii_case(WINDOWS) {
            return volume;
        }
        Box::new(Self { volume, folder: folder.to_owned() })
    }

    fn real<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let inner = path.trim_start_matches(['\\', '/']);
        let end = inner.find(['\\', '/']).unwrap_or(inner.len());
        if !inner[..end].eq_ignore_ascii_case(WINDOWS) {
            return Cow::Borrowed(path);
        }
        Cow::Owned(format!("{}{}", self.folder, &inner[end..]))
    }
}

impl Volume for SystemFolder {
    fn list(&mut self, path: &str) -> Result<Vec<Entry>, VolumeError> {
        self.volume.list(&self.real(path))
    }

    fn metadata(&mut self, path: &str) -> Result<Metadata, VolumeError> {
        self.volume.metadata(&self.real(path))
    }

    fn read(&mut self, path: &str) -> Result<Vec<u8>, VolumeError> {
        self.volume.read(&self.real(path))
    }

    fn read_at(
        &mut self,
        path: &str,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, VolumeError> {
        self.volume.read_at(&self.real(path), offset, buffer)
    }

    fn extents(&mut self, path: &str) -> Result<Vec<Range<u64>>, VolumeError> {
        self.volume.extents(&self.real(path))
    }

    fn write_from(
        &mut self,
        path: &str,
        source: &mut dyn Read,
        size: u64,
    ) -> Result<(), VolumeError> {
        self.volume.write_from(&self.real(path), source, size)
    }

    fn write_at(&mut self, path: &str, offset: u64, data: &[u8]) -> Result<(), VolumeError> {
        self.volume.write_at(&self.real(path), offset, data)
    }

    fn set_size(&mut self, path: &str, size: u64) -> Result<(), VolumeError> {
        self.volume.set_size(&self.real(path), size)
    }

    fn create_dir_all(&mut self, path: &str) -> Result<(), VolumeError> {
        self.volume.create_dir_all(&self.real(path))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), VolumeError> {
        self.volume.rename(&self.real(from), &self.real(to))
    }

    fn remove_file(&mut self, path: &str) -> Result<(), VolumeError> {
        self.volume.remove_file(&self.real(path))
    }

    fn remove_dir_all(&mut self, path: &str) -> Result<(), VolumeError> {
        self.volume.remove_dir_all(&self.real(path))
    }

    fn set_times(
        &mut self,
        path: &str,
        created: FileTime,
        modified: FileTime,
    ) -> Result<(), VolumeError> {
        self.volume.set_times(&self.real(path), created, modified)
    }

    fn set_clock(&mut self, now: FileTime) {
        self.volume.set_clock(now);
    }

    fn label(&mut self) -> Result<String, VolumeError> {
        self.volume.label()
    }

    fn guard(&mut self) -> Result<Option<Guard>, VolumeError> {
        self.volume.guard()
    }

    fn accept_crash_state(&mut self) -> Result<Option<String>, VolumeError> {
        self.volume.accept_crash_state()
    }

    fn check(&mut self) -> Result<Check, VolumeError> {
        self.volume.check()
    }

    fn free_space(&mut self) -> Result<u64, VolumeError> {
        self.volume.free_space()
    }

    fn flush(&mut self) -> Result<(), VolumeError> {
        self.volume.flush()
    }
}

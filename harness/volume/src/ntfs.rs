//! NTFS.

use crate::{BlockDevice, Entry, FileTime, Metadata, Operation, Reason, Volume, VolumeError};
use std::io::Read;

/// How to make an NTFS volume.
#[derive(Debug, Clone)]
pub struct NtfsFormat {
    /// Volume label: at most 32 UTF-16 units.
    pub label: String,
    /// Volume serial number.
    pub serial: u64,
    /// All times of the fresh volume, and its clock until [`Volume::set_clock`].
    pub time: FileTime,
}

/// An NTFS volume.
pub struct Ntfs {
    device: Box<dyn BlockDevice>,
}

impl Ntfs {
    /// Opens the NTFS volume that fills `device`.
    pub fn open(device: impl BlockDevice + 'static) -> Result<Self, VolumeError> {
        Ok(Self { device: Box::new(device) })
    }

    /// Makes an empty NTFS volume that fills `device`, and opens it. The same options give the
    /// same bytes on a zeroed device.
    pub fn format(
        device: impl BlockDevice + 'static,
        options: &NtfsFormat,
    ) -> Result<Self, VolumeError> {
        let _ = options;
        Ok(Self { device: Box::new(device) })
    }

    /// The volume label.
    pub fn label(&mut self) -> Result<String, VolumeError> {
        unfinished()
    }

    /// The volume serial number.
    pub fn serial(&self) -> u64 {
        0
    }

    /// True if the volume says that it was not shut down cleanly.
    pub fn is_dirty(&mut self) -> Result<bool, VolumeError> {
        unfinished()
    }
}

fn unfinished<T>() -> Result<T, VolumeError> {
    Err(VolumeError {
        file_system: "NTFS",
        operation: Operation::Open,
        path: String::new(),
        reason: Reason::Unsupported("this crate is being written".to_owned()),
    })
}

impl Volume for Ntfs {
    fn list(&mut self, _: &str) -> Result<Vec<Entry>, VolumeError> {
        unfinished()
    }
    fn metadata(&mut self, _: &str) -> Result<Metadata, VolumeError> {
        unfinished()
    }
    fn read(&mut self, _: &str) -> Result<Vec<u8>, VolumeError> {
        unfinished()
    }
    fn read_at(&mut self, _: &str, _: u64, _: &mut [u8]) -> Result<usize, VolumeError> {
        unfinished()
    }
    fn write_from(&mut self, _: &str, _: &mut dyn Read, _: u64) -> Result<(), VolumeError> {
        unfinished()
    }
    fn write_at(&mut self, _: &str, _: u64, _: &[u8]) -> Result<(), VolumeError> {
        unfinished()
    }
    fn set_size(&mut self, _: &str, _: u64) -> Result<(), VolumeError> {
        unfinished()
    }
    fn create_dir_all(&mut self, _: &str) -> Result<(), VolumeError> {
        unfinished()
    }
    fn rename(&mut self, _: &str, _: &str) -> Result<(), VolumeError> {
        unfinished()
    }
    fn remove_file(&mut self, _: &str) -> Result<(), VolumeError> {
        unfinished()
    }
    fn remove_dir_all(&mut self, _: &str) -> Result<(), VolumeError> {
        unfinished()
    }
    fn set_times(&mut self, _: &str, _: FileTime, _: FileTime) -> Result<(), VolumeError> {
        unfinished()
    }
    fn set_clock(&mut self, _: FileTime) {}
    fn free_space(&mut self) -> Result<u64, VolumeError> {
        unfinished()
    }
    fn flush(&mut self) -> Result<(), VolumeError> {
        self.device.flush().map_err(|error| VolumeError {
            file_system: "NTFS",
            operation: Operation::Flush,
            path: String::new(),
            reason: Reason::Device(error),
        })
    }
}

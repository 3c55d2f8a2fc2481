//! A machine's disk while the machine is off.
//!
//! `qemu-storage-daemon` opens the overlay with all that lies below it, holds QEMU's own locks on it (so
//! a disk that a machine still uses is refused), and exports it over a Unix socket. So nothing needs
//! root, a kernel module or an appliance.

use std::path::{Path, PathBuf};

use volume::{
    BASIC_DATA, BlockDevice, EFI_SYSTEM, Fat, MICROSOFT_RESERVED, Ntfs, Partition, PartitionTable,
    SharedDevice, Volume, VolumeError, WINDOWS_RECOVERY, read_partitions,
};

use crate::daemon::{Daemon, start_daemon};
use crate::error::DiskError;
use crate::nbd::NbdDevice;
use crate::overlay::check_qcow2;
use crate::readback;
use crate::summary::{NotWritable, VolumeRole, VolumeSummary};

/// What a Windows folder is called: Windows since XP, Windows NT and 2000, ReactOS.
const SYSTEM_ROOTS: [&str; 3] = ["Windows", "WINNT", "ReactOS"];
/// What makes a folder a Windows folder.
const SYSTEM_HIVE: &str = r"System32\config\SYSTEM";

/// Whether a disk is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only read. What lies below may be read by others at the same time.
    ReadOnly,
    /// Read and written.
    ReadWrite,
}

/// A disk that no machine uses, opened.
#[derive(Debug)]
pub struct OfflineDisk {
    path: PathBuf,
    access: Access,
    table: PartitionTable,
    summaries: Vec<VolumeSummary>,
    device: SharedDevice,
    _directory: tempfile::TempDir,
    // Dropped after the device: its end closes the connection first.
    _daemon: Daemon,
}

impl OfflineDisk {
    /// Opens the disk `path`, of whatever format. One that refers to other files is refused: a disk from
    /// outside could name any file of this host. `scratch` is a directory for the socket, with a short
    /// path.
    pub fn open(path: &Path, access: Access, scratch: &Path) -> Result<Self, DiskError> {
        Self::open_daemon(path, access, scratch)
    }

    /// Opens an overlay that the harness itself made: a qcow2 file whose backing file is an image of the
    /// store or a checkpoint.
    pub fn open_overlay(path: &Path, access: Access, scratch: &Path) -> Result<Self, DiskError> {
        Self::open_daemon(path, access, scratch)
    }

    fn open_daemon(path: &Path, access: Access, scratch: &Path) -> Result<Self, DiskError> {
        let device_error = |source| DiskError::Device { path: path.to_path_buf(), source };
        let directory =
            tempfile::Builder::new().prefix("nbd").tempdir_in(scratch).map_err(device_error)?;
        let socket = directory.path().join("s");
        let daemon = start_daemon(path, access, &socket)?;
        let nbd = NbdDevice::connect(&socket, "disk").map_err(device_error)?;
        let mut device = SharedDevice::new(nbd);
        let table = read_partitions(&mut device)
            .map_err(|source| DiskError::Table { path: path.to_path_buf(), source })?;
        let mut disk = Self {
            path: path.to_path_buf(),
            access,
            table,
            summaries: Vec::new(),
            device,
            _directory: directory,
            _daemon: daemon,
        };
        disk.summaries =
            (1..).zip(&disk.table.partitions).map(|(n, one)| disk.summarise(n, one)).collect();
        Ok(disk)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The partition table.
    pub fn table(&self) -> &PartitionTable {
        &self.table
    }

    /// Every partition with its volume, in the order of the table, as it was when the disk was opened.
    pub fn volumes(&self) -> &[VolumeSummary] {
        &self.summaries
    }

    /// The volume of the partition `number`.
    pub fn volume(&self, number: u32) -> Result<Box<dyn Volume>, DiskError> {
        let summary = self
            .summaries
            .iter()
            .find(|summary| summary.number == number)
            .ok_or_else(|| self.no_volume("partition of that number"))?;
        self.open_volume(summary)
    }

    /// The volume that Windows lies on: the first with a Windows folder that has a SYSTEM hive.
    pub fn windows_volume(&self) -> Result<Box<dyn Volume>, DiskError> {
        self.role(VolumeRole::Windows, "volume with a Windows folder")
    }

    /// The Windows folder on that volume: `Windows`, `WINNT` or `ReactOS`, as it is spelt there.
    pub fn system_root(&self) -> Result<String, DiskError> {
        self.summaries
            .iter()
            .find_map(|summary| summary.system_root.clone())
            .ok_or_else(|| self.no_volume("volume with a Windows folder"))
    }

    /// The volume of the recovery environment's own partition.
    pub fn recovery_volume(&self) -> Result<Box<dyn Volume>, DiskError> {
        self.role(VolumeRole::Recovery, "recovery partition")
    }

    /// The EFI system partition.
    pub fn efi_volume(&self) -> Result<Box<dyn Volume>, DiskError> {
        self.role(VolumeRole::Efi, "EFI system partition")
    }

    /// The volume that the firmware starts from: of a BIOS disk the active partition, which may be the
    /// Windows volume itself; else the EFI system partition.
    pub fn boot_volume(&self) -> Result<Box<dyn Volume>, DiskError> {
        self.efi_volume()
    }

    /// Reads a file of the Windows volume with another implementation of its file system than the one
    /// that writes: the proof that an edit landed. `None` if there is no such file.
    ///
    /// # Errors
    /// As [`OfflineDisk::windows_volume`], and [`DiskError::ReadBack`].
    pub fn read_back(&self, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
        let windows = self.summaries.iter().find(|one| one.role == VolumeRole::Windows);
        let summary = windows.ok_or_else(|| self.no_volume("volume with a Windows folder"))?;
        readback::read(self.part(summary.start, summary.len)?, path).map_err(|source| {
            DiskError::ReadBack { path: self.path.clone(), file: path.to_owned(), source }
        })
    }

    /// Brings all edits to the file and checks it.
    pub fn close(mut self) -> Result<(), DiskError> {
        if self.access == Access::ReadOnly {
            return Ok(());
        }
        let path = self.path.clone();
        self.device.flush().map_err(|source| DiskError::Device { path: path.clone(), source })?;
        drop(self);
        Ok(check_qcow2(&path)?)
    }

    fn role(&self, role: VolumeRole, what: &'static str) -> Result<Box<dyn Volume>, DiskError> {
        match self.summaries.iter().find(|summary| summary.role == role) {
            Some(summary) => self.open_volume(summary),
            None => Err(self.no_volume(what)),
        }
    }

    fn summarise(&self, number: u32, partition: &Partition) -> VolumeSummary {
        let mut summary = VolumeSummary {
            number,
            start: partition.start,
            len: partition.len,
            file_system: "unknown".to_owned(),
            label: None,
            role: match partition.kind {
                kind if kind == EFI_SYSTEM => VolumeRole::Efi,
                kind if kind == WINDOWS_RECOVERY => VolumeRole::Recovery,
                kind if kind == MICROSOFT_RESERVED => VolumeRole::Reserved,
                _ => VolumeRole::Data,
            },
            system_root: None,
            unreadable: None,
            not_writable: None,
        };
        let part = || self.part(partition.start, partition.len);
        let opened = match part().map(Ntfs::open) {
            Ok(Ok(mut ntfs)) => {
                summary.file_system = "NTFS".to_owned();
                summary.label = ntfs.label().ok().filter(|label| !label.is_empty());
                if ntfs.is_dirty().unwrap_or(true) {
                    summary.not_writable = Some(NotWritable {
                        reason: "it was not let go of cleanly".to_owned(),
                        way_out: "start Windows once and shut it down".to_owned(),
                    });
                }
                Some(Box::new(ntfs) as Box<dyn Volume>)
            }
            _ => match part().map(Fat::open) {
                Ok(Ok(mut fat)) => {
                    summary.file_system = "FAT".to_owned();
                    summary.label = fat.label().ok().filter(|label| !label.is_empty());
                    Some(Box::new(fat) as Box<dyn Volume>)
                }
                Ok(Err(error)) => {
                    summary.unreadable = Some(error.to_string());
                    None
                }
                Err(error) => {
                    summary.unreadable = Some(error.to_string());
                    None
                }
            },
        };
        if partition.kind == BASIC_DATA
            && let Some(mut volume) = opened
            && let Some(root) = system_root(&mut *volume)
        {
            summary.role = VolumeRole::Windows;
            summary.system_root = Some(root);
        }
        summary
    }

    fn part(&self, start: u64, len: u64) -> Result<impl BlockDevice + use<>, DiskError> {
        volume::SubDevice::new(self.device.clone(), start, len)
            .map_err(|source| DiskError::Device { path: self.path.clone(), source })
    }

    fn open_volume(&self, summary: &VolumeSummary) -> Result<Box<dyn Volume>, DiskError> {
        let device = self.part(summary.start, summary.len)?;
        if summary.file_system == "FAT" {
            let fat = Fat::open(device).map_err(|source| self.volume_error(source))?;
            return Ok(Box::new(fat));
        }
        let ntfs = Ntfs::open(device).map_err(|source| self.volume_error(source))?;
        Ok(Box::new(ntfs))
    }

    fn volume_error(&self, source: VolumeError) -> DiskError {
        DiskError::Volume { path: self.path.clone(), source }
    }

    fn no_volume(&self, what: &'static str) -> DiskError {
        let found: Vec<String> = self
            .table
            .partitions
            .iter()
            .map(|partition| format!("'{}' ({} MiB)", partition.name, partition.len >> 20))
            .collect();
        DiskError::NoVolume { path: self.path.clone(), what, found: found.join(", ") }
    }
}

/// The Windows folder of a volume, as it is spelt there.
fn system_root(volume: &mut dyn Volume) -> Option<String> {
    let root = volume.list("").ok()?;
    root.into_iter().map(|entry| entry.name).find(|name| {
        SYSTEM_ROOTS.iter().any(|known| known.eq_ignore_ascii_case(name))
            && volume.exists(&format!("{name}\\{SYSTEM_HIVE}")).unwrap_or(false)
    })
}

//! The machine's disk: its partition table and the volumes on it.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;

use volume::{
    BASIC_DATA, EFI_SYSTEM, Fat, FileDevice, Guid, Ntfs, Partition, SharedDevice, SubDevice,
    TableError, VolumeError, WINDOWS_RECOVERY, read_partitions,
};

/// Why the disk or a volume could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The device node could not be opened.
    #[error("cannot open disk {path}: {source}")]
    Open {
        /// Node.
        path: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// No usable partition table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No partition of that kind or id.
    #[error("the disk has no {0}")]
    Missing(String),
    /// The partition holds no usable file system.
    #[error("{name}: {source}")]
    Volume {
        /// Which.
        name: &'static str,
        /// Why not.
        source: Box<VolumeError>,
    },
    /// The partition table leads outside of the disk.
    #[error("{name}: {source}")]
    Range {
        /// Which.
        name: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

/// The disk with its partition table.
#[derive(Debug)]
pub struct Disk {
    device: SharedDevice,
    partitions: Vec<Partition>,
}

impl Disk {
    /// Opens a disk by its node.
    pub fn open(path: &str) -> Result<Self, DiskError> {
        // Each write is on the medium before the next one begins: as with the log of NTFS, a power cut finds
        // the volume at one step of a change or the next, never with later steps and without earlier ones.
        let open = || {
            let mut options = File::options();
            options.read(true).write(true).custom_flags(libc::O_DSYNC);
            FileDevice::new(options.open(path)?)
        };
        let device = open().map_err(|source| DiskError::Open { path: path.to_owned(), source })?;
        Self::from_device(SharedDevice::new(device))
    }

    /// A disk that is open already.
    pub fn from_device(mut device: SharedDevice) -> Result<Self, DiskError> {
        let table = read_partitions(&mut device)?;
        Ok(Self { device, partitions: table.partitions })
    }

    /// The EFI system partition's volume.
    pub fn esp(&self) -> Result<Fat, DiskError> {
        let name = "EFI system partition";
        let partition = self.of_kind(EFI_SYSTEM, name)?;
        Fat::open(self.part(partition, name)?)
            .map_err(|source| DiskError::Volume { name, source: Box::new(source) })
    }

    /// The NTFS volume of the partition with this id, or of the first data partition.
    pub fn windows(&self, id: Option<Guid>) -> Result<Ntfs, DiskError> {
        let name = "Windows volume";
        let partition = match id {
            Some(id) => self.of_id(id)?,
            None => self.of_kind(BASIC_DATA, "basic data partition")?,
        };
        Ntfs::open(self.part(partition, name)?)
            .map_err(|source| DiskError::Volume { name, source: Box::new(source) })
    }

    /// The recovery partition's volume: of the partition with this id, or of the first of that kind.
    pub fn recovery(&self, id: Option<Guid>) -> Result<Ntfs, DiskError> {
        let name = "recovery volume";
        let partition = match id {
            Some(id) => self.of_id(id)?,
            None => self.of_kind(WINDOWS_RECOVERY, "recovery partition")?,
        };
        Ntfs::open(self.part(partition, name)?)
            .map_err(|source| DiskError::Volume { name, source: Box::new(source) })
    }

    fn of_kind(&self, kind: Guid, name: &str) -> Result<&Partition, DiskError> {
        self.partitions
            .iter()
            .find(|partition| partition.kind == kind)
            .ok_or_else(|| DiskError::Missing(name.to_owned()))
    }

    fn of_id(&self, id: Guid) -> Result<&Partition, DiskError> {
        self.partitions
            .iter()
            .find(|partition| partition.id == Some(id))
            .ok_or_else(|| DiskError::Missing(format!("partition {id}")))
    }

    fn part(
        &self,
        partition: &Partition,
        name: &'static str,
    ) -> Result<SubDevice<SharedDevice>, DiskError> {
        SubDevice::new(self.device.clone(), partition.start, partition.len)
            .map_err(|source| DiskError::Range { name, source })
    }
}

//! A machine's disk while the machine is off.
//!
//! `qemu-storage-daemon` opens the overlay with all that lies below it, holds QEMU's own locks on it (so
//! a disk that a machine still uses is refused), and exports it over a Unix socket. So nothing needs
//! root, a kernel module or an appliance.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use volume::{
    BASIC_DATA, BlockDevice, EFI_SYSTEM, Fat, Ntfs, Partition, PartitionTable, SharedDevice,
    TableError, Volume, VolumeError, WINDOWS_RECOVERY, read_partitions,
};

use crate::nbd::NbdDevice;
use crate::overlay::{OverlayError, check_qcow2};
use crate::readback::{self, ReadBackError};

/// The disk cannot be opened, read or edited.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The storage daemon cannot be started.
    #[error("qemu-storage-daemon cannot be started: {source}; install qemu-system-common")]
    NoProgram {
        /// Why.
        source: std::io::Error,
    },
    /// It did not take the disk.
    #[error("{path} cannot be opened: {message}")]
    Refused {
        /// The disk.
        path: PathBuf,
        /// What it said. "Failed to get … lock" means that a machine uses the disk.
        message: String,
    },
    /// Talking to it failed.
    #[error("{path} cannot be read or written: {source}")]
    Device {
        /// The disk.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No partition table.
    #[error("{path}: {source}")]
    Table {
        /// The disk.
        path: PathBuf,
        /// Why.
        source: TableError,
    },
    /// A volume that was asked for is not there.
    #[error("{path} has no {what}; its partitions are: {found}")]
    NoVolume {
        /// The disk.
        path: PathBuf,
        /// Which volume.
        what: &'static str,
        /// What there is.
        found: String,
    },
    /// A volume cannot be used.
    #[error("{path}: {source}")]
    Volume {
        /// The disk.
        path: PathBuf,
        /// Why.
        source: VolumeError,
    },
    /// A file cannot be read back with the other implementation.
    #[error("{path}: '{file}' cannot be read back: {source}")]
    ReadBack {
        /// The disk.
        path: PathBuf,
        /// The file on its Windows volume.
        file: String,
        /// Why.
        source: ReadBackError,
    },
    /// The disk is damaged after an edit.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
}

/// What makes a volume the one that Windows lies on.
const SYSTEM_HIVE: &str = r"Windows\System32\config\SYSTEM";

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
    device: SharedDevice,
    _directory: tempfile::TempDir,
    // Dropped after the device: its end closes the connection first.
    _daemon: Daemon,
}

/// The storage daemon under its supervisor, which ends it when its own input ends: with the harness,
/// even if that is killed, or with this value.
#[derive(Debug)]
struct Daemon(Child);

/// `$@` is the daemon's command line. The supervisor gives its own output away, so that the end of the
/// daemon is the end of that. SIGKILL: on SIGTERM the daemon would flush; by then everything was flushed
/// by the volume, and an edit that was not is not to be kept.
const SUPERVISOR: &str = "exec 3<&0; \"$@\" </dev/null & daemon=$!; exec >/dev/null 2>&1; \
    cat <&3; kill -KILL $daemon; wait $daemon";

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl OfflineDisk {
    /// Opens the qcow2 file `path`. `scratch` is a directory for the socket, with a short path.
    pub fn open(path: &Path, access: Access, scratch: &Path) -> Result<Self, DiskError> {
        let device_error = |source| DiskError::Device { path: path.to_path_buf(), source };
        let directory =
            tempfile::Builder::new().prefix("nbd").tempdir_in(scratch).map_err(device_error)?;
        let socket = directory.path().join("s");
        let daemon = start_daemon(path, access, &socket)?;
        let nbd = NbdDevice::connect(&socket, "disk").map_err(device_error)?;
        let mut device = SharedDevice::new(nbd);
        let table = read_partitions(&mut device)
            .map_err(|source| DiskError::Table { path: path.to_path_buf(), source })?;
        Ok(Self {
            path: path.to_path_buf(),
            access,
            table,
            device,
            _directory: directory,
            _daemon: daemon,
        })
    }

    /// The partition table.
    pub fn table(&self) -> &PartitionTable {
        &self.table
    }

    /// The NTFS volume that Windows lies on: the one with a SYSTEM hive.
    pub fn windows_volume(&self) -> Result<Ntfs, DiskError> {
        for partition in self.partitions(BASIC_DATA) {
            if self.is_windows(partition) {
                return self.ntfs(partition);
            }
        }
        Err(self.no_volume("NTFS volume with a Windows folder"))
    }

    /// The NTFS volume of the recovery environment.
    pub fn recovery_volume(&self) -> Result<Ntfs, DiskError> {
        match self.partitions(WINDOWS_RECOVERY).next() {
            Some(partition) => self.ntfs(partition),
            None => Err(self.no_volume("recovery partition")),
        }
    }

    /// The EFI system partition.
    pub fn efi_volume(&self) -> Result<Fat, DiskError> {
        let partition = self
            .partitions(EFI_SYSTEM)
            .next()
            .ok_or_else(|| self.no_volume("EFI system partition"))?;
        let device = self.part(partition)?;
        Fat::open(device).map_err(|source| self.volume_error(source))
    }

    /// Reads a file of the Windows volume with another implementation of NTFS than the one that writes:
    /// the proof that an edit landed. `None` if there is no such file.
    ///
    /// # Errors
    /// As [`OfflineDisk::windows_volume`], and [`DiskError::ReadBack`].
    pub fn read_back(&self, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
        for partition in self.partitions(BASIC_DATA) {
            let device = self.part(partition)?;
            if self.is_windows(partition) {
                return readback::read(device, path).map_err(|source| DiskError::ReadBack {
                    path: self.path.clone(),
                    file: path.to_owned(),
                    source,
                });
            }
        }
        Err(self.no_volume("NTFS volume with a Windows folder"))
    }

    fn is_windows(&self, partition: &Partition) -> bool {
        self.ntfs(partition).is_ok_and(|mut volume| volume.exists(SYSTEM_HIVE).unwrap_or(false))
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

    fn partitions(&self, kind: volume::Guid) -> impl Iterator<Item = &Partition> {
        self.table.partitions.iter().filter(move |partition| partition.kind == kind)
    }

    fn part(&self, partition: &Partition) -> Result<impl BlockDevice + use<>, DiskError> {
        volume::SubDevice::new(self.device.clone(), partition.start, partition.len)
            .map_err(|source| DiskError::Device { path: self.path.clone(), source })
    }

    fn ntfs(&self, partition: &Partition) -> Result<Ntfs, DiskError> {
        Ntfs::open(self.part(partition)?).map_err(|source| self.volume_error(source))
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

fn start_daemon(path: &Path, access: Access, socket: &Path) -> Result<Daemon, DiskError> {
    let (read_only, writable) = match access {
        Access::ReadOnly => ("on", "off"),
        Access::ReadWrite => ("off", "on"),
    };
    let escaped = |path: &Path| path.to_string_lossy().replace(',', ",,");
    let mut child = Command::new("sh")
        .args(["-c", SUPERVISOR, "sh", "qemu-storage-daemon", "--blockdev"])
        .arg(format!("driver=file,node-name=file,filename={},read-only={read_only}", escaped(path)))
        .arg("--blockdev")
        .arg(format!("driver=qcow2,node-name=disk,file=file,read-only={read_only}"))
        .arg("--nbd-server")
        .arg(format!("addr.type=unix,addr.path={}", escaped(socket)))
        .arg("--export")
        .arg(format!("type=nbd,id=export,node-name=disk,name=disk,writable={writable}"))
        // The greeting of the monitor comes when everything before it is ready.
        .args(["--chardev", "file,id=monitor,path=/dev/stdout", "--monitor", "chardev=monitor"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| DiskError::NoProgram { source })?;
    let output = child.stdout.take();
    let errors = child.stderr.take();
    let daemon = Daemon(child);
    let mut greeting = String::new();
    if let Some(output) = output {
        // A daemon that refuses closes its output: an empty greeting.
        let _ = BufReader::new(output).read_line(&mut greeting);
    }
    if greeting.contains("QMP") {
        return Ok(daemon);
    }
    let mut message = String::new();
    if let Some(errors) = errors {
        let _ = std::io::Read::read_to_string(&mut BufReader::new(errors), &mut message);
    }
    if message.trim_end().ends_with("not found") {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(DiskError::NoProgram { source });
    }
    let message = message.trim().trim_start_matches("qemu-storage-daemon: ").to_owned();
    Err(DiskError::Refused { path: path.to_path_buf(), message })
}

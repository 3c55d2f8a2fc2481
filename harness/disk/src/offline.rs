//! A machine's disk while the machine is off.
//!
//! `qemu-storage-daemon` opens the disk with all that lies below it, holds QEMU's own locks on it (so
//! a disk that a machine still uses is refused), and exports it over a Unix socket. The other end of that
//! socket is the worker's, which reads and writes volumes behind its fence. So nothing needs root, a kernel
//! module or an appliance.

use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use volume::{Partition, PartitionTable, TableStyle, Volume};

use crate::chain::overlay_node;
use crate::daemon::Daemon;
use crate::error::DiskError;
use crate::overlay::check_file;
use crate::session::{Expected, Session};
use crate::start::Starting;
use crate::store::{DiskFormat, DiskSource, SourceError};
use crate::summary::{VolumeRole, VolumeSummary};
use crate::worker::{
    Answer, Found, Reader, RemoteVolume, Request, Scope, Survey, Worker, WorkerError,
};

/// More partitions than any table that is read has.
const MAX_PARTITIONS: usize = 4096;
/// Largest file that [`OfflineDisk::read_back`] takes into memory, in bytes.
const READ_BACK_LIMIT: u64 = 256 << 20;
/// What a fixed VHD has after its disk, in bytes.
const VHD_FOOTER: u64 = 512;

/// Whether a disk is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only read. What lies below may be read by others at the same time.
    ReadOnly,
    /// Read and written.
    ReadWrite,
}

/// A disk that no machine uses, opened.
///
/// What is written to its volumes is remembered by path and BLAKE3, and compared with what is there when
/// it is closed ([`OfflineDisk::close`]). Dropped without that, it may lose what was not flushed.
#[derive(Debug)]
pub struct OfflineDisk {
    path: PathBuf,
    access: Access,
    format: DiskFormat,
    table: PartitionTable,
    volumes: Vec<VolumeSummary>,
    pub(crate) starting: Starting,
    /// The partition of the Windows that starts, once it is known.
    pub(crate) decided: OnceLock<u32>,
    session: Arc<Session>,
    worker: Arc<Worker>,
    /// What has the file open, and the directory of its socket; `None` where somebody else has it.
    behind: Option<(Daemon, tempfile::TempDir)>,
}

impl OfflineDisk {
    /// Opens the disk file `path`: qcow2, raw, VHD, VHDX or VMDK, told by its contents. One that refers to
    /// other files is refused: a disk from elsewhere could name any file of this host. `scratch` is a
    /// directory for a socket, with a short path.
    pub fn open(path: &Path, access: Access, scratch: &Path) -> Result<Self, DiskError> {
        let source = DiskSource::probe(path)?;
        let disk = Self::open_node(path, source.format, plain_node(&source), access, scratch)?;
        let (len, described) = disk.1;
        if described > len {
            return Err(SourceError::Refused {
                path: path.to_path_buf(),
                format: source.format,
                what: format!(
                    "it is cut off: it holds {len} bytes of a disk that has {described} by its partition table; \
                     get a whole copy"
                ),
            }
            .into());
        }
        // QEMU takes the size of a VHD from its geometry where it does not know the program that made it.
        if len != source.virtual_size {
            return Err(SourceError::Refused {
                path: path.to_path_buf(),
                format: source.format,
                what: format!(
                    "its header says {} bytes, and QEMU sees {len}; convert it with `qemu-img convert \
                     -O qcow2`",
                    source.virtual_size
                ),
            }
            .into());
        }
        Ok(disk.0)
    }

    /// Opens an overlay that the harness itself made: a qcow2 file on an image of the store or on a
    /// checkpoint. All files below it are opened, read-only.
    pub fn open_overlay(path: &Path, access: Access, scratch: &Path) -> Result<Self, DiskError> {
        let node = overlay_node(path, access == Access::ReadOnly)?;
        Ok(Self::open_node(path, DiskFormat::Qcow2, node, access, scratch)?.0)
    }

    /// The disk, and the bytes that it has: indeed, and by its partition table.
    fn open_node(
        path: &Path,
        format: DiskFormat,
        mut node: Value,
        access: Access,
        scratch: &Path,
    ) -> Result<(Self, (u64, u64)), DiskError> {
        let device_error = |source| DiskError::Device { path: path.to_path_buf(), source };
        let directory =
            tempfile::Builder::new().prefix("nbd").tempdir_in(scratch).map_err(device_error)?;
        let socket = directory.path().join("s");
        let read_only = access == Access::ReadOnly;
        node["read-only"] = read_only.into();
        node["file"]["read-only"] = read_only.into();
        let daemon = Daemon::start(path, node, !read_only, &socket)?;
        let connected = UnixStream::connect(&socket).map_err(device_error)?;
        Self::over(connected, path, format, access, Some((daemon, directory)))
    }

    /// The disk behind a socket that speaks NBD, and the bytes that it has: indeed, and by its partition table.
    pub(crate) fn over(
        connected: UnixStream,
        path: &Path,
        format: DiskFormat,
        access: Access,
        behind: Option<(Daemon, tempfile::TempDir)>,
    ) -> Result<(Self, (u64, u64)), DiskError> {
        let worker_error = |source| DiskError::Worker { path: path.to_path_buf(), source };
        let worker = Worker::start(connected).map_err(worker_error)?;
        let survey = match worker.ask(&Request::Survey).map_err(worker_error)? {
            Answer::Survey(survey) => checked(survey).map_err(worker_error)?,
            _ => return Err(worker_error(WorkerError::confused())),
        };
        let style = survey.table.style;
        let partitions = survey.table.partitions.iter();
        let volumes = partitions
            .zip(survey.volumes)
            .map(|(partition, seen)| VolumeSummary::new(partition, style, seen))
            .collect();
        let disk = Self {
            path: path.to_path_buf(),
            access,
            format,
            table: survey.table,
            volumes,
            starting: Starting::default(),
            decided: OnceLock::new(),
            session: Arc::default(),
            worker: Arc::new(worker),
            behind,
        };
        Ok((disk, (survey.len, survey.described)))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file is.
    pub fn format(&self) -> DiskFormat {
        self.format
    }

    /// How the disk was divided when it was opened.
    pub fn table(&self) -> &PartitionTable {
        &self.table
    }

    /// Every partition with its volume, in the order of the table, as it was when the disk was opened.
    pub fn volumes(&self) -> &[VolumeSummary] {
        &self.volumes
    }

    /// What a crash had left in the logs of volumes, and was carried out when they were opened to be written to: a
    /// line for each, for people.
    pub fn replayed(&self) -> Vec<String> {
        let all = self.session.all_replayed();
        all.iter().map(|(partition, done)| format!("partition {partition}: {done}")).collect()
    }

    /// The volume of the partition `number`. On a disk that is open for writing, what a crash left in the volume's log
    /// is carried out first.
    ///
    /// Two handles on one volume must not be used by turns while one of them writes.
    pub fn volume(&self, number: u32) -> Result<Box<dyn Volume>, DiskError> {
        let summary = self.volumes.iter().find(|summary| summary.number == number);
        match summary {
            Some(summary) => self.open_volume(summary),
            None => Err(self.no_volume(format!("partition {number}"))),
        }
    }

    /// The volume of the Windows that the machine starts.
    ///
    /// # Errors
    /// As [`OfflineDisk::windows_partition`], and where it cannot be read.
    pub fn windows_volume(&self) -> Result<Box<dyn Volume>, DiskError> {
        self.open_volume(self.windows()?)
    }

    /// The partition of the Windows that the machine starts: where there are several, the one that the default entry
    /// of the boot configuration leads to.
    ///
    /// # Errors
    /// [`DiskError::NoVolume`] where there is none; [`DiskError::Uncertain`] where it cannot be told which.
    pub fn windows_partition(&self) -> Result<u32, DiskError> {
        Ok(self.windows()?.number)
    }

    /// The Windows folder on that volume: `Windows`, `WINNT` or `ReactOS`, as it is spelt there.
    pub fn system_root(&self) -> Result<String, DiskError> {
        Ok(self.windows()?.system_root.clone().unwrap_or_default())
    }

    /// The volume of the recovery environment's own partition: of several, the one that a failed start leads to.
    ///
    /// # Errors
    /// As [`OfflineDisk::windows_volume`].
    pub fn recovery_volume(&self) -> Result<Box<dyn Volume>, DiskError> {
        self.open_volume(self.recovery()?)
    }

    /// The EFI system partition: of several, the one that the machine starts from.
    ///
    /// # Errors
    /// As [`OfflineDisk::windows_volume`].
    pub fn efi_volume(&self) -> Result<Box<dyn Volume>, DiskError> {
        self.open_volume(self.efi()?)
    }

    /// The partition that a volume of this role means.
    ///
    /// # Errors
    /// As [`OfflineDisk::windows_partition`].
    pub fn partition_of(&self, role: VolumeRole) -> Result<u32, DiskError> {
        let volume = match role {
            VolumeRole::Windows => self.windows(),
            VolumeRole::Recovery => self.recovery(),
            VolumeRole::Efi => self.efi(),
            VolumeRole::Boot | VolumeRole::Reserved | VolumeRole::Data => {
                let found = self.volumes.iter().find(|summary| summary.role == role);
                found.ok_or_else(|| self.no_volume("such a partition".to_owned()))
            }
        };
        Ok(volume?.number)
    }

    /// The volume that the firmware starts from: of a BIOS disk the active partition, which may be the
    /// Windows volume itself; of a disk without a table the whole; of a UEFI disk the EFI system partition.
    pub fn boot_volume(&self) -> Result<Box<dyn Volume>, DiskError> {
        let active = self.table.partitions.iter().find(|partition| match self.table.style {
            TableStyle::Gpt => false,
            TableStyle::Mbr => partition.active,
            TableStyle::None => true,
        });
        match active {
            Some(partition) => self.volume(partition.number),
            None => self
                .efi_volume()
                .map_err(|_| self.no_volume("partition that firmware starts from".to_owned())),
        }
    }

    /// Where the contents of a file of the Windows volume lie, in bytes of the disk. `path` is relative to the
    /// volume's root.
    ///
    /// # Errors
    /// As [`OfflineDisk::windows_volume`]; [`DiskError::Volume`] where there is no such file.
    pub fn extents(&self, path: &str) -> Result<Vec<Range<u64>>, DiskError> {
        let summary = self.windows()?;
        let extents = self.open_volume(summary)?.extents(path).map_err(|source| {
            DiskError::Volume { path: self.path.clone(), source: Box::new(source) }
        })?;
        let on_disk = |place: u64| summary.start.checked_add(place);
        let moved = extents.iter().map(|one| Some(on_disk(one.start)?..on_disk(one.end)?));
        moved.collect::<Option<_>>().ok_or_else(|| self.worker_error(WorkerError::confused()))
    }

    /// How the disk is divided now: [`OfflineDisk::table`] with what [`OfflineDisk::set_partition`] did.
    pub fn read_table(&self) -> Result<PartitionTable, DiskError> {
        match self.ask(&Request::Table)? {
            Answer::Table(table) => bounded(table).map_err(|source| self.worker_error(source)),
            _ => Err(self.worker_error(WorkerError::confused())),
        }
    }

    /// Puts a partition into a slot of the GUID partition table, or clears the slot. Volumes stay reachable
    /// by their numbers as they were when the disk was opened.
    ///
    /// # Errors
    /// [`DiskError::Worker`] for a disk without such a table, and for a slot that it does not have.
    pub fn set_partition(
        &self,
        number: u32,
        partition: Option<&Partition>,
    ) -> Result<(), DiskError> {
        self.done(&Request::SetPartition { number, partition: partition.cloned() })
    }

    /// Reads a file of the Windows volume with another implementation of its file system than the one
    /// that writes. `None` if there is no such file.
    ///
    /// # Errors
    /// As [`OfflineDisk::windows_volume`]; [`DiskError::Worker`] for a folder, and for a file above 256 MiB.
    pub fn read_back(&self, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
        let partition = self.windows()?.number;
        let request =
            Request::ReadBack { partition, path: path.to_owned(), limit: READ_BACK_LIMIT };
        let mut bytes = Vec::new();
        let answer = self.worker.fetch(&request, &mut |part| {
            bytes.extend_from_slice(part);
            match bytes.len() as u64 <= READ_BACK_LIMIT {
                true => Ok(()),
                false => Err("sends more than the largest file has".to_owned()),
            }
        });
        match answer.map_err(|source| self.worker_error(source))? {
            Answer::Number(size) if size == bytes.len() as u64 => Ok(Some(bytes)),
            Answer::Done if bytes.is_empty() => Ok(None),
            _ => Err(self.worker_error(WorkerError::confused())),
        }
    }

    /// Brings all edits to the file and proves them: of every volume that was edited, what was changed is
    /// checked against itself and against what was there before, every file that was written, changed or
    /// removed is read back with another implementation of the file system, and the disk file is checked.
    ///
    /// # Errors
    /// [`DiskError::Damaged`] and [`DiskError::NotLanded`] name the volume and the file.
    pub fn close(self) -> Result<(), DiskError> {
        self.close_after(Scope::Changes)
    }

    /// The same with a check of the whole of every volume that was edited. It also finds damage that was
    /// there before, and takes a second for a hundred thousand files.
    ///
    /// # Errors
    /// As [`OfflineDisk::close`].
    pub fn close_checked_whole(self) -> Result<(), DiskError> {
        self.close_after(Scope::Whole)
    }

    fn close_after(self, scope: Scope) -> Result<(), DiskError> {
        if self.access == Access::ReadOnly {
            return Ok(());
        }
        self.done(&Request::Flush)?;
        for (partition, edits) in self.session.changes() {
            self.check(partition, scope)?;
            self.compare(partition, edits)?;
        }
        let Self { path, format, worker, behind, .. } = self;
        // Volumes that someone still holds are of no use without the daemon.
        drop(worker);
        if let Some((daemon, _directory)) = behind {
            daemon.close();
        }
        Ok(check_file(&path, format.driver())?)
    }

    fn check(&self, partition: u32, scope: Scope) -> Result<(), DiskError> {
        match self.ask(&Request::Check { partition, scope })? {
            Answer::Check(check) if check.errors.is_empty() => Ok(()),
            Answer::Check(check) => Err(DiskError::Damaged {
                path: self.path.clone(),
                number: partition,
                finding: check.errors.into_iter().take(3).collect::<Vec<_>>().join("; "),
            }),
            _ => Err(self.worker_error(WorkerError::confused())),
        }
    }

    fn compare(&self, partition: u32, edits: Vec<(String, Expected)>) -> Result<(), DiskError> {
        let touched = edits.iter().filter(|(_, expected)| *expected == Expected::Touched);
        let touched = touched.map(|(path, _)| path.clone()).collect();
        let mut own = self.find(partition, Reader::Own, touched)?.into_iter();
        let paths = edits.iter().map(|(path, _)| path.clone()).collect();
        let found = self.find(partition, Reader::Independent, paths)?;
        for ((file, expected), found) in edits.into_iter().zip(found) {
            let expected = match expected {
                Expected::Known(expected) => expected,
                Expected::Touched => own.next().unwrap_or(Found::Nothing),
            };
            if expected != found || matches!(found, Found::Unreadable(_)) {
                return Err(DiskError::NotLanded {
                    path: self.path.clone(),
                    number: partition,
                    file,
                    expected: expected.to_string(),
                    found: found.to_string(),
                });
            }
        }
        Ok(())
    }

    fn find(
        &self,
        partition: u32,
        reader: Reader,
        paths: Vec<String>,
    ) -> Result<Vec<Found>, DiskError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let count = paths.len();
        match self.ask(&Request::Find { partition, reader, paths })? {
            Answer::Found(found) if found.len() == count => Ok(found),
            _ => Err(self.worker_error(WorkerError::confused())),
        }
    }

    fn ask(&self, request: &Request) -> Result<Answer, DiskError> {
        match self.worker.ask(request) {
            Ok(Answer::Failed(source)) => {
                Err(DiskError::Volume { path: self.path.clone(), source: Box::new(source) })
            }
            Ok(answer) => Ok(answer),
            Err(source) => Err(self.worker_error(source)),
        }
    }

    fn done(&self, request: &Request) -> Result<(), DiskError> {
        match self.ask(request)? {
            Answer::Done => Ok(()),
            _ => Err(self.worker_error(WorkerError::confused())),
        }
    }

    fn open_volume(&self, summary: &VolumeSummary) -> Result<Box<dyn Volume>, DiskError> {
        if let Some(reason) = &summary.unreadable {
            return Err(DiskError::Unreadable {
                path: self.path.clone(),
                number: summary.number,
                reason: reason.clone(),
            });
        }
        let file_system = summary.file_system.clone();
        let to_write = self.access == Access::ReadWrite;
        RemoteVolume::open(&self.worker, summary.number, file_system, &self.session, to_write)
            .map(|volume| Box::new(volume) as Box<dyn Volume>)
            .map_err(|source| DiskError::Volume {
                path: self.path.clone(),
                source: Box::new(source),
            })
    }

    fn worker_error(&self, source: WorkerError) -> DiskError {
        DiskError::Worker { path: self.path.clone(), source }
    }

    pub(crate) fn no_volume(&self, what: String) -> DiskError {
        let found = self.described(&self.volumes.iter().collect::<Vec<_>>());
        DiskError::NoVolume { path: self.path.clone(), what, found }
    }

    /// Volumes for people, each with why it cannot be read.
    pub(crate) fn described(&self, volumes: &[&VolumeSummary]) -> String {
        let described = volumes.iter().map(|volume| {
            let label = volume.label.as_ref().map_or(String::new(), |label| format!(" '{label}'"));
            let reason = volume.unreadable.as_ref();
            let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
            let (number, size) = (volume.number, volume.len >> 20);
            format!("{number} {}{label} ({size} MiB{reason})", volume.file_system)
        });
        described.collect::<Vec<_>>().join(", ")
    }
}

/// How QEMU is told to open a disk that is one file.
fn plain_node(source: &DiskSource) -> Value {
    let mut node = json!({
        "driver": source.format.driver(),
        "file": { "driver": "file", "filename": source.path.to_string_lossy() },
    });
    match source.format {
        DiskFormat::Qcow2 | DiskFormat::Vmdk => node["backing"] = Value::Null,
        // A fixed VHD is its disk and a footer: so the size is that of the footer, and no guess.
        DiskFormat::Vhd if source.virtual_size + VHD_FOOTER == source.file_size => {
            node["driver"] = "raw".into();
            node["offset"] = 0.into();
            node["size"] = source.virtual_size.into();
        }
        DiskFormat::Vhd | DiskFormat::Raw | DiskFormat::Vhdx => {}
    }
    node
}

/// The worker is not trusted either.
fn checked(survey: Survey) -> Result<Survey, WorkerError> {
    if survey.table.partitions.len() != survey.volumes.len() {
        return Err(WorkerError::confused());
    }
    Ok(Survey { table: bounded(survey.table)?, ..survey })
}

fn bounded(table: PartitionTable) -> Result<PartitionTable, WorkerError> {
    let inside = |start: u64, len: u64| start.checked_add(len).is_some();
    if table.partitions.len() > MAX_PARTITIONS
        || !table.partitions.iter().all(|one| inside(one.start, one.len))
    {
        return Err(WorkerError::confused());
    }
    Ok(table)
}

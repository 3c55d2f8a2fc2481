//! The worker's side: answers requests until the harness closes the socket.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use volume::{
    BlockDevice, Changes, FileSystemKind, Guard, GuardKind, Kind, Partition, PartitionTable,
    Replay, Replayed, SharedDevice, SubDevice, Volume, VolumeError, described_len, probe,
    read_partitions, set_partition,
};

use super::frame::{DATA_LIMIT, FrameKind, invalid, parse, read_frame, write_frame, write_message};
use super::protocol::{Answer, Found, Reader, Request, Scope, Survey, Surveyed, Task};
use crate::readback;

/// What a Windows folder is called: Windows since XP, Windows NT and 2000, ReactOS.
const SYSTEM_ROOTS: [&str; 3] = ["Windows", "WINNT", "ReactOS"];
/// What makes a folder a Windows folder.
const SYSTEM_HIVE: &str = r"System32\config\SYSTEM";
/// Why a part of a dynamic disk is not opened, even where a volume seems to begin with it: it may be one of
/// several pieces, and its mirror would differ.
const DYNAMIC: &str =
    "it is part of a dynamic disk, whose own data base tells where its volumes lie";
/// Handles that may be open at a time.
const MAX_VOLUMES: usize = 64;

/// Serves `stream` with what is on `device`.
///
/// # Errors
/// The socket failed, or a request cannot be understood. The end of the socket between two requests is
/// the normal end.
pub(crate) fn serve(stream: impl Read + Write, device: SharedDevice) -> io::Result<()> {
    let mut server = Server {
        stream,
        device,
        table: None,
        volumes: HashMap::new(),
        changes: HashMap::new(),
        hibernated: false,
        last: 0,
        buffer: Vec::new(),
    };
    loop {
        match read_frame(&mut server.stream, &mut server.buffer) {
            Ok(FrameKind::Message) => {}
            Ok(other) => return Err(invalid(format!("a request begins with a frame {other:?}"))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let request = parse(&server.buffer)?;
        let answer = match server.answer(request) {
            Ok(answer) => answer,
            Err(Trouble::Volume(error)) => Answer::Failed(error),
            Err(Trouble::Refused(reason)) => Answer::Refused(reason),
            Err(Trouble::Socket(error)) => return Err(error),
        };
        match write_message(&mut server.stream, &answer) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let refusal = Answer::Refused(format!("the answer is too long: {error}"));
                write_message(&mut server.stream, &refusal)?;
            }
            written => written?,
        }
    }
}

/// Why a request has no other answer.
enum Trouble {
    Volume(VolumeError),
    Refused(String),
    Socket(io::Error),
}

impl From<VolumeError> for Trouble {
    fn from(error: VolumeError) -> Self {
        Self::Volume(error)
    }
}

struct Server<S> {
    stream: S,
    device: SharedDevice,
    table: Option<PartitionTable>,
    volumes: HashMap<u32, Box<dyn Volume>>,
    /// What was changed on each partition since the survey, whoever had it open.
    changes: HashMap<u32, Changes>,
    /// A system on the disk is hibernated: it may go on with any of the volumes.
    hibernated: bool,
    last: u32,
    buffer: Vec<u8>,
}

impl<S: Read + Write> Server<S> {
    fn answer(&mut self, request: Request) -> Result<Answer, Trouble> {
        match request {
            Request::Survey => {
                let table = read_partitions(&mut self.device)
                    .map_err(|error| Trouble::Refused(error.to_string()))?;
                let described = described_len(&mut self.device)
                    .map_err(|error| Trouble::Refused(error.to_string()))?;
                let volumes: Vec<Surveyed> =
                    table.partitions.iter().map(|one| self.look_at(one)).collect();
                let mut guards = volumes.iter().filter_map(|seen| seen.guard.as_ref());
                self.hibernated = guards.any(|guard| guard.kind == GuardKind::Hibernated);
                self.table = Some(table.clone());
                Ok(Answer::Survey(Survey { len: self.device.len(), described, table, volumes }))
            }
            Request::Open { partition, to_write } => {
                if self.volumes.len() >= MAX_VOLUMES {
                    return Err(Trouble::Refused(format!("{MAX_VOLUMES} volumes are open")));
                }
                let (_, device) = self.place(partition)?;
                let changes = self.changes.entry(partition).or_default();
                let mut volume = volume::open_tracked(device, changes)?;
                // Before anything is read that may be written back.
                let may_write = to_write && !self.hibernated;
                let replayed = if may_write { replayed(&mut *volume)? } else { None };
                self.last += 1;
                self.volumes.insert(self.last, volume);
                Ok(Answer::Volume { handle: self.last, replayed })
            }
            Request::Close { volume } => {
                self.volumes.remove(&volume);
                Ok(Answer::Done)
            }
            Request::On { volume, task } => match self.volumes.remove(&volume) {
                Some(mut open) => {
                    let answer = self.task(&mut *open, task);
                    self.volumes.insert(volume, open);
                    answer
                }
                None => Err(Trouble::Refused(format!("there is no volume of the handle {volume}"))),
            },
            Request::Check { partition, scope: Scope::Whole } => {
                Ok(Answer::Check(self.open(partition)?.check()?))
            }
            Request::Check { partition, scope: Scope::Changes } => {
                let (_, device) = self.place(partition)?;
                let changes = self.changes.entry(partition).or_default();
                Ok(Answer::Check(volume::check_changes(device, changes)?))
            }
            Request::Find { partition, reader: Reader::Own, paths } => {
                let mut volume = self.open(partition)?;
                Ok(Answer::Found(paths.iter().map(|path| find(&mut *volume, path)).collect()))
            }
            Request::Find { partition, reader: Reader::Independent, paths } => {
                let (kind, device) = self.place(partition)?;
                let found = readback::find(kind, device, &paths);
                Ok(Answer::Found(found.map_err(|error| Trouble::Refused(error.to_string()))?))
            }
            Request::ReadBack { partition, path, limit } => {
                let (kind, device) = self.place(partition)?;
                let refused = |error: readback::ReadBackError| Trouble::Refused(error.to_string());
                match readback::read(kind, device, &path, limit).map_err(refused)? {
                    Some(bytes) => {
                        for part in bytes.chunks(DATA_LIMIT) {
                            write_frame(&mut self.stream, FrameKind::Data, part)
                                .map_err(Trouble::Socket)?;
                        }
                        Ok(Answer::Number(bytes.len() as u64))
                    }
                    None => Ok(Answer::Done),
                }
            }
            Request::Table => read_partitions(&mut self.device)
                .map(Answer::Table)
                .map_err(|error| Trouble::Refused(error.to_string())),
            Request::SetPartition { number, partition } => {
                set_partition(&mut self.device, number, partition.as_ref())
                    .map(|()| Answer::Done)
                    .map_err(|error| Trouble::Refused(error.to_string()))
            }
            Request::Flush => match self.device.flush() {
                Ok(()) => Ok(Answer::Done),
                Err(error) => Err(Trouble::Refused(error.to_string())),
            },
        }
    }

    fn task(&mut self, volume: &mut dyn Volume, task: Task) -> Result<Answer, Trouble> {
        match task {
            Task::List { path } => return Ok(Answer::Entries(volume.list(&path)?)),
            Task::Metadata { path } => return Ok(Answer::Metadata(volume.metadata(&path)?)),
            Task::Extents { path } => return Ok(Answer::Extents(volume.extents(&path)?)),
            Task::Read { path, offset, len } => self.read(volume, &path, offset, len)?,
            Task::Write { path, size } => {
                self.write(size, |source| volume.write_from(&path, source, size))?
            }
            Task::WriteAt { path, offset, size } => {
                let mut at = offset;
                self.write(size, |source| {
                    if size == 0 {
                        return volume.write_at(&path, offset, &[]);
                    }
                    let mut buffer = vec![0; DATA_LIMIT.min(size as usize)];
                    let mut left = size;
                    while left > 0 {
                        let part = &mut buffer[..DATA_LIMIT.min(left as usize)];
                        // An abort ends it; what is written by then stays.
                        if source.read_exact(part).is_err() {
                            return Ok(());
                        }
                        volume.write_at(&path, at, part)?;
                        at = at.saturating_add(part.len() as u64);
                        left -= part.len() as u64;
                    }
                    Ok(())
                })?;
            }
            Task::SetSize { path, size } => volume.set_size(&path, size)?,
            Task::CreateDirAll { path } => volume.create_dir_all(&path)?,
            Task::Rename { from, to } => volume.rename(&from, &to)?,
            Task::RemoveFile { path } => volume.remove_file(&path)?,
            Task::RemoveDirAll { path } => volume.remove_dir_all(&path)?,
            Task::SetTimes { path, created, modified } => {
                volume.set_times(&path, created, modified)?;
            }
            Task::SetClock { now } => volume.set_clock(now),
            Task::Label => return Ok(Answer::Text(volume.label()?)),
            Task::Guard => return Ok(Answer::Guard(volume.guard()?)),
            Task::AcceptCrashState => return Ok(Answer::GivenUp(volume.accept_crash_state()?)),
            Task::Check => return Ok(Answer::Check(volume.check()?)),
            Task::FreeSpace => return Ok(Answer::Number(volume.free_space()?)),
            Task::Flush => volume.flush()?,
        }
        Ok(Answer::Done)
    }

    fn read(
        &mut self,
        volume: &mut dyn Volume,
        path: &str,
        mut offset: u64,
        mut left: u64,
    ) -> Result<(), Trouble> {
        let mut buffer = vec![0; usize::try_from(left).unwrap_or(DATA_LIMIT).min(DATA_LIMIT)];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(DATA_LIMIT).min(DATA_LIMIT);
            let read = volume.read_at(path, offset, &mut buffer[..wanted])?;
            if read == 0 {
                break;
            }
            write_frame(&mut self.stream, FrameKind::Data, &buffer[..read])
                .map_err(Trouble::Socket)?;
            offset = offset.saturating_add(read as u64);
            left = left.saturating_sub(read as u64);
        }
        Ok(())
    }

    /// Has `work` read the bytes that follow the request, and skips those that it leaves.
    fn write(
        &mut self,
        size: u64,
        work: impl FnOnce(&mut dyn Read) -> Result<(), VolumeError>,
    ) -> Result<(), Trouble> {
        let mut source = Incoming::new(&mut self.stream);
        let result = work(&mut source);
        source.skip().map_err(Trouble::Socket)?;
        if source.aborted {
            return Err(Trouble::Refused(
                "the harness could not read what was to be written".into(),
            ));
        }
        if source.total != size {
            let total = source.total;
            return Err(Trouble::Refused(format!("{total} bytes came instead of {size}")));
        }
        Ok(result?)
    }

    fn place(&self, number: u32) -> Result<(FileSystemKind, SubDevice<SharedDevice>), Trouble> {
        let table = self.table.as_ref().ok_or_else(|| Trouble::Refused("no survey yet".into()))?;
        let partition = table
            .partition(number)
            .ok_or_else(|| Trouble::Refused(format!("there is no partition {number}")))?;
        if partition.kind.is_dynamic() {
            return Err(Trouble::Refused(format!("partition {number}: {DYNAMIC}")));
        }
        let mut device = self.part(partition)?;
        Ok((probe(&mut device).kind, device))
    }

    fn part(&self, partition: &Partition) -> Result<SubDevice<SharedDevice>, Trouble> {
        SubDevice::new(self.device.clone(), partition.start, partition.len)
            .map_err(|error| Trouble::Refused(error.to_string()))
    }

    fn open(&self, number: u32) -> Result<Box<dyn Volume>, Trouble> {
        let (_, device) = self.place(number)?;
        Ok(volume::open(device)?)
    }

    fn look_at(&self, partition: &Partition) -> Surveyed {
        let mut seen = Surveyed {
            file_system: volume::FileSystem {
                kind: FileSystemKind::Unknown,
                evidence: String::new(),
                cluster: None,
            },
            label: None,
            system_root: None,
            guard: None,
            unreadable: None,
        };
        let mut device = match self.part(partition) {
            Ok(device) => device,
            Err(_) => {
                seen.file_system.evidence = "it reaches beyond the end of the disk".to_owned();
                return seen;
            }
        };
        seen.file_system = probe(&mut device);
        if partition.kind.is_dynamic() {
            seen.unreadable = Some(DYNAMIC.to_owned());
            return seen;
        }
        match volume::open(device) {
            Ok(mut volume) => {
                seen.label = volume.label().ok().filter(|label| !label.is_empty());
                match volume.guard() {
                    Ok(Some(guard)) if guard.kind == GuardKind::UncleanLog => {
                        seen.guard = unless_replayed(&mut *volume, guard);
                    }
                    Ok(guard) => seen.guard = guard,
                    Err(error) => seen.unreadable = Some(error.to_string()),
                }
                seen.system_root = system_root(&mut *volume);
            }
            Err(VolumeError { reason: volume::Reason::Guarded(guard), .. }) => {
                seen.guard = Some(guard);
            }
            Err(error) => seen.unreadable = Some(error.to_string()),
        }
        seen
    }
}

/// Carries out the log of a volume that is opened to be written to. Where that cannot be done, the volume says so
/// itself once it is to be written to; reading it needs no more.
fn replayed(volume: &mut dyn Volume) -> Result<Option<Replayed>, VolumeError> {
    match volume.replay_log(Replay::CarryOut) {
        Err(VolumeError { reason: volume::Reason::Guarded(_), .. }) => Ok(None),
        done => done,
    }
}

/// What keeps a volume from being written to once its log is carried out, which is tried in memory.
fn unless_replayed(volume: &mut dyn Volume, guard: Guard) -> Option<Guard> {
    match volume.replay_log(Replay::Rehearse) {
        Ok(Some(_)) => None,
        Err(VolumeError { reason: volume::Reason::Guarded(guard), .. }) => Some(guard),
        Ok(None) | Err(_) => Some(guard),
    }
}

/// The Windows folder of a volume, as it is spelt there.
fn system_root(volume: &mut dyn Volume) -> Option<String> {
    SYSTEM_ROOTS.into_iter().find_map(|known| {
        if !volume.exists(&format!("{known}\\{SYSTEM_HIVE}")).unwrap_or(false) {
            return None;
        }
        let root = volume.list("").ok()?;
        root.into_iter().map(|entry| entry.name).find(|name| name.eq_ignore_ascii_case(known))
    })
}

/// What our own reader finds at a path.
fn find(volume: &mut dyn Volume, path: &str) -> Found {
    let size = match volume.metadata(path) {
        Err(error) if error.is_not_found() => return Found::Nothing,
        Err(error) => return Found::Unreadable(error.to_string()),
        Ok(metadata) if metadata.kind == Kind::Directory => return Found::Folder,
        Ok(metadata) => metadata.size,
    };
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; DATA_LIMIT];
    let mut at = 0;
    while at < size {
        match volume.read_at(path, at, &mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&buffer[..read]);
                at += read as u64;
            }
            Err(error) => return Found::Unreadable(error.to_string()),
        }
    }
    Found::File { size: at, blake3: hasher.finalize().to_hex().to_string() }
}

/// The data frames of a request, as a stream.
struct Incoming<'a, S> {
    stream: &'a mut S,
    frame: Vec<u8>,
    at: usize,
    /// Bytes that came.
    total: u64,
    ended: bool,
    aborted: bool,
}

impl<'a, S: Read> Incoming<'a, S> {
    fn new(stream: &'a mut S) -> Self {
        Self { stream, frame: Vec::new(), at: 0, total: 0, ended: false, aborted: false }
    }

    fn next(&mut self) -> io::Result<()> {
        self.at = 0;
        match read_frame(self.stream, &mut self.frame)? {
            FrameKind::Data => self.total += self.frame.len() as u64,
            FrameKind::End => self.ended = true,
            FrameKind::Abort => (self.ended, self.aborted) = (true, true),
            FrameKind::Message => {
                return Err(invalid("a message among the bytes of a file".into()));
            }
        }
        Ok(())
    }

    fn skip(&mut self) -> io::Result<()> {
        while !self.ended {
            self.next()?;
        }
        Ok(())
    }
}

impl<S: Read> Read for Incoming<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.frame.len() && !self.ended {
            self.next()?;
        }
        if self.aborted {
            return Err(io::Error::other("the harness gave up"));
        }
        let count = buffer.len().min(self.frame.len() - self.at);
        buffer[..count].copy_from_slice(&self.frame[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

//! Doing what a verified manifest says, or refusing to where the disk would take it elsewhere or be filled by it.
//! Everything is looked at before anything is done, so that what is refused has changed nothing.

use volume::{FileTime, Kind, VolumeError};
use winfmt::paths::glob_matches;
use words::PayloadPath;

use super::remediation::{Action, Delete, Manifest, Refusal, Write};
use super::scan::Applied;
use super::seen;
use crate::storage::Drive;

/// The most that one remediation may write, in bytes.
const MOST_WRITTEN: u64 = 512 << 10;
/// So much stays free on the volume, in bytes: a crash dump and the logs of the next start need room.
const ROOM_LEFT: u64 = 16 << 20;

/// Why a manifest was not carried out to its end.
#[derive(Debug, thiserror::Error)]
enum ApplyError {
    /// It was refused, and nothing was done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file is to be written to a folder that is not there.
    #[error("{0}: its folder is not there")]
    NoFolder(String),
    /// The volume refused.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

/// Does all actions in order.
///
/// # Errors
/// Where it is refused. Then nothing was done.
pub(super) fn apply(drive: &Drive, manifest: &Manifest) -> Result<Applied, Refusal> {
    let mut changes = Vec::new();
    match act(drive, manifest, &mut changes) {
        Err(ApplyError::Refused(refusal)) => Err(refusal),
        result => Ok(Applied { changes, failure: result.err().map(|error| error.to_string()) }),
    }
}

fn act(drive: &Drive, manifest: &Manifest, changes: &mut Vec<String>) -> Result<(), ApplyError> {
    let actions = &manifest.actions;
    let mut places = Vec::with_capacity(actions.len());
    for action in actions {
        let place = Place::find(drive, action.path())?;
        if let Action::Write(write) = action {
            let nowhere = || ApplyError::NoFolder(write.path.clone());
            place.is_no_link(drive, place.folder.as_ref().ok_or_else(nowhere)?)?;
        }
        places.push(place);
    }
    room(drive, actions)?;
    // Before anything is done, so that a machine that loses its power in the middle knows of it.
    seen::remember(drive, &manifest.id, manifest.counter)?;
    for (action, place) in actions.iter().zip(&places) {
        match action {
            Action::Delete(delete) => delete_files(drive, delete, place, changes)?,
            Action::Write(write) => write_file(drive, write, place, changes)?,
        }
    }
    Ok(drive.flush()?)
}

/// Where a path leads.
struct Place {
    /// The folder on the drive, if it is there.
    folder: Option<String>,
    /// The last component.
    name: String,
}

impl Place {
    /// Goes down the path, through folders and nothing else.
    fn find(drive: &Drive, path: &str) -> Result<Self, ApplyError> {
        let path: PayloadPath =
            path.parse().map_err(|why: String| Refusal::new(words::Refusal::UnsafePath, why))?;
        let (folders, name) = path.split();
        let mut folder = String::new();
        for part in folders {
            folder = format!("{folder}\\{part}");
            match drive.metadata(&folder) {
                Ok(metadata) if metadata.kind == Kind::Reparse => return Err(link(&folder)),
                Ok(_) => {}
                Err(error) if error.is_not_found() => {
                    return Ok(Self { folder: None, name: name.to_owned() });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { folder: Some(folder), name: name.to_owned() })
    }

    /// What is written to a link goes elsewhere. Links are never deleted: see [`delete_files`].
    fn is_no_link(&self, drive: &Drive, folder: &str) -> Result<(), ApplyError> {
        let file = format!("{folder}\\{}", self.name);
        match drive.metadata(&file) {
            Ok(metadata) if metadata.kind == Kind::Reparse => Err(link(&file)),
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn link(path: &str) -> ApplyError {
    Refusal::new(words::Refusal::Link, format!("`C:{path}` is a link and leads elsewhere")).into()
}

/// Refuses what is too much.
fn room(drive: &Drive, actions: &[Action]) -> Result<(), ApplyError> {
    let sizes = actions.iter().map(|action| match action {
        Action::Write(write) => write.content.len() as u64,
        Action::Delete(_) => 0,
    });
    let size: u64 = sizes.sum();
    if size > MOST_WRITTEN {
        let why = format!("it brings {size} bytes, and a remediation may bring {MOST_WRITTEN}");
        return Err(Refusal::new(words::Refusal::TooLarge, why).into());
    }
    if size > 0 && drive.volume().free_space()? < size + ROOM_LEFT {
        let why =
            format!("what it brings would leave less than {ROOM_LEFT} bytes of drive C: free");
        return Err(Refusal::new(words::Refusal::NoRoom, why).into());
    }
    Ok(())
}

fn delete_files(
    drive: &Drive,
    delete: &Delete,
    place: &Place,
    changes: &mut Vec<String>,
) -> Result<(), ApplyError> {
    let Some(folder) = &place.folder else { return Ok(()) };
    for entry in drive.list(folder)? {
        if entry.kind != Kind::File || !glob_matches(&place.name, &entry.name) {
            continue;
        }
        let file = format!("{folder}\\{}", entry.name);
        // A folder's entry may not know yet that its file has become a link.
        let metadata = drive.metadata(&file)?;
        if metadata.kind != Kind::File {
            continue;
        }
        let modified = metadata.modified;
        let old_enough = delete
            .modified_before
            .is_none_or(|limit| modified < FileTime::from(std::time::SystemTime::from(limit)));
        if old_enough {
            drive.remove_file(&file)?;
            changes.push(format!("deleted C:{file}"));
        }
    }
    Ok(())
}

fn write_file(
    drive: &Drive,
    write: &Write,
    place: &Place,
    changes: &mut Vec<String>,
) -> Result<(), ApplyError> {
    let folder = place.folder.as_ref().ok_or_else(|| ApplyError::NoFolder(write.path.clone()))?;
    let file = format!("{folder}\\{}", place.name);
    drive.write(&file, &write.content)?;
    changes.push(format!("wrote C:{file}, {} bytes", write.content.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use volume::{BlockDevice, MemoryDevice, Ntfs, NtfsFormat, SharedDevice};

    use super::super::remediation::Target;
    use super::*;

    const SIZE: usize = 32 << 20;

    fn manifest(actions: Vec<Action>) -> Manifest {
        Manifest {
            format: 1,
            id: "fix".into(),
            title: "t".into(),
            counter: 1,
            expires: jiff::Timestamp::MAX,
            target: Target {
                module: "a.sys".into(),
                bug_check: 80,
                builds: None,
                groups: Vec::new(),
            },
            actions,
        }
    }

    fn write(path: &str, size: usize) -> Action {
        Action::Write(Write { path: path.into(), content: vec![b'x'; size] })
    }

    fn delete(path: &str) -> Action {
        Action::Delete(Delete { path: path.into(), modified_before: None })
    }

    /// A volume with a folder, a file in it, and a folder `Away` that is a junction.
    fn volume() -> (Drive, SharedDevice) {
        let device = SharedDevice::new(MemoryDevice::zeroed(SIZE));
        let format = NtfsFormat { label: "C".into(), serial: 1, time: FileTime::UNIX_EPOCH };
        let drive = Drive::new(Box::new(Ntfs::format(device.clone(), &format).expect("a volume")));
        drive.create_dir_all("\\Windows\\Temp").expect("a folder");
        drive.create_dir_all("\\Windows\\Away").expect("a folder");
        drive.write("\\Windows\\Temp\\bad.sys", b"bad").expect("a file");
        drive.write("\\Windows\\Away.sys", b"link").expect("a file");
        drive.flush().expect("flushed");
        drop(drive);
        let mut device = device;
        make_link(&mut device, "Away");
        make_link(&mut device, "Away.sys");
        let volume = Ntfs::open(device.clone()).expect("a volume");
        (Drive::new(Box::new(volume)), device)
    }

    /// Gives the file of this name a reparse point, as its last attribute: a junction to drive D:.
    fn make_link(device: &mut SharedDevice, name: &str) {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut bytes = bytes_of(device);
        let number = |bytes: &[u8], at: usize| {
            u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
        };
        let record = (0..bytes.len() - 1024)
            .step_by(512)
            .filter(|at| bytes[*at..].starts_with(b"FILE"))
            // The folder above has the name, too, and was made before.
            .rfind(|at| {
                let used = number(&bytes, at + 24);
                let record = &bytes[*at..at + used];
                // Its own name, with the length in front of it, and none that is longer.
                let named = |at: usize| usize::from(record[at - 2]) == name.len() / 2;
                (66..used.saturating_sub(name.len()))
                    .any(|at| record[at..].starts_with(&name) && named(at))
            })
            .expect("the file's record");
        let used = number(&bytes, record + 24);
        let target = "\\??\\D:\\".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let mut value = 0xa000_0003_u32.to_le_bytes().to_vec();
        let length = target.len() as u16;
        value.extend((length + 12).to_le_bytes());
        value.extend([0, 0, 0, 0]);
        value.extend(length.to_le_bytes());
        value.extend((length + 2).to_le_bytes());
        value.extend([0, 0]);
        value.extend(&target);
        value.extend([0; 4]);
        let size = (24 + value.len()).next_multiple_of(8);
        let mut attribute = Vec::new();
        attribute.extend(0xc0_u32.to_le_bytes());
        attribute.extend((size as u32).to_le_bytes());
        attribute.extend([0, 0, 24, 0, 0, 0, 9, 0]);
        attribute.extend((value.len() as u32).to_le_bytes());
        attribute.extend([24, 0, 0, 0]);
        attribute.extend(&value);
        attribute.resize(size, 0);
        attribute.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        let end = record + used - 8;
        assert!(used + size <= 1024, "it fits into the record");
        // The last two bytes of each sector stand in the update sequence, and its number in their place.
        let sequence =
            record + usize::from(u16::from_le_bytes([bytes[record + 4], bytes[record + 5]]));
        let sectors = [(record + 510, sequence + 2), (record + 1022, sequence + 4)];
        for (last, kept) in sectors {
            bytes.copy_within(kept..kept + 2, last);
        }
        bytes[end..end + attribute.len()].copy_from_slice(&attribute);
        bytes[record + 24..record + 28].copy_from_slice(&((used + size) as u32).to_le_bytes());
        for (last, kept) in sectors {
            bytes.copy_within(last..last + 2, kept);
            bytes.copy_within(sequence..sequence + 2, last);
        }
        device.write_at(0, &bytes).expect("written");
    }

    fn bytes_of(device: &SharedDevice) -> Vec<u8> {
        let mut bytes = vec![0; SIZE];
        device.clone().read_at(0, &mut bytes).expect("read");
        bytes
    }

    #[test]
    fn what_leads_elsewhere_or_is_too_much_is_refused_and_leaves_the_volume_as_it_is() {
        let big = MOST_WRITTEN as usize;
        for (what, last, expected) in [
            ("a way up", delete(r"C:\Windows\..\x"), words::Refusal::UnsafePath),
            ("a device", write(r"C:\Windows\nul", 1), words::Refusal::UnsafePath),
            ("a junction on the way", delete(r"C:\Windows\Away\*.sys"), words::Refusal::Link),
            ("a junction in other letters", delete(r"c:\WINDOWS\aWAY\x"), words::Refusal::Link),
            ("a file behind a junction", write(r"C:\Windows\Away\x", 1), words::Refusal::Link),
            ("a link as the file", write(r"C:\Windows\Away.sys", 1), words::Refusal::Link),
            ("too much", write(r"C:\Windows\Temp\x", big + 1), words::Refusal::TooLarge),
        ] {
            let (drive, device) = volume();
            let before = bytes_of(&device);
            // What comes first and may be done is not done either.
            let actions = vec![delete(r"C:\Windows\Temp\bad.sys"), last];
            let refusal = apply(&drive, &manifest(actions)).expect_err(what);
            assert_eq!(refusal.word, expected, "{what}: {refusal}");
            drive.flush().expect("flushed");
            assert!(bytes_of(&device) == before, "{what}: the volume is another");
        }
    }

    #[test]
    fn a_volume_is_never_filled() {
        let (drive, device) = volume();
        let free = drive.volume().free_space().expect("free space");
        let filler = usize::try_from(free - ROOM_LEFT).expect("a size") - 64 * 1024;
        drive.write("\\filler", &vec![0; filler]).expect("written");
        drive.flush().expect("flushed");
        let before = bytes_of(&device);
        let much = manifest(vec![write(r"C:\Windows\Temp\x", 100 * 1024)]);
        assert_eq!(apply(&drive, &much).expect_err("no room").word, words::Refusal::NoRoom);
        assert!(bytes_of(&device) == before);
        let little = manifest(vec![write(r"C:\Windows\Temp\x", 1024)]);
        let applied = apply(&drive, &little).expect("room");
        assert_eq!(applied.failure, None);
        assert!(drive.volume().free_space().expect("free space") >= ROOM_LEFT);
    }

    #[test]
    fn what_may_be_done_is_done_in_order_and_kept_in_mind() {
        let (drive, _) = volume();
        let actions = vec![
            delete(r"c:\windows\TEMP\*.SYS"),
            write(r"%SystemRoot%\Temp\bad.sys", 4),
            delete(r"C:\Windows\Nowhere\x"),
            delete(r"C:\Windows\Aw*.sys"),
        ];
        let applied = apply(&drive, &manifest(actions)).expect("not refused");
        assert_eq!(applied.failure, None);
        let expected =
            ["deleted C:\\windows\\TEMP\\bad.sys", "wrote C:\\Windows\\Temp\\bad.sys, 4 bytes"];
        assert_eq!(applied.changes, expected, "and no link");
        assert_eq!(drive.read("\\Windows\\Temp\\bad.sys").expect("there"), b"xxxx");
        assert_eq!(seen::seen(&drive, "fix"), 1);
        let nowhere = manifest(vec![write(r"C:\Windows\Nowhere\x", 1)]);
        let failure = apply(&drive, &nowhere).expect("not refused").failure;
        assert!(failure.expect("failed").contains("its folder is not there"));
    }
}

//! The crash that brought the machine here, as its dumps tell it.

use std::io::{self, Read, Seek, SeekFrom};

use serde::{Serialize, Serializer};
use winfmt::dump::summarize;
use winfmt::paths::glob_matches;

use crate::storage::{Drive, SYSTEM_HIVE, control_set, drive_path, load_hive};

/// What the update service is told of the crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CrashSignature {
    /// The bug check.
    pub bug_check: u32,
    /// The module that is blamed, where one is.
    pub module: Option<String>,
    /// The four parameters.
    #[serde(serialize_with = "hex")]
    pub parameters: [u64; 4],
}

fn hex<S: Serializer>(parameters: &[u64; 4], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(parameters.iter().map(|parameter| format!("0x{parameter:016x}")))
}

/// The crash of the newest dump on the drive: the kernel dump or one of the small ones, wherever
/// `CrashControl` puts them; `None` if no dump can be read.
pub(super) fn newest(drive: &Drive) -> Option<CrashSignature> {
    let (file, folder) = places(drive);
    let mut dumps = vec![file];
    if let Ok(entries) = drive.list(&folder) {
        let small = entries.iter().filter(|entry| glob_matches("*.dmp", &entry.name));
        dumps.extend(small.map(|entry| format!("{folder}\\{}", entry.name)));
    }
    let newest = dumps
        .iter()
        .filter_map(|path| summarize(DriveFile::open(drive, path)?).ok())
        .max_by_key(|summary| summary.time)?;
    Some(CrashSignature {
        bug_check: newest.bug_check.code,
        module: newest.module,
        parameters: newest.bug_check.parameters,
    })
}

/// `DumpFile` and `MinidumpDir` of the control set in use, or Windows' defaults.
fn places(drive: &Drive) -> (String, String) {
    let system = load_hive(drive, SYSTEM_HIVE).ok();
    let place = |name: &str, default: &str| {
        let set = control_set(system.as_ref()?)?;
        let key = format!("{set}\\Control\\CrashControl");
        let path = system.as_ref()?.get_string(&key, name).ok().flatten();
        drive_path(path.as_deref().unwrap_or(default))
    };
    (
        place("DumpFile", "%SystemRoot%\\MEMORY.DMP")
            .unwrap_or_else(|| "\\Windows\\MEMORY.DMP".to_owned()),
        place("MinidumpDir", "%SystemRoot%\\Minidump")
            .unwrap_or_else(|| "\\Windows\\Minidump".to_owned()),
    )
}

/// A file of the drive, for whoever reads a stream.
struct DriveFile<'d> {
    drive: &'d Drive,
    path: &'d str,
    position: u64,
    size: u64,
}

impl<'d> DriveFile<'d> {
    fn open(drive: &'d Drive, path: &'d str) -> Option<Self> {
        let size = drive.metadata(path).ok()?.size;
        Some(Self { drive, path, position: 0, size })
    }
}

impl Read for DriveFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.drive.read_at(self.path, self.position, buffer).map_err(io::Error::other)?;
        self.position += got as u64;
        Ok(got)
    }
}

impl Seek for DriveFile<'_> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.size.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::CrashSignature;

    #[test]
    fn a_signature_is_sent_as_agreed() {
        let signature = CrashSignature {
            bug_check: 0x50,
            module: Some("csagent.sys".to_owned()),
            parameters: [0xffff_8402_0000_009c, 0, 0xffff_f803_1234_5678, 0],
        };
        assert_eq!(
            serde_json::to_string(&signature).expect("serializes"),
            "{\"bugCheck\":80,\"module\":\"csagent.sys\",\"parameters\":[\"0xffff84020000009c\",\
             \"0x0000000000000000\",\"0xfffff80312345678\",\"0x0000000000000000\"]}"
        );
    }
}

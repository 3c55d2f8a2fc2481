//! All crash dumps of a disk.

use std::io::{BufReader, Error, Read, Seek, SeekFrom};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use volume::Volume;

use crate::drives::Drives;
use crate::opened_disk::OpenedDisk;
use crate::{Inspection, Known};

/// Windows keeps 50 small dumps (`MinidumpsCount`, windows-facts.md 4).
const MOST: usize = 64;

/// A crash dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DumpTrace {
    /// The file, from the root of the Windows volume.
    pub path: String,
    /// What it says.
    pub stop: Known<StopTrace>,
}

/// What a dump says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StopTrace {
    /// The stop code.
    pub code: u32,
    /// Its four parameters.
    pub parameters: [u64; 4],
    /// File name of the module that holds the instruction to blame, as the dump spells it.
    pub module: Option<String>,
    /// When the machine stopped, by its own clock.
    pub time: Option<Timestamp>,
}

/// Reads `DumpFile` and the folder of small dumps.
pub(super) fn read(opened: &mut OpenedDisk<'_>, inspection: &Inspection) -> Known<Vec<DumpTrace>> {
    let drives = Drives::read(opened);
    let crash = inspection.crash.known();
    let stored = |value: Option<&Known<String>>, default: &str| {
        let path = value.and_then(Known::known).map_or(default, String::as_str);
        drives.on_system_volume(path)
    };
    let file = stored(crash.map(|crash| &crash.dump_file), r"%SystemRoot%\MEMORY.DMP");
    let folder = stored(crash.map(|crash| &crash.minidump_folder), r"%SystemRoot%\Minidump");
    opened.windows().map(|(volume, _)| {
        let mut paths: Vec<String> = file.into_iter().collect();
        if let Some(folder) = folder
            && let Ok(entries) = volume.list(&folder)
        {
            let is_dump = |name: &str| name.to_ascii_lowercase().ends_with(".dmp");
            let dumps = entries.into_iter().filter(|entry| is_dump(&entry.name));
            paths.extend(dumps.map(|entry| format!("{folder}\\{}", entry.name)));
        }
        let mut found: Vec<DumpTrace> = Vec::new();
        for path in paths.into_iter().take(MOST) {
            match volume.metadata(&path) {
                Ok(metadata) => {
                    let stop = stop(volume, &path, metadata.size);
                    found.push(DumpTrace { path, stop });
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    found.push(DumpTrace { path, stop: Known::Unknown(error.to_string()) });
                }
            }
        }
        found.sort_by_key(|dump| dump.stop.known().and_then(|stop| stop.time));
        found
    })
}

fn stop(volume: &mut dyn Volume, path: &str, size: u64) -> Known<StopTrace> {
    // A complete dump is as large as the machine's memory, so only what is asked for is read.
    let file = BufReader::new(OnVolume { volume, path, size, at: 0 });
    match winfmt::dump::summarize(file) {
        Ok(summary) => Known::Known(StopTrace {
            code: summary.bug_check.code,
            parameters: summary.bug_check.parameters,
            module: summary.module,
            time: summary.time.to_timestamp(),
        }),
        Err(error) => Known::Unknown(error.to_string()),
    }
}

/// A file of a volume, as a stream.
struct OnVolume<'v> {
    volume: &'v mut dyn Volume,
    path: &'v str,
    size: u64,
    at: u64,
}

impl Read for OnVolume<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if self.at >= self.size {
            return Ok(0);
        }
        let count = self.volume.read_at(self.path, self.at, buffer).map_err(Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for OnVolume<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Error> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = place.ok_or_else(|| Error::other("before the beginning of the dump"))?;
        Ok(self.at)
    }
}

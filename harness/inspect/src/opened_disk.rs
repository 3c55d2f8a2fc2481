//! What everything is read from: the volumes and hives of one disk, opened once.

use std::path::Path;

use disk::{DiskError, OfflineDisk, VolumeRole, VolumeSummary};
use serde::{Deserialize, Serialize};
use volume::Volume;
use winfmt::hive::{Hive, HiveError};

use crate::Known;

/// What an image consists of.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its disk, opened for reading.
    pub disk: &'a OfflineDisk,
    /// Its firmware variables, the file of QEMU's second flash chip, if it has one.
    pub firmware_vars: Option<&'a Path>,
    /// The folder with the state of its TPM, if it has one.
    pub tpm: Option<&'a Path>,
}

/// How a hive was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HiveFacts {
    /// The file, from the root of its volume.
    pub file: String,
    /// `clean`; what its logs brought; or that it was read as it lies, without them.
    pub state: Known<String>,
}

/// The disk, with what most readers need of it open.
pub(crate) struct OpenedDisk<'a> {
    pub(crate) disk: &'a OfflineDisk,
    /// The partition of the system, and its folder there.
    pub(crate) place: Known<(u32, String)>,
    pub(crate) windows: Known<Box<dyn Volume>>,
    pub(crate) system: Known<Hive>,
    pub(crate) software: Known<Hive>,
    /// The control set that the next start takes, such as `ControlSet001`.
    pub(crate) control_set: Known<String>,
    pub(crate) hives: Vec<HiveFacts>,
}

impl<'a> OpenedDisk<'a> {
    /// Opens what is there.
    pub(crate) fn open(disk: &'a OfflineDisk) -> Self {
        let place = match disk.windows_partition() {
            Ok(number) => {
                let summary = disk.volumes().iter().find(|volume| volume.number == number);
                match summary.and_then(|summary| summary.system_root.clone()) {
                    Some(root) => Known::Known((number, root)),
                    None => Known::Absent,
                }
            }
            Err(DiskError::NoVolume { .. }) => no_windows(disk),
            Err(error) => Known::Unknown(error.to_string()),
        };
        let mut windows = place.as_ref().and_then(|(number, _)| open(disk, *number));
        let mut hives = Vec::new();
        let mut config = |name: &str| match (&mut windows, &place) {
            (Known::Known(volume), Known::Known((_, root))) => {
                let file = format!(r"{root}\System32\config\{name}");
                let (hive, facts) = read_hive(&mut **volume, &file);
                hives.extend(facts);
                hive
            }
            (volume, _) => volume.as_ref().and_then(|_| Known::Absent),
        };
        let system = config("SYSTEM");
        let software = config("SOFTWARE");
        let control_set = system.as_ref().and_then(control_set);
        Self { disk, place, windows, system, software, control_set, hives }
    }

    /// The volume of the system, and the system's folder on it.
    pub(crate) fn windows(&mut self) -> Known<(&mut dyn Volume, &str)> {
        match (&mut self.windows, &self.place) {
            (Known::Known(volume), Known::Known((_, root))) => {
                Known::Known((&mut **volume, root.as_str()))
            }
            (Known::Unknown(reason), _) => Known::Unknown(reason.clone()),
            _ => Known::Absent,
        }
    }

    /// The SYSTEM hive, and the control set that the next start takes.
    pub(crate) fn control(&self) -> Known<Registry<'_>> {
        match (&self.system, &self.control_set) {
            (Known::Known(hive), Known::Known(set)) => Known::Known(Registry { hive, key: set }),
            (Known::Known(_), set) => set.as_ref().and_then(|_| Known::Absent),
            (system, _) => system.as_ref().and_then(|_| Known::Absent),
        }
    }

    /// A volume by the number of its partition.
    pub(crate) fn volume(&self, number: u32) -> Known<Box<dyn Volume>> {
        open(self.disk, number)
    }

    /// All volumes that can be read.
    pub(crate) fn readable(&self) -> impl Iterator<Item = &'a VolumeSummary> + use<'a> {
        self.disk
            .volumes()
            .iter()
            .filter(|volume| volume.unreadable.is_none() && volume.role != VolumeRole::Reserved)
    }
}

/// No partition has a Windows folder with a SYSTEM hive. One may have a folder without, and one that
/// cannot be read may have anything.
fn no_windows<T>(disk: &OfflineDisk) -> Known<T> {
    for summary in disk.volumes() {
        let is_system = matches!(summary.role, VolumeRole::Reserved | VolumeRole::Efi);
        if is_system {
            continue;
        }
        let number = summary.number;
        if let Some(reason) = &summary.unreadable {
            return Known::Unknown(format!("partition {number} cannot be read: {reason}"));
        }
        if let Ok(mut volume) = disk.volume(number)
            && let Ok(Some(folder)) = windows_folder(&mut *volume)
        {
            return Known::Unknown(format!(
                r"'\{folder}' on partition {number} has no hive System32\config\SYSTEM"
            ));
        }
    }
    Known::Absent
}

fn windows_folder(volume: &mut dyn Volume) -> Result<Option<String>, volume::VolumeError> {
    let entries = volume.list("")?;
    let named = |name: &str| {
        ["Windows", "WINNT", "ReactOS"].iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    Ok(entries
        .into_iter()
        .find(|entry| entry.kind == volume::Kind::Directory && named(&entry.name))
        .map(|entry| entry.name))
}

fn open(disk: &OfflineDisk, number: u32) -> Known<Box<dyn Volume>> {
    match disk.volume(number) {
        Ok(volume) => Known::Known(volume),
        Err(error) => Known::Unknown(error.to_string()),
    }
}

/// `Select\Default` is what the next start takes; `Current` is what the last one took
/// (windows-facts.md 4).
fn control_set(hive: &Hive) -> Known<String> {
    let select = Registry { hive, key: "Select" };
    let number = match select.dword("", "Default") {
        Known::Known(number) => Known::Known(number),
        _ => select.dword("", "Current"),
    };
    number.map(|number| format!("ControlSet{number:03}"))
}

/// Reads a hive with what its logs bring, and how that went.
pub(crate) fn read_hive(volume: &mut dyn Volume, file: &str) -> (Known<Hive>, Option<HiveFacts>) {
    let facts = |state| Some(HiveFacts { file: file.to_owned(), state });
    match disk::read_hive(volume, file) {
        Ok(None) => (Known::Absent, None),
        Ok(Some(read)) => (Known::Known(read.hive), facts(Known::Known(read.state))),
        Err(reason) => (Known::Unknown(reason.clone()), facts(Known::Unknown(reason))),
    }
}

/// A whole file of at most `limit` bytes.
pub(crate) fn read_file(volume: &mut dyn Volume, file: &str, limit: u64) -> Known<Vec<u8>> {
    match volume.metadata(file) {
        Ok(metadata) if metadata.size > limit => Known::Unknown(format!(
            "'{file}' has {} bytes, and no more than {limit} are read of such a file",
            metadata.size
        )),
        Ok(_) => Known::read(volume.read(file).map(Some)),
        Err(error) if error.is_not_found() => Known::Absent,
        Err(error) => Known::Unknown(error.to_string()),
    }
}

/// The size of a file.
pub(crate) fn file_size(volume: &mut dyn Volume, file: &str) -> Known<u64> {
    match volume.metadata(file) {
        Ok(metadata) => Known::Known(metadata.size),
        Err(error) if error.is_not_found() => Known::Absent,
        Err(error) => Known::Unknown(error.to_string()),
    }
}

/// Keys and values below one key of a hive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registry<'h> {
    pub(crate) hive: &'h Hive,
    pub(crate) key: &'h str,
}

impl Registry<'_> {
    pub(crate) fn path(&self, key: &str) -> String {
        if key.is_empty() { self.key.to_owned() } else { format!("{}\\{key}", self.key) }
    }

    pub(crate) fn dword(&self, key: &str, name: &str) -> Known<u32> {
        Known::read(self.hive.get_dword(self.path(key), name))
    }

    /// A number that means yes or no.
    pub(crate) fn flag(&self, key: &str, name: &str) -> Known<bool> {
        self.dword(key, name).map(|number| number != 0)
    }

    pub(crate) fn string(&self, key: &str, name: &str) -> Known<String> {
        Known::read(self.hive.get_string(self.path(key), name))
    }

    /// A `REG_MULTI_SZ`; a `REG_SZ` counts as a list of one, as Windows takes it.
    pub(crate) fn strings(&self, key: &str, name: &str) -> Known<Vec<String>> {
        match self.hive.get_multi_string(self.path(key), name) {
            Err(HiveError::WrongType { .. }) => self.string(key, name).map(|text| vec![text]),
            result => Known::read(result),
        }
    }
}

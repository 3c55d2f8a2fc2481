//! Drive letters: which partition of this disk a path of the running system lies on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use volume::{DiskId, Guid, PartitionTable, TableStyle};

use crate::Known;
use crate::opened_disk::{OpenedDisk, Registry};

/// The drive letters of a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DriveLetters {
    /// The letter of the system's own volume. `C` where nothing says another.
    pub system: char,
    /// Partitions of this disk that have a letter.
    pub partitions: BTreeMap<char, u32>,
}

impl Default for DriveLetters {
    fn default() -> Self {
        Self { system: 'C', partitions: BTreeMap::new() }
    }
}

/// Letters that the system gave, each with its partition.
pub(crate) struct Drives {
    letters: BTreeMap<char, Known<u32>>,
    /// The letter of the system's own volume.
    system: char,
    /// The system's own partition and folder.
    place: Known<(u32, String)>,
}

impl Drives {
    /// From `MountedDevices`, and the drive that `SystemRoot` names.
    pub(crate) fn read(opened: &OpenedDisk<'_>) -> Self {
        const VERSION: &str = r"Microsoft\Windows NT\CurrentVersion";
        let root = opened
            .software
            .as_ref()
            .and_then(|hive| Registry { hive, key: VERSION }.string("", "SystemRoot"));
        let named = root.known().and_then(|root| letter(root)).unwrap_or('C');
        let mut letters = BTreeMap::new();
        if let Known::Known(hive) = &opened.system
            && let Ok(Some(key)) = hive.find_key("MountedDevices")
            && let Ok(values) = key.values()
        {
            for value in values {
                let name = value.name.text();
                let device = name.strip_prefix(r"\DosDevices\").and_then(letter);
                if let Some(device) = device {
                    letters.insert(device, partition(opened.disk.table(), &value.data.bytes));
                }
            }
        }
        // What `MountedDevices` gives to the system's partition is its letter; `SystemRoot` is only told from it.
        let mut system = named;
        if let Known::Known((number, _)) = opened.place {
            let own = letters.iter().find(|(_, partition)| **partition == Known::Known(number));
            system = own.map_or(named, |(letter, _)| *letter);
            letters.insert(system, Known::Known(number));
        }
        Self { letters, system, place: opened.place.clone() }
    }

    /// What is known of them.
    pub(crate) fn known(&self) -> DriveLetters {
        let partitions = self.letters.iter();
        let partitions =
            partitions.filter_map(|(letter, number)| Some((*letter, *number.known()?))).collect();
        DriveLetters { system: self.system, partitions }
    }

    /// The partition that a path of the running system lies on. `%SystemRoot%` and `\SystemRoot` are
    /// the system's own; a path without a drive is too.
    pub(crate) fn partition_of(&self, path: &str) -> Known<u32> {
        let path = without_prefix(path);
        match letter(path) {
            Some(drive) => match self.letters.get(&drive) {
                Some(partition) => partition.clone(),
                None => Known::Absent,
            },
            None => self.place.as_ref().map(|(number, _)| *number),
        }
    }

    /// A path of the running system, from the root of the system's own volume. `None`: it lies on
    /// another volume.
    pub(crate) fn on_system_volume(&self, path: &str) -> Option<String> {
        let folder = match &self.place {
            Known::Known((_, folder)) => folder.as_str(),
            _ => return None,
        };
        let path = without_prefix(path);
        for variable in ["%systemroot%", r"\systemroot", "%windir%"] {
            if let Some(rest) = strip(path, variable) {
                return Some(format!(r"{folder}\{}", rest.trim_start_matches('\\')));
            }
        }
        if let Some(rest) = strip(path, "%systemdrive%") {
            return Some(rest.trim_start_matches('\\').to_owned());
        }
        for (variable, is) in
            [("%programfiles%", "Program Files"), ("%programdata%", "ProgramData")]
        {
            if let Some(rest) = strip(path, variable) {
                return Some(format!(r"{is}\{}", rest.trim_start_matches('\\')));
            }
        }
        match letter(path) {
            Some(drive) if drive == self.system => {
                Some(path[2..].trim_start_matches(['\\', '/']).to_owned())
            }
            Some(_) => None,
            // The kernel takes a path without a root from the system's folder.
            None if path.starts_with('\\') => Some(path.trim_start_matches('\\').to_owned()),
            None => Some(format!(r"{folder}\{path}")),
        }
    }
}

fn without_prefix(path: &str) -> &str {
    path.strip_prefix(r"\??\").or_else(|| path.strip_prefix(r"\\?\")).unwrap_or(path)
}

/// What follows a prefix, whatever its case.
fn strip<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let head = path.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &path[prefix.len()..])
}

fn letter(path: &str) -> Option<char> {
    let mut chars = path.chars();
    match (chars.next(), chars.next()) {
        (Some(letter), Some(':')) if letter.is_ascii_alphabetic() => {
            Some(letter.to_ascii_uppercase())
        }
        _ => None,
    }
}

/// The partition that a value of `MountedDevices` names (windows-facts.md 4): `DMIO:ID:` and a GUID, or
/// an MBR signature and an offset in bytes.
fn partition(table: &PartitionTable, data: &[u8]) -> Known<u32> {
    let number = |found: Option<&volume::Partition>| match found {
        Some(partition) => Known::Known(partition.number),
        None => Known::Absent,
    };
    if let Some(guid) = data.strip_prefix(b"DMIO:ID:") {
        return match <[u8; 16]>::try_from(guid) {
            Ok(guid) => {
                let id = Some(Guid::from_bytes(guid));
                number(table.partitions.iter().find(|own| own.id == id))
            }
            Err(_) => Known::Unknown("its entry in MountedDevices is cut off".to_owned()),
        };
    }
    if let (Ok(data), TableStyle::Mbr) = (<[u8; 12]>::try_from(data), table.style) {
        let (signature, offset) = data.split_at(4);
        let signature = signature.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte));
        let offset = offset.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let this = table.disk == DiskId::Signature(signature);
        return number(table.partitions.iter().find(|own| this && own.start == offset));
    }
    Known::Unknown("its entry in MountedDevices names no partition".to_owned())
}
